/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions. Two threads: the output's, and the one that commits; `landed` comes on librdkafka's. */
#include "transact.h"
#include <errno.h>
#include <poll.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "letter.h"
#include "outcome.h"

enum { SLICE_MS = 500 };
static const int64_t STALL = 10000000;
/* With less than this, it is not worth while to see whether inputs wait. */
static const uint64_t STALL_MIN = 1 << 20;

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int transact_init(struct transact *t, struct kafka_link link, const struct kafka_settings *settings)
{
    const char *wrong;
    pthread_condattr_t attr;
    int rc;

    memset(t, 0, sizeof(*t));
    t->link = link;
    t->settings = settings;
    t->limit = settings->transaction_size;
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

static void free_refused(struct refused *r)
{
    free(r->items);
    free(r);
}

void transact_finish(struct transact *t)
{
    struct refused *r;

    while ((r = t->refused)) {
        t->refused = r->next;
        free_refused(r);
    }
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

/* -- Records that were refused. Lock held. -- */

static struct refused **place_of(struct transact *t, uint64_t chunk)
{
    struct refused **at = &t->refused;

    while (*at && (*at)->chunk < chunk)
        at = &(*at)->next;
    return at;
}

static struct refused *refused_of(struct transact *t, uint64_t chunk)
{
    struct refused *r = *place_of(t, chunk);

    return r && r->chunk == chunk ? r : NULL;
}

static int compare(const void *a, const void *b)
{
    const struct failure *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

/* Without memory it is sent again, and refused again. */
static void refuse(struct transact *t, uint64_t chunk, const struct failure *failure)
{
    struct refused **at = place_of(t, chunk), *r = *at;

    if (!r || r->chunk != chunk) {
        r = calloc(1, sizeof(*r));
        if (!r)
            return;
        r->chunk = chunk;
        r->next = *at;
        *at = r;
    }
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? r->capacity * 2 : 16;
        struct failure *items = realloc(r->items, capacity * sizeof(*items));
        if (!items)
            return;
        r->items = items;
        r->capacity = capacity;
    }
    r->items[r->count++] = *failure;
    qsort(r->items, r->count, sizeof(*r->items), compare);
}

/* What is to be sent of the chunk; NULL: all of it, or no memory, with *ret_r. */
static struct remainder *rest_of(struct transact *t, const struct weir_chunk *chunk, int *ret_r)
{
    const struct refused *r = refused_of(t, chunk->id);
    struct remainder *rest;
    size_t at = 0;

    *ret_r = 0;
    if (!r || !r->count)
        return NULL;
    rest = malloc(sizeof(*rest) + chunk->records * sizeof(uint32_t));
    if (!rest) {
        *ret_r = -ENOMEM;
        return NULL;
    }
    *rest = (struct remainder){.chunk = chunk->id};
    for (uint32_t i = 0; i < chunk->records; i++) {
        if (at < r->count && r->items[at].index == i)
            at++;
        else
            rest->indices[rest->count++] = i;
    }
    return rest;
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
            refuse(t, flight->chunk->id, failure);
        t->again |= failure->fate == FATE_AGAIN || !failure->local;
    }
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
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

static void set_broken(struct transact *t, const char *why, bool shut_out)
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
        set_broken(t, rd_kafka_error_string(error), rd_kafka_error_is_fatal(error));
        rd_kafka_error_destroy(error);
        return -EPIPE;
    }
    atomic_store(&t->producer->ended, 0);
    t->state = TRANSACT_OPEN;
    t->due = INT64_MAX;
    t->bytes = 0;
    t->again = false;
    return 0;
}

/* Whether the open transaction takes a chunk more. Lock held. */
static bool takes_more(const struct transact *t)
{
    return t->state == TRANSACT_OPEN && t->bytes < t->limit && !t->again && now() < t->due;
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
    if (!r)
        *ret_rest = rest_of(t, chunk, &r);
    if (!r && !append(t, chunk))
        r = -ENOMEM;
    if (!r) {
        t->writing = true;
        *ret_repeated = chunk->id <= t->highest;
        t->highest = chunk->id > t->highest ? chunk->id : t->highest;
        t->bytes += chunk->size;
        t->sent++;
        if (t->count == 1)
            t->due = now() + (int64_t)t->settings->transaction_interval;
    } else if (*ret_rest) {
        free(*ret_rest);
        *ret_rest = NULL;
    }
    pthread_mutex_unlock(&t->lock);
    return r;
}

void transact_leave(struct transact *t, bool sent)
{
    pthread_mutex_lock(&t->lock);
    t->writing = false;
    if (!sent)
        t->count--;
    if (t->asleep || t->bytes >= t->limit || t->again || t->ending)
        pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

bool transact_is_broken(struct transact *t, char *why, size_t why_size, bool *ret_shut_out)
{
    bool broken;

    pthread_mutex_lock(&t->lock);
    broken = t->state == TRANSACT_BROKEN;
    *ret_shut_out = broken && t->shut_out;
    snprintf(why, why_size, "%s", t->why);
    pthread_mutex_unlock(&t->lock);
    return broken;
}

void transact_break(struct transact *t, const char *why)
{
    pthread_mutex_lock(&t->lock);
    if (t->state == TRANSACT_IDLE || (t->state == TRANSACT_OPEN && t->count == 0))
        set_broken(t, why, false);
    else
        t->again = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* -- Positions. The thread that commits, as all from here on. -- */

struct telling {
    struct transact *t;
    void *told; /* tree of the keys that were written: the last one of each counts */
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
    if (*found == key)
        return 0;
    free(key);
    return 1;
}

static int tell(void *data, const struct weir_kept *kept)
{
    struct telling *telling = data;
    const struct ledger *ledger = telling->t->ledger;
    int r;

    telling->key.size = telling->value.size = 0;
    r = kept_write_key(&telling->key, ledger->claim.id, kept);
    if (!r)
        r = note_key(telling);
    if (r)
        return r < 0 ? r : 0;
    r = kept->forgotten ? 0 : kept_write_value(&telling->value, kept);
    if (r)
        return r;
    return ledger_put(ledger, telling->key.data, telling->key.size,
                      kept->forgotten ? NULL : telling->value.data, telling->value.size)
               ? -EIO
               : 0;
}

/* From the last chunk to the first. */
static int tell_positions(struct transact *t)
{
    struct telling telling = {.t = t};
    int r = 0;

    for (size_t i = t->count; i-- && !r;)
        r = t->link.host->positions(t->link.instance, t->chunks[i], tell, &telling);
    tdestroy(telling.told, free);
    weir_json_finish(&telling.key);
    weir_json_finish(&telling.value);
    return r;
}

/* -- Dead letters -- */

static int send_letter(struct transact *t, rd_kafka_topic_t *topic, const struct weir_chunk *chunk,
                       const struct failure *failure, const struct weir_record *record)
{
    struct weir_json text = {0};
    struct message message;
    rd_kafka_headers_t *headers = letter_headers(chunk, failure);
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR__FAIL;

    if (headers && !message_make(&t->maker, record, &text, &message)) {
        error = rd_kafka_producev(
            t->producer->rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_VALUE(message_slice(&message.value, text.data), message.value.size),
            RD_KAFKA_V_KEY(message.has_key ? message_slice(&message.key, text.data) : NULL,
                           message.has_key ? message.key.size : 0),
            RD_KAFKA_V_TIMESTAMP(message.time), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (!error)
            headers = NULL;
    }
    if (headers)
        rd_kafka_headers_destroy(headers);
    weir_json_finish(&text);
    return error ? -EIO : 0;
}

static void send_letters_of(struct transact *t, rd_kafka_topic_t *topic, const struct weir_chunk *chunk,
                            struct refused *r)
{
    struct finder finder;
    struct weir_record record;

    finder_init(&finder, chunk);
    for (size_t i = 0; i < r->count; i++) {
        r->items[i].lettered = topic && finder_go(&finder, r->items[i].index, &record) &&
                               !send_letter(t, topic, chunk, &r->items[i], &record);
    }
}

/* Of all refused records of the transaction; in *ret_any whether there are letters. */
static void send_letters(struct transact *t, bool *ret_any)
{
    const char *name = t->no_letters ? NULL : t->settings->dead_letter_topic;
    rd_kafka_topic_t *topic = NULL;

    *ret_any = false;
    for (size_t i = 0; i < t->count; i++) {
        struct refused *r = refused_of(t, t->chunks[i]->id);
        if (!r)
            continue;
        if (name && !topic)
            topic = rd_kafka_topic_new(t->producer->rk, name, NULL);
        send_letters_of(t, topic, t->chunks[i], r);
        *ret_any |= topic != NULL;
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
}

static void reject_refused(struct transact *t, struct weir_chunk *chunk)
{
    struct refused *r = refused_of(t, chunk->id);
    struct finder finder;
    struct weir_record record;
    char reason[512];

    finder_init(&finder, chunk);
    for (size_t i = 0; r && i < r->count; i++) {
        const struct failure *f = &r->items[i];
        if (!finder_go(&finder, f->index, &record))
            break;
        snprintf(reason, sizeof(reason), "topic %s: %s (%zu bytes)%s", f->topic ? f->topic->name : "?",
                 rd_kafka_err2str(f->error), f->size, f->lettered ? "; sent to dead_letter_topic" : "");
        t->link.host->reject(t->link.instance, chunk, f->lettered ? NULL : record.data,
                             f->lettered ? 0 : record.size, 1, reason);
    }
}

/* -- Ending a transaction -- */

enum end { END_COMMITTED, END_ABORTED, END_BROKEN };

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

/*
 * Every report is there, or it is of no use to wait. pace.c flushes: while rd_kafka_flush waits, librdkafka's
 * thread polls without a pause.
 */
static void await_reports(struct transact *t)
{
    pace_sent(&t->producer->pace);
    while (atomic_load(&t->flights->count) > 0 && !must_abort(t) && !is_cancelled(t) &&
           !rd_kafka_fatal_error(t->producer->rk, NULL, 0))
        flights_drain(t->flights, SLICE_MS);
}

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
    set_broken(t, first ? text : rd_kafka_error_string(error), is_shut_out(code) || is_shut_out(first));
    pthread_mutex_unlock(&t->lock);
    rd_kafka_error_destroy(error);
    return END_BROKEN;
}

static enum end given_up(struct transact *t, const char *why)
{
    pthread_mutex_lock(&t->lock);
    set_broken(t, why, false);
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

static enum end abort_it(struct transact *t)
{
    rd_kafka_error_t *error;
    enum end end;

    while ((error = rd_kafka_abort_transaction(t->producer->rk, SLICE_MS)))
        if (is_over(t, error, &end))
            return end;
    return END_ABORTED;
}

/*
 * A request to end a transaction that was sent twice may arrive late, and would end the next one of this
 * producer (until Kafka 4 and KIP-890): so there is no next one.
 */
static enum end committed(struct transact *t)
{
    WEIR_KILL_POINT("kafka-committed");
    if (atomic_load(&t->producer->ended) > 1)
        given_up(t, "the end of a transaction had to be asked for again");
    return END_COMMITTED;
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
    return committed(t);
}

static enum end end_transaction(struct transact *t)
{
    bool letters;
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
    if (must_abort(t))
        return abort_it(t);
    send_letters(t, &letters);
    end = commit_it(t);
    if (end != END_COMMITTED && letters && !must_abort(t) && !t->no_letters) {
        /* All records had arrived, so most likely the letters have not: without them it goes on. */
        t->no_letters = true;
        t->link.host->log(
            t->link.instance, WEIR_LOG_ERROR,
            "dead_letter_topic %s takes no message: records that are refused are only counted from "
            "now on",
            t->settings->dead_letter_topic);
    }
    return end;
}

/* The chunks' memory is free of librdkafka after it. */
static void take_back(struct transact *t)
{
    while (atomic_load(&t->flights->count) > 0) {
        rd_kafka_purge(t->producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        flights_drain(t->flights, SLICE_MS);
    }
}

static void forget_refused(struct transact *t, uint64_t chunk)
{
    struct refused **at = place_of(t, chunk), *r = *at;

    if (!r || r->chunk != chunk)
        return;
    *at = r->next;
    free_refused(r);
}

/* Under the lock only where lists are changed: finish may call the plugin's writer to life. */
static void finish_chunks(struct transact *t, enum end end)
{
    for (size_t i = 0; i < t->count; i++) {
        struct weir_chunk *chunk = t->chunks[i];
        if (end == END_COMMITTED) {
            uint64_t id = chunk->id;
            reject_refused(t, chunk);
            pthread_mutex_lock(&t->lock);
            forget_refused(t, id);
            pthread_mutex_unlock(&t->lock);
        }
        t->link.host->finish(t->link.instance, chunk, end == END_COMMITTED ? WEIR_DELIVERED : WEIR_RETRY);
    }
}

/* The state is COMMITTING: nobody else touches the chunks. */
static void settle(struct transact *t)
{
    enum end end = end_transaction(t);

    if (end != END_COMMITTED)
        take_back(t);
    else
        flights_drain(t->flights, -1);
    t->link.host->metric_add(end == END_COMMITTED ? t->committed : t->aborted, 1);
    finish_chunks(t, end);
    WEIR_KILL_POINT("kafka-finished");
    pthread_mutex_lock(&t->lock);
    t->count = 0;
    if (t->state == TRANSACT_COMMITTING)
        t->state = TRANSACT_IDLE;
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

static void wait_until(struct transact *t, int64_t when)
{
    struct timespec ts = {.tv_sec = when / 1000000000, .tv_nsec = when % 1000000000};

    pthread_cond_timedwait(&t->changed, &t->lock, &ts);
}

/* Lock held. */
static bool is_due(struct transact *t, uint64_t *seen)
{
    if (t->bytes >= t->limit) {
        t->limit += t->limit < t->settings->transaction_size ? t->limit / 16 : 0;
        return true;
    }
    return now() >= t->due || t->again || t->ending || is_stalled(t, seen);
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
        int64_t stall = now() + STALL;
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
