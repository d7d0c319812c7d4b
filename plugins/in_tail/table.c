/* SPDX-License-Identifier: Apache-2.0 */
/* The hash table of table.h. Owns its buckets only. Loop thread. */
#include "table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* So many may share the one bucket of a small table. */
enum { SMALL = 4 };

static bool is_full(const struct tail_table *t)
{
    return t->count >= (t->size == 1 ? SMALL : t->size) && t->size < UINT32_C(1) << 31;
}

static int grow(struct tail_table *t)
{
    if (!t->size) {
        t->one = NULL;
        t->buckets = &t->one;
        t->size = 1;
        return 0;
    }
    uint32_t size = t->size == 1 ? 2 * SMALL : t->size * 2;
    struct tail_table_node **buckets = calloc(size, sizeof(*buckets));
    if (!buckets) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < t->size; i++) {
        for (struct tail_table_node *n = t->buckets[i], *next; n; n = next) {
            next = n->next;
            n->next = buckets[n->hash & (size - 1)];
            buckets[n->hash & (size - 1)] = n;
        }
    }
    free(t->size > 1 ? t->buckets : NULL);
    t->buckets = buckets;
    t->size = size;
    t->low = 0;
    return 0;
}

int tail_table_add(struct tail_table *t, struct tail_table_node *n, uint64_t hash)
{
    if (is_full(t)) {
        grow(t); /* a table that can't grow only gets slower */
    }
    uint32_t index = (uint32_t)(hash & (t->size - 1));
    struct tail_table_node **bucket = &t->buckets[index];
    n->hash = hash;
    n->next = *bucket;
    *bucket = n;
    t->low = index < t->low ? index : t->low;
    t->count++;
    return 0;
}

void tail_table_remove(struct tail_table *t, struct tail_table_node *n)
{
    struct tail_table_node **at = &t->buckets[n->hash & (t->size - 1)];
    while (*at != n) {
        at = &(*at)->next;
    }
    *at = n->next;
    n->next = NULL;
    t->count--;
}

static struct tail_table_node *same(struct tail_table_node *n, uint64_t hash)
{
    while (n && n->hash != hash) {
        n = n->next;
    }
    return n;
}

struct tail_table_node *tail_table_first(const struct tail_table *t, uint64_t hash)
{
    return t->size ? same(t->buckets[hash & (t->size - 1)], hash) : NULL;
}

struct tail_table_node *tail_table_next(const struct tail_table_node *n)
{
    return same(n->next, n->hash);
}

struct tail_table_node *tail_table_any(struct tail_table *t)
{
    while (t->count && !t->buckets[t->low]) {
        t->low++;
    }
    return t->count ? t->buckets[t->low] : NULL;
}

void tail_table_clear(struct tail_table *t)
{
    free(t->size > 1 ? t->buckets : NULL);
    *t = (struct tail_table){0};
}
