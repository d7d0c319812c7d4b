/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The librdkafka producer of an output: made, built anew, ended. Delivery reports reach flight_report, its
 * log and its errors the output's health.
 */
#ifndef OUT_KAFKA_PRODUCER_H
#define OUT_KAFKA_PRODUCER_H

#include <librdkafka/rdkafka.h>
#include "flight.h"
#include "health.h"
#include "pace.h"
#include "properties.h"
#include "stats.h"

struct producer {
    struct kafka_link link;
    const struct kafka_settings *settings;
    struct health *health;
    struct stats *stats;
    struct flights *flights;
    const char *transactional_id; /* NULL: not known yet, and so not to be connected with */
    atomic_uint ended;            /* requests that ended a transaction, since that was last cleared */
    atomic_llong joined;          /* ns; since when the transaction asks for partitions; 0: it does not */
    atomic_bool had_to_wait;      /* it had to ask again */
    atomic_int letter_error;      /* why a letter of a transaction was not taken; 0: none was refused */
    rd_kafka_t *rk;               /* NULL: there is none */
    struct pace pace;
    atomic_llong answered,
        answers_since; /* ns; the last answer of a broker, and the first one after a silence */
    int64_t patience;  /* ns; so long a topic may be unknown before it does not exist */
    bool begun;        /* rd_kafka_new got as far as its interceptors */
    long most_messages;
    long linger_ms;
    long sticky_ms;         /* 0: librdkafka chooses partitions */
    atomic_long batch_size; /* in force */
};

/*
 * Makes the producer, which knows no broker yet and so connects to none. batch_size 0: as configured. 0, or a
 * negative errno and the reason in `why`.
 */
int producer_make(struct producer *, long batch_size, char *why, size_t why_size);
/* From now on it connects. 0 or a negative errno and `why`. */
int producer_connect(struct producer *, char *why, size_t why_size);
/* Ends it; chunks that it still had are to be sent again. Every topic's handle must be dropped before. */
void producer_end(struct producer *);
/* Gives up everything that was not delivered; it is reported as failed, mostly at once. */
void producer_purge(struct producer *);
/* Whether brokers have answered for long enough that a topic which they do not know does not exist. Any
 * thread. */
bool producer_is_sure(const struct producer *);
/* A transaction was begun: what is counted of one begins anew. Any thread, as the next one. */
void producer_begun(struct producer *);
/*
 * Whether the end of that one was asked for more than once. A request that was sent twice may arrive late,
 * and would end the next transaction of this producer (until Kafka 4 and KIP-890): so there must be no next
 * one.
 */
bool producer_ended_twice(const struct producer *);
/* Whether that one had to wait before it could send, for what the one before it had left to do. */
bool producer_had_to_wait(const struct producer *);
/* Whether it can't send any more, and why: it is to be built anew. */
bool producer_is_broken(const struct producer *, char *why, size_t why_size);

#endif
