/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people and for JSON: UTF-8, the escaping of what must not reach a terminal, a text made of others.
 * Any thread. */
#ifndef WEIR_CORE_TEXT_H
#define WEIR_CORE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

enum text_style {
    TEXT_PLAIN, /* control characters as \n, \t, \x1b, bytes that are no UTF-8 as \xff */
    TEXT_JSON   /* the inside of a JSON string; bytes that are no UTF-8 become U+FFFD */
};

/* A byte may become this many. */
#define TEXT_ESCAPE_GROWTH 6

/*
 * Writes `length` bytes of `text` into `out`, escaped, and returns how many bytes were written: at most
 * `room`, and never half an escape. Adds no NUL.
 */
size_t text_escape(char *out, size_t room, const char *text, size_t length, enum text_style);

/* The length of the valid UTF-8 character that `text` begins with, or 0. */
size_t text_utf8(const char *text, size_t length);

/* As printf writes it; the caller frees. NULL: no memory. */
char *text_format(const char *format, va_list) __attribute__((format(printf, 1, 0)));

#endif
