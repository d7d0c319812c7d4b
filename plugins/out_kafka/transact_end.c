/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a transaction: positions are written, reports awaited, and it is committed or aborted. Anything
 * that is not certain makes it BROKEN. The thread that commits; it owns the chunks meanwhile.
 */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "clock.h"
#include "outcome.h"
#include "transact_private.h"

enum { SLICE_MS = 500, FLUSH_SLICE_MS = 1, FLUSH_PAUSE_US = 250 };
static const int64_t FLUSH = 50000000, FLUSH_SPACING = 3000000;

static bool is_cancelled(struct transact *t)
{
    bool cancelled;

    pthread_mutex_lock(&t->lock);
    cancelled = t->cancelled;
    pthread_mutex_unlock(&t->lock);
    return cancelled;
}

static bool must_abort(struct transact *t)
{
    bool again;

    pthread_mutex_lock(&t->lock);
    again = t->again;
    pthread_mutex_unlock(&t->lock);
    return again;
}

/* -- Reports -- */

/* Whether it is of no use to wait for them. */
static bool is_hopeless(struct transact *t)
{
    return must_abort(t) || is_cancelled(t) || rd_kafka_fatal_error(t->producer->rk, NULL, 0);
}

/*
 * What is left are batches that are not full, and the positions. They go only when librdkafka flushes, each
 * when the one before it is answered; and the commit looks but each 10 ms whether all are gone. But while it
 * flushes, librdkafka's threads poll without a pause: so it is done for a moment after every answer, now and
 * then besides (for partitions that are admitted), and not for long where brokers are slow.
 */
static void flush_rest(struct transact *t)
{
    rd_kafka_t *rk = t->producer->rk;
    int64_t end = clock_ns() + FLUSH, flushed = 0;

    while (rd_kafka_outq_len(rk) > 0 && clock_ns() < end && !is_hopeless(t)) {
        if (atomic_exchange(&t->flights->moved, false) || clock_ns() - flushed > FLUSH_SPACING) {
            rd_kafka_flush(rk, FLUSH_SLICE_MS);
            flushed = clock_ns();
        } else {
            usleep(FLUSH_PAUSE_US);
        }
    }
}

/* Every report is there, or it is of no use to wait. Full batches go by themselves; pace.c flushes now and
 * then. */
static void await_reports(struct transact *t)
{
    long rest = 2 * atomic_load(&t->producer->batch_size);

    pace_sent(&t->producer->pace);
    while (!is_hopeless(t) && !flights_ebb(t->flights, rest, SLICE_MS))
        ;
    flush_rest(t);
    while (!is_hopeless(t) && !flights_drain(t->flights, SLICE_MS))
        ;
    flush_rest(t);
}

/* -- Positions -- */

struct telling {
    struct transact *t;
    void *told;     /* tree of the keys that were written: the last one of each counts */
    char *noted;    /* the one that was put into it last */
    bool forgotten; /* what was forgotten is told now, else what is there */
    bool more;      /* there is something of the other kind */
    struct weir_json key, value;
};

static int compare_keys(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* 1: it was told already. */
static int note_key(struct telling *telling)
{
    char *key = strndup(telling->key.data, telling->key.size), **found;

    found = key ? tsearch(key, &telling->told, compare_keys) : NULL;
    if (!found) {
        free(key);
        return -ENOMEM;
    }
    telling->noted = *found;
    if (*found == key)
        return 0;
    free(key);
    return 1;
}

static void drop_noted(struct telling *telling)
{
    tdelete(telling->noted, &telling->told, compare_keys);
    free(telling->noted);
}

/* -EAGAIN: librdkafka is full. */
static int put(struct telling *telling, const struct weir_kept *kept)
{
    const struct transact *t = telling->t;
    rd_kafka_resp_err_t error = ledger_put(t->ledger, telling->key.data, telling->key.size,
                                           kept->forgotten ? NULL : telling->value.data, telling->value.size);

    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        drop_noted(telling);
        return -EAGAIN;
    }
    if (error)
        health_failed(t->health, rd_kafka_err2str(error));
    return error ? -EIO : 0;
}

static int tell(void *data, const struct weir_kept *kept)
{
    struct telling *telling = data;
    int r;

    if (kept->forgotten != telling->forgotten) {
        telling->more = true;
        return 0;
    }
    telling->key.size = telling->value.size = 0;
    r = kept_write_key(&telling->key, telling->t->ledger->claim.id, kept);
    if (!r)
        r = note_key(telling);
    if (r)
        return r < 0 ? r : 0;
    r = kept->forgotten ? 0 : kept_write_value(&telling->value, kept);
    return r ? r : put(telling, kept);
}

/* What is there first: of a key that was forgotten and is there again, that counts. */
static int tell_chunk(struct telling *telling, struct weir_chunk *chunk)
{
    const struct kafka_link *link = &telling->t->link;
    int r;

    telling->forgotten = telling->more = false;
    r = link->host->positions(link->instance, chunk, tell, telling);
    if (r || !telling->more)
        return r;
    telling->forgotten = true;
    return link->host->positions(link->instance, chunk, tell, telling);
}

/* From the last chunk to the first. Where librdkafka is full, what is there is awaited, and it goes on. */
static int tell_positions(struct transact *t)
{
    struct telling telling = {.t = t};
    int r;

    do {
        r = 0;
        for (size_t i = t->count; i-- && !r;)
            r = tell_chunk(&telling, t->chunks[i]);
        if (r == -EAGAIN)
            await_reports(t);
    } while (r == -EAGAIN && !is_hopeless(t));
    tdestroy(telling.told, free);
    weir_json_finish(&telling.key);
    weir_json_finish(&telling.value);
    return r;
}

/* -- Ending -- */

static bool is_shut_out(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
           code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED || code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING;
}

static enum end broken(struct transact *t, rd_kafka_error_t *error)
{
    char text[512];
    rd_kafka_resp_err_t code = rd_kafka_error_code(error), first = 0;

    if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_error_is_fatal(error))
        first = rd_kafka_fatal_error(t->producer->rk, text, sizeof(text));
    pthread_mutex_lock(&t->lock);
    transact_set_broken(t, first ? text : rd_kafka_error_string(error),
                        is_shut_out(code) || is_shut_out(first));
    pthread_mutex_unlock(&t->lock);
    rd_kafka_error_destroy(error);
    return END_BROKEN;
}

static enum end given_up(struct transact *t, const char *why)
{
    pthread_mutex_lock(&t->lock);
    transact_set_broken(t, why, false);
    pthread_mutex_unlock(&t->lock);
    return END_BROKEN;
}

/* Whether the call that failed so is at its end; else it is made again. Frees the error. */
static bool is_over(struct transact *t, rd_kafka_error_t *error, enum end *ret_end)
{
    if (!rd_kafka_error_is_retriable(error)) {
        *ret_end = broken(t, error);
        return true;
    }
    if (rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__TIMED_OUT)
        health_failed(t->health, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    if (!is_cancelled(t))
        return false;
    *ret_end = given_up(t, "it was cancelled");
    return true;
}

static void retire_if_repeated(struct transact *t)
{
    if (producer_ended_twice(t->producer))
        given_up(t, "the end of a transaction had to be asked for again");
}

static enum end abort_it(struct transact *t)
{
    rd_kafka_error_t *error;
    enum end end;

    while ((error = rd_kafka_abort_transaction(t->producer->rk, SLICE_MS)))
        if (is_over(t, error, &end))
            return end;
    retire_if_repeated(t);
    return END_ABORTED;
}

static enum end commit_it(struct transact *t)
{
    rd_kafka_error_t *error;
    enum end end;

    while ((error = rd_kafka_commit_transaction(t->producer->rk, SLICE_MS))) {
        if (rd_kafka_error_txn_requires_abort(error)) {
            rd_kafka_error_destroy(error);
            return abort_it(t);
        }
        if (is_over(t, error, &end))
            return end;
    }
    WEIR_KILL_POINT("kafka-committed");
    retire_if_repeated(t);
    return END_COMMITTED;
}

/*
 * A letter that is refused has its transaction aborted: with another one it would be so for ever. What
 * befalls the producer or its transaction befalls letters as well, and says nothing of their topic.
 */
static void judge_letters(struct transact *t)
{
    rd_kafka_resp_err_t error = (rd_kafka_resp_err_t)atomic_load(&t->producer->letter_error);

    if (!error)
        return;
    if (!outcome_is_final(error)) {
        health_failed(t->health, rd_kafka_err2str(error));
        return;
    }
    t->no_letters = true;
    t->link.host->log(t->link.instance, WEIR_LOG_ERROR,
                      "dead_letter_topic %s takes no message (%s): until weir is started again, records that "
                      "are refused go to dead_letter_file, or are only counted",
                      t->settings->dead_letter_topic, rd_kafka_err2str(error));
}

enum end transact_end(struct transact *t)
{
    enum end end;

    if (is_cancelled(t))
        return given_up(t, "it was cancelled");
    WEIR_KILL_POINT("kafka-before-positions");
    if (!must_abort(t) && tell_positions(t) < 0) {
        pthread_mutex_lock(&t->lock);
        t->again = true;
        pthread_mutex_unlock(&t->lock);
    }
    await_reports(t);
    WEIR_KILL_POINT("kafka-after-positions");
    if (must_abort(t) ||
        atomic_load(&t->flights->count) > 0) /* with reports to come what is refused may grow */
        return abort_it(t);
    atomic_store(&t->producer->letter_error, 0);
    transact_send_letters(t);
    end = commit_it(t);
    if (end != END_COMMITTED)
        judge_letters(t);
    /* It may be committed: then weir has the positions read, and the chunks do not come again. */
    for (size_t i = 0; end == END_BROKEN && i < t->count; i++)
        transact_reject_refused(t, t->chunks[i]);
    return end;
}
