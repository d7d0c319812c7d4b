/* SPDX-License-Identifier: Apache-2.0 */
/* The chunk that several files share. It is the hub's, as one instance has its turn at a time. Loop thread.
 */
#include "batch.h"

#include <stdbool.h>

void tail_batch_send(struct tail_instance *tail)
{
    struct tail_batch *batch = tail_hub_batch(tail->hub);
    struct weir_draft *draft = batch->draft;
    if (draft) {
        batch->draft = NULL;
        tail->host->chunk_send(draft, batch->positions, batch->count);
        batch->count = 0;
    }
}

/* False: no room, or no memory for more of it. */
static bool fits(struct tail_instance *tail, struct tail_batch *batch, size_t room)
{
    const struct weir_draft *draft = batch->draft;
    if (!draft || batch->count == TAIL_BATCH_FILES || draft->size + room > TAIL_BATCH_SIZE) {
        return false;
    }
    /* as much again: else all that is there is copied for each file */
    return draft->capacity - draft->size >= room ||
           tail->host->chunk_grow(&batch->draft, room + draft->size) == 0;
}

int tail_batch_begin(struct tail_instance *tail, size_t room, struct weir_draft **ret)
{
    struct tail_batch *batch = tail_hub_batch(tail->hub);
    if (!fits(tail, batch, room)) {
        tail_batch_send(tail);
        int r = tail->host->chunk_begin(tail->instance, NULL, NULL, room, ret);
        batch->draft = r < 0 ? NULL : *ret;
        return r;
    }
    *ret = batch->draft;
    return 0;
}

void tail_batch_drop(struct tail_instance *tail, struct weir_draft *draft)
{
    struct tail_batch *batch = tail_hub_batch(tail->hub);
    if (batch->count > 0) {
        tail_batch_send(tail);
    } else {
        batch->draft = NULL;
        tail->host->chunk_cancel(draft);
    }
}

/* A stream may be named once. */
static struct weir_position *position_of(struct tail_batch *batch, const struct weir_stream *stream)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->positions[i].stream == stream) {
            return &batch->positions[i];
        }
    }
    return &batch->positions[batch->count++];
}

void tail_batch_end(struct tail_instance *tail, struct weir_draft *draft,
                    const struct weir_position *position)
{
    struct tail_batch *batch = tail_hub_batch(tail->hub);
    *position_of(batch, position->stream) = *position;
    if (!batch->open || draft->size >= TAIL_BATCH_SIZE) {
        tail_batch_send(tail);
    }
}
