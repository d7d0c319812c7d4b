/* SPDX-License-Identifier: Apache-2.0 */
/* Counters and gauges, and their text in Prometheus' format. Any thread; adding and setting are one relaxed
 * atomic each. */
#ifndef WEIR_CORE_METRICS_H
#define WEIR_CORE_METRICS_H

#include <stdint.h>
#include <stdio.h>
#include <weir/plugin.h>
#include "rcstring.h"

struct metrics; /* a registry */

struct metrics_label {
    const char *name, *value;
    struct rcstring
        *shared; /* of the first one: the memory of the value, to be kept in place of a copy, or NULL */
};

struct metrics *metrics_create(void);
void metrics_destroy(struct metrics *); /* takes NULL */

/*
 * The metric of that name and those labels, made where there is none; `owner` is remembered. A
 * counter's name is given without _total, which the text adds. NULL: no memory, the name exists with another
 * kind, or a name is none ([a-zA-Z_:][a-zA-Z0-9_:]*, labels without colons). WEIR_COUNTER_AT_ZERO: there is
 * such a counter from now on, and NULL.
 */
struct weir_metric *metrics_get(struct metrics *, enum weir_metric_kind, const char *name, const char *help,
                                const struct metrics_label *, size_t count, const void *owner);
/* The owner is gone, and with it every metric that no other owner has asked for. */
void metrics_drop(struct metrics *, const void *owner);

void metric_add(struct weir_metric *, uint64_t n);    /* takes NULL */
void metric_set(struct weir_metric *, int64_t value); /* takes NULL */
int64_t metric_value(const struct weir_metric *);     /* NULL: 0 */

/* The whole registry as Prometheus text 0.0.4: HELP and TYPE once a name, names in order, label values
 * escaped. 0 or -errno. */
int metrics_write(struct metrics *, FILE *);

#endif
