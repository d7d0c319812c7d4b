/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: a stop at any moment, with deleted files that have something unread. */
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

int main(void)
{
    Suite *suite = suite_create("tail stop");
    TCase *tests = tcase_create("stop");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, deleted_and_stopped_between_two_turns, 0, 2);
    tcase_add_test(tests, deleted_and_stopped_beside_one_that_waits);
    suite_add_tcase(suite, tests);
    return run(suite);
}
