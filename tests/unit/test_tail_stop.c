/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: a stop at any moment, or another input in its place, with deleted files that have something
 * unread. */
#include "tail_fixture.h"

enum { LINE = 32 };

/* Which tells whose it is, and which one. */
static void put_line(char ret[LINE + 1], const char *name, size_t number)
{
    snprintf(ret, LINE + 1, "%-20.20s %010u\n", name, (unsigned)number);
}

static void append_lines(const char *name, size_t count)
{
    char *text = malloc(count * LINE + 1);
    ck_assert_ptr_nonnull(text);
    for (size_t k = 0; k < count; k++) {
        put_line(text + k * LINE, name, k);
    }
    append(name, text);
    free(text);
}

/* How many of those came, each once and in their order, under that tag alone. */
static size_t came(const char *name, const char *tag)
{
    size_t count, lines = 0, wrong = 0;
    const struct fake_chunk *chunks = fake_chunks(host, &count);
    for (size_t k = 0; k < count; k++) {
        struct weir_cursor cursor;
        struct weir_record record;
        struct weir_value value = {0};
        weir_cursor_init(&cursor, chunks[k].data, chunks[k].size);
        while (weir_cursor_next(&cursor, &record) > 0) {
            char expected[LINE + 1];
            if (!field(&record, "log", &value) || value.size != LINE - 1 ||
                memcmp(value.data, name, strlen(name)) != 0) {
                continue;
            }
            put_line(expected, name, lines++);
            wrong += memcmp(value.data, expected, LINE - 1) != 0 || strcmp(chunks[k].tag, tag) != 0;
        }
    }
    ck_assert_uint_eq(wrong, 0); /* once: each assertion takes its time */
    return lines;
}

/* After a turn that ended with another file ready; with another input of the same loop, which goes on. */
START_TEST(deleted_and_stopped_between_two_turns)
{
    enum { MORE_THAN_A_TURN = 33000, MORE_THAN_TWO = 66000 };
    struct weir_instance *other = NULL;
    if (_i) {
        append("other", "1\n");
        other = start_head("other", "tag", "other");
        expect("1\n");
    }
    append_lines("deleted", MORE_THAN_A_TURN);
    append_lines("kept", MORE_THAN_TWO);
    struct weir_instance *i =
        start_head("deleted", "path", at("kept"), "tag", "stopped", "compression", "none");
    unlink(at("deleted"));
    weir_fake_turn(host, 0);
    ck_assert_uint_lt(came("deleted", "stopped"), MORE_THAN_A_TURN);
    ck_assert_uint_lt(came("kept", "stopped"), MORE_THAN_TWO);
    fake_stop(i);
    ck_assert_uint_eq(came("deleted", "stopped"), MORE_THAN_A_TURN);
    if (other) {
        seen();
        append("other", "2\n");
        expect("2\n");
        fake_stop(other);
    }
}
END_TEST

/* While another input of the loop waits for room with more than one file. */
START_TEST(deleted_and_stopped_beside_one_that_waits)
{
    append("a", "1\n");
    append("b", "1\n");
    append("deleted", "1\n");
    struct weir_instance *waits = start_head("a", "path", at("b"), "compression", "none");
    struct weir_instance *i = start_head("deleted");
    expect("1\n1\n1\n");
    append("deleted", "unfinished");
    fake_idle(host);
    fake_set_full(waits, true);
    append("a", "2\n");
    append("b", "2\n");
    fake_idle(host);
    unlink(at("deleted"));
    fake_stop(i);
    expect("unfinished\n");
    fake_set_full(waits, false);
    expect("2\n2\n");
    fake_stop(waits);
}
END_TEST

/* -- Another one in its place --------------------------------------------------------------------------- */

/* The line's tag. */
static void expect_from(const char *tag, const char *line)
{
    size_t count;
    expect(line);
    const struct fake_chunk *chunks = fake_chunks(host, &count);
    ck_assert_str_eq(chunks[count - 1].tag, tag);
}

/* What stands there and was deleted, all of which fits now; and a name that was changed. */
START_TEST(retires_at_once)
{
    append("deleted", "1\n");
    append("kept", "1\n");
    struct weir_instance *i = start_head("deleted", "path", at("kept"));
    expect("1\n1\n");
    append("deleted", "2\nunfinished");
    unlink(at("deleted"));
    move("kept", "renamed");
    ck_assert_int_eq(fake_retire(i), 0);
    expect("2\nunfinished\n");
    fake_stop(i);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
}
END_TEST

/*
 * Each line comes once, those of the deleted file under the old tag: also while a new file is at its path,
 * and those of a file that has a name go to the one that takes the place.
 */
START_TEST(deleted_and_replaced)
{
    append("log", "1\n");
    append("kept", "1\n");
    struct weir_instance *old = start_head("log", "path", at("kept"), "tag", "old");
    expect("1\n1\n");
    fake_set_full(old, true);
    append("log", "2\n3\nunfinished");
    append("kept", "2\n");
    fake_idle(host);
    unlink(at("log"));
    if (_i) {
        fake_idle(host); /* that is noticed before */
    }
    ck_assert_int_eq(fake_retire(old), 1);
    append("log", "new\n");
    append("kept", "3\n");
    struct weir_instance *now = start_head("log", "path", at("kept"), "tag", "now");
    fake_idle(host);
    size_t size;
    char *text = sent_text(&size);
    ck_assert(strstr(text, "new\n") && strstr(text, "2\n3\n") && size == strlen("new\n2\n3\n"));
    free(text);
    seen();
    ck_assert(!fake_is_ended(old));
    fake_set_full(old, false);
    expect_from("old", "2\n3\nunfinished\n");
    ck_assert(fake_is_ended(old));
    fake_stop(old);
    append("log", "new 2\n");
    expect_from("now", "new 2\n");
    ck_assert_uint_eq(fake_metric(now, "files", NULL), 2);
    ck_assert_uint_eq(fake_metric(now, "abandoned_bytes", "deleted"), 0);
    fake_later(host, UINT64_C(3600000000000)); /* it looks at what became of the deleted one */
    fake_idle(host);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 2);
    fake_stop(now);
}
END_TEST

/* While the first one still reads, and for thousands of lines, with room for a few chunks now and then. */
START_TEST(replaced_again_and_again)
{
    enum { LINES = 20000 };
    struct weir_instance *all[4];
    char name[4][8];
    for (size_t k = 0; k < 4; k++) {
        snprintf(name[k], sizeof(name[k]), "file %zu", k);
        append_lines(name[k], LINES);
        all[k] = start_head("file*", "tag", name[k], "buffer_chunk_size", "4k", "compression", "none");
        fake_set_room(all[k], 3);
        weir_fake_turn(host, 0);
        unlink(at(name[k]));
        ck_assert_int_eq(fake_retire(all[k]), 1);
        ck_assert_uint_lt(came(name[k], name[k]), LINES);
    }
    for (size_t open = 4; open;) {
        for (size_t k = 0; k < 4; k++) {
            if (!all[k] || !fake_is_ended(all[k])) {
                if (all[k]) {
                    fake_set_room(all[k], 5 + k);
                }
                continue;
            }
            fake_stop(all[k]);
            all[k] = NULL;
            open--;
        }
        fake_idle(host);
    }
    for (size_t k = 0; k < 4; k++) {
        ck_assert_uint_eq(came(name[k], name[k]), LINES);
    }
    ck_assert_uint_eq(fake_stream_count(host, "t"), 0);
}
END_TEST

/* weir ends before it can send the rest. */
START_TEST(retiring_and_stopped)
{
    append("log", "1\n");
    struct weir_instance *i = start_head("log");
    expect("1\n");
    fake_set_full(i, true);
    append("log", "12345\n");
    unlink(at("log"));
    ck_assert_int_eq(fake_retire(i), 1);
    weir_fake_begin_stop(i);
    ck_assert(weir_fake_is_stopped(i));
    ck_assert_int_eq(fake_metric(i, "abandoned_bytes", "deleted"), 6);
    fake_drop(i);
    expect("");
}
END_TEST

/* The .gz of a deleted file that is still being read: it is not read as well. */
START_TEST(deleted_and_replaced_then_found_compressed)
{
    append("log", "1\n");
    struct weir_instance *old = start_head("log*");
    expect("1\n");
    fake_set_full(old, true);
    append("log", "2\n3\n");
    unlink(at("log"));
    ck_assert_int_eq(fake_retire(old), 1);
    pack("log.1.gz", "1\n2\n3\n");
    struct weir_instance *now = start_head("log*");
    fake_later(host, UINT64_C(600000000000));
    expect("");
    if (_i) { /* else it is stopped before */
        fake_set_full(old, false);
        expect("2\n3\n");
        ck_assert(fake_is_ended(old));
    }
    fake_stop(old);
    fake_later(host, UINT64_C(600000000000));
    expect(_i ? "" : "2\n3\n");
    fake_stop(now);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail stop");
    TCase *tests = tcase_create("stop");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, deleted_and_stopped_between_two_turns, 0, 2);
    tcase_add_test(tests, deleted_and_stopped_beside_one_that_waits);
    tcase_add_test(tests, retires_at_once);
    tcase_add_loop_test(tests, deleted_and_replaced, 0, 2);
    tcase_add_test(tests, replaced_again_and_again);
    tcase_add_test(tests, retiring_and_stopped);
    tcase_add_loop_test(tests, deleted_and_replaced_then_found_compressed, 0, 2);
    suite_add_tcase(suite, tests);
    return run(suite);
}
