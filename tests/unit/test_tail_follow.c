/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: files that grow, are rotated, truncated, removed and found, while the plugin runs. */
#include "tail_fixture.h"

#include <sys/time.h>

static const uint64_t SECOND = 1000000000;

static bool logged(void *text)
{
    return fake_logged(host, text) > 0;
}

static void until_logged(const char *text)
{
    ck_assert_msg(fake_until(host, logged, (void *)(uintptr_t)text, DEADLINE_MS), "never logged: %s", text);
}

START_TEST(begins_at_the_end_or_the_head)
{
    append("old", "before\n");
    struct weir_instance *i = start("*");
    expect("");
    append("old", "after\n");
    expect("after\n");
    append("new", "first\n");
    expect("first\n");
    fake_stop(i);
}
END_TEST

START_TEST(partial_line_waits)
{
    append("f", "one\ntw");
    struct weir_instance *i = start_head("f");
    expect("one\n");
    append("f", "o");
    fake_idle(host);
    expect("");
    append("f", "!\nthree");
    expect("two!\n");
    fake_stop(i);
}
END_TEST

static bool never(void *data)
{
    (void)data;
    return false;
}

/* A status that comes before inotify's notice: what only it has found has not waited since the last news. */
START_TEST(found_by_a_status)
{
    append("f", "one\n");
    struct weir_instance *i = start_head("f");
    expect("one\n");
    fake_until(host, never, NULL, 50);
    append("f", "two\n");
    char *text = weir_fake_details(i);
    ck_assert_msg(text && strstr(text, "\"lag\":4,\"lag_seconds\":0.000"), "%s", text ? text : "none");
    free(text);
    expect("two\n");
    fake_stop(i);
}
END_TEST

/* Not even a poll: inotify must tell. */
START_TEST(renamed_and_created)
{
    append("f", "1\n2\n");
    struct weir_instance *i = start_head("f");
    expect("1\n2\n");
    append("f", "3\n");
    move("f", "f.1");
    append("f", "4\n");
    append("f.1", "late\n");
    expect("3\nlate\n4\n");
    append("f.1", "later, unfinished");
    fake_idle(host);
    expect("");
    ck_assert_int_eq(fake_metric(i, "files", NULL), 2);
    fake_later(host, 6 * SECOND);
    expect("later, unfinished\n");
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    ck_assert_int_eq(fake_metric(i, "rotated", NULL), 1);
    append("f", "5\n");
    expect("5\n");
    fake_stop(i);
}
END_TEST

START_TEST(rotated_name_matches_too)
{
    append("f", "1\n");
    struct weir_instance *i = start_head("f*");
    expect("1\n");
    for (int k = 0; k < 3; k++) {
        if (k) {
            move("f.1", "f.2");
        }
        move("f", "f.1");
        append("f.1", "old\n");
        fake_idle(host);
        expect("old\n");
        append("f", "new\n");
        expect("new\n");
    }
    fake_later(host, 60 * SECOND);
    expect("");
    /* f, f.1, f.2; the first f.2 was replaced and is gone */
    ck_assert_int_eq(fake_metric(i, "files", NULL), 3);
    fake_stop(i);
    i = start_head("f*");
    expect("");
    fake_stop(i);
}
END_TEST

START_TEST(several_rotations_between_two_looks)
{
    append("f", "1\n");
    struct weir_instance *i = start_head("f");
    expect("1\n");
    append("f", "2\n");
    move("f", "f.1");
    append("f", "3\n");
    fake_idle(host);
    move("f.1", "f.2");
    move("f", "f.1");
    append("f", "4\n");
    fake_idle(host);
    expect("2\n3\n4\n");
    fake_stop(i);
}
END_TEST

START_TEST(copied_and_truncated)
{
    append("f", "a long first line\n");
    struct weir_instance *i = start_head("f");
    expect("a long first line\n");
    overwrite("f", "");
    append("f", "2\n");
    expect("2\n");
    ck_assert_int_eq(fake_metric(i, "truncated", NULL), 1);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    fake_stop(i);
}
END_TEST

/* Truncated and grown again before anyone looked: to less than, exactly, and more than before. */
START_TEST(rewritten_in_place)
{
    static const char *const texts[] = {"b\n", "other\nlines\n", "much more than\nthere was before\n"};
    append("f", "these\nlines\n");
    struct weir_instance *i = start_head("f");
    expect("these\nlines\n");
    overwrite("f", texts[_i]);
    expect(texts[_i]);
    fake_stop(i);
}
END_TEST

/* The last bytes are the same as before, the first are not. */
START_TEST(rewritten_with_the_same_end)
{
    char *first = calloc(1, 2002), *second = calloc(1, 2002);
    memset(first, 'x', 2000);
    first[2000] = '\n';
    memcpy(second, first, 2002);
    memcpy(second, "line\n", 5);
    append("f", first);
    struct weir_instance *i = start_head("f");
    expect(first);
    overwrite("f", second);
    expect(second);
    fake_stop(i);
    free(first);
    free(second);
}
END_TEST

static char *filled(const char *head, size_t width, const char *end)
{
    char *text = malloc(strlen(head) + width + strlen(end) + 1);
    ck_assert_ptr_nonnull(text);
    strcpy(text, head);
    memset(text + strlen(head), 'x', width);
    strcpy(text + strlen(head) + width, end);
    return text;
}

/*
 * Truncated and grown beyond the position between two looks, and the bytes before the position are what they
 * were: the first ones are not. 0: lines; 1: joined ones; 2: the last line is longer than a read.
 */
START_TEST(rewritten_and_grown_with_the_same_bytes_before_the_position)
{
    static const char *const start_patterns[] = {"", "^[a-z]", ""};
    char *first = filled("old\n", 2000, "\n"), *second = filled("new\n", 2000, "\nmore\n"),
         *rest = filled("", _i == 2 ? 5000 : 0, "");
    append("f", first);
    struct weir_instance *i = start_head("f", "buffer_chunk_size", "4k", "multiline.start_pattern",
                                         start_patterns[_i], "multiline.flush_timeout", "1s");
    fake_idle(host);
    fake_later(host, 2 * SECOND);
    expect(first);
    append("f", rest);
    fake_idle(host);
    char *both = filled(second, strlen(rest), "");
    overwrite("f", both);
    fake_idle(host);
    fake_later(host, 2 * SECOND);
    expect(second);
    ck_assert_int_eq(fake_metric(i, "truncated", NULL), 1);
    fake_stop(i);
    free(both);
    free(first);
    free(second);
    free(rest);
}
END_TEST

/* A line that is longer than a read is looked for behind what was seen of it, and that is other lines now. */
START_TEST(rewritten_within_a_long_line)
{
    char *first = filled("a\n", 5000, ""), *second = filled("", 2 * 2501, ""), *both;
    for (size_t k = 0; k < strlen(second); k += 2) {
        memcpy(second + k, "b\n", 2);
    }
    both = filled(second, 100, "");
    append("f", first);
    struct weir_instance *i = start_head("f", "buffer_chunk_size", "4k", "multiline.start_pattern",
                                         _i ? "^[a-z]" : "", "multiline.flush_timeout", "1s");
    fake_idle(host);
    fake_later(host, 2 * SECOND);
    expect("a\n");
    overwrite("f", both);
    fake_idle(host);
    fake_later(host, 2 * SECOND);
    expect(second);
    fake_stop(i);
    free(first);
    free(second);
    free(both);
}
END_TEST

START_TEST(deleted_while_unread)
{
    append("f", "1\n");
    struct weir_instance *i = start_head("f");
    expect("1\n");
    fake_set_full(i, true);
    append("f", "2\n");
    fake_idle(host);
    append("f", "3\nunfinished");
    unlink(at("f"));
    fake_idle(host);
    append("f", "new\n");
    fake_idle(host);
    fake_later(host, 60 * SECOND);
    expect("");
    fake_set_full(i, false);
    expect("2\n3\nnew\n");
    fake_later(host, 6 * SECOND);
    expect("unfinished\n");
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    fake_stop(i);
}
END_TEST

START_TEST(deleted_and_stopped)
{
    append("f", "1\n");
    struct weir_instance *i = start_head("f");
    expect("1\n");
    append("f", "2\n3");
    unlink(at("f"));
    fake_stop(i);
    expect("2\n3\n");
    ck_assert_uint_eq(fake_stream_count(host, "t"), 0);
}
END_TEST

START_TEST(moved_out_and_back)
{
    append("f", "1\n");
    struct weir_instance *i = start_head("f");
    expect("1\n");
    move("f", "elsewhere");
    append("elsewhere", "2\n");
    expect("2\n");
    if (_i) {
        fake_later(host, 6 * SECOND);
        ck_assert_int_eq(fake_metric(i, "files", NULL), 0);
        append("elsewhere", "3\n");
        fake_idle(host);
    } else {
        append("elsewhere", "3\n");
    }
    move("elsewhere", "f");
    append("f", "4\n");
    expect("3\n4\n");
    fake_stop(i);
}
END_TEST

START_TEST(paused_and_resumed)
{
    char *text = calloc(1, 4u << 20);
    size_t size = 0;
    for (int k = 0; k < 200000; k++) {
        size += (size_t)sprintf(text + size, "line %d\n", k);
    }
    put_bytes("f", 0, text, size);
    struct weir_instance *i = make("f", "read_from_head", "true", "buffer_chunk_size", "64k", NULL);
    fake_set_full(i, true);
    ck_assert_int_eq(fake_start(i), 0);
    /* one chunk at a time, so that it is full at every place */
    size_t count, before = 0;
    for (int k = 0; k < 20; k++) {
        fake_idle(host);
        fake_set_room(i, 1);
        fake_idle(host);
        fake_chunks(host, &count);
        ck_assert_uint_gt(count, before);
        before = count;
    }
    fake_set_full(i, false);
    expect_bytes(text, size);
    fake_stop(i);
    free(text);
}
END_TEST

START_TEST(appears_in_new_directories)
{
    struct weir_instance *i = start("a/*/c?/x.log", "exclude_path", "*/secret/*");
    fake_idle(host);
    mkdir(at("a"), 0700);
    fake_idle(host);
    mkdir(at("a/b"), 0700);
    mkdir(at("a/b/c1"), 0700);
    append("a/b/c1/x.log", "1\n");
    append("a/b/c1/y.log", "no\n");
    expect("1\n");
    mkdir(at("a/b/c2"), 0700);
    fake_idle(host);
    append("a/b/c2/x.log", "2\n");
    expect("2\n");
    mkdir(at("a/secret"), 0700);
    mkdir(at("a/secret/c3"), 0700);
    append("a/secret/c3/x.log", "no\n");
    fake_idle(host);
    expect("");
    /* the whole tree goes and comes back */
    move("a", "gone");
    append("gone/b/c1/x.log", "3\n");
    expect("3\n");
    move("gone", "a");
    append("a/b/c1/x.log", "4\n");
    expect("4\n");
    append("a/b/c2/x.log", "5\n");
    expect("5\n");
    fake_stop(i);
}
END_TEST

START_TEST(any_depth)
{
    mkdir(at("p"), 0700);
    append("p/0.log", "0\n");
    struct weir_instance *i = start_head("p/**/*.log");
    expect("0\n");
    mkdir(at("p/q"), 0700);
    mkdir(at("p/q/r"), 0700);
    append("p/q/r/1.log", "1\n");
    expect("1\n");
    fake_idle(host);
    append("p/q/r/2.log", "2\n");
    expect("2\n");
    fake_stop(i);
}
END_TEST

START_TEST(link_that_is_turned)
{
    mkdir(at("d"), 0700);
    append("d/1", "1\n");
    append("d/2", "2\n");
    ck_assert_int_eq(symlink(at("d/1"), at("f")), 0);
    struct weir_instance *i = start_head("f");
    expect("1\n");
    ck_assert_int_eq(symlink("d/2", at("f.new")), 0);
    move("f.new", "f");
    append("d/1", "more\n");
    expect("more\n2\n");
    /* what it leads to is rotated where no pattern looks */
    move("d/2", "d/2.old");
    fake_idle(host);
    append("d/2", "3\n");
    expect("3\n");
    fake_stop(i);
}
END_TEST

/*
 * A closed file that a link leads to is written to while no more files may be open. It has not been renamed,
 * so however long it waits for its turn, a line without its end waits too.
 */
START_TEST(unfinished_behind_a_link_that_waits_for_room)
{
    const size_t size = 8u << 20;
    char *much = malloc(size + 1);
    ck_assert_ptr_nonnull(much);
    memset(much, 'x', size);
    for (size_t k = 99; k < size; k += 100) {
        much[k] = '\n';
    }
    much[size - 1] = '\n';
    mkdir(at("d"), 0700);
    append("d/target", "1\n");
    append("busy.log", "");
    ck_assert_int_eq(symlink(at("d/target"), at("link.log")), 0);
    struct weir_instance *i = start_head("*.log", "max_open_files", "1");
    expect("1\n");
    fake_set_full(i, true);
    put_bytes("busy.log", O_APPEND, much, size);
    fake_idle(host);
    append("d/target", "begun, ");
    fake_idle(host);
    for (int k = 0; k < 3; k++) {
        fake_set_room(i, 6); /* a slice of the busy one, and one chunk more */
        fake_idle(host);
        fake_later(host, 6 * SECOND);
        fake_idle(host);
    }
    append("d/target", "ended\n");
    fake_set_full(i, false);
    fake_until(host, sent_enough, &(size_t){size + strlen("begun, ended\n")}, DEADLINE_MS);
    size_t got;
    char *text = sent_text(&got);
    ck_assert_uint_eq(got, size + strlen("begun, ended\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nbegun, ended\n"));
    free(text);
    free(much);
    fake_stop(i);
}
END_TEST

START_TEST(closed_for_another_and_goes_on)
{
    append("a.log", "a1\n");
    struct weir_instance *i = start_head("?.log", "max_open_files", "1");
    expect("a1\n");
    append("b.log", "b1\n");
    expect("b1\n");
    for (int k = 0; k < 3; k++) {
        append("a.log", "a2\n");
        expect("a2\n");
        append("b.log", "b2\n");
        expect("b2\n");
    }
    fake_stop(i);
}
END_TEST

/* What it says is compared when it is read on, and not when it is opened again. */
START_TEST(rewritten_while_closed_for_another)
{
    char *first = filled("a1\n", 2000, "\n"), *alike = filled("b1\n", 2000, "\nmore\n"),
         *as_long = filled("c1\n", 2000, "\n");
    const char *const rewritten[] = {alike, as_long, "less\n"};
    append("a.log", first);
    struct weir_instance *i = start_head("?.log", "max_open_files", "1");
    expect(first);
    append("b.log", "b1\n");
    expect("b1\n");
    overwrite("a.log", rewritten[_i]);
    expect(rewritten[_i]);
    append("b.log", "b3\n");
    expect("b3\n");
    append("a.log", "a3\n");
    expect("a3\n");
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    fake_stop(i);
    free(first);
    free(alike);
    free(as_long);
}
END_TEST

/* Neither is rotated: a line without its end goes on there. */
START_TEST(unfinished_in_a_file_that_keeps_a_name)
{
    append("f.log", "1\nbegun, ");
    if (_i) {
        ck_assert_int_eq(link(at("f.log"), at("g.log")), 0);
    }
    struct weir_instance *i = start_head("?.log");
    expect("1\n");
    if (_i == 0) {
        move("f.log", "elsewhere");
        fake_idle(host);
        move("elsewhere", "f.log");
    } else if (_i == 1) {
        move("f.log", "elsewhere");
        unlink(at("elsewhere"));
    } else {
        move("f.log", "elsewhere");
    }
    fake_idle(host);
    fake_later(host, 6 * SECOND);
    expect("");
    append(_i ? "g.log" : "f.log", "ended\n");
    expect("begun, ended\n");
    fake_later(host, 6 * SECOND);
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    fake_stop(i);
}
END_TEST

START_TEST(names_of_one_file)
{
    append("a", "1\n");
    ck_assert_int_eq(link(at("a"), at("b")), 0);
    ck_assert_int_eq(symlink("a", at("c")), 0);
    struct weir_instance *i = start_head("*");
    expect("1\n");
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    unlink(at("a"));
    fake_idle(host);
    append("b", "2\n");
    expect("2\n");
    unlink(at("b"));
    fake_idle(host);
    fake_later(host, 6 * SECOND);
    ck_assert_int_eq(fake_metric(i, "files", NULL), 0);
    fake_stop(i);
}
END_TEST

START_TEST(equal_files_are_two)
{
    append("a", "same\n");
    append("b", "same\n");
    append("c", "");
    append("d", "");
    struct weir_instance *i = start_head("*");
    expect("same\nsame\n");
    ck_assert_int_eq(fake_metric(i, "files", NULL), 4);
    append("d", "d\n");
    expect("d\n");
    fake_stop(i);
    append("c", "c\n");
    i = start_head("*");
    expect("c\n");
    append("a", "a\n");
    expect("a\n");
    fake_stop(i);
}
END_TEST

START_TEST(not_a_file)
{
    ck_assert_int_eq(mkfifo(at("fifo"), 0600), 0);
    mkdir(at("dir"), 0700);
    append("f", "1\n");
    struct weir_instance *i = start_head("*");
    expect("1\n");
    ck_assert_uint_eq(fake_logged(host, "not a regular file"), 1);
    fake_later(host, 61 * SECOND);
    ck_assert_uint_eq(fake_logged(host, "not a regular file"), 1);
    unlink(at("fifo"));
    append("fifo", "now it is\n");
    expect("now it is\n");
    fake_stop(i);
    struct weir_instance *device = start_head("/dev/nul?");
    fake_idle(host);
    fake_stop(device);
}
END_TEST

START_TEST(permission_granted_later)
{
    append("f", "1\n");
    chmod(at("f"), 0);
    if (access(at("f"), R_OK) == 0) {
        return; /* root reads anything */
    }
    struct weir_instance *i = start_head("f");
    expect("");
    until_logged("can't be opened");
    chmod(at("f"), 0600);
    expect("1\n");
    fake_stop(i);
}
END_TEST

START_TEST(without_inotify)
{
    append("f", "1\n");
    struct weir_instance *i = start_head("f*", "inotify_watcher", "false", "poll_interval", "10ms");
    expect("1\n");
    append("f", "2\n");
    expect("2\n");
    append("f2", "3\n");
    expect("3\n");
    append("f", "4\n");
    move("f", "g");
    append("g", "5\n");
    expect("4\n5\n");
    append("f", "6\n");
    expect("6\n");
    overwrite("f", "7\n");
    expect("7\n");
    fake_stop(i);
}
END_TEST

START_TEST(overflow)
{
    struct weir_instance *i = start_head("*");
    fake_idle(host);
    FILE *max = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    unsigned long events = 16384;
    ck_assert(max && fscanf(max, "%lu", &events) == 1);
    fclose(max);
    if (events > 100000) {
        fake_stop(i);
        return;
    }
    mkdir(at("x"), 0700);
    for (unsigned long k = 0; k < events / 2 + 10; k++) { /* two events each; no two equal in a row */
        append("x1", "");
        ck_assert_int_eq(rename(at("x1"), at("x2")), 0);
    }
    append("late", "late\n");
    expect("late\n");
    ck_assert_int_ge(fake_metric(i, "inotify_overflows", NULL), 1);
    append("late", "later\n");
    expect("later\n");
    fake_stop(i);
}
END_TEST

START_TEST(two_inputs_on_one_file)
{
    append("f", "1\n");
    struct fake_setting settings[] = {{"path", at("f")}, {"read_from_head", "on"}, {NULL, NULL}};
    struct weir_instance *i = start_head("f");
    struct weir_instance *k = started(fake_input(host, &weir_plugin_descriptor, "second", settings));
    expect("1\n1\n");
    fake_set_full(i, true);
    append("f", "2\n");
    expect("2\n");
    fake_stop(k);
    fake_set_full(i, false);
    expect("2\n");
    append("f", "3\n");
    expect("3\n");
    fake_stop(i);
}
END_TEST

/* A file with much to read does not keep another waiting until its end. */
START_TEST(fair)
{
    size_t size = 20u << 20;
    char *text = malloc(size);
    memset(text, 'x', size);
    for (size_t k = 99; k < size; k += 100) {
        text[k] = '\n';
    }
    put_bytes("big", 0, text, size);
    append("small", "small\n");
    struct weir_instance *i = start_head("*", "path_key", "path");
    fake_idle(host);
    size_t count, before = 0;
    const struct fake_chunk *chunks = fake_chunks(host, &count);
    for (size_t k = 0; k < count && !(chunks[k].records == 1); k++) {
        before += chunks[k].size;
    }
    ck_assert_uint_lt(before, 8u << 20);
    fake_stop(i);
    seen();
    free(text);
}
END_TEST

/* -- A chunk for several files ----------------------------------------------------------------------- */

static void append_to_each(int files, const char *what)
{
    char name[16], text[64];
    for (int k = 0; k < files; k++) {
        snprintf(name, sizeof(name), "%02d.log", k);
        snprintf(text, sizeof(text), "%s %02d\n", what, k);
        append(name, text);
    }
}

/* In any order: that of a directory is its own. */
static void expect_of_each(int files, const char *what)
{
    char line[64];
    size_t expected = (size_t)files * (strlen(what) + 4), size;
    fake_until(host, sent_enough, &expected, DEADLINE_MS);
    fake_idle(host);
    char *text = sent_text(&size);
    ck_assert_uint_eq(size, expected);
    for (int k = 0; k < files; k++) {
        snprintf(line, sizeof(line), "%s %02d\n", what, k);
        ck_assert_msg(strstr(text, line) != NULL, "%s is missing in:\n%s", line, text);
    }
    free(text);
    seen();
}

/* They move one stream each; what became of each is known at the next start. */
START_TEST(files_with_little_news_share_a_chunk)
{
    enum { FILES = 50 };
    size_t before, after;
    append_to_each(FILES, "first");
    struct weir_instance *i = start_head("*.log");
    expect_of_each(FILES, "first");
    append_to_each(FILES, "second");
    append("00.log", "begun, "); /* what has no end yet is no part of it */
    fake_chunks(host, &before);
    expect_of_each(FILES, "second");
    const struct fake_chunk *chunks = fake_chunks(host, &after);
    ck_assert_uint_le(after - before, 3);
    size_t moved = 0;
    for (size_t k = before; k < after; k++) {
        moved += chunks[k].count;
    }
    ck_assert_uint_eq(moved, FILES);
    fake_stop(i);
    append("00.log", "ended\n");
    i = start_head("*.log");
    expect("begun, ended\n");
    fake_stop(i);
}
END_TEST

/* What waits to be sent is sent before anything happens to its stream, or there is no room for more. */
START_TEST(files_that_share_a_chunk_are_rewritten_removed_and_long)
{
    char *much = filled("", 300000, "\n");
    append_to_each(5, "first");
    struct weir_instance *i = start_head("*.log", "buffer_max_size", "1M", "buffer_chunk_size", "64k");
    expect_of_each(5, "first");
    append("00.log", "0\n");
    overwrite("01.log", "another, and longer than before\n");
    append("02.log", much);
    append("03.log", "3\n");
    append("04.log", "4\n");
    ck_assert_int_eq(unlink(at("03.log")), 0);
    fake_idle(host);
    fake_later(host, 6 * SECOND); /* 03.log is closed */
    size_t size;
    char *text = sent_text(&size);
    ck_assert_uint_eq(size, strlen("0\nanother, and longer than before\n3\n4\n") + strlen(much));
    const char *const lines[] = {"0\n", "another, and longer than before\n", "3\n", "4\n", much};
    for (size_t k = 0; k < sizeof(lines) / sizeof(*lines); k++) {
        ck_assert_ptr_nonnull(strstr(text, lines[k]));
    }
    free(text);
    free(much);
    seen();
    ck_assert_int_eq(fake_metric(i, "truncated", NULL), 1);
    ck_assert_int_eq(fake_metric(i, "files", NULL), 4);
    fake_stop(i);
    i = start_head("*.log");
    append("01.log", "end\n");
    expect("end\n");
    fake_stop(i);
}
END_TEST

/* One chunk's room at a time, each of 64 KiB and so of some of the files. */
START_TEST(files_that_share_a_chunk_wait_for_room)
{
    enum { FILES = 40 };
    append_to_each(FILES, "first");
    struct weir_instance *i = start_head("*.log");
    expect_of_each(FILES, "first");
    fake_set_full(i, true);
    char name[16];
    for (int k = 0; k < FILES; k++) {
        snprintf(name, sizeof(name), "%02d.log", k);
        char *text = filled(name, 6000, "\n");
        append(name, text);
        free(text);
    }
    size_t size = 0, expected = FILES * (6 + 6000 + 1), rounds = 0;
    while (size < expected) {
        fake_idle(host);
        fake_set_room(i, 1);
        fake_idle(host);
        size_t now;
        free(sent_text(&now));
        ck_assert_uint_gt(now, size);
        size = now;
        rounds++;
    }
    ck_assert_uint_eq(size, expected);
    ck_assert_uint_ge(rounds, 4);
    ck_assert_uint_le(rounds, 8);
    fake_stop(i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail follow");
    TCase *tests = tcase_create("follow");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, begins_at_the_end_or_the_head);
    tcase_add_test(tests, partial_line_waits);
    tcase_add_test(tests, found_by_a_status);
    tcase_add_test(tests, renamed_and_created);
    tcase_add_test(tests, rotated_name_matches_too);
    tcase_add_test(tests, several_rotations_between_two_looks);
    tcase_add_test(tests, copied_and_truncated);
    tcase_add_loop_test(tests, rewritten_in_place, 0, 3);
    tcase_add_test(tests, rewritten_with_the_same_end);
    tcase_add_loop_test(tests, rewritten_and_grown_with_the_same_bytes_before_the_position, 0, 3);
    tcase_add_loop_test(tests, rewritten_within_a_long_line, 0, 2);
    tcase_add_test(tests, deleted_while_unread);
    tcase_add_test(tests, deleted_and_stopped);
    tcase_add_loop_test(tests, moved_out_and_back, 0, 2);
    tcase_add_test(tests, paused_and_resumed);
    tcase_add_test(tests, appears_in_new_directories);
    tcase_add_test(tests, any_depth);
    tcase_add_test(tests, link_that_is_turned);
    tcase_add_test(tests, unfinished_behind_a_link_that_waits_for_room);
    tcase_add_loop_test(tests, unfinished_in_a_file_that_keeps_a_name, 0, 3);
    tcase_add_test(tests, names_of_one_file);
    tcase_add_test(tests, equal_files_are_two);
    tcase_add_test(tests, not_a_file);
    tcase_add_test(tests, permission_granted_later);
    tcase_add_test(tests, without_inotify);
    tcase_add_test(tests, closed_for_another_and_goes_on);
    tcase_add_loop_test(tests, rewritten_while_closed_for_another, 0, 3);
    tcase_add_test(tests, overflow);
    tcase_add_test(tests, two_inputs_on_one_file);
    tcase_add_test(tests, fair);
    tcase_add_test(tests, files_with_little_news_share_a_chunk);
    tcase_add_test(tests, files_that_share_a_chunk_are_rewritten_removed_and_long);
    tcase_add_test(tests, files_that_share_a_chunk_wait_for_room);
    suite_add_tcase(suite, tests);
    return run(suite);
}
