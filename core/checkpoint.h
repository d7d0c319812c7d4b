/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams and their positions: what was sent, what was acknowledged, what is on disk. Any thread unless a
 * function says otherwise; one lock, held for a few pointer moves. The store is SQLite in data_dir
 * (checkpoint.db), behind checkpoint_store.h.
 *
 * A position that is sent becomes a mark at the end of its stream's queue. When every output has finished the
 * mark's chunk it is acknowledged; the committed offset follows the head of the queue, so it never passes a
 * mark that is still open. Committed offsets that changed are written by checkpoint_flush.
 */
#ifndef WEIR_CORE_CHECKPOINT_H
#define WEIR_CORE_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>

struct checkpoint;

/* One position of one chunk. Once tracked it is the checkpoint's, which may raise offset and token
 * (stream_advance). */
struct checkpoint_mark {
    struct weir_stream *stream;
    uint64_t offset, token;
    uint64_t end;                 /* the offset as it was sent */
    struct checkpoint_mark *next; /* the newer one of the same stream */
    struct checkpoint_set *set;
    bool acknowledged;
};

/*
 * The marks of one chunk. The memory is the chunk's, and must stay until `release` was called: once, when the
 * last of the marks has left its stream's queue, on any thread, with no lock held.
 */
struct checkpoint_set {
    struct checkpoint_mark *marks;
    size_t count;
    size_t open; /* marks still in a queue */
    void (*release)(struct checkpoint_set *);
    bool keeping; /* an output keeps its positions */
    struct checkpoint_forgotten
        *removed; /* streams that were forgotten before it, which the keeper is told */
};

/*
 * Opens the store and reads the positions. dir NULL: nothing is kept beyond the process. The directory is
 * made (0700) where it is missing, and locked against a second weir. 0 or a negative errno with *ret_error, a
 * sentence for the operator (caller frees).
 */
int checkpoint_open(const char *dir, struct checkpoint **ret, char **ret_error);

/*
 * Called whenever there is something to flush after there was nothing (also when a flush failed, within it),
 * and when it becomes urgent: a stream is among it that the store does not know at all. A position that is
 * written late costs repeats; a file whose stream was never written can't be found again once it is renamed.
 * Any thread, no lock held. Never without a store.
 */
void checkpoint_on_dirty(struct checkpoint *, void (*fn)(void *data, bool urgent), void *data);

/*
 * Writes what changed, in one transaction. Control thread. 0 or a negative errno with *ret_error; what was
 * not written stays to be written.
 */
int checkpoint_flush(struct checkpoint *, char **ret_error);

/* Releases every mark that is still open without committing it, and closes. Does not flush. Takes NULL. */
void checkpoint_close(struct checkpoint *);

/*
 * -- Streams. `input` is the input's identity. --
 * The same key opened twice is the same stream, to be closed twice. A key that is empty, longer than 512
 * bytes or has control characters: NULL and EINVAL. An offset below one that was sent before counts as that
 * one. Meta of a stream without a committed position waits for one.
 */

struct weir_stream *checkpoint_stream_open(struct checkpoint *, const char *input, const char *key);
/* The input's identity as it is kept for its streams, as long as the checkpoint. NULL: no memory. */
const char *checkpoint_identity(struct checkpoint *, const char *input);
void checkpoint_stream_state(struct weir_stream *, struct weir_stream_state *ret);
int checkpoint_stream_each(struct checkpoint *, const char *input,
                           int (*fn)(void *data, const struct weir_stream_state *), void *data);
int checkpoint_stream_set_meta(struct weir_stream *, const void *meta, size_t size);
int checkpoint_stream_advance(struct weir_stream *, uint64_t offset, uint64_t token);
void checkpoint_stream_forget(struct weir_stream *);
void checkpoint_stream_close(struct weir_stream *);

/*
 * -- Streams of an identity that no input has any more (checkpoint_move.c). Control thread. --
 */

/* Whether any position is kept under that identity. */
bool checkpoint_has_positions(struct checkpoint *, const char *input);
/* Calls fn for each identity that one is kept under; the text stays as long as the checkpoint. fn must not
 * call the checkpoint. */
void checkpoint_each_input(struct checkpoint *, void (*fn)(void *data, const char *input), void *data);
/*
 * They become streams of the input `to`, with what is on its way of them. Nobody may have opened one but an
 * input that retires, for which it stays the same stream. Returns how many; what there is no memory for
 * stays.
 */
size_t checkpoint_move(struct checkpoint *, const char *from, const char *to);

/* -- Marks -- */

/* The marks are sent: appends each to its stream's queue. set->marks, count and release are filled in; a
 * count of 0 releases at once. */
void checkpoint_track(struct checkpoint *, struct checkpoint_set *);
/* Every output has finished the chunk. A set without marks was released already: nothing happens. */
void checkpoint_acknowledge(struct checkpoint *, struct checkpoint_set *);

/* -- Positions that an output keeps (checkpoint_kept.c). Any thread. -- */

/*
 * A keeper has that position. Where no stream of the input was used in this process yet and it is further on
 * than what is known, it is taken over. 0, -EINVAL, -ENOMEM.
 */
int checkpoint_kept(struct checkpoint *, const struct weir_kept *);
/* Whether the keeper has told that it holds the positions of the set. */
bool checkpoint_is_kept(struct checkpoint *, const struct checkpoint_set *);
/* host->positions. The set is not acknowledged. */
int checkpoint_positions(struct checkpoint *, const struct checkpoint_set *, weir_kept_fn, void *data);
/* The chunk of a set with `keeping` is done: frees what it was to tell. */
void checkpoint_told(struct checkpoint_set *);

#endif
