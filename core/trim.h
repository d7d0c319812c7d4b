/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When memory goes back to the system: blocks of chunks that nobody asks for any more, and what malloc was
 * given back. And when it does not: while much flows, the heap keeps what libraries take again at once. Idle,
 * no timer runs. One for the process, as malloc is; on its loop's thread.
 */
#ifndef WEIR_CORE_TRIM_H
#define WEIR_CORE_TRIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include "loop.h"
#include "pool.h"

/* Zeroed, trim_soon and trim_finish do nothing. */
struct trim {
    struct weir_loop *loop;
    struct pool *pool;
    struct weir_timer *timer;
    struct loop_call call;
    atomic_bool posted;
    uint64_t looked_at, given_at; /* loop_now's clock */
    bool due;                     /* much of the heap was freed since given_at */
};

/* 0 or -ENOMEM. */
int trim_init(struct trim *, struct weir_loop *, struct pool *);
/* Much was freed that no chunk tells of: it goes back with the next look. */
void trim_soon(struct trim *);
/* The loop runs no more; a call that was posted to it may still be in its queue, so the memory of the
 * structure must outlive it. */
void trim_finish(struct trim *);

#endif
