/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunk memory. Classes go up in quarters of a power of two (1 KiB, 1.25, 1.5, 1.75, 2, …), so at most a
 * quarter of a block is unused. Last in, first out: the block that comes back is the one still in the cache.
 * Small ones are out of slabs (slab.h), of which only a few are kept.
 */
#include "pool.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "slab.h"

/* A sanitizer is to see where each block ends. */
#if defined(__SANITIZE_ADDRESS__)
enum { FROM_SLABS = 0 };
#else
enum { FROM_SLABS = SLAB_LARGEST };
#endif

enum {
    SMALLEST_SHIFT = 10,
    LARGEST_SHIFT = 23,                                 /* 8 MiB; larger blocks are never kept */
    CLASSES = (LARGEST_SHIFT - SMALLEST_SHIFT) * 4 + 1, /* the smallest, and four for each doubling */
    BUSY_BYTES = 256 << 20,  /* kept for reuse at most: one that is mapped anew costs a fault for each page */
    IDLE_BYTES = 8 << 20,    /* what of that outlives looks with nothing in between */
    FALL_BYTES = 2 << 20,    /* in use, and then less than half of it: whatever waited is gone */
    MAPPED_BYTES = 256 << 10 /* from here on a block is a mapping: the system has it back once it is freed */
};

struct free_block {
    struct free_block *next;
    size_t size;
};

struct pool {
    struct gate gate;
    pthread_mutex_t lock;
    size_t kept;
    size_t least;      /* of kept since the last look: what of it nobody has asked for */
    uint64_t taken;    /* since the last look */
    size_t used, most; /* in use; the most of it since the last look */
    void (*tell)(void *);
    void *tell_data;
    struct free_block *classes[CLASSES];
    struct slabs slabs;
    struct slab *with_room[CLASSES]; /* of blocks up to FROM_SLABS, which are in none of the lists above */
};

struct pool *pool_create(uint64_t limit)
{
    struct pool *p = calloc(1, sizeof(*p));

    if (p) {
        gate_init(&p->gate, limit);
        pthread_mutex_init(&p->lock, NULL);
    }
    return p;
}

static void *get_memory(size_t size)
{
    void *memory;

    if (size < MAPPED_BYTES)
        return aligned_alloc(64, size);
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void drop_memory(void *memory, size_t size)
{
    if (size < MAPPED_BYTES)
        free(memory);
    else
        munmap(memory, size);
}

void pool_destroy(struct pool *p)
{
    if (!p)
        return;
    for (int i = 0; i < CLASSES; i++) {
        while (p->classes[i]) {
            struct free_block *b = p->classes[i];
            p->classes[i] = b->next;
            drop_memory(b, b->size);
        }
    }
    slabs_trim(&p->slabs);
    pthread_mutex_destroy(&p->lock);
    gate_finish(&p->gate);
    free(p);
}

/* The class that holds `size`, with its block size; -1: too large for one. */
static int class_of(size_t size, size_t *ret_size)
{
    if (size <= (size_t)1 << SMALLEST_SHIFT) {
        *ret_size = (size_t)1 << SMALLEST_SHIFT;
        return 0;
    }
    int shift = 63 - __builtin_clzll((unsigned long long)(size - 1));
    size_t quarter = (size_t)1 << (shift - 2);
    size_t steps = (size - ((size_t)1 << shift) + quarter - 1) / quarter; /* 1 to 4 */
    int index = (shift - SMALLEST_SHIFT) * 4 + (int)steps;

    *ret_size = ((size_t)1 << shift) + steps * quarter;
    return index < CLASSES ? index : -1;
}

/* Under the lock. NULL: none is kept. */
static void *take_kept(struct pool *p, int index, size_t size)
{
    struct free_block *block = p->classes[index];

    if (size <= FROM_SLABS)
        return slab_take(&p->slabs, &p->with_room[index], size);
    if (block) {
        p->classes[index] = block->next;
        p->kept -= size;
        p->least = p->kept < p->least ? p->kept : p->least;
    }
    return block;
}

/* Under the lock. Whether it is kept. */
static bool keep(struct pool *p, int index, void *memory, size_t size)
{
    struct free_block *block = memory;

    if (size <= FROM_SLABS) {
        slab_give(&p->slabs, &p->with_room[index], block);
        return true;
    }
    if (p->kept + size > BUSY_BYTES)
        return false;
    *block = (struct free_block){p->classes[index], size};
    p->classes[index] = block;
    p->kept += size;
    return true;
}

/* Lock held. */
static bool has_fallen(const struct pool *p)
{
    return p->most >= FALL_BYTES && p->used < p->most / 2;
}

/* Ends what is done under the lock. */
static void unlock_and_tell(struct pool *p)
{
    bool worth = p->taken >= POOL_MUCH || p->kept > IDLE_BYTES || has_fallen(p);
    void (*fn)(void *) = worth ? p->tell : NULL;
    void *data = p->tell_data;

    if (fn)
        p->tell = NULL;
    pthread_mutex_unlock(&p->lock);
    if (fn)
        fn(data);
}

static void take_failed(struct pool *p, size_t rounded)
{
    pthread_mutex_lock(&p->lock);
    p->used -= rounded;
    pthread_mutex_unlock(&p->lock);
}

void *pool_take(struct pool *p, size_t *size)
{
    size_t rounded;
    void *block = NULL;

    if (*size > SIZE_MAX / 4)
        return NULL;
    int index = class_of(*size, &rounded);
    if (index >= 0) {
        pthread_mutex_lock(&p->lock);
        block = take_kept(p, index, rounded);
        p->taken += rounded;
        p->used += rounded;
        p->most = p->used > p->most ? p->used : p->most;
        unlock_and_tell(p);
    }
    if (!block && rounded > FROM_SLABS)
        block = get_memory(rounded);
    if (!block) {
        if (index >= 0)
            take_failed(p, rounded);
        return NULL;
    }
    gate_add(&p->gate, rounded);
    *size = rounded;
    return block;
}

void pool_give(struct pool *p, void *memory, size_t size)
{
    size_t rounded;
    int index = class_of(size, &rounded);
    bool kept = false;

    if (index >= 0) {
        pthread_mutex_lock(&p->lock);
        kept = keep(p, index, memory, size);
        p->used -= rounded;
        unlock_and_tell(p);
    }
    if (!kept)
        drop_memory(memory, size);
    gate_leave(&p->gate, size);
}

/* What was not asked for since the last look, the largest first. Returns what is to be dropped, as a list. */
static struct free_block *unlink_surplus(struct pool *p)
{
    struct free_block *surplus = NULL;
    size_t idle = p->least > IDLE_BYTES ? p->least - IDLE_BYTES : 0, left = p->kept - idle;

    for (int i = CLASSES - 1; i >= 0 && p->kept > left;) {
        struct free_block *b = p->classes[i];
        if (!b) {
            i--;
            continue;
        }
        p->classes[i] = b->next;
        p->kept -= b->size;
        b->next = surplus;
        surplus = b;
    }
    return surplus;
}

struct pool_look pool_look(struct pool *p)
{
    struct pool_look seen = {0};
    struct free_block *b, *next;

    pthread_mutex_lock(&p->lock);
    b = unlink_surplus(p);
    p->least = p->kept;
    seen.more = p->kept > IDLE_BYTES;
    seen.taken = p->taken;
    seen.fell = has_fallen(p);
    p->taken = 0;
    p->most = p->used;
    slabs_trim(&p->slabs);
    pthread_mutex_unlock(&p->lock);
    for (; b; b = next) {
        next = b->next;
        seen.dropped += b->size;
        drop_memory(b, b->size);
    }
    return seen;
}

void pool_tell(struct pool *p, void (*fn)(void *), void *data)
{
    pthread_mutex_lock(&p->lock);
    p->tell = fn;
    p->tell_data = data;
    unlock_and_tell(p);
}

struct gate *pool_gate(struct pool *p)
{
    return &p->gate;
}
