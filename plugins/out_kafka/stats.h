/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librdkafka's statistics as metrics of weir. On the thread of pace.c.
 */
#ifndef OUT_KAFKA_STATS_H
#define OUT_KAFKA_STATS_H

#include "settings.h"

struct stats {
    struct kafka_link link;
    struct series *series; /* what was shown last, by name and label */
};

void stats_init(struct stats *, struct kafka_link);
void stats_finish(struct stats *);
/* A new producer counts from zero. No other call at the same time. */
void stats_restart(struct stats *);
/*
 * One report, JSON. What can't be read is left out. Whether it says that all is well with nothing to do: a
 * broker is connected, and no message waits.
 */
bool stats_show(struct stats *, const char *json, size_t size);

#endif
