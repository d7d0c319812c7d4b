/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, flushing and closing the checkpoint.
 *
 * A flush takes a snapshot of what changed under the lock and writes it without: streams in the snapshot are
 * pinned, their meta is counted. What could not be written goes back to the list. A store that was removed or
 * damaged while weir runs is made anew out of what memory holds, which is all of it. Control thread.
 */
#include "checkpoint_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "log.h"

struct flush_item {
    struct weir_stream *stream;
    struct checkpoint_meta *meta;
    bool removes;
};

struct flush {
    struct checkpoint_row *rows; /* one for each item, and one more for each that has moved */
    struct flush_item *items;
    size_t count, row_count;
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

static int load(struct checkpoint *checkpoint, char **ret_error)
{
    struct loading loading = {.checkpoint = checkpoint};
    int r = checkpoint_store_read(checkpoint->store, load_row, &loading, ret_error);
    if (r != -EUCLEAN)
        return r;
    /* what was read before the damage is forgotten: the backup has it all, as of one time */
    checkpoint_table_clear(checkpoint);
    r = checkpoint_store_restore(checkpoint->store, r, ret_error);
    loading.input = NULL;
    return r < 0 ? r : checkpoint_store_read(checkpoint->store, load_row, &loading, ret_error);
}

static int open_store(struct checkpoint *checkpoint, const char *dir, char **ret_error)
{
    checkpoint->dir = strdup(dir);
    if (!checkpoint->dir)
        return -ENOMEM;
    int r = checkpoint_store_open(dir, &checkpoint->store, ret_error);
    r = r < 0 ? r : load(checkpoint, ret_error);
    char *note = r < 0 ? NULL : checkpoint_store_take_note(checkpoint->store);
    if (note)
        log_error("checkpoint", "%s", note);
    free(note);
    return r;
}

int checkpoint_open(const char *dir, struct checkpoint **ret, char **ret_error)
{
    *ret_error = NULL;
    struct checkpoint *checkpoint = calloc(1, sizeof(*checkpoint));
    if (!checkpoint)
        return -ENOMEM;
    pthread_mutex_init(&checkpoint->lock, NULL);
    int r = dir ? open_store(checkpoint, dir, ret_error) : 0;
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
    free(checkpoint->dir);
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
    flush->items[flush->count++] = (struct flush_item){stream, stream->meta, stream->forgotten};
    flush->rows[flush->row_count++] = row_of(stream);
    if (stream->former_stored)
        flush->rows[flush->row_count++] =
            (struct checkpoint_row){.input = stream->former->identity, .key = stream->key, .remove = true};
}

/* Takes the list of what changed. Under the lock. */
static int flush_take(struct checkpoint *checkpoint, struct flush *flush)
{
    if (checkpoint->dirty_count == 0)
        return 0;
    flush->rows = calloc(2 * checkpoint->dirty_count, sizeof(*flush->rows));
    flush->items = calloc(checkpoint->dirty_count, sizeof(*flush->items));
    if (!flush->rows || !flush->items)
        return -ENOMEM;
    for (struct weir_stream *stream = checkpoint->dirty, *next; stream; stream = next) {
        next = stream->next_dirty;
        stream->dirty = false;
        if (!stream->forgotten || stream->stored || stream->former_stored)
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
        else if (flush->items[i].removes)
            stream->stored = false;
        if (written)
            stream->former_stored = false; /* moves are of this thread, as this is: no other came between */
        if (!stream->former_stored && !stream->former_told)
            stream->former = NULL;
        checkpoint_table_reap(stream);
    }
}

/* ---- A store that is no more ---------------------------------------------------------------------- */

/* All that is committed is to be written, as if nothing had been yet. Under the lock. */
static void mark_all(struct checkpoint *checkpoint)
{
    for (struct checkpoint_input *input = checkpoint->first_input; input; input = input->next) {
        for (struct weir_stream *stream = input->first; stream; stream = stream->next) {
            stream->stored = stream->former_stored = false;
            if (stream->has_committed)
                checkpoint_table_dirty(stream);
        }
    }
}

static int make_anew(struct checkpoint *checkpoint, char **ret_error)
{
    checkpoint_store_close(checkpoint->store);
    checkpoint->store = NULL;
    int r = checkpoint_store_open(checkpoint->dir, &checkpoint->store, ret_error);
    enum checkpoint_need before = checkpoint_lock(checkpoint);
    mark_all(checkpoint);
    checkpoint_unlock(checkpoint, r < 0 ? before : CHECKPOINT_URGENT);
    return r;
}

/* 0 where there is a store to write to. */
static int provide_store(struct checkpoint *checkpoint, char **ret_error)
{
    if (!checkpoint->store)
        return make_anew(checkpoint, ret_error);
    if (!checkpoint_store_is_gone(checkpoint->store, checkpoint->dir))
        return 0;
    log_error(
        "checkpoint",
        "the positions in %s were removed or replaced while weir runs: they are written anew, as weir knows them",
        checkpoint->dir);
    checkpoint_store_detach(checkpoint->store, checkpoint->dir);
    return make_anew(checkpoint, ret_error);
}

/* The write said that the store is damaged. */
static void give_up_store(struct checkpoint *checkpoint, const char *why)
{
    log_error("checkpoint",
              "%s: it is kept as checkpoint.damaged, and written anew, as weir knows the positions",
              why ? why : checkpoint->dir);
    char *none = NULL;
    if (checkpoint_store_restore(checkpoint->store, -EUCLEAN, &none) < 0) {
        checkpoint_store_set_aside(checkpoint->store);
        checkpoint_store_close(checkpoint->store);
        checkpoint->store = NULL;
    } else { /* the backup stands in until memory is written, which knows what was forgotten since */
        free(checkpoint_store_take_note(checkpoint->store));
        checkpoint_store_replace(checkpoint->store);
    }
    free(none);
    enum checkpoint_need before = checkpoint_lock(checkpoint);
    mark_all(checkpoint);
    checkpoint_unlock(checkpoint, before);
}

static void back_up(struct checkpoint *checkpoint)
{
    char *why = NULL;
    int r = checkpoint_store_backup(checkpoint->store, &why);
    if (r == -EUCLEAN)
        give_up_store(checkpoint, why);
    else if (r < 0 && !checkpoint->backup_failing)
        log_warn("checkpoint", "%s", why ? why : strerror(-r));
    checkpoint->backup_failing = r < 0;
    free(why);
}

int checkpoint_flush(struct checkpoint *checkpoint, char **ret_error)
{
    struct flush flush = {0};
    *ret_error = NULL;
    int r = checkpoint->dir ? provide_store(checkpoint, ret_error) : 0;
    if (r < 0)
        return r;
    pthread_mutex_lock(&checkpoint->lock);
    r = flush_take(checkpoint, &flush);
    pthread_mutex_unlock(&checkpoint->lock);

    if (flush.count) {
        r = checkpoint_store_write(checkpoint->store, flush.rows, flush.row_count, ret_error);
        enum checkpoint_need before = checkpoint_lock(checkpoint);
        flush_end(&flush, r == 0);
        checkpoint_unlock(checkpoint, before);
        if (r == -EUCLEAN)
            give_up_store(checkpoint, *ret_error);
        else if (r == 0)
            back_up(checkpoint);
    }
    free(flush.rows);
    free(flush.items);
    return r;
}
