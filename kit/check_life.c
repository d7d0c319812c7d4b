/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives of the plugin in the fake host: create and destroy on this thread, as on weir's control thread;
 * start, write and stop on a thread of the life's own, as an output's or a loop's. How long a life is, and
 * what it is in the middle of when it is stopped, changes from one to the next.
 */
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weir/fake_host.h>
#include "check.h"
#include "loop.h"

enum {
    CHUNKS = 7,        /* an output is given fewer in a life */
    FIRST_MS = 500,    /* how long the first life is given to deliver or to send something */
    PATIENCE_MS = 20,  /* and the others, as long as that comes to something */
    BUDGET_MS = 5000,  /* all of them together */
    LATE_MS = 200,     /* for calls that come after destroy */
    CREATED_ONLY = 10, /* each so many lives end after create */
    FULL = 4,
    RETIRES = 3, /* each so many an input is replaced, where it can retire */
    AWAY = 5,    /* each so many an input finds its outputs full, or is not acknowledged */
};

static const uint64_t MS = 1000000;

struct life {
    const struct check *check;
    const struct weir_plugin *plugin;
    struct weir_fake *fake;
    struct weir_instance *instance;
    unsigned number; /* from 0 */
    bool started, stuck;
    unsigned patience; /* ms, of this life */
    uint64_t waited;   /* ns, in all lives */
    bool fruitless;    /* the first one's waiting led to nothing */
    pthread_t thread;
};

static void pause_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static unsigned patience(const struct life *l)
{
    if (l->number == 0)
        return FIRST_MS;
    return l->fruitless || l->waited > BUDGET_MS * MS ? 0 : PATIENCE_MS;
}

static void note(struct report *r, int which, const char *format, ...) WEIR_PRINTF(3, 4);

static void note(struct report *r, int which, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->note[which], sizeof(r->note[which]), format, args);
    va_end(args);
}

/* -- Outputs -- */

static void write_chunks(struct life *l)
{
    char text[256];
    unsigned count = l->number == 0 ? CHUNKS - 1 : l->number % CHUNKS;

    if (count > 1 && l->waited > BUDGET_MS * MS)
        count = 1;
    for (unsigned k = 0; k < count; k++) {
        snprintf(text, sizeof(text), "life %u, chunk %u\na second line\n", l->number, k);
        weir_fake_write_lines(l->instance, "check.plugin", "check", text);
    }
}

static void count_results(struct life *l)
{
    struct report *r = l->check->report;

    for (size_t k = 0; k < weir_fake_written(l->instance); k++) {
        enum weir_result result = weir_fake_result(l->instance, k);
        r->chunks++;
        r->delivered += result == WEIR_DELIVERED || result == WEIR_REJECTED;
    }
}

static void *run_output(void *data)
{
    struct life *l = data;
    uint64_t begin = loop_now();
    bool settled;

    write_chunks(l);
    settled = weir_fake_settle(l->instance, l->number == 0 || l->number % 3 ? l->patience : 0);
    l->waited += loop_now() - begin;
    if (l->number == 0 && !settled) {
        l->fruitless = true;
        note(l->check->report, 0, "no chunk was finished within %d ms%s%s: is what it writes to there?",
             FIRST_MS, *weir_fake_error(l->fake) ? ", and it says: " : "", weir_fake_error(l->fake));
    }
    if (!settled)
        weir_fake_cancel(l->instance); /* as weir does when it ends without waiting */
    weir_fake_begin_stop(l->instance);
    return NULL;
}

/* -- Inputs -- */

static void check_details(struct life *l)
{
    char *text = weir_fake_details(l->instance);
    json_error_t error;
    json_t *json = text ? json_loads(text, 0, &error) : NULL;

    if (text && !json)
        check_found(l->check->report, "details: writes what is no JSON: %s", error.text);
    json_decref(json);
    free(text);
}

static bool has_sent(void *data)
{
    const struct life *l = data;
    size_t count;

    weir_fake_chunks(l->fake, &count);
    return count > 0 || weir_fake_sets(l->instance) > 0;
}

static void turn(struct life *l)
{
    unsigned rounds = l->number % 9;

    if (l->number == 0)
        weir_fake_until(l->fake, has_sent, l, FIRST_MS);
    for (unsigned k = 0; k < rounds; k++)
        weir_fake_turn(l->fake, l->number % 2 ? 0 : 1);
    if (l->number % FULL == 1) {
        weir_fake_set_full(l->instance, false);
        weir_fake_turn(l->fake, 1);
        weir_fake_turn(l->fake, 0);
    }
}

static bool has_stopped(void *data)
{
    return weir_fake_is_stopped(data);
}

static void count_sent(struct life *l)
{
    size_t count;

    weir_fake_chunks(l->fake, &count);
    l->check->report->sent += (unsigned)count;
    l->check->report->sets += weir_fake_sets(l->instance);
}

static bool has_ended(void *data)
{
    return weir_fake_is_ended(data);
}

static void *run_input(void *data)
{
    struct life *l = data;

    turn(l);
    check_details(l);
    if (l->number % RETIRES == 1 && weir_fake_retire(l->instance))
        weir_fake_until(l->fake, has_ended, l->instance, l->patience);
    weir_fake_begin_stop(l->instance);
    weir_fake_until(l->fake, has_stopped, l->instance, (unsigned)(l->check->limit / MS));
    if (weir_fake_is_stopped(l->instance))
        weir_fake_turn(l->fake, 0); /* what was posted before comes before destroy */
    count_sent(l);
    return NULL;
}

/* -- One life -- */

static void *run(void *data)
{
    struct life *l = data;
    int r;

    if (l->plugin->kind == WEIR_INPUT && l->number % FULL == 1)
        weir_fake_set_full(l->instance, true);
    weir_fake_acknowledge_at_once(l->fake, l->number % AWAY != 1);
    r = weir_fake_start(l->instance);
    l->started = r == 0;
    if (r < 0) {
        note(l->check->report, 1, "start fails, so only create, start and destroy were looked at: %s",
             *weir_fake_error(l->fake) ? weir_fake_error(l->fake) : strerror(-r));
        if (!*weir_fake_error(l->fake))
            check_found(l->check->report,
                        "start: fails with %d and does not say why: host->error comes first", r);
        return NULL;
    }
    l->check->report->started++;
    return l->plugin->kind == WEIR_INPUT ? run_input(l) : run_output(l);
}

/* Waits for the life's thread. One that waits in host->wait is told to give up after a while. */
static void join(struct life *l)
{
    struct timespec end;

    if (l->plugin->kind == WEIR_OUTPUT) {
        clock_gettime(CLOCK_REALTIME, &end);
        uint64_t ns = (uint64_t)end.tv_nsec + (l->patience + 500) * MS;
        end = (struct timespec){.tv_sec = end.tv_sec + (time_t)(ns / 1000000000),
                                .tv_nsec = (long)(ns % 1000000000)};
        if (pthread_timedjoin_np(l->thread, NULL, &end) == 0)
            return;
        weir_fake_cancel(l->instance);
    }
    pthread_join(l->thread, NULL); /* the parent has an eye on the time */
}

/* False: it can't go on. */
static bool end_life(struct life *l)
{
    struct report *r = l->check->report;

    if (l->started && !weir_fake_is_stopped(l->instance)) {
        check_found(r, "ignores stop: host->stopped was not called %s",
                    l->plugin->kind == WEIR_INPUT ? "in time" : "when stop had returned");
        l->stuck = true;
        return false;
    }
    if (l->started && l->plugin->kind == WEIR_OUTPUT)
        count_results(l);
    weir_fake_drop(l->instance);
    l->instance = NULL;
    return true;
}

static bool live(struct life *l, const void *config)
{
    struct report *r = l->check->report;
    uint64_t before[16];

    atomic_store(&r->cycle, l->number + 1);
    l->started = false;
    l->patience = patience(l); /* before the life's thread counts on */
    if (l->number == 0)
        check_note_descriptors(before);
    l->instance = weir_fake_new_with(l->fake, l->plugin, "checked", config);
    if (!l->instance) {
        const char *why = weir_fake_error(l->fake);
        check_found(r, "create fails: %s", *why ? why : "and does not say why: host->error comes first");
        return false;
    }
    if (l->number == 0)
        check_opened(r, before);
    if (l->number % CREATED_ONLY != CREATED_ONLY - 1) {
        if (pthread_create(&l->thread, NULL, run, l) != 0) {
            check_found(r, "no further thread can be started");
            return false;
        }
        join(l);
    }
    if (!end_life(l))
        return false;
    if (l->number == 0)
        pause_ms(LATE_MS); /* calls that come after destroy are told of now */
    if (l->number % AWAY == 2)
        weir_fake_crash(l->fake);
    weir_fake_forget(l->fake);
    return true;
}

/* -- All of them -- */

static void on_misuse(void *data, const char *alias, const char *text)
{
    (void)alias;
    check_found(data, "%s", text);
}

static void on_callback(void *data, const char *callback)
{
    struct report *r = data;

    atomic_store(&r->since, 0);
    if (!callback)
        return;
    snprintf(r->callback, sizeof(r->callback), "%s", callback);
    atomic_store(&r->since, loop_now());
}

/* The first lives fill what is kept for ever: they do not count. */
static unsigned warm_up(unsigned cycles)
{
    return cycles < 20 ? cycles / 2 : cycles / 10 < 10 ? 10 : cycles / 10;
}

static void live_all(struct life *l, const void *config)
{
    unsigned cycles = l->check->cycles, warm = warm_up(cycles), taken = 0;
    struct resources samples[SAMPLES];

    for (; l->number < cycles; l->number++) {
        if (l->number >= warm && taken < SAMPLES - 1 &&
            (l->number - warm) * (SAMPLES - 1) >= taken * (cycles - warm))
            samples[taken++] = check_resources();
        if (!live(l, config))
            return;
    }
    while (taken < SAMPLES) /* more than one only where there were hardly any lives */
        samples[taken++] = check_resources();
    if (cycles > warm)
        check_growth(l->check->report, samples, cycles - warm);
    pause_ms(LATE_MS);
}

void check_life(const struct check *check, const struct weir_plugin *plugin, const void *config)
{
    struct life life = {.check = check, .plugin = plugin, .fake = weir_fake_create()};

    weir_fake_on_misuse(life.fake, on_misuse, check->report);
    weir_fake_on_callback(life.fake, on_callback, check->report);
    weir_fake_set_status(life.fake, "{\"inputs\":[],\"outputs\":[]}");
    if (*check->report->data_dir)
        weir_fake_set_data_dir(life.fake, check->report->data_dir);
    if (check->verbose)
        setenv("FAKE_HOST_LOG", "1", 1);
    live_all(&life, config);
    if (life.stuck) { /* its code runs on: it is left as it is */
        atomic_store(&check->report->done, true);
        _exit(0);
    }
    if (!life.instance)
        weir_fake_destroy(life.fake);
}
