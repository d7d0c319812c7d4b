/* SPDX-License-Identifier: Apache-2.0 */
/* The progress bar of a run that ends: what all inputs have read of what there is. Control thread. */
#include <unistd.h>
#include "engine_private.h"

static const uint64_t PROGRESS_INTERVAL = 100000000;

void engine_on_progress_timer(void *data)
{
    struct engine *e = data;
    uint64_t done = e->gone_done, total = e->gone_total;

    for (struct input *in = e->inputs; in; in = in->next) {
        done += atomic_load(&in->progress_done);
        total += atomic_load(&in->progress_total);
    }
    if (total)
        progress_update(e->progress, done, total);
}

void engine_begin_progress(struct engine *e)
{
    if (e->progress || !isatty(STDERR_FILENO) || e->service.log_file)
        return;
    e->progress = progress_create(STDERR_FILENO);
    if (e->progress)
        loop_timer_set(e->progress_timer, PROGRESS_INTERVAL, PROGRESS_INTERVAL);
}

void engine_end_progress(struct engine *e)
{
    if (!e->progress)
        return;
    engine_on_progress_timer(e);
    loop_timer_set(e->progress_timer, 0, 0);
    progress_finish(e->progress);
    e->progress = NULL;
}
