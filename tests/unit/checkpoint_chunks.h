/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of streams and marks: a checkpoint in a directory of its own, and chunks that go when they
 * are released. */
#ifndef CHECKPOINT_CHUNKS_H
#define CHECKPOINT_CHUNKS_H

#include "checkpoint_fixture.h"
#include "checkpoint.h"

enum { SET_MARKS = 3 };

/* A chunk as the engine has it: the memory goes with the release. */
struct chunk {
    struct checkpoint_set set; /* first */
    struct checkpoint_mark marks[SET_MARKS];
    int *released; /* counts, where not NULL */
};

static struct checkpoint *checkpoint;
static char *error;
static _Atomic int live_chunks;
static _Atomic int dirty_calls;
static bool last_urgent;

static inline void open_checkpoint(void)
{
    int r = checkpoint_open(fixture_dir, &checkpoint, &error);
    ck_assert_msg(r == 0, "%s", error);
}

static inline void close_checkpoint(void)
{
    checkpoint_close(checkpoint);
    checkpoint = NULL;
}

static inline void flush(void)
{
    int r = checkpoint_flush(checkpoint, &error);
    ck_assert_msg(r == 0, "%s", error);
}

static inline void restart(void)
{
    flush();
    close_checkpoint();
    open_checkpoint();
}

static inline void setup(void)
{
    fixture_setup();
    open_checkpoint();
    live_chunks = dirty_calls = 0;
}

static inline void teardown(void)
{
    close_checkpoint();
    ck_assert_int_eq(live_chunks, 0); /* every set was released */
    fixture_teardown();
}

static inline void release(struct checkpoint_set *set)
{
    struct chunk *chunk = (struct chunk *)set;
    if (chunk->released)
        ++*chunk->released;
    live_chunks--;
    free(chunk);
}

static inline struct chunk *chunk_new(int *released)
{
    struct chunk *chunk = calloc(1, sizeof(*chunk));
    if (!chunk)
        abort();
    chunk->set = (struct checkpoint_set){.marks = chunk->marks, .release = release};
    chunk->released = released;
    live_chunks++;
    return chunk;
}

static inline void add(struct chunk *chunk, struct weir_stream *stream, uint64_t offset)
{
    chunk->marks[chunk->set.count++] =
        (struct checkpoint_mark){.stream = stream, .offset = offset, .token = offset * 10};
}

/* One mark, sent. */
static inline struct chunk *send_one(struct weir_stream *stream, uint64_t offset, int *released)
{
    struct chunk *chunk = chunk_new(released);
    add(chunk, stream, offset);
    checkpoint_track(checkpoint, &chunk->set);
    return chunk;
}

static inline void acknowledge(struct chunk *chunk)
{
    checkpoint_acknowledge(checkpoint, &chunk->set);
}

/* The same of a chunk that goes to a keeper of positions, which has it in the end. */
static inline struct chunk *send_to_keeper(struct weir_stream *stream, uint64_t offset)
{
    struct chunk *chunk = chunk_new(NULL);
    chunk->set.keeping = true;
    add(chunk, stream, offset);
    checkpoint_track(checkpoint, &chunk->set);
    return chunk;
}

static inline void end(struct chunk *chunk)
{
    checkpoint_told(&chunk->set);
    acknowledge(chunk);
}

static inline struct weir_stream *open_stream(const char *input, const char *key)
{
    struct weir_stream *stream = checkpoint_stream_open(checkpoint, input, key);
    ck_assert_ptr_nonnull(stream);
    return stream;
}

static inline struct weir_stream_state state_of(struct weir_stream *stream)
{
    struct weir_stream_state state = {.struct_size = sizeof(state)};
    checkpoint_stream_state(stream, &state);
    return state;
}

static inline void assert_at(struct weir_stream *stream, uint64_t sent, uint64_t committed)
{
    struct weir_stream_state state = state_of(stream);
    ck_assert(state.known);
    ck_assert_uint_eq(state.offset, sent);
    ck_assert_uint_eq(state.token, sent * 10);
    ck_assert_uint_eq(state.committed, committed);
}

static inline void note_dirty(void *data, bool urgent)
{
    ck_assert_ptr_eq(data, &dirty_calls);
    dirty_calls++;
    last_urgent = urgent;
}

#endif
