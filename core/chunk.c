/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks: building, sealing, and the count of who still needs one. */
#include "chunk.h"
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "output.h"
#include "spool.h"

static atomic_uint_fast64_t next_id = 1;

static size_t head_size(const struct route *route)
{
    size_t size = sizeof(struct chunk) + route->count * sizeof(struct chunk_slot);

    return (size + 63) & ~(size_t)63; /* the records begin on a cache line of their own */
}

struct chunk *chunk_of_view(struct weir_chunk *view)
{
    return (struct chunk *)((char *)view - offsetof(struct chunk, view));
}

struct chunk *chunk_of_draft(struct weir_draft *draft)
{
    return (struct chunk *)((char *)draft - offsetof(struct chunk, draft));
}

/* The positions of most chunks (one stream) fit behind the records. */
enum { MARK_ROOM = 2 * sizeof(struct checkpoint_mark) };

static void *take_block(struct pool *pool, const struct route *route, size_t size, size_t *ret_block_size)
{
    size_t head = head_size(route);

    if (size > SIZE_MAX / 4)
        return NULL;
    *ret_block_size = head + size + MARK_ROOM;
    return pool_take(pool, ret_block_size);
}

struct chunk *chunk_create(struct pool *pool, struct checkpoint *checkpoint, struct route *route,
                           struct rcstring *input, size_t size)
{
    size_t block_size;
    struct chunk *c = take_block(pool, route, size, &block_size);

    if (!c)
        return NULL;
    memset(c, 0, sizeof(*c));
    c->pool = pool;
    c->block_size = block_size;
    c->checkpoint = checkpoint;
    c->route = route_ref(route);
    c->input = rcstring_ref(input);
    c->draft.struct_size = sizeof(c->draft);
    c->draft.data = (uint8_t *)c + head_size(route);
    c->draft.capacity = block_size - head_size(route) - MARK_ROOM;
    return c;
}

int chunk_grow(struct chunk **chunk, size_t room)
{
    struct chunk *c = *chunk;
    size_t block_size;

    if (c->draft.capacity - c->draft.size >= room)
        return 0;
    if (room > SIZE_MAX / 4)
        return -ENOMEM;
    struct chunk *larger = take_block(c->pool, c->route, c->draft.size + room, &block_size);
    if (!larger)
        return -ENOMEM;
    size_t head = head_size(c->route);
    memcpy(larger, c, head + c->draft.size);
    larger->block_size = block_size;
    larger->draft.data = (uint8_t *)larger + head;
    larger->draft.capacity = block_size - head - MARK_ROOM;
    pool_give(c->pool, c, c->block_size);
    *chunk = larger;
    return 0;
}

static void chunk_free(struct chunk *c)
{
    checkpoint_told(&c->set);
    route_unref(c->route);
    rcstring_unref(c->input);
    free(c->marks_memory);
    pool_give(c->pool, c, c->block_size);
}

void chunk_cancel(struct chunk *c)
{
    chunk_free(c);
}

static void chunk_unref(struct chunk *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        chunk_free(c);
}

static void release_positions(struct checkpoint_set *set)
{
    chunk_unref((struct chunk *)((char *)set - offsetof(struct chunk, set)));
}

/* Memory for the marks: behind the records where they fit. */
static struct checkpoint_mark *place_marks(struct chunk *c, size_t count)
{
    size_t align = _Alignof(struct checkpoint_mark);
    size_t at = ((size_t)(c->draft.data - (uint8_t *)c) + c->draft.size + align - 1) & ~(align - 1);

    if (at <= c->block_size && (c->block_size - at) / sizeof(struct checkpoint_mark) >= count)
        return (struct checkpoint_mark *)(void *)((uint8_t *)c + at);
    c->marks_memory = calloc(count, sizeof(struct checkpoint_mark));
    return c->marks_memory;
}

static void fill_view(struct chunk *c)
{
    c->view = (struct weir_chunk){
        .struct_size = sizeof(c->view),
        .records = c->draft.records,
        .data = c->draft.data,
        .size = c->draft.size,
        .tag = c->route->tag,
        .topic = c->route->topic,
        .input = c->input->chars,
        .id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed),
    };
}

int chunk_seal(struct chunk *c, const struct weir_position *positions, size_t count, bool *ret_sealed)
{
    struct checkpoint_mark *marks = place_marks(c, count);
    bool has_records = c->draft.records > 0;

    if (!marks && count)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        marks[i] = (struct checkpoint_mark){
            .stream = positions[i].stream, .offset = positions[i].offset, .token = positions[i].token};
    c->set = (struct checkpoint_set){.marks = marks,
                                     .count = count,
                                     .release = release_positions,
                                     .keeping = c->route->keepers && has_records};
    fill_view(c);
    atomic_init(&c->refs, 2);
    atomic_init(&c->lost, false);
    atomic_init(&c->pending, has_records ? (unsigned)c->route->count : 1);
    for (size_t i = 0; i < c->route->count; i++) {
        c->slots[i] = (struct chunk_slot){.chunk = c};
        atomic_init(&c->slots[i].output, c->route->outputs[i]);
    }
    checkpoint_track(c->checkpoint, &c->set);
    *ret_sealed = has_records;
    if (!has_records) {
        checkpoint_acknowledge(c->checkpoint, &c->set);
        chunk_unref(c);
    }
    return 0;
}

/* Whoever keeps positions is the last to get a chunk. */
static void wake_keeper(struct chunk *c)
{
    for (size_t i = 0; i < c->route->count; i++)
        output_wake(atomic_load_explicit(&c->slots[i].output, memory_order_relaxed));
}

static void all_done(struct chunk *c)
{
    bool all = !atomic_load(&c->lost);

    if (all)
        checkpoint_acknowledge(c->checkpoint, &c->set);
    if (c->spooled)
        spool_entry_done(c->spooled, all);
    chunk_unref(c);
}

void chunk_slot_done(struct chunk_slot *slot, bool delivered)
{
    struct chunk *c = slot->chunk;

    if (!delivered)
        atomic_store(&c->lost, true);
    /* Once it is counted down here, the last output may be done with it, and it be gone: so it is held. */
    bool kept = c->route->keepers > 0;
    if (kept)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    unsigned before = atomic_fetch_sub_explicit(&c->pending, 1, memory_order_acq_rel);
    if (before == 1)
        all_done(c);
    if (before == 2 && kept)
        wake_keeper(c);
    if (kept)
        chunk_unref(c);
}
