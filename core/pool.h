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

enum { POOL_MUCH = 16 << 20 /* bytes taken since the last look: something flows */ };

struct pool_look {
    size_t dropped; /* bytes that the system has back */
    uint64_t taken; /* bytes of blocks, since the last look */
    bool more;      /* another look may find more to drop */
    bool fell;      /* much was in use since the last look, and is not any more */
};
/* Gives the system back most of what is kept and was not needed since the last look: to be called now and
 * then, not for each chunk. */
struct pool_look pool_look(struct pool *);
/*
 * `fn` is called once a look is worth the while: much was taken since the last one, much is kept, or much was
 * in use and is not any more. Once, on any thread, perhaps before this returns. Replaces the one before;
 * NULL: nobody is told.
 */
void pool_tell(struct pool *, void (*fn)(void *data), void *data);

struct gate *pool_gate(struct pool *);

#endif
