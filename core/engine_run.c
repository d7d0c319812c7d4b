/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a configuration to a run and to its end: the sandbox, all threads and timers, the control loop until
 * something stops it, and everything taken down in turn. Control thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "admin.h"
#include "callback.h"
#include "checkpoint_store.h"
#include "engine_private.h"
#include "kill_point.h"
#include "log.h"
#include "process.h"
#include "reload.h"
#include "sandbox.h"
#include "signals.h"

/* -- Threads and timers ------------------------------------------------------------------------------- */

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

static int add_timers(struct engine *e)
{
    e->grace_timer = loop_timer_add(e->control, engine_on_grace_timer, e);
    e->flush.timer = loop_timer_add(e->control, engine_on_flush_timer, e);
    e->progress_timer = loop_timer_add(e->control, engine_on_progress_timer, e);
    e->tidy_timer = loop_timer_add(e->control, engine_on_tidy_timer, e);
    e->again_timer = loop_timer_add(e->control, engine_on_again_timer, e);
    if (!e->grace_timer || !e->flush.timer || !e->progress_timer || !e->tidy_timer || !e->again_timer)
        return -ENOMEM;
    return trim_init(&e->trim, e->control, e->pool);
}

static void remove_timers(struct engine *e)
{
    struct weir_timer *timers[] = {e->grace_timer, e->flush.timer, e->progress_timer, e->tidy_timer,
                                   e->again_timer};

    for (size_t n = 0; n < sizeof(timers) / sizeof(*timers); n++)
        if (timers[n])
            loop_timer_remove(timers[n]);
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
    int rc = engine_take_signals(e);

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
        rc = engine_start_outputs(e);
    if (rc < 0)
        log_error("engine", "can't start: %s", strerror(-rc));
    return rc;
}

/* -- The sandbox -------------------------------------------------------------------------------------- */

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

/* -- From start to end -------------------------------------------------------------------------------- */

/* Options without effect and the like: the log is where they are looked for while weir runs. */
static void log_warnings(struct problems *problems)
{
    for (size_t n = 0; n < problems->count; n++)
        log_warn("config", "%s", problems->items[n].text);
    problems_clear(problems);
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

static int run(struct engine *e, struct problems *problems)
{
    log_warnings(problems);
    if (engine_open_checkpoint(e) < 0)
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
        engine_give_up(e);
    }
    stop_threads(e);
    stop_admin(e);
    engine_flush(e);
    report_left(e);
    reload_destroy(e->reload);
    e->reload = NULL;
    remove_timers(e);
    engine_leave_signals(e);
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
