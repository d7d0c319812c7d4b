/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way from start to stop, on the control thread. Everything that happens elsewhere comes here as a posted
 * event; nothing here waits for another thread but the joins at the very end.
 *
 *   STARTING          the outputs' threads start
 *   RUNNING           the inputs are started on their loops
 *   STOPPING_INPUTS   told to stop, or all ended, or something failed
 *   DRAINING          the outputs deliver what is queued, then stop
 *   DONE              checkpoints are written
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "admin.h"
#include "callback.h"
#include "checkpoint_store.h"
#include "engine_private.h"
#include "heirs.h"
#include "kill_point.h"
#include "log.h"
#include "process.h"
#include "reload.h"
#include "sandbox.h"
#include "signals.h"
#include "spool_feed.h"
#include "spools.h"

static const uint64_t PROGRESS_INTERVAL = 100000000, LAST_WAIT = 2000000000, HEAP_TRIM_PAUSE = 10000000000;

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

/* -- Checkpoints ------------------------------------------------------------------------------------ */

/*
 * After a standstill or a swapped sink the C library keeps what was freed, since what is still in use lies
 * between: 50 MB after some outages of a broker, a record of librdkafka's for each message. It takes
 * milliseconds, so not often; and not while much flows, which would want it again at once.
 */
static void trim_memory(struct engine *e)
{
    uint64_t since = loop_now() - e->heap_trimmed_at;
    bool busy = pool_is_busy(e->pool), more;

    e->heap_due |= pool_trim(e->pool, &more) > 0 || busy;
    more |= busy;
    if (more)
        process_hold_heap();
    if (e->heap_due && !more && since >= HEAP_TRIM_PAUSE) {
        process_give_back();
        e->heap_trimmed_at = loop_now();
        e->heap_due = false;
    }
    if (e->phase == ENGINE_DONE || e->flush_failing)
        return;
    if (more)
        loop_timer_set(e->flush_timer, e->service.checkpoint_interval, 0);
    else if (e->heap_due)
        loop_timer_set(e->flush_timer, HEAP_TRIM_PAUSE - since, 0);
}

static void flush_checkpoints(struct engine *e)
{
    char *why = NULL;
    WEIR_KILL_POINT("checkpoint-take");
    int rc = checkpoint_flush(e->checkpoint, &why);

    if (rc < 0 && !e->flush_failing)
        log_error("checkpoint", "%s; positions stay in memory and are tried again every %" PRIu64 " ms",
                  why ? why : strerror(-rc), e->service.checkpoint_interval / 1000000);
    else if (rc == 0 && e->flush_failing)
        log_info("checkpoint", "positions are written again");
    e->flush_failing = rc < 0;
    if (rc == 0)
        e->flushed_good_at = loop_now();
    e->flushed_at = loop_now();
    if (rc < 0 && e->phase != ENGINE_DONE)
        loop_timer_set(e->flush_timer, e->service.checkpoint_interval, 0);
    free(why);
    trim_memory(e); /* about once a second, and until nothing is left to give back */
}

static void on_flush_timer(void *data)
{
    flush_checkpoints(data);
}

/* Written at once after a pause or where it is urgent, else an interval after the last time. */
static void on_dirty(struct loop_call *call)
{
    struct engine *e = LOOP_CALL_OF(call, struct engine, dirty_call);
    uint64_t interval = e->service.checkpoint_interval, since = loop_now() - e->flushed_at;

    atomic_store(&e->dirty_posted, false);
    if (e->phase == ENGINE_DONE)
        return;
    if (atomic_exchange(&e->dirty_urgent, false) || (since >= interval && !e->flush_failing))
        flush_checkpoints(e);
    else
        loop_timer_set(e->flush_timer, since < interval ? interval - since : interval, 0);
}

/* Any thread. */
static void tell_dirty(void *data, bool urgent)
{
    struct engine *e = data;

    if (urgent)
        atomic_store(&e->dirty_urgent, true);
    if (!atomic_exchange(&e->dirty_posted, true))
        loop_post_call(e->control, &e->dirty_call);
}

/* -- Progress --------------------------------------------------------------------------------------- */

static void on_progress_timer(void *data)
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

static void begin_progress(struct engine *e)
{
    if (e->progress || !isatty(STDERR_FILENO) || e->service.log_file)
        return;
    e->progress = progress_create(STDERR_FILENO);
    if (e->progress)
        loop_timer_set(e->progress_timer, PROGRESS_INTERVAL, PROGRESS_INTERVAL);
}

static void end_progress(struct engine *e)
{
    if (!e->progress)
        return;
    on_progress_timer(e);
    loop_timer_set(e->progress_timer, 0, 0);
    progress_finish(e->progress);
    e->progress = NULL;
}

/* -- Stopping --------------------------------------------------------------------------------------- */

static void finish(struct engine *e)
{
    WEIR_KILL_POINT("stop-drained");
    e->phase = ENGINE_DONE;
    end_progress(e);
    loop_stop(e->control);
}

static void drain_outputs(struct engine *e)
{
    WEIR_KILL_POINT("stop-drain");
    e->phase = ENGINE_DRAINING;
    for (struct output *o = e->outputs; o; o = o->next)
        output_drain(o);
    if (e->outputs_alive == 0)
        finish(e);
}

static void cancel_outputs(struct engine *e)
{
    e->cancelled = true;
    for (struct output *o = e->outputs; o; o = o->next)
        output_cancel(o);
    loop_timer_set(e->grace_timer, LAST_WAIT, 0);
}

/* Something does not come back from its plugin. What is acknowledged is written down; the rest will be read
 * again. */
static _Noreturn void give_up(struct engine *e)
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
    flush_checkpoints(e);
    spools_flush(e->spools);
    end_progress(e);
    _exit(e->status);
}

static void on_grace_timer(void *data)
{
    struct engine *e = data;

    if (e->cancelled)
        give_up(e);
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
        else if (in->state != INPUT_STOPPING)
            input_stop(in);
    }
    if (!e->inputs)
        drain_outputs(e);
}

/* -- Events of inputs ------------------------------------------------------------------------------- */

static struct input *first_of_hash(struct engine *e, uint32_t hash)
{
    return e->by_identity[hash % IDENTITY_BUCKETS];
}

static struct input *same_identity_stopping(struct engine *e, const struct input *in)
{
    for (struct input *other = first_of_hash(e, in->identity_hash); other; other = other->next_of_hash)
        if (other != in && other->state != INPUT_CREATED &&
            input_has_identity(other, in->identity, in->identity_hash))
            return other;
    return NULL;
}

static bool may_reach(struct engine *e, const struct input *in, const struct output *o)
{
    if (strchr(input_tag(in), '*'))
        return true;
    struct route *route = router_get(e->router, input_tag(in), input_topic(in));
    bool found = !route;

    for (size_t n = 0; route && n < route->count; n++)
        found |= route->outputs[n] == o;
    route_unref(route);
    return found;
}

/* Whether an output that keeps its positions has not told them yet. */
static bool must_await(struct engine *e, const struct input *in)
{
    if (!plugin_needs_output(in->base.plugin))
        return false;
    for (const struct output *o = e->outputs; o; o = o->next)
        if (o->keeper && !o->up && o->role != OUTPUT_GOING && may_reach(e, in, o))
            return true;
    return false;
}

static void start_now(struct engine *e, struct input *in)
{
    in->awaits = must_await(e, in);
    if (in->awaits) {
        if (in->fresh) { /* a reload does not wait for a sink that is away: another one may mend that */
            in->late = true;
            reload_on_input(e->reload, in, true);
        }
        return;
    }
    heirs_take(e, in);
    input_start(in, e->threads[e->next_thread].loop);
    e->next_thread = (e->next_thread + 1) % e->thread_count;
}

static bool must_wait(struct engine *e, const struct input *in)
{
    return same_identity_stopping(e, in) || heirs_must_wait(e, in);
}

void engine_start_input(struct engine *e, struct input *in)
{
    in->held = in->held && must_wait(e, in);
    e->inputs_held += in->held;
    e->heirs_held += in->held && in->heir;
    if (!in->held)
        start_now(e, in);
}

static void start_awaiting(struct engine *e)
{
    for (struct input *in = e->phase == ENGINE_RUNNING ? e->inputs : NULL; in; in = in->next)
        if (in->awaits && in->state == INPUT_CREATED)
            start_now(e, in);
}

static void start_if_free(struct engine *e, struct input *in)
{
    if (!in->held || !in->placed || must_wait(e, in))
        return;
    in->held = false;
    e->inputs_held--;
    e->heirs_held -= in->heir != NULL;
    start_now(e, in);
}

/* One of that identity has gone: the one that waited for it starts, be it of the same identity or its heir.
 */
static void start_held(struct engine *e, uint32_t hash)
{
    for (struct input *in = first_of_hash(e, hash); in; in = in->next_of_hash)
        start_if_free(e, in);
    for (struct input *in = e->inputs; in && e->heirs_held; in = in->next)
        if (in->heir)
            start_if_free(e, in);
}

static void check_all_ended(struct engine *e)
{
    for (struct input *in = e->inputs; in; in = in->next)
        if (!in->ended)
            return;
    engine_stop(e, EXIT_STOPPED, false);
}

void engine_stop_input(struct engine *e, struct input *in)
{
    if (in->state == INPUT_CREATED) { /* it still waits for another one to stop */
        engine_remove_input(e, in);
    } else {
        engine_stop_owned(e, in);
        input_stop(in);
    }
}

/* A source stays until its inputs are gone: they refer to it, and the next one of its identity waits for it.
 */
static bool is_gone(struct engine *e, struct input *in)
{
    if (!input_is_quiet(in))
        return false;
    in->gone = true;
    for (const struct input *other = in->owns ? e->inputs : NULL; other; other = other->next)
        if (other->owner == in)
            return false;
    return true;
}

static void on_input_stopped(struct engine *e, struct input *in)
{
    if (!is_gone(e, in))
        return;
    e->gone_done += atomic_load(&in->progress_done);
    e->gone_total += atomic_load(&in->progress_total);
    reload_on_input_gone(e->reload, in);
    uint32_t hash = in->identity_hash;
    uint32_t owner_hash = in->owner ? in->owner->identity_hash : hash; /* it may go, too */
    engine_remove_input(e, in);
    if (e->phase == ENGINE_STOPPING_INPUTS && !e->inputs)
        drain_outputs(e);
    if (e->phase == ENGINE_RUNNING && e->inputs_held)
        start_held(e, hash);
    if (e->phase == ENGINE_RUNNING && e->inputs_held && owner_hash != hash)
        start_held(e, owner_hash);
    reload_advance(e->reload);
    if (e->phase == ENGINE_RUNNING && e->inputs)
        check_all_ended(e); /* it may have been the last that had not */
}

static void on_start_failed(struct engine *e, struct input *in)
{
    if (in->late && !in->owner)
        log_error(in->base.alias->chars,
                  "it is left out, and all others go on: the next reload tries it again");
    if (in->state != INPUT_STARTING)
        return; /* told to stop meanwhile */
    if (in->owner && !(in->fresh && reload_can_bring_back(e->reload, in))) {
        in->fresh = in->failed = false;
        engine_start_again(e, in);
        reload_advance(e->reload);
    } else if (in->fresh || in->late) {
        engine_stop_input(e, in);
    } else {
        engine_stop(e, EXIT_START, true);
    }
}

static void on_input_events(struct engine *e, struct input *in, unsigned events)
{
    if ((events & INSTANCE_STARTED) && in->state == INPUT_STARTING) {
        in->state = INPUT_RUNNING;
        in->failed_starts = 0;
    }
    if (in->fresh && (events & (INSTANCE_STARTED | INSTANCE_START_FAILED)))
        reload_on_input(e->reload, in, events & INSTANCE_STARTED);
    if (events & INSTANCE_START_FAILED)
        on_start_failed(e, in);
    if (events & INSTANCE_PROGRESS)
        begin_progress(e);
    if (events & INSTANCE_FAILED)
        engine_stop(e, EXIT_FAILED, true);
    if (events & INSTANCE_ENDED) {
        in->ended = true;
        check_all_ended(e);
    }
    if (events & INSTANCE_STOPPED)
        on_input_stopped(e, in);
}

/* -- Events of outputs ------------------------------------------------------------------------------ */

void engine_tell_ready(struct engine *e)
{
    size_t inputs = 0, outputs = 0;

    for (const struct input *in = e->inputs; in; in = in->next)
        inputs++;
    for (const struct output *o = e->outputs; o; o = o->next)
        outputs++;
    supervisor_ready(e->supervisor, inputs, outputs);
}

static bool is_of_an_input(void *data, const char *spool)
{
    const struct engine *e = data;
    bool found = false;

    for (const struct input *in = e->inputs; in && !found; in = in->next) {
        char *name = in->feed ? spool_name(in->identity) : NULL;
        found = name && !strcmp(name, spool);
        free(name);
    }
    return found;
}

static void start_inputs(struct engine *e)
{
    e->phase = ENGINE_RUNNING;
    heirs_find(e);
    for (struct input *in = e->inputs; in; in = in->next)
        engine_start_input(e, in);
    if (e->data_dir)
        spools_report_orphans(e->data_dir, is_of_an_input, e);
    engine_tell_ready(e);
    reload_on_running(e->reload);
}

static void on_output_up(struct engine *e)
{
    e->starting--;
    if (e->starting == 0 && e->phase == ENGINE_STARTING)
        start_inputs(e);
}

static void on_output_stopped(struct engine *e, struct output *o)
{
    pthread_join(o->thread, NULL);
    o->joined = true;
    e->outputs_alive--;
    if (o->role != OUTPUT_IN_FORCE)
        reload_on_output_gone(e->reload, o);
    if (e->outputs_alive == 0 && e->phase == ENGINE_DRAINING)
        finish(e);
}

static void on_output_failed(struct engine *e, struct output *o)
{
    if (o->role == OUTPUT_IN_FORCE)
        engine_stop(e, EXIT_FAILED, true);
    output_cancel(o); /* it would only retry until the grace is over */
}

static void on_output_events(struct engine *e, struct output *o, unsigned events)
{
    bool in_force = o->role == OUTPUT_IN_FORCE;

    if (events & (o->keeper ? INSTANCE_LOADED : INSTANCE_STARTED))
        o->up = true;
    if (events & INSTANCE_LOADED)
        start_awaiting(e);
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

void engine_on_events(struct weir_instance *i, unsigned events)
{
    if (i->kind == WEIR_INPUT)
        on_input_events(i->engine, (struct input *)i, events);
    else
        on_output_events(i->engine, (struct output *)i, events);
}

/* -- Signals ---------------------------------------------------------------------------------------- */

static void on_terminate(struct engine *e, const char *name)
{
    if (e->cancelled)
        give_up(e);
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

static void reopen_log(struct engine *e)
{
    int rc = log_open(e->service.log_file);

    if (rc < 0)
        log_error("engine", "SIGUSR1: can't open '%s': %s; the log goes on in the old file",
                  e->service.log_file, strerror(-rc));
    else if (e->service.log_file)
        log_info("engine", "SIGUSR1: the log file is opened anew");
}

static void on_signal(void *data, int fd, uint32_t events)
{
    struct engine *e = data;
    struct signalfd_siginfo info;

    (void)events;
    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            reload_ask(e->reload, NULL, NULL);
        else if (info.ssi_signo == SIGUSR1)
            reopen_log(e);
        else
            on_terminate(e, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
    }
}

static int take_signals(struct engine *e)
{
    const sigset_t set = signals_block();

    e->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (e->signal_fd < 0)
        return -errno;
    e->signal_watch = loop_watch_add(e->control, e->signal_fd, EPOLLIN, on_signal, e);
    return e->signal_watch ? 0 : -errno;
}

/* -- Starting --------------------------------------------------------------------------------------- */

static void *input_thread_main(void *data)
{
    struct input_thread *t = data;
    int rc;

    pthread_setname_np(pthread_self(), "inputs");
    callback_thread_begin();
    rc = loop_run(t->loop);
    callback_thread_end();
    if (rc < 0) { /* epoll itself is broken: nothing sensible is left to do */
        log_error("engine", "an input loop ended: %s", strerror(-rc));
        abort();
    }
    return NULL;
}

static int start_threads(struct engine *e)
{
    size_t count = (size_t)e->service.input_threads;

    e->threads = calloc(count, sizeof(*e->threads));
    if (!e->threads)
        return -ENOMEM;
    for (size_t n = 0; n < count; n++) {
        struct input_thread *t = &e->threads[n];
        t->loop = loop_create();
        if (!t->loop)
            return -errno;
        e->thread_count++;
        int rc = pthread_create(&t->thread, NULL, input_thread_main, t);
        if (rc)
            return -rc;
        t->started = true;
    }
    return 0;
}

static void stop_threads(struct engine *e)
{
    for (size_t n = 0; n < e->thread_count; n++) {
        struct input_thread *t = &e->threads[n];
        loop_stop(t->loop);
        if (t->started)
            pthread_join(t->thread, NULL);
        loop_destroy(t->loop);
    }
    free(e->threads);
}

static int start_outputs(struct engine *e)
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

static int add_timers(struct engine *e)
{
    e->dirty_call = (struct loop_call){.fn = on_dirty};
    e->grace_timer = loop_timer_add(e->control, on_grace_timer, e);
    e->flush_timer = loop_timer_add(e->control, on_flush_timer, e);
    e->progress_timer = loop_timer_add(e->control, on_progress_timer, e);
    e->tidy_timer = loop_timer_add(e->control, engine_on_tidy_timer, e);
    e->again_timer = loop_timer_add(e->control, engine_on_again_timer, e);
    return e->grace_timer && e->flush_timer && e->progress_timer && e->tidy_timer && e->again_timer ? 0
                                                                                                    : -ENOMEM;
}

static void remove_timers(struct engine *e)
{
    struct weir_timer *timers[] = {e->grace_timer, e->flush_timer, e->progress_timer, e->tidy_timer,
                                   e->again_timer};

    for (size_t n = 0; n < sizeof(timers) / sizeof(*timers); n++)
        if (timers[n])
            loop_timer_remove(timers[n]);
    if (e->signal_watch)
        loop_watch_remove(e->signal_watch);
    if (e->signal_fd >= 0)
        close(e->signal_fd);
}

static int open_checkpoint(struct engine *e)
{
    char *why = NULL;
    int rc = checkpoint_open(engine_data_dir(e), &e->checkpoint, &why);

    if (rc < 0)
        log_error("checkpoint", "%s", why ? why : strerror(-rc));
    free(why);
    if (rc == 0)
        checkpoint_on_dirty(e->checkpoint, tell_dirty, e);
    return rc;
}

/* What was sent and not delivered, if anything, when all has stopped. */
static void report_left(struct engine *e)
{
    for (struct output *o = e->outputs; o; o = o->next) {
        uint64_t left = atomic_load(&o->gate.used);
        if (left)
            log_warn(o->base.alias->chars,
                     "%" PRIu64 " queued bytes were not delivered; they are read again at the next start",
                     left);
    }
}

static int start_admin(struct engine *e)
{
    e->shown = status_create(e);
    return e->shown ? admin_create(e, e->shown, &e->admin) : -ENOMEM;
}

/* The input loops have ended, so whoever waits for their answers is told now. */
static void stop_admin(struct engine *e)
{
    status_stop(e->shown);
    admin_destroy(e->admin);
    e->admin = NULL;
}

static int watch_threads(struct engine *e)
{
    struct weir_loop **loops = calloc(e->thread_count + 1, sizeof(struct weir_loop *));
    int rc = -ENOMEM;

    for (size_t n = 0; loops && n < e->thread_count; n++)
        loops[n] = e->threads[n].loop;
    if (loops)
        rc = supervisor_watch(e->supervisor, loops, e->thread_count);
    free(loops);
    return rc;
}

static int start_all(struct engine *e)
{
    int rc = take_signals(e);

    if (rc == 0)
        rc = add_timers(e);
    e->reload = reload_create(e);
    if (rc == 0 && !e->reload)
        rc = -ENOMEM;
    if (rc == 0)
        rc = start_admin(e);
    if (rc == 0)
        rc = start_threads(e);
    if (rc == 0)
        rc = watch_threads(e);
    if (rc == 0)
        rc = start_outputs(e);
    if (rc < 0)
        log_error("engine", "can't start: %s", strerror(-rc));
    return rc;
}

/* Options without effect and the like: the log is where they are looked for while weir runs. */
static void log_warnings(struct problems *problems)
{
    for (size_t n = 0; n < problems->count; n++)
        log_warn("config", "%s", problems->items[n].text);
    problems_clear(problems);
}

/* The directory that it lets weir write to must be there. */
static int enforce(struct sandbox *s, const char *data_dir)
{
    char *why = NULL;
    int rc = data_dir ? checkpoint_store_make_dir(data_dir, &why) : 0;

    if (rc == 0)
        rc = sandbox_enforce(s, &why);
    if (rc < 0)
        log_error("sandbox", "%s", why ? why : strerror(-rc));
    free(why);
    return rc;
}

/*
 * Before any plugin is called, as a library of one may make threads. EXIT_STOPPED with the sandbox in force,
 * or the status to end with: what is wrong with the options leaves nothing that a sandbox could be made for.
 */
static int enter_sandbox(const struct config *config, struct registry *registry, struct sandbox **ret,
                         struct problems *problems)
{
    struct problems seen = {0};
    struct engine *e = engine_build_options(config, registry, &seen);
    bool good = e && seen.errors == 0;
    struct sandbox *s = good ? sandbox_plan(e, problems) : NULL;
    int status = EXIT_CONFIG;

    if (!e || (good && !s))
        problem_error(problems, NULL, "no memory for the sandbox");
    if (seen.errors)
        problems_move(problems, &seen);
    if (problems->errors == 0)
        status = enforce(s, e->data_dir) < 0 ? EXIT_START : EXIT_STOPPED;
    problems_clear(&seen); /* warnings: they are told when the options are read for good */
    engine_free(e);
    *ret = s;
    return status;
}

static int run(struct engine *e, struct problems *problems)
{
    log_warnings(problems);
    if (open_checkpoint(e) < 0)
        return EXIT_START;
    log_info("engine", "weir " WEIR_VERSION " starting");
    if (e->sandbox)
        sandbox_log(e->sandbox);
    e->supervisor = supervisor_create(e->control);
    if (!e->supervisor) {
        log_error("engine", "can't start: no memory");
        return EXIT_START;
    }
    supervisor_name_hangs(e->supervisor, e->service.watchdog);
    if (start_all(e) < 0) {
        e->status = EXIT_START;
        engine_stop(e, EXIT_START, true);
    }
    int rc = e->phase == ENGINE_DONE ? 0 : loop_run(e->control);
    if (rc < 0) {
        log_error("engine", "the control loop ended: %s", strerror(-rc));
        e->status = e->status == EXIT_STOPPED ? EXIT_FAILED : e->status;
        give_up(e);
    }
    stop_threads(e);
    stop_admin(e);
    flush_checkpoints(e);
    report_left(e);
    reload_destroy(e->reload);
    e->reload = NULL;
    remove_timers(e);
    supervisor_destroy(e->supervisor);
    e->supervisor = NULL;
    log_info("engine", "stopped");
    return e->status;
}

/* Takes the sandbox over. */
static int build_and_run(const struct config *config, struct registry *registry, engine_load_fn load,
                         void *load_data, struct sandbox *sandbox, struct problems *problems)
{
    struct engine *e = engine_build(config, registry, problems);
    int status = EXIT_CONFIG;

    if (e) {
        e->load = load;
        e->load_data = load_data;
        e->sandbox = sandbox;
        if (problems->errors == 0)
            kill_point_check(registry, problems);
    } else {
        sandbox_destroy(sandbox);
        problem_error(problems, NULL, "no memory to start with");
    }
    if (e && problems->errors == 0)
        status = run(e, problems);
    engine_free(e);
    return status;
}

int engine_run(const struct config *config, struct registry *registry, engine_load_fn load, void *load_data,
               struct problems *problems)
{
    struct sandbox *sandbox = NULL;
    int status = EXIT_STOPPED;

    callback_handle_crashes();
    callback_thread_begin();
    process_prepare();
    signals_block();
    if (config->service.sandbox)
        status = enter_sandbox(config, registry, &sandbox, problems);
    if (status == EXIT_STOPPED)
        status = build_and_run(config, registry, load, load_data, sandbox, problems);
    else
        sandbox_destroy(sandbox);
    callback_thread_end();
    return status;
}

int engine_check(const struct config *config, struct registry *registry, struct problems *problems)
{
    struct engine *e = engine_build(config, registry, problems);

    if (!e)
        problem_error(problems, NULL, "no memory to check it with");
    struct sandbox *sandbox =
        e && problems->errors == 0 && e->service.sandbox ? sandbox_plan(e, problems) : NULL;
    if (sandbox && problems->errors == 0)
        sandbox_print(sandbox, stdout);
    sandbox_destroy(sandbox);
    engine_free(e);
    return problems->errors ? -EINVAL : 0;
}
