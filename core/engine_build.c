/* SPDX-License-Identifier: Apache-2.0 */
/* Makes an engine out of a configuration: every instance created and checked, nothing started. Control
 * thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine_private.h"
#include "sandbox.h"
#include "spools.h"

static void index_input(struct engine *e, struct input *in)
{
    struct input **bucket = &e->by_identity[in->identity_hash % IDENTITY_BUCKETS];

    in->next_of_hash = *bucket;
    *bucket = in;
}

static void unindex_input(struct engine *e, const struct input *in)
{
    struct input **at = &e->by_identity[in->identity_hash % IDENTITY_BUCKETS];

    while (*at && *at != in)
        at = &(*at)->next_of_hash;
    if (*at) /* else it has retired */
        *at = in->next_of_hash;
}

void engine_add_input(struct engine *e, struct input *in)
{
    in->prev = e->last_input;
    in->next = NULL;
    if (e->last_input)
        e->last_input->next = in;
    else
        e->inputs = in;
    e->last_input = in;
    index_input(e, in);
}

static bool owns_any(const struct engine *e, const struct input *owner)
{
    for (const struct input *in = e->inputs; in; in = in->next)
        if (in->owner == owner)
            return true;
    return false;
}

/* A source that has stopped stays as long as it owns any. */
static void remove_if_last(struct engine *e, struct input *owner)
{
    if (owner && owner->gone && !owns_any(e, owner))
        engine_remove_input(e, owner);
}

void engine_remove_input(struct engine *e, struct input *in)
{
    if (in->prev)
        in->prev->next = in->next;
    else
        e->inputs = in->next;
    if (in->next)
        in->next->prev = in->prev;
    else
        e->last_input = in->prev;
    bool counted = in->held && in->placed;
    e->inputs_held -= counted;
    e->heirs_held -= counted && in->heir;
    struct input *owner = in->owner;
    unindex_input(e, in);
    input_destroy(in);
    remove_if_last(e, owner);
}

void engine_vacate(struct engine *e, struct input *in)
{
    struct input *owner = in->owner;

    unindex_input(e, in);
    in->owner = NULL;
    remove_if_last(e, owner);
}

const struct weir_instance *engine_find_alias(const struct engine *e, const char *alias)
{
    for (const struct input *in = e->inputs; in; in = in->next)
        if (in->state != INPUT_RETIRING && !strcmp(in->base.alias->chars, alias))
            return &in->base;
    for (const struct output *o = e->outputs; o; o = o->next)
        if (!strcmp(o->base.alias->chars, alias))
            return &o->base;
    return NULL;
}

/* Counts the instances of each plugin: the number in a default alias. */
struct numbering {
    struct counted {
        const struct plugin *plugin;
        size_t count;
    } * items;
    size_t used;
};

/* 0, 1, 2, … for the same plugin. Without memory always 0: then the aliases are found to be the same. */
static size_t next_number(struct numbering *n, const struct plugin *plugin)
{
    for (size_t i = 0; i < n->used; i++)
        if (n->items[i].plugin == plugin)
            return n->items[i].count++;
    struct counted *items = reallocarray(n->items, n->used + 1, sizeof(*items));
    if (items) {
        n->items = items;
        n->items[n->used++] = (struct counted){.plugin = plugin, .count = 1};
    }
    return 0;
}

/* The plugin that a section names, and the alias that its instance has by default. NULL after adding to
 * problems. */
static const struct plugin *plugin_of(struct engine *e, enum weir_kind kind, const struct section *section,
                                      struct numbering *numbering, char alias[64], struct problems *problems)
{
    const struct setting *name = section_get(section, "name");
    char *why = NULL;

    if (!name || name->count != 1) {
        problem_error(problems, &section->origin, "this %s has no name: which plugin is it?",
                      kind == WEIR_INPUT ? "input" : "output");
        return NULL;
    }
    const struct plugin *plugin = registry_find(e->registry, kind, name->values[0], &why);
    if (!plugin)
        problem_error(problems, &name->origin, "%s", why ? why : "no memory");
    else
        snprintf(alias, 64, "%s.%zu", plugin->api.name, next_number(numbering, plugin));
    free(why);
    return plugin;
}

static void build_outputs(struct engine *e, struct problems *problems)
{
    struct output **end = &e->outputs;
    struct numbering numbering = {0};
    char alias[64];

    for (size_t i = 0; i < e->config->output_count; i++) {
        const struct section *section = &e->config->outputs[i];
        const struct plugin *plugin = plugin_of(e, WEIR_OUTPUT, section, &numbering, alias, problems);
        struct output *o = plugin ? output_create(e, plugin, section, alias, problems) : NULL;
        struct origin origin = section_origin(section, "match_regex");
        if (!o)
            continue;
        *end = o;
        end = &o->next;
        output_add_rule(o, e->router, &origin, problems);
    }
    free(numbering.items);
}

static void build_inputs(struct engine *e, struct problems *problems)
{
    struct numbering numbering = {0};
    char alias[64];

    for (size_t i = 0; i < e->config->input_count; i++) {
        const struct section *section = &e->config->inputs[i];
        const struct plugin *plugin = plugin_of(e, WEIR_INPUT, section, &numbering, alias, problems);
        struct input *in = plugin ? input_create(e, plugin, section, alias, problems) : NULL;
        if (!in)
            continue;
        in->section = section;
        engine_add_input(e, in);
    }
    free(numbering.items);
}

/* -- Origins ------------------------------------------------------------------------------------------ */

struct file_name {
    struct file_name *next;
    char name[];
};

const char *engine_file_name(struct engine *e, const char *name)
{
    size_t size = strlen(name) + 1;

    for (const struct file_name *f = e->file_names; f; f = f->next)
        if (!strcmp(f->name, name))
            return f->name;
    struct file_name *f = malloc(sizeof(*f) + size);
    if (!f)
        return NULL;
    memcpy(f->name, name, size);
    f->next = e->file_names;
    e->file_names = f;
    return f->name;
}

void engine_keep_origin(struct engine *e, struct origin *o)
{
    if (o->file)
        o->file = engine_file_name(e, o->file);
}

/* -- What must hold for all of them together ---------------------------------------------------------- */

/* An instance with its place in the configuration; sorted, those that must differ stand together. */
struct place {
    const char *name;
    const struct weir_instance *instance;
    size_t number;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->number > y->number) - (x->number < y->number);
}

static void check_aliases(struct place *places, size_t count, struct problems *problems)
{
    qsort(places, count, sizeof(*places), compare_places);
    for (size_t i = 1; i < count; i++) {
        const struct weir_instance *first = places[i - 1].instance, *second = places[i].instance;
        if (strcmp(places[i].name, places[i - 1].name) != 0)
            continue;
        struct origin origin = instance_alias_origin(second);
        problem_error(problems, &origin,
                      "alias '%s' is taken by the %s at line %u: each input and output needs one of its own",
                      places[i].name, first->kind == WEIR_INPUT ? "input" : "output", first->origin.line);
    }
}

/* A number would keep them apart by their order only: whichever comes first had the other's positions. */
static void check_identities(struct place *places, size_t count, struct problems *problems)
{
    qsort(places, count, sizeof(*places), compare_places);
    for (size_t i = 1; i < count; i++) {
        const struct input *in = (const struct input *)places[i].instance;
        if (strcmp(places[i].name, places[i - 1].name) || in->options->alias) /* that is told of the alias */
            continue;
        problem_error(problems, &in->base.origin,
                      "without an alias this input and %s would have the same positions, those of '%s': give "
                      "each of them an alias",
                      places[i - 1].instance->alias->chars, places[i].name);
    }
}

static void check_names(struct engine *e, struct problems *problems)
{
    size_t count = 0, inputs = 0;
    struct place *places = calloc(e->config->input_count + e->config->output_count + 1, sizeof(*places));

    if (!places) {
        problem_error(problems, NULL, "no memory to check the configuration");
        return;
    }
    for (const struct input *in = e->inputs; in; in = in->next, inputs++)
        places[inputs] = (struct place){.name = in->identity, .instance = &in->base, .number = inputs};
    check_identities(places, inputs, problems);
    for (const struct input *in = e->inputs; in; in = in->next, count++)
        places[count] = (struct place){.name = in->base.alias->chars, .instance = &in->base, .number = count};
    for (const struct output *o = e->outputs; o; o = o->next, count++)
        places[count] = (struct place){.name = o->base.alias->chars, .instance = &o->base, .number = count};
    check_aliases(places, count, problems);
    free(places);
}

/* An input that nothing takes records from would wait for ever: most likely a wrong tag or match. */
static void check_route(struct engine *e, const struct input *in, struct problems *problems)
{
    if (!plugin_needs_output(in->base.plugin) || strchr(input_tag(in), '*'))
        return;
    struct route *route = router_get(e->router, input_tag(in), input_topic(in));
    struct origin origin = section_origin(in->section, "tag");
    if (route && route->count == 0)
        problem_error(
            problems, &origin, "no output matches tag '%s'%s%s of %s: change the tag or an output's match",
            input_tag(in), *input_topic(in) ? " and topic " : "", input_topic(in), in->base.alias->chars);
    if (route && route->keepers > 1)
        problem_error(problems, &origin,
                      "%zu outputs that keep positions take records from %s: not more than one can",
                      route->keepers, in->base.alias->chars);
    route_unref(route);
}

static void load_plugins(struct engine *e, struct problems *problems)
{
    for (size_t i = 0; i < e->config->plugin_count; i++) {
        char *why = NULL;
        if (!registry_load(e->registry, e->config->plugins[i], &why))
            problem_error(problems, &e->config->plugin_origins[i], "%s", why ? why : "no memory");
        free(why);
    }
}

static struct engine *build(const struct config *config, struct registry *registry, bool options_only,
                            struct problems *problems)
{
    struct engine *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->options_only = options_only;
    e->config = config;
    e->service = config->service;
    e->data_dir = config->service.data_dir && *config->service.data_dir ? config->service.data_dir : NULL;
    atomic_init(&e->retry_base, config->service.retry_base);
    atomic_init(&e->retry_cap, config->service.retry_cap);
    e->registry = registry;
    e->signal_fd = -1;
    e->started_at = loop_now();
    e->generation = 1;
    e->control = loop_create();
    e->metrics = metrics_create();
    e->router = router_create();
    e->pool = pool_create(config->service.memory_limit);
    e->spools = spools_create();
    if (!e->control || !e->metrics || !e->router || !e->pool || !e->spools) {
        engine_free(e);
        return NULL;
    }
    router_hold_outputs(e->router, output_ref, output_unref);
    router_tell_keepers(e->router, output_keeps);
    if (!registry_at(registry, 0)) /* an engine of options only has loaded them all before */
        load_plugins(e, problems);
    if (problems->errors) /* whoever uses a plugin that was refused would only be a second complaint */
        return e;
    build_outputs(e, problems);
    build_inputs(e, problems);
    check_names(e, problems);
    for (struct input *in = problems->errors ? NULL : e->inputs; in; in = in->next)
        check_route(e, in, problems);
    return e;
}

struct engine *engine_build(const struct config *config, struct registry *registry, struct problems *problems)
{
    return build(config, registry, false, problems);
}

struct engine *engine_build_options(const struct config *config, struct registry *registry,
                                    struct problems *problems)
{
    return build(config, registry, true, problems);
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    for (struct input *in = e->inputs; in; in = in->next)
        in->owner = NULL;
    while (e->inputs)
        engine_remove_input(e, e->inputs);
    while (e->outputs) {
        struct output *o = e->outputs;
        e->outputs = o->next;
        output_destroy(o);
    }
    spools_close(e->spools);
    checkpoint_close(e->checkpoint);
    router_destroy(e->router);
    trim_finish(&e->trim);
    pool_destroy(e->pool);
    metrics_destroy(e->metrics);
    loop_destroy(e->control);
    status_destroy(e->shown);
    registry_destroy(e->own_registry);
    config_free(e->own_config);
    sandbox_destroy(e->sandbox);
    while (e->file_names) {
        struct file_name *f = e->file_names;
        e->file_names = f->next;
        free(f);
    }
    free(e);
}
