/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text to a tree of nodes with places, on libyaml's events. It is bounded in depth and in nodes, aliases
 * counted as what they stand for, so a small hostile file can't become a large tree. Owns libyaml's
 * parser while it runs; the tree is in the arena. Control thread.
 */
#include <string.h>
#include <yaml.h>
#include "config_private.h"

enum { DEEPEST = 32, MOST_NODES = 500000, MOST_KEYS = 4096, MOST_ANCHORS = 1024 };

struct anchor {
    const char *name;
    struct config_node *node;
    bool finished; /* false: an alias here would put the node into itself */
};

struct reader {
    struct arena *arena;
    struct problems *problems;
    const char *path;
    const char *text; /* all of it, to find the line of an error that libyaml only gives the byte of */
    size_t size;
    yaml_parser_t parser;
    struct anchor *anchors;
    size_t anchor_count;
    size_t nodes;
    unsigned depth;
};

static struct origin place(const struct reader *reader, yaml_mark_t mark)
{
    return (struct origin){reader->path, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static struct origin place_of_byte(const struct reader *reader, size_t offset)
{
    struct origin origin = {reader->path, 1, 1};
    for (size_t i = 0; i < offset && i < reader->size; i++) {
        origin.column++;
        if (reader->text[i] == '\n') {
            origin.line++;
            origin.column = 1;
        }
    }
    return origin;
}

static void report_broken(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem ? parser->problem : "it can't be read";
    struct origin origin = place(reader, parser->problem_mark);
    if (parser->error == YAML_READER_ERROR)
        origin = place_of_byte(reader, parser->problem_offset);
    if (parser->error == YAML_MEMORY_ERROR)
        problem_error(reader->problems, NULL, "not enough memory to read %s", reader->path);
    else if (parser->context)
        problem_error(reader->problems, &origin, "broken YAML: %s, %s", problem, parser->context);
    else
        problem_error(reader->problems, &origin, "broken YAML: %s", problem);
}

/* The next event, to be deleted by the caller. */
static bool next(struct reader *reader, yaml_event_t *ret)
{
    if (yaml_parser_parse(&reader->parser, ret))
        return true;
    report_broken(reader);
    return false;
}

static struct config_node *refuse(struct reader *reader, const struct origin *origin, const char *why)
{
    problem_error(reader->problems, origin, "%s", why);
    return NULL;
}

static bool count_nodes(struct reader *reader, size_t nodes, const struct origin *origin)
{
    reader->nodes += nodes; /* a node's weight is at most MOST_NODES: no overflow */
    if (reader->nodes <= MOST_NODES)
        return true;
    refuse(reader, origin, "the file holds too many values (500000, aliases counted as what they stand for)");
    return false;
}

static struct anchor *find_anchor(struct reader *reader, const char *name)
{
    for (size_t i = reader->anchor_count; i > 0; i--) /* the latest of a name counts */
        if (!strcmp(reader->anchors[i - 1].name, name))
            return &reader->anchors[i - 1];
    return NULL;
}

/* Returns the anchor's index, or -1 after an error. */
static long add_anchor(struct reader *reader, const yaml_char_t *name, struct config_node *node)
{
    if (reader->anchor_count == MOST_ANCHORS) {
        refuse(reader, &node->origin, "the file holds too many anchors (1024)");
        return -1;
    }
    struct anchor *grown = arena_grow(reader->arena, reader->anchors, reader->anchor_count, sizeof *grown);
    char *copy = arena_strdup(reader->arena, (const char *)name);
    if (!grown || !copy)
        return -1;
    reader->anchors = grown;
    grown[reader->anchor_count] = (struct anchor){.name = copy, .node = node};
    return (long)reader->anchor_count++;
}

static uint32_t hash_text(const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

static bool is_null(const char *text)
{
    return !*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") ||
           !strcmp(text, "NULL");
}

static struct config_node *read_scalar(struct reader *reader, const yaml_event_t *event,
                                       struct config_node *node)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(value, '\0', length))
        return refuse(reader, &node->origin, "the value holds a NUL character");
    node->kind = NODE_SCALAR;
    node->text = arena_strndup(reader->arena, value, length);
    if (!node->text)
        return NULL;
    node->is_null = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && is_null(node->text);
    node->hash = hash_text(node->text);
    return node;
}

static struct config_node *read_alias(struct reader *reader, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct origin origin = place(reader, event->start_mark);
    const struct anchor *anchor = find_anchor(reader, name);
    if (!anchor)
        problem_error(reader->problems, &origin, "no anchor '&%s' comes before this alias", name);
    else if (!anchor->finished)
        problem_error(reader->problems, &origin, "the alias '*%s' stands inside of what it stands for", name);
    else if (count_nodes(reader, anchor->node->weight, &origin))
        return anchor->node;
    return NULL;
}

static bool append(struct reader *reader, struct config_node *parent, struct config_node *item)
{
    struct config_node **grown =
        arena_grow(reader->arena, parent->items, parent->count, sizeof(struct config_node *));
    if (!grown)
        return false;
    parent->items = grown;
    grown[parent->count++] = item;
    parent->weight += item->weight;
    return true;
}

static bool check_key(struct reader *reader, const struct config_node *map, const struct config_node *key)
{
    const struct origin *origin = &key->origin;
    if (key->kind != NODE_SCALAR || key->is_null)
        return refuse(reader, origin, "a key must be a plain name");
    if (!strcmp(key->text, "<<"))
        return refuse(reader, origin,
                      "merge keys (<<) are not understood; an alias can stand for a whole value");
    if (map->count >= (size_t)2 * MOST_KEYS)
        return refuse(reader, origin, "too many keys in one place (4096)");
    for (size_t i = 0; i < map->count; i += 2) {
        const struct config_node *other = map->items[i];
        if (other->hash == key->hash && !strcmp(other->text, key->text)) {
            problem_error(reader->problems, origin, "'%s' is given twice, first in line %u", key->text,
                          other->origin.line);
            return false;
        }
    }
    return true;
}

static struct config_node *read_node(struct reader *reader, const yaml_event_t *event);

static struct config_node *read_children(struct reader *reader, struct config_node *node)
{
    for (;;) {
        yaml_event_t event;
        if (!next(reader, &event))
            return NULL;
        bool end = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        struct config_node *item = end ? NULL : read_node(reader, &event);
        yaml_event_delete(&event);
        if (end)
            return node;
        bool is_key = node->kind == NODE_MAP && node->count % 2 == 0;
        if (!item || (is_key && !check_key(reader, node, item)) || !append(reader, node, item))
            return NULL;
    }
}

static struct config_node *read_collection(struct reader *reader, struct config_node *node)
{
    if (reader->depth == DEEPEST)
        return refuse(reader, &node->origin, "the values are nested too deeply (32)");
    reader->depth++;
    node = read_children(reader, node);
    reader->depth--;
    return node;
}

static const yaml_char_t *anchor_name(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

/* The value that begins with `event`. NULL after an error or for want of memory. */
static struct config_node *read_node(struct reader *reader, const yaml_event_t *event)
{
    struct origin origin = place(reader, event->start_mark);
    if (event->type == YAML_ALIAS_EVENT)
        return read_alias(reader, event);
    struct config_node *node = arena_alloc(reader->arena, sizeof *node);
    if (!node || !count_nodes(reader, 1, &origin))
        return NULL;
    node->origin = origin;
    node->weight = 1;
    node->kind = event->type == YAML_MAPPING_START_EVENT ? NODE_MAP : NODE_LIST;
    long anchor = anchor_name(event) ? add_anchor(reader, anchor_name(event), node) : 0;
    if (anchor < 0)
        return NULL;
    if (event->type == YAML_SCALAR_EVENT)
        node = read_scalar(reader, event, node);
    else
        node = read_collection(reader, node);
    if (node && anchor_name(event))
        reader->anchors[anchor].finished = true;
    return node;
}

/* After the document: there must be nothing more. */
static bool check_end(struct reader *reader)
{
    yaml_event_t event;
    bool more = true;
    while (more) {
        if (!next(reader, &event))
            return false;
        struct origin origin = place(reader, event.start_mark);
        yaml_event_type_t type = event.type;
        yaml_event_delete(&event);
        if (type == YAML_DOCUMENT_START_EVENT)
            return refuse(reader, &origin, "a second document begins here; a configuration file holds one");
        more = type != YAML_STREAM_END_EVENT;
    }
    return true;
}

static struct config_node *read_document(struct reader *reader)
{
    for (;;) {
        yaml_event_t event;
        if (!next(reader, &event))
            return NULL;
        yaml_event_type_t type = event.type;
        bool before = type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT;
        struct config_node *node = NULL;
        if (type == YAML_STREAM_END_EVENT)
            refuse(reader, &(struct origin){.file = reader->path}, "the file is empty");
        else if (!before)
            node = read_node(reader, &event);
        yaml_event_delete(&event);
        if (!before)
            return node && check_end(reader) ? node : NULL;
    }
}

struct config_node *config_yaml_parse(struct arena *arena, const char *path, const char *text, size_t size,
                                      struct problems *problems)
{
    struct reader reader = {.arena = arena, .problems = problems, .path = path, .text = text, .size = size};
    if (!yaml_parser_initialize(&reader.parser)) {
        problem_error(problems, NULL, "not enough memory to read %s", path);
        return NULL;
    }
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
    struct config_node *node = read_document(&reader);
    yaml_parser_delete(&reader.parser);
    return node;
}
