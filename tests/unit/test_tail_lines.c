/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: what is a line, and what a record holds. */
#include "tail_fixture.h"

#include <dlfcn.h>

static size_t looked_at; /* bytes in which something was looked for */

/* In the place of the C library's, of everything in this program. */
void *memchr(const void *bytes, int c, size_t size)
{
    const uint8_t *p = bytes, *end = p + size;
    while (p < end && *p != (uint8_t)c) {
        p++;
    }
    looked_at += (size_t)(p - (const uint8_t *)bytes);
    return p < end ? (void *)(uintptr_t)p : NULL;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPLACES_REALLOC 0 /* they have their own */
#else
#define REPLACES_REALLOC 1

static bool no_memory; /* for anything large */

void *realloc(void *p, size_t size)
{
    void *(*real)(void *, size_t);
    if (no_memory && size > 16384) {
        errno = ENOMEM;
        return NULL;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "realloc");
    return real(p, size);
}

/* A line, or what is left without a newline of a file that goes. */
START_TEST(no_memory_to_decode)
{
    enum { SIZE = 20000 };
    char wide[2 * SIZE], plain[SIZE + 1];
    for (size_t k = 0; k < SIZE; k++) {
        plain[k] = wide[2 * k] = (char)('a' + k % 26);
        wide[2 * k + 1] = 0;
    }
    struct weir_instance *i = start_head("f", "encoding", "utf-16le", "rotate_wait", "1s");
    plain[SIZE - 1] = wide[2 * SIZE - 2] = '\n';
    plain[SIZE] = 0;
    no_memory = true;
    put_bytes("f", 0, wide, _i ? sizeof(wide) - 2 : sizeof(wide));
    fake_idle(host);
    if (_i) {
        unlink(at("f"));
        fake_idle(host);
        fake_later(host, UINT64_C(2000000000));
    }
    expect("");
    ck_assert_uint_ge(fake_logged(host, "no memory to read on with"), 1);
    no_memory = false;
    fake_later(host, UINT64_C(2000000000));
    fake_later(host, UINT64_C(2000000000));
    expect(plain);
    fake_stop(i);
}
END_TEST
#endif

/* A line that is longer than a read, and one that never ends. */
START_TEST(truncated_between_characters)
{
    enum { COUNT = 4000, MOST = 4096 };
    char text[3 * COUNT + 1], expected[MOST + 2];
    for (size_t k = 0; k < COUNT; k++) {
        memcpy(text + 3 * k, "\xe2\x82\xac", 4);
    }
    memcpy(expected, text, MOST / 3 * 3);
    memcpy(expected + MOST / 3 * 3, "\n", 2);
    struct weir_instance *i = start_head("f", "buffer_chunk_size", "4k", "buffer_max_size", "4k",
                                         "long_lines", "truncate", "rotate_wait", "1s");
    append("f", text);
    if (_i == 0) {
        append("f", "\n");
    } else {
        fake_idle(host);
        unlink(at("f"));
        fake_idle(host);
        fake_later(host, UINT64_C(2000000000));
    }
    expect(expected);
    ck_assert_int_eq(fake_metric(i, "abandoned_bytes", "too_long"), 3 * COUNT - MOST / 3 * 3);
    ck_assert_int_eq(fake_metric(i, "long_lines", "truncate"), 1);
    fake_stop(i);
}
END_TEST

START_TEST(lines_of_every_kind)
{
    static const char text[] = "a\n\n\r\nb\r\n\0\n\0x\0y\n\xff\xfe\xc3\n\xe2\x82\xac\n \n";
    put_bytes("f", 0, text, sizeof(text) - 1);
    struct weir_instance *i = start_head("f");
    expect_bytes(text, sizeof(text) - 1);
    fake_stop(i);
}
END_TEST

START_TEST(each_length_at_each_place)
{
    /* lines of 0 to 300 bytes, several times over, so that every length crosses the end of a 4 KiB read */
    size_t size = 0, room = 4u << 20;
    char *text = malloc(room);
    for (unsigned seed = 0; seed < 40; seed++) {
        for (unsigned n = 0; n <= 300; n++) {
            memset(text + size, 'a' + (int)(n + seed) % 26, n);
            size += n;
            text[size++] = '\n';
        }
        text[size++] = 'x'; /* shifts what follows */
    }
    text[size++] = '\n';
    put_bytes("f", 0, text, size);
    struct weir_instance *i = start_head("f", "buffer_chunk_size", "4096");
    expect_bytes(text, size);
    fake_stop(i);
    free(text);
}
END_TEST

START_TEST(very_long_line)
{
    size_t size = 3u << 20;
    char *text = malloc(size + 10);
    memset(text, 'l', size);
    memcpy(text, "a\nb", 3);
    memcpy(text + size, "\nlast\n", 6);
    put_bytes("f", 0, text, size + 6);
    struct weir_instance *i = start_head("f", "buffer_chunk_size", _i ? "4k" : "256k");
    expect_bytes(text, size + 6);
    fake_stop(i);
    free(text);
}
END_TEST

START_TEST(long_line_that_grows)
{
    char piece[5000], *text = calloc(1, 60 * sizeof(piece));
    size_t size = 0;
    struct weir_instance *i = start_head("f", "buffer_chunk_size", "4k");
    for (int k = 0; k < 50; k++) {
        memset(piece, 'a' + k % 26, sizeof(piece));
        put_bytes("f", O_APPEND, piece, sizeof(piece));
        memcpy(text + size, piece, sizeof(piece));
        size += sizeof(piece);
        fake_idle(host);
    }
    expect("");
    append("f", "end\nnext\n");
    memcpy(text + size, "end\nnext\n", 10);
    expect_bytes(text, size + 9);
    fake_stop(i);
    free(text);
}
END_TEST

/* The lines between the long one must come whole whatever becomes of it. Long lines below and above the read
 * size. */
START_TEST(too_long)
{
    static const char *const treatments[] = {"split", "truncate", "skip"};
    static const size_t sizes[] = {101, 200, 201, 4000, 5000, 10001};
    const char *treatment = treatments[_i % 3];
    size_t long_size = sizes[_i / 3], size = 0;
    char *text = calloc(1, 40000), *expected = calloc(1, 40000), *out = expected;
    size += (size_t)sprintf(text, "before\n");
    memset(text + size, 'L', long_size);
    size += long_size;
    size += (size_t)sprintf(text + size, "\nafter\n");
    memset(text + size, 'M', 100);
    size += 100;
    size += (size_t)sprintf(text + size, "\nend\n");
    put_bytes("f", 0, text, size);
    out += sprintf(out, "before\n");
    size_t shown = _i % 3 == 0 ? long_size : _i % 3 == 1 ? 100 : 0;
    for (size_t k = 0; k < shown; k++) {
        *out++ = 'L';
        if (k % 100 == 99 || k + 1 == shown) {
            *out++ = '\n';
        }
    }
    out += sprintf(out, "after\n%.100s\nend\n", text + size - 105);
    struct weir_instance *i =
        start_head("f", "buffer_chunk_size", "4k", "buffer_max_size", "100", "long_lines", treatment);
    expect(expected);
    ck_assert_int_eq(fake_metric(i, "long_lines", treatment), 1);
    fake_stop(i);
    free(text);
    free(expected);
}
END_TEST

START_TEST(split_between_characters)
{
    char text[300] = "";
    for (int k = 0; k < 50; k++) {
        strcat(text, "\xe2\x82\xac"); /* 150 bytes: 64 is within a character */
    }
    strcat(text, "\n");
    append("f", text);
    struct weir_instance *i = start_head("f", "buffer_max_size", "64");
    char expected[400];
    sprintf(expected, "%.63s\n%.63s\n%s", text, text + 63, text + 126);
    expect(expected);
    fake_stop(i);
}
END_TEST

/* However many pieces it is cut into, a line is looked through a few times, and not for each of them. */
START_TEST(split_in_one_go)
{
    static const struct {
        const char *name;
        size_t width, at;
    } encodings[] = {
        {"", 1, 0}, {"utf-16le", 2, 0}, {"utf-16be", 2, 1}, {"utf-32be", 4, 3}, {"latin1", 1, 0}};
    enum { CHARACTERS = 200000, PIECE = 100 };
    const size_t width = encodings[_i].width, size = CHARACTERS * width;
    uint8_t *text = calloc(1, size + width);
    char *expected = calloc(1, CHARACTERS * 2), *out = expected, most[16];
    for (size_t k = 0; k < CHARACTERS; k++) {
        text[k * width + encodings[_i].at] = (uint8_t)('a' + k % 26);
        *out++ = (char)('a' + k % 26);
        if (k % PIECE == PIECE - 1) {
            *out++ = '\n';
        }
    }
    text[size + encodings[_i].at] = '\n';
    put_bytes("f", 0, text, size + width);
    snprintf(most, sizeof(most), "%zu", PIECE * width);
    looked_at = 0;
    struct weir_instance *i =
        start_head("f", "encoding", encodings[_i].name, "buffer_max_size", most, "long_lines", "split");
    expect(expected);
    ck_assert_uint_ge(looked_at, size);
    ck_assert_uint_le(looked_at, 4 * size);
    fake_stop(i);
    free(text);
    free(expected);
}
END_TEST

/* Characters with the byte of a newline in them, at every place of a unit, are no newlines. */
START_TEST(newlines_of_wide_characters)
{
    static const uint8_t little[] = {'a',  0, 0x0a, 0x0a, 0x0a, 0x01, 0x01, 0x0a,
                                     0x0a, 0, 'b',  0,    0x0a, 0x0a, 0x0a, 0},
                         big[] = {0, 'a',  0x0a, 0x0a, 0x01, 0x0a, 0x0a, 0x01,
                                  0, 0x0a, 0,    'b',  0x0a, 0x0a, 0,    0x0a};
    put_bytes("f", 0, _i ? big : little, sizeof(big));
    struct weir_instance *i = start_head("f", "encoding", _i ? "utf-16be" : "utf-16le");
    expect("a\u0a0a\u010a\u0a01\nb\u0a0a\n");
    fake_stop(i);
}
END_TEST

START_TEST(empty_lines_skipped)
{
    append("f", "\n\na\n\r\n\nb\n");
    struct weir_instance *i = start_head("f", "skip_empty_lines", "on");
    expect("a\nb\n");
    ck_assert_int_eq(fake_metric(i, "empty_lines", NULL), 4);
    append("f", "\n\n\n");
    fake_idle(host);
    fake_stop(i);
    /* the position went past lines that made no record */
    append("f", "c\n");
    i = start("f");
    expect("c\n");
    ck_assert_int_eq(fake_metric(i, "empty_lines", NULL), 0);
    fake_stop(i);
}
END_TEST

static struct weir_record only_record(struct weir_cursor *cursor, size_t chunk)
{
    size_t count;
    const struct fake_chunk *chunks = fake_chunks(host, &count);
    struct weir_record record;
    while (chunk < count && chunks[chunk].records == 0) {
        chunk++;
    }
    ck_assert_uint_lt(chunk, count);
    weir_cursor_init(cursor, chunks[chunk].data, chunks[chunk].size);
    ck_assert_int_gt(weir_cursor_next(cursor, &record), 0);
    return record;
}

START_TEST(fields)
{
    struct weir_cursor cursor;
    struct weir_value value = {0};
    append("f", "first\nsecond\n");
    struct weir_instance *i = start_head("f", "key", "message", "path_key", "file", "offset_key", "at");
    fake_idle(host);
    struct weir_record record = only_record(&cursor, 0);
    ck_assert(field(&record, "file", &value));
    ck_assert_uint_eq(value.size, strlen(at("f")));
    ck_assert(memcmp(value.data, at("f"), value.size) == 0);
    ck_assert(weir_cursor_next(&cursor, &record) > 0);
    ck_assert(field(&record, "message", &value));
    ck_assert(value.size == 6 && memcmp(value.data, "second", 6) == 0);
    ck_assert(field(&record, "at", &value));
    ck_assert_int_eq(value.type, WEIR_TYPE_UINT);
    ck_assert_uint_eq(value.as.uint, 6);
    ck_assert(!field(&record, "log", &value));
    fake_stop(i);
    seen();
}
END_TEST

START_TEST(bad_settings)
{
    ck_assert_ptr_null(make("f", "no_such_option", "json", NULL));
    ck_assert_ptr_null(make("f", "buffer_chunk_size", "1", NULL));
    struct fake_setting none[] = {{"path", ""}, {NULL, NULL}};
    ck_assert_ptr_null(fake_input(host, &weir_plugin_descriptor, "t", none));
    ck_assert_ptr_nonnull(strstr(fake_error(host), "path"));
    struct weir_instance *i = make("f", "db", "/x", "skip_long_lines", "on", NULL);
    ck_assert_ptr_nonnull(i);
    fake_drop(i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail lines");
    TCase *tests = tcase_create("lines");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, lines_of_every_kind);
    tcase_add_test(tests, each_length_at_each_place);
    tcase_add_loop_test(tests, very_long_line, 0, 2);
    tcase_add_test(tests, long_line_that_grows);
    tcase_add_loop_test(tests, too_long, 0, 18);
    tcase_add_test(tests, split_between_characters);
    tcase_add_loop_test(tests, split_in_one_go, 0, 5);
    tcase_add_loop_test(tests, newlines_of_wide_characters, 0, 2);
    tcase_add_test(tests, empty_lines_skipped);
    tcase_add_test(tests, fields);
    tcase_add_test(tests, bad_settings);
    tcase_add_loop_test(tests, truncated_between_characters, 0, 2);
#if REPLACES_REALLOC
    tcase_add_loop_test(tests, no_memory_to_decode, 0, 2);
#endif
    suite_add_tcase(suite, tests);
    return run(suite);
}
