/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of ten thousand entries one changes at a time. So a list is cut into the texts of its elements first, and
 * only those that were not in the last list are parsed. What can't be cut that way is parsed as a whole,
 * which also finds the words for what is wrong with it.
 */
#include "entries.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "json_read.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

void etcd_entries_clear(struct etcd_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        etcd_entry_unref(entries->items[i]);
    free(entries->items);
    *entries = (struct etcd_entries){0};
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

static int add(struct etcd_entries *entries, struct etcd_entry *e)
{
    if (!(entries->count & (entries->count - 1))) { /* room is always a power of two */
        size_t room = entries->count ? 2 * entries->count : 1;
        struct etcd_entry **larger = reallocarray(entries->items, room, sizeof(struct etcd_entry *));
        if (larger)
            entries->items = larger;
        if (!e || !larger) {
            etcd_entry_unref(e);
            return -ENOMEM;
        }
    }
    entries->items[entries->count] = e;
    entries->count += e != NULL;
    return e ? 0 : -ENOMEM;
}

/* -- Cutting a list into its elements --------------------------------------------------------------- */

struct piece {
    const char *text;
    size_t size;
};

struct pieces {
    struct piece *list;
    size_t count;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* Behind the string that begins at `at`, or NULL. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '"')
            return at + 1;
    }
    return NULL;
}

/* Up to the comma or bracket that ends the element which begins at `at`, or NULL. What lies between is for
 * the JSON parser to judge. */
static const char *skip_element(const char *at, const char *end)
{
    size_t depth = 0;

    while (at && at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (!depth && (*at == ',' || *at == ']'))
            return at;
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth -= depth > 0;
        at++;
    }
    return NULL;
}

static int add_piece(struct pieces *p, const char *text, const char *end)
{
    while (end > text && is_space(end[-1]))
        end--;
    if (!(p->count & (p->count - 1))) {
        struct piece *larger = reallocarray(p->list, p->count ? 2 * p->count : 1, sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        p->list = larger;
    }
    p->list[p->count++] = (struct piece){text, (size_t)(end - text)};
    return end > text ? 0 : -EINVAL;
}

/* 0 with *ret (its list to be freed in any case), -EINVAL: that is no list, or one to be looked at more
 * closely. */
static int cut(const char *text, size_t size, struct pieces *ret)
{
    const char *end = text + size, *at = skip_space(text, end);
    int rc = at < end && *at == '[' ? 0 : -EINVAL;

    if (rc == 0)
        at = skip_space(at + 1, end);
    if (rc == 0 && at < end && *at == ']')
        return skip_space(at + 1, end) == end ? 0 : -EINVAL;
    while (rc == 0) {
        const char *behind = skip_element(at, end);
        rc = behind ? add_piece(ret, at, behind) : -EINVAL;
        if (rc == 0 && *behind == ']')
            return skip_space(behind + 1, end) == end ? 0 : -EINVAL;
        at = rc == 0 ? skip_space(behind + 1, end) : at;
    }
    return rc;
}

/* -- What was there before -------------------------------------------------------------------------- */

/* The elements of the last list by their texts. */
struct index {
    struct pieces pieces;
    const struct etcd_entries *entries;
    uint32_t *slots; /* number of the element, counted from 1; 0: free */
    size_t mask;
};

static void index_finish(struct index *i)
{
    free(i->pieces.list);
    free(i->slots);
    *i = (struct index){0};
}

static uint32_t *slot_of(const struct index *i, const struct piece *p)
{
    size_t at = (size_t)XXH3_64bits(p->text, p->size) & i->mask;

    for (; i->slots[at]; at = (at + 1) & i->mask) {
        const struct piece *other = &i->pieces.list[i->slots[at] - 1];
        if (other->size == p->size && !memcmp(other->text, p->text, p->size))
            break;
    }
    return &i->slots[at];
}

/* Without memory, or where the last value was no list, the index is empty. */
static void index_make(struct index *i, const struct etcd_value *before)
{
    if (!before || !before->text || cut(before->text, before->size, &i->pieces) < 0 ||
        i->pieces.count != before->entries->count) {
        index_finish(i);
        return;
    }
    i->entries = before->entries;
    i->mask = 1;
    while (i->mask < 2 * i->pieces.count)
        i->mask = 2 * i->mask + 1;
    i->slots = calloc(i->mask + 1, sizeof(*i->slots));
    for (size_t n = 0; i->slots && n < i->pieces.count; n++)
        *slot_of(i, &i->pieces.list[n]) = (uint32_t)n + 1;
}

/* The entry that was written that way, once; or NULL. */
static struct etcd_entry *index_take(struct index *i, const struct piece *p)
{
    uint32_t number = i->slots ? *slot_of(i, p) : 0;

    if (!number)
        return NULL;
    i->pieces.list[number - 1].size = SIZE_MAX; /* is found no more, and still in the way of the others */
    return i->entries->items[number - 1];
}

/* -- Reading ---------------------------------------------------------------------------------------- */

struct reading {
    const char *key;
    const struct etcd_rules *rules;
    struct etcd_draft draft;
    struct etcd_entries entries;
};

static int read_json(struct reading *r, json_t *json)
{
    return add(&r->entries, etcd_entry_read(&r->draft, r->key, r->entries.count + 1, json, r->rules));
}

static int failure(const json_error_t *error)
{
    return json_error_code(error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
}

static int read_piece(struct reading *r, struct index *before, const struct piece *p)
{
    struct etcd_entry *e = index_take(before, p);

    if (e) {
        e->number = (uint32_t)r->entries.count + 1;
        return add(&r->entries, etcd_entry_ref(e));
    }
    json_error_t error;
    json_t *json = etcd_json_read(p->text, p->size, JSON_ALLOW_NUL, &error);
    int rc = json ? read_json(r, json) : failure(&error);
    json_decref(json);
    return rc;
}

/* -EINVAL: as a whole it may be said what is wrong with it. */
static int read_pieces(struct reading *r, const char *text, size_t size, const struct etcd_value *before)
{
    struct index index = {0};
    struct pieces pieces = {0};
    int rc = cut(text, size, &pieces);

    if (rc == 0)
        index_make(&index, before);
    for (size_t i = 0; rc == 0 && i < pieces.count; i++)
        rc = read_piece(r, &index, &pieces.list[i]);
    index_finish(&index);
    free(pieces.list);
    return rc;
}

static int read_whole(struct reading *r, const char *text, size_t size, char **ret_why)
{
    json_error_t error;
    int rc = 0;

    if (!size)
        return say(ret_why, "the value is empty; [] names no file");
    json_t *root = etcd_json_read(text, size, JSON_ALLOW_NUL, &error);
    if (!root && failure(&error) == -ENOMEM)
        return -ENOMEM;
    if (!root)
        return say(ret_why, "line %d, column %d: %s", error.line, error.column, error.text);
    if (json_is_object(root))
        rc = read_json(r, root);
    else if (!json_is_array(root))
        rc = say(ret_why, "the value is neither a list of entries nor one entry");
    for (size_t i = 0; rc == 0 && i < json_array_size(root); i++)
        rc = read_json(r, json_array_get(root, i));
    json_decref(root);
    return rc;
}

int etcd_entries_read(const char *key, const char *text, size_t size, const struct etcd_rules *rules,
                      const struct etcd_value *before, struct etcd_entries *ret, char **ret_why)
{
    struct reading r = {.key = key, .rules = rules};
    int rc = read_pieces(&r, text, size, before);

    if (rc == -EINVAL) {
        etcd_entries_clear(&r.entries);
        rc = read_whole(&r, text, size, ret_why);
    }
    etcd_draft_finish(&r.draft);
    for (size_t i = 0; rc < 0 && before && i < before->entries->count; i++)
        before->entries->items[i]->number = (uint32_t)i + 1; /* what was shared has its old place */
    if (rc < 0)
        etcd_entries_clear(&r.entries);
    else
        *ret = r.entries;
    return rc;
}
