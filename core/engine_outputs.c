/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of outputs, and what follows from what each says: it is up, has its positions, failed, is gone.
 * Control thread.
 */
#include <pthread.h>
#include "engine_private.h"
#include "reload.h"

int engine_start_outputs(struct engine *e)
{
    for (struct output *o = e->outputs; o; o = o->next) {
        int rc = output_start(o);
        if (rc < 0)
            return rc;
        e->starting++;
        e->outputs_alive++;
    }
    return 0;
}

static void on_output_up(struct engine *e)
{
    e->starting--;
    if (e->starting == 0 && e->phase == ENGINE_STARTING)
        engine_start_inputs(e);
}

static void on_output_stopped(struct engine *e, struct output *o)
{
    pthread_join(o->thread, NULL);
    o->joined = true;
    e->outputs_alive--;
    if (o->role != OUTPUT_IN_FORCE)
        reload_on_output_gone(e->reload, o);
    if (e->outputs_alive == 0 && e->phase == ENGINE_DRAINING)
        engine_finish(e);
}

static void on_output_failed(struct engine *e, struct output *o)
{
    if (o->role == OUTPUT_IN_FORCE)
        engine_stop(e, EXIT_FAILED, true);
    output_cancel(o); /* it would only retry until the grace is over */
}

void engine_on_output_events(struct engine *e, struct output *o, unsigned events)
{
    bool in_force = o->role == OUTPUT_IN_FORCE;

    if (events & (o->keeper ? INSTANCE_LOADED : INSTANCE_STARTED))
        o->up = true;
    if (events & INSTANCE_LOADED)
        engine_start_awaiting(e);
    if (events & INSTANCE_LOAD_FAILED)
        engine_stop(e, e->generation == 1 ? EXIT_START : EXIT_FAILED, true);
    if ((events & INSTANCE_START_FAILED) && in_force)
        engine_stop(e, EXIT_START, true);
    if ((events & (INSTANCE_STARTED | INSTANCE_START_FAILED)) && in_force)
        on_output_up(e);
    else if (events & (INSTANCE_STARTED | INSTANCE_START_FAILED))
        reload_on_output(e->reload, o, (events & INSTANCE_STARTED) && !(events & INSTANCE_FAILED));
    if (events & INSTANCE_FAILED)
        on_output_failed(e, o);
    if (events & INSTANCE_STOPPED)
        on_output_stopped(e, o);
}
