/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An output that goes, and one that comes in its place. The one that comes has started before the other
 * leaves, and writes nothing before the other is gone: so no chunk of the same input overtakes another. What
 * the old one did not finish is put in front of the new one's queue. Control thread; nobody waits for anybody
 * here.
 */
#include <string.h>
#include <weir/kill_point.h>
#include "engine.h"
#include "output.h"

void output_hold(struct output *o)
{
    pthread_mutex_lock(&o->lock);
    o->held = true;
    pthread_mutex_unlock(&o->lock);
}

void output_release(struct output *o)
{
    pthread_mutex_lock(&o->lock);
    o->held = false;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

void output_leave(struct output *o)
{
    pthread_mutex_lock(&o->lock);
    if (o->phase < OUTPUT_LEAVING)
        o->phase = OUTPUT_LEAVING;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    if (o->keeper && !o->up) /* it still loads positions, which would take until the sink is there */
        output_cancel(o);
    output_open_gates(o);
}

static void take_all(struct slot_list *to, struct slot_list *from)
{
    while (from->first) {
        struct chunk_slot *s = from->first;
        slot_list_remove(from, s);
        slot_list_insert_by_id(to, s);
    }
}

/* From now on whoever pushes to it finds the successor. */
static struct slot_list take_unfinished(struct output *o, struct output *successor)
{
    struct slot_list left = {0};

    pthread_mutex_lock(&o->lock);
    take_all(&left, &o->in_flight);
    take_all(&left, &o->retry);
    take_all(&left, &o->queued);
    o->closed = true;
    o->successor = successor;
    pthread_mutex_unlock(&o->lock);
    return left;
}

/* A new output counts its own attempts, and has had no failure yet. */
static void put_in_front(struct output *o, struct slot_list *slots)
{
    struct chunk_slot *where = NULL;

    pthread_mutex_lock(&o->lock);
    while (slots->first) {
        struct chunk_slot *s = slots->first;
        slot_list_remove(slots, s);
        s->attempts = 0;
        atomic_store_explicit(&s->output, o, memory_order_relaxed);
        output_charge(o, s->chunk->block_size);
        slot_list_insert(&o->queued, where, s);
        where = s;
    }
    pthread_mutex_unlock(&o->lock);
}

static size_t give_up(struct slot_list *slots)
{
    size_t count = 0;

    while (slots->first) {
        struct chunk_slot *s = slots->first;
        slot_list_remove(slots, s);
        chunk_slot_done(s, true);
        count++;
    }
    return count;
}

size_t output_close(struct output *o, struct output *successor)
{
    struct metrics *metrics = engine_metrics(o->base.engine);
    size_t count = 0;

    instance_finish(&o->base); /* what its plugin had in hand is free only now */
    metrics_drop(metrics, o);  /* the plugin's own are among them: valid until destroy returns */
    if (successor)
        output_ref(successor);
    struct slot_list left = take_unfinished(o, successor);
    WEIR_KILL_POINT("reload-hand-over");
    if (successor) {
        for (const struct chunk_slot *s = left.first; s; s = s->next)
            count++;
        put_in_front(successor, &left);
    } else {
        count = give_up(&left);
    }
    return count;
}
