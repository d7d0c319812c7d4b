/* SPDX-License-Identifier: Apache-2.0 */
/* What the fake host offers to sources of configuration, and the files and the status for everybody. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "private.h"

struct fake_refused {
    struct fake_refused *next;
    char *id, *reason;
};

static void *keep(struct weir_instance *i, void *bytes)
{
    return fake_keep(&i->set_memory, bytes);
}

static char *keep_text(struct weir_instance *i, const char *text)
{
    return keep(i, fake_copy(text ? text : ""));
}

static bool is_sound(struct weir_instance *i, const struct weir_input_spec *spec)
{
    if (spec->id && *spec->id && spec->name && *spec->name && (!spec->count || spec->settings))
        return true;
    fake_misuse(i->host, i, "set_inputs: a spec lacks its id, name or settings");
    return false;
}

static struct weir_input_spec copy_spec(struct weir_instance *i, const struct weir_input_spec *spec)
{
    struct weir_setting *settings = keep(i, fake_zeroed((spec->count + 1) * sizeof(*settings)));

    for (size_t k = 0; k < spec->count; k++)
        settings[k] = (struct weir_setting){keep_text(i, spec->settings[k].name),
                                            keep_text(i, spec->settings[k].value)};
    return (struct weir_input_spec){.id = keep_text(i, spec->id),
                                    .name = keep_text(i, spec->name),
                                    .origin = keep_text(i, spec->origin),
                                    .settings = settings,
                                    .count = spec->count};
}

/* Why the spec of that id is refused, or NULL. */
static const char *refused_for(const struct weir_instance *i, const char *id)
{
    const struct fake_refused *r = i->refused;

    while (r && strcmp(r->id, id) != 0)
        r = r->next;
    return r ? r->reason : NULL;
}

static void call_applied(void *data)
{
    struct weir_instance *i = data;
    struct weir_refusal *refusals = fake_zeroed((i->set_count + 1) * sizeof(*refusals));
    size_t refused = 0;
    weir_applied_fn fn = i->applied;

    i->set_posted = false;
    for (size_t k = 0; k < i->set_count; k++) {
        const char *reason = refused_for(i, i->set[k].id);
        if (reason)
            refusals[refused++] = (struct weir_refusal){k, reason};
    }
    i->applied = NULL;
    if (fn && i->alive && !atomic_load(&i->stopped))
        fn(i->applied_data, refused ? refusals : NULL, refused);
    free(refusals);
}

static int host_set_inputs(struct weir_instance *i, const struct weir_input_spec *specs, uint32_t spec_size,
                           size_t count, weir_applied_fn done, void *data)
{
    if (!fake_may(i, "set_inputs"))
        return -EINVAL;
    if (spec_size < sizeof(*specs))
        fake_misuse(i->host, i, "set_inputs: spec_size is %u, where %zu are the least", spec_size,
                    sizeof(*specs));
    if (!(i->plugin->flags & WEIR_PLUGIN_SOURCE))
        fake_misuse(i->host, i, "set_inputs: the descriptor lacks the flag WEIR_PLUGIN_SOURCE");
    fake_free_memory(&i->set_memory);
    i->set = keep(i, fake_zeroed((count + 1) * sizeof(*i->set)));
    i->set_count = 0;
    for (size_t k = 0; k < count; k++) {
        const struct weir_input_spec *spec =
            (const struct weir_input_spec *)(const void *)((const char *)specs + k * spec_size);
        if (is_sound(i, spec))
            i->set[i->set_count++] = copy_spec(i, spec);
    }
    i->sets++;
    i->applied = done;
    i->applied_data = data;
    if (!i->set_posted)
        fake_post(&i->host->loop, call_applied, i);
    i->set_posted = true;
    return 0;
}

const struct weir_input_spec *weir_fake_set(const struct weir_instance *i, size_t *ret_count)
{
    *ret_count = i->set_count;
    return i->set;
}

unsigned weir_fake_sets(const struct weir_instance *i)
{
    return i->sets;
}

const char *weir_fake_spec_value(const struct weir_input_spec *spec, const char *name)
{
    for (size_t k = 0; k < spec->count; k++)
        if (strcmp(spec->settings[k].name, name) == 0)
            return spec->settings[k].value;
    return NULL;
}

static void refuse_none(struct weir_instance *i)
{
    for (struct fake_refused *r; (r = i->refused); free(r)) {
        i->refused = r->next;
        free(r->id);
        free(r->reason);
    }
}

void weir_fake_refuse(struct weir_instance *i, const char *id, const char *reason)
{
    struct fake_refused *r;

    if (!id) {
        refuse_none(i);
        return;
    }
    r = fake_zeroed(sizeof(*r));
    *r = (struct fake_refused){i->refused, fake_copy(id), fake_copy(reason)};
    i->refused = r;
}

void fake_sources_finish(struct weir_instance *i)
{
    fake_free_memory(&i->set_memory);
    i->set = NULL;
    i->set_count = 0;
    refuse_none(i);
}

/* -- Files and status ----------------------------------------------------------------------------------- */

struct question {
    struct weir_instance *instance;
    weir_status_fn fn;
    void *data;
};

static const char *host_data_dir(struct weir_instance *i)
{
    return fake_is_there(i, "data_dir") ? i->host->data_dir : NULL;
}

static void answer(void *data)
{
    struct question *q = data;
    const char *status = q->instance->host->status;

    if (q->instance->alive && !atomic_load(&q->instance->stopped))
        q->fn(q->data, status, status ? strlen(status) : 0);
    free(q);
}

static int host_status(struct weir_instance *i, uint64_t limit, weir_status_fn fn, void *data)
{
    struct question *q;

    (void)limit;
    if (!fake_may(i, "status"))
        return -EINVAL;
    q = fake_zeroed(sizeof(*q));
    *q = (struct question){i, fn, data};
    return fake_post(&i->host->loop, answer, q);
}

/* As of an input without storage: disk. */
static int host_on_durable(struct weir_instance *i, weir_durable_fn fn, void *data)
{
    (void)fn;
    (void)data;
    return fake_may(i, "on_durable") ? -ENOTSUP : -EINVAL;
}

void weir_fake_set_data_dir(struct weir_fake *h, const char *path)
{
    free(h->data_dir);
    h->data_dir = fake_copy(path);
}

void weir_fake_set_status(struct weir_fake *h, const char *json)
{
    free(h->status);
    h->status = fake_copy(json);
}

void fake_sources(struct weir_host *table)
{
    table->set_inputs = host_set_inputs;
    table->data_dir = host_data_dir;
    table->status = host_status;
    table->on_durable = host_on_durable;
}
