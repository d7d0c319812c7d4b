/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes after a plan is in force: outputs that go hand over or drain, inputs that come start or are
 * brought back, and then it is settled. Control thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "log.h"
#include "reload_private.h"

/* -- Settling --------------------------------------------------------------------------------------- */

void reload_on_rerouted(struct loop_call *call)
{
    struct reload *r = LOOP_CALL_OF(call, struct reload, rerouted_call);

    r->rerouted = true;
    reload_free_reroutes(r);
    reload_advance(r);
}

static bool inputs_stop(const struct engine *e)
{
    for (const struct input *in = e->inputs; in; in = in->next)
        if (in->state == INPUT_STOPPING)
            return true;
    return false;
}

/* New ones are at the end. */
static bool inputs_start(const struct engine *e)
{
    for (const struct input *in = e->last_input; in; in = in->prev)
        if (in->fresh)
            return true;
    return false;
}

/* No input has an old route any more: what removed outputs have now is all that they get. */
static void drain_removed(struct reload *r)
{
    for (struct going *g = r->going; g; g = g->next) {
        if (g->successor || g->drained)
            continue;
        g->drained = true;
        output_drain(g->output);
    }
}

void reload_advance(struct reload *r)
{
    if (!r || r->state != RELOAD_SETTLING)
        return;
    if (r->rerouted && !inputs_stop(r->engine))
        drain_removed(r);
    if (r->going || !r->rerouted || inputs_start(r->engine))
        return;
    plan_destroy(r->plan);
    r->plan = NULL;
    reload_free_old_configs(r, false);
    reload_free_old_plugins(r);
    reload_say(r, WEIR_LOG_INFO, "generation %" PRIu64 " is in force", r->engine->generation);
    reload_conclude(r, true);
}

static void on_late_end(struct reload *r)
{
    for (struct going *g = r->going; g; g = g->next) {
        if (r->overdue)
            log_error(g->output->base.alias->chars, "does not stop (plugin %s)%s",
                      g->output->base.plugin->path, g->successor ? ": what follows on it waits" : "");
        else
            output_cancel(g->output);
    }
    if (!r->overdue && r->going)
        loop_timer_set(r->timer, RELOAD_LAST_WAIT, 0);
    r->overdue = true;
}

void reload_on_timer(void *data)
{
    struct reload *r = data;

    if (r->state == RELOAD_SETTLING)
        on_late_end(r);
    else
        reload_on_late_start(r);
}

static void report_handover(struct reload *r, const struct going *g, const char *alias, size_t chunks)
{
    if (!chunks)
        return;
    if (g->successor)
        reload_say(r, WEIR_LOG_INFO, "output %s left %zu chunks to %s", alias, chunks,
                   g->successor->base.alias->chars);
    else
        reload_say(
            r, WEIR_LOG_WARN,
            "output %s is removed with %zu chunks that it did not deliver in its time: they count as done",
            alias, chunks);
}

static void unlink_output(struct engine *e, struct output *o)
{
    struct output **at = &e->outputs;

    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
}

/* Its successor goes on where it ended. */
static void hand_over(struct reload *r, struct going *g)
{
    struct output *o = g->output;
    char *alias = strdup(o->base.alias->chars);

    size_t chunks = output_close(o, g->successor);
    report_handover(r, g, alias ? alias : "?", chunks);
    free(alias);
    unlink_output(r->engine, o);
    output_destroy(o);
    trim_soon(&r->engine->trim);
    reload_release(r);
}

void reload_on_output_gone(struct reload *r, struct output *o)
{
    if (o->role == OUTPUT_COMING) {
        r->coming--;
        r->failed = true; /* it has ended by itself, if it was not told to */
        reload_after_starting(r);
        return;
    }
    for (struct going **at = &r->going; *at; at = &(*at)->next) {
        struct going *g = *at;
        if (g->output != o)
            continue;
        *at = g->next;
        hand_over(r, g);
        free(g);
        break;
    }
    reload_advance(r);
}

/* -- Inputs ----------------------------------------------------------------------------------------- */

static struct plan_input *item_of(struct plan *p, const struct input *in)
{
    for (size_t i = 0; p && i < p->input_count; i++)
        if (p->inputs[i].made == in)
            return &p->inputs[i];
    return NULL;
}

void reload_on_input(struct reload *r, struct input *in, bool started)
{
    in->failed = !started;
    in->fresh = !started; /* else the one that comes back, or the end of this one, is waited for */
    if (!started) {
        char *why = instance_error(&in->base);
        reload_say(r, WEIR_LOG_ERROR, "input %s can't start: %s", in->base.alias->chars,
                   why ? why : "it does not say why");
        free(why);
    }
    reload_advance(r);
}

/* An input that could not start has stopped: the one that it replaced comes back, from the same positions. */
static void bring_back(struct reload *r, struct plan_input *item)
{
    struct engine *e = r->engine;
    struct problems problems = {0};
    struct input *in = input_create(e, item->former_plugin, item->former_section, item->alias, &problems);
    char *identity = in ? strdup(item->trial->identity) : NULL;

    if (!identity) {
        input_destroy(in);
        reload_say(r, WEIR_LOG_ERROR, "input %s can't be brought back", item->alias);
    } else {
        input_set_identity(in, identity);
        in->section = item->former_section;
        engine_keep_origin(e, &in->base.origin);
        in->fresh = in->held = in->placed = true;
        engine_add_input(e, in);
        engine_start_input(e, in);
        reload_say(r, WEIR_LOG_WARN, "input %s runs as it was before", item->alias);
    }
    problems_clear(&problems);
}

/* Whether its source has asked for it anew meanwhile. */
static bool is_asked_for_again(const struct engine *e, const struct input *in)
{
    for (const struct input *other = e->inputs; other; other = other->next)
        if (other->owner == in->owner && other->state != INPUT_STOPPING && !strcmp(other->id, in->id))
            return true;
    return false;
}

static const struct plugin *former_plugin(const struct reload *r, const struct input *in)
{
    const struct plugin *now = in->base.plugin;
    const struct old_plugin *old = r->old_plugins;

    while (old && (old->plugin == now || strcmp(old->plugin->api.name, now->api.name) != 0))
        old = old->next;
    return old ? old->plugin : NULL;
}

bool reload_can_bring_back(const struct reload *r, const struct input *in)
{
    return r->state == RELOAD_SETTLING && former_plugin(r, in);
}

/* The same for one that a source owns. */
static void bring_back_owned(struct reload *r, struct input *in)
{
    const struct plugin *former = former_plugin(r, in);

    if (former && !is_asked_for_again(r->engine, in) && engine_renew_owned(r->engine, in, former))
        reload_say(r, WEIR_LOG_WARN, "input %s runs as it was before", in->base.alias->chars);
}

void reload_on_input_gone(struct reload *r, struct input *in)
{
    if (!r || !in->failed)
        return;
    struct plan_input *item = item_of(r->plan, in);
    if (item)
        item->made = NULL;
    if (r->state != RELOAD_SETTLING || r->engine->phase != ENGINE_RUNNING)
        return;
    if (in->owner && in->owner->state != INPUT_STOPPING)
        bring_back_owned(r, in);
    else if (item && item->former_section)
        bring_back(r, item);
}
