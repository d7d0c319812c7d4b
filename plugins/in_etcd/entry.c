/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What etcd says is not trusted: every member may have any type, any length and any bytes. An entry becomes
 * settings as text, which weir checks with the option table that also checks configuration files.
 */
#include "entry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "allow.h"

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
    etcd_form_unref(e->form);
    free(e);
}

void etcd_draft_finish(struct etcd_draft *d)
{
    free(d->text);
    free(d->refusal);
    *d = (struct etcd_draft){0};
}

/* Appends a text with its NUL. Returns where it begins. */
static uint32_t put(struct etcd_draft *d, const char *text)
{
    size_t size = strlen(text) + 1, at = d->size;

    if (d->room - d->size < size) {
        size_t room = (d->size + size) * 2;
        char *larger = realloc(d->text, room);
        if (!larger) {
            d->no_memory = true;
            return 0;
        }
        d->text = larger;
        d->room = room;
    }
    memcpy(d->text + at, text, size);
    d->size += size;
    return (uint32_t)at;
}

/* -- Looks ------------------------------------------------------------------------------------------ */

size_t etcd_entry_settings(const struct etcd_entry *e, struct weir_setting *ret)
{
    const struct etcd_form *f = e->form;
    const char *at = f->text + f->settings_at;

    for (size_t i = 0; i < f->count; i++) {
        ret[i].name = at;
        at += strlen(at) + 1;
        ret[i].value = at == f->text + f->path_at ? e->text : at;
        at += strlen(at) + 1;
    }
    return f->count;
}

size_t etcd_entry_origin_room(const struct etcd_entry *e)
{
    return strlen(etcd_entry_key(e)) + sizeof("[4294967295]");
}

size_t etcd_entry_origin(const struct etcd_entry *e, char *ret)
{
    return (size_t)sprintf(ret, "%s[%" PRIu32 "]", etcd_entry_key(e), e->number);
}

bool etcd_entry_same(const struct etcd_entry *a, const struct etcd_entry *b)
{
    struct weir_setting x[ETCD_MOST_SETTINGS], y[ETCD_MOST_SETTINGS];
    bool same = etcd_entry_count(a) == etcd_entry_count(b);

    if (a == b)
        return true;
    if (!same)
        return false;
    etcd_entry_settings(a, x);
    etcd_entry_settings(b, y);
    for (size_t i = 0; same && i < etcd_entry_count(a); i++)
        same = !strcmp(x[i].name, y[i].name) && !strcmp(x[i].value, y[i].value);
    return same;
}

/* -- Refusing --------------------------------------------------------------------------------------- */

static int refuse(struct etcd_draft *d, const char *format, ...) WEIR_PRINTF(2, 3);

/* -EINVAL, or -ENOMEM. */
static int refuse(struct etcd_draft *d, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int size = vasprintf(&d->refusal, format, arguments);
    va_end(arguments);
    if (size >= 0)
        return -EINVAL;
    d->refusal = NULL;
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

static int add(struct etcd_draft *d, const char *name, const char *value)
{
    if (d->count == ETCD_MOST_SETTINGS)
        return refuse(d, "it has more than %d settings", ETCD_MOST_SETTINGS);
    put(d, name);
    put(d, value);
    d->count++;
    return d->no_memory ? -ENOMEM : 0;
}

static int add_string(struct etcd_draft *d, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);

    if (!is_text(text, size))
        return refuse(d, "'%s' holds control characters", name);
    if (size > LONGEST_VALUE)
        return refuse(d, "'%s' is longer than %d bytes", name, LONGEST_VALUE);
    return add(d, name, text);
}

static int add_scalar(struct etcd_draft *d, const char *name, const json_t *value)
{
    char text[64];

    switch (json_typeof(value)) {
    case JSON_STRING:
        return add_string(d, name, value);
    case JSON_INTEGER:
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return add(d, name, text);
    case JSON_REAL:
        snprintf(text, sizeof(text), "%.17g", json_real_value(value));
        return add(d, name, text);
    case JSON_TRUE:
    case JSON_FALSE:
        return add(d, name, json_is_true(value) ? "true" : "false");
    case JSON_NULL:
        return refuse(d, "'%s' is null; leave it out", name);
    default:
        return refuse(
            d, "'%s' is an object or a list within a list; a string, number, boolean or list is wanted",
            name);
    }
}

static int add_setting(struct etcd_draft *d, const char *name, const json_t *value)
{
    int rc = 0;

    if (!json_is_array(value))
        return add_scalar(d, name, value);
    if (json_array_size(value) == 0)
        return refuse(d, "'%s' is an empty list; leave it out", name);
    for (size_t i = 0; rc == 0 && i < json_array_size(value); i++)
        rc = add_scalar(d, name, json_array_get(value, i));
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

static int check_path(struct etcd_draft *d, const struct etcd_rules *rules, const char *path)
{
    if (depth(path) > DEEPEST_PATH)
        return refuse(d, "its path is deeper than %d directories", DEEPEST_PATH);
    if (*path != '/')
        return refuse(d, "path '%s' is not absolute: it must begin with /", path);
    if (climbs(path))
        return refuse(d, "path '%s' has a component '..'", path);
    if (!etcd_allows(rules->allow_path, path))
        return refuse(d, "path '%s' is outside of allow_path", path);
    return 0;
}

/* One path, or a list of them. */
static int add_path(struct etcd_draft *d, const struct etcd_rules *rules, const json_t *path)
{
    size_t count = json_is_array(path) ? json_array_size(path) : 1;
    int rc = 0;

    if (!path)
        return refuse(d, "it has no 'path'");
    if (!count)
        return refuse(d, "'path' is an empty list");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const json_t *one = json_is_array(path) ? json_array_get(path, i) : path;
        if (!json_is_string(one) || !json_string_length(one))
            return refuse(d, "'path' is not a string, or an empty one");
        if (strchr(json_string_value(one), ','))
            return refuse(d, "path '%s' has a comma: write several paths as a list", json_string_value(one));
        rc = add_string(d, "path", one);
        if (rc == 0)
            rc = check_path(d, rules, json_string_value(one));
    }
    return rc;
}

/* -- Members ---------------------------------------------------------------------------------------- */

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

static int take_member(struct etcd_draft *d, const char *name, const json_t *value)
{
    const char *why = forbidden(name);

    if (why)
        return refuse(d, "'%s' can't be set here: %s", name, why);
    if (!strcasecmp(name, "name"))
        return json_is_string(value) && !strcasecmp(json_string_value(value), "tail")
                   ? 0
                   : refuse(d, "'name' must be tail, or left out");
    if (!*name || strlen(name) > LONGEST_NAME || !is_text(name, strlen(name)))
        return refuse(d, "a member's name is empty, too long or has control characters");
    return add_setting(d, name, value);
}

/* The member of that name in any case, as options are compared. */
static const json_t *member(json_t *json, const char *name)
{
    const char *key;
    json_t *value;

    json_object_foreach(json, key, value) if (!strcasecmp(key, name)) return value;
    return NULL;
}

static int take_rest(struct etcd_draft *d, json_t *json)
{
    const char *name;
    json_t *value;
    int rc = 0;

    json_object_foreach(json, name, value)
    {
        if (rc == 0 && strcasecmp(name, "path") != 0 && strcasecmp(name, "id") != 0)
            rc = take_member(d, name, value);
    }
    return rc;
}

/* -- The whole ---------------------------------------------------------------------------------------- */

static int check_id(struct etcd_draft *d, const json_t *id)
{
    size_t size = json_string_length(id);

    if (!id || (json_is_string(id) && size && size <= LONGEST_ID && is_text(json_string_value(id), size)))
        return 0;
    return refuse(d, "'id' must be a string of 1 to %d bytes without control characters", LONGEST_ID);
}

static int add_members(struct etcd_draft *d, json_t *json, const struct etcd_rules *rules)
{
    if (!json_is_object(json))
        return refuse(d, "it is no object: {\"path\": \"/var/log/…\", \"topic\": \"…\"} is wanted");
    int rc = check_id(d, member(json, "id"));
    if (rc == 0)
        rc = add_path(d, rules, member(json, "path"));
    if (rc == 0)
        rc = take_rest(d, json);
    if (rc == 0 && !member(json, "tag"))
        rc = add(d, "tag", rules->tag);
    return rc;
}

/* A string, or the strings of a list with commas between. */
static uint32_t put_paths(struct etcd_draft *d, const json_t *path)
{
    uint32_t at = put(d, json_is_string(path) ? json_string_value(path) : "");
    const json_t *one;
    size_t i;

    json_array_foreach(path, i, one)
    {
        if (!json_is_string(one) || d->no_memory)
            continue;
        d->size--; /* over the NUL before */
        if (i) {
            put(d, ",");
            d->size--;
        }
        put(d, json_string_value(one));
    }
    return at;
}

static uint32_t put_string(struct etcd_draft *d, const json_t *value)
{
    return put(d, json_is_string(value) ? json_string_value(value) : "");
}

/* What others may say, too. 0 or a negative errno. */
static int put_form(struct etcd_draft *d, struct etcd_form *f, const char *key, json_t *json,
                    const struct etcd_rules *rules)
{
    put(d, key);
    f->topic_at = put_string(d, json_is_object(json) ? member(json, "topic") : NULL);
    f->settings_at = (uint32_t)d->size;
    int rc = add_members(d, json, rules);
    f->count = d->count;
    f->size = (uint32_t)d->size;
    return rc;
}

/* Its own. */
static void put_own(struct etcd_draft *d, struct etcd_entry *e, json_t *json)
{
    const json_t *id = json_is_object(json) ? member(json, "id") : NULL;
    uint32_t at = put_paths(d, json_is_object(json) ? member(json, "path") : NULL);

    e->id_at = json_is_string(id) ? put_string(d, id) - at : 0;
    e->refusal_at = d->refusal ? put(d, d->refusal) - at : 0;
}

/* A single path, which is the first setting, is the entry's own. */
static void leave_path_out(const struct etcd_draft *d, struct etcd_form *f, const json_t *path)
{
    if (!f->count || !json_is_string(path))
        return;
    f->path_at = f->settings_at + (uint32_t)sizeof("path");
    f->size -= (uint32_t)json_string_length(path);
    char *at = d->text + f->path_at;
    memmove(at, at + json_string_length(path), f->size - f->path_at);
}

/* Takes the form over. NULL: no memory. */
static struct etcd_entry *make(const struct etcd_entry *like, const struct etcd_form *form, const char *text,
                               size_t size)
{
    struct etcd_entry *e = form ? malloc(sizeof(*e) + size) : NULL;

    if (e) {
        *e = *like;
        e->form = form;
        memcpy(e->text, text, size);
    } else if (form) {
        etcd_form_unref(form);
    }
    return e;
}

struct etcd_entry *etcd_entry_read(struct etcd_draft *d, const char *key, size_t number, json_t *json,
                                   const struct etcd_rules *rules)
{
    struct etcd_entry e = {.references = 1, .number = (uint32_t)number}, *made = NULL;
    struct etcd_form form = {0};

    d->size = d->count = 0;
    d->no_memory = false;
    int rc = put_form(d, &form, key, json, rules);
    size_t own = d->size;
    put_own(d, &e, json);
    if (rc != -ENOMEM && !d->no_memory) {
        leave_path_out(d, &form, json_is_object(json) ? member(json, "path") : NULL);
        made = make(&e, etcd_form_get(&form, d->text), d->text + own, d->size - own);
    }
    free(d->refusal);
    d->refusal = NULL;
    return made;
}
