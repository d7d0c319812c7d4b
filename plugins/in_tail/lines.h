/* SPDX-License-Identifier: Apache-2.0 */
/* The splitter: bytes of a file in, records in a draft out. Knows nothing of files. */
#ifndef TAIL_LINES_H
#define TAIL_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <weir/plugin.h>

enum tail_long_lines { TAIL_SPLIT, TAIL_TRUNCATE, TAIL_SKIP };

struct tail_encoding;
struct tail_filter;

/* How lines become records; the same for everything that an instance reads. */
struct tail_format {
    const char *key, *path_key, *offset_key; /* the last two may be NULL */
    size_t max;                              /* of a line, without its newline */
    enum tail_long_lines long_lines;
    bool skip_empty;
    struct tail_filter *filter;     /* NULL: every line is wanted */
    struct tail_encoding *encoding; /* NULL: bytes are taken as they are */
};

/* The bytes that all records of one read have in common: everything before the line's string. */
struct tail_prefix {
    uint8_t *bytes;
    size_t size, room;
    size_t offset_at; /* where the line's offset is to be written; 0: nowhere */
};

/* What one call of tail_lines_pack met. */
struct tail_tally {
    uint64_t empty, long_lines, filtered;
    uint64_t invalid;             /* pieces that are no characters of the encoding */
    uint64_t unparsed, bad_times; /* lines of another form than was said; times of another format */
    uint64_t abandoned;           /* bytes of lines too long that are in no record */
};

/* Makes the prefix, growing its memory where needed (free it with free(prefix->bytes)). 0 or -ENOMEM. */
int tail_prefix_make(struct tail_prefix *, const struct tail_format *, const char *path,
                     const struct timespec *);

/* Where a line of more than max bytes is cut: at max, or a little before so as not to cut a UTF-8 character.
 */
size_t tail_lines_cut(const uint8_t *line, size_t max);
/* Bytes of a newline, which offsets of lines are a multiple of. */
size_t tail_lines_width(const struct tail_format *);
/* The first newline in what begins with a character, or NULL. */
const uint8_t *tail_lines_newline(const struct tail_format *, const uint8_t *data, size_t size);

/*
 * The bytes that must be packed as one: up to the first newline and with it, or, of a line that is too long
 * and is split, one piece. 0: the line has no end yet.
 */
size_t tail_lines_first(const struct tail_format *, const uint8_t *data, size_t size);

/* Room for a draft in which the first `first` bytes fit for certain, and all of `size` probably. */
size_t tail_lines_room(const struct tail_format *, const struct tail_prefix *, const uint8_t *data,
                       size_t size, size_t first);

/*
 * Packs whole lines (and pieces of a long one) until they, or the room, run out. `offset` is the file's at
 * data[0]; *split says whether data[0] goes on with a line that was split, and is updated. Returns the bytes
 * consumed.
 */
size_t tail_lines_pack(const struct tail_format *, const struct tail_prefix *, struct weir_draft *,
                       const uint8_t *data, size_t size, uint64_t offset, bool *split, struct tail_tally *);

/*
 * Packs all of `size` (no more than max) as one record, without a newline, if the filter wants it. The room
 * must be there. False: no memory to decode it.
 */
bool tail_lines_pack_rest(const struct tail_format *, const struct tail_prefix *, struct weir_draft *,
                          const uint8_t *data, size_t size, uint64_t offset, struct tail_tally *);

#endif
