/* SPDX-License-Identifier: Apache-2.0 */
/* Escaping for the log and for messages. Owns nothing; any thread. */
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

size_t text_utf8(const char *text, size_t length)
{
    const uint8_t *s = (const uint8_t *)text;
    if (!length)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t size = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0; /* overlong, a surrogate, or past U+10FFFF */
    return size;
}

/* The escape of an ASCII character, into `out`; 0: it needs none. */
static size_t escape_ascii(char out[8], uint8_t c, enum text_style style)
{
    static const char letters[] = "\n"
                                  "n"
                                  "\r"
                                  "r"
                                  "\t"
                                  "t";
    if (style == TEXT_JSON && (c == '"' || c == '\\'))
        return (size_t)snprintf(out, 8, "\\%c", c);
    if (c >= 0x20 && c != 0x7f)
        return 0;
    for (size_t i = 0; letters[i]; i += 2)
        if (c == (uint8_t)letters[i])
            return (size_t)snprintf(out, 8, "\\%c", letters[i + 1]);
    return (size_t)snprintf(out, 8, style == TEXT_JSON ? "\\u%04x" : "\\x%02x", c);
}

static size_t escape_one(char out[8], const char *text, size_t size, enum text_style style)
{
    const uint8_t *s = (const uint8_t *)text;
    if (!size) /* no UTF-8 */
        return style == TEXT_JSON ? (size_t)snprintf(out, 8, "\xef\xbf\xbd")
                                  : (size_t)snprintf(out, 8, "\\x%02x", s[0]);
    if (size == 1)
        return escape_ascii(out, s[0], style);
    if (size == 2 && s[0] == 0xc2 && s[1] < 0xa0) /* C1: terminals obey these */
        return (size_t)snprintf(out, 8, "\\u%04x", s[1]);
    return 0;
}

size_t text_escape(char *out, size_t room, const char *text, size_t length, enum text_style style)
{
    size_t written = 0;
    for (size_t i = 0; i < length;) {
        char escape[8];
        size_t size = text_utf8(text + i, length - i);
        size_t escaped = escape_one(escape, text + i, size, style);
        const char *from = escaped ? escape : text + i;
        size_t count = escaped ? escaped : size;
        if (room - written < count)
            break;
        memcpy(out + written, from, count);
        written += count;
        i += size ? size : 1;
    }
    return written;
}

char *text_format(const char *format, va_list args)
{
    char *text;

    return vasprintf(&text, format, args) < 0 ? NULL : text;
}
