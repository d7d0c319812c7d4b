/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings in use, found by what they say: the plain members of the structure, then the texts of the
 * others in the order of the option table. Owns them. Control thread.
 */
#include "settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "identity.h"
#include "list.h"

static struct tail_table in_use;

/* Bytes that are written, or only measured, while there is nowhere to put them. */
struct said {
    char *bytes;
    size_t size;
    size_t texts; /* in lists */
};

static void say(struct said *said, const void *bytes, size_t size)
{
    if (said->bytes) {
        memcpy(said->bytes + said->size, bytes, size);
    }
    said->size += size;
}

static bool is_text(const struct weir_option *o)
{
    return o->type == WEIR_OPTION_STRING;
}

static bool is_list(const struct weir_option *o)
{
    return o->type == WEIR_OPTION_LIST && o->offset != offsetof(struct tail_config, path);
}

/* The texts of an option: those of a list, or one, or none. */
static size_t texts_of(const struct weir_option *o, const struct tail_config *config, const char *const **ret)
{
    const void *member = (const char *)config + o->offset;
    const struct weir_list *list = member;
    *ret = is_list(o) ? list->items : member;
    return is_list(o) ? list->count : is_text(o) && **ret;
}

/* Without what points to other memory. */
static void copy_plain(const struct tail_config *config, struct tail_config *ret)
{
    memcpy(ret, config, sizeof(*ret)); /* also what lies between the members: all of it is compared */
    memset(&ret->path, 0, sizeof(ret->path));
    for (const struct weir_option *o = tail_options; o->name; o++) {
        if (is_text(o) || is_list(o)) {
            memset((char *)ret + o->offset, 0, is_list(o) ? sizeof(struct weir_list) : sizeof(char *));
        }
    }
}

static void say_all(struct said *said, const struct tail_config *config)
{
    struct tail_config members;
    copy_plain(config, &members);
    said->size = said->texts = 0;
    say(said, &members, sizeof(members));
    for (const struct weir_option *o = tail_options; o->name; o++) {
        const char *const *texts;
        size_t count = texts_of(o, config, &texts);
        if (is_text(o) || is_list(o)) {
            say(said, &count, sizeof(count));
            said->texts += is_list(o) ? count : 0;
        }
        for (size_t i = 0; i < count; i++) {
            say(said, texts[i], strlen(texts[i]) + 1);
        }
    }
}

/* What was said as a structure again; `items` has room for the texts of all lists. */
static void read_said(struct tail_settings *s, const char **items)
{
    const char *at = s->said + sizeof(s->config);
    memcpy(&s->config, s->said, sizeof(s->config));
    for (const struct weir_option *o = tail_options; o->name; o++) {
        char *member = (char *)&s->config + o->offset;
        const char **texts = is_list(o) ? items : (const char **)(void *)member;
        size_t count = 0;
        if (is_text(o) || is_list(o)) {
            memcpy(&count, at, sizeof(count));
            at += sizeof(count);
        }
        for (size_t i = 0; i < count; i++, at += strlen(at) + 1) {
            texts[i] = at;
        }
        if (is_list(o)) {
            *(struct weir_list *)(void *)member = (struct weir_list){items, count};
            items += count;
        }
    }
}

static void set_format(struct tail_settings *s)
{
    const struct tail_config *c = &s->config;
    s->format = (struct tail_format){
        .key = c->key,
        .path_key = c->path_key && *c->path_key ? c->path_key : NULL,
        .offset_key = c->offset_key && *c->offset_key ? c->offset_key : NULL,
        .max = c->buffer_max_size,
        .long_lines = c->skip_long_lines ? TAIL_SKIP : (enum tail_long_lines)c->long_lines,
        .skip_empty = c->skip_empty_lines,
    };
}

/* Takes what was said over where it returns other than NULL; else errno. */
static struct tail_settings *create(const struct said *said)
{
    static const struct weir_list none; /* the glob keeps a pointer to it */
    size_t head = (sizeof(struct tail_settings) + said->size + sizeof(char *) - 1) & ~(sizeof(char *) - 1);
    struct tail_settings *s = calloc(1, head + said->texts * sizeof(char *));
    if (!s) {
        return NULL;
    }
    s->size = said->size;
    memcpy(s->said, said->bytes, said->size);
    read_said(s, (const char **)(void *)((char *)s + head));
    set_format(s);
    s->allow = s->config.allow_path.count ? tail_glob_create(&s->config.allow_path, &none) : NULL;
    if (s->config.allow_path.count && !s->allow) {
        free(s);
        return NULL;
    }
    return s;
}

static struct tail_settings *find(const struct said *said, uint64_t hash)
{
    struct tail_table_node *node = tail_table_first(&in_use, hash);
    for (; node; node = tail_table_next(node)) {
        struct tail_settings *s = TAIL_OF(node, struct tail_settings, node);
        if (s->size == said->size && !memcmp(s->said, said->bytes, said->size)) {
            return s;
        }
    }
    return NULL;
}

struct tail_settings *tail_settings_get(const struct tail_config *config)
{
    struct said said = {0};
    say_all(&said, config);
    said.bytes = malloc(said.size);
    if (!said.bytes) {
        return NULL;
    }
    say_all(&said, config);
    uint64_t hash = tail_hash(said.bytes, said.size);
    struct tail_settings *s = find(&said, hash);
    if (!s && (s = create(&said))) {
        tail_table_add(&in_use, &s->node, hash); /* which can't fail */
    }
    int error = errno;
    free(said.bytes);
    errno = error;
    if (s) {
        s->references++;
    }
    return s;
}

void tail_settings_unref(struct tail_settings *s)
{
    if (!s || --s->references) {
        return;
    }
    tail_table_remove(&in_use, &s->node);
    if (!tail_table_count(&in_use)) {
        tail_table_clear(&in_use);
    }
    tail_glob_destroy(s->allow);
    free(s);
}
