/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: what happens to files while it does not run, or is killed; exit_on_eof; and the parts below. */
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include "tail_fixture.h"
#include "glob.h"
#include "identity.h"

static const uint64_t SECOND = 1000000000;

/* Runs an input until the text came, and stops it. */
static void once(const char *path, const char *text)
{
    struct weir_instance *i = start_head(path);
    expect(text);
    fake_stop(i);
}

START_TEST(goes_on)
{
    append("f", "1\n2\npart");
    once("f", "1\n2\n");
    once("f", "");
    append("f", "ial\n3\n");
    once("f", "partial\n3\n");
    struct weir_instance *i = start("f");
    append("f", "4\n");
    expect("4\n");
    fake_stop(i);
}
END_TEST

/* First read as weir stops, when it had no name any more; then found compressed. */
START_TEST(deleted_and_read_at_the_stop_then_found_compressed)
{
    append("f", "1\n2\n");
    struct weir_instance *i = start_head("*");
    unlink(at("f"));
    fake_stop(i);
    expect("1\n2\n");
    pack("f.1.gz", "1\n2\n");
    once("*", "");
}
END_TEST

/* Its only line had no end, and was taken for one because it was rotated. */
START_TEST(unfinished_line_alone_then_found_compressed)
{
    append("f", "alone");
    struct weir_instance *i = start_head("*[fz]");
    fake_idle(host);
    move("f", "f.1");
    fake_idle(host);
    fake_later(host, 6 * SECOND);
    expect("alone\n");
    pack("f.1.gz", "alone");
    unlink(at("f.1"));
    fake_idle(host);
    fake_later(host, 6 * SECOND);
    expect("");
    fake_stop(i);
}
END_TEST

/* Longer than rotate_wait: what is there so far says nothing of whose content it is. */
START_TEST(compressed_slowly)
{
    char bytes[256];
    append("f", "1\n2\n");
    struct weir_instance *i = start_head("*[fz]", "rotate_wait", "1s");
    expect("1\n2\n");
    pack("whole", "1\n2\n");
    int fd = open(at("whole"), O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, bytes, sizeof(bytes));
    close(fd);
    ck_assert_int_gt(size, 20);
    put_bytes("f.gz", O_APPEND, bytes, 12 + (size_t)_i);
    for (int k = 0; k < 3; k++) {
        fake_idle(host);
        fake_later(host, 2 * SECOND);
    }
    put_bytes("f.gz", O_APPEND, bytes + 12 + _i, (size_t)size - 12 - (size_t)_i);
    unlink(at("f"));
    for (int k = 0; k < 3; k++) {
        fake_idle(host);
        fake_later(host, 2 * SECOND);
    }
    expect("");
    fake_stop(i);
}
END_TEST

/* In two members, the second of which takes its time: the first alone is no other file. */
START_TEST(compressed_in_two_members)
{
    append("f", "1\n2\n");
    struct weir_instance *i = start_head("*[fz]", "rotate_wait", "1s");
    expect("1\n2\n");
    if (_i) {
        move("f", "f.1");
        fake_idle(host);
        fake_later(host, 2 * SECOND); /* so that it is closed */
    }
    pack("f.gz", "1\n");
    fake_idle(host);
    pack("f.gz", "2\n");
    fake_idle(host);
    unlink(at(_i ? "f.1" : "f"));
    for (int k = 0; k < 3; k++) {
        fake_idle(host);
        fake_later(host, 2 * SECOND);
    }
    expect("");
    fake_stop(i);
}
END_TEST

/* What a compressor has left that is no more is read in the end. */
START_TEST(compressed_by_half)
{
    static const char some[] = {0x1f, (char)0x8b, 8, 0, 0,          0,          0,   0,    0,
                                3,    0,          9, 0, (char)0xf6, (char)0xff, '1', '\n', '2'};
    put_bytes("f.gz", O_APPEND, some, sizeof(some));
    struct weir_instance *i = start_head("*", "rotate_wait", "1s");
    for (int k = 0; k < 20; k++) {
        fake_idle(host);
        fake_later(host, 2 * SECOND);
    }
    expect("1\n");
    fake_stop(i);
}
END_TEST

START_TEST(first_start_only)
{
    append("f", "before\n");
    fake_stop(start("*"));
    append("f", "1\n");
    append("g", "2\n");
    struct weir_instance *i = start("f");
    expect("1\n");
    fake_stop(i);
    i = start("*");
    expect("2\n");
    fake_stop(i);
}
END_TEST

START_TEST(killed)
{
    append("f", "1\n2\n");
    fake_acknowledge_at_once(host, false);
    struct weir_instance *i = start_head("f", "buffer_chunk_size", "4k");
    expect("1\n2\n");
    fake_acknowledge(host, 2); /* the stream's beginning, and these lines */
    append("f", "3\n");
    expect("3\n");
    append("f", "4\n");
    expect("4\n");
    fake_stop(i);
    fake_crash(host);
    append("f", "5\n");
    once("f", "3\n4\n5\n");
}
END_TEST

START_TEST(rotated_while_away)
{
    append("f", "1\n");
    once("f", "1\n");
    append("f", "2\nunfinished");
    move("f", _i ? "odd name" : "f.1");
    append("f", "3\n");
    struct weir_instance *i = start("f");
    fake_idle(host);
    expect("3\n2\n");
    fake_later(host, 6 * SECOND);
    expect("unfinished\n");
    append("f", "4\n");
    expect("4\n");
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    fake_stop(i);
    once("f", "");
}
END_TEST

START_TEST(rotated_then_away)
{
    mkdir(at("old"), 0700);
    append("f", "1\n");
    struct weir_instance *i = start_head("f");
    expect("1\n");
    move("f", "old/f");
    fake_idle(host);
    fake_stop(i);
    append("old/f", "2\n");
    once("f", "2\n");
}
END_TEST

START_TEST(rewritten_while_away)
{
    static const char *const texts[] = {"b\n", "other\nlines\n", "much more than\nthere was before\n"};
    append("f", "these\nlines\n");
    once("f", "these\nlines\n");
    overwrite("f", texts[_i]);
    once("f", texts[_i]);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    once("f", "");
}
END_TEST

START_TEST(replaced_while_away)
{
    append("f", "1\n");
    once("f", "1\n");
    unlink(at("f"));
    append("f", "1\n2\n"); /* may well have the same inode */
    once("f", "1\n2\n");
}
END_TEST

START_TEST(short_file_grows_while_away)
{
    append("f", "");
    once("f", "");
    append("f", "1\n");
    once("f", "1\n");
    char *text = calloc(1, 5002);
    memset(text, 'x', 5000);
    text[5000] = '\n';
    append("f", text);
    once("f", text);
    append("f", "2\n");
    once("f", "2\n");
    free(text);
}
END_TEST

START_TEST(missing_for_a_while)
{
    mkdir(at("d"), 0700);
    append("d/f", "1\n");
    once("d/f", "1\n");
    move("d", "e");
    struct weir_instance *i = start_head("d/f");
    expect("");
    append("e/f", "2\n");
    move("e", "d");
    expect("2\n");
    fake_stop(i);
}
END_TEST

START_TEST(no_longer_wanted)
{
    append("f", "1\n");
    once("f", "1\n");
    append("f", "2\n");
    once("other", "");
    once("f", "2\n");
}
END_TEST

static void check_meta(const struct tail_meta *wanted)
{
    struct tail_meta meta;
    uint8_t bytes[TAIL_META_MAX];
    size_t size = tail_meta_encode(wanted, bytes);
    ck_assert_int_eq(tail_meta_decode(bytes, size, &meta), 0);
    ck_assert(meta.away);
    ck_assert_uint_eq(meta.identity.born, 4);
    ck_assert_uint_eq(meta.fingerprint.length, 6);
    ck_assert(meta.path_size == 7 && memcmp(meta.path, "/a/path", 7) == 0);
    ck_assert(meta.gone == wanted->gone && meta.missing == wanted->missing);
    ck_assert(meta.packing.packed == wanted->packing.packed &&
              meta.packing.skipped == wanted->packing.skipped);
    ck_assert_uint_eq(meta.packing.raw, wanted->packing.raw);
    ck_assert_uint_eq(meta.packing.trail, wanted->packing.trail);
    ck_assert_uint_eq(meta.packing.end, wanted->packing.end);
    for (size_t n = 0; n < size; n++) {
        uint8_t *cut = malloc(n ? n : 1);
        memcpy(cut, bytes, n);
        ck_assert_int_eq(tail_meta_decode(cut, n, &meta), -EINVAL);
        free(cut);
    }
    bytes[0] += 2;
    ck_assert_int_eq(tail_meta_decode(bytes, size, &meta), -EINVAL);
    bytes[0] -= 2;
    memset(bytes + 42, 0xff, 4);
    ck_assert_int_eq(tail_meta_decode(bytes, size, &meta), -EINVAL);
}

START_TEST(foreign_meta)
{
    append("f", "1\n");
    once("f", "1\n");
    struct tail_meta plain = {{1, 2, 3, 4}, {5, 6}, "/a/path", 7, true, false, {0}, 0, false};
    struct tail_meta full = {{1, 2, 3, 4},           {5, 6}, "/a/path", 7, true, true,
                             {true, true, 8, 9, 10}, 11,     true};
    check_meta(&plain);
    check_meta(&full);
    ck_assert_int_eq(tail_meta_decode(NULL, 0, &plain), -EINVAL);
}
END_TEST

static void ends(struct weir_instance *i)
{
    ck_assert(fake_until(host, has_ended, i, DEADLINE_MS));
}

START_TEST(exits)
{
    append("a", "1\n2");
    append("b", "");
    struct weir_instance *i = start_head("*", "exit_on_eof", "on");
    expect("1\n2\n");
    ends(i);
    uint64_t done, total;
    fake_progress(i, &done, &total);
    ck_assert(done == 3 && total == 3);
    ck_assert_int_eq(fake_metric(i, "files", NULL), 0);
    fake_stop(i);
    i = start_head("nothing*", "exit_on_eof", "on");
    ends(i);
    ck_assert_uint_eq(fake_logged(host, "no file matches"), 1);
    fake_stop(i);
}
END_TEST

START_TEST(exits_when_drained)
{
    append("f", "1\n2");
    struct weir_instance *i = make("f", "read_from_head", "on", "exit_on_eof", "on", NULL);
    fake_set_full(i, true);
    ck_assert_int_eq(fake_start(i), 0);
    fake_idle(host);
    ck_assert(!fake_is_ended(i));
    fake_set_room(i, 1);
    fake_idle(host);
    ck_assert(!fake_is_ended(i));
    fake_set_full(i, false);
    expect("1\n2\n");
    ends(i);
    fake_stop(i);
}
END_TEST

START_TEST(more_files_than_descriptors)
{
    char name[32], text[32];
    for (int k = 0; k < 40; k++) {
        snprintf(name, sizeof(name), "f%d", k);
        snprintf(text, sizeof(text), "%02d\n", k);
        append(name, text);
    }
    /* every descriptor but a few is taken */
    int taken[4096], count = 0;
    while (count < 4096 && (taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        count++;
    }
    for (int k = 0; k < 12 && count; k++) {
        close(taken[--count]);
    }
    struct weir_instance *i = start_head("f*", "exit_on_eof", "on");
    for (int k = 0; k < 20 && !fake_is_ended(i); k++) {
        fake_later(host, 2 * SECOND);
    }
    size_t size;
    free(sent_text(&size));
    ends(i);
    while (count) {
        close(taken[--count]);
    }
    fake_stop(i);
    seen();
    ck_assert_uint_eq(size, 40 * 3);
}
END_TEST

START_TEST(nothing_is_left_open)
{
    append("f", "1\n");
    int before = open("/dev/null", O_RDONLY);
    close(before);
    once("f", "1\n");
    int after = open("/dev/null", O_RDONLY);
    close(after);
    ck_assert_int_eq(before, after);
}
END_TEST

START_TEST(patterns)
{
    static const struct {
        const char *pattern, *path;
        int match;
    } cases[] = {
        {"/a/b.log", "/a/b.log", TAIL_IS_FILE},
        {"/a/b.log", "/a", TAIL_IS_WAY},
        {"/a/b.log", "/a/b.log/c", 0},
        {"/a/*.log", "/a/b.log", TAIL_IS_FILE},
        {"/a/*.log", "/a/b/c.log", 0},
        {"/a/*.log", "/a/.log", 0},
        {"/a/*", "/a/.hidden", 0},
        {"/a/.*", "/a/.hidden", TAIL_IS_FILE},
        {"/a/*/c/[xy]?.log", "/a/b", TAIL_IS_WAY},
        {"/a/*/c/[xy]?.log", "/a/b/c", TAIL_IS_WAY},
        {"/a/*/c/[xy]?.log", "/a/b/d", 0},
        {"/a/*/c/[xy]?.log", "/a/b/c/x1.log", TAIL_IS_FILE},
        {"//a/.//b", "/a/b", TAIL_IS_FILE},
        {"/a/**", "/a/b", TAIL_IS_FILE | TAIL_IS_WAY},
        {"/a/**", "/a/b/c/d", TAIL_IS_FILE | TAIL_IS_WAY},
        {"/a/**/x", "/a/x", TAIL_IS_FILE | TAIL_IS_WAY},
        {"/a/**/x", "/a/.b/x", 0},
        {"/a/**/x", "/a/b/c", TAIL_IS_WAY},
        {"/a/*.log", "/a/skipped.log", 0},
        {"/a/*.log", "/a/only.log", 0},
    };
    const char *items[] = {"*/skip*", "only.*"};
    struct weir_list excludes = {items, 2};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct weir_list paths = {&cases[i].pattern, 1};
        struct tail_glob *glob = tail_glob_create(&paths, &excludes);
        ck_assert_ptr_nonnull(glob);
        int match = tail_glob_match(glob, cases[i].path);
        ck_assert_msg(match == cases[i].match, "%s and %s: %d", cases[i].pattern, cases[i].path, match);
        tail_glob_destroy(glob);
    }
}
END_TEST

/* All ways, one by one: what the patterns mean. */
static int match_plainly(const char *pattern, const char *path)
{
    if (!*path) {
        return *pattern ? TAIL_IS_WAY : TAIL_IS_FILE;
    }
    if (!*pattern) {
        return TAIL_NO_MATCH;
    }
    size_t want_size = strcspn(pattern + 1, "/") + 1, size = strcspn(path + 1, "/") + 1;
    char want[16], name[16];
    snprintf(want, sizeof(want), "%.*s", (int)want_size - 1, pattern + 1);
    snprintf(name, sizeof(name), "%.*s", (int)size - 1, path + 1);
    if (strcmp(want, "**") != 0) {
        return fnmatch(want, name, FNM_PERIOD) == 0 ? match_plainly(pattern + want_size, path + size)
                                                    : TAIL_NO_MATCH;
    }
    const char *behind = pattern[want_size] ? pattern + want_size : "/*";
    int none = match_plainly(behind, path);
    return name[0] == '.' ? none : none | match_plainly(pattern, path + size);
}

static void compose(char *ret, const char *const *names, size_t count, size_t parts)
{
    *ret = 0;
    for (size_t i = 0; i < parts; i++) {
        strcat(strcat(ret, "/"), names[(size_t)random() % count]);
    }
}

START_TEST(patterns_mean_what_all_ways_do)
{
    static const char *const wants[] = {"**", "**", "a", "b", "*", "?", ".h", "[ab]"};
    static const char *const names[] = {"a", "b", "c", ".h"};
    struct weir_list none = {0};
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        char pattern[64], path[64];
        compose(pattern, wants, 8, 1 + (size_t)random() % 6);
        compose(path, names, 4, 1 + (size_t)random() % 7);
        const char *item = pattern;
        struct weir_list paths = {&item, 1};
        struct tail_glob *glob = tail_glob_create(&paths, &none);
        ck_assert_ptr_nonnull(glob);
        int match = tail_glob_match(glob, path), meant = match_plainly(pattern, path);
        ck_assert_msg(match == meant, "%s and %s: %d, not %d", pattern, path, match, meant);
        tail_glob_destroy(glob);
    }
}
END_TEST

/* Would take years. */
START_TEST(many_stars)
{
    char pattern[PATH_MAX] = "", path[PATH_MAX] = "";
    struct weir_list none = {0};
    for (int i = 0; i < 200; i++) {
        strcat(pattern, "/**/a");
        strcat(path, "/a/a/a");
    }
    strcat(path, "/b");
    const char *item = pattern;
    struct weir_list paths = {&item, 1};
    struct tail_glob *glob = tail_glob_create(&paths, &none);
    ck_assert_ptr_nonnull(glob);
    ck_assert_int_eq(tail_glob_match(glob, path), TAIL_IS_WAY);
    tail_glob_destroy(glob);
}
END_TEST

START_TEST(too_many_components)
{
    char *pattern = calloc(1, 2 * 4098);
    struct weir_list none = {0};
    for (int i = 0; i < 4097; i++) {
        memcpy(pattern + 2 * i, "/a", 2);
    }
    struct weir_list paths = {(const char *const *)&pattern, 1};
    ck_assert_ptr_null(tail_glob_create(&paths, &none));
    ck_assert_int_eq(errno, ENAMETOOLONG);
    pattern[2 * 4096] = 0;
    struct tail_glob *glob = tail_glob_create(&paths, &none);
    ck_assert_ptr_nonnull(glob);
    ck_assert_int_eq(tail_glob_match(glob, pattern), TAIL_IS_FILE);
    tail_glob_destroy(glob);
    free(pattern);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail restart");
    TCase *tests = tcase_create("restart");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, goes_on);
    tcase_add_test(tests, deleted_and_read_at_the_stop_then_found_compressed);
    tcase_add_test(tests, unfinished_line_alone_then_found_compressed);
    tcase_add_loop_test(tests, compressed_slowly, 0, 8);
    tcase_add_loop_test(tests, compressed_in_two_members, 0, 2);
    tcase_add_test(tests, compressed_by_half);
    tcase_add_test(tests, first_start_only);
    tcase_add_test(tests, killed);
    tcase_add_loop_test(tests, rotated_while_away, 0, 2);
    tcase_add_test(tests, rotated_then_away);
    tcase_add_loop_test(tests, rewritten_while_away, 0, 3);
    tcase_add_test(tests, replaced_while_away);
    tcase_add_test(tests, short_file_grows_while_away);
    tcase_add_test(tests, missing_for_a_while);
    tcase_add_test(tests, no_longer_wanted);
    tcase_add_test(tests, foreign_meta);
    tcase_add_test(tests, exits);
    tcase_add_test(tests, exits_when_drained);
    tcase_add_test(tests, more_files_than_descriptors);
    tcase_add_test(tests, nothing_is_left_open);
    tcase_add_test(tests, patterns);
    tcase_add_test(tests, patterns_mean_what_all_ways_do);
    tcase_add_test(tests, many_stars);
    tcase_add_test(tests, too_many_components);
    suite_add_tcase(suite, tests);
    return run(suite);
}
