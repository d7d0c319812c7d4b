/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions. Two threads: the output's, and the one that commits; `landed` comes on librdkafka's. */
#include "transact.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "clock.h"
#include "outcome.h"
#include "transact_private.h"

enum { SLICE_MS = 500 };
static const int64_t STALL = 10000000;
/* With less than this, it is not worth while to see whether inputs wait. */
static const uint64_t STALL_MIN = 1 << 20;

int transact_init(struct transact *t, struct kafka_link link, const struct kafka_settings *settings)
{
    const char *wrong;
    pthread_condattr_t attr;
    int rc;

    memset(t, 0, sizeof(*t));
    t->link = link;
    t->settings = settings;
    t->limit = settings->transaction_size;
    gap_init(&t->gap);
    t->state = TRANSACT_BROKEN;
    rc = message_maker_init(&t->maker, settings, &wrong);
    if (rc)
        return rc;
    t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->wake < 0) {
        message_maker_finish(&t->maker);
        return -errno;
    }
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &attr);
    pthread_condattr_destroy(&attr);
    t->committed = link.host->metric(link.instance, WEIR_COUNTER, "transactions",
                                     "Transactions that were committed", NULL, NULL);
    t->aborted = link.host->metric(
        link.instance, WEIR_COUNTER, "transactions_aborted",
        "Transactions that were aborted or given up; their records were sent again", NULL, NULL);
    return 0;
}

void transact_finish(struct transact *t)
{
    refusals_finish(&t->refusals);
    free(t->chunks);
    message_maker_finish(&t->maker);
    close(t->wake);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
}

static void wake_writer(struct transact *t)
{
    uint64_t one = 1;

    while (write(t->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* A record that librdkafka itself refuses does no harm to the transaction; one that a broker does, does. */
void transact_landed(void *data, struct flight *flight)
{
    struct transact *t = data;

    if (!flight->failure_count && !flight->forgotten)
        return;
    outcome_judge(flight);
    pthread_mutex_lock(&t->lock);
    t->again |= flight->forgotten;
    for (size_t i = 0; i < flight->failure_count; i++) {
        const struct failure *failure = &flight->failures[i];
        if (failure->fate == FATE_REFUSED)
            refusals_add(&t->refusals, flight->chunk->id, failure);
        t->again |= failure->fate == FATE_AGAIN || !failure->local;
    }
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* After what a broker has refused librdkafka sends nothing more of the transaction: the rest is not waited
 * for. */
void transact_failed(void *data, const struct failure *failure)
{
    struct transact *t = data;

    if (failure->local)
        return;
    pthread_mutex_lock(&t->lock);
    t->again = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    flights_set_stuck(t->flights);
}

/* -- The writer -- */

/* Lock held; false: no memory. */
static bool append(struct transact *t, struct weir_chunk *chunk)
{
    if (t->count == t->capacity) {
        size_t capacity = t->capacity ? t->capacity * 2 : 64;
        struct weir_chunk **chunks = realloc(t->chunks, capacity * sizeof(struct weir_chunk *));
        if (!chunks)
            return false;
        t->chunks = chunks;
        t->capacity = capacity;
    }
    t->chunks[t->count++] = chunk;
    return true;
}

void transact_set_broken(struct transact *t, const char *why, bool shut_out)
{
    t->state = TRANSACT_BROKEN;
    t->shut_out = shut_out;
    snprintf(t->why, sizeof(t->why), "%s", why);
}

/* Lock held. */
static int open_transaction(struct transact *t)
{
    rd_kafka_error_t *error = rd_kafka_begin_transaction(t->producer->rk);

    if (error) {
        transact_set_broken(t, rd_kafka_error_string(error), rd_kafka_error_is_fatal(error));
        rd_kafka_error_destroy(error);
        return -EPIPE;
    }
    producer_begun(t->producer);
    t->behind = t->ended ? clock_ns() - t->ended : INT64_MAX;
    t->state = TRANSACT_OPEN;
    atomic_store(&t->flights->stuck, false);
    t->due = INT64_MAX;
    t->bytes = 0;
    t->again = false;
    return 0;
}

/* Whether the open transaction takes a chunk more. Lock held. */
static bool takes_more(const struct transact *t)
{
    return t->state == TRANSACT_OPEN && t->bytes < t->limit && !t->again && clock_ns() < t->due;
}

int transact_enter(struct transact *t, struct weir_chunk *chunk, struct remainder **ret_rest,
                   bool *ret_repeated)
{
    uint64_t count;
    int r = 0;

    *ret_rest = NULL;
    pthread_mutex_lock(&t->lock);
    while (!r && !takes_more(t)) {
        if (t->state == TRANSACT_BROKEN) {
            r = -EPIPE;
        } else if (t->state == TRANSACT_IDLE) {
            r = open_transaction(t);
        } else {
            pthread_cond_signal(&t->changed);
            pthread_mutex_unlock(&t->lock);
            r = t->link.host->wait(t->link.instance, t->wake, POLLIN, UINT64_MAX);
            while (read(t->wake, &count, sizeof(count)) < 0 && errno == EINTR)
                ;
            pthread_mutex_lock(&t->lock);
        }
    }
    if (!r && turn_is_ahead(&t->turn, chunk->id))
        r = -EAGAIN;
    if (!r)
        r = refusals_rest(&t->refusals, chunk, ret_rest);
    if (!r && !append(t, chunk))
        r = -ENOMEM;
    if (!r) {
        t->writing = true;
        *ret_repeated = refusals_are_told(&t->refusals, chunk->id);
        t->bytes += chunk->size;
        t->sent++;
        if (t->count == 1)
            t->due = clock_ns() + (int64_t)t->settings->transaction_interval;
    } else if (*ret_rest) {
        free(*ret_rest);
        *ret_rest = NULL;
    }
    pthread_mutex_unlock(&t->lock);
    return r;
}

/* Lock held. The last chunk was not sent. */
static void take_out(struct transact *t)
{
    t->bytes -= t->chunks[--t->count]->size;
    if (t->count == 0)
        t->due = INT64_MAX;
}

void transact_leave(struct transact *t, bool sent, bool whole)
{
    pthread_mutex_lock(&t->lock);
    t->writing = false;
    if (!sent)
        take_out(t);
    else if (whole && t->whole == t->count - 1)
        t->whole = t->count;
    if (t->asleep || t->bytes >= t->limit || t->again || t->ending)
        pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

bool transact_is_broken(struct transact *t, char *why, size_t why_size, bool *ret_shut_out)
{
    bool broken;

    /* Until it is through, the thread that commits uses the producer. */
    pthread_mutex_lock(&t->lock);
    broken = t->state == TRANSACT_BROKEN && t->count == 0;
    *ret_shut_out = broken && t->shut_out;
    snprintf(why, why_size, "%s", t->why);
    pthread_mutex_unlock(&t->lock);
    return broken;
}

void transact_break(struct transact *t, const char *why)
{
    pthread_mutex_lock(&t->lock);
    if (t->state == TRANSACT_IDLE || (t->state == TRANSACT_OPEN && t->count == 0))
        transact_set_broken(t, why, false);
    else
        t->again = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* -- After the end. The thread that commits, as all from here on. -- */

/* The chunks' memory is free of librdkafka after it. */
static void take_back(struct transact *t)
{
    while (atomic_load(&t->flights->count) > 0) {
        rd_kafka_purge(t->producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        flights_drain(t->flights, SLICE_MS);
    }
}

static void note_told(struct transact *t)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->whole; i++)
        refusals_tell(&t->refusals, t->chunks[i]->id);
    pthread_mutex_unlock(&t->lock);
}

static void reject_refused(struct transact *t)
{
    uint64_t last = 0;

    for (size_t i = 0; i < t->count; i++) {
        transact_reject_refused(t, t->chunks[i]);
        last = t->chunks[i]->id > last ? t->chunks[i]->id : last;
    }
    pthread_mutex_lock(&t->lock);
    refusals_forget(&t->refusals, last);
    pthread_mutex_unlock(&t->lock);
}

/* Without the lock: finish may call the plugin's writer to life. */
static void finish_chunks(struct transact *t, enum end end)
{
    if (end == END_COMMITTED)
        reject_refused(t);
    for (size_t i = 0; i < t->count; i++)
        t->link.host->finish(t->link.instance, t->chunks[i],
                             end == END_COMMITTED ? WEIR_DELIVERED : WEIR_RETRY);
}

static void wait_until(struct transact *t, int64_t when)
{
    struct timespec ts = {.tv_sec = when / 1000000000, .tv_nsec = when % 1000000000};

    pthread_cond_timedwait(&t->changed, &t->lock, &ts);
}

/* Lock held. */
static void keep_gap(struct transact *t)
{
    int64_t until;

    gap_learn(&t->gap, t->behind, producer_had_to_wait(t->producer));
    until = t->ended + t->gap.ns;
    while (!t->ending && clock_ns() < until)
        wait_until(t, until);
}

/* The state is COMMITTING: nobody else touches the chunks. */
static void settle(struct transact *t)
{
    enum end end = transact_end(t);

    t->ended = clock_ns();
    if (end == END_COMMITTED) {
        flights_drain(t->flights, -1);
    } else {
        take_back(t);
        note_told(t);
        turn_give_back(&t->turn, t->chunks[0]->id);
    }
    t->link.host->metric_add(end == END_COMMITTED ? t->committed : t->aborted, 1);
    finish_chunks(t, end);
    WEIR_KILL_POINT("kafka-finished");
    pthread_mutex_lock(&t->lock);
    t->count = t->whole = 0;
    if (t->state == TRANSACT_COMMITTING) {
        keep_gap(t);
        t->state = TRANSACT_IDLE;
    }
    pthread_mutex_unlock(&t->lock);
    wake_writer(t);
}

/* -- When -- */

/*
 * Lock held. Under load inputs may wait for the room that only a commit makes: then nothing comes, and all is
 * acknowledged. From then on it is committed with half as much, so that they need not wait.
 */
static bool is_stalled(struct transact *t, uint64_t *seen)
{
    bool stalled = t->bytes >= STALL_MIN && *seen == t->sent && atomic_load(&t->flights->count) == 0;

    *seen = t->sent;
    if (stalled && t->bytes / 2 < t->limit)
        t->limit = t->bytes / 2 > STALL_MIN ? t->bytes / 2 : STALL_MIN;
    return stalled;
}

/* Lock held. */
static bool is_due(struct transact *t, uint64_t *seen)
{
    if (t->bytes >= t->limit) {
        t->limit += t->limit < t->settings->transaction_size ? t->limit / 16 : 0;
        return true;
    }
    return clock_ns() >= t->due || t->again || t->ending || is_stalled(t, seen);
}

/* Waits until a transaction is to be ended. False: there is none, and no more will come. Lock held. */
static bool await_due(struct transact *t)
{
    uint64_t seen = 0;

    for (;;) {
        bool open = t->state == TRANSACT_OPEN && t->count > 0;
        if (!open && t->ending)
            return false;
        if (!open || t->writing) {
            t->asleep = true;
            pthread_cond_wait(&t->changed, &t->lock);
            t->asleep = false;
            continue;
        }
        if (is_due(t, &seen))
            return true;
        int64_t stall = clock_ns() + STALL;
        wait_until(t, t->bytes >= STALL_MIN && stall < t->due ? stall : t->due);
    }
}

static void *run(void *data)
{
    struct transact *t = data;

    pthread_mutex_lock(&t->lock);
    while (await_due(t)) {
        t->state = TRANSACT_COMMITTING;
        pthread_mutex_unlock(&t->lock);
        settle(t);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

int transact_use(struct transact *t)
{
    int rc = 0;

    pthread_mutex_lock(&t->lock);
    t->state = TRANSACT_IDLE;
    t->shut_out = false;
    pthread_mutex_unlock(&t->lock);
    if (!t->running) {
        rc = pthread_create(&t->thread, NULL, run, t);
        t->running = rc == 0;
    }
    return -rc;
}

void transact_stop(struct transact *t, bool cancelled)
{
    pthread_mutex_lock(&t->lock);
    t->ending = true;
    t->cancelled = cancelled;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    if (t->running)
        pthread_join(t->thread, NULL);
    t->running = false;
}
