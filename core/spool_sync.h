/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that syncs descriptors, so that an input's loop does not wait for the disk. One batch at a time:
 * what is written meanwhile is the next one.
 */
#ifndef WEIR_CORE_SPOOL_SYNC_H
#define WEIR_CORE_SPOOL_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include "loop.h"

struct spool_sync;

/* `done` is called on the loop after each batch, with 0 or a negative errno. NULL: no memory, or no thread.
 */
struct spool_sync *spool_sync_create(struct weir_loop *, void (*done)(void *data, int rc), void *data);
/* Waits for the batch under way; `done` may still be called. Loop. Takes NULL. Returns what the last batch
 * came to: 0 or a negative errno. */
int spool_sync_stop(struct spool_sync *);
/* After what was posted to the loop before spool_sync_stop. Takes NULL. */
void spool_sync_free(struct spool_sync *);
/* Syncs and closes the descriptors (at most SPOOL_UNSYNCED_MAX). Not while a batch is under way. */
void spool_sync_begin(struct spool_sync *, const int *fds, size_t count);
#endif
