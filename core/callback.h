/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which plugin's code each of our threads is in, for the moment in which that matters: a crash, or a hang.
 * Costs a few stores to memory of the thread's own around each callback.
 */
#ifndef WEIR_CORE_CALLBACK_H
#define WEIR_CORE_CALLBACK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include "rcstring.h"

/* A thread's own; others may look. */
struct callback_mark {
    _Atomic(const char *) what;       /* "write"; NULL: no plugin's code, or it waits where it may */
    _Atomic(struct rcstring *) alias; /* of the instance; NULL: not known. Lives as long as the callback */
    atomic_uint number;               /* of the callback, so that a look can tell one from the next */
    unsigned told;                    /* the watcher's: the number that it has told of */
    unsigned seen;                    /* the watcher's: the number at its last look */
    uint64_t since;                   /* the watcher's: when it saw that number first */
    struct callback_mark *next;       /* in the list of all threads, under its lock */
};

extern _Thread_local struct callback_mark callback_now;

struct callback_before {
    const char *what;
    struct rcstring *alias;
};

/* Around a callback. `what` lives for ever, alias (or NULL) until callback_leave. */
static inline struct callback_before callback_enter(struct rcstring *alias, const char *what)
{
    struct callback_mark *m = &callback_now;
    struct callback_before before = {atomic_load_explicit(&m->what, memory_order_relaxed),
                                     atomic_load_explicit(&m->alias, memory_order_relaxed)};
    atomic_store_explicit(&m->number, atomic_load_explicit(&m->number, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&m->alias, alias, memory_order_relaxed);
    atomic_store_explicit(&m->what, what, memory_order_relaxed);
    return before;
}

static inline void callback_leave(struct callback_before before)
{
    struct callback_mark *m = &callback_now;

    atomic_store_explicit(&m->number, atomic_load_explicit(&m->number, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&m->alias, before.alias, memory_order_relaxed);
    atomic_store_explicit(&m->what, before.what, memory_order_relaxed);
}

/* The alias of the instance whose callback runs on this thread, with a reference; NULL: none. For what a
 * plugin adds to a loop and is called back from later. */
struct rcstring *callback_owner(void);

/* A thread that runs callbacks says so at its beginning, and before its end. begin also gives it a stack for
 * the crash handler. */
void callback_thread_begin(void);
void callback_thread_end(void);

/*
 * Looks at all of them; calls fn, once, for each callback that has run for at least `limit` ns. One thread
 * does the looking. A look tells how long only as well as it comes often. `alias` may be "".
 */
void callback_watch(uint64_t limit, void (*fn)(const char *alias, const char *what, uint64_t ns));

/*
 * From now on, a signal that ends the process because of a fault says in the log's last line whose callback
 * it was in, and then ends it as it would have (core dump and all). Not in sanitizer builds, which do this
 * themselves.
 */
void callback_handle_crashes(void);

#endif
