/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a reload, one at a time, everything on the control thread and nothing waited for but events:
 *
 *   IDLE       a request begins: plan_create reads, checks, compares, and makes what is new
 *   STARTING   the new outputs start beside the old ones, and nothing has changed yet
 *   GIVING_UP  one could not start: they end again
 *   SETTLING   the plan is in force (reload_apply): outputs that go hand over or drain, new inputs start
 *   IDLE       whoever asked is answered, and the next request begins
 */
#include "reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <weir/kill_point.h>
#include "log.h"
#include "reload_private.h"
#include "text.h"

struct reload_request {
    reload_fn fn; /* or NULL */
    void *data;
    struct reload_request *next;
};

/* -- What is said ----------------------------------------------------------------------------------- */

void reload_say(struct reload *r, int level, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = text_format(format, args);
    va_end(args);
    if (!text)
        return;
    log_write(level, "reload", "%s", text);
    if (r->report)
        fprintf(r->report, "%s%s\n",
                level == WEIR_LOG_ERROR  ? "error: "
                : level == WEIR_LOG_WARN ? "warning: "
                                         : "",
                text);
    free(text);
}

static void say_problems(struct reload *r)
{
    for (size_t i = 0; i < r->problems.count; i++)
        log_write(r->problems.items[i].warning ? WEIR_LOG_WARN : WEIR_LOG_ERROR, "config", "%s",
                  r->problems.items[i].text);
    if (r->report)
        problems_print(&r->problems, r->report);
    problems_clear(&r->problems);
}

/* -- Requests --------------------------------------------------------------------------------------- */

static void on_begin(struct loop_call *);

struct reload *reload_create(struct engine *e)
{
    struct reload *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->engine = e;
    r->requests_end = &r->requests;
    r->begin_call = (struct loop_call){.fn = on_begin};
    r->rerouted_call = (struct loop_call){.fn = reload_on_rerouted};
    r->timer = loop_timer_add(e->control, reload_on_timer, r);
    if (!r->timer) {
        free(r);
        return NULL;
    }
    return r;
}

static bool is_in_use(const struct engine *e, const struct config *c)
{
    uintptr_t first = (uintptr_t)c->inputs, end = (uintptr_t)(c->inputs + c->input_count);

    for (const struct input *in = e->inputs; in; in = in->next)
        if ((uintptr_t)in->section >= first && (uintptr_t)in->section < end)
            return true;
    return false;
}

/* Those that no input is of; `all`: weir ends. */
void reload_free_old_configs(struct reload *r, bool all)
{
    struct old_config **at = &r->old_configs;

    while (*at) {
        struct old_config *old = *at;
        if (!all && is_in_use(r->engine, old->config)) {
            at = &old->next;
            continue;
        }
        *at = old->next;
        config_free(old->config);
        free(old);
    }
}

void reload_free_old_plugins(struct reload *r)
{
    while (r->old_plugins) {
        struct old_plugin *next = r->old_plugins->next;
        plugin_unref(r->old_plugins->plugin);
        free(r->old_plugins);
        r->old_plugins = next;
    }
}

void reload_free_reroutes(struct reload *r)
{
    while (r->reroutes) {
        struct reroute *next = r->reroutes->next;
        free(r->reroutes);
        r->reroutes = next;
    }
}

void reload_destroy(struct reload *r)
{
    if (!r)
        return;
    reload_stop(r);
    while (r->going) { /* it did not come back from its plugin, or weir ended first */
        struct going *next = r->going->next;
        free(r->going);
        r->going = next;
    }
    plan_destroy(r->plan);
    reload_free_old_configs(r, true);
    reload_free_old_plugins(r);
    reload_free_reroutes(r);
    loop_timer_remove(r->timer);
    free(r);
}

static void begin_soon(struct reload *r)
{
    if (r->begin_posted || r->state != RELOAD_IDLE || !r->requests || r->engine->phase != ENGINE_RUNNING)
        return;
    r->begin_posted = true;
    loop_post_call(r->engine->control, &r->begin_call);
}

void reload_ask(struct reload *r, reload_fn fn, void *data)
{
    struct reload_request *request = calloc(1, sizeof(*request));

    if (!request) {
        log_error("reload", "no memory");
        if (fn)
            fn(data, false, "error: no memory\n");
        return;
    }
    *request = (struct reload_request){.fn = fn, .data = data};
    *r->requests_end = request;
    r->requests_end = &request->next;
    if (r->engine->phase > ENGINE_RUNNING)
        reload_stop(r);
    else
        begin_soon(r);
}

static void answer(struct reload *r, bool applied, const char *text)
{
    struct reload_request *request = r->requests;

    r->requests = request->next;
    if (!r->requests)
        r->requests_end = &r->requests;
    if (request->fn)
        request->fn(request->data, applied, text);
    free(request);
}

/* The end of the one under way. */
void reload_conclude(struct reload *r, bool applied)
{
    char *text = NULL;

    if (r->report) {
        fclose(r->report);
        text = r->report_text;
    }
    r->report = NULL;
    r->report_text = NULL;
    r->state = RELOAD_IDLE;
    WEIR_KILL_POINT("reload-settled");
    loop_timer_set(r->timer, 0, 0);
    answer(r, applied, text ? text : applied ? "" : "error: no memory\n");
    free(text);
    if (r->engine->phase == ENGINE_RUNNING)
        engine_tell_ready(r->engine);
    if (r->engine->phase > ENGINE_RUNNING)
        reload_stop(r);
    begin_soon(r);
}

void reload_on_running(struct reload *r)
{
    begin_soon(r);
}

/* -- Starting --------------------------------------------------------------------------------------- */

static void start_outputs(struct reload *r)
{
    struct plan *p = r->plan;

    for (size_t i = 0; i < p->output_count && !r->failed; i++) {
        struct output *o = p->outputs[i].made;
        if (!o)
            continue;
        int rc = output_start(o);
        if (rc < 0) {
            reload_say(r, WEIR_LOG_ERROR, "can't start a thread for output %s: %s", p->outputs[i].alias,
                       strerror(-rc));
            r->failed = true;
            continue;
        }
        r->starting++;
        r->coming++;
        r->engine->outputs_alive++;
    }
}

static void give_up(struct reload *r)
{
    struct plan *p = r->plan;

    r->state = RELOAD_GIVING_UP;
    for (size_t i = 0; i < p->output_count; i++)
        if (p->outputs[i].made && p->outputs[i].made->started)
            output_cancel(p->outputs[i].made);
    loop_timer_set(r->timer, RELOAD_LAST_WAIT, 0);
}

static void say_not_started(struct reload *r, const struct plan_output *item)
{
    if (!item->answered)
        reload_say(r, WEIR_LOG_ERROR,
                   "output %s has not started within the %" PRIu64 " ms of watchdog (plugin %s)", item->alias,
                   r->engine->service.watchdog / 1000000, item->made->base.plugin->path);
}

static void say_not_ended(const struct plan_output *item)
{
    if (!item->made->joined)
        log_error(item->alias, "does not stop (plugin %s): the reload waits for it",
                  item->made->base.plugin->path);
}

void reload_on_late_start(struct reload *r)
{
    struct plan *p = r->plan;
    bool starting = r->state == RELOAD_STARTING;

    for (size_t i = 0; p && i < p->output_count; i++) {
        struct plan_output *item = &p->outputs[i];
        if (!item->made || !item->made->started)
            continue;
        if (starting)
            say_not_started(r, item);
        else
            say_not_ended(item);
    }
    if (!starting)
        return;
    r->failed = true;
    reload_after_starting(r);
}

/* All that were started are gone again. */
static void end_of_failure(struct reload *r)
{
    plan_destroy(r->plan);
    r->plan = NULL;
    reload_say(r, WEIR_LOG_ERROR, "nothing was changed; generation %" PRIu64 " runs on",
               r->engine->generation);
    reload_conclude(r, false);
}

static void settle(struct reload *r)
{
    r->state = RELOAD_SETTLING;
    r->overdue = false;
    WEIR_KILL_POINT("reload-apply");
    reload_apply(r);
    WEIR_KILL_POINT("reload-applied");
    uint64_t grace = r->engine->service.grace ? r->engine->service.grace : 1;
    loop_timer_set(r->timer, r->going ? grace : 0, 0);
    reload_advance(r);
}

void reload_after_starting(struct reload *r)
{
    if (r->state == RELOAD_STARTING && r->failed)
        give_up(r);
    if (r->state == RELOAD_GIVING_UP && !r->coming)
        end_of_failure(r);
    else if (r->state == RELOAD_STARTING && !r->starting)
        settle(r);
}

static void on_begin(struct loop_call *call)
{
    struct reload *r = LOOP_CALL_OF(call, struct reload, begin_call);

    r->begin_posted = false;
    if (r->state != RELOAD_IDLE || !r->requests || r->engine->phase != ENGINE_RUNNING)
        return;
    log_info("reload", "reading the configuration");
    supervisor_reloading(r->engine->supervisor);
    r->report = open_memstream(&r->report_text, &r->report_size);
    r->state = RELOAD_STARTING;
    r->failed = false;
    r->starting = r->coming = 0;
    r->plan = plan_create(r->engine, &r->problems);
    bool good = r->plan;
    say_problems(r);
    WEIR_KILL_POINT("reload-planned");
    if (good) {
        loop_timer_set(r->timer, r->engine->service.watchdog, 0);
        start_outputs(r);
        reload_after_starting(r);
    } else {
        end_of_failure(r);
    }
}

void reload_on_output(struct reload *r, struct output *o, bool started)
{
    if (o->role != OUTPUT_COMING)
        return;
    r->starting--;
    for (size_t i = 0; i < r->plan->output_count; i++)
        if (r->plan->outputs[i].made == o)
            r->plan->outputs[i].answered = true;
    if (!started) {
        char *why = instance_error(&o->base);
        reload_say(r, WEIR_LOG_ERROR, "output %s can't start: %s", o->base.alias->chars,
                   why ? why : "it does not say why");
        free(why);
        r->failed = true;
    }
    reload_after_starting(r);
}

/* -- The end ---------------------------------------------------------------------------------------- */

void reload_stop(struct reload *r)
{
    if (!r)
        return;
    if (r->state == RELOAD_STARTING && !r->failed) {
        reload_say(r, WEIR_LOG_ERROR, "weir is stopping");
        r->failed = true;
        give_up(r);
        if (r->coming)
            return; /* the first request is answered when they have ended */
        end_of_failure(r);
    }
    if (r->state == RELOAD_SETTLING) {
        bool more = r->requests;
        if (more)
            reload_conclude(r, true);
    }
    while (r->requests && r->state == RELOAD_IDLE)
        answer(r, false, "error: weir is stopping\n");
}
