/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The splitter: bytes of a file in, records in a draft out. The hot path of weir: for each line one memchr,
 * one copy, and no call but these. No state. Loop thread.
 */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weir/event.h>
#include "encoding.h"
#include "filter.h"

enum {
    SHORT_PREFIX = 32, /* a prefix up to here is copied as this many bytes, which takes two moves */
    SMALL_READ = 4096
};

static uint8_t *put_text(uint8_t *p, const char *text)
{
    return weir_put_str(p, text, (uint32_t)strlen(text));
}

static size_t text_room(const char *text)
{
    return text ? WEIR_MAX_STR + strlen(text) : 0;
}

static int prefix_grow(struct tail_prefix *prefix, size_t room)
{
    if (room <= prefix->room) {
        return 0;
    }
    uint8_t *bytes = realloc(prefix->bytes, room);
    if (!bytes) {
        return -ENOMEM;
    }
    memset(bytes + prefix->room, 0, room - prefix->room);
    prefix->bytes = bytes;
    prefix->room = room;
    return 0;
}

int tail_prefix_make(struct tail_prefix *prefix, const struct tail_format *format, const char *path,
                     const struct timespec *now)
{
    size_t room = WEIR_MAX_RECORD + text_room(format->key) + WEIR_MAX_INT + text_room(format->offset_key) +
                  SHORT_PREFIX;
    room += format->path_key ? text_room(format->path_key) + text_room(path) : 0;
    if (prefix_grow(prefix, room) < 0) {
        return -ENOMEM;
    }
    uint8_t *p = prefix->bytes;
    p = weir_put_record(p, (uint32_t)now->tv_sec, (uint32_t)now->tv_nsec,
                        1 + !!format->path_key + !!format->offset_key);
    if (format->path_key) {
        p = put_text(put_text(p, format->path_key), path);
    }
    prefix->offset_at = 0;
    if (format->offset_key) {
        p = put_text(p, format->offset_key);
        *p++ = 0xcf;
        prefix->offset_at = (size_t)(p - prefix->bytes);
        p += 8;
    }
    p = put_text(p, format->key);
    prefix->size = (size_t)(p - prefix->bytes);
    return 0;
}

/* What a record takes besides its line, with what the copies may write beyond it. */
static size_t record_room(const struct tail_prefix *prefix)
{
    return (prefix->size > SHORT_PREFIX ? prefix->size : SHORT_PREFIX) + WEIR_MAX_STR;
}

static inline uint8_t *put_record(uint8_t *p, const struct tail_prefix *prefix, const uint8_t *line,
                                  size_t size, uint64_t offset)
{
    uint8_t *start = p;
    if (prefix->size <= SHORT_PREFIX) {
        memcpy(p, prefix->bytes, SHORT_PREFIX);
    } else {
        memcpy(p, prefix->bytes, prefix->size);
    }
    if (prefix->offset_at) {
        weir_put_be64(start + prefix->offset_at, offset);
    }
    p = weir_put_str_head(p + prefix->size, (uint32_t)size);
    memcpy(p, line, size);
    return p + size;
}

size_t tail_lines_cut(const uint8_t *line, size_t max)
{
    size_t at = max;
    while (at > 0 && max - at < 3 && (line[at] & 0xc0) == 0x80) {
        at--;
    }
    return at > 0 && (line[at] & 0xc0) != 0x80 ? at : max;
}

size_t tail_lines_width(const struct tail_format *format)
{
    return format->encoding ? tail_encoding_width(format->encoding) : 1;
}

const uint8_t *tail_lines_newline(const struct tail_format *format, const uint8_t *data, size_t size)
{
    return format->encoding ? tail_encoding_newline(format->encoding, data, size) : memchr(data, '\n', size);
}

/* So far it has to be looked for a newline: behind that the line is cut in any case, and what follows is
 * looked through with the pieces that it is in. */
static size_t reach(const struct tail_format *format, size_t size)
{
    const size_t most = format->max + tail_lines_width(format);
    return format->long_lines == TAIL_SPLIT && most < size ? most : size;
}

size_t tail_lines_first(const struct tail_format *format, const uint8_t *data, size_t size)
{
    const uint8_t *end = tail_lines_newline(format, data, reach(format, size));
    if (format->long_lines == TAIL_SPLIT && (end ? (size_t)(end - data) : size) > format->max) {
        return format->encoding ? format->max : tail_lines_cut(data, format->max);
    }
    return end ? (size_t)(end - data) + tail_lines_width(format) : 0;
}

static size_t count_lines(const uint8_t *data, size_t size)
{
    size_t count = 0;
    for (const uint8_t *p = data, *end = data + size; p < end && (p = memchr(p, '\n', (size_t)(end - p)));
         p++) {
        count++;
    }
    return count;
}

size_t tail_lines_room(const struct tail_format *format, const struct tail_prefix *prefix,
                       const uint8_t *data, size_t size, size_t first)
{
    if (format->encoding) {
        size_t usual = size + size / 2 + record_room(prefix);
        size_t most = TAIL_DECODED_MAX(first) + record_room(prefix);
        return most > usual ? most : usual;
    }
    size_t one = first + record_room(prefix);
    size_t all = size <= SMALL_READ ? size + (count_lines(data, size) + 1) * record_room(prefix)
                                    : size + size / 4 + record_room(prefix);
    return one > all ? one : all;
}

/* A line that is not just copied. Returns what to emit of it in *ret_size, and the bytes that are used up. */
struct unusual {
    size_t emit, used;
    bool record;
};

static bool wanted(const struct tail_format *format, const uint8_t *line, size_t size,
                   struct tail_tally *tally)
{
    bool unwanted = format->filter && !tail_filter_wants(format->filter, line, size);
    tally->filtered += unwanted;
    return !unwanted;
}

static struct unusual look_at(const struct tail_format *format, const uint8_t *line, size_t size, bool *split,
                              struct tail_tally *tally)
{
    if (size > format->max) {
        tally->long_lines += !*split;
        if (format->long_lines == TAIL_SPLIT) {
            size_t piece = tail_lines_cut(line, format->max);
            *split = true;
            return (struct unusual){piece, piece, wanted(format, line, piece, tally)};
        }
        size_t kept = tail_lines_cut(line, format->max);
        bool truncated = format->long_lines == TAIL_TRUNCATE;
        tally->abandoned += truncated ? size - kept : size + 1;
        return (struct unusual){kept, size + 1, truncated && wanted(format, line, kept, tally)};
    }
    bool empty = !*split && format->skip_empty && (size == 0 || (size == 1 && line[0] == '\r'));
    tally->empty += empty;
    *split = false;
    return (struct unusual){size, size + 1, !empty && wanted(format, line, size, tally)};
}

/* -- Lines that are decoded ------------------------------------------------------------------------ */

/* Bytes of a line that are wanted as a record, and those used up with it. */
struct piece {
    size_t take, used;
    bool record, partial; /* partial: more of the line comes */
};

static struct piece choose(const struct tail_format *format, size_t size, bool *split,
                           struct tail_tally *tally)
{
    const size_t width = tail_encoding_width(format->encoding), most = format->max - format->max % width;
    if (size <= format->max) {
        *split = false;
        return (struct piece){size, size + width, true, false};
    }
    tally->long_lines += !*split;
    *split = format->long_lines == TAIL_SPLIT;
    tally->abandoned += *split ? 0 : format->long_lines == TAIL_TRUNCATE ? size - most : size + width;
    return *split ? (struct piece){most, most, true, true}
                  : (struct piece){most, size + width, format->long_lines == TAIL_TRUNCATE, true};
}

static bool is_blank(const struct tail_decoded *d)
{
    return d->size == 0 || (d->size == 1 && d->text[0] == '\r');
}

/* One line or piece of it. false: there is no room, or no memory, and nothing was done. */
static bool pack_decoded(const struct tail_format *format, const struct tail_prefix *prefix,
                         struct weir_draft *draft, const uint8_t *line, struct piece *piece, uint64_t offset,
                         bool whole, struct tail_tally *tally)
{
    struct tail_decoded d;
    if (!piece->record) {
        return true;
    }
    if (tail_encoding_decode(format->encoding, line, piece->take, offset == 0, piece->partial, &d) < 0 ||
        draft->capacity - draft->size < d.size + record_room(prefix)) {
        return false;
    }
    if (piece->partial && piece->used == piece->take && d.used) {
        piece->used = d.used; /* a character is not cut in two */
    }
    tally->invalid += d.invalid;
    if (whole && format->skip_empty && is_blank(&d)) {
        tally->empty++;
    } else if (wanted(format, d.text, d.size, tally)) {
        uint8_t *end = put_record(draft->data + draft->size, prefix, d.text, d.size, offset);
        draft->size = (size_t)(end - draft->data);
        draft->records++;
    }
    return true;
}

static size_t pack_encoded(const struct tail_format *format, const struct tail_prefix *prefix,
                           struct weir_draft *draft, const uint8_t *data, size_t size, uint64_t offset,
                           bool *split, struct tail_tally *tally)
{
    size_t at = 0;
    while (at < size) {
        const uint8_t *newline = tail_encoding_newline(format->encoding, data + at, reach(format, size - at));
        size_t n = newline ? (size_t)(newline - data) - at : size - at;
        if (!newline && !(n > format->max && format->long_lines == TAIL_SPLIT)) {
            break;
        }
        bool was_split = *split;
        struct tail_tally before = *tally;
        struct piece piece = choose(format, n, split, tally);
        if (!pack_decoded(format, prefix, draft, data + at, &piece, offset + at, !was_split && !piece.partial,
                          tally)) {
            *split = was_split;
            *tally = before;
            break;
        }
        at += piece.used;
    }
    return at;
}

size_t tail_lines_pack(const struct tail_format *format, const struct tail_prefix *prefix,
                       struct weir_draft *draft, const uint8_t *data, size_t size, uint64_t offset,
                       bool *split, struct tail_tally *tally)
{
    if (format->encoding) {
        return pack_encoded(format, prefix, draft, data, size, offset, split, tally);
    }
    const uint8_t *p = data, *end = data + size;
    const size_t extra = record_room(prefix), max = format->max, most = reach(format, size);
    /* shorter lines need a second look */
    const size_t usual = format->filter ? SIZE_MAX : format->skip_empty ? 2 : 0;
    uint8_t *out = draft->data + draft->size, *out_end = draft->data + draft->capacity;
    uint32_t records = draft->records;
    while (p < end) {
        const size_t rest = (size_t)(end - p);
        const uint8_t *newline = memchr(p, '\n', rest < most ? rest : most);
        size_t n = newline ? (size_t)(newline - p) : rest;
        if (!newline && !(n > max && format->long_lines == TAIL_SPLIT)) {
            break;
        }
        struct unusual what = {n, n + 1, true};
        if (__builtin_expect(n > max || n < usual || *split, 0)) {
            bool was_split = *split;
            struct tail_tally before = *tally;
            what = look_at(format, p, n, split, tally);
            if (what.record && (size_t)(out_end - out) < what.emit + extra) {
                *split = was_split;
                *tally = before;
                break;
            }
        } else if ((size_t)(out_end - out) < n + extra) {
            break;
        }
        if (what.record) {
            out = put_record(out, prefix, p, what.emit, offset + (uint64_t)(p - data));
            records++;
        }
        p += what.used;
    }
    draft->size = (size_t)(out - draft->data);
    draft->records = records;
    return (size_t)(p - data);
}

bool tail_lines_pack_rest(const struct tail_format *format, const struct tail_prefix *prefix,
                          struct weir_draft *draft, const uint8_t *data, size_t size, uint64_t offset,
                          struct tail_tally *tally)
{
    if (format->encoding) {
        /* of a line that is cut here, half a character is left out, too */
        struct piece all = {size, size, true, size >= format->max};
        return pack_decoded(format, prefix, draft, data, &all, offset, false, tally);
    }
    if (wanted(format, data, size, tally)) {
        uint8_t *end = put_record(draft->data + draft->size, prefix, data, size, offset);
        draft->size = (size_t)(end - draft->data);
        draft->records++;
    }
    return true;
}
