/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When batches go. librdkafka sends a batch when it is full or its first message is `linger.ms` old. But an
 * idempotent producer has one request of a partition under way at a time, and while full batches older than
 * `linger.ms` wait for its answer, librdkafka's thread polls without a pause: more than half of the CPU of
 * everything. So librdkafka is told to linger for long, full batches go by themselves, and what is less than
 * that is sent by flushing: at once where nothing was under way, else after the time that it was to linger.
 *
 * Owns a thread, which also serves what librdkafka reports: deliveries, errors, statistics.
 */
#ifndef OUT_KAFKA_PACE_H
#define OUT_KAFKA_PACE_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "flight.h"

struct pace {
    rd_kafka_t *rk;
    struct flights *flights;
    int64_t first, spacing; /* ns from a message to its flush, and between two flushes */
    long batch;             /* bytes of a full batch */
    int wake;               /* eventfd */
    atomic_bool asked, ending;
    pthread_t thread;
    bool running;

    /* The thread's own. */
    bool planned; /* messages were handed over since the last flush, the first of them at since, ns */
    bool left;    /* something was under way after the last flush, at flushed, ns */
    int64_t since, flushed;
    int64_t pause; /* ns; grows while nothing moves */
};

/* flights must be set up. linger_ms -1: the user has not said. 0 or -errno. Output thread. */
int pace_begin(struct pace *, rd_kafka_t *, struct flights *, long linger_ms, long batch);
/* Ends the thread; nothing is sent after that unless it is a full batch, and nothing reported. A pace that
 * has not begun is left alone. */
void pace_end(struct pace *);
/* Something was handed to librdkafka. Any thread. */
void pace_sent(struct pace *);
/*
 * When to flush, ns of clock_ns(), perhaps past; INT64_MAX: not at all. Asked anew each time that the thread
 * wakes up, since less is under way with each report: the end of a burst need not wait for what was planned
 * in its midst. The thread's own, and tests'.
 */
int64_t pace_due(const struct pace *);

#endif
