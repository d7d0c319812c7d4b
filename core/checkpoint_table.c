/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams in memory: found by input and key, listed by input. The maps are trees (tsearch), since keys
 * come from the names of files, which whoever may write a log can choose: a tree has no bad keys. The few
 * streams of most inputs are a list.
 *
 * Owns inputs, streams and meta. Any thread, under the checkpoint's lock.
 */
#include "checkpoint_table.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 8 };

static enum checkpoint_need need(const struct checkpoint *checkpoint)
{
    if (!checkpoint->dirty)
        return CHECKPOINT_CLEAN;
    return checkpoint->urgent ? CHECKPOINT_URGENT : CHECKPOINT_DIRTY;
}

enum checkpoint_need checkpoint_lock(struct checkpoint *checkpoint)
{
    pthread_mutex_lock(&checkpoint->lock);
    return need(checkpoint);
}

void checkpoint_unlock(struct checkpoint *checkpoint, enum checkpoint_need before)
{
    enum checkpoint_need now = need(checkpoint);
    void (*fn)(void *, bool) = now > before ? checkpoint->on_dirty : NULL;
    void *data = checkpoint->on_dirty_data;
    pthread_mutex_unlock(&checkpoint->lock);
    if (fn)
        fn(data, now == CHECKPOINT_URGENT);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The trees hold the texts at the end of the structures. */
static struct checkpoint_input *input_of(char *identity)
{
    return (struct checkpoint_input *)(void *)(identity - offsetof(struct checkpoint_input, identity));
}

static struct weir_stream *stream_of(char *key)
{
    return (struct weir_stream *)(void *)(key - offsetof(struct weir_stream, key));
}

static struct checkpoint_input *input_create(struct checkpoint *checkpoint, const char *identity)
{
    size_t size = strlen(identity) + 1;
    struct checkpoint_input *input = calloc(1, sizeof(*input) + size);
    if (!input)
        return NULL;
    memcpy(input->identity, identity, size);
    if (!tsearch(input->identity, &checkpoint->inputs, compare_text)) {
        free(input);
        return NULL;
    }
    input->checkpoint = checkpoint;
    input->next = checkpoint->first_input;
    checkpoint->first_input = input;
    return input;
}

struct checkpoint_input *checkpoint_table_input(struct checkpoint *checkpoint, const char *identity,
                                                bool make)
{
    char **node = tfind(identity, &checkpoint->inputs, compare_text);
    if (node)
        return input_of(*node);
    return make ? input_create(checkpoint, identity) : NULL;
}

/* -- The streams of an input: most have one or two, which need no tree -- */

static struct weir_stream *find_in_list(const struct checkpoint_input *input, const char *key)
{
    struct weir_stream *stream = input->first;
    while (stream && (stream->forgotten || strcmp(stream->key, key) != 0))
        stream = stream->next;
    return stream;
}

/* The list has become long. False: no memory; what is in the tree already does no harm. */
static bool make_tree(struct checkpoint_input *input)
{
    for (struct weir_stream *stream = input->first; stream; stream = stream->next)
        if (!stream->forgotten && !tsearch(stream->key, &input->by_key, compare_text))
            return false;
    input->has_tree = true;
    return true;
}

struct weir_stream *checkpoint_table_find(const struct checkpoint_input *input, const char *key)
{
    if (!input->has_tree)
        return find_in_list(input, key);
    char **node = tfind(key, &input->by_key, compare_text);
    return node ? stream_of(*node) : NULL;
}

static bool map(struct checkpoint_input *input, struct weir_stream *stream)
{
    if (!input->has_tree && input->count < LIST_MAX)
        return true;
    return (input->has_tree || make_tree(input)) && tsearch(stream->key, &input->by_key, compare_text);
}

static void stream_link(struct checkpoint_input *input, struct weir_stream *stream)
{
    stream->input = input;
    stream->previous = NULL;
    stream->next = input->first;
    if (stream->next)
        stream->next->previous = stream;
    input->first = stream;
    input->count++;
}

static struct weir_stream *stream_create(struct checkpoint_input *input, const char *key)
{
    size_t size = strlen(key) + 1;
    struct weir_stream *stream = calloc(1, sizeof(*stream) + size);
    if (!stream)
        return NULL;
    memcpy(stream->key, key, size);
    if (!map(input, stream)) {
        free(stream);
        return NULL;
    }
    stream_link(input, stream);
    return stream;
}

struct weir_stream *checkpoint_table_stream(struct checkpoint_input *input, const char *key)
{
    struct weir_stream *stream = checkpoint_table_find(input, key);
    return stream ? stream : stream_create(input, key);
}

void checkpoint_table_unmap(struct weir_stream *stream)
{
    tdelete(stream->key, &stream->input->by_key, compare_text);
}

static void stream_unlink(struct weir_stream *stream)
{
    stream->input->count--;
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        stream->input->first = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
}

bool checkpoint_table_move(struct weir_stream *stream, struct checkpoint_input *to)
{
    if (!map(to, stream))
        return false;
    checkpoint_table_unmap(stream);
    stream_unlink(stream);
    stream_link(to, stream);
    return true;
}

void checkpoint_table_reap(struct weir_stream *stream)
{
    if (stream->handles || stream->pins || stream->head || stream->dirty)
        return;
    if (!stream->forgotten && stream->known)
        return;
    if (!stream->forgotten)
        checkpoint_table_unmap(stream);
    stream_unlink(stream);
    checkpoint_meta_unref(stream->meta);
    free(stream);
}

void checkpoint_table_dirty(struct weir_stream *stream)
{
    struct checkpoint *checkpoint = stream->input->checkpoint;
    if (stream->dirty || !checkpoint->dir)
        return;
    stream->dirty = true;
    checkpoint->urgent |= !stream->stored && !stream->forgotten;
    stream->next_dirty = checkpoint->dirty;
    checkpoint->dirty = stream;
    checkpoint->dirty_count++;
}

static void leave(void *text)
{
    (void)text;
}

void checkpoint_table_clear(struct checkpoint *checkpoint)
{
    for (struct checkpoint_input *input = checkpoint->first_input, *next; input; input = next) {
        next = input->next;
        tdestroy(input->by_key, leave);
        while (input->first) {
            struct weir_stream *stream = input->first;
            input->first = stream->next;
            checkpoint_meta_unref(stream->meta);
            free(stream);
        }
        while (input->removed) {
            struct checkpoint_forgotten *first = input->removed;
            input->removed = first->next;
            free(first);
        }
        free(input);
    }
    tdestroy(checkpoint->inputs, leave);
    checkpoint->first_input = NULL;
    checkpoint->inputs = NULL;
    checkpoint->dirty = NULL;
    checkpoint->dirty_count = 0;
}

struct checkpoint_meta *checkpoint_meta_create(const void *data, size_t size)
{
    struct checkpoint_meta *meta = size ? malloc(sizeof(*meta) + size) : NULL;
    if (!meta)
        return NULL;
    meta->references = 1;
    meta->size = (uint32_t)size;
    memcpy(meta->data, data, size);
    return meta;
}

void checkpoint_meta_unref(struct checkpoint_meta *meta)
{
    if (meta && --meta->references == 0)
        free(meta);
}
