/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a plan into force. Nothing here can fail: whatever could has been done before. Inputs and outputs
 * that stay see nothing of it but new routes. Control thread, but for what runs on the loops of inputs.
 */
#include <stdlib.h>
#include <string.h>
#include "heirs.h"
#include "log.h"
#include "reload_private.h"
#include "supervisor.h"

/* As for a chunk's positions: half of the plan may be in force. */
static _Noreturn void no_way_back(void)
{
    log_error("reload",
              "no memory to put the new configuration into force: ending at once; nothing that was not "
              "delivered counts as read");
    abort();
}

/* -- The service section ---------------------------------------------------------------------------- */

static const char *const needs_restart[] = {
    "data_dir", "input_threads",     "http_server", "http_listen",  "http_port",     "user",
    "group",    "keep_capabilities", "sandbox",     "sandbox_read", "sandbox_write", NULL};

static bool needs_a_restart(const char *name)
{
    for (size_t i = 0; needs_restart[i]; i++)
        if (!strcmp(needs_restart[i], name))
            return true;
    return false;
}

static void report_restart(struct reload *r, const struct service *now, const struct service *next)
{
    for (const struct weir_option *row = config_service_options; row->name; row++)
        if (needs_a_restart(row->name) && !option_same_value(row, now, next))
            reload_say(r, WEIR_LOG_WARN, "needs a restart: %s", row->name);
}

static void keep_until_restart(struct service *s, const struct service *old)
{
    for (const struct weir_option *row = config_service_options; row->name; row++)
        if (needs_a_restart(row->name))
            option_take(row, s, old);
}

static void apply_log(const struct service *s)
{
    log_setup(s->log_level, (enum log_format)s->log_format);
    log_open(s->log_file); /* the plan has tried it; should it fail now, the log goes on in the old file */
}

static void apply_service(struct reload *r)
{
    struct engine *e = r->engine;
    const struct service old = e->service;

    report_restart(r, &old, &r->plan->config->service);
    e->service = r->plan->config->service;
    supervisor_name_hangs(e->supervisor, e->service.watchdog);
    keep_until_restart(&e->service, &old);
    atomic_store(&e->retry_base, e->service.retry_base);
    atomic_store(&e->retry_cap, e->service.retry_cap);
    gate_set_limit(pool_gate(e->pool), e->service.memory_limit);
    apply_log(&e->service);
}

/* -- Outputs ---------------------------------------------------------------------------------------- */

static struct output *successor_of(const struct plan *p, const struct output *o)
{
    for (size_t i = 0; i < p->output_count; i++)
        if (p->outputs[i].running == o)
            return p->outputs[i].made;
    return NULL;
}

static void let_go(struct reload *r, struct output *o, struct output *successor)
{
    struct going *g = calloc(1, sizeof(*g));

    if (!g)
        no_way_back();
    *g = (struct going){.output = o, .successor = successor, .next = r->going};
    r->going = g;
    o->role = OUTPUT_GOING;
    if (successor)
        output_leave(o);
    else
        output_open_gates(o);
}

static void place_origin(struct engine *e, struct weir_instance *running, const struct weir_instance *trial)
{
    running->origin = trial->origin;
    running->alias_line = trial->alias_line;
    running->alias_column = trial->alias_column;
    engine_keep_origin(e, &running->origin);
}

/* In the order of the configuration; those that go come last, until they are gone. */
static void apply_outputs(struct reload *r)
{
    struct engine *e = r->engine;
    struct plan *p = r->plan;
    struct output *old = e->outputs, *next, **end = &e->outputs;

    for (struct output *o = old; o; o = o->next)
        o->placed = false;
    for (size_t i = 0; i < p->output_count; i++) {
        struct plan_output *item = &p->outputs[i];
        struct output *o = item->stays ? item->running : item->made;
        if (item->stays)
            place_origin(e, &o->base, &item->trial->base);
        o->role = OUTPUT_IN_FORCE;
        o->placed = true;
    }
    struct output *gone = NULL, **gone_end = &gone;
    for (struct output *o = old; o; o = next) {
        next = o->next;
        if (o->placed)
            continue;
        if (o->role == OUTPUT_IN_FORCE)
            let_go(r, o, successor_of(p, o));
        *gone_end = o;
        gone_end = &o->next;
    }
    *gone_end = NULL;
    for (size_t i = 0; i < p->output_count; i++) {
        struct plan_output *item = &p->outputs[i];
        *end = item->stays ? item->running : item->made;
        end = &(*end)->next;
    }
    *end = gone;
}

/*
 * The one that it follows on; or one of an older version of its plugin, whose instances know how to share
 * what they write to with each other only.
 */
static bool is_in_the_way(const struct going *g, const struct output *o)
{
    const struct plugin *old = g->output->base.plugin, *now = o->base.plugin;

    return g->successor == o || (old != now && !strcmp(old->api.name, now->api.name));
}

void reload_release(struct reload *r)
{
    for (size_t i = 0; i < r->plan->output_count; i++) {
        struct plan_output *item = &r->plan->outputs[i];
        const struct going *g = r->going;
        while (item->made && g && !is_in_the_way(g, item->made))
            g = g->next;
        if (!item->made || item->released || g)
            continue;
        item->released = true;
        output_release(item->made);
    }
}

/* -- Routes ----------------------------------------------------------------------------------------- */

/* On the loop of its inputs. */
static void on_reroute(struct loop_call *call)
{
    struct reroute *share = LOOP_CALL_OF(call, struct reroute, call);
    struct reload *r = share->reload;

    for (size_t i = 0; i < share->count; i++)
        input_reroute(share->inputs[i]);
    if (atomic_fetch_sub(&r->reroutes_open, 1) == 1)
        loop_post_call(r->engine->control, &r->rerouted_call);
}

/* Not those that stop: they may be destroyed before this is called. */
static struct reroute *share_of(struct reload *r, struct weir_loop *loop)
{
    struct engine *e = r->engine;
    size_t count = 0;

    for (const struct input *in = e->inputs; in; in = in->next)
        count += in->loop == loop && in->state != INPUT_STOPPING;
    struct reroute *share = calloc(1, sizeof(*share) + count * sizeof(struct input *));
    if (!share)
        no_way_back();
    share->reload = r;
    share->call = (struct loop_call){.fn = on_reroute};
    for (struct input *in = e->inputs; in; in = in->next)
        if (in->loop == loop && in->state != INPUT_STOPPING)
            share->inputs[share->count++] = in;
    return share;
}

static void reroute_inputs(struct reload *r)
{
    struct engine *e = r->engine;

    r->rerouted = false;
    atomic_store(&r->reroutes_open, e->thread_count);
    for (size_t n = 0; n < e->thread_count; n++) {
        struct reroute *share = share_of(r, e->threads[n].loop);
        share->next = r->reroutes;
        r->reroutes = share;
        loop_post_call(e->threads[n].loop, &share->call);
    }
}

/* -- Inputs ----------------------------------------------------------------------------------------- */

static void stop_old_inputs(struct engine *e, struct plan *p)
{
    struct input *next;

    for (struct input *in = e->inputs; in; in = in->next)
        in->wanted = in->owner;
    for (size_t i = 0; i < p->input_count; i++)
        if (p->inputs[i].stays)
            p->inputs[i].running->wanted = true;
    for (struct input *in = e->inputs; in; in = next) {
        next = in->next;
        if (in->wanted || input_leaves(in))
            continue;
        if (in->state == INPUT_CREATED) {
            engine_remove_input(e, in); /* it owns nothing, as it never ran */
        } else {
            engine_stop_owned(e, in);
            next = in->next; /* it may have been one of those */
            input_retire(in);
        }
    }
}

static void start_new_inputs(struct engine *e, struct plan *p)
{
    for (size_t i = 0; i < p->input_count; i++) {
        struct plan_input *item = &p->inputs[i];
        struct input *in = item->stays ? item->running : item->made;
        in->section = &p->config->inputs[i];
        if (item->stays) {
            place_origin(e, &in->base, &item->trial->base);
            continue;
        }
        in->fresh = in->held = true;
        engine_add_input(e, in);
    }
    heirs_find(e);
    for (size_t i = 0; i < p->input_count; i++) {
        struct input *in = p->inputs[i].made;
        if (!in)
            continue;
        in->placed = true;
        engine_start_input(e, in);
    }
}

/* The version that inputs had, for those that can't start with the new one. */
static void keep_plugin(struct reload *r, const struct plugin *plugin)
{
    struct old_plugin *old;

    for (old = r->old_plugins; old; old = old->next)
        if (old->plugin == plugin)
            return;
    old = calloc(1, sizeof(*old));
    if (!old)
        no_way_back();
    *old = (struct old_plugin){.plugin = plugin_ref(plugin), .next = r->old_plugins};
    r->old_plugins = old;
}

/* Inputs that sources own, whose plugin has changed. */
static void renew_owned(struct reload *r)
{
    struct engine *e = r->engine;
    struct input *last = e->last_input, *next;

    for (struct input *in = e->inputs; in; in = next) {
        char *why = NULL;
        next = in == last ? NULL : in->next; /* new ones are added at the end */
        if (!in->owner || in->state == INPUT_STOPPING || in->owner->state == INPUT_STOPPING)
            continue;
        const struct plugin *now = registry_find(e->registry, WEIR_INPUT, in->base.plugin->api.name, &why);
        if (now && now != in->base.plugin && engine_renew_owned(e, in, now)) {
            keep_plugin(r, in->base.plugin);
            engine_stop_input(e, in);
        }
        free(why);
    }
}

/* -- All of it -------------------------------------------------------------------------------------- */

static void keep_config(struct reload *r, struct config *config)
{
    struct old_config *old = config ? calloc(1, sizeof(*old)) : NULL;

    if (config && !old)
        no_way_back();
    if (!old)
        return;
    *old = (struct old_config){.config = config, .next = r->old_configs};
    r->old_configs = old;
}

static void take_over(struct reload *r)
{
    struct engine *e = r->engine;
    struct plan *p = r->plan;

    keep_config(r, e->own_config);
    e->config = e->own_config = p->config;
    struct registry *old = e->own_registry;
    registry_clear(e->registry); /* the first one is not ours to free */
    e->registry = e->own_registry = p->registry;
    p->registry = NULL;
    registry_destroy(old);
    e->generation++;
}

static void report_changes(struct reload *r)
{
    const struct plan *p = r->plan;
    size_t stay = 0, made = 0;

    for (size_t i = 0; i < p->output_count; i++) {
        const struct plan_output *o = &p->outputs[i];
        stay += o->stays;
        if (!o->stays && o->running && strcmp(o->alias, o->running->base.alias->chars) != 0)
            reload_say(r, WEIR_LOG_INFO, "output %s takes the place of %s", o->alias,
                       o->running->base.alias->chars);
        else if (!o->stays)
            reload_say(r, WEIR_LOG_INFO, "output %s is %s", o->alias, o->running ? "replaced" : "new");
    }
    for (const struct output *o = r->engine->outputs; o; o = o->next)
        if (o->role == OUTPUT_IN_FORCE && !plan_has_output(p, o))
            reload_say(r, WEIR_LOG_INFO, "output %s goes", o->base.alias->chars);
    for (size_t i = 0; i < p->input_count; i++)
        made += !p->inputs[i].stays;
    reload_say(r, WEIR_LOG_INFO, "%zu of %zu outputs and %zu of %zu inputs are as they were", stay,
               p->output_count, p->input_count - made, p->input_count);
}

void reload_apply(struct reload *r)
{
    struct engine *e = r->engine;
    struct plan *p = r->plan;

    report_changes(r);
    apply_service(r);
    apply_outputs(r);
    router_take_rules(e->router, p->router);
    reload_release(r);
    take_over(r);
    stop_old_inputs(e, p);
    reroute_inputs(r);
    renew_owned(r);
    start_new_inputs(e, p);
    p->config = NULL; /* the engine's, from take_over on */
    p->in_force = true;
}
