/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compressed file's turn. Its lines are read as a plain file's are (read.c), from what its content is; what
 * is its own is here: where it begins, whether another file has said the same already, and what its end is.
 */
#ifndef TAIL_PACKED_H
#define TAIL_PACKED_H

#include <sys/types.h>
#include "file.h"
#include "known.h"

struct tail_packed;

/* Whether the patterns may match the name of a compressed file, as far as that can be told from how they end.
 */
bool tail_packed_expected(const struct tail_config *);
/* Whether the file is compressed and the option has it read as such. */
bool tail_packed_is(const struct tail_instance *, int fd);
/* 1: the compressed file still begins with what the packing stands for; 0: it does not; -errno. */
int tail_packed_same(int fd, uint64_t size, const struct tail_packing *);

/*
 * The file, which has its stream, is compressed. known: with what is known of it, or NULL. skip: what it
 * holds up to this size is not wanted. 0 or -ENOMEM.
 */
int tail_packed_begin(struct tail_file *, const struct tail_packing *known, uint64_t skip);
void tail_packed_free(struct tail_packed *); /* takes NULL */
/* An unsure file has got its first bytes, perhaps. False: there is nothing to be done with it now. */
bool tail_packed_detect(struct tail_file *);

/* One slice of work. May close the file. Returns what it cost, in bytes that are read from a plain file. */
size_t tail_packed_work(struct tail_file *);
/* Reads what is left, at once. */
enum tail_progress tail_packed_drain(struct tail_file *);
/* The end is reached for good: whether there is an end. Says what is wrong with it. */
bool tail_packed_finish(struct tail_file *);
/* All of it was sent. */
void tail_packed_done(struct tail_file *);
/* Whether it needs nothing until it changes. */
bool tail_packed_rests(struct tail_file *);
/* Something happened to files: those that wait for it look again. */
void tail_packed_wake(struct tail_instance *);
/* There is no room for those that are still looked for: whoever waits for the end of that waits no more.
 * Whether there was one. */
bool tail_packed_hurry(struct tail_instance *);
/* Whether it is kept open beyond max_open_files, for the sake of another file. */
bool tail_packed_is_held(const struct tail_packed *);

/* As pread, of the content. */
ssize_t tail_packed_read(const struct tail_file *, uint8_t *bytes, size_t size, uint64_t offset);
/* As tail_token_read, of the content that was just read. */
int tail_packed_token(const struct tail_file *, uint64_t offset, uint64_t *ret);
/* The first up to four bytes of the content. */
size_t tail_packed_mark(const struct tail_file *, uint8_t ret[4]);
uint64_t tail_packed_raw(const struct tail_packed *); /* so much of the file was read */
/* What the file holds, as far as that is known. */
uint64_t tail_packed_size(const struct tail_file *);
const struct tail_packing *tail_packed_packing(const struct tail_packed *);

#endif
