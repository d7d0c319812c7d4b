/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs of a set with their ids, and what is refused. Any thread, one at a time. */
#ifndef ETCD_ITEMS_H
#define ETCD_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "entry.h"

/* One input. */
struct etcd_item {
    const char *id; /* its own, or the entry's path */
    struct etcd_entry *entry;
    bool refused; /* by weir */
};

struct etcd_items {
    struct etcd_item *list;
    size_t count;
    uint32_t *slots; /* a hash table by id: number of the item, counted from 1; 0: free */
    size_t mask;
};

struct etcd_refused {
    const char *key; /* the key, or the entry's origin "key[3]" */
    const char *error;
};

struct etcd_refusals {
    struct etcd_refused *list; /* both texts are owned */
    size_t count;
};

/* Makes room for so many in an empty list. 0 or -ENOMEM. */
int etcd_items_reserve(struct etcd_items *, size_t count);
/* There is room, and none has that id yet. Takes the id over, unless it is the entry's path, and NULL for it:
 * -ENOMEM. */
int etcd_items_add(struct etcd_items *, char *id, struct etcd_entry *);
struct etcd_item *etcd_items_find(const struct etcd_items *, const char *id); /* or NULL */
/* Another entry, with the same id, takes the place of the item's. 0 or -ENOMEM. */
int etcd_item_set(struct etcd_item *, struct etcd_entry *);
void etcd_items_clear(struct etcd_items *);

int etcd_refusals_add(struct etcd_refusals *, const char *key, const char *error); /* 0 or -ENOMEM */
int etcd_refusals_add_entry(struct etcd_refusals *, const struct etcd_entry *,
                            const char *error); /* the same */
/* `from` (0 at first) is where it is looked for first, and moves behind it: they stay in their order. */
bool etcd_refusals_have(const struct etcd_refusals *, const struct etcd_refused *, size_t *from);
void etcd_refusals_clear(struct etcd_refusals *);

#endif
