/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that flushes, and its timing. All that other threads do is to set `asked` and to write to
 * `wake`.
 */
#include "pace.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "clock.h"

#define MS 1000000

/* Between flushes, where the user says nothing: as librdkafka's linger.ms. */
static const int64_t SPACING = 5 * MS;
/* With more than a batch under way, batches are mostly full: what is not may wait a little longer. */
static const int64_t BUSY_SPACING = 50 * MS;
/* With nothing moving (no broker, or a slow one), at most. */
static const int64_t LONGEST = 250 * MS;
/* So long librdkafka's threads have to see that they are to flush. */
static const int FLUSH_MS = 1;

static void wake(struct pace *pace)
{
    uint64_t one = 1;

    while (write(pace->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void pace_sent(struct pace *pace)
{
    if (!atomic_exchange(&pace->asked, true))
        wake(pace);
}

static int64_t spacing(const struct pace *pace)
{
    bool busy = atomic_load(&pace->flights->bytes) > 2 * pace->batch;

    return busy && pace->spacing < BUSY_SPACING ? BUSY_SPACING : pace->spacing;
}

static int64_t latest(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

/* All that is left is what waited behind a request, which was answered just now; nobody adds to it. */
static bool is_last(const struct pace *pace)
{
    long bytes = atomic_load(&pace->flights->bytes);

    return !pace->planned && atomic_load(&pace->flights->moved) && bytes > 0 && bytes < pace->batch;
}

int64_t pace_due(const struct pace *pace)
{
    int64_t next = pace->flushed + spacing(pace);
    int64_t left = INT64_MAX, planned = INT64_MAX;

    if (pace->left)
        left = is_last(pace) ? pace->flushed : latest(next, pace->flushed + pace->pause);
    if (pace->planned)
        planned = latest(next, pace->since + pace->first);
    return left < planned ? left : planned;
}

static void wait(struct pace *pace)
{
    struct pollfd item = {.fd = pace->wake, .events = POLLIN};
    struct timespec left = {0};
    int64_t at = pace_due(pace), ns = at - clock_ns();
    uint64_t count;

    if (ns > 0)
        left = (struct timespec){ns / 1000000000, ns % 1000000000};
    ppoll(&item, 1, at == INT64_MAX ? NULL : &left, NULL);
    while (read(pace->wake, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
}

/* Messages were handed over. */
static void plan(struct pace *pace)
{
    pace->planned = true;
    pace->since = clock_ns();
    pace->pause = 0;
}

/*
 * After a fatal error librdkafka sends nothing, and gives back what is queued at that moment: what comes into
 * its queues just after would stay there for ever.
 */
static void flush(struct pace *pace)
{
    if (rd_kafka_fatal_error(pace->rk, NULL, 0))
        rd_kafka_purge(pace->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
    else
        rd_kafka_flush(pace->rk, FLUSH_MS);
}

/* What waits behind a request can only go once that is answered: by the next flush. */
static void flush_round(struct pace *pace)
{
    /* A report that comes while it flushes may be of that very request: it counts for the next round, too. */
    bool moved = atomic_exchange(&pace->flights->moved, false);
    int64_t longer;

    flush(pace);
    longer = latest(pace->pause * 2, spacing(pace));
    moved |= atomic_load(&pace->flights->moved);
    pace->flushed = clock_ns();
    pace->left = atomic_load(&pace->flights->count) > 0;
    pace->pause = moved ? 0 : longer < LONGEST ? longer : LONGEST;
}

static void *run(void *data)
{
    struct pace *pace = data;

    while (!atomic_load(&pace->ending)) {
        wait(pace);
        rd_kafka_poll(pace->rk, 0);
        if (!pace->planned && atomic_load(&pace->asked))
            plan(pace);
        if (clock_ns() < pace_due(pace))
            continue;
        /* From here on, who hands something over asks anew. */
        atomic_store(&pace->asked, false);
        pace->planned = false;
        flush_round(pace);
    }
    return NULL;
}

static void watch_events(struct pace *pace)
{
    static const uint64_t one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(pace->rk);

    rd_kafka_queue_io_event_enable(queue, pace->wake, &one, sizeof(one));
    rd_kafka_queue_destroy(queue);
}

static void unwatch_events(struct pace *pace)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(pace->rk);

    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
    rd_kafka_queue_destroy(queue);
}

int pace_begin(struct pace *pace, rd_kafka_t *rk, struct flights *flights, long linger_ms, long batch)
{
    int rc;

    /* The first round is at once: of what is queued by now, no event tells. */
    *pace = (struct pace){.rk = rk, .flights = flights, .batch = batch, .left = true};
    pace->first = linger_ms > 0 ? linger_ms * MS : 0;
    pace->spacing = linger_ms < 0 ? SPACING : linger_ms > 0 ? linger_ms * MS : MS;
    pace->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pace->wake < 0)
        return -errno;
    watch_events(pace);
    rc = pthread_create(&pace->thread, NULL, run, pace);
    pace->running = rc == 0;
    if (rc) {
        unwatch_events(pace);
        close(pace->wake);
        pace->wake = -1;
    }
    return -rc;
}

void pace_end(struct pace *pace)
{
    if (!pace->running)
        return;
    pace->running = false;
    atomic_store(&pace->ending, true);
    wake(pace);
    pthread_join(pace->thread, NULL);
    unwatch_events(pace);
    close(pace->wake);
}
