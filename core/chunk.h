/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunk: one block of memory that holds its head, a slot for each output of its route, and the records. It
 * is a draft until chunk_send; from then on it is immutable and lives until every output is done with it and
 * its positions have left their streams' queues.
 */
#ifndef WEIR_CORE_CHUNK_H
#define WEIR_CORE_CHUNK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <weir/plugin.h>
#include "checkpoint.h"
#include "pool.h"
#include "router.h"
#include "rcstring.h"

/* The chunk's place in one output: a link in that output's queues, and what happened so far. The output's
 * lock guards it, but others may look for their own slot meanwhile. */
struct chunk_slot {
    struct chunk *chunk;
    _Atomic(struct output *) output; /* changes where the output is replaced */
    struct chunk_slot *prev, *next;
    unsigned attempts;
};

struct chunk {
    struct weir_chunk view;  /* what outputs get; first, so that their pointer is ours */
    struct weir_draft draft; /* what the input fills */
    struct pool *pool;
    size_t block_size; /* what it counts for in every budget */
    struct route *route;
    struct rcstring *input; /* the input's alias */
    struct input *sender;   /* while it is a draft; may be gone later */
    struct checkpoint *checkpoint;
    struct checkpoint_set set;
    struct spool_entry *spooled; /* where it is on disk as well, else NULL */
    void *marks_memory;          /* where the marks did not fit behind the records */
    atomic_uint pending;         /* outputs that are not done */
    atomic_bool lost;            /* an output gave it up without delivering: never acknowledge it */
    atomic_uint refs;            /* the outputs together, and the positions together */
    struct chunk_slot slots[];
};

/*
 * A draft with room for `size` bytes of records. Takes references of route and input. NULL: no memory.
 * Thread of the input, as all until chunk_send.
 */
struct chunk *chunk_create(struct pool *, struct checkpoint *, struct route *, struct rcstring *input,
                           size_t size);

/* Makes the room at least that; the chunk may move. 0 or -ENOMEM. */
int chunk_grow(struct chunk **, size_t room);

void chunk_cancel(struct chunk *);

/*
 * Seals the chunk and tracks its positions; afterwards it waits for route->count calls of chunk_slot_done,
 * or, without records, is acknowledged and gone. 0 or -ENOMEM (the chunk is still a draft). *ret_sealed:
 * whether there is something for outputs.
 */
int chunk_seal(struct chunk *, const struct weir_position *, size_t count, bool *ret_sealed);

/* An output is done with it. delivered also where it was rejected: then it is not to be sent again. Any
 * thread. */
void chunk_slot_done(struct chunk_slot *, bool delivered);

struct chunk *chunk_of_view(struct weir_chunk *);
struct chunk *chunk_of_draft(struct weir_draft *);

#endif
