/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, flushing and closing the checkpoint.
 *
 * A flush takes a snapshot of what changed under the lock and writes it without: streams in the snapshot are
 * pinned, their meta is counted. What could not be written goes back to the list. Control thread.
 */
#include "checkpoint_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct flush_item {
    struct weir_stream *stream;
    struct checkpoint_meta *meta;
};

struct flush {
    struct checkpoint_row *rows;
    struct flush_item *items; /* one for each row */
    size_t count;
};

/* ---- Opening and closing ------------------------------------------------------------------------- */

struct loading {
    struct checkpoint *checkpoint;
    struct checkpoint_input *input; /* of the row before */
};

static int load_row(void *data, const struct checkpoint_row *row)
{
    struct loading *loading = data;
    if (!loading->input || strcmp(loading->input->identity, row->input) != 0)
        loading->input = checkpoint_table_input(loading->checkpoint, row->input, true);
    struct weir_stream *stream = loading->input ? checkpoint_table_stream(loading->input, row->key) : NULL;
    if (!stream)
        return -ENOMEM;
    stream->sent = stream->committed = (struct checkpoint_place){row->offset, row->token};
    stream->known = stream->has_committed = stream->stored = true;
    stream->meta = checkpoint_meta_create(row->meta, row->meta_size);
    return row->meta_size && !stream->meta ? -ENOMEM : 0;
}

int checkpoint_open(const char *dir, struct checkpoint **ret, char **ret_error)
{
    *ret_error = NULL;
    struct checkpoint *checkpoint = calloc(1, sizeof(*checkpoint));
    if (!checkpoint)
        return -ENOMEM;
    pthread_mutex_init(&checkpoint->lock, NULL);
    struct loading loading = {.checkpoint = checkpoint};
    int r = 0;
    if (dir)
        r = checkpoint_store_open(dir, &checkpoint->store, ret_error);
    if (dir && r == 0)
        r = checkpoint_store_read(checkpoint->store, load_row, &loading, ret_error);
    if (r < 0) {
        checkpoint_close(checkpoint);
        return r;
    }
    *ret = checkpoint;
    return 0;
}

void checkpoint_on_dirty(struct checkpoint *checkpoint, void (*fn)(void *, bool), void *data)
{
    pthread_mutex_lock(&checkpoint->lock);
    checkpoint->on_dirty = fn;
    checkpoint->on_dirty_data = data;
    checkpoint_unlock(checkpoint, CHECKPOINT_CLEAN);
}

static void abandon_marks(struct weir_stream *stream, struct checkpoint_mark **done)
{
    stream->forgotten = true; /* so nothing is committed */
    for (struct checkpoint_mark *mark = stream->head; mark; mark = mark->next)
        mark->acknowledged = true;
    checkpoint_drain(stream, done);
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    struct checkpoint_mark *done = NULL;
    if (!checkpoint)
        return;
    pthread_mutex_lock(&checkpoint->lock);
    for (struct checkpoint_input *input = checkpoint->first_input; input; input = input->next)
        for (struct weir_stream *stream = input->first; stream; stream = stream->next)
            abandon_marks(stream, &done);
    pthread_mutex_unlock(&checkpoint->lock);
    checkpoint_release(done);
    checkpoint_table_clear(checkpoint);
    checkpoint_store_close(checkpoint->store);
    pthread_mutex_destroy(&checkpoint->lock);
    free(checkpoint);
}

/* ---- Flushing ------------------------------------------------------------------------------------ */

static struct checkpoint_row row_of(const struct weir_stream *stream)
{
    return (struct checkpoint_row){
        .input = stream->input->identity,
        .key = stream->key,
        .offset = stream->committed.offset,
        .token = stream->committed.token,
        .meta = stream->meta ? stream->meta->data : NULL,
        .meta_size = stream->meta ? stream->meta->size : 0,
        .remove = stream->forgotten,
    };
}

static void flush_add(struct flush *flush, struct weir_stream *stream)
{
    if (stream->meta)
        stream->meta->references++;
    stream->pins++;
    stream->stored = true;
    flush->items[flush->count] = (struct flush_item){stream, stream->meta};
    flush->rows[flush->count++] = row_of(stream);
}

/* Takes the list of what changed. Under the lock. */
static int flush_take(struct checkpoint *checkpoint, struct flush *flush)
{
    if (checkpoint->dirty_count == 0)
        return 0;
    flush->rows = calloc(checkpoint->dirty_count, sizeof(*flush->rows));
    flush->items = calloc(checkpoint->dirty_count, sizeof(*flush->items));
    if (!flush->rows || !flush->items)
        return -ENOMEM;
    for (struct weir_stream *stream = checkpoint->dirty, *next; stream; stream = next) {
        next = stream->next_dirty;
        stream->dirty = false;
        if (!stream->forgotten || stream->stored)
            flush_add(flush, stream);
        else
            checkpoint_table_reap(stream);
    }
    checkpoint->dirty = NULL;
    checkpoint->dirty_count = 0;
    checkpoint->urgent = false;
    return 0;
}

/* Lets go of the snapshot. Under the lock. */
static void flush_end(struct flush *flush, bool written)
{
    for (size_t i = 0; i < flush->count; i++) {
        struct weir_stream *stream = flush->items[i].stream;
        checkpoint_meta_unref(flush->items[i].meta);
        stream->pins--;
        if (!written)
            checkpoint_table_dirty(stream);
        else if (flush->rows[i].remove)
            stream->stored = false;
        checkpoint_table_reap(stream);
    }
}

int checkpoint_flush(struct checkpoint *checkpoint, char **ret_error)
{
    struct flush flush = {0};
    *ret_error = NULL;
    pthread_mutex_lock(&checkpoint->lock);
    int r = flush_take(checkpoint, &flush);
    pthread_mutex_unlock(&checkpoint->lock);

    if (flush.count) {
        r = checkpoint_store_write(checkpoint->store, flush.rows, flush.count, ret_error);
        enum checkpoint_need before = checkpoint_lock(checkpoint);
        flush_end(&flush, r == 0);
        checkpoint_unlock(checkpoint, before);
    }
    free(flush.rows);
    free(flush.items);
    return r;
}
