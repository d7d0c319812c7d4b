/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When each input starts, and what follows from what it says: it runs, can't start, has ended, is gone. One
 * may wait for another of its identity to be gone, or for an output to tell the positions that it keeps.
 * Control thread.
 */
#include <stdlib.h>
#include <string.h>
#include "engine_private.h"
#include "heirs.h"
#include "log.h"
#include "reload.h"
#include "spool_feed.h"
#include "spools.h"

static struct input *first_of_hash(struct engine *e, uint32_t hash)
{
    return e->by_identity[hash % IDENTITY_BUCKETS];
}

static struct input *same_identity_stopping(struct engine *e, const struct input *in)
{
    for (struct input *other = first_of_hash(e, in->identity_hash); other; other = other->next_of_hash)
        if (other != in && other->state != INPUT_CREATED &&
            input_has_identity(other, in->identity, in->identity_hash))
            return other;
    return NULL;
}

static bool may_reach(struct engine *e, const struct input *in, const struct output *o)
{
    if (strchr(input_tag(in), '*'))
        return true;
    struct route *route = router_get(e->router, input_tag(in), input_topic(in));
    bool found = !route;

    for (size_t n = 0; route && n < route->count; n++)
        found |= route->outputs[n] == o;
    route_unref(route);
    return found;
}

/* Whether an output that keeps its positions has not told them yet. */
static bool must_await(struct engine *e, const struct input *in)
{
    if (!plugin_needs_output(in->base.plugin))
        return false;
    for (const struct output *o = e->outputs; o; o = o->next)
        if (o->keeper && !o->up && o->role != OUTPUT_GOING && may_reach(e, in, o))
            return true;
    return false;
}

static void start_now(struct engine *e, struct input *in)
{
    in->awaits = must_await(e, in);
    if (in->awaits) {
        if (in->fresh) { /* a reload does not wait for a sink that is away: another one may mend that */
            in->late = true;
            reload_on_input(e->reload, in, true);
        }
        return;
    }
    heirs_take(e, in);
    input_start(in, e->threads[e->next_thread].loop);
    e->next_thread = (e->next_thread + 1) % e->thread_count;
}

static bool must_wait(struct engine *e, const struct input *in)
{
    return same_identity_stopping(e, in) || heirs_must_wait(e, in);
}

void engine_start_input(struct engine *e, struct input *in)
{
    in->held = in->held && must_wait(e, in);
    e->inputs_held += in->held;
    e->heirs_held += in->held && in->heir;
    if (!in->held)
        start_now(e, in);
}

void engine_start_awaiting(struct engine *e)
{
    for (struct input *in = e->phase == ENGINE_RUNNING ? e->inputs : NULL; in; in = in->next)
        if (in->awaits && in->state == INPUT_CREATED)
            start_now(e, in);
}

static void start_if_free(struct engine *e, struct input *in)
{
    if (!in->held || !in->placed || must_wait(e, in))
        return;
    in->held = false;
    e->inputs_held--;
    e->heirs_held -= in->heir != NULL;
    start_now(e, in);
}

/* One of that identity has gone: the one that waited for it starts, be it of the same identity or its heir.
 */
static void start_held(struct engine *e, uint32_t hash)
{
    for (struct input *in = first_of_hash(e, hash); in; in = in->next_of_hash)
        start_if_free(e, in);
    for (struct input *in = e->inputs; in && e->heirs_held; in = in->next)
        if (in->heir)
            start_if_free(e, in);
}

static void check_all_ended(struct engine *e)
{
    for (struct input *in = e->inputs; in; in = in->next)
        if (!in->ended)
            return;
    engine_stop(e, EXIT_STOPPED, false);
}

void engine_stop_input(struct engine *e, struct input *in)
{
    if (in->state == INPUT_CREATED) { /* it still waits for another one to stop */
        engine_remove_input(e, in);
    } else {
        engine_stop_owned(e, in);
        input_retire(in);
    }
}

/* Whoever waits for one of those identities to be free starts, and so goes a reload. */
static void go_on_without(struct engine *e, uint32_t hash, uint32_t owner_hash)
{
    if (e->phase == ENGINE_RUNNING && e->inputs_held)
        start_held(e, hash);
    if (e->phase == ENGINE_RUNNING && e->inputs_held && owner_hash != hash)
        start_held(e, owner_hash);
    reload_advance(e->reload);
}

/* Where weir ends it keeps its place: nobody comes. */
static void on_input_retiring(struct engine *e, struct input *in)
{
    uint32_t hash = in->identity_hash;
    uint32_t owner_hash = in->owner ? in->owner->identity_hash : hash; /* it may go */

    in->state = INPUT_RETIRING;
    if (in->ended || e->cancelled) {
        input_stop(in);
    } else if (e->phase == ENGINE_RUNNING) {
        engine_vacate(e, in);
        go_on_without(e, hash, owner_hash);
    }
}

/* A source stays until its inputs are gone: they refer to it, and the next one of its identity waits for it.
 */
static bool is_gone(struct engine *e, struct input *in)
{
    if (!input_is_quiet(in))
        return false;
    in->gone = true;
    for (const struct input *other = in->owns ? e->inputs : NULL; other; other = other->next)
        if (other->owner == in)
            return false;
    return true;
}

static bool is_replaced(struct engine *e, const struct input *in)
{
    const struct input *other = first_of_hash(e, in->identity_hash);

    while (other && (other == in || !input_has_identity(other, in->identity, in->identity_hash)))
        other = other->next_of_hash;
    return other;
}

/* What waits on disk is passed on by its input only. */
static void report_spool(struct engine *e, const struct input *in)
{
    struct spool_stats stats;
    char *name;

    if (e->phase != ENGINE_RUNNING || !in->feed || !spool_feed_look(in->feed, &stats) || !stats.chunks ||
        is_replaced(e, in))
        return;
    name = spool_name(in->identity);
    log_warn(
        in->base.alias->chars,
        "it is gone, and not every output has the %llu chunks of its spool %s/spool/%s yet: what none was "
        "given stays there until the input comes back, by its name, or somebody removes it",
        (unsigned long long)stats.chunks, e->data_dir, name ? name : "");
    free(name);
}

static void on_input_stopped(struct engine *e, struct input *in)
{
    if (!is_gone(e, in))
        return;
    e->gone_done += atomic_load(&in->progress_done);
    e->gone_total += atomic_load(&in->progress_total);
    reload_on_input_gone(e->reload, in);
    report_spool(e, in);
    uint32_t hash = in->identity_hash;
    uint32_t owner_hash = in->owner ? in->owner->identity_hash : hash; /* it may go, too */
    engine_remove_input(e, in);
    if (e->phase == ENGINE_STOPPING_INPUTS && !e->inputs)
        engine_drain(e);
    go_on_without(e, hash, owner_hash);
    if (e->phase == ENGINE_RUNNING && e->inputs)
        check_all_ended(e); /* it may have been the last that had not */
}

static void on_start_failed(struct engine *e, struct input *in)
{
    if (in->late && !in->owner)
        log_error(in->base.alias->chars,
                  "it is left out, and all others go on: the next reload tries it again");
    if (in->state != INPUT_STARTING)
        return; /* told to stop meanwhile */
    if (in->owner && !(in->fresh && reload_can_bring_back(e->reload, in))) {
        in->fresh = in->failed = false;
        engine_start_again(e, in);
        reload_advance(e->reload);
    } else if (in->fresh || in->late) {
        engine_stop_input(e, in);
    } else {
        engine_stop(e, EXIT_START, true);
    }
}

static void on_input_ended(struct engine *e, struct input *in)
{
    in->ended = true;
    if (in->state == INPUT_RETIRING)
        input_stop(in);
    else
        check_all_ended(e);
}

void engine_on_input_events(struct engine *e, struct input *in, unsigned events)
{
    if ((events & INSTANCE_STARTED) && in->state == INPUT_STARTING) {
        in->state = INPUT_RUNNING;
        in->failed_starts = 0;
    }
    if (in->fresh && (events & (INSTANCE_STARTED | INSTANCE_START_FAILED)))
        reload_on_input(e->reload, in, events & INSTANCE_STARTED);
    if (events & INSTANCE_START_FAILED)
        on_start_failed(e, in);
    if (events & INSTANCE_PROGRESS)
        engine_begin_progress(e);
    if (events & INSTANCE_FAILED)
        engine_stop(e, EXIT_FAILED, true);
    if (events & INSTANCE_RETIRING)
        on_input_retiring(e, in);
    if (events & INSTANCE_ENDED)
        on_input_ended(e, in);
    if (events & INSTANCE_STOPPED)
        on_input_stopped(e, in);
}

static bool is_of_an_input(void *data, const char *spool)
{
    const struct engine *e = data;
    bool found = false;

    for (const struct input *in = e->inputs; in && !found; in = in->next) {
        char *name = in->feed ? spool_name(in->identity) : NULL;
        found = name && !strcmp(name, spool);
        free(name);
    }
    return found;
}

void engine_start_inputs(struct engine *e)
{
    e->phase = ENGINE_RUNNING;
    heirs_find(e);
    for (struct input *in = e->inputs; in; in = in->next)
        engine_start_input(e, in);
    if (e->data_dir)
        spools_report_orphans(e->data_dir, is_of_an_input, e);
    engine_tell_ready(e);
    reload_on_running(e->reload);
}
