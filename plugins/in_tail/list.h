/* SPDX-License-Identifier: Apache-2.0 */
/* Doubly linked lists whose links lie inside the members. A link that is in no list points to itself. */
#ifndef TAIL_LIST_H
#define TAIL_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct tail_link {
    struct tail_link *prev, *next;
};

#define TAIL_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void tail_list_init(struct tail_link *l)
{
    l->prev = l->next = l;
}

static inline bool tail_list_empty(const struct tail_link *l)
{
    return l->next == l;
}

/* Appends; `item` must be in no list. */
static inline void tail_list_add(struct tail_link *list, struct tail_link *item)
{
    item->prev = list->prev;
    item->next = list;
    list->prev->next = item;
    list->prev = item;
}

/* `item`, which must be in no list, takes the place of `other`, which is in one; that is in none then. */
static inline void tail_list_replace(struct tail_link *other, struct tail_link *item)
{
    *item = *other;
    item->prev->next = item;
    item->next->prev = item;
    tail_list_init(other);
}

/* Takes a link that is in no list, too. */
static inline void tail_list_remove(struct tail_link *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    tail_list_init(item);
}

#endif
