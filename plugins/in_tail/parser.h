/* SPDX-License-Identifier: Apache-2.0 */
/* From a line to the fields that it consists of: JSON, or the named groups of a regular expression. */
#ifndef TAIL_PARSER_H
#define TAIL_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>
#include "times.h"

struct tail_parser;

/* As the options say. Strings may be NULL or empty: not given. */
struct tail_parser_options {
    const char *parser, *regex, *time_key, *time_format;
    bool time_keep;
    const struct weir_list *types; /* name:integer, name:float, name:bool, name:string */
};

struct tail_parsed {
    const uint8_t *fields[2]; /* in msgpack, in two parts; valid until the next line is read */
    size_t sizes[2];
    uint32_t count;
    bool timed;    /* the time is the line's */
    bool bad_time; /* there is a time key, and its value is no such time: it stays a field */
    struct tail_time time;
};

/* 0, -ENOMEM, or -EINVAL with the reason in `why`. *ret is NULL where no parser is asked for. */
int tail_parser_create(const struct tail_parser_options *, char *why, size_t why_size,
                       struct tail_parser **ret);
void tail_parser_destroy(struct tail_parser *); /* takes NULL */
/* `now`: seconds since 1970. 1: *ret is set; 0: the line is none of this form; -ENOMEM. */
int tail_parser_read(struct tail_parser *, const uint8_t *line, size_t size, int64_t now,
                     struct tail_parsed *ret);

#endif
