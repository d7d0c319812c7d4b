/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where every byte of a file is: size = delivered + in flight + unread + abandoned; and how far behind it is.
 * Of the content that the file has now: with a new stream all begins anew.
 */
#ifndef TAIL_ACCOUNT_H
#define TAIL_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tail_file;
struct tail_instance;

/* Why bytes are given up: the metric abandoned_bytes has them by reason. */
enum tail_reason {
    TAIL_TOO_LONG,  /* of a line longer than buffer_max_size, truncated or skipped */
    TAIL_HOLE,      /* NULs that no one wrote */
    TAIL_TRUNCATED, /* seen, and gone before they were read */
    TAIL_DELETED,   /* of a deleted file, at a stop with a full output */
    TAIL_DAMAGED,   /* of a compressed file */
    TAIL_REASONS
};

enum { TAIL_SAMPLES = 6 };

/* Bytes below `offset` were given up that are not yet committed. */
struct tail_gap {
    uint64_t offset, bytes;
};

/* At that time, all below `end` was there to be read. */
struct tail_sample {
    uint64_t end, time;
};

/* Lies in the file; all zero at first. */
struct tail_account {
    uint64_t abandoned; /* below the committed offset, when last looked at */
    uint64_t news;      /* when it was last woken, with nothing to do before; monotonic ns */
    struct tail_gap *gaps;
    struct tail_sample
        *samples; /* at most TAIL_SAMPLES; NULL: one at most, as most files have that keep up: */
    struct tail_sample only;
    uint16_t gap_count, gap_room;
    uint16_t sample_count, sample_room;
};

struct tail_figures {
    uint64_t size, read, committed;
    uint64_t delivered; /* committed, and not given up */
    uint64_t abandoned;
    uint64_t lag;  /* bytes that could be delivered and are not: without a last line that has no end yet */
    uint64_t wait; /* ns that the oldest of them has waited, to about a second; never too little by more than
                      that */
};

/* Monotonic, as coarse as the kernel's tick. ns. */
uint64_t tail_account_now(void);

/* Its stream is a new one. */
void tail_account_reset(struct tail_file *);
/* Frees what it holds. */
void tail_account_finish(struct tail_account *);
/* Counts bytes that are given up, for the metric alone. */
void tail_account_count(struct tail_instance *, enum tail_reason, uint64_t bytes);
/* Bytes below `offset`, up to which the stream was just moved, were given up. */
void tail_account_abandon(struct tail_file *, uint64_t offset, uint64_t bytes, enum tail_reason);
/* A turn is over, in which all below `end` was there. */
void tail_account_sample(struct tail_file *, uint64_t end);
/* look: asks the file for its size, else what is known of it is enough unless it has news. */
void tail_account_figures(struct tail_file *, bool look, struct tail_figures *ret);

#endif
