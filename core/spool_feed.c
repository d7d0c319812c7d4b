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
#include "callback.h"
#include "engine.h"
#include "input.h"
#include "log.h"
#include "output.h"
#include "spool_sync.h"
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

/* Something that waits until what was sent before it is on disk: a call of the plugin, or positions. */
struct request {
    struct request *next;
    weir_durable_fn fn;
    void *data;
    struct checkpoint_set set;
    struct checkpoint_mark marks[];
};

struct spool_feed {
    struct input *in;
    _Atomic(struct spool *) spool;
    struct gate_waiter waiter;
    struct loop_call work_call;
    atomic_bool work_posted;
    struct weir_timer *timer;
    bool timer_runs;
    bool running;     /* the plugin is */
    bool held;        /* the input was told to wait for room */
    bool said_full;   /* the log says so */
    bool said_broken; /* that the disk fails */
    bool warned_no_route;
    bool ended, told_ended;
    struct unwritten *unwritten, **unwritten_end;

    struct spool_sync *sync;
    bool syncing, sync_wanted;
    struct request *requests, **requests_end;
    struct request *batch; /* those that the sync under way answers */
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

/* An entry is done: with the spool's lock held. */
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

static void say_broken(struct spool_feed *f, const char *what, int rc)
{
    char *text = NULL;

    if (f->said_broken)
        return;
    f->said_broken = true;
    if (asprintf(&text,
                 "can't %s its spool %s: %s; the input is held back, and it is tried again every second",
                 what, spool_path(f->spool), strerror(-rc)) < 0)
        text = NULL;
    log_error(who(f), "%s", text ? text : "its spool can't be used");
    instance_set_error(&f->in->base, text);
}

static void say_mended(struct spool_feed *f)
{
    if (!f->said_broken)
        return;
    f->said_broken = false;
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
    if (!route->count) {
        if (!f->warned_no_route)
            log_warn(who(f), "no output matches tag '%s' and topic '%s': what waits in the spool stays there",
                     route->tag, route->topic);
        f->warned_no_route = true;
        return 0;
    }
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
        say_broken(f, "read from", rc);
        arm_timer(f);
    } else if (!f->unwritten) {
        say_mended(f);
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
            say_broken(f, "write to", rc);
            arm_timer(f);
            return;
        }
        f->unwritten = u->next;
        if (!f->unwritten)
            f->unwritten_end = &f->unwritten;
        free(u);
    }
    say_mended(f);
}

static void add_request(struct spool_feed *f, struct request *r)
{
    *f->requests_end = r;
    f->requests_end = &r->next;
    post_work(f);
}

static void release_request(struct checkpoint_set *set)
{
    free((char *)set - offsetof(struct request, set));
}

/* Positions count as soon as what they cover is on disk: from there on it is the spool's. */
static void add_positions(struct spool_feed *f, const struct weir_position *positions, size_t count)
{
    struct request *r = calloc(1, sizeof(*r) + count * sizeof(struct checkpoint_mark));

    if (!r) {
        log_error(who(f),
                  "no memory for the positions of a chunk: ending at once; nothing that was not delivered "
                  "counts as read");
        abort();
    }
    for (size_t i = 0; i < count; i++)
        r->marks[i] = (struct checkpoint_mark){
            .stream = positions[i].stream, .offset = positions[i].offset, .token = positions[i].token};
    r->set = (struct checkpoint_set){.marks = r->marks, .count = count, .release = release_request};
    checkpoint_track(engine_checkpoint(f->in->base.engine), &r->set);
    add_request(f, r);
}

void spool_feed_send(struct spool_feed *f, struct chunk *c, const struct weir_position *positions,
                     size_t count)
{
    int rc = 0;

    if (!c->draft.records) {
        chunk_cancel(c);
    } else if (f->unwritten || (rc = write_chunk(f, c)) < 0) {
        if (rc < 0)
            say_broken(f, "write to", rc);
        keep_unwritten(f, c);
    }
    if (count)
        add_positions(f, positions, count);
    arm_timer(f);
}

/* -- What is durable -------------------------------------------------------------------------------- */

int spool_feed_on_durable(struct spool_feed *f, weir_durable_fn fn, void *data)
{
    struct request *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->fn = fn;
    r->data = data;
    add_request(f, r);
    return 0;
}

static void answer_request(struct spool_feed *f, struct request *r, int rc)
{
    if (!r->fn) {
        if (rc == 0)
            checkpoint_acknowledge(engine_checkpoint(f->in->base.engine), &r->set);
        return; /* else it is released when the checkpoint closes, and does not count */
    }
    if (f->in->running) {
        struct callback_before before = callback_enter(f->in->base.alias, "durable");
        r->fn(r->data, rc);
        callback_leave(before);
    }
    free(r);
}

static void answer_batch(struct spool_feed *f, int rc)
{
    struct request *batch = f->batch;

    f->batch = NULL;
    while (batch) {
        struct request *r = batch;
        batch = r->next;
        answer_request(f, r, rc);
    }
}

static void take_batch(struct spool_feed *f)
{
    f->batch = f->requests;
    f->requests = NULL;
    f->requests_end = &f->requests;
}

static void report_sync(struct spool_feed *f, int rc)
{
    if (rc < 0)
        log_error(who(f),
                  "its spool %s can't be synced: %s; what was sent since then may not survive a power cut",
                  spool_path(f->spool), strerror(-rc));
}

/* Also of what was synced before that. */
static void answer_synced(struct spool_feed *f, int rc)
{
    int before = spool_take_sync_error(f->spool);

    rc = rc < 0 ? rc : before;
    report_sync(f, rc);
    answer_batch(f, rc);
}

static void on_synced(void *data, int rc)
{
    struct spool_feed *f = data;

    if (!f->syncing)
        return; /* it was stopped meanwhile */
    f->syncing = false;
    answer_synced(f, rc);
    post_work(f);
}

static void sync_written(struct spool_feed *f)
{
    int fds[SPOOL_SYNC_MAX];

    if (f->syncing || f->unwritten || (!f->requests && !f->sync_wanted))
        return;
    if (!f->sync)
        f->sync = spool_sync_create(f->in->loop, on_synced, f);
    if (!f->sync) { /* no thread now: again a little later */
        arm_timer(f);
        return;
    }
    f->sync_wanted = false;
    size_t count = spool_take_unsynced(f->spool, fds, SPOOL_SYNC_MAX);
    take_batch(f);
    if (!count) {
        answer_synced(f, 0);
        return;
    }
    f->syncing = true;
    spool_sync_begin(f->sync, fds, count);
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

static void go_on(struct spool_feed *f)
{
    feed_outputs(f);
    sync_written(f);
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
    go_on(f);
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
    f->sync_wanted = true;
    go_on(f);
    if (f->unwritten || f->said_broken)
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
    f->requests_end = &f->requests;
    return f;
}

void spool_feed_free(struct spool_feed *f)
{
    if (f)
        spool_sync_free(f->sync);
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
    f->timer = loop_timer_add(f->in->loop, on_timer, f);
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

/* What is under way in the other thread, and the rest: positions count where that goes well. */
static void last_sync(struct spool_feed *f)
{
    int fds[SPOOL_SYNC_MAX];

    int under_way = spool_sync_stop(f->sync);
    under_way = f->syncing ? under_way : 0; /* else it was told */
    f->syncing = false;
    struct request *open = f->batch;
    struct request **end = &open;
    while (*end)
        end = &(*end)->next;
    *end = f->requests;
    f->requests = NULL;
    f->requests_end = &f->requests;
    f->batch = open;
    if (f->unwritten) {
        answer_batch(f, -EIO);
        return;
    }
    int rc = spool_sync_now(fds, spool_take_unsynced(f->spool, fds, SPOOL_SYNC_MAX));
    answer_synced(f, under_way < 0 ? under_way : rc);
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
    last_sync(f);
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
