/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_tail's splitter against a plain model of it: the same bytes, given in pieces of any size, must come out
 * as the same lines, whatever becomes of the long ones.
 */
#include "fuzz.h"

#include <weir/event.h>
#include "encoding.h"
#include "lines.h"

enum { ROOM = 1 << 16 };

/* What came out, each line followed by a byte that tells it from the next. */
struct text {
    uint8_t *data;
    size_t size;
};

static void append(struct text *text, const uint8_t *line, size_t size)
{
    FUZZ_CHECK(text->size + size + 1 <= ROOM * 8);
    memcpy(text->data + text->size, line, size);
    text->size += size;
    text->data[text->size++] = '\n';
}

static void collect(struct text *text, const struct weir_draft *draft)
{
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value;
    uint32_t records = 0;
    weir_cursor_init(&cursor, draft->data, draft->size);
    while (weir_cursor_next(&cursor, &record) > 0) {
        FUZZ_CHECK(weir_record_find(&record, "log", 3, &value));
        append(text, value.data, value.size);
        records++;
    }
    FUZZ_CHECK(cursor.next == cursor.end && records == draft->records);
}

/* A line that is too long is cut before a character rather than in it, where the bytes are UTF-8. */
static size_t cut(const uint8_t *line, size_t max)
{
    for (size_t at = max; at > 0 && at + 3 >= max; at--) {
        if ((line[at] & 0xc0) != 0x80) {
            return at;
        }
    }
    return max;
}

/* The lines of data in the order and the form that they must have. */
static void model(struct text *text, const struct tail_format *format, const uint8_t *data, size_t size)
{
    const uint8_t *end;
    for (const uint8_t *p = data; (end = memchr(p, '\n', (size_t)(data + size - p))); p = end + 1) {
        size_t n = (size_t)(end - p);
        bool blank = n == 0 || (n == 1 && *p == '\r');
        if (n <= format->max && !(blank && format->skip_empty)) {
            append(text, p, n);
        } else if (n > format->max && format->long_lines == TAIL_TRUNCATE) {
            append(text, p, cut(p, format->max));
        }
    }
}

/* What has no newline at the end of a file that is through: one record, or none. */
static void pack_rest(const struct tail_format *format, const struct tail_prefix *prefix,
                      struct weir_draft *draft, const uint8_t *data, size_t size)
{
    struct tail_tally tally = {0};
    struct text rest = {malloc(ROOM * 8), 0};
    uint8_t *copy = fuzz_copy(data, size);
    draft->size = draft->records = 0;
    FUZZ_CHECK(rest.data);
    if (size) {
        tail_lines_pack_rest(format, prefix, draft, copy, size, 0, &tally);
        FUZZ_CHECK(draft->records <= 1);
        collect(&rest, draft);
    }
    free(copy);
    free(rest.data);
}

/* Gives the bytes as reads would: what was not used comes again with more behind it. */
static size_t feed(struct text *text, const struct tail_format *format, const uint8_t *data, size_t size,
                   size_t step)
{
    struct tail_prefix prefix = {0};
    struct weir_draft draft = {.struct_size = sizeof draft, .data = malloc(ROOM), .capacity = ROOM};
    size_t used = 0, have = 0;
    bool split = false;
    FUZZ_CHECK(draft.data && !tail_prefix_make(&prefix, format, "/x", &(struct timespec){1, 2}));
    while (have < size) {
        have = size - have < step ? size : have + step;
        uint8_t *copy = fuzz_copy(data + used, have - used);
        size_t first;
        while ((first = tail_lines_first(format, copy, have - used)) > 0) {
            struct tail_tally tally = {0};
            draft.size = draft.records = 0;
            FUZZ_CHECK(tail_lines_room(format, &prefix, copy, have - used, first) <= ROOM);
            size_t n = tail_lines_pack(format, &prefix, &draft, copy, have - used, used, &split, &tally);
            FUZZ_CHECK(n > 0 && n <= have - used);
            collect(text, &draft);
            used += n;
            free(copy);
            copy = fuzz_copy(data + used, have - used);
        }
        free(copy);
    }
    pack_rest(format, &prefix, &draft, data + used, size - used);
    free(draft.data);
    free(prefix.bytes);
    return used;
}

/* Split lines hold together all bytes that were used, but for newlines. */
static bool same_bytes(const struct text *text, const uint8_t *data, size_t used)
{
    size_t at = 0;
    for (size_t i = 0; i < used; i++) {
        while (data[i] != '\n' && at < text->size && text->data[at] == '\n') {
            at++;
        }
        if (data[i] != '\n' && (at == text->size || text->data[at++] != data[i])) {
            return false;
        }
    }
    while (at < text->size && text->data[at] == '\n') {
        at++;
    }
    return at == text->size;
}

/* Of an encoding, what comes out is not known beforehand: it is UTF-8, moves on, and stays in its room. */
static void feed_encoded(struct tail_format format, const uint8_t *data, size_t size, size_t step)
{
    static const char *const names[] = {"utf-16", "utf-32", "latin1", "gbk"};
    struct text got = {malloc(ROOM * 8), 0};
    format.encoding = tail_encoding_create(names[step % 4]);
    FUZZ_CHECK(got.data && format.encoding);
    tail_encoding_of_text(format.encoding, data, size);
    feed(&got, &format, data, size, step);
    tail_encoding_destroy(format.encoding);
    free(got.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    unsigned flags = fuzz_byte(&in);
    struct tail_format format = {.key = "log",
                                 .offset_key = flags & 1 ? "offset" : NULL,
                                 .path_key = flags & 2 ? "path" : NULL,
                                 .max = 4 + fuzz_byte(&in) % 64,
                                 .long_lines = (enum tail_long_lines)((flags >> 2) % 3),
                                 .skip_empty = flags & 0x10};
    size_t step = 1 + fuzz_byte(&in);
    if (in.size > 1000) {
        return 0;
    }
    struct text got = {malloc(ROOM * 8), 0}, expected = {malloc(ROOM * 8), 0};
    FUZZ_CHECK(got.data && expected.data);
    size_t used = feed(&got, &format, in.data, in.size, step);
    if (format.long_lines == TAIL_SPLIT && !format.skip_empty) {
        FUZZ_CHECK(same_bytes(&got, in.data, used));
    } else if (format.long_lines != TAIL_SPLIT) {
        model(&expected, &format, in.data, in.size);
        FUZZ_CHECK(got.size == expected.size && !memcmp(got.data, expected.data, got.size));
    }
    if (flags & 0x20) {
        feed_encoded(format, in.data, in.size, step);
    }
    free(got.data);
    free(expected.data);
    return 0;
}
