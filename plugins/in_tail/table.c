/* SPDX-License-Identifier: Apache-2.0 */
/* The hash table of table.h. Owns its buckets only. Loop thread. */
#include "table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* So many may share the one bucket of a small table. */
enum { SMALL = 4 };

struct tail_table_buckets {
    size_t low; /* all before this one are empty */
    struct tail_table_node *heads[];
};

static struct tail_table_node **head_of(struct tail_table *t, uint64_t hash)
{
    return t->size == 1 ? &t->one : &t->many->heads[hash & (t->size - 1)];
}

struct tail_table_node *tail_table_bucket(const struct tail_table *t, size_t index)
{
    return t->size == 1 ? t->one : t->many->heads[index];
}

static bool is_full(const struct tail_table *t)
{
    return t->count >= (t->size == 1 ? SMALL : t->size) && t->size < UINT32_C(1) << 31;
}

static int grow(struct tail_table *t)
{
    if (!t->size) {
        t->one = NULL;
        t->size = 1;
        return 0;
    }
    uint32_t size = t->size == 1 ? 2 * SMALL : t->size * 2;
    struct tail_table_buckets *buckets = calloc(1, sizeof(*buckets) + size * sizeof(buckets->heads[0]));
    if (!buckets) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < t->size; i++) {
        for (struct tail_table_node *n = tail_table_bucket(t, i), *next; n; n = next) {
            struct tail_table_node **head = &buckets->heads[n->hash & (size - 1)];
            next = n->next;
            n->next = *head;
            *head = n;
        }
    }
    free(t->size > 1 ? t->many : NULL);
    t->many = buckets;
    t->size = size;
    return 0;
}

int tail_table_add(struct tail_table *t, struct tail_table_node *n, uint64_t hash)
{
    if (is_full(t)) {
        grow(t); /* a table that can't grow only gets slower */
    }
    size_t index = hash & (t->size - 1);
    struct tail_table_node **head = head_of(t, hash);
    n->hash = hash;
    n->next = *head;
    *head = n;
    if (t->size > 1 && index < t->many->low) {
        t->many->low = index;
    }
    t->count++;
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
    return t->size ? same(tail_table_bucket(t, hash & (t->size - 1)), hash) : NULL;
}

struct tail_table_node *tail_table_next(const struct tail_table_node *n)
{
    return same(n->next, n->hash);
}

struct tail_table_node *tail_table_any(struct tail_table *t)
{
    if (!t->count || t->size == 1) {
        return t->count ? t->one : NULL;
    }
    while (!t->many->heads[t->many->low]) {
        t->many->low++;
    }
    return t->many->heads[t->many->low];
}

void tail_table_clear(struct tail_table *t)
{
    free(t->size > 1 ? t->many : NULL);
    *t = (struct tail_table){0};
}
