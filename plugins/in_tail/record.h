/* SPDX-License-Identifier: Apache-2.0 */
/* Records that are more than a line of a file: joined, of a container, or parsed. */
#ifndef TAIL_RECORD_H
#define TAIL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <weir/plugin.h>
#include "lines.h"
#include "parser.h"

/* What a record has besides its text. */
struct tail_origin {
    uint64_t offset; /* where it begins in the file */
    bool timed;
    struct tail_time time; /* timed: of the container's line */
    const char *stream;    /* or NULL */
    const char *time_text; /* or NULL: not kept */
    size_t time_size;
    const uint8_t *more; /* fields in msgpack */
    size_t more_size;
    uint32_t more_count;
};

/* Where the records of one read go to. */
struct tail_out {
    const struct weir_host *host;
    struct weir_draft *draft;
    const struct tail_format *format;
    struct tail_parser *parser; /* or NULL */
    bool preserve_key;
    const char *path;
    struct timespec now;
    struct tail_tally *tally;
};

/* Writes one record, if it is wanted. 0 or -ENOMEM. */
int tail_record_put(struct tail_out *, const uint8_t *text, size_t size, const struct tail_origin *);

#endif
