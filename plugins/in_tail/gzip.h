/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of a gzip file, read from its start forwards. What was decompressed stays in a window as long
 * as it may be asked for again, so that lines can be read from it as from a plain file. Knows nothing of
 * lines.
 */
#ifndef TAIL_GZIP_H
#define TAIL_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TAIL_GZIP_HEAD = 1024 };

enum tail_gzip_state {
    TAIL_GZIP_OPEN,     /* the file ends within a member: more may be written */
    TAIL_GZIP_COMPLETE, /* it ends with a whole member */
    TAIL_GZIP_TRAILING, /* so it does, but for bytes behind that are no member */
    TAIL_GZIP_CORRUPT,  /* what follows can't be decompressed, or its sum is wrong */
};

struct tail_gzip;

/* Whether these bytes begin a gzip file. Fewer than three can't tell: that is false, too. */
bool tail_gzip_is(const uint8_t *bytes, size_t size);

/* Reads from fd, which stays the caller's. NULL: no memory. */
struct tail_gzip *tail_gzip_create(int fd);
void tail_gzip_destroy(struct tail_gzip *); /* takes NULL */

/*
 * Sets what may be asked for again: from `keep` on, at most `most` bytes of it (1 at least); of what lies
 * further ahead only the last few kilobytes stay.
 */
void tail_gzip_keep(struct tail_gzip *, uint64_t keep, size_t most);

/*
 * Decompresses until the content reaches `target` or the file (or its first `limit` bytes) ends, at most
 * `budget` bytes. 1: it is there; 0: not yet, go on; -ENODATA: what there is ends before (see the state);
 * -errno.
 */
int tail_gzip_advance(struct tail_gzip *, uint64_t target, uint64_t limit, size_t budget);

/*
 * Copies content from `offset` on, decompressing what is missing. Returns less than size only where what
 * there is ends. -ESPIPE: it lies before what was kept; -errno.
 */
ssize_t tail_gzip_read(struct tail_gzip *, uint8_t *bytes, size_t size, uint64_t offset);

/* Whether tail_gzip_read can begin there. */
bool tail_gzip_keeps(const struct tail_gzip *, uint64_t offset);

enum tail_gzip_state tail_gzip_state(const struct tail_gzip *);
uint64_t tail_gzip_at(const struct tail_gzip *);  /* so much content was decompressed */
uint64_t tail_gzip_raw(const struct tail_gzip *); /* out of so many bytes of the file */
uint64_t tail_gzip_made(void);                    /* content that was made on this thread, of all files */
/* The first bytes of the content, as far as they were seen. */
const uint8_t *tail_gzip_head(const struct tail_gzip *, size_t *ret_size);

#endif
