/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outputs: queue, worker thread, retry. A slot is in exactly one of the lists queued, in_flight and retry,
 * from output_push until it is finished for good. Locks: the output's own, never held while a plugin or
 * another module (but metrics) is called.
 */
#include "output.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "callback.h"
#include "engine.h"
#include "log.h"
#include "spool.h"
#include "write_all.h"

static const uint64_t SECOND = 1000000000;
/* Chunks stay in a keeper's queue until a whole transaction is through: with less, reading waits for it. */
static const uint64_t KEEPERS_QUEUE = 128 << 20;
/* Inputs are far faster than what keeps positions: what is read just before it is sent is still in the
 * processor's cache then. */
static const uint64_t KEEPERS_AHEAD = 2 << 20;

const struct weir_option output_options[] = {
    {.name = "name",
     .type = WEIR_OPTION_STRING,
     .flags = WEIR_OPTION_REQUIRED,
     .offset = offsetof(struct output_options, name),
     .help = "the plugin"},
    {.name = "alias",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct output_options, alias),
     .help = "name of this instance in logs and metrics (default: plugin.number)"},
    {.name = "match",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct output_options, match),
     .help = "takes records whose tag matches; * stands for anything (default: every tag)"},
    {.name = "match_regex",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct output_options, match_regex),
     .help = "takes records whose tag matches this regular expression (PCRE2), too"},
    {.name = "match_topic",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct output_options, match_topic),
     .help = "of those, only the records whose topic matches; * stands for anything"},
    {.name = "queue_size",
     .type = WEIR_OPTION_SIZE,
     .offset = offsetof(struct output_options, queue_size),
     .def = "16M",
     .min = 64 << 10,
     .max = (int64_t)1 << 40,
     .help = "bytes that wait for this output or are being delivered, before its inputs pause (an output "
             "that keeps positions has 128M by default)"},
    {.name = "retry_limit",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct output_options, retry_limit),
     .def = "no_limits",
     .help = "how often a chunk is written again before it is rejected: a number, no_limits or no_retries"},
    {.name = "dead_letter_file",
     .type = WEIR_OPTION_PATH,
     .flags = WEIR_OPTION_WRITES,
     .offset = offsetof(struct output_options, dead_letter_file),
     .help =
         "rejected records are appended to this file, as msgpack; it is opened for each, so it may be renamed"},
    {.name = "workers",
     .type = WEIR_OPTION_IGNORED,
     .help = "an output has one thread, which keeps the order"},
    {.name = "storage.total_limit_size",
     .type = WEIR_OPTION_IGNORED,
     .help = "queue_size bounds what waits for an output"},
    {0},
};

/* -- Making one ------------------------------------------------------------------------------------- */

static int parse_retry_limit(struct output *o, const struct section *section, struct problems *problems)
{
    const char *text = o->options.retry_limit;
    int64_t n;

    if (!strcasecmp(text, "no_limits") || !strcasecmp(text, "false") || !strcasecmp(text, "off")) {
        o->attempts_max = 0;
    } else if (!strcasecmp(text, "no_retries")) {
        o->attempts_max = 1;
    } else if (option_parse_int(text, &n) == 0 && n >= 1 && n < 1000000) {
        o->attempts_max = (unsigned)n + 1;
    } else {
        struct origin origin = section_origin(section, "retry_limit");
        problem_error(problems, &origin,
                      "retry_limit must be a number from 1 on, no_limits or no_retries, not '%s'", text);
        return -EINVAL;
    }
    return 0;
}

int output_add_rule(struct output *o, struct router *router, const struct origin *origin,
                    struct problems *problems)
{
    char *why = NULL;
    int rc = router_add(router, o, o->options.match, o->options.match_regex, o->options.match_topic, &why);

    if (rc < 0)
        problem_error(problems, origin, "match_regex: %s", why ? why : strerror(-rc));
    free(why);
    return rc;
}

static int set_up(struct output *o, struct engine *engine, const struct plugin *plugin,
                  const struct section *section, const char *default_alias, struct problems *problems)
{
    struct option_table common = {.options = output_options,
                                  .row_size = sizeof(struct weir_option),
                                  .values = &o->options,
                                  .values_size = sizeof(o->options)};
    int rc = instance_init(&o->base, engine, plugin, section, &common, problems);

    if (rc == 0)
        rc = instance_set_alias(&o->base, o->options.alias, default_alias, problems);
    if (rc == 0)
        o->hash = spool_output_hash(o->base.alias->chars);
    if (rc == 0)
        rc = parse_retry_limit(o, section, problems);
    gate_init(&o->gate, o->options.queue_size);
    gate_init(&o->ahead, KEEPERS_AHEAD);
    o->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return rc == 0 && o->cancel_fd < 0 ? -errno : rc;
}

static void add_metrics(struct output *o)
{
    struct metrics *m = engine_metrics(o->base.engine);
    struct metrics_label label = {"output", o->base.alias->chars, o->base.alias};

    o->records =
        metrics_get(m, WEIR_COUNTER, "weir_output_records", "Records delivered by an output.", &label, 1, o);
    o->bytes = metrics_get(m, WEIR_COUNTER, "weir_output_bytes",
                           "Bytes of records (msgpack) delivered by an output.", &label, 1, o);
    o->retries = metrics_get(m, WEIR_COUNTER, "weir_output_retries", "Chunks that were to be written again.",
                             &label, 1, o);
    o->rejected = metrics_get(m, WEIR_COUNTER, "weir_output_rejected_records",
                              "Records that an output refused for good.", &label, 1, o);
    o->queue_bytes =
        metrics_get(m, WEIR_GAUGE, "weir_output_queue_bytes",
                    "Bytes of chunks that wait for an output or are under way in it.", &label, 1, o);
}

static void set_queue_size(struct output *o, uint64_t size)
{
    o->options.queue_size = size;
    gate_set_limit(&o->gate, size);
}

struct output *output_create(struct engine *engine, const struct plugin *plugin,
                             const struct section *section, const char *default_alias,
                             struct problems *problems)
{
    struct output *o = calloc(1, sizeof(*o));

    if (!o) {
        problem_error(problems, &section->origin, "no memory for this output");
        return NULL;
    }
    o->cancel_fd = -1;
    atomic_init(&o->refs, 1);
    pthread_mutex_init(&o->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&o->changed, &attr);
    pthread_condattr_destroy(&attr);
    int rc = set_up(o, engine, plugin, section, default_alias, problems);
    if (rc == 0)
        rc = instance_create(&o->base, problems);
    else if (rc != -EINVAL)
        problem_error(problems, &section->origin, "can't make this output: %s", strerror(-rc));
    if (rc < 0) {
        output_destroy(o);
        return NULL;
    }
    if (o->keeper && !o->base.plugin->api.load) {
        problem_error(problems, &section->origin, "plugin %s keeps positions, but can't load them",
                      o->base.plugin->path);
        output_destroy(o);
        return NULL;
    }
    if (o->keeper && !section_get(section, "queue_size"))
        set_queue_size(o, KEEPERS_QUEUE);
    add_metrics(o);
    return o;
}

static void drop_all(struct slot_list *l)
{
    while (l->first) {
        struct chunk_slot *s = l->first;
        slot_list_remove(l, s);
        chunk_slot_done(s, false);
    }
}

void output_destroy(struct output *o)
{
    if (!o)
        return;
    struct engine *engine = o->base.engine;
    if (o->started && !o->joined)
        pthread_join(o->thread, NULL);
    instance_finish(&o->base);
    drop_all(&o->in_flight);
    drop_all(&o->retry);
    drop_all(&o->queued);
    if (engine)
        metrics_drop(engine_metrics(engine), o);
    if (o->cancel_fd >= 0)
        close(o->cancel_fd);
    o->cancel_fd = -1;
    output_unref(o);
}

void output_ref(struct output *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
}

void output_unref(struct output *o)
{
    while (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1) {
        struct output *successor = o->successor;
        gate_finish(&o->gate);
        gate_finish(&o->ahead);
        pthread_cond_destroy(&o->changed);
        pthread_mutex_destroy(&o->lock);
        free(o);
        o = successor;
    }
}

/* -- Finishing chunks ------------------------------------------------------------------------------- */

/* The pause after the nth failure in a row: doubles from base to cap, the last half of it at random. */
static uint64_t backoff(struct output *o)
{
    unsigned doublings = o->failures < 32 ? o->failures : 32;
    uint64_t base, cap, chance;

    engine_retry_pauses(o->base.engine, &base, &cap);
    uint64_t pause = base << doublings;
    if (pause > cap || pause >> doublings != base)
        pause = cap;
    /* Another on each host: what they all lost at one moment does not see them all come back at one. */
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
        chance = loop_now();
    return pause / 2 + chance % (pause / 2 + 1);
}

static void schedule_retry(struct output *o, struct chunk_slot *s)
{
    metric_add(o->retries, 1);
    if (!o->pausing) { /* chunks that come back together are one failure, and one pause */
        o->not_before = loop_now() + backoff(o);
        o->failures++;
        o->pausing = true;
    }
    slot_list_insert_by_id(&o->retry, s); /* back into the order of sending */
}

static void finish_for_good(struct output *o, struct chunk_slot *s)
{
    gate_leave(&o->gate, s->chunk->block_size);
    if (s->chunk->spooled)
        spool_entry_note(s->chunk->spooled, o->hash);
    chunk_slot_done(s, true);
    WEIR_KILL_POINT("after-acknowledge");
}

static void reject_chunk(struct output *o, struct chunk_slot *s, const char *reason)
{
    const struct weir_chunk *c = &s->chunk->view;

    output_reject(o, &s->chunk->view, c->data, c->size, c->records, reason);
    finish_for_good(o, s);
}

static struct chunk_slot *slot_of(struct output *o, struct weir_chunk *view)
{
    struct chunk *c = chunk_of_view(view);
    size_t n = 0;

    while (atomic_load_explicit(&c->slots[n].output, memory_order_relaxed) != o)
        n++;
    return &c->slots[n];
}

/* `at_once`: write returned it. Then one that had to let others go before it has not failed. */
static void finish(struct output *o, struct weir_chunk *view, enum weir_result result, bool at_once)
{
    struct chunk_slot *s = slot_of(o, view);
    bool exhausted = false;

    pthread_mutex_lock(&o->lock);
    slot_list_remove(&o->in_flight, s);
    if (result == WEIR_RETRY) {
        s->attempts += !(at_once && o->passed);
        o->passed |= view->id < o->in_hand;
        exhausted = o->attempts_max && s->attempts >= o->attempts_max;
        if (!exhausted)
            schedule_retry(o, s);
    } else {
        o->failures = 0;
    }
    /* Only a worker that waits for in_flight to empty, or for a retry, needs to be told. */
    if (result == WEIR_RETRY || o->phase != OUTPUT_RUNNING || o->retry.first)
        pthread_cond_signal(&o->changed);
    pthread_mutex_unlock(&o->lock);

    if (result == WEIR_DELIVERED) {
        WEIR_KILL_POINT("after-delivery");
        metric_add(o->records, view->records);
        metric_add(o->bytes, view->size);
        finish_for_good(o, s);
    } else if (result != WEIR_RETRY) {
        reject_chunk(o, s, "the output refused the chunk");
    } else if (exhausted) {
        reject_chunk(o, s, "retry_limit was reached");
    }
}

void output_finish(struct output *o, struct weir_chunk *view, enum weir_result result)
{
    finish(o, view, result, false);
}

/* -- Dead letters ----------------------------------------------------------------------------------- */

/* Outputs may share a file. */
static pthread_mutex_t dead_letter_lock = PTHREAD_MUTEX_INITIALIZER;

/* The whole of it, or nothing: behind half a record none can be read. Opened each time, as it may have been
 * renamed since; 0 or a negative errno. */
static int append_dead_letter(const char *path, const uint8_t *data, size_t size)
{
    struct stat st = {0};
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    if (fd < 0)
        return -errno;
    int rc = fstat(fd, &st) < 0 ? -errno : write_all(fd, data, size);
    if (rc < 0 && S_ISREG(st.st_mode) && ftruncate(fd, st.st_size) < 0)
        rc = -errno; /* the worse of the two: what is torn stays */
    close(fd);
    return rc;
}

static void write_dead_letter(struct output *o, const uint8_t *data, size_t size)
{
    pthread_mutex_lock(&dead_letter_lock);
    int rc = append_dead_letter(o->options.dead_letter_file, data, size);
    pthread_mutex_unlock(&dead_letter_lock);
    if (rc < 0)
        log_error(o->base.alias->chars,
                  "can't write to dead_letter_file %s: %s; the rejected records are gone",
                  o->options.dead_letter_file, strerror(-rc));
}

void output_reject(struct output *o, struct weir_chunk *c, const void *records, size_t size, uint32_t count,
                   const char *reason)
{
    metric_add(o->rejected, count);
    log_error(o->base.alias->chars, "rejected %u records of %s (tag %s): %s", count, c->input, c->tag,
              reason);
    if (records && o->options.dead_letter_file)
        write_dead_letter(o, records, size);
}

/* -- The thread ------------------------------------------------------------------------------------- */

static void wait_until(struct output *o, uint64_t when)
{
    struct timespec ts = {.tv_sec = (time_t)(when / SECOND), .tv_nsec = (long)(when % SECOND)};

    pthread_cond_timedwait(&o->changed, &o->lock, &ts);
}

/* Waits for something to change where nothing may be written now: true. Lock held. */
static bool wait_for_turn(struct output *o)
{
    bool retrying = o->retry.first;

    if (!o->held && o->phase != OUTPUT_LEAVING && !(retrying && o->in_flight.first) &&
        (retrying || o->queued.first || (o->phase == OUTPUT_DRAINING && !o->in_flight.first)))
        return false;
    if (o->phase == OUTPUT_LEAVING && !o->in_flight.first)
        return false;
    pthread_cond_wait(&o->changed, &o->lock);
    return true;
}

/* One that another output has given up is read again in another life. */
static bool others_are_done(struct chunk *c)
{
    return atomic_load(&c->pending) == 1 && !atomic_load(&c->lost);
}

/* The next slot to write, moved to in_flight; waits for it. NULL: nothing more is to be written. Lock held.
 */
static struct chunk_slot *next_slot(struct output *o)
{
    while (o->phase != OUTPUT_CANCELLED) {
        if (wait_for_turn(o))
            continue;
        if (o->phase == OUTPUT_LEAVING)
            return NULL;
        struct slot_list *from = o->retry.first ? &o->retry : &o->queued;
        struct chunk_slot *s = from->first;
        if (!s)
            return NULL;
        if (o->keeper && !others_are_done(s->chunk)) {
            pthread_cond_wait(&o->changed, &o->lock);
            continue;
        }
        if (from == &o->retry && loop_now() < o->not_before) {
            wait_until(o, o->not_before);
            continue;
        }
        if (from == &o->retry)
            o->pausing = false;
        slot_list_remove(from, s);
        slot_list_append(&o->in_flight, s);
        if (o->keeper && from == &o->queued)
            gate_leave(&o->ahead, s->chunk->block_size);
        o->in_hand = s->chunk->view.id;
        o->passed = false;
        return s;
    }
    return NULL;
}

static void write_chunks(struct output *o)
{
    const struct weir_plugin *api = &o->base.plugin->api;
    struct chunk_slot *s;

    for (;;) {
        pthread_mutex_lock(&o->lock);
        s = next_slot(o);
        pthread_mutex_unlock(&o->lock);
        if (!s)
            return;
        struct weir_chunk *view = &s->chunk->view;
        if (o->keeper && checkpoint_is_kept(s->chunk->checkpoint, &s->chunk->set)) {
            output_finish(o, view, WEIR_DELIVERED);
            continue;
        }
        struct callback_before before = callback_enter(o->base.alias, "write");
        int result = api->write(o->base.self, view);
        callback_leave(before);
        if (result != WEIR_LATER) /* then the chunk may be gone already */
            finish(o, view, (enum weir_result)result, true);
    }
}

static void stop_plugin(struct output *o)
{
    const struct weir_plugin *api = &o->base.plugin->api;

    if (!api->stop)
        return;
    struct callback_before before = callback_enter(o->base.alias, "stop");
    api->stop(o->base.self);
    callback_leave(before);
    pthread_mutex_lock(&o->lock);
    while (!o->stopped)
        pthread_cond_wait(&o->changed, &o->lock);
    pthread_mutex_unlock(&o->lock);
}

static bool start_plugin(struct output *o)
{
    const struct weir_plugin *api = &o->base.plugin->api;
    struct callback_before before = callback_enter(o->base.alias, "start");
    int rc = api->start ? api->start(o->base.self) : 0;

    callback_leave(before);
    if (rc < 0) {
        char *text = instance_error(&o->base);
        log_error(o->base.alias->chars, "can't start: %s", text ? text : strerror(-rc));
        free(text);
    }
    instance_notify(&o->base, rc < 0 ? INSTANCE_START_FAILED : INSTANCE_STARTED);
    return rc == 0;
}

/* Waits until the output that it follows on is gone. Whether it is to go on. */
static bool wait_for_release(struct output *o)
{
    pthread_mutex_lock(&o->lock);
    while (o->held && o->phase == OUTPUT_RUNNING)
        pthread_cond_wait(&o->changed, &o->lock);
    bool released = !o->held && o->phase < OUTPUT_LEAVING;
    pthread_mutex_unlock(&o->lock);
    return released;
}

/* What it keeps goes into the checkpoint; the inputs wait for that. Whether it may be given chunks. */
static bool load_positions(struct output *o)
{
    if (!o->keeper)
        return true;
    if (!wait_for_release(o))
        return false;
    struct callback_before before = callback_enter(o->base.alias, "load");
    int rc = o->base.plugin->api.load(o->base.self);

    callback_leave(before);
    if (rc < 0 && wait_for_release(o)) {
        char *text = instance_error(&o->base);
        log_error(o->base.alias->chars, "can't load the positions that it keeps: %s",
                  text ? text : strerror(-rc));
        free(text);
        instance_notify(&o->base, INSTANCE_LOAD_FAILED);
    } else if (rc == 0) {
        instance_notify(&o->base, INSTANCE_LOADED);
    }
    return rc == 0;
}

static void *thread_main(void *data)
{
    struct output *o = data;
    char name[16];

    snprintf(name, sizeof(name), "%s", o->base.alias->chars);
    pthread_setname_np(pthread_self(), name);
    callback_thread_begin();
    if (start_plugin(o)) {
        if (load_positions(o))
            write_chunks(o);
        WEIR_KILL_POINT("drain-output");
        stop_plugin(o);
    }
    callback_thread_end();
    instance_notify(&o->base, INSTANCE_STOPPED);
    return NULL;
}

int output_start(struct output *o)
{
    int rc = pthread_create(&o->thread, NULL, thread_main, o);

    o->started = rc == 0;
    return -rc;
}

static void set_phase(struct output *o, enum output_phase phase)
{
    pthread_mutex_lock(&o->lock);
    if (o->phase < phase)
        o->phase = phase;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

void output_drain(struct output *o)
{
    pthread_mutex_lock(&o->lock);
    bool loading = o->keeper && !o->up && !o->queued.first && !o->in_flight.first;
    pthread_mutex_unlock(&o->lock);
    set_phase(o, OUTPUT_DRAINING);
    if (loading) /* nothing was read as yet */
        output_cancel(o);
}

void output_cancel(struct output *o)
{
    uint64_t one = 1;

    set_phase(o, OUTPUT_CANCELLED);
    while (write(o->cancel_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

bool output_enter(struct output *o, struct gate_waiter *waiter)
{
    return gate_enter(&o->gate, waiter) && (!o->keeper || gate_enter(&o->ahead, waiter));
}

void output_charge(struct output *o, uint64_t bytes)
{
    gate_add(&o->gate, bytes);
    if (o->keeper)
        gate_add(&o->ahead, bytes);
}

void output_open_gates(struct output *o)
{
    gate_set_limit(&o->gate, UINT64_MAX);
    gate_set_limit(&o->ahead, UINT64_MAX);
}

void output_push(struct output *o, struct chunk_slot *s)
{
    pthread_mutex_lock(&o->lock);
    while (o->closed) {
        struct output *next = o->successor; /* which o holds, and the chunk's route holds o */
        pthread_mutex_unlock(&o->lock);
        if (!next) {
            chunk_slot_done(s, true);
            return;
        }
        o = next;
        atomic_store_explicit(&s->output, o, memory_order_relaxed);
        pthread_mutex_lock(&o->lock);
    }
    output_charge(o, s->chunk->block_size);
    slot_list_append(&o->queued, s);
    pthread_cond_signal(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

bool output_keeps(const struct output *o)
{
    return o->keeper;
}

void output_wake(struct output *o)
{
    if (!o->keeper)
        return;
    pthread_mutex_lock(&o->lock);
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

/* -- Calls of the plugin ---------------------------------------------------------------------------- */

int output_keep_positions(struct output *o)
{
    if (o->base.self || o->started)
        return -ENOTSUP;
    o->keeper = true;
    return 0;
}

int output_positions(struct output *o, struct weir_chunk *view, weir_kept_fn fn, void *data)
{
    struct chunk *c = chunk_of_view(view);

    (void)o;
    return checkpoint_positions(c->checkpoint, &c->set, fn, data);
}

int output_wait(struct output *o, int fd, short events, uint64_t timeout)
{
    struct pollfd fds[2] = {{.fd = o->cancel_fd, .events = POLLIN}, {.fd = fd, .events = events}};
    struct timespec ts = {.tv_sec = (time_t)(timeout / SECOND), .tv_nsec = (long)(timeout % SECOND)};
    int n;

    struct callback_before before = callback_enter(NULL, NULL); /* here it may stay for as long as it likes */
    do
        n = ppoll(fds, fd < 0 ? 1 : 2, timeout == UINT64_MAX ? NULL : &ts, NULL);
    while (n < 0 && errno == EINTR);
    callback_leave(before);
    if (n < 0)
        return -errno;
    if (fds[0].revents)
        return -ECANCELED;
    return n == 0 ? -ETIMEDOUT : 0;
}

void output_stopped(struct output *o)
{
    pthread_mutex_lock(&o->lock);
    o->stopped = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
}
