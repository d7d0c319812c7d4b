/* SPDX-License-Identifier: Apache-2.0 */
/* Positions to texts and back; what was read is kept by key, the last of each. Output thread. */
#include "kept.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "1"

struct kept_row {
    char *value;
    size_t value_size;
    size_t key_size;
    char key[]; /* without the id and its tab */
};

static int compare_rows(const void *a, const void *b)
{
    const struct kept_row *x = a, *y = b;
    size_t size = x->key_size < y->key_size ? x->key_size : y->key_size;
    int order = memcmp(x->key, y->key, size);

    return order ? order : (x->key_size > y->key_size) - (x->key_size < y->key_size);
}

void kept_init(struct kept_table *table, const char *id)
{
    *table = (struct kept_table){.id = id};
}

static void free_row(void *data)
{
    struct kept_row *row = data;

    free(row->value);
    free(row);
}

void kept_finish(struct kept_table *table)
{
    tdestroy(table->rows, free_row);
    table->rows = NULL;
}

/* -- Writing -- */

int kept_partition(const char *id, int partitions)
{
    uint32_t hash = 2166136261u;

    for (; *id; id++)
        hash = (hash ^ (uint8_t)*id) * 16777619u;
    return (int)(hash % (uint32_t)partitions);
}

static int add(struct weir_json *text, const char *data, size_t size)
{
    if (weir_json_reserve(text, size))
        return -ENOMEM;
    memcpy(text->data + text->size, data, size);
    text->size += size;
    return 0;
}

static int add_escaped(struct weir_json *text, const char *name)
{
    int r = weir_json_reserve(text, 3 * strlen(name) + 1);

    for (; !r && *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (c < 0x20 || c == '%' || c == 0x7f)
            text->size += (size_t)sprintf(text->data + text->size, "%%%02X", c);
        else
            text->data[text->size++] = (char)c;
    }
    return r;
}

int kept_write_key(struct weir_json *text, const char *id, const struct weir_kept *kept)
{
    int r = add(text, id, strlen(id));

    if (!r)
        r = add(text, "\t", 1);
    if (!r)
        r = add_escaped(text, kept->input);
    if (!r)
        r = add(text, "\t", 1);
    return r ? r : add_escaped(text, kept->key);
}

int kept_write_value(struct weir_json *text, const struct weir_kept *kept)
{
    const uint8_t *meta = kept->meta;

    if (weir_json_reserve(text, 64 + 2 * kept->meta_size))
        return -ENOMEM;
    text->size += (size_t)sprintf(text->data + text->size, FORMAT "\t%" PRIu64 "\t%016" PRIx64 "\t",
                                  kept->offset, kept->token);
    for (size_t i = 0; i < kept->meta_size; i++)
        text->size += (size_t)sprintf(text->data + text->size, "%02x", meta[i]);
    return 0;
}

int kept_write_owner(struct weir_json *text, const char *owner, int partitions, const char *where)
{
    if (weir_json_reserve(text, strlen(owner) + strlen(where) + 64))
        return -ENOMEM;
    text->size += (size_t)sprintf(text->data + text->size, FORMAT "\t%s\t%d\t%s", owner, partitions, where);
    return 0;
}

/* -- Reading -- */

/* The bytes up to the next tab, or the end, copied; moves *at behind it. NULL: no memory. */
static char *field(const char **at, const char *end)
{
    const char *tab = memchr(*at, '\t', (size_t)(end - *at)), *stop = tab ? tab : end;
    char *copy = strndup(*at, (size_t)(stop - *at));

    *at = tab ? tab + 1 : end;
    return copy;
}

static int check_format(const struct kept_message *message)
{
    size_t digits = 0;

    while (digits < message->value_size && message->value[digits] >= '0' && message->value[digits] <= '9')
        digits++;
    if (!digits || digits == message->value_size || message->value[digits] != '\t')
        return -EUCLEAN;
    return digits == 1 && message->value[0] == *FORMAT ? 0 : -ENOTSUP;
}

static int take_owner(struct kept_table *table, const struct kept_message *message)
{
    const char *at = message->value + 2, *end = message->value + message->value_size;
    char *owner = field(&at, end), *partitions = field(&at, end), *where = field(&at, end);
    int r = owner && partitions && where ? 0 : -ENOMEM;

    if (!r && (!*owner || strtol(partitions, NULL, 10) < 1 || strtol(partitions, NULL, 10) > INT_MAX))
        r = -EUCLEAN;
    if (!r) {
        table->owned = true;
        snprintf(table->owner, sizeof(table->owner), "%s", owner);
        snprintf(table->where, sizeof(table->where), "%s", where);
        table->partitions = (int)strtol(partitions, NULL, 10);
    }
    free(owner);
    free(partitions);
    free(where);
    return r;
}

static struct kept_row *make_row(const char *key, size_t key_size)
{
    struct kept_row *row = calloc(1, sizeof(*row) + key_size + 1);

    if (!row)
        return NULL;
    memcpy(row->key, key, key_size);
    row->key_size = key_size;
    return row;
}

static void drop_row(struct kept_table *table, const struct kept_row *like)
{
    struct kept_row **found = tfind(like, &table->rows, compare_rows);
    struct kept_row *row = found ? *found : NULL;

    if (!row)
        return;
    tdelete(row, &table->rows, compare_rows);
    free_row(row);
    table->count--;
}

static int put_row(struct kept_table *table, struct kept_row *row, const struct kept_message *message)
{
    struct kept_row **found;

    row->value = malloc(message->value_size + 1);
    if (!row->value)
        return -ENOMEM;
    memcpy(row->value, message->value, message->value_size);
    row->value[message->value_size] = '\0';
    row->value_size = message->value_size;
    drop_row(table, row);
    found = tsearch(row, &table->rows, compare_rows);
    if (!found)
        return -ENOMEM;
    table->count++;
    return 0;
}

static int take_row(struct kept_table *table, const char *key, size_t size,
                    const struct kept_message *message)
{
    struct kept_row *row = make_row(key, size);
    int r = row ? 0 : -ENOMEM;

    if (row && !message->value)
        drop_row(table, row);
    else if (row)
        r = put_row(table, row, message);
    if (row && (r || !message->value))
        free_row(row);
    return r;
}

int kept_take(struct kept_table *table, const struct kept_message *message)
{
    size_t size = strlen(table->id);
    int r;

    if (message->key_size < size || memcmp(message->key, table->id, size) != 0 ||
        (message->key_size > size && message->key[size] != '\t'))
        return 0;
    r = message->value ? check_format(message) : 0;
    if (r)
        return r;
    if (message->key_size == size && !message->value) {
        table->owned = false;
        return 0;
    }
    return message->key_size == size
               ? take_owner(table, message)
               : take_row(table, message->key + size + 1, message->key_size - size - 1, message);
}

/* -- Telling -- */

static int nibble(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* In place. */
static bool unescape(char *text)
{
    char *to = text;

    for (; *text; text++) {
        if (*text == '%') {
            int high = nibble(text[1]), low = high < 0 ? -1 : nibble(text[2]);
            if (low < 0)
                return false;
            *to++ = (char)(high << 4 | low);
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
    return true;
}

/* In place; the size in *ret, or -1. */
static ssize_t unhex(char *text)
{
    uint8_t *to = (uint8_t *)text;
    size_t size = strlen(text);

    if (size % 2)
        return -1;
    for (size_t i = 0; i < size; i += 2) {
        int high = nibble(text[i]), low = nibble(text[i + 1]);
        if (high < 0 || low < 0)
            return -1;
        to[i / 2] = (uint8_t)(high << 4 | low);
    }
    return (ssize_t)(size / 2);
}

struct telling {
    weir_kept_fn fn;
    void *data;
    int result;
};

/* Digits, and the tab behind them, which *at is moved over. */
static bool number(const char **at, unsigned base, uint64_t *ret)
{
    uint64_t n = 0;
    const char *p = *at;

    for (; *p && *p != '\t'; p++) {
        int digit = nibble(*p);
        if (digit < 0 || (unsigned)digit >= base || n > (UINT64_MAX - (unsigned)digit) / base)
            return false;
        n = n * base + (unsigned)digit;
    }
    if (p == *at || *p != '\t')
        return false;
    *at = p + 1;
    *ret = n;
    return true;
}

/* The row's names and meta, which are written into. */
static int tell_parts(char *names, char *meta, struct weir_kept *kept, const struct telling *telling)
{
    char *tab = strchr(names, '\t');
    ssize_t size = unhex(meta);

    if (!tab || size < 0)
        return -EUCLEAN;
    *tab = '\0';
    if (!unescape(names) || !unescape(tab + 1))
        return -EUCLEAN;
    kept->input = names;
    kept->key = tab + 1;
    kept->meta = size ? meta : NULL;
    kept->meta_size = (size_t)size;
    return telling->fn(telling->data, kept);
}

static int tell_row(const struct kept_row *row, const struct telling *telling)
{
    struct weir_kept kept = {.struct_size = sizeof(kept)};
    const char *at = row->value + 2; /* behind the format */
    char *names, *meta;
    int r;

    if (strlen(row->key) != row->key_size || strlen(row->value) != row->value_size)
        return -EUCLEAN;
    if (!number(&at, 10, &kept.offset) || !number(&at, 16, &kept.token))
        return -EUCLEAN;
    names = strdup(row->key); /* the row may be told again */
    meta = strdup(at);
    r = names && meta ? tell_parts(names, meta, &kept, telling) : -ENOMEM;
    free(names);
    free(meta);
    return r;
}

static void visit(const void *node, VISIT order, void *data)
{
    struct telling *telling = data;

    if ((order == postorder || order == leaf) && !telling->result)
        telling->result = tell_row(*(struct kept_row *const *)node, telling);
}

int kept_tell(const struct kept_table *table, weir_kept_fn fn, void *data)
{
    struct telling telling = {fn, data, 0};

    twalk_r(table->rows, visit, &telling);
    return telling.result;
}
