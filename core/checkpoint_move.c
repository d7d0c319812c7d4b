/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams of an identity that no input has any more, and their way to another one. A stream moves as it
 * is: marks that are still open commit it where it is by then. The next flush takes its row along, in one
 * transaction; a keeper of positions is told with the stream's next chunk, in the transaction that has its
 * position under the new identity. Control thread, under the checkpoint's lock.
 */
#include "checkpoint_table.h"

static bool has_positions(const struct checkpoint_input *input)
{
    const struct weir_stream *stream = input->first;
    while (stream && !stream->known)
        stream = stream->next;
    return stream;
}

bool checkpoint_has_positions(struct checkpoint *checkpoint, const char *identity)
{
    pthread_mutex_lock(&checkpoint->lock);
    const struct checkpoint_input *input = checkpoint_table_input(checkpoint, identity, false);
    bool has = input && has_positions(input);
    pthread_mutex_unlock(&checkpoint->lock);
    return has;
}

void checkpoint_each_input(struct checkpoint *checkpoint, void (*fn)(void *, const char *), void *data)
{
    pthread_mutex_lock(&checkpoint->lock);
    for (const struct checkpoint_input *input = checkpoint->first_input; input; input = input->next)
        if (has_positions(input))
            fn(data, input->identity);
    pthread_mutex_unlock(&checkpoint->lock);
}

/* What is pending of an earlier move goes first: its row is the one on disk. */
static void remember_former(struct weir_stream *stream, struct checkpoint_input *from)
{
    if (stream->former_stored)
        return;
    stream->former = from;
    stream->former_stored = stream->stored;
    stream->former_told |= stream->told;
    stream->stored = stream->told = false;
    if (!stream->former_stored && !stream->former_told)
        stream->former = NULL;
}

/* What the keeper was to be told of the others that were forgotten. */
static void move_notes(struct checkpoint_input *from, struct checkpoint_input *to)
{
    struct checkpoint_forgotten **end = &to->removed;
    while (*end)
        end = &(*end)->next;
    *end = from->removed;
    from->removed = NULL;
}

static size_t move_all(struct checkpoint_input *from, struct checkpoint_input *to)
{
    size_t moved = 0;
    for (struct weir_stream *stream = from->first, *next; stream; stream = next) {
        next = stream->next;
        if (!stream->known || checkpoint_table_find(to, stream->key) || !checkpoint_table_move(stream, to))
            continue;
        remember_former(stream, from);
        if (stream->has_committed)
            checkpoint_table_dirty(stream);
        moved++;
    }
    move_notes(from, to);
    to->used |= from->used;
    to->heir = NULL; /* so no way of heirs leads round */
    from->heir = to;
    return moved;
}

size_t checkpoint_move(struct checkpoint *checkpoint, const char *from, const char *to)
{
    enum checkpoint_need before = checkpoint_lock(checkpoint);
    struct checkpoint_input *former = checkpoint_table_input(checkpoint, from, false);
    struct checkpoint_input *heir = former ? checkpoint_table_input(checkpoint, to, true) : NULL;
    size_t moved = heir && heir != former ? move_all(former, heir) : 0;
    checkpoint_unlock(checkpoint, before);
    return moved;
}
