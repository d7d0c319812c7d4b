/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead letters. A letter has the value and the key that the message was to have, and headers that say why it
 * is one. The flight stays open until its letters are reported. Owns the thread and its list.
 */
#include "letter.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "outcome.h"
#include "send.h"

static const long FULL_NS = 20000000;

int letters_init(struct letters *letters, const struct kafka_settings *settings)
{
    const char *wrong;
    int rc;

    memset(letters, 0, sizeof(*letters));
    letters->settings = settings;
    rc = message_maker_init(&letters->maker, settings, &wrong);
    if (rc)
        return rc;
    letters->last = &letters->first;
    pthread_mutex_init(&letters->lock, NULL);
    pthread_cond_init(&letters->changed, NULL);
    return 0;
}

/* -- One letter -- */

rd_kafka_headers_t *letter_headers(const struct weir_chunk *chunk, const struct failure *failure)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(4);
    const char *const pairs[][2] = {{"weir.error", rd_kafka_err2str(failure->error)},
                                    {"weir.topic", failure->topic ? failure->topic->name : ""},
                                    {"weir.tag", chunk->tag},
                                    {"weir.input", chunk->input ? chunk->input : ""}};

    for (size_t i = 0; headers && i < 4; i++) {
        if (rd_kafka_header_add(headers, pairs[i][0], -1, pairs[i][1], -1)) {
            rd_kafka_headers_destroy(headers);
            headers = NULL;
        }
    }
    return headers;
}

static bool is_cancelled(struct letters *letters)
{
    bool cancelled;

    pthread_mutex_lock(&letters->lock);
    cancelled = letters->cancelled;
    pthread_mutex_unlock(&letters->lock);
    return cancelled;
}

/* Sends one message, waiting while librdkafka is full. */
static rd_kafka_resp_err_t post(struct letters *letters, const rd_kafka_message_t *message, int64_t time,
                                rd_kafka_headers_t *headers)
{
    struct timespec pause = {0, FULL_NS};
    rd_kafka_resp_err_t error;

    for (;;) {
        if (is_cancelled(letters))
            return RD_KAFKA_RESP_ERR__PURGE_QUEUE;
        error = send_one(letters->rk, letters->handle, message, time, headers);
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return error;
        nanosleep(&pause, NULL);
    }
}

static rd_kafka_resp_err_t send_letter(struct letters *letters, struct flight *flight,
                                       const struct failure *failure, const struct weir_record *record)
{
    struct weir_json *text = flight_text(flight);
    rd_kafka_headers_t *headers;
    struct message message;
    rd_kafka_message_t raw = {0};
    rd_kafka_resp_err_t error;

    if (!letters->handle || !text || message_make(&letters->maker, record, text, &message))
        return RD_KAFKA_RESP_ERR__FAIL;
    headers = letter_headers(flight->chunk, failure);
    if (!headers)
        return RD_KAFKA_RESP_ERR__FAIL;
    raw.payload = message_slice(&message.value, text->data);
    raw.len = message.value.size;
    raw.key = message.has_key ? message_slice(&message.key, text->data) : NULL;
    raw.key_len = message.has_key ? message.key.size : 0;
    raw._private = flight_mark(flight, failure->index);
    error = post(letters, &raw, message.time, headers);
    if (error)
        rd_kafka_headers_destroy(headers);
    return error;
}

/* Sends the letters of a flight, which is released in the end. */
static void send_letters(struct letters *letters, struct flight *flight)
{
    struct finder finder;
    struct weir_record record;
    uint32_t closed = 0;

    sticky_drop(letters->topic);
    finder_init(&finder, flight->chunk);
    for (size_t i = 0; i < flight->failure_count; i++) {
        struct failure *failure = &flight->failures[i];
        rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR__FAIL;
        if (failure->fate != FATE_REFUSED)
            continue;
        failure->lettered = true;
        if (finder_go(&finder, failure->index, &record))
            error = send_letter(letters, flight, failure, &record);
        if (error) {
            flight_fail(flight, &(struct failure){.index = failure->index, .error = error});
            closed++;
        }
    }
    pace_sent(letters->pace);
    flight_release(flight, closed + 1);
}

/* -- The thread -- */

static struct flight *wait_for_flight(struct letters *letters)
{
    struct flight *flight;

    pthread_mutex_lock(&letters->lock);
    while (!letters->first && !letters->ending)
        pthread_cond_wait(&letters->changed, &letters->lock);
    flight = letters->first;
    if (flight) {
        letters->first = flight->next;
        if (!letters->first)
            letters->last = &letters->first;
    }
    pthread_mutex_unlock(&letters->lock);
    return flight;
}

static void *run(void *data)
{
    struct letters *letters = data;
    struct flight *flight;

    while ((flight = wait_for_flight(letters)))
        send_letters(letters, flight);
    return NULL;
}

int letters_use(struct letters *letters, rd_kafka_t *rk, struct topic *topic)
{
    int rc;

    letters->rk = rk;
    letters->topic = topic;
    letters->handle = rk && topic ? topic_handle(topic, rk) : NULL;
    if (letters->running || !topic)
        return 0;
    rc = pthread_create(&letters->thread, NULL, run, letters);
    letters->running = rc == 0;
    return -rc;
}

void letters_cancel(struct letters *letters)
{
    pthread_mutex_lock(&letters->lock);
    letters->cancelled = true;
    pthread_mutex_unlock(&letters->lock);
}

void letters_stop(struct letters *letters)
{
    pthread_mutex_lock(&letters->lock);
    letters->ending = true;
    pthread_cond_signal(&letters->changed);
    pthread_mutex_unlock(&letters->lock);
    if (letters->running)
        pthread_join(letters->thread, NULL);
    letters->running = false;
}

void letters_finish(struct letters *letters)
{
    letters_stop(letters);
    message_maker_finish(&letters->maker);
    pthread_cond_destroy(&letters->changed);
    pthread_mutex_destroy(&letters->lock);
}

bool letters_take(struct letters *letters, struct flight *flight)
{
    uint32_t refused = 0;
    bool ending;

    if (!letters->topic)
        return false;
    for (size_t i = 0; i < flight->failure_count; i++)
        refused += flight->failures[i].fate == FATE_REFUSED;
    atomic_store(&flight->open, refused + 1);
    flight->next = NULL;
    pthread_mutex_lock(&letters->lock);
    ending = letters->ending;
    if (!ending) {
        *letters->last = flight;
        letters->last = &flight->next;
        pthread_cond_signal(&letters->changed);
    }
    pthread_mutex_unlock(&letters->lock);
    return !ending;
}
