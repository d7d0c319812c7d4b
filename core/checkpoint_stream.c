/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What inputs and chunks do with streams: open, ask, move, forget; and the marks of what was sent.
 *
 * Streams are used on their input's loop, marks are acknowledged on any thread, both under the one lock.
 * Callbacks (a set's release, on_dirty, stream_each's) are made without it.
 */
#include "checkpoint_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool key_valid(const char *key)
{
    size_t size = strnlen(key, CHECKPOINT_KEY_MAX + 1);
    if (size == 0 || size > CHECKPOINT_KEY_MAX)
        return false;
    for (; *key; key++)
        if ((unsigned char)*key < 0x20 || *key == 0x7f)
            return false;
    return true;
}

struct weir_stream *checkpoint_stream_open(struct checkpoint *checkpoint, const char *identity,
                                           const char *key)
{
    struct weir_stream *stream = NULL;
    if (!*identity || !key_valid(key)) {
        errno = EINVAL;
        return NULL;
    }
    pthread_mutex_lock(&checkpoint->lock);
    struct checkpoint_input *input = checkpoint_table_input(checkpoint, identity, true);
    if (input)
        stream = checkpoint_table_stream(input, key);
    if (stream)
        stream->handles++;
    if (input)
        input->used = true;
    pthread_mutex_unlock(&checkpoint->lock);
    return stream;
}

const char *checkpoint_identity(struct checkpoint *checkpoint, const char *identity)
{
    pthread_mutex_lock(&checkpoint->lock);
    struct checkpoint_input *input = checkpoint_table_input(checkpoint, identity, true);
    pthread_mutex_unlock(&checkpoint->lock);
    return input ? input->identity : NULL;
}

void checkpoint_stream_close(struct weir_stream *stream)
{
    struct checkpoint *checkpoint = stream->input->checkpoint;
    pthread_mutex_lock(&checkpoint->lock);
    stream->handles--;
    checkpoint_table_reap(stream);
    pthread_mutex_unlock(&checkpoint->lock);
}

void checkpoint_stream_forget(struct weir_stream *stream)
{
    struct checkpoint *checkpoint = stream->input->checkpoint;
    enum checkpoint_need before = checkpoint_lock(checkpoint);
    if (!stream->forgotten) {
        stream->forgotten = true;
        stream->known = stream->has_committed = false;
        checkpoint_table_unmap(stream);
        if (stream->former_told)
            checkpoint_note_forgotten(stream, stream->former);
        stream->former_told = false;
        if (stream->told) {
            checkpoint_note_forgotten(stream, stream->input); /* its last chunks still tell the keeper */
        } else {
            checkpoint_meta_unref(stream->meta);
            stream->meta = NULL;
        }
        if (stream->stored || stream->former_stored)
            checkpoint_table_dirty(stream);
    }
    stream->handles--;
    checkpoint_table_reap(stream);
    checkpoint_unlock(checkpoint, before);
}

/* ---- Asking -------------------------------------------------------------------------------------- */

static struct weir_stream_state state_of(const struct weir_stream *stream)
{
    struct weir_stream_state state = {
        .struct_size = sizeof(state), .key = stream->key, .open = stream->handles > 0};
    state.known = stream->known;
    if (stream->known) {
        state.offset = stream->sent.offset;
        state.token = stream->sent.token;
    }
    if (stream->has_committed)
        state.committed = stream->committed.offset;
    if (stream->meta) {
        state.meta = stream->meta->data;
        state.meta_size = stream->meta->size;
    }
    return state;
}

void checkpoint_stream_state(struct weir_stream *stream, struct weir_stream_state *ret)
{
    struct checkpoint *checkpoint = stream->input->checkpoint;
    size_t size = ret->struct_size;
    pthread_mutex_lock(&checkpoint->lock);
    struct weir_stream_state state = state_of(stream);
    pthread_mutex_unlock(&checkpoint->lock);
    /* The caller's structure may be of another version: what it lacks is left out, what we lack is zero. */
    state.struct_size = (uint32_t)size;
    if (size > sizeof(state))
        memset((char *)ret + sizeof(state), 0, size - sizeof(state));
    memcpy(ret, &state, size < sizeof(state) ? size : sizeof(state));
}

int checkpoint_stream_each(struct checkpoint *checkpoint, const char *identity,
                           int (*fn)(void *, const struct weir_stream_state *), void *data)
{
    int r = 0;
    pthread_mutex_lock(&checkpoint->lock);
    struct checkpoint_input *input = checkpoint_table_input(checkpoint, identity, false);
    struct weir_stream *stream = input ? input->first : NULL;
    if (input)
        input->used = true;
    while (stream && r == 0) {
        struct weir_stream_state state = state_of(stream);
        struct checkpoint_meta *meta = stream->meta;
        /* Pinned, it keeps its place in the list, whatever fn does with it, or who retires with its meta. */
        stream->pins++;
        if (meta)
            meta->references++;
        if (stream->known) {
            pthread_mutex_unlock(&checkpoint->lock);
            r = fn(data, &state);
            pthread_mutex_lock(&checkpoint->lock);
        }
        checkpoint_meta_unref(meta);
        struct weir_stream *next = stream->next;
        stream->pins--;
        checkpoint_table_reap(stream);
        stream = next;
    }
    pthread_mutex_unlock(&checkpoint->lock);
    return r;
}

/* ---- Meta ---------------------------------------------------------------------------------------- */

static bool meta_equal(const struct checkpoint_meta *old, const void *data, size_t size)
{
    return old ? old->size == size && memcmp(old->data, data, size) == 0 : size == 0;
}

int checkpoint_stream_set_meta(struct weir_stream *stream, const void *data, size_t size)
{
    struct checkpoint *checkpoint = stream->input->checkpoint;
    if (size > CHECKPOINT_META_MAX)
        return -EMSGSIZE;
    struct checkpoint_meta *meta = checkpoint_meta_create(data, size);
    if (size && !meta)
        return -ENOMEM;
    enum checkpoint_need before = checkpoint_lock(checkpoint);
    if (stream->forgotten || meta_equal(stream->meta, data, size)) {
        checkpoint_meta_unref(meta);
    } else {
        checkpoint_meta_unref(stream->meta);
        stream->meta = meta;
        if (stream->has_committed)
            checkpoint_table_dirty(stream);
    }
    checkpoint_unlock(checkpoint, before);
    return 0;
}

/* ---- Marks --------------------------------------------------------------------------------------- */

/* What is sent never goes down: an offset that does is the plugin's mistake, and counts as the one before. */
static void stream_send(struct weir_stream *stream, uint64_t offset, uint64_t token)
{
    if (stream->known && offset < stream->sent.offset)
        return;
    stream->sent = (struct checkpoint_place){offset, token};
    stream->known = !stream->forgotten;
}

static void stream_commit(struct weir_stream *stream, struct checkpoint_place place)
{
    if (stream->forgotten)
        return;
    if (stream->has_committed && stream->committed.offset == place.offset &&
        stream->committed.token == place.token)
        return;
    stream->committed = place;
    stream->has_committed = true;
    checkpoint_table_dirty(stream);
}

int checkpoint_stream_advance(struct weir_stream *stream, uint64_t offset, uint64_t token)
{
    struct checkpoint *checkpoint = stream->input->checkpoint;
    enum checkpoint_need before = checkpoint_lock(checkpoint);
    stream_send(stream, offset, token);
    /* Behind marks that are still open, the newest one carries it: it is through when that one is. */
    if (stream->tail) {
        stream->tail->offset = stream->sent.offset;
        stream->tail->token = stream->sent.token;
    } else {
        stream_commit(stream, stream->sent);
    }
    checkpoint_unlock(checkpoint, before);
    return 0;
}

static void stream_append(struct weir_stream *stream, struct checkpoint_mark *mark)
{
    stream_send(stream, mark->offset, mark->token);
    mark->offset = stream->sent.offset;
    mark->token = stream->sent.token;
    mark->end = mark->offset;
    if (stream->tail)
        stream->tail->next = mark;
    else
        stream->head = mark;
    stream->tail = mark;
}

void checkpoint_track(struct checkpoint *checkpoint, struct checkpoint_set *set)
{
    if (set->count == 0) {
        set->open = 0;
        set->release(set);
        return;
    }
    pthread_mutex_lock(&checkpoint->lock);
    set->open = set->count;
    for (size_t i = 0; i < set->count; i++) {
        struct checkpoint_mark *mark = &set->marks[i];
        mark->set = set;
        mark->next = NULL;
        mark->acknowledged = false;
        stream_append(mark->stream, mark);
    }
    if (set->keeping)
        checkpoint_tell(set);
    pthread_mutex_unlock(&checkpoint->lock);
}

void checkpoint_drain(struct weir_stream *stream, struct checkpoint_mark **done)
{
    struct checkpoint_mark *mark;
    while ((mark = stream->head) && mark->acknowledged) {
        stream->head = mark->next;
        if (!stream->head)
            stream->tail = NULL;
        stream_commit(stream, (struct checkpoint_place){mark->offset, mark->token});
        /* No mark of the set is in a queue now, so the first one's link is free for the list. */
        if (--mark->set->open == 0) {
            struct checkpoint_mark *first = mark->set->marks;
            first->next = *done;
            *done = first;
        }
    }
}

void checkpoint_release(struct checkpoint_mark *done)
{
    while (done) {
        struct checkpoint_mark *next = done->next;
        done->set->release(done->set);
        done = next;
    }
}

void checkpoint_acknowledge(struct checkpoint *checkpoint, struct checkpoint_set *set)
{
    struct checkpoint_mark *done = NULL;
    if (set->count == 0)
        return;
    enum checkpoint_need before = checkpoint_lock(checkpoint);
    for (size_t i = 0; i < set->count; i++) {
        struct weir_stream *stream = set->marks[i].stream;
        set->marks[i].acknowledged = true;
        checkpoint_drain(stream, &done);
        checkpoint_table_reap(stream);
    }
    checkpoint_unlock(checkpoint, before);
    checkpoint_release(done);
}
