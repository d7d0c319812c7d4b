/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What weir shows of itself: the state of every input and output as JSON, and whether it is ready. Control
 * thread; what inputs tell of themselves is asked for on their loops.
 */
#ifndef WEIR_CORE_STATUS_H
#define WEIR_CORE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct engine;
struct status;

/* What a long list in it is cut to. */
struct status_page {
    uint64_t offset, limit;
    bool worst_first; /* those that lag most */
};

/*
 * The JSON, size bytes with a NUL behind, which the receiver frees; NULL: no memory, or weir ended first. On
 * the control thread, once, and never from within status_ask.
 */
typedef void (*status_fn)(void *data, char *json, size_t size);

struct status *status_create(struct engine *); /* NULL: no memory */
/* 0 or -ENOMEM; then fn is not called. */
int status_ask(struct status *, struct status_page, status_fn fn, void *data);
/* Ends every request that is open. The input loops have ended. Takes NULL. */
void status_stop(struct status *);
/* After the control loop is gone. Takes NULL. */
void status_destroy(struct status *);

/*
 * The same for the metrics, as Prometheus' text: the registry, what is counted when it is asked for, and what
 * inputs tell (weir_plugin.series).
 */
int status_ask_metrics(struct status *, status_fn fn, void *data);

/*
 * Whether every input and output has started and none complains. Writes {"ready":…,"reasons":[…]}, of
 * at most a hundred reasons.
 */
bool status_ready(const struct engine *, FILE *);
/* Those metrics without what inputs tell. 0 or -errno. */
int status_metrics(struct engine *, FILE *);

#endif
