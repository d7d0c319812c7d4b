/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator is told while Kafka can't be reached: the first failure, one line a minute after it, and
 * one when messages arrive again. Any thread.
 */
#ifndef OUT_KAFKA_HEALTH_H
#define OUT_KAFKA_HEALTH_H

#include <pthread.h>
#include <stdatomic.h>
#include "settings.h"

struct health {
    struct kafka_link link;
    atomic_bool troubled;
    pthread_mutex_t lock;                   /* guards all below; a leaf but for the host's log */
    int64_t since, last_failure, last_line; /* ns */
    unsigned unsaid;                        /* failures since the last line */
};

void health_init(struct health *, struct kafka_link);
void health_finish(struct health *);
/* Something failed that librdkafka goes on trying. */
void health_failed(struct health *, const char *what);
/* A chunk was delivered. */
void health_delivered(struct health *);
/* Nothing is to be delivered, and a broker is connected: trouble that lies a while back is over. */
void health_idle(struct health *);

#endif
