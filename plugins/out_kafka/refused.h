/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be remembered of chunks that come again: records that were refused for good while their
 * transaction was open (it is aborted for them, and then they are left out), and that what is no message was
 * rejected. By chunk, until that is committed. For whoever holds the lock that guards it.
 */
#ifndef OUT_KAFKA_REFUSED_H
#define OUT_KAFKA_REFUSED_H

#include "flight.h"

/* Those of one chunk. */
struct refused {
    struct refused *next;
    uint64_t chunk;
    bool told; /* what is no message of the chunk was rejected when it was sent */
    size_t count, capacity;
    struct failure *items; /* by index, going up */
};

/* Zeroed is empty. */
struct refusals {
    struct refused *first; /* by chunk, going up */
};

void refusals_finish(struct refusals *);
/* Without memory it is forgotten: the record is sent again, and refused again. */
void refusals_add(struct refusals *, uint64_t chunk, const struct failure *);
/* NULL: none of that chunk. Valid until it is forgotten, or one more of it is added. */
struct refused *refusals_of(const struct refusals *, uint64_t chunk);
/* The chunk is given back, and what is no message of it was rejected: not to be once more. */
void refusals_tell(struct refusals *, uint64_t chunk);
bool refusals_are_told(const struct refusals *, uint64_t chunk);
/* The chunk is through, and so are those before it: what is given back comes again in order. */
void refusals_forget(struct refusals *, uint64_t chunk);
/* 0, and what is to be sent of the chunk, to be freed (NULL: all of it); or -ENOMEM. */
int refusals_rest(const struct refusals *, const struct weir_chunk *, struct remainder **ret);

#endif
