/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The joiner of one file: lines in, records out. Of what is unfinished it keeps the text, at most
 * buffer_max_size of each stream of the container, until the record is complete; and it knows where in the
 * file that began, since no position may pass it. Knows nothing of descriptors and streams of positions.
 */
#ifndef TAIL_JOIN_H
#define TAIL_JOIN_H

#include "encoding.h"
#include "multiline.h"
#include "record.h"
#include "text.h"

/* What belongs to the first line of a record, or of pieces. */
struct tail_first {
    uint64_t offset;
    uint64_t token; /* of the bytes before the offset, once the block that it lies in is read */
    bool timed;
    struct tail_time time;
    char time_text[48];
    size_t time_size;
    struct tail_text more;
    uint32_t more_count;
};

/* What is unfinished of one stream: a record of whole lines, and behind it the pieces of the next line. */
struct tail_open {
    bool open;     /* there is a record */
    bool piecing;  /* there are pieces */
    bool dropping; /* the rest of the record is not wanted: it is too long */
    bool counted;  /* that was counted */
    bool piece_dropping, piece_counted;
    bool armed; /* nothing was added since the timer was set */
    unsigned state;
    const uint8_t *view; /* the record's text, while it lies in the block as it is */
    size_t view_size;
    struct tail_text text, piece; /* else here */
    struct tail_first first, piece_first;
};

struct tail_join {
    const struct tail_format *format;
    struct tail_multiline *how;
    struct tail_open streams[TAIL_STREAMS];
    uint64_t skip[TAIL_STREAMS]; /* lines of that stream that begin below were sent before */
    struct tail_out out;         /* of the read that goes on */

    /* The rest belongs to join_read.c. */
    uint64_t ahead;              /* so many bytes behind the file's offset have been taken in */
    uint64_t token;              /* of the bytes before there */
    uint64_t sent[TAIL_STREAMS]; /* as it was when the last position was sent */
    bool splitting;              /* there, a line was cut */
    bool orphans;                /* what is unfinished was of content that the file has lost */
    bool due, waiting;
    struct weir_timer *timer;
};

/* NULL: no memory. */
struct tail_join *tail_join_create(const struct tail_format *, struct tail_multiline *);
void tail_join_destroy(struct tail_join *); /* takes NULL; the timer is gone */
/* Forgets all that is unfinished. */
void tail_join_clear(struct tail_join *);

/* Bytes of a line that may be longer than buffer_max_size, since what surrounds its text counts in. */
size_t tail_join_limit(const struct tail_join *);

/* All of these: 0 or -ENOMEM, after which nothing may be sent and everything must be cleared. */

/* A line of the file without its newline, at `offset`. */
int tail_join_line(struct tail_join *, const uint8_t *line, size_t size, uint64_t offset);
/* A piece of a line that has no end within the limit; it is taken as it is. */
int tail_join_part(struct tail_join *, const uint8_t *part, size_t size, uint64_t offset);
/* What is unfinished is now complete; armed: only where nothing was added since. */
int tail_join_end(struct tail_join *, bool armed);
/* The block goes away: what lies in it is copied. */
int tail_join_keep(struct tail_join *);

/* Whether anything is unfinished. */
bool tail_join_busy(const struct tail_join *);
/* Where what is unfinished of a stream begins; NULL: nothing is. */
struct tail_first *tail_join_first(struct tail_join *, int stream);

#endif
