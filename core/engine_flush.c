/* SPDX-License-Identifier: Apache-2.0 */
/* Positions into the store: about once a second while they change, at once where it is urgent. Control
 * thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <weir/kill_point.h>
#include "engine_private.h"
#include "log.h"

void engine_flush(struct engine *e)
{
    char *why = NULL;
    WEIR_KILL_POINT("checkpoint-take");
    int rc = checkpoint_flush(e->checkpoint, &why);

    if (rc < 0 && !e->flush.failing)
        log_error("checkpoint", "%s; positions stay in memory and are tried again every %" PRIu64 " ms",
                  why ? why : strerror(-rc), e->service.checkpoint_interval / 1000000);
    else if (rc == 0 && e->flush.failing)
        log_info("checkpoint", "positions are written again");
    e->flush.failing = rc < 0;
    if (rc == 0)
        e->flush.good_at = loop_now();
    e->flush.at = loop_now();
    if (rc < 0 && e->phase != ENGINE_DONE)
        loop_timer_set(e->flush.timer, e->service.checkpoint_interval, 0);
    free(why);
}

void engine_on_flush_timer(void *data)
{
    engine_flush(data);
}

/* Written at once after a pause or where it is urgent, else an interval after the last time. */
static void on_dirty(struct loop_call *call)
{
    struct engine *e = LOOP_CALL_OF(call, struct engine, flush.call);
    uint64_t interval = e->service.checkpoint_interval, since = loop_now() - e->flush.at;

    atomic_store(&e->flush.posted, false);
    if (e->phase == ENGINE_DONE)
        return;
    if (atomic_exchange(&e->flush.urgent, false) || (since >= interval && !e->flush.failing))
        engine_flush(e);
    else
        loop_timer_set(e->flush.timer, since < interval ? interval - since : interval, 0);
}

/* Any thread. */
static void tell_dirty(void *data, bool urgent)
{
    struct engine *e = data;

    if (urgent)
        atomic_store(&e->flush.urgent, true);
    if (!atomic_exchange(&e->flush.posted, true))
        loop_post_call(e->control, &e->flush.call);
}

int engine_open_checkpoint(struct engine *e)
{
    char *why = NULL;
    int rc = checkpoint_open(engine_data_dir(e), &e->checkpoint, &why);

    e->flush.call = (struct loop_call){.fn = on_dirty};
    if (rc < 0)
        log_error("checkpoint", "%s", why ? why : strerror(-rc));
    free(why);
    if (rc == 0)
        checkpoint_on_dirty(e->checkpoint, tell_dirty, e);
    return rc;
}
