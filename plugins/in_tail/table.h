/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table whose nodes lie inside the members. The caller compares; several members may share a hash. */
#ifndef TAIL_TABLE_H
#define TAIL_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct tail_table_node {
    struct tail_table_node *next;
    uint64_t hash;
};

struct tail_table {
    union {
        struct tail_table_node *one;     /* size 1: the bucket of most tables, which never have more */
        struct tail_table_buckets *many; /* else, where size is not 0 */
    };
    uint32_t size, count; /* size is 0 or a power of two */
};

/* 0 or -ENOMEM. */
int tail_table_add(struct tail_table *, struct tail_table_node *, uint64_t hash);
void tail_table_remove(struct tail_table *, struct tail_table_node *); /* must be in it */
struct tail_table_node *tail_table_first(const struct tail_table *, uint64_t hash);
struct tail_table_node *tail_table_next(const struct tail_table_node *); /* the next of the same hash */
/* The first node of the bucket of that number, which is below size; the next is ->next. Or NULL. */
struct tail_table_node *tail_table_bucket(const struct tail_table *, size_t);
/* Any node, or NULL when empty. */
struct tail_table_node *tail_table_any(struct tail_table *);
/* Frees the buckets, not the members. */
void tail_table_clear(struct tail_table *);

#endif
