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

/* Zeroed: empty. An instance has seven, and there may be ten thousand of those, whose tables have one member.
 */
struct tail_table {
    union {
        struct tail_table_node *few; /* all of them, as a list */
        uintptr_t many;              /* the buckets, where it is odd */
    };
};

/* 0 or -ENOMEM. */
int tail_table_add(struct tail_table *, struct tail_table_node *, uint64_t hash);
void tail_table_remove(struct tail_table *, struct tail_table_node *); /* must be in it */
struct tail_table_node *tail_table_first(const struct tail_table *, uint64_t hash);
struct tail_table_node *tail_table_next(const struct tail_table_node *); /* the next of the same hash */
size_t tail_table_count(const struct tail_table *);
/* How many buckets there are: 1 while the members are few. */
size_t tail_table_size(const struct tail_table *);
/* The first node of the bucket of that number, which is below that; the next is ->next. Or NULL. */
struct tail_table_node *tail_table_bucket(const struct tail_table *, size_t);
/* Any node, or NULL when empty. */
struct tail_table_node *tail_table_any(struct tail_table *);
/* Frees the buckets, not the members. */
void tail_table_clear(struct tail_table *);

#endif
