/* SPDX-License-Identifier: Apache-2.0 */
/* What the options say about records that are more, or other, than a line: the same for all files. */
#ifndef TAIL_MULTILINE_H
#define TAIL_MULTILINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>
#include "container.h"
#include "parser.h"

struct tail_multiline {
    unsigned forms;             /* of enum tail_container */
    unsigned languages;         /* of enum tail_language */
    struct tail_start *start;   /* a pattern of first lines, or NULL */
    struct tail_parser *parser; /* or NULL */
    bool preserve_key, keep_time;
    uint64_t timeout; /* ns */
    struct tail_container_scratch scratch;
};

struct tail_multiline_options {
    struct weir_list parsers; /* multiline.parser */
    const char *start_pattern;
    uint64_t flush_timeout;
    bool preserve_key;
    struct tail_parser_options parser;
};

/*
 * 0, -ENOMEM, or -EINVAL with the reason in `why`. *ret is NULL where every line is a record as it is.
 * create and destroy: control.
 */
int tail_multiline_create(const struct tail_multiline_options *, char *why, size_t why_size,
                          struct tail_multiline **ret);
void tail_multiline_destroy(struct tail_multiline *); /* takes NULL */

/* A state of a record behind this line, which begins one or goes on with it; 0: it does not. Loop. */
unsigned tail_multiline_begin(const struct tail_multiline *, const uint8_t *line, size_t size);
unsigned tail_multiline_next(const struct tail_multiline *, unsigned state, const uint8_t *line, size_t size);

#endif
