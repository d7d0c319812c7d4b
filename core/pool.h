/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory blocks for chunks, in size classes, the last ones freed kept warm for the next. Any thread; one
 * lock. A gate counts all blocks that are out: the bound on the memory of all chunks.
 */
#ifndef WEIR_CORE_POOL_H
#define WEIR_CORE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include "gate.h"

struct pool;

struct pool *pool_create(uint64_t limit); /* NULL: no memory */
/* Every block must be back. Takes NULL. */
void pool_destroy(struct pool *);

/* A block of at least *size bytes, aligned to 64; *size becomes what it really has. NULL: no memory. */
void *pool_take(struct pool *, size_t *size);
/* size: as pool_take gave it. */
void pool_give(struct pool *, void *block, size_t size);
/*
 * Gives the system back most of what is kept and was not needed since the last trim, and returns how many
 * bytes that was: to be called now and then, not for each chunk. *ret_more: another one may find more.
 */
size_t pool_trim(struct pool *, bool *ret_more);

/* Whether much was taken since this was last asked: 16 MiB or more. */
bool pool_is_busy(struct pool *);

struct gate *pool_gate(struct pool *);

#endif
