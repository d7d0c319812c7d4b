/* SPDX-License-Identifier: Apache-2.0 */
/* Makes an engine out of a configuration: every instance created and checked, nothing started. Control
 * thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine_private.h"

void engine_add_input(struct engine *e, struct input *in)
{
    in->prev = e->last_input;
    in->next = NULL;
    if (e->last_input)
        e->last_input->next = in;
    else
        e->inputs = in;
    e->last_input = in;
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
    input_destroy(in);
}

const struct weir_instance *engine_find_alias(const struct engine *e, const char *alias)
{
    for (const struct input *in = e->inputs; in; in = in->next)
        if (!strcmp(in->base.alias->chars, alias))
            return &in->base;
    for (const struct output *o = e->outputs; o; o = o->next)
        if (!strcmp(o->base.alias->chars, alias))
            return &o->base;
    return NULL;
}

/* How many of the sections before this one have the same plugin: the number in its default alias. */
static size_t number_of(const struct section *sections, size_t index, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < index; i++) {
        const struct setting *s = section_get(&sections[i], "name");
        if (s && s->count && !strcasecmp(s->values[0], name))
            n++;
    }
    return n;
}

/* The plugin that section i names, and the alias that its instance has by default. NULL after adding to
 * problems. */
static const struct plugin *plugin_of(struct engine *e, enum weir_kind kind, const struct section *sections,
                                      size_t i, char alias[64], struct problems *problems)
{
    const struct setting *name = section_get(&sections[i], "name");
    char *why = NULL;

    if (!name || name->count != 1) {
        problem_error(problems, &sections[i].origin, "this %s has no name: which plugin is it?",
                      kind == WEIR_INPUT ? "input" : "output");
        return NULL;
    }
    const struct plugin *plugin = registry_find(e->registry, kind, name->values[0], &why);
    if (!plugin)
        problem_error(problems, &name->origin, "%s", why ? why : "no memory");
    else
        snprintf(alias, 64, "%s.%zu", plugin->api.name, number_of(sections, i, name->values[0]));
    free(why);
    return plugin;
}

static void check_alias(const struct engine *e, const struct weir_instance *i, const struct section *section,
                        struct problems *problems)
{
    const struct setting *s = section_get(section, "alias");
    const struct weir_instance *other = engine_find_alias(e, i->alias->chars);

    if (other)
        problem_error(problems, s ? &s->origin : &section->origin,
                      "alias '%s' is taken by the %s at line %u: each input and output needs one of its own",
                      i->alias->chars, other->kind == WEIR_INPUT ? "input" : "output", other->origin.line);
}

static void build_outputs(struct engine *e, struct problems *problems)
{
    struct output **end = &e->outputs;
    char alias[64];

    for (size_t i = 0; i < e->config->output_count; i++) {
        const struct section *section = &e->config->outputs[i];
        const struct plugin *plugin = plugin_of(e, WEIR_OUTPUT, e->config->outputs, i, alias, problems);
        struct output *o = plugin ? output_create(e, plugin, section, alias, problems) : NULL;
        if (!o)
            continue;
        check_alias(e, &o->base, section, problems);
        *end = o;
        end = &o->next;
    }
}

/* Two inputs without an alias may follow the same path: the second of them is "…#2". */
static int make_identity_unique(const struct engine *e, struct input *in)
{
    size_t same = 0;

    for (const struct input *other = e->inputs; other; other = other->next) {
        size_t length = strlen(in->identity);
        if (!strncmp(other->identity, in->identity, length) &&
            (other->identity[length] == '\0' || other->identity[length] == '#'))
            same++;
    }
    char *unique;
    if (!same)
        return 0;
    if (asprintf(&unique, "%s#%zu", in->identity, same + 1) < 0)
        return -ENOMEM;
    free(in->identity);
    in->identity = unique;
    return 0;
}

/* An input that nothing takes records from would wait for ever: most likely a wrong tag or match. */
static void check_route(struct engine *e, const struct input *in, const struct section *section,
                        struct problems *problems)
{
    if (!in->base.plugin->api.resume || strchr(in->tag, '*'))
        return;
    struct route *route = router_get(e->router, in->tag, in->topic);
    if (route && route->count == 0) {
        const struct setting *tag = section_get(section, "tag");
        problem_error(problems, tag ? &tag->origin : &section->origin,
                      "no output matches tag '%s'%s%s of %s: change the tag or an output's match", in->tag,
                      *in->topic ? " and topic " : "", in->topic, in->base.alias->chars);
    }
    route_unref(route);
}

static void build_inputs(struct engine *e, struct problems *problems)
{
    char alias[64];
    bool outputs_are_good = problems->errors == 0;

    for (size_t i = 0; i < e->config->input_count; i++) {
        const struct section *section = &e->config->inputs[i];
        const struct plugin *plugin = plugin_of(e, WEIR_INPUT, e->config->inputs, i, alias, problems);
        struct input *in = plugin ? input_create(e, plugin, section, alias, problems) : NULL;
        if (!in)
            continue;
        check_alias(e, &in->base, section, problems);
        if (make_identity_unique(e, in) < 0)
            problem_error(problems, &section->origin, "no memory for this input");
        engine_add_input(e, in);
        if (outputs_are_good)
            check_route(e, in, section, problems);
    }
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

struct engine *engine_build(const struct config *config, struct registry *registry, struct problems *problems)
{
    struct engine *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->config = config;
    e->registry = registry;
    e->signal_fd = -1;
    e->control = loop_create();
    e->metrics = metrics_create();
    e->router = router_create();
    e->pool = pool_create(config->service.memory_limit);
    if (!e->control || !e->metrics || !e->router || !e->pool) {
        engine_free(e);
        return NULL;
    }
    load_plugins(e, problems);
    build_outputs(e, problems);
    build_inputs(e, problems);
    return e;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    while (e->inputs)
        engine_remove_input(e, e->inputs);
    while (e->outputs) {
        struct output *o = e->outputs;
        e->outputs = o->next;
        output_destroy(o);
    }
    checkpoint_close(e->checkpoint);
    router_destroy(e->router);
    pool_destroy(e->pool);
    metrics_destroy(e->metrics);
    loop_destroy(e->control);
    free(e);
}
