/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs: options that each one has, the way onto its loop and off it, and the making of chunks with
 * backpressure. An input that was told to wait stays on the list of the gate that had no room; that gate
 * posts `resume` to the loop.
 */
#include "input.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weir/kill_point.h>
#include "callback.h"
#include "engine.h"
#include "heirs.h"
#include "log.h"
#include "output.h"
#include "spool_feed.h"

#define IGNORED(key, why)                                         \
    {                                                             \
        .name = (key), .type = WEIR_OPTION_IGNORED, .help = (why) \
    }

/* In the order of enum input_storage; the last two are Fluent Bit's. */
static const char *const storages[] = {"memory", "disk", "filesystem", "memrb", NULL};

const struct weir_option input_options[] = {
    {.name = "name",
     .type = WEIR_OPTION_STRING,
     .flags = WEIR_OPTION_REQUIRED,
     .offset = offsetof(struct input_options, name),
     .help = "the plugin"},
    {.name = "alias",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct input_options, alias),
     .help = "name of this instance in logs, metrics and checkpoints (default: plugin.number)"},
    {.name = "tag",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct input_options, tag),
     .help = "what outputs match on (default: the alias)"},
    {.name = "topic",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct input_options, topic),
     .help = "Kafka topic of the records, for outputs that don't set one"},
    {.name = "storage",
     .alias = "storage.type",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct input_options, storage),
     .def = "memory",
     .choices = storages,
     .help = "disk (or filesystem): what comes in is kept in data_dir until every output has it"},
    {.name = "storage_limit",
     .alias = "storage.total_limit_size",
     .type = WEIR_OPTION_SIZE,
     .offset = offsetof(struct input_options, storage_limit),
     .def = "1G",
     .min = 1 << 20,
     .max = (int64_t)1 << 50,
     .help = "bytes that storage: disk may take, before the input is held back"},
    IGNORED("mem_buf_limit", "an output's queue_size and service.memory_limit bound memory"),
    IGNORED("threaded", "service.input_threads spreads inputs over threads"),
    IGNORED("storage.pause_on_chunks_overlimit", "a full output always pauses the inputs that route to it"),
    {0},
};

static void point_to_settings(struct input *);

static void free_identity(struct input *in)
{
    if (!in->lent)
        free(in->identity);
    in->lent = false;
}

/* Its streams have the same text, which stays as long as the checkpoint. */
static void lend_identity(struct input *in)
{
    const char *kept = checkpoint_identity(engine_checkpoint(in->base.engine), in->identity);

    if (!kept || in->lent)
        return;
    if (in->id)
        in->id = kept + (in->id - in->identity);
    free_identity(in);
    in->identity = (char *)kept;
    in->lent = true;
    if (!in->options)
        point_to_settings(in);
}

/* FNV-1a: most of ten thousand others are told apart without reading their text. */
uint32_t input_identity_hash(const char *identity)
{
    uint32_t h = 2166136261u;

    for (const char *p = identity; p && *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619u;
    return h;
}

void input_set_identity(struct input *in, char *identity)
{
    free_identity(in);
    in->identity = identity;
    in->identity_hash = input_identity_hash(identity);
}

bool input_has_identity(const struct input *in, const char *identity, uint32_t hash)
{
    return in->identity_hash == hash && !strcmp(in->identity, identity);
}

/* -- Making one ----------------------------------------------------------------------------------- */

/* A list as it was understood, so that blanks between its items make no other identity. */
static void print_list(FILE *f, const struct weir_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        fprintf(f, "%s%s", i ? "," : "", list->items[i]);
}

/* "tail:/var/log/a.log,/var/log/b.log": the plugin and the values of its identity options. */
char *input_plain_identity(const struct input *in, const struct section *section)
{
    const struct weir_plugin *api = &in->base.plugin->api;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    fprintf(f, "%s:", api->name);
    for (size_t n = 0; api->options; n++) {
        struct weir_option o = option_row(api->options, api->option_size, n);
        if (!o.name)
            break;
        if (!(o.flags & WEIR_OPTION_IDENTITY))
            continue;
        const struct setting *s = section_get(section, o.name);
        if (!s && o.alias)
            s = section_get(section, o.alias);
        if (s && o.type == WEIR_OPTION_LIST)
            print_list(f, (const struct weir_list *)((const char *)in->base.config + o.offset));
        for (size_t v = 0; s && o.type != WEIR_OPTION_LIST && v < s->count; v++)
            fprintf(f, "%s%s", v ? "," : "", s->values[v]);
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static void wake(struct gate_waiter *w)
{
    struct input *in = (struct input *)((char *)w - offsetof(struct input, waiter));

    loop_post_call(in->loop, &in->resume_call);
}

static void on_start(struct loop_call *);
static void on_stop(struct loop_call *);
static void on_retire(struct loop_call *);
static void on_resume(struct loop_call *);
static void on_stopped(struct loop_call *);
static void on_gone(struct loop_call *);

static void post_life(struct input *in, struct weir_loop *loop, void (*fn)(struct loop_call *))
{
    in->life_call = (struct loop_call){.fn = fn};
    loop_post_call(loop, &in->life_call);
}

/* Whether what it sends is to be kept on disk. */
static bool wants_disk(const struct input *in, const struct section *section, struct problems *problems)
{
    const struct origin origin =
        section_origin(section, section_get(section, "storage") ? "storage" : "storage.type");
    bool disk = in->options->storage == STORAGE_DISK || in->options->storage == STORAGE_FILESYSTEM;

    if (in->options->storage == STORAGE_MEMRB)
        problem_warn(problems, &origin,
                     "storage.type memrb is memory here: a full output pauses its inputs, and "
                     "nothing is dropped");
    if (disk && (in->base.plugin->api.flags & (WEIR_PLUGIN_SOURCE | WEIR_PLUGIN_REREADS))) {
        problem_warn(
            problems, &origin,
            "storage: disk has no effect for %s: what it reads can be read again, and it goes on where "
            "every output has it, so a copy would only cost",
            in->base.plugin->api.name);
        return false;
    }
    return disk;
}

static int set_up_storage(struct input *in, const struct section *section, struct problems *problems)
{
    const struct origin origin =
        section_origin(section, section_get(section, "storage") ? "storage" : "storage.type");

    if (!wants_disk(in, section, problems))
        return 0;
    if (!engine_data_dir(in->base.engine)) {
        problem_error(problems, &origin,
                      "storage: disk needs service.data_dir, where it keeps what comes in");
        return -EINVAL;
    }
    in->feed = spool_feed_create(in);
    return in->feed ? 0 : -ENOMEM;
}

static int set_up(struct input *in, struct engine *engine, const struct plugin *plugin,
                  const struct section *section, const char *default_alias, struct problems *problems)
{
    struct input_options *options = in->options = calloc(1, sizeof(*options));
    struct option_table common = {.options = input_options,
                                  .row_size = sizeof(struct weir_option),
                                  .values = options,
                                  .values_size = sizeof(*options)};
    int rc = options ? instance_init(&in->base, engine, plugin, section, &common, problems) : -ENOMEM;

    if (rc < 0)
        return rc;
    in->tag = options->tag;
    in->topic = options->topic;
    rc = instance_set_alias(&in->base, options->alias, default_alias, problems);
    if (rc < 0)
        return rc;
    rc = set_up_storage(in, section, problems);
    if (rc < 0)
        return rc;
    input_set_identity(in, options->alias ? strdup(options->alias) : input_plain_identity(in, section));
    return in->identity ? 0 : -ENOMEM;
}

static void add_metrics(struct input *in)
{
    struct metrics *m = engine_metrics(in->base.engine);
    struct metrics_label labels[] = {{"input", in->base.alias->chars, in->base.alias},
                                     {.name = "tag", .value = input_tag(in)}};

    in->records =
        metrics_get(m, WEIR_COUNTER, "weir_input_records", "Records sent by an input.", labels, 2, in);
    in->bytes = metrics_get(m, WEIR_COUNTER, "weir_input_bytes",
                            "Bytes of records (msgpack) sent by an input.", labels, 2, in);
}

static int add_spool_metrics(struct input *in)
{
    struct metrics *m = engine_metrics(in->base.engine);
    struct metrics_label label = {"input", in->base.alias->chars, in->base.alias};

    in->spool_metrics = malloc(sizeof(*in->spool_metrics));
    if (!in->spool_metrics)
        return -ENOMEM;
    *in->spool_metrics = (struct input_spool_metrics){
        metrics_get(m, WEIR_GAUGE, "weir_spool_bytes", "Bytes that an input's spool takes on disk.", &label,
                    1, in),
        metrics_get(m, WEIR_GAUGE, "weir_spool_chunks",
                    "Chunks in an input's spool that some output is still to have.", &label, 1, in),
        metrics_get(m, WEIR_GAUGE, "weir_spool_oldest_seconds",
                    "Age of the oldest chunk that waits in an input's spool.", &label, 1, in),
        metrics_get(m, WEIR_COUNTER, "weir_spool_damaged",
                    "Damaged pieces of an input's spool that were passed over.", &label, 1, in),
        metrics_get(m, WEIR_COUNTER, "weir_spool_cut_bytes",
                    "Bytes of torn writes that were cut from an input's spool.", &label, 1, in),
    };
    return 0;
}

uint64_t input_spool_age(const struct spool_stats *stats)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    return stats->oldest && ns > stats->oldest ? (ns - stats->oldest) / 1000000000 : 0;
}

void input_show_spool(struct input *in)
{
    struct spool_stats stats;

    if (!in->feed || !spool_feed_look(in->feed, &stats))
        return;
    metric_set(in->spool_metrics->bytes, (int64_t)stats.bytes);
    metric_set(in->spool_metrics->chunks, (int64_t)stats.chunks);
    metric_set(in->spool_metrics->age, (int64_t)input_spool_age(&stats));
    metric_set(in->spool_metrics->damaged, (int64_t)stats.damaged);
    metric_set(in->spool_metrics->cut, (int64_t)stats.cut);
}

struct input *input_create(struct engine *engine, const struct plugin *plugin, const struct section *section,
                           const char *default_alias, struct problems *problems)
{
    struct input *in = calloc(1, sizeof(*in));
    int rc;

    if (!in) {
        problem_error(problems, &section->origin, "no memory for this input");
        return NULL;
    }
    in->waiter.wake = wake;
    in->resume_call = (struct loop_call){.fn = on_resume};
    rc = set_up(in, engine, plugin, section, default_alias, problems);
    if (rc == 0 && in->feed)
        rc = add_spool_metrics(in);
    if (rc == -ENOMEM)
        problem_error(problems, &section->origin, "no memory for this input");
    if (rc == 0) {
        add_metrics(in);
        rc = instance_create(&in->base, problems);
    }
    if (rc < 0) {
        input_destroy(in);
        return NULL;
    }
    return in;
}

/* One of them may be the id itself. */
static void point_to_settings(struct input *in)
{
    in->tag = spec_shared_value(in->settings, in->id, "tag");
    in->topic = spec_shared_value(in->settings, in->id, "topic");
}

void input_drop_config(struct input *in)
{
    if (!(in->base.plugin->api.flags & WEIR_PLUGIN_COPIES_CONFIG) || in->feed)
        return;
    instance_drop_config(&in->base);
    free(in->options);
    in->options = NULL;
    point_to_settings(in);
}

void input_destroy(struct input *in)
{
    if (!in)
        return;
    struct engine *engine = in->base.engine;
    instance_finish(&in->base);
    if (engine)
        metrics_drop(engine_metrics(engine), in);
    route_unref(in->route);
    spool_feed_free(in->feed);
    free(in->spool_metrics);
    free(in->options);
    heirs_free(in->heir);
    free_identity(in);
    spec_unshare(in->settings);
    free(in);
}

/* -- Life ------------------------------------------------------------------------------------------ */

void input_start(struct input *in, struct weir_loop *loop)
{
    in->loop = loop;
    in->state = INPUT_STARTING;
    lend_identity(in);
    post_life(in, loop, on_start);
}

static int start_storage(struct input *in)
{
    char *why = NULL;
    int rc = in->feed ? spool_feed_start(in->feed, &why) : 0;

    if (rc < 0)
        instance_set_error(&in->base, why);
    return rc;
}

static void on_start(struct loop_call *call)
{
    struct input *in = LOOP_CALL_OF(call, struct input, life_call);
    const struct weir_plugin *api = &in->base.plugin->api;

    in->running = true;
    int rc = start_storage(in);
    struct callback_before before = callback_enter(in->base.alias, "start");
    if (rc == 0 && api->start)
        rc = api->start(in->base.self);
    callback_leave(before);
    if (rc == 0 && in->feed)
        spool_feed_run(in->feed);
    if (rc < 0) {
        in->running = false;
        gate_forget(&in->waiter); /* `start` may have sent something */
        if (in->feed)
            spool_feed_stop(in->feed);
        char *text = instance_error(&in->base);
        log_error(in->base.alias->chars, "can't start: %s", text ? text : strerror(-rc));
        free(text);
    }
    instance_notify(&in->base, rc < 0 ? INSTANCE_START_FAILED : INSTANCE_STARTED);
}

static void post_stop(struct input *in, void (*fn)(struct loop_call *))
{
    in->state = INPUT_STOPPING;
    in->stop_call = (struct loop_call){.fn = fn};
    loop_post_call(in->loop, &in->stop_call);
}

void input_stop(struct input *in)
{
    post_stop(in, on_stop);
}

void input_retire(struct input *in)
{
    post_stop(in, in->ended ? on_stop : on_retire);
}

static void stop_plugin(struct input *in)
{
    struct callback_before before = callback_enter(in->base.alias, "stop");

    in->base.plugin->api.stop(in->base.self);
    callback_leave(before);
}

static void on_stop(struct loop_call *call)
{
    struct input *in = LOOP_CALL_OF(call, struct input, stop_call);

    WEIR_KILL_POINT("drain-input");
    if (!in->running) /* it failed to start */
        post_life(in, in->loop, on_stopped);
    else if (in->base.plugin->api.stop)
        stop_plugin(in);
    else
        input_stopped(in);
}

/* What goes through a spool is on disk by then. A source is needed as long as its inputs. */
static bool may_retire(const struct input *in)
{
    const struct weir_plugin *api = &in->base.plugin->api;

    return in->running && api->retire && !in->feed && !(api->flags & WEIR_PLUGIN_SOURCE);
}

static bool retire_plugin(struct input *in)
{
    struct callback_before before = callback_enter(in->base.alias, "retire");
    int more = in->base.plugin->api.retire(in->base.self);

    callback_leave(before);
    return more > 0;
}

static void on_retire(struct loop_call *call)
{
    struct input *in = LOOP_CALL_OF(call, struct input, stop_call);

    if (may_retire(in) && retire_plugin(in))
        instance_notify(&in->base, INSTANCE_RETIRING);
    else
        on_stop(call);
}

void input_stopped(struct input *in)
{
    if (!in->running)
        return;
    in->running = false;
    WEIR_KILL_POINT("drain-input-stopped");
    gate_forget(&in->waiter);
    if (in->feed)
        spool_feed_stop(in->feed);
    /* Behind whatever was posted to the loop before: those calls may still use the instance. */
    post_life(in, in->loop, on_stopped);
}

static void on_stopped(struct loop_call *call)
{
    struct input *in = LOOP_CALL_OF(call, struct input, life_call);

    post_life(in, engine_control(in->base.engine), on_gone);
}

/* Control thread. */
static void on_gone(struct loop_call *call)
{
    struct input *in = LOOP_CALL_OF(call, struct input, life_call);

    WEIR_KILL_POINT("drain-input-gone");
    engine_on_events(&in->base, INSTANCE_STOPPED);
}

bool input_is_quiet(struct input *in)
{
    in->lingers = in->asking > 0; /* the last answer leads here again */
    if (!in->gave_set && !in->asking)
        return true;
    if (!in->lingers)
        input_go_round(in);
    return false;
}

void input_go_round(struct input *in)
{
    in->lingers = in->gave_set = false;
    post_life(in, in->loop, on_stopped);
}

void input_ended(struct input *in)
{
    if (in->feed && in->running)
        spool_feed_ended(in->feed);
    else
        instance_notify(&in->base, INSTANCE_ENDED);
}

int input_on_durable(struct input *in, weir_durable_fn fn, void *data)
{
    if (!in->feed)
        return -ENOTSUP;
    return in->running ? spool_feed_on_durable(in->feed, fn, data) : -ECANCELED;
}

static void resume_plugin(struct input *in)
{
    struct callback_before before = callback_enter(in->base.alias, "resume");

    if (in->base.plugin->api.resume)
        in->base.plugin->api.resume(in->base.self);
    callback_leave(before);
}

static void on_resume(struct loop_call *call)
{
    struct input *in = LOOP_CALL_OF(call, struct input, resume_call);

    in->waiting = false;
    if (in->running)
        resume_plugin(in);
}

void input_reroute(struct input *in)
{
    if (in->route && !router_is_current(engine_router(in->base.engine), in->route)) {
        route_unref(in->route);
        in->route = NULL;
    }
    if (in->feed && in->running)
        spool_feed_reroute(in->feed);
    /* One that waits at the gate of an output that goes has been woken by that gate. */
    if (!in->running || in->waiting || !in->warned_no_route)
        return;
    in->warned_no_route = false;
    resume_plugin(in);
}

/* -- Chunks ---------------------------------------------------------------------------------------- */

struct route *input_route(struct input *in, const char *tag, const char *topic)
{
    struct route *r = in->route;

    struct router *router = engine_router(in->base.engine);

    if (r && router_is_current(router, r) && !strcmp(r->tag, tag) && !strcmp(r->topic, topic))
        return r;
    r = router_get(router, tag, topic);
    if (!r)
        return NULL;
    route_unref(in->route);
    in->route = r;
    return r;
}

bool input_has_room(struct input *in, const struct route *route, struct gate_waiter *waiter)
{
    if (!gate_enter(pool_gate(engine_pool(in->base.engine)), waiter))
        return false;
    for (size_t n = 0; n < route->count; n++)
        if (!output_enter(route->outputs[n], waiter))
            return false;
    return true;
}

/* Where the chunks of one go to disk, that is what must have room. */
static bool has_room(struct input *in, const struct route *route)
{
    return in->feed ? spool_feed_has_room(in->feed) : input_has_room(in, route, &in->waiter);
}

static void warn_no_route(struct input *in, const struct route *route)
{
    if (!in->warned_no_route)
        log_warn(in->base.alias->chars, "no output matches tag '%s' and topic '%s': nothing of it is read",
                 route->tag, route->topic);
    in->warned_no_route = true;
}

/* Each would wait for the other. Where the tag was known before, the configuration was refused. */
static void warn_two_keepers(struct input *in, const struct route *route)
{
    if (!in->warned_no_route)
        log_warn(
            in->base.alias->chars,
            "%zu outputs that keep positions match tag '%s' and topic '%s', and one can: nothing of it is "
            "read",
            route->keepers, route->tag, route->topic);
    in->warned_no_route = true;
}

int input_chunk_begin(struct input *in, const char *tag, const char *topic, size_t size,
                      struct weir_draft **ret)
{
    if (!in->base.plugin->api.resume)
        return -EINVAL;
    if (in->waiting || !in->running)
        return -EAGAIN;
    struct route *route = input_route(in, tag ? tag : input_tag(in), topic ? topic : input_topic(in));
    if (!route)
        return -ENOMEM;
    if (route->keepers > 1) {
        warn_two_keepers(in, route);
        return -EAGAIN;
    }
    if (route->count == 0) {
        warn_no_route(in, route);
        return -EAGAIN;
    }
    in->waiting = true;
    if (!has_room(in, route))
        return -EAGAIN;
    in->waiting = false;
    struct engine *e = in->base.engine;
    struct chunk *c = chunk_create(engine_pool(e), engine_checkpoint(e), route, in->base.alias, size);
    if (!c)
        return -ENOMEM;
    c->sender = in;
    *ret = &c->draft;
    return 0;
}

int input_chunk_grow(struct weir_draft **draft, size_t room)
{
    struct chunk *c = chunk_of_draft(*draft);
    int rc = chunk_grow(&c, room);

    if (rc == 0)
        *draft = &c->draft;
    return rc;
}

void input_chunk_send(struct weir_draft *draft, const struct weir_position *positions, size_t count)
{
    struct chunk *c = chunk_of_draft(draft);
    struct input *in = c->sender;
    bool sealed;

    WEIR_KILL_POINT("after-read");
    metric_add(in->records, draft->records);
    metric_add(in->bytes, draft->size);
    if (in->feed) {
        spool_feed_send(in->feed, c, positions, count);
        return;
    }
    if (chunk_seal(c, positions, count, &sealed) < 0) {
        /* To go on would let a later position of the stream be committed past this one. */
        log_error(in->base.alias->chars,
                  "no memory for the positions of a chunk: ending at once; nothing that was not "
                  "delivered counts as read");
        abort();
    }
    for (size_t n = 0, outputs = sealed ? c->route->count : 0; n < outputs; n++)
        output_push(c->route->outputs[n], &c->slots[n]);
    WEIR_KILL_POINT("after-enqueue");
}

void input_chunk_cancel(struct weir_draft *draft)
{
    chunk_cancel(chunk_of_draft(draft));
}
