/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether two structures say the same, however it was written: a reload leaves alone what does; and a value
 * of one taken over into another. Any thread.
 */
#include <string.h>
#include "option_private.h"

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool same_list(const struct weir_list *a, const struct weir_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_text(a->items[i], b->items[i]))
            return false;
    return true;
}

static bool same_map(const struct weir_map *a, const struct weir_map *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_text(a->entries[i].name, b->entries[i].name) ||
            !same_text(a->entries[i].value, b->entries[i].value))
            return false;
    return true;
}

bool option_same_value(const struct weir_option *row, const void *a, const void *b)
{
    const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
    const char *text[2];

    switch (row->type) {
    case WEIR_OPTION_STRING:
    case WEIR_OPTION_PATH:
    case WEIR_OPTION_SECRET:
        memcpy(&text[0], x, sizeof(text[0]));
        memcpy(&text[1], y, sizeof(text[1]));
        return same_text(text[0], text[1]);
    case WEIR_OPTION_LIST:
        return same_list((const void *)x, (const void *)y);
    case WEIR_OPTION_MAP:
        return same_map((const void *)x, (const void *)y);
    default: /* 0 bytes of what has no value */
        return memcmp(x, y, option_type_size(row->type)) == 0;
    }
}

bool option_same(const struct weir_option *options, size_t row_size, const void *a, const void *b)
{
    for (size_t i = 0; options; i++) {
        struct weir_option row = option_row(options, row_size, i);
        if (!row.name)
            break;
        if (!option_same_value(&row, a, b))
            return false;
    }
    return true;
}

void option_take(const struct weir_option *row, void *to, const void *from)
{
    memcpy((char *)to + row->offset, (const char *)from + row->offset, option_type_size(row->type));
}
