/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slab's blocks follow its head, and its address is a multiple of its size: so a block leads to its slab.
 * One that is full is in no list.
 */
#include "slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

enum {
    SLAB_BYTES = 64 << 10,
    HEAD = 64,
    SPARES = 4 /* kept at most */
};

struct free_block {
    struct free_block *next;
};

struct slab {
    struct slab *prev, *next; /* of those with room, or of the spare ones */
    struct free_block *free;
    size_t size, used; /* of a block; blocks */
    size_t fresh;      /* where those begin that were never taken */
};

_Static_assert(sizeof(struct slab) <= HEAD, "the head of a slab");

static void *map_aligned(void)
{
    char *from = mmap(NULL, 2 * SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (from == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)from % SLAB_BYTES;
    if (before)
        munmap(from, before);
    munmap(from + before + SLAB_BYTES, SLAB_BYTES - before);
    return from + before;
}

static void add(struct slab **list, struct slab *s)
{
    s->prev = NULL;
    s->next = *list;
    if (*list)
        (*list)->prev = s;
    *list = s;
}

static void take_out(struct slab **list, struct slab *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        *list = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

static bool is_full(const struct slab *s)
{
    return !s->free && s->fresh + s->size > SLAB_BYTES;
}

static struct slab *slab_get(struct slabs *all, size_t size)
{
    struct slab *s = all->spare;

    if (s) {
        take_out(&all->spare, s);
        all->spares--;
    } else {
        s = map_aligned();
    }
    if (s)
        *s = (struct slab){.size = size, .fresh = HEAD};
    return s;
}

void *slab_take(struct slabs *all, struct slab **with_room, size_t size)
{
    struct slab *s = *with_room;

    if (!s) {
        s = slab_get(all, size);
        if (!s)
            return NULL;
        add(with_room, s);
    }
    struct free_block *b = s->free;
    if (b) {
        s->free = b->next;
    } else {
        b = (struct free_block *)(void *)((char *)s + s->fresh);
        s->fresh += size;
    }
    s->used++;
    if (is_full(s))
        take_out(with_room, s);
    return b;
}

void slab_give(struct slabs *all, struct slab **with_room, void *block)
{
    struct slab *s = (struct slab *)((uintptr_t)block & ~(uintptr_t)(SLAB_BYTES - 1));
    struct free_block *b = block;

    if (is_full(s))
        add(with_room, s);
    b->next = s->free;
    s->free = b;
    if (--s->used)
        return;
    take_out(with_room, s);
    if (all->spares == SPARES) {
        munmap(s, SLAB_BYTES);
        return;
    }
    add(&all->spare, s);
    all->spares++;
}

void slabs_trim(struct slabs *all)
{
    while (all->spare) {
        struct slab *s = all->spare;
        take_out(&all->spare, s);
        munmap(s, SLAB_BYTES);
    }
    all->spares = 0;
}
