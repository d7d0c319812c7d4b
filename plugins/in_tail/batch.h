/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One chunk for several files of an instance that have a little new each: what a chunk costs on its way
 * (room, a lock, a wake-up of each output, a write, an acknowledgement) is then not paid for every few lines.
 *
 * It begins and ends within one turn of the instance, so nothing else ever sees it. A file's offset is ahead
 * of its stream while its records wait here: whoever asks, forgets or closes a stream sends the batch first.
 */
#ifndef TAIL_BATCH_H
#define TAIL_BATCH_H

#include "tail.h"

enum {
    TAIL_BATCH_SIZE = 64 << 10, /* bytes of records after which it is sent */
    TAIL_BATCH_FILES = 32
};

struct tail_batch {
    struct weir_draft *draft; /* NULL: it is empty */
    bool open;                /* others have theirs in this turn, too: what a file says may wait for them */
    size_t count;
    struct weir_position positions[TAIL_BATCH_FILES]; /* the streams that its records move, and where to */
};

/*
 * Room for records of one file: behind those of others, or in a chunk of its own. 0, or as chunk_begin, and
 * then nothing waits any more.
 */
int tail_batch_begin(struct tail_instance *, size_t room, struct weir_draft **ret);
/* They are packed, and take the stream there: sends them now, or together with what comes next. */
void tail_batch_end(struct tail_instance *, struct weir_draft *, const struct weir_position *);
/* Nothing came of it: what others have in it waits on, or is sent. */
void tail_batch_drop(struct tail_instance *, struct weir_draft *);
/* Sends what waits, if anything. */
void tail_batch_send(struct tail_instance *);

#endif
