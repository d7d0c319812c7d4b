/* SPDX-License-Identifier: Apache-2.0 */
/* The hash table of table.h. Owns its buckets only. Loop thread. */
#include "table.h"

#include <errno.h>
#include <stdlib.h>

static int grow(struct tail_table *t)
{
    size_t size = t->size ? t->size * 2 : 4;
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
    free(t->buckets);
    t->buckets = buckets;
    t->size = size;
    return 0;
}

int tail_table_add(struct tail_table *t, struct tail_table_node *n, uint64_t hash)
{
    if (t->count >= t->size && grow(t) < 0 && !t->size) {
        return -ENOMEM; /* a table that can't grow only gets slower */
    }
    struct tail_table_node **bucket = &t->buckets[hash & (t->size - 1)];
    n->hash = hash;
    n->next = *bucket;
    *bucket = n;
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

struct tail_table_node *tail_table_any(const struct tail_table *t)
{
    for (size_t i = 0; t->count && i < t->size; i++) {
        if (t->buckets[i]) {
            return t->buckets[i];
        }
    }
    return NULL;
}

void tail_table_clear(struct tail_table *t)
{
    free(t->buckets);
    *t = (struct tail_table){0};
}
