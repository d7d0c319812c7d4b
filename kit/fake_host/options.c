/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's configuration made out of settings, by its table, as weir would: shorter than weir's own parser,
 * which check-plugin uses, and without its messages.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "private.h"

static int parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "on", "yes"}, *const no[] = {"false", "off", "no"};

    for (size_t k = 0; k < 3; k++) {
        if (strcasecmp(text, yes[k]) == 0 || strcasecmp(text, no[k]) == 0) {
            *ret = strcasecmp(text, yes[k]) == 0;
            return 0;
        }
    }
    return -EINVAL;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* Numbers with one of the units each, "" for none: 1h30m. Only the last may lack its unit. */
static int parse_number(const char *text, const struct unit *units, uint64_t *ret)
{
    uint64_t sum = 0;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    while (*text) {
        char *end;
        uint64_t n = strtoull(text, &end, 10);
        size_t length = strspn(end, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
        const struct unit *u = units;
        while (u->name && (strlen(u->name) != length || strncasecmp(u->name, end, length) != 0))
            u++;
        if (end == text || !u->name)
            return -EINVAL;
        sum += n * u->factor;
        text = end + length;
    }
    *ret = sum;
    return 0;
}

static int parse_size(const char *text, uint64_t *ret)
{
    static const struct unit units[] = {{"", 1},         {"b", 1},        {"k", 1 << 10},
                                        {"kb", 1 << 10}, {"m", 1 << 20},  {"mb", 1 << 20},
                                        {"g", 1 << 30},  {"gb", 1 << 30}, {NULL, 0}};
    return parse_number(text, units, ret);
}

static int parse_duration(const char *text, uint64_t *ret)
{
    static const struct unit units[] = {
        {"", 1000000000},  {"ns", 1},          {"us", 1000},         {"ms", 1000000},
        {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000},
        {NULL, 0}};
    return parse_number(text, units, ret);
}

static int parse_choice(const struct weir_option *o, const char *text, int *ret)
{
    for (int k = 0; o->choices[k]; k++) {
        if (strcasecmp(o->choices[k], text) == 0) {
            *ret = k;
            return 0;
        }
    }
    return -EINVAL;
}

static void *keep(struct weir_instance *i, void *bytes)
{
    return fake_keep(&i->memory, bytes);
}

static void add_item(struct weir_instance *i, struct weir_list *list, const char *text, size_t length)
{
    const char **items = keep(i, fake_zeroed((list->count + 1) * sizeof(*items)));

    if (list->count)
        memcpy(items, list->items, list->count * sizeof(*items));
    items[list->count] = keep(i, strndup(text, length));
    *list = (struct weir_list){items, list->count + 1};
}

static void add_items(struct weir_instance *i, struct weir_list *list, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, ",");
        add_item(i, list, text, length);
        text += length + (text[length] == ',');
    }
}

static void add_entry(struct weir_instance *i, struct weir_map *map, const char *name, const char *value)
{
    struct weir_map_entry *entries = keep(i, fake_zeroed((map->count + 1) * sizeof(*entries)));

    if (map->count)
        memcpy(entries, map->entries, map->count * sizeof(*entries));
    entries[map->count] = (struct weir_map_entry){keep(i, fake_copy(name)), keep(i, fake_copy(value))};
    *map = (struct weir_map){entries, map->count + 1};
}

static int set_number(const struct weir_option *o, const char *text, void *at)
{
    bool negative = o->type == WEIR_OPTION_INT && *text == '-';
    uint64_t number = 0;
    int r = o->type == WEIR_OPTION_DURATION ? parse_duration(text, &number)
                                            : parse_size(text + negative, &number);
    int64_t value = negative ? -(int64_t)number : (int64_t)number;

    if (r == 0 && (o->min || o->max) && (value < o->min || value > o->max))
        r = -ERANGE;
    if (r == 0)
        memcpy(at, &value, sizeof(value));
    return r;
}

static int set_option(struct weir_instance *i, const struct weir_option *o, const char *name,
                      const char *text)
{
    char *at = (char *)i->own_config + o->offset;

    switch (o->type) {
    case WEIR_OPTION_BOOL:
        return parse_bool(text, (bool *)at);
    case WEIR_OPTION_CHOICE:
        return parse_choice(o, text, (int *)(void *)at);
    case WEIR_OPTION_LIST:
        add_items(i, (struct weir_list *)(void *)at, text);
        return 0;
    case WEIR_OPTION_MAP:
        add_entry(i, (struct weir_map *)(void *)at, name + strlen(o->name) + 1, text);
        return 0;
    case WEIR_OPTION_STRING:
    case WEIR_OPTION_PATH:
    case WEIR_OPTION_SECRET:
        *(const char **)(void *)at = keep(i, fake_copy(text));
        return 0;
    case WEIR_OPTION_INT:
    case WEIR_OPTION_SIZE:
    case WEIR_OPTION_DURATION:
        return set_number(o, text, at);
    case WEIR_OPTION_IGNORED:
        return 0;
    }
    return -EINVAL;
}

static const struct weir_option *next_row(const struct weir_plugin *p, const struct weir_option *o)
{
    return (const struct weir_option *)(const void *)((const char *)o + p->option_size);
}

static bool is_named(const struct weir_option *o, const char *name)
{
    size_t length = strlen(o->name);

    if (o->type == WEIR_OPTION_MAP)
        return strncasecmp(o->name, name, length) == 0 && name[length] == '.';
    return strcasecmp(o->name, name) == 0 || (o->alias && strcasecmp(o->alias, name) == 0);
}

static const struct weir_option *find_option(const struct weir_plugin *p, const char *name)
{
    for (const struct weir_option *o = p->options; o && o->name; o = next_row(p, o))
        if (is_named(o, name))
            return o;
    return NULL;
}

static int complain(struct weir_instance *i, const char *format, const char *name, const char *value)
{
    i->host->table.error(i, format, name, value);
    return -EINVAL;
}

/* The settings that every input has. Whether it is one of them. */
static bool set_common(struct weir_instance *i, const struct weir_fake_setting *s)
{
    char **to = strcmp(s->name, "tag") == 0 ? &i->tag : strcmp(s->name, "topic") == 0 ? &i->topic : NULL;

    if (!to || i->plugin->kind != WEIR_INPUT)
        return false;
    free(*to);
    *to = fake_copy(s->value);
    return true;
}

static int set_defaults(struct weir_instance *i, const struct weir_fake_setting *settings)
{
    for (const struct weir_option *o = i->plugin->options; o && o->name; o = next_row(i->plugin, o)) {
        const struct weir_fake_setting *s = settings;
        while (s->name && !is_named(o, s->name))
            s++;
        if (!s->name && (o->flags & WEIR_OPTION_REQUIRED))
            return complain(i, "'%s' is required%s", o->name, "");
        if (!s->name && o->def && o->type != WEIR_OPTION_IGNORED && set_option(i, o, o->name, o->def) < 0)
            return complain(i, "the default of '%s' is no value of its type: '%s'", o->name, o->def);
    }
    return 0;
}

int fake_configure(struct weir_instance *i, const struct weir_fake_setting *settings)
{
    static const struct weir_fake_setting none = {NULL, NULL};

    i->own_config = fake_zeroed(i->plugin->config_size ? i->plugin->config_size : 1);
    if (!settings)
        settings = &none;
    if (set_defaults(i, settings) < 0)
        return -EINVAL;
    for (; settings->name; settings++) {
        const struct weir_option *o = find_option(i->plugin, settings->name);
        if (set_common(i, settings))
            continue;
        if (!o)
            return complain(i, "bad setting %s=%s: there is no such option", settings->name, settings->value);
        if (set_option(i, o, settings->name, settings->value) < 0)
            return complain(i, "bad setting %s=%s", settings->name, settings->value);
    }
    return 0;
}
