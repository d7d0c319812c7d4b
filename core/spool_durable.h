/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits until it is on disk: calls of an input's plugin, and positions that it sent along. One sync is
 * under way at a time, by a thread of its own; what is asked for meanwhile is the next batch. Thread of the
 * input's loop.
 */
#ifndef WEIR_CORE_SPOOL_DURABLE_H
#define WEIR_CORE_SPOOL_DURABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <weir/plugin.h>
#include "spool.h"

struct input;
struct spool_durable;

/* `synced` is called when a sync is over and another may begin. NULL: no memory. */
struct spool_durable *spool_durable_create(struct input *, struct spool *, void (*synced)(void *data),
                                           void *data);
/* Any thread, after what was posted to the loop before spool_durable_stop. Takes NULL. */
void spool_durable_free(struct spool_durable *);

/* Calls fn once everything that was sent before is on disk. 0 or -ENOMEM. */
int spool_durable_ask(struct spool_durable *, weir_durable_fn fn, void *data);
/* Positions count as soon as what they cover is on disk: from there on it is the spool's. */
void spool_durable_add_positions(struct spool_durable *, const struct weir_position *, size_t count);
/*
 * Begins a sync, where none is under way, of what somebody waits for; all: also of what nobody does. 0, or a
 * negative errno: it could not begin, and is to be tried again.
 */
int spool_durable_sync(struct spool_durable *, bool all);
/* An output may have finished a chunk: positions that no sync could make count do once all have theirs. */
void spool_durable_delivered(struct spool_durable *);
/* The input sends nothing more. Syncs and answers what is left; lost: not all could be written. */
void spool_durable_stop(struct spool_durable *, bool lost);

#endif
