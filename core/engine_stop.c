/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the end: inputs stop, outputs deliver what is queued, within the grace where somebody waits for
 * it; then whoever does not come back from a plugin is left behind. Control thread.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "engine_private.h"
#include "log.h"
#include "reload.h"
#include "spools.h"

static const uint64_t LAST_WAIT = 2000000000;

void engine_finish(struct engine *e)
{
    WEIR_KILL_POINT("stop-drained");
    e->phase = ENGINE_DONE;
    engine_end_progress(e);
    loop_stop(e->control);
}

void engine_drain(struct engine *e)
{
    WEIR_KILL_POINT("stop-drain");
    e->phase = ENGINE_DRAINING;
    for (struct output *o = e->outputs; o; o = o->next)
        output_drain(o);
    if (e->outputs_alive == 0)
        engine_finish(e);
}

static void cancel_outputs(struct engine *e)
{
    e->cancelled = true;
    for (struct input *in = e->inputs; in; in = in->next)
        if (in->state == INPUT_RETIRING)
            input_stop(in);
    for (struct output *o = e->outputs; o; o = o->next)
        output_cancel(o);
    loop_timer_set(e->grace_timer, LAST_WAIT, 0);
}

/* What is acknowledged is written down; the rest will be read again. */
_Noreturn void engine_give_up(struct engine *e)
{
    bool outputs_told = e->cancelled || e->phase >= ENGINE_DRAINING;

    for (struct input *in = e->inputs; in; in = in->next)
        if (in->state == INPUT_STOPPING)
            log_error(in->base.alias->chars, "does not stop (plugin %s): ending without it",
                      in->base.plugin->path);
    for (struct output *o = e->outputs; o; o = o->next)
        if (outputs_told && !o->joined)
            log_error(o->base.alias->chars, "does not stop (plugin %s): ending without it",
                      o->base.plugin->path);
    engine_flush(e);
    spools_flush(e->spools);
    engine_end_progress(e);
    _exit(e->status);
}

void engine_on_grace_timer(void *data)
{
    struct engine *e = data;

    if (e->cancelled)
        engine_give_up(e);
    log_warn("engine",
             "not everything was delivered within the grace of %" PRIu64 " ms: ending now; the rest is "
             "read again at the next start",
             e->service.grace / 1000000);
    cancel_outputs(e);
}

/* Once: what fails meanwhile does not begin the grace anew. */
static void hurry_up(struct engine *e)
{
    if (e->hurried || !e->grace_timer) /* without one it never came to start anything that would need it */
        return;
    e->hurried = true;
    if (!e->cancelled)
        loop_timer_set(e->grace_timer, e->service.grace ? e->service.grace : 1, 0);
}

void engine_stop(struct engine *e, int status, bool hurry)
{
    struct input *next;

    if (e->status == EXIT_STOPPED)
        e->status = status;
    if (hurry)
        hurry_up(e);
    if (e->phase >= ENGINE_STOPPING_INPUTS)
        return;
    e->phase = ENGINE_STOPPING_INPUTS;
    supervisor_stopping(e->supervisor);
    reload_stop(e->reload);
    for (struct input *in = e->inputs; in; in = next) {
        next = in->next;
        if (in->state == INPUT_CREATED)
            engine_remove_input(e, in);
        else if (!input_leaves(in))
            input_retire(in);
    }
    if (!e->inputs)
        engine_drain(e);
}

void engine_terminate(struct engine *e, const char *name)
{
    if (e->cancelled)
        engine_give_up(e);
    if (e->stop_asked) {
        log_warn("engine", "%s again: ending at once; what was not delivered is read again at the next start",
                 name);
        cancel_outputs(e);
        return;
    }
    e->stop_asked = true;
    log_info("engine", "%s: stopping", name);
    engine_stop(e, EXIT_STOPPED, true);
}
