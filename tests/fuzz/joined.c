/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_tail's joiner, with the readers of containers, traces, JSON and times below it: the same lines, in one
 * block or each in one of its own, must come out as the same records, which must be well-formed.
 */
#include "fuzz.h"

#include <weir/event.h>
#include "join.h"

static int grow(struct weir_draft **draft, size_t room)
{
    struct weir_draft *d = *draft;
    if (d->capacity - d->size < room) {
        d->capacity = d->size + room;
        d->data = realloc(d->data, d->capacity);
        FUZZ_CHECK(d->data);
    }
    return 0;
}

static const struct weir_host host = {.struct_size = sizeof(host), .chunk_grow = grow};

static struct tail_multiline *multiline(unsigned kind)
{
    static const char *const containers[] = {"docker", "cri"},
                             *const all[] = {"docker", "cri", "java", "python", "go"},
                             *const languages[] = {"java", "python", "go"};
    static const struct weir_list lists[] = {{NULL, 0}, {containers, 2}, {all, 5}, {languages, 3}},
                                  none = {NULL, 0};
    struct tail_multiline_options options = {.parsers = lists[kind & 3]};
    struct tail_multiline *m;
    char why[256];
    options.start_pattern = (kind & 3) < 2 ? "^S" : NULL;
    options.parser = (struct tail_parser_options){.parser = kind & 4 ? "json" : NULL,
                                                  .time_key = kind & 4 ? "time" : NULL,
                                                  .time_keep = kind & 4,
                                                  .types = &none};
    FUZZ_CHECK(tail_multiline_create(&options, why, sizeof(why), &m) == 0 && m);
    return m;
}

/* Each line from memory of its own size; kept: where the block ends behind it. */
static void feed(struct tail_join *join, const uint8_t *data, size_t size, bool whole)
{
    uint8_t *block = fuzz_copy(data, size);
    const uint8_t *p = block, *end = block + size, *newline;
    while (p < end && (newline = memchr(p, '\n', (size_t)(end - p)))) {
        size_t n = (size_t)(newline - p);
        uint8_t *line = fuzz_copy(p, n);
        FUZZ_CHECK(tail_join_line(join, whole ? p : line, n, (uint64_t)(p - block)) == 0);
        FUZZ_CHECK(whole || tail_join_keep(join) == 0);
        free(line);
        p = newline + 1;
    }
    FUZZ_CHECK(tail_join_keep(join) == 0);
    free(block);
    FUZZ_CHECK(tail_join_end(join, false) == 0 && !tail_join_busy(join));
}

static void check(const struct weir_draft *draft)
{
    struct weir_cursor cursor;
    struct weir_record record;
    uint32_t records = 0;
    if (draft->size == 0) {
        FUZZ_CHECK(draft->records == 0);
        return;
    }
    weir_cursor_init(&cursor, draft->data, draft->size);
    while (weir_cursor_next(&cursor, &record) > 0) {
        records++;
    }
    FUZZ_CHECK(cursor.next == cursor.end && records == draft->records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct weir_draft drafts[2] = {{0}, {0}};
    struct tail_tally tallies[2] = {{0}, {0}};
    unsigned kind = fuzz_byte(&in), treatment = fuzz_byte(&in) % 3, max = fuzz_byte(&in);
    struct tail_format format = {
        .key = "log", .offset_key = "at", .max = 64 + max, .long_lines = (enum tail_long_lines)treatment};
    for (int i = 0; i < 2; i++) {
        struct tail_multiline *m = multiline(kind);
        struct tail_join *join = tail_join_create(&format, m);
        FUZZ_CHECK(join);
        join->out = (struct tail_out){.host = &host,
                                      .draft = &drafts[i],
                                      .format = &format,
                                      .parser = m->parser,
                                      .path = "",
                                      .now = {1700000000, 0},
                                      .tally = &tallies[i]};
        feed(join, in.data, in.size, i == 0);
        check(&drafts[i]);
        tail_join_destroy(join);
        tail_multiline_destroy(m);
    }
    FUZZ_CHECK(drafts[0].size == drafts[1].size && drafts[0].records == drafts[1].records);
    FUZZ_CHECK(drafts[0].size == 0 || memcmp(drafts[0].data, drafts[1].data, drafts[0].size) == 0);
    FUZZ_CHECK(memcmp(&tallies[0], &tallies[1], sizeof(tallies[0])) == 0);
    free(drafts[0].data);
    free(drafts[1].data);
    return 0;
}
