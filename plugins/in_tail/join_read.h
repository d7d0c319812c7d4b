/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files whose records are more, or other, than a line. */
#ifndef TAIL_JOIN_READ_H
#define TAIL_JOIN_READ_H

#include "file.h"

/* Gives the file what it needs for that, where the instance joins or parses lines. 0 or -ENOMEM. */
int tail_join_open(struct tail_file *);
/* Lets go of it. */
void tail_join_close(struct tail_file *);
/*
 * The file's stream begins at its offset, or goes on there; a token that came with the position, which says
 * what of the bytes behind it was sent already. What is unfinished was of content that is gone: it is sent as
 * it is.
 */
void tail_join_start(struct tail_file *, uint64_t token);
/* One read. As tail_file_read. */
enum tail_progress tail_join_read(struct tail_file *);
/* All that is there is complete. As tail_file_flush. */
enum tail_progress tail_join_flush(struct tail_file *);
/* How far it was read. */
uint64_t tail_join_end_of(const struct tail_file *);

#endif
