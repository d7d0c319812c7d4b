/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions that an output keeps together with the records (host->keep_positions): what it tells of them, and
 * what it is told. Any thread, under the checkpoint's lock; the keeper is called without it.
 *
 * The keeper is behind or level with every other output, and local checkpoints are behind it, but for what
 * moved without records, of which it does not hear. So of the two the one further on is right.
 */
#include "checkpoint_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- What it tells -------------------------------------------------------------------------------- */

/* Also one that is forgotten already, whose chunks may still be under way: those are not in the map. */
static struct weir_stream *find_stream(struct checkpoint_input *input, const char *key)
{
    struct weir_stream *stream = checkpoint_table_find(input, key);
    if (stream)
        return stream;
    stream = input->first;
    while (stream && !(stream->forgotten && strcmp(stream->key, key) == 0))
        stream = stream->next;
    return stream;
}

static int take_over(struct weir_stream *stream, const struct weir_kept *kept)
{
    if (stream->has_committed && stream->committed.offset >= kept->offset)
        return 0;
    struct checkpoint_meta *meta = checkpoint_meta_create(kept->meta, kept->meta_size);
    if (kept->meta_size && !meta)
        return -ENOMEM;
    checkpoint_meta_unref(stream->meta);
    stream->meta = meta;
    stream->sent = stream->committed = (struct checkpoint_place){kept->offset, kept->token};
    stream->known = stream->has_committed = true;
    checkpoint_table_dirty(stream);
    return 0;
}

static bool makes_sense(const struct weir_kept *kept)
{
    size_t size = kept->key ? strnlen(kept->key, CHECKPOINT_KEY_MAX + 1) : 0;
    return kept->input && *kept->input && size > 0 && size <= CHECKPOINT_KEY_MAX &&
           kept->meta_size <= CHECKPOINT_META_MAX && kept->offset < UINT64_MAX && !kept->forgotten;
}

/* Whether the stream can have told the keeper of that offset: it is committed, or that of a mark, before it
 * was moved on or after. */
static bool may_have_told(const struct weir_stream *stream, uint64_t offset)
{
    const struct checkpoint_mark *mark = stream->head;
    if (stream->has_committed && offset <= stream->committed.offset)
        return true;
    while (mark && (offset < mark->end || offset > mark->offset))
        mark = mark->next;
    return mark;
}

/*
 * The stream in use that the keeper tells of: under that identity, or where it has moved to, of which the
 * keeper does not know yet. The identity may be in use again, by another input: so not all that is kept under
 * it is of whoever has it now. NULL: forgotten meanwhile, and nothing of it is under way.
 */
static struct weir_stream *find_teller(struct checkpoint_input *input, const struct weir_kept *kept)
{
    struct weir_stream *stream = NULL;
    for (; input && !stream; input = input->heir) {
        stream = find_stream(input, kept->key);
        if (stream && !may_have_told(stream, kept->offset))
            stream = NULL;
    }
    return stream;
}

int checkpoint_kept(struct checkpoint *checkpoint, const struct weir_kept *kept)
{
    int r = -ENOMEM;
    if (!makes_sense(kept))
        return -EINVAL;
    enum checkpoint_need before = checkpoint_lock(checkpoint);
    struct checkpoint_input *input = checkpoint_table_input(checkpoint, kept->input, true), *last = input;
    struct weir_stream *stream = NULL;
    while (last && last->heir)
        last = last->heir;
    if (last && last->used) {
        stream = find_teller(input, kept);
        r = 0;
    } else if (last) {
        stream = checkpoint_table_stream(last, kept->key);
        r = stream ? take_over(stream, kept) : -ENOMEM;
    }
    if (stream && r == 0) {
        stream->kept = kept->offset + 1;
        stream->told = true;
    }
    checkpoint_unlock(checkpoint, before);
    return r;
}

bool checkpoint_is_kept(struct checkpoint *checkpoint, const struct checkpoint_set *set)
{
    bool kept = set->count > 0;
    pthread_mutex_lock(&checkpoint->lock);
    for (size_t i = 0; i < set->count && kept; i++)
        kept = set->marks[i].stream->kept > set->marks[i].end;
    pthread_mutex_unlock(&checkpoint->lock);
    return kept;
}

/* ---- What it is told ------------------------------------------------------------------------------ */

bool checkpoint_note_forgotten(struct weir_stream *stream, const struct checkpoint_input *under)
{
    size_t size = strlen(stream->key) + 1;
    struct checkpoint_forgotten *note = malloc(sizeof(*note) + size);
    if (!note)
        return false; /* it is not told: the row stays there */
    memcpy(note->key, stream->key, size);
    note->input = under;
    note->next = stream->input->removed;
    stream->input->removed = note;
    return true;
}

void checkpoint_tell(struct checkpoint_set *set)
{
    struct checkpoint_input *input = set->marks[0].stream->input;
    for (size_t i = 0; i < set->count; i++) {
        struct weir_stream *stream = set->marks[i].stream;
        stream->told = true;
        if (stream->former_told && checkpoint_note_forgotten(stream, stream->former))
            stream->former_told = false;
    }
    set->removed = input->removed;
    input->removed = NULL;
}

static int tell_mark(struct checkpoint *checkpoint, const struct checkpoint_mark *mark, weir_kept_fn fn,
                     void *data)
{
    struct weir_kept kept = {.struct_size = sizeof(kept), .key = mark->stream->key};
    unsigned char meta[CHECKPOINT_META_MAX];
    pthread_mutex_lock(&checkpoint->lock);
    kept.input = mark->stream->input->identity; /* it may move */
    kept.offset = mark->offset;
    kept.token = mark->token;
    if (mark->stream->meta) {
        kept.meta_size = mark->stream->meta->size;
        memcpy(meta, mark->stream->meta->data, kept.meta_size);
        kept.meta = meta;
    }
    pthread_mutex_unlock(&checkpoint->lock);
    return fn(data, &kept);
}

int checkpoint_positions(struct checkpoint *checkpoint, const struct checkpoint_set *set, weir_kept_fn fn,
                         void *data)
{
    int r = 0;
    for (struct checkpoint_forgotten *note = set->removed; note && r == 0; note = note->next) {
        struct weir_kept kept = {
            .struct_size = sizeof(kept), .forgotten = true, .input = note->input->identity, .key = note->key};
        r = fn(data, &kept);
    }
    for (size_t i = 0; i < set->count && r == 0; i++)
        r = tell_mark(checkpoint, &set->marks[i], fn, data);
    return r;
}

void checkpoint_told(struct checkpoint_set *set)
{
    while (set->removed) {
        struct checkpoint_forgotten *first = set->removed;
        set->removed = first->next;
        free(first);
    }
}
