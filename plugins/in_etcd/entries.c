/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What etcd says is not trusted: every member may have any type, any length and any bytes. An entry becomes
 * settings as text, which weir checks with the option table that also checks configuration files.
 */
#include "entries.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "allow.h"

#define MOST_SETTINGS 64
#define LONGEST_NAME  64
#define LONGEST_VALUE 4096
#define LONGEST_ID    256
#define DEEPEST_PATH  128

/* -- Memory ----------------------------------------------------------------------------------------- */

struct etcd_entry *etcd_entry_ref(struct etcd_entry *e)
{
    e->references++;
    return e;
}

void etcd_entry_unref(struct etcd_entry *e)
{
    if (!e || --e->references)
        return;
    for (size_t i = 0; i < e->count; i++) {
        free((char *)e->settings[i].name);
        free((char *)e->settings[i].value);
    }
    free(e->settings);
    free(e->origin);
    free(e->id);
    free(e->path);
    free(e->topic);
    free(e->refusal);
    free(e);
}

void etcd_entries_clear(struct etcd_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        etcd_entry_unref(entries->items[i]);
    free(entries->items);
    *entries = (struct etcd_entries){0};
}

bool etcd_entry_same(const struct etcd_entry *a, const struct etcd_entry *b)
{
    bool same = a->count == b->count;

    for (size_t i = 0; same && i < a->count; i++)
        same = !strcmp(a->settings[i].name, b->settings[i].name) &&
               !strcmp(a->settings[i].value, b->settings[i].value);
    return same;
}

/* -- Refusing --------------------------------------------------------------------------------------- */

static int refuse(struct etcd_entry *e, const char *format, ...) WEIR_PRINTF(2, 3);

/* -EINVAL, or -ENOMEM. */
static int refuse(struct etcd_entry *e, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int size = vasprintf(&e->refusal, format, arguments);
    va_end(arguments);
    if (size >= 0)
        return -EINVAL;
    e->refusal = NULL;
    return -ENOMEM;
}

/* Bytes that have no place in a path, a tag or an option; NULs would end it in another place than it says. */
static bool is_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

/* -- Settings --------------------------------------------------------------------------------------- */

static int add(struct etcd_entry *e, const char *name, const char *value)
{
    if (e->count == MOST_SETTINGS)
        return refuse(e, "it has more than %d settings", MOST_SETTINGS);
    struct weir_setting *larger = reallocarray(e->settings, e->count + 1, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    e->settings = larger;
    struct weir_setting *s = &e->settings[e->count];
    *s = (struct weir_setting){strdup(name), strdup(value)};
    e->count++;
    return s->name && s->value ? 0 : -ENOMEM;
}

static int add_string(struct etcd_entry *e, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);

    if (!is_text(text, size))
        return refuse(e, "'%s' holds control characters", name);
    if (size > LONGEST_VALUE)
        return refuse(e, "'%s' is longer than %d bytes", name, LONGEST_VALUE);
    return add(e, name, text);
}

static int add_scalar(struct etcd_entry *e, const char *name, const json_t *value)
{
    char text[64];

    switch (json_typeof(value)) {
    case JSON_STRING:
        return add_string(e, name, value);
    case JSON_INTEGER:
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return add(e, name, text);
    case JSON_REAL:
        snprintf(text, sizeof(text), "%.17g", json_real_value(value));
        return add(e, name, text);
    case JSON_TRUE:
    case JSON_FALSE:
        return add(e, name, json_is_true(value) ? "true" : "false");
    case JSON_NULL:
        return refuse(e, "'%s' is null; leave it out", name);
    default:
        return refuse(
            e, "'%s' is an object or a list within a list; a string, number, boolean or list is wanted",
            name);
    }
}

static int add_setting(struct etcd_entry *e, const char *name, const json_t *value)
{
    int rc = 0;

    if (!json_is_array(value))
        return add_scalar(e, name, value);
    if (json_array_size(value) == 0)
        return refuse(e, "'%s' is an empty list; leave it out", name);
    for (size_t i = 0; rc == 0 && i < json_array_size(value); i++)
        rc = add_scalar(e, name, json_array_get(value, i));
    return rc;
}

/* -- Paths ------------------------------------------------------------------------------------------ */

static bool climbs(const char *path)
{
    for (const char *at = path; at; at = strchr(at + 1, '/')) {
        const char *component = *at == '/' ? at + 1 : at;
        if (!strncmp(component, "..", 2) && (component[2] == '/' || !component[2]))
            return true;
    }
    return false;
}

static unsigned depth(const char *path)
{
    unsigned slashes = 0;

    for (; *path; path++)
        slashes += *path == '/';
    return slashes;
}

static int check_path(struct etcd_entry *e, const struct etcd_rules *rules, const char *path)
{
    if (depth(path) > DEEPEST_PATH)
        return refuse(e, "its path is deeper than %d directories", DEEPEST_PATH);
    if (*path != '/')
        return refuse(e, "path '%s' is not absolute: it must begin with /", path);
    if (climbs(path))
        return refuse(e, "path '%s' has a component '..'", path);
    if (!etcd_allows(rules->allow_path, path))
        return refuse(e, "path '%s' is outside of allow_path", path);
    return 0;
}

/* One path, or a list of them. */
static int add_path(struct etcd_entry *e, const struct etcd_rules *rules, const json_t *path)
{
    size_t count = json_is_array(path) ? json_array_size(path) : 1;
    int rc = 0;

    if (!path)
        return refuse(e, "it has no 'path'");
    if (!count)
        return refuse(e, "'path' is an empty list");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const json_t *one = json_is_array(path) ? json_array_get(path, i) : path;
        if (!json_is_string(one) || !json_string_length(one))
            return refuse(e, "'path' is not a string, or an empty one");
        if (strchr(json_string_value(one), ','))
            return refuse(e, "path '%s' has a comma: write several paths as a list", json_string_value(one));
        rc = add_string(e, "path", one);
        if (rc == 0)
            rc = check_path(e, rules, json_string_value(one));
    }
    return rc;
}

/* -- Entries ---------------------------------------------------------------------------------------- */

/* Those that are not for etcd to say, with the reason; NULL: it is an option like others. */
static const char *forbidden(const char *name)
{
    static const struct {
        const char *name, *why;
    } rows[] = {
        {"alias", "the entry's 'id' is its name"},
        {"allow_path", "it is for this host to say, in in_etcd's own allow_path"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (!strcasecmp(name, rows[i].name))
            return rows[i].why;
    return NULL;
}

static int take_id(struct etcd_entry *e, const json_t *id)
{
    if (!id)
        return 0;
    size_t size = json_string_length(id);
    if (!json_is_string(id) || !size || size > LONGEST_ID || !is_text(json_string_value(id), size))
        return refuse(e, "'id' must be a string of 1 to %d bytes without control characters", LONGEST_ID);
    e->id = strdup(json_string_value(id));
    return e->id ? 0 : -ENOMEM;
}

static int take_member(struct etcd_entry *e, const char *name, const json_t *value)
{
    const char *why = forbidden(name);

    if (why)
        return refuse(e, "'%s' can't be set here: %s", name, why);
    if (!strcasecmp(name, "name"))
        return json_is_string(value) && !strcasecmp(json_string_value(value), "tail")
                   ? 0
                   : refuse(e, "'name' must be tail, or left out");
    if (!*name || strlen(name) > LONGEST_NAME || !is_text(name, strlen(name)))
        return refuse(e, "a member's name is empty, too long or has control characters");
    return add_setting(e, name, value);
}

/* The member of that name in any case, as options are compared. */
static const json_t *member(json_t *json, const char *name)
{
    const char *key;
    json_t *value;

    json_object_foreach(json, key, value) if (!strcasecmp(key, name)) return value;
    return NULL;
}

static int take_rest(struct etcd_entry *e, json_t *json)
{
    const char *name;
    json_t *value;
    int rc = 0;

    json_object_foreach(json, name, value)
    {
        if (rc == 0 && strcasecmp(name, "path") != 0 && strcasecmp(name, "id") != 0)
            rc = take_member(e, name, value);
    }
    return rc;
}

static int fill_entry(struct etcd_entry *e, json_t *json, const struct etcd_rules *rules)
{
    const json_t *path = json_is_object(json) ? member(json, "path") : NULL;

    if (!json_is_object(json))
        return refuse(e, "it is no object: {\"path\": \"/var/log/…\", \"topic\": \"…\"} is wanted");
    int rc = take_id(e, member(json, "id"));
    if (rc == 0)
        rc = add_path(e, rules, path);
    if (rc == 0)
        rc = take_rest(e, json);
    if (rc == 0 && !member(json, "tag"))
        rc = add(e, "tag", rules->tag);
    return rc;
}

/* A string, or the strings of a list with commas between. */
static char *join_paths(const json_t *path)
{
    char *text = NULL;
    size_t size, i;
    const json_t *one;

    if (!json_is_array(path))
        return strdup(json_is_string(path) ? json_string_value(path) : "");
    FILE *f = open_memstream(&text, &size);
    json_array_foreach(path, i, one) if (f && json_is_string(one))
        fprintf(f, "%s%s", i ? "," : "", json_string_value(one));
    if (f && fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

/* What is known of it also of a refused one, so that it can be named. */
static int name_entry(struct etcd_entry *e, const char *key, size_t number, json_t *json)
{
    const json_t *path = json_is_object(json) ? member(json, "path") : NULL;
    const json_t *topic = json_is_object(json) ? member(json, "topic") : NULL;

    e->references = 1;
    e->path = join_paths(path);
    e->topic = strdup(json_is_string(topic) ? json_string_value(topic) : "");
    if (asprintf(&e->origin, "%s[%zu]", key, number) < 0)
        e->origin = NULL;
    return e->path && e->topic && e->origin ? 0 : -ENOMEM;
}

/* 0: it is in the list, good or refused. -ENOMEM. */
static int read_entry(struct etcd_entries *entries, const char *key, json_t *json,
                      const struct etcd_rules *rules)
{
    struct etcd_entry *e = calloc(1, sizeof(*e));
    int rc = e ? name_entry(e, key, entries->count + 1, json) : -ENOMEM;

    if (rc == 0)
        rc = fill_entry(e, json, rules);
    if (rc == 0 || e->refusal) {
        entries->items[entries->count++] = e;
        return 0;
    }
    if (e)
        e->references = 1;
    etcd_entry_unref(e);
    return rc;
}

static int say(char **ret_why, const char *format, ...) WEIR_PRINTF(2, 3);

static int say(char **ret_why, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int size = vasprintf(ret_why, format, arguments);
    va_end(arguments);
    return size < 0 ? -ENOMEM : -EINVAL;
}

static int read_list(const char *key, json_t *root, const struct etcd_rules *rules, struct etcd_entries *ret)
{
    size_t count = json_is_array(root) ? json_array_size(root) : 1;
    int rc = 0;

    ret->items = calloc(count + 1, sizeof(*ret->items));
    if (!ret->items)
        return -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read_entry(ret, key, json_is_array(root) ? json_array_get(root, i) : root, rules);
    return rc;
}

int etcd_entries_read(const char *key, const char *value, size_t size, const struct etcd_rules *rules,
                      struct etcd_entries *ret, char **ret_why)
{
    struct etcd_entries entries = {0};
    json_error_t error;

    if (!size)
        return say(ret_why, "the value is empty; [] names no file");
    json_t *root = json_loadb(value, size, JSON_ALLOW_NUL, &error);
    if (!root)
        return say(ret_why, "line %d, column %d: %s", error.line, error.column, error.text);
    int rc = json_is_array(root) || json_is_object(root)
                 ? read_list(key, root, rules, &entries)
                 : say(ret_why, "the value is neither a list of entries nor one entry");
    json_decref(root);
    if (rc < 0)
        etcd_entries_clear(&entries);
    else
        *ret = entries;
    return rc;
}
