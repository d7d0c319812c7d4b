/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of inputs from a plugin that is a source of configuration. The request is copied on the source's loop,
 * applied on the control thread, and answered on the loop.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine_private.h"
#include "log.h"

enum { LARGE_SET = 1000 };

/* One spec, copied: a section as the configuration file would have it. */
struct spec {
    char *id, *origin;
    struct section section;
    char *settings; /* the whole as text, for comparing */
    char *refusal;  /* NULL: applied */
};

struct set_request {
    struct input *owner;
    struct spec *specs;
    size_t count;
    weir_applied_fn done;
    void *data;
};

/* -- Copying ---------------------------------------------------------------------------------------- */

static void spec_free(struct spec *s)
{
    for (size_t i = 0; i < s->section.count; i++) {
        struct setting *set = &s->section.settings[i];
        for (size_t v = 0; v < set->count; v++)
            free(set->values[v]);
        free(set->values);
        free(set->name);
    }
    free(s->section.settings);
    free(s->id);
    free(s->origin);
    free(s->settings);
    free(s->refusal);
}

static void request_free(struct set_request *r)
{
    if (!r)
        return;
    bool large = r->count >= LARGE_SET;
    for (size_t i = 0; i < r->count; i++)
        spec_free(&r->specs[i]);
    free(r->specs);
    free(r);
    if (large)
        malloc_trim(
            0); /* the copies lie between what stays: without this, the process would keep their pages */
}

/* Adds a value: to the setting of that name, which becomes a list, or as a new one. The section has room. */
static int add_value(struct section *section, const struct origin *origin, const char *name,
                     const char *value)
{
    struct setting *s = NULL;

    for (size_t i = 0; i < section->count && !s; i++)
        if (!strcasecmp(section->settings[i].name, name))
            s = &section->settings[i];
    if (!s) {
        s = &section->settings[section->count];
        *s = (struct setting){.name = strdup(name), .origin = *origin};
        if (!s->name)
            return -ENOMEM;
        section->count++;
    }
    char **values = reallocarray(s->values, s->count + 1, sizeof(*values));
    if (!values)
        return -ENOMEM;
    s->values = values;
    s->values[s->count] = strdup(value);
    if (!s->values[s->count])
        return -ENOMEM;
    s->count++;
    s->is_list = s->count > 1;
    return 0;
}

/* "4:name=4:tail\n4:path=…\n", with lengths, so that different settings never give the same text. */
static char *settings_text(const struct section *section)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    for (size_t i = 0; i < section->count; i++)
        for (size_t v = 0; v < section->settings[i].count; v++)
            fprintf(f, "%zu:%s=%zu:%s\n", strlen(section->settings[i].name), section->settings[i].name,
                    strlen(section->settings[i].values[v]), section->settings[i].values[v]);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int spec_copy(struct spec *s, const struct weir_input_spec *from)
{
    s->id = strdup(from->id ? from->id : "");
    s->origin = strdup(from->origin ? from->origin : "");
    s->section.settings = calloc(from->count + 1, sizeof(*s->section.settings));
    if (!s->id || !s->origin || !s->section.settings)
        return -ENOMEM;
    s->section.origin = (struct origin){.file = s->origin};
    int rc = add_value(&s->section, &s->section.origin, "name", from->name ? from->name : "");
    for (size_t i = 0; rc == 0 && i < from->count; i++)
        rc = add_value(&s->section, &s->section.origin, from->settings[i].name, from->settings[i].value);
    s->settings = rc == 0 ? settings_text(&s->section) : NULL;
    return s->settings ? 0 : -ENOMEM;
}

/* -- Answering -------------------------------------------------------------------------------------- */

/* On the owner's loop. */
static void answer(void *data)
{
    struct set_request *r = data;
    size_t count = 0;
    struct weir_refusal *refusals = calloc(r->count + 1, sizeof(*refusals));

    for (size_t i = 0; refusals && i < r->count; i++)
        if (r->specs[i].refusal)
            refusals[count++] = (struct weir_refusal){.index = i, .reason = r->specs[i].refusal};
    if (r->done && r->owner->running)
        r->done(r->data, refusals, count);
    free(refusals);
    request_free(r);
}

/* -- Applying --------------------------------------------------------------------------------------- */

/* The inputs of one owner, sorted by id: a set may have ten thousand. */
struct owned {
    struct input **items;
    size_t count;
};

static int compare_owned(const void *a, const void *b)
{
    const struct input *x = *(struct input *const *)a, *y = *(struct input *const *)b;
    int order = strcmp(x->id, y->id);

    /* Those that are stopping come last among equals. */
    return order ? order : (x->state == INPUT_STOPPING) - (y->state == INPUT_STOPPING);
}

static int collect_owned(struct engine *e, const struct input *owner, struct owned *ret)
{
    size_t count = 0;

    for (struct input *in = e->inputs; in; in = in->next)
        count += in->owner == owner;
    ret->items = calloc(count + 1, sizeof(struct input *));
    if (!ret->items)
        return -ENOMEM;
    for (struct input *in = e->inputs; in; in = in->next)
        if (in->owner == owner)
            ret->items[ret->count++] = in;
    qsort(ret->items, ret->count, sizeof(struct input *), compare_owned);
    return 0;
}

/* The first with that id, or NULL. */
static struct input *find_owned(const struct owned *o, const char *id)
{
    size_t low = 0, high = o->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(o->items[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < o->count && !strcmp(o->items[low]->id, id) ? o->items[low] : NULL;
}

static char *join_problems(const struct problems *p)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return strdup("refused");
    bool first = true;
    for (size_t i = 0; i < p->count; i++) {
        if (p->items[i].warning)
            continue;
        fprintf(f, "%s%s", first ? "" : "; ", p->items[i].text);
        first = false;
    }
    if (fclose(f) != 0) {
        free(text);
        return strdup("refused");
    }
    return text;
}

/* Its identity is the owner's and the id: an alias or an option may change and the positions stay. */
static int take_over(struct input *in, struct input *owner, struct spec *s)
{
    char *identity;

    if (asprintf(&identity, "%s/%s", owner->identity, s->id) < 0)
        return -ENOMEM;
    input_set_identity(in, identity);
    in->owner = owner;
    in->id = strdup(s->id);
    in->settings = strdup(s->settings);
    in->origin_text = s->origin;
    s->origin = NULL; /* base.origin points into it */
    in->wanted = true;
    return in->id && in->settings ? 0 : -ENOMEM;
}

/* plugin NULL: what the registry has under that name. */
static struct input *create_owned(struct engine *e, struct input *owner, struct spec *s,
                                  const struct plugin *plugin, struct problems *problems)
{
    char *why = NULL, *alias = NULL;
    const struct setting *name = section_get(&s->section, "name");
    struct input *in = NULL;

    if (!plugin)
        plugin = registry_find(e->registry, WEIR_INPUT, name->values[0], &why);

    if (!plugin)
        problem_error(problems, NULL, "%s", why ? why : "no memory");
    else if (asprintf(&alias, "%s/%s", owner->base.alias->chars, s->id) < 0)
        alias = NULL;
    else
        in = input_create(e, plugin, &s->section, alias, problems);
    free(alias);
    free(why);
    if (in && take_over(in, owner, s) < 0) {
        input_destroy(in);
        in = NULL;
    }
    if (!in && problems->errors == 0)
        problem_error(problems, NULL, "no memory");
    return in;
}

/* An alias or a route that the whole configuration does not allow. The one it replaces may have the same
 * alias. */
static bool fits_in(struct engine *e, const struct input *in, const struct input *replaced,
                    struct problems *problems)
{
    const char *alias = in->base.alias->chars;

    if (in->options.alias && engine_find_alias(e, alias) &&
        (!replaced || strcmp(replaced->base.alias->chars, alias) != 0))
        problem_error(problems, NULL, "alias '%s' is there already", alias);
    struct route *route = router_get(e->router, in->tag, in->topic);
    if (route && route->count == 0 && plugin_needs_output(in->base.plugin) && !strchr(in->tag, '*'))
        problem_error(problems, NULL, "no output matches tag '%s' and topic '%s'", in->tag, in->topic);
    route_unref(route);
    return problems->errors == 0;
}

/* What is there stays in force where the new spec is refused. */
static void apply_spec(struct engine *e, struct input *owner, struct spec *s, const struct owned *owned)
{
    struct input *old = find_owned(owned, s->id);
    struct input *running = old && old->state != INPUT_STOPPING ? old : NULL;
    struct problems problems = {0};

    if (running && !strcmp(running->settings, s->settings)) {
        running->wanted = true;
        return;
    }
    struct input *in = create_owned(e, owner, s, NULL, &problems);
    if (in && !fits_in(e, in, running, &problems)) {
        input_destroy(in);
        in = NULL;
    }
    if (!in) {
        s->refusal = join_problems(&problems);
        if (running)
            running->wanted = true;
    } else {
        in->held = old != NULL;
        engine_add_input(e, in);
    }
    problems_clear(&problems);
}

static int compare_ids(const void *a, const void *b)
{
    const struct spec *x = *(struct spec *const *)a, *y = *(struct spec *const *)b;
    int order = strcmp(x->id, y->id);

    return order ? order : (x > y) - (x < y);
}

/* An id that is missing, or was there before in the same set. */
static void refuse_bad_ids(struct set_request *r)
{
    struct spec **sorted = calloc(r->count + 1, sizeof(struct spec *));

    for (size_t i = 0; sorted && i < r->count; i++)
        sorted[i] = &r->specs[i];
    if (sorted)
        qsort(sorted, r->count, sizeof(struct spec *), compare_ids);
    for (size_t i = 0; sorted && i < r->count; i++) {
        if (!*sorted[i]->id)
            sorted[i]->refusal = strdup("it has no id");
        else if (i && !strcmp(sorted[i]->id, sorted[i - 1]->id))
            sorted[i]->refusal = strdup("an earlier entry of the set has the same id");
    }
    free(sorted);
}

/* Stops what is not wanted any more, and starts what is new. */
static void sweep(struct engine *e, struct input *owner)
{
    struct input *next;

    for (struct input *in = e->inputs; in; in = next) {
        next = in->next;
        if (in->owner != owner)
            continue;
        if (!in->wanted && in->state == INPUT_CREATED) {
            engine_remove_input(e, in);
        } else if (!in->wanted && in->state != INPUT_STOPPING) {
            engine_stop_owned(e, in);
            next = in->next; /* it may have been one of those */
            input_stop(in);
        } else if (in->wanted && in->state == INPUT_CREATED && !in->placed) {
            in->placed = true;
            engine_start_input(e, in);
        }
    }
}

/* Control thread. */
static void apply(void *data)
{
    struct set_request *r = data;
    struct input *owner = r->owner;
    struct engine *e = owner->base.engine;
    struct owned owned = {0};

    if (e->phase == ENGINE_RUNNING && owner->state != INPUT_STOPPING &&
        collect_owned(e, owner, &owned) == 0) {
        for (struct input *in = e->inputs; in; in = in->next)
            in->wanted = in->owner != owner;
        refuse_bad_ids(r);
        for (size_t i = 0; i < r->count; i++)
            if (!r->specs[i].refusal)
                apply_spec(e, owner, &r->specs[i], &owned);
        sweep(e, owner);
        free(owned.items);
    }
    owner->gave_set = owner->owns = true;
    if (loop_post(owner->loop, answer, r) < 0)
        request_free(r);
}

int engine_set_inputs(struct input *owner, const struct weir_input_spec *specs, uint32_t spec_size,
                      size_t count, weir_applied_fn done, void *data)
{
    struct set_request *r = calloc(1, sizeof(*r));
    int rc = r ? 0 : -ENOMEM;

    if (rc == 0)
        r->specs = calloc(count + 1, sizeof(*r->specs));
    if (rc < 0 || !r->specs) {
        request_free(r);
        return -ENOMEM;
    }
    r->owner = owner;
    r->done = done;
    r->data = data;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct weir_input_spec spec = {0};
        size_t known = spec_size < sizeof(spec) ? spec_size : sizeof(spec);
        memcpy(&spec, (const char *)specs + i * spec_size, known);
        r->count = i + 1;
        rc = spec_copy(&r->specs[i], &spec);
    }
    if (rc == 0)
        rc = loop_post(engine_control(owner->base.engine), apply, r);
    if (rc < 0)
        request_free(r);
    return rc;
}

void engine_stop_owned(struct engine *e, const struct input *owner)
{
    struct input *next;

    for (struct input *in = owner->owns ? e->inputs : NULL; in; in = next) {
        next = in->next;
        if (in->owner != owner || in->state == INPUT_STOPPING)
            continue;
        if (in->state == INPUT_CREATED)
            engine_remove_input(e, in);
        else
            input_stop(in);
    }
}

/* -- Making one anew -------------------------------------------------------------------------------- */

/* The text behind "5:" at *text, copied; *text is moved behind it and the character that follows. */
static char *take_counted(const char **text)
{
    char *end;
    size_t size = strtoul(*text, &end, 10);
    char *copy = strndup(end + 1, size);

    *text = end + 1 + size + 1;
    return copy;
}

/* What settings_text wrote. */
static int parse_settings(struct section *section, const char *text)
{
    size_t lines = 0;
    int rc = 0;

    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    section->settings = calloc(lines + 1, sizeof(*section->settings));
    if (!section->settings)
        return -ENOMEM;
    while (*text && rc == 0) {
        char *name = take_counted(&text), *value = take_counted(&text);
        rc = name && value ? add_value(section, &section->origin, name, value) : -ENOMEM;
        free(name);
        free(value);
    }
    return rc;
}

static int spec_of(struct spec *s, const struct input *in)
{
    s->id = strdup(in->id);
    s->origin = strdup(in->origin_text);
    s->settings = strdup(in->settings);
    if (!s->id || !s->origin || !s->settings)
        return -ENOMEM;
    s->section.origin = (struct origin){.file = s->origin};
    return parse_settings(&s->section, in->settings);
}

bool engine_renew_owned(struct engine *e, struct input *in, const struct plugin *plugin)
{
    struct spec s = {0};
    struct problems problems = {0};
    struct input *next = spec_of(&s, in) == 0 ? create_owned(e, in->owner, &s, plugin, &problems) : NULL;

    if (next) {
        next->fresh = next->held = next->placed = true;
        engine_add_input(e, next);
        engine_start_input(e, next);
    } else {
        char *why = join_problems(&problems);
        log_error(in->base.alias->chars, "can't be made with version %s of its plugin: %s",
                  plugin->api.version ? plugin->api.version : "?", why ? why : "no memory");
        free(why);
    }
    problems_clear(&problems);
    spec_free(&s);
    return next;
}
