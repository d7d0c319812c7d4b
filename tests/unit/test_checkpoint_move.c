/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that move to another identity: with what is on its way, with their rows, and with what a keeper
 * has. */
#include "checkpoint_chunks.h"

enum { MANY = 30 }; /* more than are kept without a tree */

static void make(const char *input, const char *key, uint64_t offset)
{
    struct weir_stream *stream = open_stream(input, key);

    acknowledge(send_one(stream, offset, NULL));
    checkpoint_stream_close(stream);
}

static void assert_kept(const char *input, const char *key, uint64_t offset)
{
    struct weir_stream *stream = open_stream(input, key);

    assert_at(stream, offset, offset);
    checkpoint_stream_close(stream);
}

static void count_identity(void *data, const char *input)
{
    int *counts = data;

    counts[0] += !strcmp(input, "old");
    counts[1] += !strcmp(input, "new");
}

static void assert_identities(int old, int new)
{
    int counts[2] = {0};

    checkpoint_each_input(checkpoint, count_identity, counts);
    ck_assert_int_eq(counts[0], old);
    ck_assert_int_eq(counts[1], new);
    ck_assert_int_eq(checkpoint_has_positions(checkpoint, "old"), old);
    ck_assert_int_eq(checkpoint_has_positions(checkpoint, "new"), new);
}

START_TEST(with_their_rows)
{
    char key[16];

    for (uint64_t i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "k%d", (int)i);
        make("old", key, 100 + i);
    }
    assert_identities(1, 0);
    flush();
    ck_assert_uint_eq(checkpoint_move(checkpoint, "none", "new"), 0);
    ck_assert_uint_eq(checkpoint_move(checkpoint, "old", "new"), MANY);
    assert_identities(0, 1);
    restart();
    assert_identities(0, 1);
    for (uint64_t i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "k%d", (int)i);
        assert_kept("new", key, 100 + i);
    }
}
END_TEST

START_TEST(what_is_on_its_way_comes_along)
{
    struct weir_stream *stream = open_stream("old", "k");
    struct chunk *first = send_one(stream, 100, NULL), *second = send_one(stream, 200, NULL);

    checkpoint_stream_close(stream);
    acknowledge(first);
    flush();
    ck_assert_uint_eq(checkpoint_move(checkpoint, "old", "new"), 1);
    stream = open_stream("new", "k");
    assert_at(stream, 200, 100);
    acknowledge(second);
    assert_at(stream, 200, 200);
    checkpoint_stream_close(stream);
    restart();
    assert_identities(0, 1);
    assert_kept("new", "k", 200);
}
END_TEST

START_TEST(nothing_comes_back)
{
    make("old", "k", 100);
    flush();
    checkpoint_move(checkpoint, "old", "new");
    checkpoint_stream_forget(open_stream("new", "k")); /* before its row has moved */
    restart();
    assert_identities(0, 0);
}
END_TEST

START_TEST(there_and_back_while_the_disk_is_full)
{
    make("old", "k", 100);
    make("old", "other", 7);
    flush();
    fixture_disk_full = true;
    checkpoint_move(checkpoint, "old", "new");
    ck_assert_int_lt(checkpoint_flush(checkpoint, &error), 0);
    free(error);
    checkpoint_move(checkpoint, "new", "old");
    ck_assert_uint_eq(checkpoint_move(checkpoint, "old", "new"), 2);
    fixture_disk_full = false;
    restart();
    assert_identities(0, 1);
    assert_kept("new", "k", 100);
    ck_assert_uint_eq(checkpoint_move(checkpoint, "new", "old"), 2);
    restart();
    assert_identities(1, 0);
    assert_kept("old", "other", 7);
}
END_TEST

/* -- Of which a keeper of positions has heard ---------------------------------------------------------- */

static char told[8][64];
static int told_count;

static int note(void *data, const struct weir_kept *kept)
{
    (void)data;
    ck_assert_int_lt(told_count, 8);
    snprintf(told[told_count++], sizeof(told[0]), "%s%s/%s %d", kept->forgotten ? "-" : "", kept->input,
             kept->key, (int)kept->offset);
    return 0;
}

static void ask(struct chunk *chunk)
{
    told_count = 0;
    ck_assert_int_eq(checkpoint_positions(checkpoint, &chunk->set, note, NULL), 0);
}

START_TEST(the_keeper_is_told_with_the_next_chunk)
{
    struct weir_stream *stream = open_stream("old", "k"), *gone = open_stream("old", "gone");

    end(send_to_keeper(stream, 100));
    end(send_to_keeper(gone, 50));
    checkpoint_stream_forget(gone); /* no chunk of its input follows that could tell it */
    struct chunk *under_way = send_to_keeper(stream, 200);
    ask(under_way);
    ck_assert_int_eq(told_count, 2);
    checkpoint_stream_close(stream);
    ck_assert_uint_eq(checkpoint_move(checkpoint, "old", "new"), 1);
    flush();
    stream = open_stream("new", "k");
    struct chunk *next = send_to_keeper(stream, 300);
    ask(next);
    ck_assert_int_eq(told_count, 2);
    ck_assert_str_eq(told[0], "-old/k 0");
    ck_assert_str_eq(told[1], "new/k 300");
    end(under_way);
    end(next);
    next = send_to_keeper(stream, 400);
    ask(next);
    ck_assert_int_eq(told_count, 1); /* once */
    end(next);
    checkpoint_stream_close(stream);
}
END_TEST

static void keep_old(uint64_t offset)
{
    struct weir_kept kept = {
        .struct_size = sizeof(kept), .input = "old", .key = "k", .offset = offset, .token = offset * 10};

    ck_assert_int_eq(checkpoint_kept(checkpoint, &kept), 0);
}

START_TEST(the_keeper_knows_it_by_its_former_name)
{
    struct weir_stream *stream = open_stream("old", "k");
    struct chunk *chunk = send_to_keeper(stream, 200);

    checkpoint_stream_close(stream);
    checkpoint_move(checkpoint, "old", "new");
    ck_assert(!checkpoint_is_kept(checkpoint, &chunk->set));
    keep_old(200);
    ck_assert(checkpoint_is_kept(checkpoint, &chunk->set));
    assert_identities(0, 1);
    end(chunk);
    restart();
    assert_kept("new", "k", 200);
}
END_TEST

/* Another input has the former name by now, of which the keeper tells as well. */
START_TEST(the_former_name_is_in_use_again)
{
    struct weir_stream *stream = open_stream("old", "k");
    struct chunk *moved = send_to_keeper(stream, 200);

    checkpoint_stream_close(stream);
    checkpoint_move(checkpoint, "old", "new");
    stream = open_stream("old", "k");
    struct chunk *first = send_to_keeper(stream, 500), *second = send_to_keeper(stream, 600);
    keep_old(500);
    ck_assert(checkpoint_is_kept(checkpoint, &first->set));
    ck_assert(!checkpoint_is_kept(checkpoint, &second->set));
    ck_assert(!checkpoint_is_kept(checkpoint, &moved->set));
    keep_old(200);
    ck_assert(checkpoint_is_kept(checkpoint, &moved->set));
    ck_assert(checkpoint_is_kept(checkpoint, &first->set));
    end(first);
    end(second);
    end(moved);
    checkpoint_stream_close(stream);
}
END_TEST

/* It begins anew, and the keeper still has where the one before it ended: nothing of that is there. */
START_TEST(a_position_of_the_former_one)
{
    end(send_to_keeper(open_stream("old", "k"), 5000));
    checkpoint_move(checkpoint, "old", "new");
    struct weir_stream *stream = open_stream("old", "k");
    struct chunk *chunk = send_to_keeper(stream, 100);
    keep_old(5000);
    ck_assert(!checkpoint_is_kept(checkpoint, &chunk->set));
    end(chunk);
    checkpoint_stream_close(stream);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("moved positions");
    TCase *tcase = tcase_create("moved");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, with_their_rows);
    tcase_add_test(tcase, what_is_on_its_way_comes_along);
    tcase_add_test(tcase, nothing_comes_back);
    tcase_add_test(tcase, there_and_back_while_the_disk_is_full);
    tcase_add_test(tcase, the_keeper_is_told_with_the_next_chunk);
    tcase_add_test(tcase, the_keeper_knows_it_by_its_former_name);
    tcase_add_test(tcase, the_former_name_is_in_use_again);
    tcase_add_test(tcase, a_position_of_the_former_one);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
