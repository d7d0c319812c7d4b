/* SPDX-License-Identifier: Apache-2.0 */
/* The paths among the values of an option table. Owns nothing. Control thread. */
#include <string.h>
#include "option.h"

struct walk {
    const struct weir_option *row;
    void (*fn)(void *data, const struct weir_option *row, const char *path);
    void *data;
};

static void give(const struct walk *w, const char *path)
{
    if (path && *path)
        w->fn(w->data, w->row, path);
}

static void each_of_list(const struct walk *w, const struct weir_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        give(w, list->items[i]);
}

/* Of properties that belong to a library only their form tells which are paths. */
static void each_of_map(const struct walk *w, const struct weir_map *map)
{
    for (size_t i = 0; i < map->count; i++)
        if (map->entries[i].value[0] == '/')
            give(w, map->entries[i].value);
}

static void each_of_row(const struct walk *w, const void *values)
{
    const char *at = (const char *)values + w->row->offset;
    const char *text;
    struct weir_list list;
    struct weir_map map;

    switch (w->row->type) {
    case WEIR_OPTION_PATH:
    case WEIR_OPTION_STRING:
        memcpy(&text, at, sizeof(text));
        give(w, text);
        break;
    case WEIR_OPTION_LIST:
        memcpy(&list, at, sizeof(list));
        each_of_list(w, &list);
        break;
    case WEIR_OPTION_MAP:
        memcpy(&map, at, sizeof(map));
        each_of_map(w, &map);
        break;
    default:
        break;
    }
}

void option_each_path(const struct weir_option *options, size_t row_size, const void *values,
                      void (*fn)(void *data, const struct weir_option *row, const char *path), void *data)
{
    for (size_t i = 0; options; i++) {
        const struct weir_option row = option_row(options, row_size, i);
        const struct walk walk = {&row, fn, data};

        if (!row.name)
            return;
        if (row.flags & (WEIR_OPTION_READS | WEIR_OPTION_WRITES))
            each_of_row(&walk, values);
    }
}
