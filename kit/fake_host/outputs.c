/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that outputs of the fake host are given, and what they answer. finish and reject come from any
 * thread: a chunk is looked for by its address among those of the instance, and touched only if it is there.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <weir/event.h>
#include "private.h"

enum state { WAITING, WRITING, UNDER_WAY, FINISHED };

struct fake_written {
    struct weir_chunk api;
    uint8_t *bytes; /* of api.data; NULL once it is finished for good */
    char *tag, *topic;
    enum state state;
    enum weir_result result; /* the last one */
    unsigned attempts;
};

/* -- Answers -------------------------------------------------------------------------------------------- */

static struct fake_written *find(struct weir_instance *i, const struct weir_chunk *chunk)
{
    for (size_t k = i->written_count; k--;)
        if (&i->written[k]->api == chunk)
            return i->written[k];
    return NULL;
}

/* The plugin must not look at it again: what it might see is made to be noticed. */
static void free_bytes(struct fake_written *w)
{
    memset(w->bytes, 0xdd, w->api.size);
    free(w->bytes);
    w->bytes = NULL;
    w->api.data = NULL;
}

static bool is_result(int result, bool may_be_later)
{
    return result == WEIR_DELIVERED || result == WEIR_RETRY || result == WEIR_REJECTED ||
           (may_be_later && result == WEIR_LATER);
}

/* With the lock. */
static void finish(struct weir_instance *i, struct fake_written *w, int result)
{
    w->result = (enum weir_result)result;
    w->state = result == WEIR_RETRY ? WAITING : FINISHED;
    if (w->state == FINISHED)
        free_bytes(w);
    pthread_cond_broadcast(&i->host->changed);
}

/* NULL, or what is wrong with finishing it. With the lock. */
static const char *why_not(const struct weir_instance *i, const struct fake_written *w, int result)
{
    if (!w)
        return "a chunk that this instance was not given";
    if (!is_result(result, false))
        return "the result is none of delivered, retry and rejected";
    if (atomic_load(&i->stopped))
        return "called after host->stopped";
    if (w->state == FINISHED)
        return "a chunk is finished twice";
    return w->state == WAITING ? "a chunk is finished that is to be written again" : NULL;
}

static void host_finish(struct weir_instance *i, struct weir_chunk *chunk, enum weir_result result)
{
    struct fake_written *w;
    const char *fault;

    if (!fake_is_there(i, "finish"))
        return;
    pthread_mutex_lock(&i->host->lock);
    w = find(i, chunk);
    fault = why_not(i, w, (int)result);
    if (!fault)
        finish(i, w, (int)result);
    pthread_mutex_unlock(&i->host->lock);
    if (fault)
        fake_misuse(i->host, i, "finish: %s", fault);
}

static void host_reject(struct weir_instance *i, struct weir_chunk *chunk, const void *records, size_t size,
                        uint32_t count, const char *reason)
{
    struct fake_written *w;
    bool under_way;

    if (!fake_is_there(i, "reject"))
        return;
    pthread_mutex_lock(&i->host->lock);
    w = find(i, chunk);
    under_way = w && w->state != FINISHED && w->state != WAITING;
    i->rejected += under_way ? count : 0;
    pthread_mutex_unlock(&i->host->lock);
    if (!under_way)
        fake_misuse(i->host, i, "reject: the chunk is finished already, or none of this instance");
    else if (!reason || !*reason || (size && !records) || count > w->api.records)
        fake_misuse(i->host, i, "reject: no reason, no bytes, or more records than the chunk has");
}

static int host_wait(struct weir_instance *i, int fd, short events, uint64_t timeout)
{
    struct pollfd fds[2] = {{.events = POLLIN}, {.fd = fd, .events = events}};
    struct timespec ts = {.tv_sec = (time_t)(timeout / 1000000000u),
                          .tv_nsec = (long)(timeout % 1000000000u)};
    int n;

    if (!fake_may(i, "wait"))
        return -ECANCELED;
    if (i->cancel < 0) {
        fake_misuse(i->host, i, "wait: is for outputs; an input must not block its loop");
        return -EINVAL;
    }
    fds[0].fd = i->cancel;
    do
        n = ppoll(fds, fd < 0 ? 1 : 2, timeout == UINT64_MAX ? NULL : &ts, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (fds[0].revents)
        return -ECANCELED;
    return n == 0 ? -ETIMEDOUT : 0;
}

void weir_fake_cancel(struct weir_instance *i)
{
    if (i->cancel >= 0)
        eventfd_write(i->cancel, 1);
}

/* -- Writing -------------------------------------------------------------------------------------------- */

static int write_one(struct weir_instance *i, struct fake_written *w)
{
    const char *before;
    int result;
    bool ours; /* nobody has finished it meanwhile */

    pthread_mutex_lock(&i->host->lock);
    w->state = UNDER_WAY; /* finish may come before write has returned */
    w->attempts++;
    w->result = WEIR_LATER;
    pthread_mutex_unlock(&i->host->lock);
    before = fake_enter(i->host, "write");
    result = i->plugin->write(i->self, &w->api);
    fake_leave(i->host, before);
    if (!is_result(result, true)) {
        fake_misuse(i->host, i, "write: returned %d, which is no enum weir_result", result);
        result = WEIR_REJECTED;
    }
    if (result == WEIR_LATER)
        return result;
    pthread_mutex_lock(&i->host->lock);
    ours = w->state == UNDER_WAY;
    if (ours)
        finish(i, w, result);
    pthread_mutex_unlock(&i->host->lock);
    if (!ours)
        fake_misuse(i->host, i,
                    "finish: a chunk is finished twice: by host->finish, and by what write returned");
    return result;
}

static struct fake_written *add(struct weir_instance *i, const char *tag, const char *topic,
                                const void *records, size_t size, uint32_t count)
{
    struct fake_written *w = fake_zeroed(sizeof(*w));

    w->bytes = fake_zeroed(size ? size : 1);
    if (size)
        memcpy(w->bytes, records, size);
    w->tag = fake_copy(tag);
    w->topic = fake_copy(topic ? topic : "");
    w->api = (struct weir_chunk){.struct_size = sizeof(w->api),
                                 .records = count,
                                 .data = w->bytes,
                                 .size = size,
                                 .tag = w->tag,
                                 .topic = w->topic,
                                 .input = "fake"};
    w->result = WEIR_LATER;
    pthread_mutex_lock(&i->host->lock);
    w->api.id = ++i->host->next_id;
    i->written = fake_must(realloc(i->written, (i->written_count + 1) * sizeof(*i->written)));
    i->written[i->written_count++] = w;
    pthread_mutex_unlock(&i->host->lock);
    return w;
}

/* The oldest one in that state, or NULL. With the lock. */
static struct fake_written *oldest(struct weir_instance *i, enum state state)
{
    for (size_t k = 0; k < i->written_count; k++)
        if (i->written[k]->state == state)
            return i->written[k];
    return NULL;
}

int weir_fake_write(struct weir_instance *i, const char *tag, const char *topic, const void *records,
                    size_t size, uint32_t count)
{
    struct fake_written *w;
    bool behind;

    pthread_mutex_lock(&i->host->lock);
    behind = oldest(i, WAITING) != NULL;
    pthread_mutex_unlock(&i->host->lock);
    w = add(i, tag, topic, records, size, count);
    return behind ? WEIR_RETRY : write_one(i, w);
}

int weir_fake_write_lines(struct weir_instance *i, const char *tag, const char *topic, const char *text)
{
    size_t length = strlen(text);
    uint8_t *records = fake_zeroed((length + 1) * (WEIR_MAX_RECORD + 2 * WEIR_MAX_STR + 4)), *p = records;
    struct timespec now;
    uint32_t count = 0;
    int r;

    clock_gettime(CLOCK_REALTIME, &now);
    while (*text) {
        size_t size = strcspn(text, "\n");
        p = weir_put_record(p, (uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, 1);
        p = weir_put_str(p, "log", 3);
        p = weir_put_str(p, text, (uint32_t)size);
        text += size + (text[size] == '\n');
        count++;
    }
    r = weir_fake_write(i, tag, topic, records, (size_t)(p - records), count);
    free(records);
    return r;
}

/* Waits for a change until `end`. With the lock. Whether there is time left. */
static bool wait_until(struct weir_fake *h, uint64_t end)
{
    struct timespec ts = {.tv_sec = (time_t)(end / 1000000000u), .tv_nsec = (long)(end % 1000000000u)};

    return pthread_cond_timedwait(&h->changed, &h->lock, &ts) != ETIMEDOUT;
}

bool weir_fake_settle(struct weir_instance *i, unsigned ms)
{
    struct weir_fake *h = i->host;
    uint64_t end = fake_now() + ms * UINT64_C(1000000);
    bool in_time = true;

    pthread_mutex_lock(&h->lock);
    while (in_time && (oldest(i, UNDER_WAY) || oldest(i, WAITING))) {
        struct fake_written *w = oldest(i, UNDER_WAY) ? NULL : oldest(i, WAITING);
        if (!w) {
            in_time = wait_until(h, end);
            continue;
        }
        pthread_mutex_unlock(&h->lock);
        write_one(i, w);
        in_time = fake_now() < end;
        pthread_mutex_lock(&h->lock);
    }
    bool all = !oldest(i, UNDER_WAY) && !oldest(i, WAITING);
    pthread_mutex_unlock(&h->lock);
    return all;
}

/* -- Looking -------------------------------------------------------------------------------------------- */

enum weir_result weir_fake_result(const struct weir_instance *i, size_t nth)
{
    pthread_mutex_lock(&i->host->lock);
    enum weir_result result = nth < i->written_count ? i->written[nth]->result : WEIR_LATER;
    pthread_mutex_unlock(&i->host->lock);
    return result;
}

unsigned weir_fake_attempts(const struct weir_instance *i, size_t nth)
{
    return nth < i->written_count ? i->written[nth]->attempts : 0;
}

size_t weir_fake_written(const struct weir_instance *i)
{
    return i->written_count;
}

uint32_t weir_fake_rejected(const struct weir_instance *i)
{
    pthread_mutex_lock(&i->host->lock);
    uint32_t rejected = i->rejected;
    pthread_mutex_unlock(&i->host->lock);
    return rejected;
}

void fake_outputs_finish(struct weir_instance *i)
{
    for (size_t k = 0; k < i->written_count; k++) {
        struct fake_written *w = i->written[k];
        free(w->bytes);
        free(w->tag);
        free(w->topic);
        free(w);
    }
    free(i->written);
    i->written = NULL;
    i->written_count = 0;
}

void fake_outputs(struct weir_host *table)
{
    table->finish = host_finish;
    table->reject = host_reject;
    table->wait = host_wait;
}
