/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the strings, lists and maps of filled structures point to, moved out of the parse's arena into one
 * block of just that size: it stays as long as the instance, and there may be ten thousand of those. Owns
 * nothing. Any thread.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include "option_private.h"

struct option_memory {
    size_t size;
    alignas(max_align_t) unsigned char data[];
};

/* A block that is filled, arrays first; or only measured, while there is none. */
struct pack {
    struct option_memory *memory;
    size_t arrays, texts; /* bytes used so far */
    size_t arrays_size;
};

static void *member(const struct option_slot *slot)
{
    return (char *)slot->table->values + slot->row.offset;
}

static const char *pack_text(struct pack *p, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;
    unsigned char *copy = p->memory ? p->memory->data + p->arrays_size + p->texts : NULL;
    p->texts += size;
    return copy && text ? memcpy(copy, text, size) : text;
}

static void *pack_array(struct pack *p, const void *array, size_t size)
{
    unsigned char *copy = p->memory ? p->memory->data + p->arrays : NULL;
    p->arrays += size;
    return copy && size ? memcpy(copy, array, size) : (void *)array;
}

static void pack_string(struct pack *p, const struct option_slot *slot)
{
    const char *text;
    memcpy(&text, member(slot), sizeof(text));
    if (text == slot->row.def)
        return;
    text = pack_text(p, text);
    memcpy(member(slot), &text, sizeof(text));
}

static void pack_list(struct pack *p, const struct option_slot *slot)
{
    struct weir_list list;
    memcpy(&list, member(slot), sizeof(list));
    const char **items = pack_array(p, list.items, list.count * sizeof(*items));
    for (size_t i = 0; i < list.count; i++) {
        const char *item = pack_text(p, items[i]);
        if (p->memory)
            items[i] = item;
    }
    list.items = items;
    memcpy(member(slot), &list, sizeof(list));
}

static void pack_map(struct pack *p, const struct option_slot *slot)
{
    struct weir_map map;
    memcpy(&map, member(slot), sizeof(map));
    struct weir_map_entry *entries = pack_array(p, map.entries, map.count * sizeof(*entries));
    for (size_t i = 0; i < map.count; i++) {
        struct weir_map_entry entry = {pack_text(p, entries[i].name), pack_text(p, entries[i].value)};
        if (p->memory)
            entries[i] = entry;
    }
    map.entries = entries;
    memcpy(member(slot), &map, sizeof(map));
}

static void pack_slots(struct pack *p, const struct option_parse *parse)
{
    p->arrays = p->texts = 0;
    for (size_t i = 0; i < parse->count; i++) {
        const struct option_slot *slot = &parse->slots[i];
        size_t size = option_type_size(slot->row.type);
        if (slot->row.offset > slot->table->values_size || size > slot->table->values_size - slot->row.offset)
            continue;
        switch (slot->row.type) {
        case WEIR_OPTION_STRING:
        case WEIR_OPTION_PATH:
        case WEIR_OPTION_SECRET:
            pack_string(p, slot);
            break;
        case WEIR_OPTION_LIST:
            pack_list(p, slot);
            break;
        case WEIR_OPTION_MAP:
            pack_map(p, slot);
            break;
        default:
            break;
        }
    }
}

struct option_memory *option_pack(const struct option_parse *parse)
{
    struct pack p = {0};
    pack_slots(&p, parse);
    p.arrays_size = p.arrays;
    struct option_memory *memory = malloc(sizeof(*memory) + p.arrays + p.texts);
    if (!memory)
        return NULL;
    memory->size = p.arrays + p.texts;
    p.memory = memory;
    pack_slots(&p, parse);
    return memory;
}

void option_free(struct option_memory *memory)
{
    if (memory)
        explicit_bzero(memory->data, memory->size);
    free(memory);
}
