/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of records that a broker refused, when the transaction that leaves them out is through:
 * letters to the dead letter topic within it, and what weir is told after it. The thread that commits.
 */
#include <errno.h>
#include <stdio.h>
#include "letter.h"
#include "outcome.h"
#include "sticky.h"
#include "transact_private.h"

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

/* librdkafka's one of that name, which has a struct topic: the output's thread has made it. */
static rd_kafka_topic_t *letters_topic(struct transact *t, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(t->producer->rk, name, NULL);

    if (topic)
        sticky_drop(rd_kafka_topic_opaque(topic));
    return topic;
}

void transact_send_letters(struct transact *t)
{
    const char *name = t->no_letters ? NULL : t->settings->dead_letter_topic;
    rd_kafka_topic_t *topic = NULL;

    for (size_t i = 0; i < t->count; i++) {
        struct refused *r = refusals_of(&t->refusals, t->chunks[i]->id);
        if (!r)
            continue;
        if (name && !topic)
            topic = letters_topic(t, name);
        send_letters_of(t, topic, t->chunks[i], r);
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
}

void transact_reject_refused(struct transact *t, struct weir_chunk *chunk)
{
    struct refused *r = refusals_of(&t->refusals, chunk->id);

    if (!r)
        return;
    outcome_reject(&t->link, chunk, r->items, r->count);
    for (size_t i = 0; i < r->count; i++)
        r->items[i].told = true;
}
