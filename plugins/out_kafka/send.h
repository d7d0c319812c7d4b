/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hands the messages of a chunk to librdkafka, in batches that point into the chunk. Output thread.
 */
#ifndef OUT_KAFKA_SEND_H
#define OUT_KAFKA_SEND_H

#include "flight.h"
#include "message.h"
#include "pace.h"
#include "sticky.h"

#define SEND_BATCH 256

struct sender {
    struct kafka_link link;
    struct flights *flights;
    struct topics *topics;
    struct message_maker maker;
    struct weir_metric *without_key;
    struct sticky sticky; /* this and `pace` are to be set before anything is sent */
    struct pace *pace;
    bool repeated; /* the chunk was sent before, and what is no message of it was rejected then */

    /* The chunk that is being sent. */
    rd_kafka_t *rk;
    struct flight *flight;
    uint32_t closed; /* of its messages, how many will have no report */
    bool halted;     /* no more of it can be sent now; stays until the next one */

    /* The batch: all of one topic. */
    struct topic *topic;
    struct weir_json *text;
    unsigned count;
    rd_kafka_message_t messages[SEND_BATCH];
    struct message made[SEND_BATCH];
    rd_kafka_headers_t *headers[SEND_BATCH];
};

/* The settings must stay. Returns as message_maker_init. */
int sender_init(struct sender *, struct kafka_link, const struct kafka_settings *, struct flights *,
                struct topics *, const char **ret_wrong);
void sender_finish(struct sender *);

/*
 * Sends the chunk, or what is left of it. WEIR_LATER: its flight will finish it, also where it could
 * not be sent. WEIR_RETRY: no memory.
 */
int send_chunk(struct sender *, rd_kafka_t *, struct weir_chunk *, const struct remainder *);

/* One message with what it needs besides: its time (ms; 0: now) and headers, or NULL. Any thread. */
rd_kafka_resp_err_t send_one(rd_kafka_t *, rd_kafka_topic_t *, const rd_kafka_message_t *, int64_t time,
                             rd_kafka_headers_t *);

#endif
