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

int checkpoint_kept(struct checkpoint *checkpoint, const struct weir_kept *kept)
{
    int r = -ENOMEM;
    if (!makes_sense(kept))
        return -EINVAL;
    enum checkpoint_need before = checkpoint_lock(checkpoint);
    struct checkpoint_input *input = checkpoint_table_input(checkpoint, kept->input, true);
    struct weir_stream *stream = NULL;
    while (input && input->heir)
        input = input->heir; /* the keeper does not know yet that it has moved */
    if (input)
        stream = input->used ? find_stream(input, kept->key) : checkpoint_table_stream(input, kept->key);
    if (stream)
        r = input->used ? 0 : take_over(stream, kept);
    else if (input && input->used)
        r = 0; /* it was forgotten meanwhile, and nothing of it is under way */
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
    struct weir_kept kept = {
        .struct_size = sizeof(kept), .input = mark->stream->input->identity, .key = mark->stream->key};
    unsigned char meta[CHECKPOINT_META_MAX];
    pthread_mutex_lock(&checkpoint->lock);
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
