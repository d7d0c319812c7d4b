/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_tail's parsers: JSON, which must take what jansson takes and nothing else, a regular expression with
 * types, times in several formats, and the lines of containers. What comes out must be well-formed msgpack.
 * And the options of parsers and of records of several lines, with any texts.
 */
#include "fuzz.h"

#include <errno.h>
#include <jansson.h>
#include <weir/event.h>
#include "container.h"
#include "json.h"
#include "multiline.h"
#include "parser.h"

/* `count` pairs of a string and any value, and nothing behind them. */
static void check_fields(const uint8_t *fields, size_t size, uint32_t count)
{
    const uint8_t *p = fields, *end = size ? fields + size : fields;
    while (count--) {
        struct weir_value key;
        p = weir_read_head(p, end, &key);
        FUZZ_CHECK(p && key.type == WEIR_TYPE_STR);
        p = weir_skip_value(p, end);
        FUZZ_CHECK(p);
    }
    FUZZ_CHECK(p == end);
}

/* -- JSON -- */

static size_t depth_of(const json_t *value)
{
    size_t deepest = 0, i;
    const char *key;
    json_t *inner;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, inner)
        {
            size_t depth = depth_of(inner);
            deepest = depth > deepest ? depth : deepest;
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, inner)
        {
            size_t depth = depth_of(inner);
            deepest = depth > deepest ? depth : deepest;
        }
    } else {
        return 0;
    }
    return deepest + 1;
}

static bool is_plain(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] < ' ') {
            return false;
        }
    }
    json_t *string = json_stringn((const char *)data, size);
    bool is = string != NULL;
    json_decref(string);
    return is;
}

static void read_json(const uint8_t *data, size_t size)
{
    struct tail_text out = {0};
    struct tail_json_field field = {.name = "time", .name_size = 4};
    uint32_t count;
    json_error_t error;
    int r = tail_json_read(data, size, &out, &count, &field);
    json_t *root = json_loadb((const char *)data, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    FUZZ_CHECK(r == 0 || r == -EINVAL);
    if (r == 0) {
        check_fields(out.bytes, out.size, count);
        /* jansson wants UTF-8, also in what escapes say, no control characters, and no NUL in a key. */
        FUZZ_CHECK(root || !is_plain(data, size) || memmem(data, size, "\\u", 2));
        FUZZ_CHECK(!field.found ||
                   (field.begin < field.value && field.value < field.end && field.end <= out.size));
    } else {
        FUZZ_CHECK(out.size == 0);
        /* Two members of one name hide how deep the first was; jansson skips a NUL behind a number. */
        FUZZ_CHECK(!json_is_object(root) || memchr(data, 0, size) || depth_of(root) > TAIL_JSON_DEPTH ||
                   size > TAIL_JSON_NUMBER);
    }
    json_decref(root);
    tail_text_free(&out);
}

/* -- A regular expression, and times -- */

static void read_regex(struct fuzz_input in)
{
    static const char *const formats[] = {
        NULL,        "%Y-%m-%dT%H:%M:%S.%L%z", "%d/%b/%Y:%H:%M:%S %z", "%b %d %H:%M:%S", "%s.%L", "epoch_ms",
        "%Y%j %p %I"};
    static const char *const names[] = {"n:integer", "f:float", "b:bool"};
    static const struct weir_list types = {names, 3};
    struct tail_parser_options options = {
        .parser = "regex",
        .regex = "^(?<time>[^|]*)\\|(?<n>[^|]*)\\|(?<f>[^|]*)\\|(?<b>[^|]*)(?:\\|(?<rest>.*))?$",
        .time_key = "time",
        .time_format = formats[fuzz_byte(&in) % (sizeof formats / sizeof *formats)],
        .time_keep = fuzz_byte(&in) & 1,
        .types = &types};
    struct tail_parser *parser;
    struct tail_parsed parsed;
    char why[256];
    FUZZ_CHECK(tail_parser_create(&options, why, sizeof why, &parser) == 0 && parser);
    uint8_t *line = fuzz_copy(in.data, in.size);
    if (tail_parser_read(parser, line, in.size, 1700000000, &parsed) == 1) {
        size_t size = parsed.sizes[0] + parsed.sizes[1];
        uint8_t *fields = malloc(size + 1);
        FUZZ_CHECK(fields && parsed.time.nsec < 1000000000);
        memcpy(fields, parsed.fields[0] ? parsed.fields[0] : line, parsed.sizes[0]);
        memcpy(fields + parsed.sizes[0], parsed.fields[1] ? parsed.fields[1] : line, parsed.sizes[1]);
        check_fields(fields, size, parsed.count);
        free(fields);
    }
    free(line);
    tail_parser_destroy(parser);
}

/* -- Containers -- */

static void read_container(unsigned forms, const uint8_t *data, size_t size)
{
    struct tail_container_scratch scratch = {0};
    struct tail_piece piece;
    if (tail_container_read(forms, data, size, &scratch, &piece)) {
        FUZZ_CHECK(piece.stream == TAIL_STDOUT || piece.stream == TAIL_STDERR);
        FUZZ_CHECK(piece.time.nsec < 1000000000);
        FUZZ_CHECK(piece.size <= size);
        if (piece.lasts) {
            FUZZ_CHECK(piece.text >= data && piece.text + piece.size <= data + size);
        }
        check_fields(piece.more, piece.more_size, piece.more_count);
    }
    tail_container_free(&scratch);
}

/* -- Options -- */

enum { FIELDS = 7, ITEMS = 4, SHORT_LINE = 12 /* any expression may be one that goes back for ever */ };

static struct weir_list list_of(char *text, const char **items)
{
    size_t count = 0;
    char *item;
    while (count < ITEMS && (item = strsep(&text, ","))) {
        if (*item) {
            items[count++] = item;
        }
    }
    return (struct weir_list){items, count};
}

static void use(const struct tail_multiline *m, const uint8_t *line, size_t size)
{
    struct tail_parsed parsed;
    unsigned state = tail_multiline_begin(m, line, size);
    if (state) {
        tail_multiline_next(m, state, line, size);
    }
    if (m->parser && tail_parser_read(m->parser, line, size, 1700000000, &parsed) == 1 &&
        parsed.sizes[1] == 0) {
        check_fields(parsed.fields[0], parsed.sizes[0], parsed.count);
    }
}

/* A line for each option, then what is read: what is refused is refused with a reason, what is not can be
 * used. */
static void read_options(struct fuzz_input in)
{
    unsigned flags = fuzz_byte(&in);
    char *text = fuzz_text(in.data, in.size), *rest = text, *fields[FIELDS], why[256] = "";
    const char *types[ITEMS], *parsers[ITEMS];
    for (size_t i = 0; i < FIELDS; i++) {
        fields[i] = rest ? strsep(&rest, "\n") : NULL;
    }
    const struct weir_list type_list = list_of(fields[4], types);
    struct tail_multiline_options options = {.parsers = list_of(fields[5], parsers),
                                             .start_pattern = fields[6],
                                             .preserve_key = flags & 1,
                                             .parser = {.parser = fields[0],
                                                        .regex = fields[1],
                                                        .time_key = fields[2],
                                                        .time_format = fields[3],
                                                        .time_keep = flags & 2,
                                                        .types = &type_list}};
    struct tail_multiline *m;
    int r = tail_multiline_create(&options, why, sizeof why, &m);
    FUZZ_CHECK(r == 0 || (r == -EINVAL && !m && *why));
    if (m) {
        size_t size = rest ? strlen(rest) : 0;
        uint8_t *line = fuzz_copy((const uint8_t *)rest, size < SHORT_LINE ? size : SHORT_LINE);
        use(m, line, size < SHORT_LINE ? size : SHORT_LINE);
        free(line);
    }
    tail_multiline_destroy(m);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    unsigned first = fuzz_byte(&in), mode = first % 4;
    if (first == 'o') {
        read_options(in);
        return 0;
    }
    uint8_t *copy = fuzz_copy(in.data, in.size);
    if (mode == 0) {
        read_json(copy, in.size);
    } else if (mode == 1) {
        read_regex(in);
    } else {
        read_container(mode == 2 ? TAIL_DOCKER : TAIL_DOCKER | TAIL_CRI, copy, in.size);
    }
    free(copy);
    return 0;
}
