/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop: epoll for descriptors, a heap of timers, a queue of posted calls. One thread runs it, and
 * everything but loop_post and loop_stop belongs to that thread (before loop_run: to whoever made it).
 * Idle, it sleeps without waking.
 */
#ifndef WEIR_CORE_LOOP_H
#define WEIR_CORE_LOOP_H

#include <stddef.h>
#include <weir/plugin.h>

/* Its own name inside the ABI is weir_loop, weir_watch, weir_timer: these functions serve the host table as
 * they are. */

struct weir_loop *loop_create(void); /* NULL and errno */
/*
 * Runs until loop_stop. What was posted before loop_stop is still called; what is posted later is called if
 * the loop is run again, and else freed uncalled by loop_destroy. 0 or a negative errno of epoll.
 */
int loop_run(struct weir_loop *);
void loop_stop(struct weir_loop *); /* any thread */
/* Frees it. Watches and timers must be gone: those left are an error, logged and in a debug build an
 * assertion. Takes NULL. */
void loop_destroy(struct weir_loop *);

struct weir_watch *loop_watch_add(struct weir_loop *, int fd, uint32_t events, weir_watch_fn, void *data);
int loop_watch_set(struct weir_watch *, uint32_t events);
void loop_watch_remove(struct weir_watch *);

struct weir_timer *loop_timer_add(struct weir_loop *, weir_call_fn, void *data);
void loop_timer_set(struct weir_timer *, uint64_t first, uint64_t repeat);
void loop_timer_remove(struct weir_timer *);

int loop_post(struct weir_loop *, weir_call_fn, void *data); /* any thread; 0 or -ENOMEM */

/* A call whose memory is the caller's, so that posting it can't fail. Posted again only after it was called.
 */
struct loop_call {
    void (*fn)(struct loop_call *);
    struct loop_call *next; /* the loop's */
};
/* The structure that a call is a member of. */
#define LOOP_CALL_OF(call, type, member) ((type *)(void *)((char *)(call)-offsetof(type, member)))
void loop_post_call(struct weir_loop *, struct loop_call *); /* any thread */

/* CLOCK_MONOTONIC, ns. */
uint64_t loop_now(void);

#endif
