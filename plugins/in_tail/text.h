/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that grow. All zero is an empty one. */
#ifndef TAIL_TEXT_H
#define TAIL_TEXT_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct tail_text {
    uint8_t *bytes;
    size_t size, room;
};

/* Room for so many more bytes behind what is there. 0 or -ENOMEM, which changes nothing. */
static inline int tail_text_reserve(struct tail_text *text, size_t more)
{
    if (text->room - text->size >= more) {
        return 0;
    }
    size_t room = text->room * 2 > text->size + more ? text->room * 2 : text->size + more + 64;
    uint8_t *bytes = realloc(text->bytes, room);
    if (!bytes) {
        return -ENOMEM;
    }
    text->bytes = bytes;
    text->room = room;
    return 0;
}

static inline int tail_text_add(struct tail_text *text, const void *bytes, size_t size)
{
    if (tail_text_reserve(text, size) < 0) {
        return -ENOMEM;
    }
    if (size > 0) {
        memcpy(text->bytes + text->size, bytes, size);
    }
    text->size += size;
    return 0;
}

/* What is there; never NULL. */
static inline const uint8_t *tail_text_bytes(const struct tail_text *text)
{
    return text->bytes ? text->bytes : (const uint8_t *)"";
}

static inline void tail_text_free(struct tail_text *text)
{
    free(text->bytes);
    *text = (struct tail_text){0};
}

/* Empties it, and gives back what is far above the usual. */
static inline void tail_text_clear(struct tail_text *text)
{
    text->size = 0;
    if (text->room > 256 * 1024) {
        tail_text_free(text);
    }
}

#endif
