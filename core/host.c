/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host table: what plugins may call, each function a few lines that lead to the module that does it. The
 * threads are those of include/weir/plugin.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "engine.h"
#include "input.h"
#include "log.h"
#include "loop.h"
#include "output.h"
#include "text.h"

static struct input *as_input(struct weir_instance *i)
{
    return i->kind == WEIR_INPUT ? (struct input *)i : NULL;
}

static struct output *as_output(struct weir_instance *i)
{
    return i->kind == WEIR_OUTPUT ? (struct output *)i : NULL;
}

/* -- Words ------------------------------------------------------------------------------------------ */

static void host_log(struct weir_instance *i, enum weir_log_level level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_vwrite((int)level, i->alias->chars, format, args);
    va_end(args);
}

static bool host_log_enabled(struct weir_instance *i, enum weir_log_level level)
{
    (void)i;
    return log_enabled((int)level);
}

static void host_error(struct weir_instance *i, const char *format, ...)
{
    va_list args;
    char *text = NULL;

    if (format) {
        va_start(args, format);
        text = text_format(format, args);
        va_end(args);
    }
    instance_set_error(i, text);
}

static void host_fail(struct weir_instance *i, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = text_format(format, args);
    va_end(args);
    log_error(i->alias->chars, "%s", text ? text : "failed");
    instance_set_error(i, text);
    instance_notify(i, INSTANCE_FAILED);
}

/* -- Numbers ---------------------------------------------------------------------------------------- */

static struct weir_metric *host_metric(struct weir_instance *i, enum weir_metric_kind kind, const char *name,
                                       const char *help, const char *label, const char *value)
{
    char full[160];
    struct metrics_label labels[2] = {{i->kind == WEIR_INPUT ? "input" : "output", i->alias->chars, i->alias},
                                      {.name = label, .value = value}};
    int n = snprintf(full, sizeof(full), "weir_%s_%s", i->plugin->api.name, name);

    if (n < 0 || (size_t)n >= sizeof(full))
        return NULL;
    return metrics_get(engine_metrics(i->engine), kind, full, help, labels, label ? 2 : 1, i);
}

/* -- Life cycle ------------------------------------------------------------------------------------- */

static void host_stopped(struct weir_instance *i)
{
    if (i->kind == WEIR_INPUT)
        input_stopped(as_input(i));
    else
        output_stopped(as_output(i));
}

static void host_ended(struct weir_instance *i)
{
    if (as_input(i))
        input_ended(as_input(i));
}

static void host_progress(struct weir_instance *i, uint64_t done, uint64_t total)
{
    struct input *in = as_input(i);

    if (!in)
        return;
    bool first = atomic_load(&in->progress_total) == 0 && total;
    atomic_store(&in->progress_done, done);
    atomic_store(&in->progress_total, total);
    if (first)
        instance_notify(i, INSTANCE_PROGRESS);
}

static const char *host_alias(struct weir_instance *i)
{
    return i->alias->chars;
}

static const char *host_tag(struct weir_instance *i)
{
    return as_input(i) ? input_tag(as_input(i)) : "";
}

static const char *host_topic(struct weir_instance *i)
{
    return as_input(i) ? input_topic(as_input(i)) : "";
}

static struct weir_loop *host_loop(struct weir_instance *i)
{
    return as_input(i) ? as_input(i)->loop : NULL;
}

/* -- Streams and chunks ----------------------------------------------------------------------------- */

static struct weir_stream *host_stream_open(struct weir_instance *i, const char *key)
{
    return as_input(i) ? checkpoint_stream_open(engine_checkpoint(i->engine), as_input(i)->identity, key)
                       : NULL;
}

static int host_stream_each(struct weir_instance *i, int (*fn)(void *data, const struct weir_stream_state *),
                            void *data)
{
    return as_input(i) ? checkpoint_stream_each(engine_checkpoint(i->engine), as_input(i)->identity, fn, data)
                       : 0;
}

static int host_chunk_begin(struct weir_instance *i, const char *tag, const char *topic, size_t size,
                            struct weir_draft **ret)
{
    return as_input(i) ? input_chunk_begin(as_input(i), tag, topic, size, ret) : -EINVAL;
}

static void host_finish(struct weir_instance *i, struct weir_chunk *chunk, enum weir_result result)
{
    output_finish(as_output(i), chunk, result);
}

static void host_reject(struct weir_instance *i, struct weir_chunk *chunk, const void *records, size_t size,
                        uint32_t count, const char *reason)
{
    output_reject(as_output(i), chunk, records, size, count, reason);
}

static int host_wait(struct weir_instance *i, int fd, short events, uint64_t timeout)
{
    return as_output(i) ? output_wait(as_output(i), fd, events, timeout) : -EINVAL;
}

static int host_set_inputs(struct weir_instance *i, const struct weir_input_spec *specs, uint32_t spec_size,
                           size_t count, weir_applied_fn done, void *data)
{
    return as_input(i) ? engine_set_inputs(as_input(i), specs, spec_size, count, done, data) : -EINVAL;
}

static int host_status(struct weir_instance *i, uint64_t limit, weir_status_fn fn, void *data)
{
    return as_input(i) ? engine_ask_status(as_input(i), limit, fn, data) : -EINVAL;
}

static const char *host_data_dir(struct weir_instance *i)
{
    return engine_data_dir(i->engine);
}

static int host_keep_positions(struct weir_instance *i)
{
    return as_output(i) ? output_keep_positions(as_output(i)) : -ENOTSUP;
}

static int host_kept(struct weir_instance *i, const struct weir_kept *kept)
{
    return as_output(i) && as_output(i)->keeper ? checkpoint_kept(engine_checkpoint(i->engine), kept)
                                                : -EINVAL;
}

static int host_positions(struct weir_instance *i, struct weir_chunk *chunk, weir_kept_fn fn, void *data)
{
    return as_output(i) ? output_positions(as_output(i), chunk, fn, data) : -EINVAL;
}

static int host_on_durable(struct weir_instance *i, weir_durable_fn fn, void *data)
{
    return as_input(i) ? input_on_durable(as_input(i), fn, data) : -EINVAL;
}

static const struct weir_host host = {
    .struct_size = sizeof(struct weir_host),
    .abi_version = WEIR_ABI_VERSION,
    .version = WEIR_VERSION,
    .log = host_log,
    .log_enabled = host_log_enabled,
    .error = host_error,
    .fail = host_fail,
    .metric = host_metric,
    .metric_add = metric_add,
    .metric_set = metric_set,
    .stopped = host_stopped,
    .ended = host_ended,
    .progress = host_progress,
    .alias = host_alias,
    .tag = host_tag,
    .topic = host_topic,
    .loop = host_loop,
    .watch_add = loop_watch_add,
    .watch_set = loop_watch_set,
    .watch_remove = loop_watch_remove,
    .timer_add = loop_timer_add,
    .timer_set = loop_timer_set,
    .timer_remove = loop_timer_remove,
    .post = loop_post,
    .stream_open = host_stream_open,
    .stream_state = checkpoint_stream_state,
    .stream_each = host_stream_each,
    .stream_set_meta = checkpoint_stream_set_meta,
    .stream_advance = checkpoint_stream_advance,
    .stream_forget = checkpoint_stream_forget,
    .stream_close = checkpoint_stream_close,
    .chunk_begin = host_chunk_begin,
    .chunk_grow = input_chunk_grow,
    .chunk_send = input_chunk_send,
    .chunk_cancel = input_chunk_cancel,
    .finish = host_finish,
    .reject = host_reject,
    .wait = host_wait,
    .set_inputs = host_set_inputs,
    .data_dir = host_data_dir,
    .status = host_status,
    .keep_positions = host_keep_positions,
    .kept = host_kept,
    .positions = host_positions,
    .on_durable = host_on_durable,
};

const struct weir_host *engine_host(void)
{
    return &host;
}
