/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces of the status: what of an engine, an input and an output is shown, and how. Control thread. */
#include "status_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine_private.h"
#include "heirs.h"
#include "sandbox.h"
#include "spool_feed.h"

/* -- JSON ------------------------------------------------------------------------------------------- */

void text_raw(struct text_out *out, const char *json, size_t size)
{
    if (out->comma && weir_json_text(&out->json, ",", 1))
        out->failed = true;
    if (weir_json_text(&out->json, json, size))
        out->failed = true;
    out->comma = true;
}

void text_reserve(struct text_out *out, size_t size)
{
    weir_json_reserve(&out->json, size); /* without memory it is tried again as it grows */
}

void text_open(struct text_out *out, char bracket)
{
    text_raw(out, &bracket, 1);
    out->comma = false;
}

void text_close(struct text_out *out, char bracket)
{
    out->comma = false;
    text_raw(out, &bracket, 1);
}

void text_string(struct text_out *out, const char *value)
{
    if (!value) {
        text_raw(out, "null", 4);
        return;
    }
    text_raw(out, "", 0);
    if (weir_json_string(&out->json, value, strlen(value)))
        out->failed = true;
}

void text_key(struct text_out *out, const char *name)
{
    text_string(out, name);
    out->comma = false;
    text_raw(out, ":", 1);
    out->comma = false;
}

void text_number(struct text_out *out, uint64_t value)
{
    char digits[24];

    text_raw(out, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, value));
}

void text_member(struct text_out *out, const char *name, const char *value)
{
    text_key(out, name);
    text_string(out, value);
}

void text_count(struct text_out *out, const char *name, uint64_t value)
{
    text_key(out, name);
    text_number(out, value);
}

char *text_take(struct text_out *out)
{
    if (weir_json_text(&out->json, "\n", 2))
        out->failed = true;
    if (out->failed)
        weir_json_finish(&out->json);
    return out->json.data;
}

/* -- The pieces ------------------------------------------------------------------------------------- */

static const char *input_state_name(const struct input *in)
{
    static const char *const names[] = {"waiting", "starting", "running", "failed", "stopping", "retiring"};

    return in->ended ? "ended" : names[in->state];
}

static void put_error(struct text_out *out, struct weir_instance *i)
{
    char *error = instance_error(i);

    text_member(out, "error", error);
    free(error);
}

void status_put_head(struct text_out *out, const struct engine *e)
{
    char seconds[32];

    text_member(out, "version", WEIR_VERSION);
    text_key(out, "uptime_s");
    text_raw(out, seconds,
             (size_t)snprintf(seconds, sizeof(seconds), "%.3f", (double)(loop_now() - e->started_at) / 1e9));
    text_count(out, "generation", e->generation);
    text_count(out, "former_inputs", heirs_count_former(e));
    sandbox_put_status(e->sandbox, out);
}

static void put_name(struct text_out *out, const struct weir_instance *i)
{
    text_member(out, "alias", i->alias->chars);
    text_member(out, "name", i->plugin->api.name);
}

static void put_details(struct text_out *out, struct status_details details)
{
    if (details.size)
        text_raw(out, details.text, details.size);
}

static void put_spool(struct text_out *out, const struct input *in)
{
    struct spool_stats stats;

    if (!in->feed || !spool_feed_look(in->feed, &stats))
        return;
    text_key(out, "spool");
    text_open(out, '{');
    text_count(out, "bytes", stats.bytes);
    text_count(out, "limit", in->options->storage_limit);
    text_count(out, "chunks", stats.chunks);
    text_count(out, "oldest_s", input_spool_age(&stats));
    text_count(out, "damaged", stats.damaged);
    text_count(out, "cut_bytes", stats.cut);
    text_close(out, '}');
}

void status_put_input(struct text_out *out, struct input *in, struct status_details details)
{
    text_open(out, '{');
    put_name(out, &in->base);
    text_member(out, "owner", in->owner ? in->owner->base.alias->chars : NULL);
    text_member(out, "tag", input_tag(in));
    text_member(out, "topic", input_topic(in));
    text_member(out, "state", input_state_name(in));
    put_error(out, &in->base);
    text_count(out, "records", (uint64_t)metric_value(in->records));
    text_count(out, "bytes", (uint64_t)metric_value(in->bytes));
    put_spool(out, in);
    put_details(out, details);
    text_close(out, '}');
}

void status_put_source(struct text_out *out, struct input *in, struct status_details details)
{
    text_open(out, '{');
    text_member(out, "alias", in->base.alias->chars);
    put_details(out, details);
    text_close(out, '}');
}

static const char *output_state_name(struct output *o)
{
    pthread_mutex_lock(&o->lock);
    const char *name = o->phase != OUTPUT_RUNNING ? "stopping"
                       : o->held                  ? "waiting" /* for the one that it follows on */
                       : o->failures              ? "retrying"
                                                  : "running";
    pthread_mutex_unlock(&o->lock);
    return o->up ? name : "starting";
}

void status_put_output(struct text_out *out, struct output *o)
{
    text_open(out, '{');
    put_name(out, &o->base);
    text_member(out, "state", output_state_name(o));
    put_error(out, &o->base);
    text_count(out, "queued_bytes", atomic_load(&o->gate.used));
    text_count(out, "records", (uint64_t)metric_value(o->records));
    text_count(out, "bytes", (uint64_t)metric_value(o->bytes));
    text_count(out, "retries", (uint64_t)metric_value(o->retries));
    text_count(out, "rejected", (uint64_t)metric_value(o->rejected));
    text_close(out, '}');
}
