/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What instances, the admin address and the host's table may ask of the engine, and where events of instances
 * come in. Everything that happens on another thread comes to the control thread as a posted event; nothing
 * waits there for another thread but the joins at the very end.
 *
 *   STARTING          the outputs' threads start (engine_run, engine_outputs)
 *   RUNNING           the inputs are started on their loops (engine_inputs)
 *   STOPPING_INPUTS   told to stop, or all ended, or something failed (engine_stop)
 *   DRAINING          the outputs deliver what is queued, then stop
 *   DONE              checkpoints are written (engine_flush)
 */
#include <stdatomic.h>
#include "engine_private.h"

struct weir_loop *engine_control(struct engine *e)
{
    return e->control;
}

struct metrics *engine_metrics(struct engine *e)
{
    return e->metrics;
}

struct router *engine_router(struct engine *e)
{
    return e->router;
}

struct pool *engine_pool(struct engine *e)
{
    return e->pool;
}

bool engine_is_options_only(const struct engine *e)
{
    return e->options_only;
}

const char *engine_data_dir(const struct engine *e)
{
    return e->data_dir;
}

struct spools *engine_spools(struct engine *e)
{
    return e->spools;
}

struct checkpoint *engine_checkpoint(struct engine *e)
{
    return e->checkpoint;
}

const struct service *engine_service(struct engine *e)
{
    return &e->service;
}

void engine_retry_pauses(struct engine *e, uint64_t *ret_base, uint64_t *ret_cap)
{
    *ret_base = atomic_load_explicit(&e->retry_base, memory_order_relaxed);
    *ret_cap = atomic_load_explicit(&e->retry_cap, memory_order_relaxed);
}

void engine_tell_ready(struct engine *e)
{
    size_t inputs = 0, outputs = 0;

    for (const struct input *in = e->inputs; in; in = in->next)
        inputs++;
    for (const struct output *o = e->outputs; o; o = o->next)
        outputs++;
    supervisor_ready(e->supervisor, inputs, outputs);
}

void engine_on_events(struct weir_instance *i, unsigned events)
{
    if (i->kind == WEIR_INPUT)
        engine_on_input_events(i->engine, (struct input *)i, events);
    else
        engine_on_output_events(i->engine, (struct output *)i, events);
}
