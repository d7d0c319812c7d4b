/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small blocks out of mappings of their own. Thousands of chunks of a line each may be on their way at once,
 * made between what stays: out of malloc's memory, they would leave holes that it can't give back. Not
 * thread-safe.
 */
#ifndef WEIR_CORE_SLAB_H
#define WEIR_CORE_SLAB_H

#include <stddef.h>

enum { SLAB_LARGEST = 4096 }; /* bytes of a block */

struct slab; /* a mapping with blocks of one size */

/* Zeroed: none. */
struct slabs {
    struct slab *spare; /* without a block in use */
    size_t spares;
};

/* `with_room` is where the slabs of that size are kept which have a free block, NULL at first. */

/* A block of `size` bytes, a multiple of 64 and aligned to 64. NULL: no memory. */
void *slab_take(struct slabs *, struct slab **with_room, size_t size);
/* A slab that nothing is in use of any more goes back to the system, but for a few that are kept. */
void slab_give(struct slabs *, struct slab **with_room, void *block);
/* Gives back those that are kept, too. */
void slabs_trim(struct slabs *);

#endif
