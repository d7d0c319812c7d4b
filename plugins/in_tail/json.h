/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text into the msgpack of a record's fields. */
#ifndef TAIL_JSON_H
#define TAIL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "text.h"

enum {
    TAIL_JSON_DEPTH = 32,  /* levels of maps and arrays, the outermost one included */
    TAIL_JSON_NUMBER = 400 /* characters of a number */
};

/* A field that is looked for on the outermost level; found or not is said for the last of that name. */
struct tail_json_field {
    const char *name;
    size_t name_size;
    bool found;
    size_t begin, value, end; /* of its key, of its value, and behind it, in the output */
};

/*
 * Appends the members of one JSON object, each a key and a value, to `out`, and counts them. Integers of 64
 * bits stay exact, larger ones become doubles; equal names stay as they are; bytes that are no UTF-8 pass
 * through. 0, -ENOMEM, or -EINVAL where it is no object, is deeper than TAIL_JSON_DEPTH, or has a number that
 * is too large: then `out` is as before.
 */
int tail_json_read(const uint8_t *json, size_t size, struct tail_text *out, uint32_t *ret_count,
                   struct tail_json_field *field);

/* The end of a string's content that begins at p: its closing quote, or NULL; *ret_plain: has no escapes. */
const uint8_t *tail_json_string_end(const uint8_t *p, const uint8_t *end, bool *ret_plain);
/* Writes a string's content without its escapes, which is never longer. Where it ends, or NULL: a bad escape.
 */
uint8_t *tail_json_unescape(uint8_t *out, const uint8_t *p, const uint8_t *end);

#endif
