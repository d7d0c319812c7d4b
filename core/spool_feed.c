/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between an input and its spool. All work is done in one posted call (`work`), whoever asks for it: the
 * input, a gate that has room again, an output that has finished a chunk, the thread that syncs. Loop, but
 * for what asks.
 */
#include "spool_feed.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"
#include "input.h"
#include "log.h"
#include "output.h"
#include "spool_durable.h"
#include "spools.h"

/* Chunks that are read back before others of the loop have their turn; how often what is acknowledged is
 * written, what nobody asked for is synced, and a failed write is tried again. */
enum { SLICE = 32 };
static const uint64_t INTERVAL = 1000000000;

/* A chunk that the disk did not take. */
struct unwritten {
    struct chunk *chunk;
    struct unwritten *next;
};

/* What can't be done with the spool now: a set. */
enum { CANT_READ = 1, CANT_WRITE = 2, CANT_SYNC = 4 };

struct spool_feed {
    struct input *in;
    _Atomic(struct spool *) spool;
    struct gate_waiter waiter;
    struct loop_call work_call;
    atomic_bool work_posted;
    struct weir_timer *timer;
    bool timer_runs;
    bool running;    /* the plugin is */
    bool held;       /* the input was told to wait for room */
    bool said_full;  /* the log says so */
    unsigned broken; /* CANT_…: the log says so */
    bool warned_no_route;
    bool ended, told_ended;
    struct unwritten *unwritten, **unwritten_end;
    struct spool_durable *durable;
};

static const char *who(const struct spool_feed *f)
{
    return f->in->base.alias->chars;
}

static void post_work(struct spool_feed *f)
{
    if (!atomic_exchange(&f->work_posted, true))
        loop_post_call(f->in->loop, &f->work_call);
}

static void wake(struct gate_waiter *w)
{
    post_work((struct spool_feed *)((char *)w - offsetof(struct spool_feed, waiter)));
}

/* An entry is done (with the spool's lock held), or a sync. */
static void on_change(void *data)
{
    post_work(data);
}

static void arm_timer(struct spool_feed *f)
{
    if (!f->timer_runs)
        loop_timer_set(f->timer, INTERVAL, 0);
    f->timer_runs = true;
}

/* -- Saying what is wrong --------------------------------------------------------------------------- */

static void say_broken(struct spool_feed *f, unsigned what, int rc)
{
    const char *verb = what == CANT_READ ? "read from" : what == CANT_WRITE ? "write to" : "sync";
    const char *so = what == CANT_READ    ? "what waits there stays there"
                     : what == CANT_WRITE ? "the input is held back"
                                          : "nothing more counts as safe";
    char *text = NULL;

    if (f->broken & what)
        return;
    f->broken |= what;
    if (asprintf(&text, "can't %s its spool %s: %s; %s, and it is tried again every second", verb,
                 spool_path(f->spool), strerror(-rc), so) < 0)
        text = NULL;
    log_error(who(f), "%s", text ? text : "its spool can't be used");
    instance_set_error(&f->in->base, text);
}

static void say_mended(struct spool_feed *f, unsigned what)
{
    if (!(f->broken & what))
        return;
    f->broken &= ~what;
    if (f->broken)
        return;
    log_info(who(f), "its spool %s can be used again", spool_path(f->spool));
    instance_set_error(&f->in->base, NULL);
}

static void say_full(struct spool_feed *f)
{
    if (f->said_full)
        return;
    f->said_full = true;
    log_warn(who(f),
             "its spool %s has reached storage_limit: the input is held back until outputs have taken "
             "more",
             spool_path(f->spool));
}

/* -- To the outputs --------------------------------------------------------------------------------- */

static void pass_on(struct chunk *c, struct spool_entry *entry)
{
    bool sealed;

    if (chunk_seal(c, NULL, 0, &sealed) < 0) /* only positions need memory */
        abort();
    c->spooled = entry;
    for (size_t n = 0, count = c->route->count; n < count; n++) {
        struct output *o = c->route->outputs[n];
        if (spool_entry_had(entry, o->hash))
            chunk_slot_done(&c->slots[n], true);
        else
            output_push(o, &c->slots[n]);
    }
}

static bool outputs_have_room(struct spool_feed *f, const struct route *route)
{
    return !atomic_load(&f->waiter.gate) && input_has_room(f->in, route, &f->waiter);
}

/* Several keepers of positions would wait for each other. Tags that the input chose may meet other outputs
 * now. */
static bool is_usable(struct spool_feed *f, const struct route *route)
{
    if (route->count && route->keepers <= 1)
        return true;
    if (!f->warned_no_route && !route->count)
        log_warn(who(f), "no output matches tag '%s' and topic '%s': what waits in the spool stays there",
                 route->tag, route->topic);
    else if (!f->warned_no_route)
        log_warn(who(f),
                 "%zu outputs that keep positions match tag '%s' and topic '%s', and one can: what waits in "
                 "the spool stays there",
                 route->keepers, route->tag, route->topic);
    f->warned_no_route = true;
    return false;
}

/* The chunk at which the spool stands, read back. 1: goes on; 0: not now. */
static int feed_next(struct spool_feed *f)
{
    struct engine *e = f->in->base.engine;
    struct spool_chunk found;
    int rc = spool_peek(f->spool, &found);

    if (rc <= 0)
        return rc;
    struct route *route = input_route(f->in, found.tag, found.topic);
    if (!route)
        return -ENOMEM;
    if (!is_usable(f, route))
        return 0;
    if (!outputs_have_room(f, route))
        return 0;
    struct chunk *c =
        chunk_create(engine_pool(e), engine_checkpoint(e), route, f->in->base.alias, found.size);
    if (!c)
        return -ENOMEM;
    c->draft.size = found.size;
    c->draft.records = found.records;
    rc = spool_read(f->spool, c->draft.data);
    struct spool_entry *entry = rc == 0 ? spool_take(f->spool, route->count) : NULL;
    if (!entry) {
        chunk_cancel(c);
        return rc == -EBADMSG ? 1 : rc == 0 ? -ENOMEM : rc;
    }
    pass_on(c, entry);
    return 1;
}

static void feed_outputs(struct spool_feed *f)
{
    int rc = 1;

    if (atomic_load(&f->waiter.gate))
        return;
    for (int n = 0; rc > 0 && n < SLICE; n++)
        rc = feed_next(f);
    if (rc > 0)
        post_work(f);
    if (rc < 0) {
        say_broken(f, CANT_READ, rc);
        arm_timer(f);
    } else {
        say_mended(f, CANT_READ);
    }
}

/* -- To disk ---------------------------------------------------------------------------------------- */

/* The chunk is gone, or (a negative errno) nothing has happened. */
static int write_chunk(struct spool_feed *f, struct chunk *c)
{
    const struct spool_chunk out = {.tag = c->route->tag,
                                    .topic = c->route->topic,
                                    .data = c->draft.data,
                                    .size = c->draft.size,
                                    .records = c->draft.records};
    bool next;
    int rc = spool_append(f->spool, &out, &next);
    if (rc < 0)
        return rc;
    struct spool_entry *entry = next && f->running &&
                                        router_is_current(engine_router(f->in->base.engine), c->route) &&
                                        outputs_have_room(f, c->route)
                                    ? spool_take(f->spool, c->route->count)
                                    : NULL;
    if (entry)
        pass_on(c, entry);
    else
        chunk_cancel(c); /* it is read back when there is room */
    if (!entry && !atomic_load(&f->waiter.gate))
        post_work(f);
    return 0;
}

static void keep_unwritten(struct spool_feed *f, struct chunk *c)
{
    struct unwritten *u = malloc(sizeof(*u));

    if (!u) { /* it was never said to be safe, but to lose it silently is no way out */
        log_error(who(f), "no memory to keep a chunk that can't be written: ending at once");
        abort();
    }
    *u = (struct unwritten){.chunk = c};
    *f->unwritten_end = u;
    f->unwritten_end = &u->next;
    arm_timer(f);
}

static void write_unwritten(struct spool_feed *f)
{
    while (f->unwritten) {
        struct unwritten *u = f->unwritten;
        int rc = write_chunk(f, u->chunk);
        if (rc < 0) {
            say_broken(f, CANT_WRITE, rc);
            arm_timer(f);
            return;
        }
        f->unwritten = u->next;
        if (!f->unwritten)
            f->unwritten_end = &f->unwritten;
        free(u);
    }
    say_mended(f, CANT_WRITE);
}

void spool_feed_send(struct spool_feed *f, struct chunk *c, const struct weir_position *positions,
                     size_t count)
{
    int rc = 0;

    if (!c->draft.records) {
        chunk_cancel(c);
    } else if (f->unwritten || (rc = write_chunk(f, c)) < 0) {
        if (rc < 0)
            say_broken(f, CANT_WRITE, rc);
        keep_unwritten(f, c);
    }
    if (count) {
        spool_durable_add_positions(f->durable, positions, count);
        post_work(f);
    }
    arm_timer(f);
}

/* -- What is durable -------------------------------------------------------------------------------- */

int spool_feed_on_durable(struct spool_feed *f, weir_durable_fn fn, void *data)
{
    int rc = spool_durable_ask(f->durable, fn, data);

    if (rc == 0)
        post_work(f);
    return rc;
}

static void sync_written(struct spool_feed *f, bool all)
{
    if (f->unwritten)
        return;
    int rc = spool_durable_sync(f->durable, all);
    if (rc < 0) {
        say_broken(f, CANT_SYNC, rc);
        arm_timer(f);
    } else {
        say_mended(f, CANT_SYNC);
    }
}

/* -- All of it -------------------------------------------------------------------------------------- */

static void resume_input(struct spool_feed *f)
{
    if (!f->held || f->unwritten || !spool_has_room(f->spool))
        return;
    f->held = false;
    f->said_full = false;
    loop_post_call(f->in->loop, &f->in->resume_call);
}

static void tell_ended(struct spool_feed *f)
{
    struct spool_chunk found;

    if (!f->ended || f->told_ended || f->unwritten || spool_peek(f->spool, &found) != 0)
        return;
    f->told_ended = true;
    instance_notify(&f->in->base, INSTANCE_ENDED);
}

static void go_on(struct spool_feed *f, bool sync_all)
{
    feed_outputs(f);
    sync_written(f, sync_all);
    resume_input(f);
}

static void work(struct loop_call *call)
{
    struct spool_feed *f = LOOP_CALL_OF(call, struct spool_feed, work_call);

    atomic_store(&f->work_posted, false);
    if (!f->running)
        return;
    bool freed = spool_recycle(f->spool);
    if (freed && f->unwritten)
        write_unwritten(f);
    spool_durable_delivered(f->durable);
    go_on(f, false);
    tell_ended(f);
    arm_timer(f);
}

static void on_timer(void *data)
{
    struct spool_feed *f = data;

    f->timer_runs = false;
    if (spool_write_acks(f->spool) < 0)
        arm_timer(f);
    if (f->unwritten)
        write_unwritten(f);
    go_on(f, true);
    if (f->unwritten || f->broken)
        arm_timer(f);
}

bool spool_feed_has_room(struct spool_feed *f)
{
    if (!f->unwritten && spool_has_room(f->spool))
        return true;
    if (!f->unwritten)
        say_full(f);
    f->held = true;
    return false;
}

void spool_feed_reroute(struct spool_feed *f)
{
    f->warned_no_route = false;
    post_work(f);
}

void spool_feed_ended(struct spool_feed *f)
{
    f->ended = true;
    post_work(f);
}

/* -- Life ------------------------------------------------------------------------------------------- */

struct spool_feed *spool_feed_create(struct input *in)
{
    struct spool_feed *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->in = in;
    f->waiter.wake = wake;
    f->work_call = (struct loop_call){.fn = work};
    f->unwritten_end = &f->unwritten;
    return f;
}

void spool_feed_free(struct spool_feed *f)
{
    if (f)
        spool_durable_free(f->durable);
    free(f);
}

int spool_feed_start(struct spool_feed *f, char **ret_error)
{
    struct engine *e = f->in->base.engine;
    struct spool *spool = NULL;
    const struct spool_settings settings = {.data_dir = engine_data_dir(e),
                                            .identity = f->in->identity,
                                            .who = who(f),
                                            .limit = f->in->options->storage_limit};
    int rc = spools_take(engine_spools(e), &settings, &spool, ret_error);

    if (rc < 0)
        return rc;
    f->durable = spool_durable_create(f->in, spool, on_change, f);
    f->timer = f->durable ? loop_timer_add(f->in->loop, on_timer, f) : NULL;
    if (!f->timer)
        return -ENOMEM;
    atomic_store(&f->spool, spool);
    return 0;
}

void spool_feed_run(struct spool_feed *f)
{
    struct spool_stats stats;

    f->running = true;
    spool_look(f->spool, &stats);
    if (stats.chunks)
        log_info(who(f), "%llu chunks wait in its spool %s", (unsigned long long)stats.chunks,
                 spool_path(f->spool));
    spool_on_change(f->spool, on_change, f);
    post_work(f);
}

static void drop_unwritten(struct spool_feed *f)
{
    while (f->unwritten) {
        struct unwritten *u = f->unwritten;
        f->unwritten = u->next;
        log_error(who(f),
                  "%u records could not be written to its spool, and are gone; the input was never told "
                  "that they are safe",
                  u->chunk->draft.records);
        chunk_cancel(u->chunk);
        free(u);
    }
    f->unwritten_end = &f->unwritten;
}

void spool_feed_stop(struct spool_feed *f)
{
    if (!f->spool)
        return;
    spool_on_change(f->spool, NULL, NULL);
    gate_forget(&f->waiter);
    f->running = false;
    if (f->timer)
        loop_timer_remove(f->timer);
    f->timer = NULL;
    f->timer_runs = true; /* never again */
    if (f->unwritten)
        write_unwritten(f);
    spool_durable_stop(f->durable, f->unwritten);
    drop_unwritten(f);
    spool_write_acks(f->spool);
}

bool spool_feed_look(struct spool_feed *f, struct spool_stats *ret)
{
    struct spool *spool = atomic_load(&f->spool);

    if (spool)
        spool_look(spool, ret);
    return spool;
}
