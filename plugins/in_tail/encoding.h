/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are not in UTF-8: where their lines end, and their text as UTF-8. Loop thread, one line at a
 * time. */
#ifndef TAIL_ENCODING_H
#define TAIL_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tail_encoding;

/* By iconv's name. NULL and errno: EINVAL where there is no such encoding, or it has no newline of its own.
 */
struct tail_encoding *tail_encoding_create(const char *name);
void tail_encoding_destroy(struct tail_encoding *); /* takes NULL */

/*
 * What is read next is of this file: of utf-16 and utf-32, its first bytes tell the order of bytes (none of
 * them: little endian).
 */
void tail_encoding_of_file(struct tail_encoding *, int fd);
/* The same, by its first bytes. */
void tail_encoding_of_text(struct tail_encoding *, const uint8_t *bytes, size_t size);
/* Bytes of a newline, and what offsets of characters are a multiple of: 1, 2 or 4. */
size_t tail_encoding_width(const struct tail_encoding *);
/* The first newline, or NULL. data is at the beginning of a character. */
const uint8_t *tail_encoding_newline(const struct tail_encoding *, const uint8_t *data, size_t size);

struct tail_decoded {
    const uint8_t *text; /* UTF-8; valid until the next call */
    size_t size;
    size_t used;      /* bytes of the input */
    uint64_t invalid; /* what is U+FFFD in the text, since it was no character */
};

/*
 * At the start of a file, a byte order mark is left out. A character that is cut off at the end is left (used
 * is less than size) where `partial`, and else is U+FFFD. 0 or -ENOMEM.
 */
int tail_encoding_decode(struct tail_encoding *, const uint8_t *data, size_t size, bool start, bool partial,
                         struct tail_decoded *ret);

/* The text takes at most so many bytes. */
#define TAIL_DECODED_MAX(size) (3 * (size) + 3)

#endif
