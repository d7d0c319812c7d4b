/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An input with storage: disk. What it sends is appended to its spool, and chunks go from there to the
 * outputs as these have room: straight from memory where nothing waits, else read back. Made and freed on the
 * control thread with its input; everything between start and stop on the input's loop.
 */
#ifndef WEIR_CORE_SPOOL_FEED_H
#define WEIR_CORE_SPOOL_FEED_H

#include <stdbool.h>
#include <weir/plugin.h>
#include "chunk.h"
#include "spool.h"

struct input;
struct spool_feed;

struct spool_feed *spool_feed_create(struct input *); /* NULL: no memory */
void spool_feed_free(struct spool_feed *);            /* takes NULL */

/* Opens the spool. 0 or a negative errno with *ret_error (caller frees). */
int spool_feed_start(struct spool_feed *, char **ret_error);
/* The plugin runs: what waits on disk goes on. */
void spool_feed_run(struct spool_feed *);
/* The input sends nothing more. What is on disk and not under way waits for the next start. */
void spool_feed_stop(struct spool_feed *);

/* Whether a chunk may be begun; if not, the input is resumed later. */
bool spool_feed_has_room(struct spool_feed *);
void spool_feed_send(struct spool_feed *, struct chunk *, const struct weir_position *, size_t count);
/* Calls fn once everything that was sent before is on disk. 0 or -ENOMEM. */
int spool_feed_on_durable(struct spool_feed *, weir_durable_fn, void *data);
/* Routes have changed. */
void spool_feed_reroute(struct spool_feed *);
/* The input has ended: it is told to the engine when all was handed to the outputs. */
void spool_feed_ended(struct spool_feed *);

/* Control thread. False: not open yet. */
bool spool_feed_look(struct spool_feed *, struct spool_stats *ret);

#endif
