/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in one place of a configuration file: keys, lists, values, and the sections that are made of
 * them. Owns nothing. Control thread.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "config_private.h"

const char config_no_changes[] = "is nothing that weir has: it delivers records as they are";

bool config_expect_map(struct config_loader *loader, const struct config_node *key,
                       const struct config_node *value)
{
    if (value->kind == NODE_MAP)
        return true;
    problem_error(loader->problems, &key->origin, "'%s' wants 'key: value' lines below it", key->text);
    return false;
}

/* The list's items, or NULL after an error. One value alone is a list of one where `single` says so. */
const struct config_node *const *config_items_of(struct config_loader *loader, const struct config_node *key,
                                                 const struct config_node *const *value, bool single,
                                                 size_t *ret_count)
{
    if ((*value)->kind == NODE_LIST) {
        *ret_count = (*value)->count;
        return (const struct config_node *const *)(*value)->items;
    }
    *ret_count = 1;
    if (single && (*value)->kind == NODE_SCALAR && !(*value)->is_null)
        return value;
    problem_error(loader->problems, &key->origin, "'%s' wants a list, a line with '- ' for each entry",
                  key->text);
    return NULL;
}

/* The value of a scalar with its variables replaced, or NULL after an error. */
const char *config_text_of(struct config_loader *loader, const struct config_node *node, const char *what)
{
    if (node->kind != NODE_SCALAR)
        problem_error(loader->problems, &node->origin, "'%s' wants a plain value here", what);
    else if (node->is_null)
        problem_error(loader->problems, &node->origin, "'%s' needs a value", what);
    else
        return config_expand(loader->config, node->text, &node->origin, loader->problems);
    return NULL;
}

/* -- Keys -- */

static void refuse_key(struct config_loader *loader, const struct config_node *key,
                       const struct config_known_key *keys, const char *where)
{
    const char *names[16];
    size_t count = 0;
    for (; keys[count].name; count++)
        names[count] = keys[count].missing ? "" : keys[count].name;
    const char *nearest = problem_nearest(key->text, names, count);
    if (nearest)
        problem_error(loader->problems, &key->origin, "unknown key '%s' %s; did you mean '%s'?", key->text,
                      where, nearest);
    else
        problem_error(loader->problems, &key->origin, "unknown key '%s' %s", key->text, where);
}

/* Calls what loads each of the map's keys. */
void config_load_keys(struct config_loader *loader, const struct config_node *map,
                      const struct config_known_key *keys, const char *where)
{
    for (size_t i = 0; i < map->count; i += 2) {
        const struct config_node *name = map->items[i];
        const struct config_known_key *key = keys;
        while (key->name && strcasecmp(key->name, name->text))
            key++;
        if (!key->name)
            refuse_key(loader, name, keys, where);
        else if (key->missing)
            problem_error(loader->problems, &name->origin, "'%s' %s", key->name, key->missing);
        else if (key->load)
            key->load(loader, name, map->items[i + 1]);
    }
}

/* -- Sections -- */

static void load_settings(struct config_loader *loader, struct section *section, const char *prefix,
                          const struct config_node *map);

static void load_values(struct config_loader *loader, struct setting *setting,
                        const struct config_node *value)
{
    size_t count = value->kind == NODE_LIST ? value->count : 1;
    setting->is_list = value->kind == NODE_LIST;
    for (size_t i = 0; i < count; i++) {
        const struct config_node *item = setting->is_list ? value->items[i] : value;
        const char *text = config_text_of(loader, item, setting->name);
        if (text) {
            config_append_value(loader->config, setting, text);
            setting->expanded |= strcmp(text, item->text) != 0;
        }
    }
}

static const char *dotted(struct config_loader *loader, const char *prefix, const char *name)
{
    char *text = arena_alloc(config_private(loader->config)->arena, strlen(prefix) + strlen(name) + 2);
    if (text && *prefix)
        return strcat(strcat(strcpy(text, prefix), "."), name);
    return text ? strcpy(text, name) : NULL;
}

static void load_setting(struct config_loader *loader, struct section *section, const char *name,
                         const struct config_node *key, const struct config_node *value)
{
    if (!strcasecmp(name, "processors")) {
        problem_error(loader->problems, &key->origin, "'%s' %s", name, config_no_changes);
    } else if ((value->kind == NODE_SCALAR && value->is_null) || (value->kind == NODE_MAP && !value->count)) {
        problem_error(loader->problems, &key->origin, "'%s' needs a value", name);
    } else if (value->kind == NODE_MAP) {
        load_settings(loader, section, name, value);
    } else {
        struct setting *setting = config_append_setting(loader->config, section, name, &key->origin);
        if (setting)
            load_values(loader, setting, value);
    }
}

static void load_settings(struct config_loader *loader, struct section *section, const char *prefix,
                          const struct config_node *map)
{
    for (size_t i = 0; i < map->count; i += 2) {
        const char *name = dotted(loader, prefix, map->items[i]->text);
        if (name)
            load_setting(loader, section, name, map->items[i], map->items[i + 1]);
    }
}

void config_load_service(struct config_loader *loader, const struct config_node *key,
                         const struct config_node *value)
{
    struct section *service = &config_private(loader->config)->service;
    if (!config_expect_map(loader, key, value))
        return;
    if (!service->origin.line)
        service->origin = key->origin;
    load_settings(loader, service, "", value);
}

static void load_instance(struct config_loader *loader, const struct config_node *map, bool output)
{
    const char *kind = output ? "output" : "input";
    if (map->kind != NODE_MAP) {
        problem_error(loader->problems, &map->origin,
                      "an %s is written as '- name: PLUGIN' with its options below", kind);
        return;
    }
    struct section *section = config_append_section(loader->config, output);
    if (!section)
        return;
    section->origin = map->origin;
    size_t before = loader->problems->errors;
    load_settings(loader, section, "", map);
    const struct setting *name = section_get(section, "name");
    if (name)
        section->origin = name->origin;
    if (loader->problems->errors != before)
        return;
    if (!name)
        problem_error(loader->problems, &map->origin, "an %s needs a 'name', the plugin that it is", kind);
    else if (name->is_list || !name->count || !*name->values[0])
        problem_error(loader->problems, &name->origin, "'name' wants the name of one plugin");
}

static void load_instances(struct config_loader *loader, const struct config_node *key,
                           const struct config_node *value, bool output)
{
    size_t count;
    const struct config_node *const *items = config_items_of(loader, key, &value, false, &count);
    for (size_t i = 0; items && i < count; i++)
        load_instance(loader, items[i], output);
}

static void load_inputs(struct config_loader *loader, const struct config_node *key,
                        const struct config_node *value)
{
    load_instances(loader, key, value, false);
}

static void load_outputs(struct config_loader *loader, const struct config_node *key,
                         const struct config_node *value)
{
    load_instances(loader, key, value, true);
}

void config_load_pipeline(struct config_loader *loader, const struct config_node *key,
                          const struct config_node *value)
{
    static const struct config_known_key keys[] = {
        {"inputs", load_inputs, NULL},
        {"outputs", load_outputs, NULL},
        {"filters", NULL, config_no_changes},
        {"processors", NULL, config_no_changes},
        {NULL, NULL, NULL},
    };
    if (config_expect_map(loader, key, value))
        config_load_keys(loader, value, keys, "in 'pipeline'");
}
