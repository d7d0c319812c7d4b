/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets of bytes with waiters. The count is atomic and usually all that is touched; `crowded` is set under
 * the lock before the count is looked at again, and read after the count was lowered, so either the one who
 * enters sees the room or the one who leaves sees the waiter.
 */
#include "gate.h"
#include <sched.h>
#include <stddef.h>

void gate_init(struct gate *g, uint64_t limit)
{
    pthread_mutex_init(&g->lock, NULL);
    atomic_init(&g->limit, limit);
    atomic_init(&g->used, 0);
    atomic_init(&g->crowded, false);
    g->first = g->last = NULL;
}

void gate_finish(struct gate *g)
{
    pthread_mutex_destroy(&g->lock);
}

static void unlink_waiter(struct gate *g, struct gate_waiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        g->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        g->last = w->prev;
    w->prev = w->next = NULL;
    atomic_store(&w->gate, NULL);
    if (!g->first)
        atomic_store(&g->crowded, false);
}

static void link_waiter(struct gate *g, struct gate_waiter *w)
{
    w->prev = g->last;
    w->next = NULL;
    if (g->last)
        g->last->next = w;
    else
        g->first = w;
    g->last = w;
    atomic_store(&w->gate, g);
    atomic_store(&g->crowded, true);
}

bool gate_enter(struct gate *g, struct gate_waiter *w)
{
    if (atomic_load(&g->used) < atomic_load(&g->limit))
        return true;
    pthread_mutex_lock(&g->lock);
    link_waiter(g, w);
    bool room = atomic_load(&g->used) < atomic_load(&g->limit);
    if (room)
        unlink_waiter(g, w);
    pthread_mutex_unlock(&g->lock);
    return room;
}

void gate_add(struct gate *g, uint64_t bytes)
{
    atomic_fetch_add(&g->used, bytes);
}

static void wake_all(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    while (g->first) {
        struct gate_waiter *w = g->first;
        atomic_fetch_add(&w->waking, 1); /* before gate_forget can find it nowhere */
        unlink_waiter(g, w);
        w->wake(w);
        atomic_fetch_sub(&w->waking, 1);
    }
    pthread_mutex_unlock(&g->lock);
}

void gate_leave(struct gate *g, uint64_t bytes)
{
    uint64_t left = atomic_fetch_sub(&g->used, bytes) - bytes;

    if (left <= atomic_load(&g->limit) / 2 && atomic_load(&g->crowded))
        wake_all(g);
}

void gate_set_limit(struct gate *g, uint64_t limit)
{
    atomic_store(&g->limit, limit);
    wake_all(g);
}

void gate_forget(struct gate_waiter *w)
{
    struct gate *g = atomic_load(&w->gate);

    if (g) {
        pthread_mutex_lock(&g->lock);
        if (atomic_load(&w->gate) == g)
            unlink_waiter(g, w);
        pthread_mutex_unlock(&g->lock);
    }
    while (atomic_load(&w->waking)) /* it is out of the list already, and still being told */
        sched_yield();
}
