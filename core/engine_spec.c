/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of sets, sections out of them, and settings that inputs share. Owns those; else what it returns
 * only. */
#include "engine_spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* -- Copying ---------------------------------------------------------------------------------------- */

/* The spec as this weir knows it, out of an array of a plugin that may be older or newer. */
static struct weir_input_spec spec_at(const struct weir_input_spec *specs, uint32_t spec_size, size_t index)
{
    struct weir_input_spec spec = {0};

    memcpy(&spec, (const char *)specs + index * spec_size,
           spec_size < sizeof(spec) ? spec_size : sizeof(spec));
    return spec;
}

/* Where the texts go; NULL: they are only measured. */
struct texts {
    char *to;
    size_t size;
};

static const char *put(struct texts *t, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 1;
    char *copy = t->to ? t->to + t->size : NULL;

    if (copy)
        memcpy(copy, text ? text : "", size);
    t->size += size;
    return copy;
}

static struct spec put_spec(struct texts *t, const struct weir_input_spec *from)
{
    struct spec s = {.id = put(t, from->id), .origin = put(t, from->origin)};
    size_t before = t->size;

    s.settings.bytes = put(t, "name");
    put(t, from->name);
    for (size_t i = 0; i < from->count; i++) {
        put(t, from->settings[i].name);
        put(t, from->settings[i].value);
    }
    s.settings.size = t->size - before;
    return s;
}

int specs_copy(struct specs *specs, const struct weir_input_spec *from, uint32_t spec_size, size_t count)
{
    struct texts texts = {0};

    *specs = (struct specs){.list = calloc(count + 1, sizeof(*specs->list))};
    for (size_t i = 0; i < count; i++) {
        struct weir_input_spec one = spec_at(from, spec_size, i);
        put_spec(&texts, &one);
    }
    texts.to = specs->texts = malloc(texts.size + 1);
    if (!specs->list || !specs->texts)
        return -ENOMEM;
    texts.size = 0;
    for (size_t i = 0; i < count; i++) {
        struct weir_input_spec one = spec_at(from, spec_size, i);
        specs->list[i] = put_spec(&texts, &one);
    }
    specs->count = count;
    return 0;
}

static const char no_memory[] = "no memory";

void spec_refuse(struct spec *s, char *reason)
{
    s->refusal = reason ? reason : no_memory;
}

void specs_clear(struct specs *specs)
{
    for (size_t i = 0; i < specs->count; i++)
        if (specs->list[i].refusal != no_memory)
            free((char *)specs->list[i].refusal);
    free(specs->list);
    free(specs->texts);
    *specs = (struct specs){0};
}

int specs_check_ids(struct specs *specs)
{
    size_t mask = 1;

    while (mask < 2 * specs->count)
        mask = 2 * mask + 1;
    uint32_t *slots = calloc(mask + 1, sizeof(*slots)); /* number of the spec, counted from 1; 0: free */
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < specs->count; i++) {
        struct spec *s = &specs->list[i];
        size_t at = (size_t)XXH3_64bits(s->id, strlen(s->id)) & mask;
        while (slots[at] && strcmp(specs->list[slots[at] - 1].id, s->id) != 0)
            at = (at + 1) & mask;
        if (!*s->id)
            spec_refuse(s, strdup("it has no id"));
        else if (slots[at])
            spec_refuse(s, strdup("an earlier entry of the set has the same id"));
        else
            slots[at] = (uint32_t)i + 1;
    }
    free(slots);
    return 0;
}

/* -- Sections --------------------------------------------------------------------------------------- */

struct pair {
    const char *name, *value;
};

/* In one piece of memory. */
struct built {
    struct section section; /* first */
    struct setting *settings;
    char **values;
    struct pair pairs[];
};

static size_t count_pairs(const struct spec_text *text)
{
    size_t ends = 0;

    for (size_t i = 0; i < text->size; i++)
        ends += text->bytes[i] == '\0';
    return ends / 2;
}

/* Those of the pairs from `first` on that have its name, together. */
static struct setting gather(struct pair *pairs, size_t first, size_t count, char **values)
{
    struct setting s = {.name = (char *)pairs[first].name, .values = values};

    for (size_t i = first; i < count; i++) {
        if (!pairs[i].name || strcasecmp(pairs[i].name, s.name) != 0)
            continue;
        values[s.count++] = (char *)pairs[i].value;
        if (i > first)
            pairs[i].name = NULL; /* it has its place */
    }
    s.is_list = s.count > 1;
    return s;
}

struct section *spec_section(const struct spec_text *text, const char *origin)
{
    size_t count = count_pairs(text), used = 0;
    struct built *b =
        malloc(sizeof(*b) + count * (sizeof(struct pair) + sizeof(struct setting) + sizeof(char *)));
    const char *at = text->bytes;

    if (!b)
        return NULL;
    b->settings = (struct setting *)(void *)(b->pairs + count);
    b->values = (char **)(void *)(b->settings + count);
    b->section = (struct section){.settings = b->settings, .origin = {.file = origin}};
    for (size_t i = 0; i < count; i++) {
        b->pairs[i].name = at;
        at += strlen(at) + 1;
        b->pairs[i].value = at;
        at += strlen(at) + 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!b->pairs[i].name)
            continue;
        struct setting *s = &b->settings[b->section.count++];
        *s = gather(b->pairs, i, count, b->values + used);
        s->origin = b->section.origin;
        used += s->count;
    }
    return &b->section;
}

void spec_section_free(struct section *section)
{
    free(section);
}

/* -- What those that are there share ------------------------------------------------------------------ */

struct spec_shared {
    struct spec_shared *next; /* of its bucket */
    uint64_t hash;
    size_t references;
    size_t id_at; /* where the id belongs; 0: nowhere */
    size_t size;
    char bytes[];
};

static struct spec_shared *shared[1024];

/* Where the first value begins that is the id, or 0. */
static size_t find_id(const struct spec_text *text, const char *id)
{
    size_t at = 0;

    for (bool value = false; at < text->size; value = !value) {
        if (value && !strcmp(text->bytes + at, id))
            return at;
        at += strlen(text->bytes + at) + 1;
    }
    return 0;
}

/* The one that is the same, or where it is to be put. */
static struct spec_shared **find_shared(const struct spec_shared *like)
{
    struct spec_shared **at = &shared[like->hash % (sizeof(shared) / sizeof(*shared))];

    while (*at && ((*at)->hash != like->hash || (*at)->id_at != like->id_at || (*at)->size != like->size ||
                   memcmp((*at)->bytes, like->bytes, like->size) != 0))
        at = &(*at)->next;
    return at;
}

struct spec_shared *spec_share(const struct spec_text *text, const char *id)
{
    size_t id_at = find_id(text, id), left_out = id_at ? strlen(id) : 0;
    struct spec_shared *s = malloc(sizeof(*s) + text->size - left_out);

    if (!s)
        return NULL;
    *s = (struct spec_shared){.id_at = id_at, .size = text->size - left_out};
    memcpy(s->bytes, text->bytes, id_at);
    memcpy(s->bytes + id_at, text->bytes + id_at + left_out, s->size - id_at);
    s->hash = XXH3_64bits(s->bytes, s->size);
    struct spec_shared **at = find_shared(s);
    if (*at) {
        free(s);
        s = *at;
    }
    *at = s;
    s->references++;
    return s;
}

void spec_unshare(struct spec_shared *s)
{
    if (!s || --s->references)
        return;
    struct spec_shared **at = find_shared(s);
    *at = s->next;
    free(s);
}

bool spec_shared_is(const struct spec_shared *s, const char *id, const struct spec_text *text)
{
    size_t length = s->id_at ? strlen(id) : 0, behind = s->size - s->id_at;

    return text->size == s->size + length && !memcmp(text->bytes, s->bytes, s->id_at) &&
           !memcmp(text->bytes + s->id_at, id, length) &&
           !memcmp(text->bytes + text->size - behind, s->bytes + s->id_at, behind);
}

const char *spec_shared_value(const struct spec_shared *s, const char *id, const char *name)
{
    for (const char *at = s->bytes, *end = at + s->size, *value; at < end; at = value + strlen(value) + 1) {
        value = at + strlen(at) + 1;
        if (!strcasecmp(at, name))
            return s->id_at && value == s->bytes + s->id_at ? id : value;
    }
    return NULL;
}

int spec_shared_text(const struct spec_shared *s, const char *id, struct spec_text *ret)
{
    size_t length = s->id_at ? strlen(id) : 0;
    char *bytes = malloc(s->size + length);

    if (!bytes)
        return -ENOMEM;
    memcpy(bytes, s->bytes, s->id_at);
    memcpy(bytes + s->id_at, id, length);
    memcpy(bytes + s->id_at + length, s->bytes + s->id_at, s->size - s->id_at);
    *ret = (struct spec_text){bytes, s->size + length};
    return 0;
}
