/* SPDX-License-Identifier: Apache-2.0 */
/* The hash table of table.h. Owns its buckets only. Loop thread. */
#include "table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* So many are a list. */
enum { FEW = 4 };

struct tail_table_buckets {
    size_t size, count; /* size is a power of two */
    size_t low;         /* all before this one are empty */
    struct tail_table_node *heads[];
};

/* NULL: they are few. */
static struct tail_table_buckets *buckets_of(const struct tail_table *t)
{
    return t->many & 1 ? (struct tail_table_buckets *)(t->many - 1) : NULL;
}

static struct tail_table_node **head_of(struct tail_table *t, uint64_t hash)
{
    struct tail_table_buckets *b = buckets_of(t);
    return b ? &b->heads[hash & (b->size - 1)] : &t->few;
}

size_t tail_table_count(const struct tail_table *t)
{
    const struct tail_table_buckets *b = buckets_of(t);
    size_t count = b ? b->count : 0;
    for (const struct tail_table_node *n = b ? NULL : t->few; n; n = n->next) {
        count++;
    }
    return count;
}

size_t tail_table_size(const struct tail_table *t)
{
    const struct tail_table_buckets *b = buckets_of(t);
    return b ? b->size : 1;
}

struct tail_table_node *tail_table_bucket(const struct tail_table *t, size_t index)
{
    const struct tail_table_buckets *b = buckets_of(t);
    return b ? b->heads[index] : t->few;
}

static bool is_full(const struct tail_table *t)
{
    const struct tail_table_buckets *b = buckets_of(t);
    return b ? b->count >= b->size && b->size < SIZE_MAX / 32 : tail_table_count(t) >= FEW;
}

/* Without memory the table only gets slower. */
static void grow(struct tail_table *t)
{
    struct tail_table_buckets *old = buckets_of(t);
    size_t size = old ? old->size * 2 : 2 * FEW;
    struct tail_table_buckets *b = calloc(1, sizeof(*b) + size * sizeof(b->heads[0]));
    if (!b) {
        return;
    }
    b->size = size;
    b->count = tail_table_count(t);
    for (size_t i = 0; i < tail_table_size(t); i++) {
        for (struct tail_table_node *n = tail_table_bucket(t, i), *next; n; n = next) {
            struct tail_table_node **head = &b->heads[n->hash & (size - 1)];
            next = n->next;
            n->next = *head;
            *head = n;
        }
    }
    free(old);
    t->many = (uintptr_t)b + 1;
}

int tail_table_add(struct tail_table *t, struct tail_table_node *n, uint64_t hash)
{
    if (is_full(t)) {
        grow(t);
    }
    struct tail_table_node **head = head_of(t, hash);
    struct tail_table_buckets *b = buckets_of(t);
    n->hash = hash;
    n->next = *head;
    *head = n;
    if (b) {
        size_t index = hash & (b->size - 1);
        b->low = index < b->low ? index : b->low;
        b->count++;
    }
    return 0;
}

void tail_table_remove(struct tail_table *t, struct tail_table_node *n)
{
    struct tail_table_node **at = head_of(t, n->hash);
    while (*at != n) {
        at = &(*at)->next;
    }
    *at = n->next;
    n->next = NULL;
    if (buckets_of(t)) {
        buckets_of(t)->count--;
    }
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
    return same(tail_table_bucket(t, hash & (tail_table_size(t) - 1)), hash);
}

struct tail_table_node *tail_table_next(const struct tail_table_node *n)
{
    return same(n->next, n->hash);
}

struct tail_table_node *tail_table_any(struct tail_table *t)
{
    struct tail_table_buckets *b = buckets_of(t);
    if (!b || !b->count) {
        return b ? NULL : t->few;
    }
    while (!b->heads[b->low]) {
        b->low++;
    }
    return b->heads[b->low];
}

void tail_table_clear(struct tail_table *t)
{
    free(buckets_of(t));
    *t = (struct tail_table){0};
}
