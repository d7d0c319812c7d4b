/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gate: a budget of bytes (an output's queue, the chunks of the whole process) and the inputs that wait for
 * room in it. Whoever finds room may go over the limit with one chunk, so a chunk of any size gets through.
 * Any thread; the lock is taken only where there is no room or somebody waits.
 */
#ifndef WEIR_CORE_GATE_H
#define WEIR_CORE_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gate_waiter {
    /* Called once when there is room again, on the thread that made it, with the gate's lock held. */
    void (*wake)(struct gate_waiter *);
    _Atomic(struct gate *) gate; /* where it waits, or NULL */
    struct gate_waiter *prev, *next;
    atomic_uint waking; /* calls of wake that have not returned: one may wait elsewhere before they have */
};

struct gate {
    pthread_mutex_t lock;
    atomic_uint_fast64_t limit;
    atomic_uint_fast64_t used;
    atomic_bool crowded; /* somebody waits */
    struct gate_waiter *first, *last;
};

void gate_init(struct gate *, uint64_t limit);
void gate_finish(struct gate *); /* nobody may wait any more */

/* Another limit; UINT64_MAX: nobody is to wait here any more. Who waits is woken, and tries again. */
void gate_set_limit(struct gate *, uint64_t limit);

/* Whether there is room. If not, the waiter is queued (it must not be waiting already). */
bool gate_enter(struct gate *, struct gate_waiter *);

void gate_add(struct gate *, uint64_t bytes);
/* Gives bytes back; at half the limit those who wait are woken, in the order in which they came. */
void gate_leave(struct gate *, uint64_t bytes);

/* Takes a waiter out of whatever gate it waits at, and waits for a `wake` under way. It is not woken after
 * this, and may be freed. */
void gate_forget(struct gate_waiter *);

#endif
