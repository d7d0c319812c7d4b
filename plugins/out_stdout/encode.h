/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a chunk to the text of standard output, in pieces of whole lines small enough to stay in the
 * processor's cache until they are written. The same chunk always gives the same bytes. Output thread.
 */
#ifndef OUT_STDOUT_ENCODE_H
#define OUT_STDOUT_ENCODE_H

#include <weir/json.h>
#include <weir/plugin.h>

/* A piece is complete when it has reached this size. */
#define ENCODE_PIECE ((size_t)256 * 1024)

enum encode_format { ENCODE_JSON_LINES, ENCODE_RAW, ENCODE_MSGPACK };

struct encode_settings {
    enum encode_format format;
    const char *message_key;
    const char *date_key;
    enum weir_json_date date;
};

/* What encode_next gives: data that is valid until the next call. */
struct encode_piece {
    const void *data;
    size_t size;
    uint32_t records;   /* refused ones */
    const char *reason; /* NULL: text to be written; else `data` are records that no text can be made of, for
                           this reason */
};

struct encoder {
    enum encode_format format;
    const char *key;
    size_t key_size;
    struct weir_json_style style;
    struct weir_json text;
    struct weir_cursor cursor;
    uint32_t left;          /* records not read yet, as the chunk counts them */
    uint64_t without_key;   /* raw: records of the chunk so far that were written as JSON */
    bool handed_out;        /* `text` was returned, and can be overwritten */
    bool to_terminal;       /* set by who knows, before the first chunk */
    struct weir_json shown; /* `text` as a terminal is given it */
};

/* The strings must stay. 0 or -ENOMEM; nothing is to be finished then. */
int encode_init(struct encoder *, const struct encode_settings *);
void encode_finish(struct encoder *);

/* The next pieces are of this chunk. */
void encode_begin(struct encoder *, const struct weir_chunk *);
/* 1 and a piece, 0 at the end of the chunk, -ENOMEM (encode_begin starts anew). */
int encode_next(struct encoder *, struct encode_piece *ret);

#endif
