/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is after chunks were given back. They come again in order, but for one chunk that weir may
 * have taken from its queue before: sent now, it would be in front of them. So it is given back as well, and
 * comes again behind them. Any thread.
 */
#ifndef OUT_KAFKA_TURN_H
#define OUT_KAFKA_TURN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct turn {
    _Atomic uint64_t first; /* the lowest id given back since a chunk was last looked at; 0: none was */
};

/* Before the chunk is given back. */
static inline void turn_give_back(struct turn *turn, uint64_t id)
{
    uint64_t first = atomic_load(&turn->first);

    while ((first == 0 || id < first) && !atomic_compare_exchange_weak(&turn->first, &first, id))
        ;
}

/*
 * Whether the chunk that is about to be sent is to be given back. Said once: from then on weir has it in
 * order, and those before it may come no more (they were rejected).
 */
static inline bool turn_is_ahead(struct turn *turn, uint64_t id)
{
    uint64_t first = atomic_load_explicit(&turn->first, memory_order_relaxed);

    if (first == 0)
        return false;
    return id > atomic_exchange(&turn->first, 0);
}

#endif
