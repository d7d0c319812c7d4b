/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of chunks' slots, in the order in which their chunks were sent. The lock is the caller's. */
#ifndef WEIR_CORE_SLOT_LIST_H
#define WEIR_CORE_SLOT_LIST_H

#include "chunk.h"

struct slot_list {
    struct chunk_slot *first, *last;
};

/* where NULL: at the front. */
static inline void slot_list_insert(struct slot_list *l, struct chunk_slot *where, struct chunk_slot *s)
{
    s->prev = where;
    s->next = where ? where->next : l->first;
    if (s->next)
        s->next->prev = s;
    else
        l->last = s;
    if (where)
        where->next = s;
    else
        l->first = s;
}

static inline void slot_list_append(struct slot_list *l, struct chunk_slot *s)
{
    slot_list_insert(l, l->last, s);
}

static inline void slot_list_remove(struct slot_list *l, struct chunk_slot *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        l->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        l->last = s->prev;
}

/* In its place by the ids of chunks, which go up; looked for from the end. */
static inline void slot_list_insert_by_id(struct slot_list *l, struct chunk_slot *s)
{
    struct chunk_slot *where = l->last;

    while (where && where->chunk->view.id > s->chunk->view.id)
        where = where->prev;
    slot_list_insert(l, where, s);
}

#endif
