/* SPDX-License-Identifier: Apache-2.0 */
/* Positions that an output keeps: what it tells goes before the store, and what it has is known to be there.
 */
#include "checkpoint_chunks.h"

enum { TOLD_MAX = 8 };

static struct weir_kept told[TOLD_MAX];
static char told_keys[TOLD_MAX][64];
static char told_meta[TOLD_MAX][64];
static int told_count;

static int note(void *data, const struct weir_kept *kept)
{
    ck_assert_ptr_eq(data, &told_count);
    ck_assert_int_lt(told_count, TOLD_MAX);
    told[told_count] = *kept;
    snprintf(told_keys[told_count], sizeof(told_keys[0]), "%s", kept->key);
    memcpy(told_meta[told_count], kept->meta ? kept->meta : "", kept->meta_size);
    told_meta[told_count][kept->meta_size] = '\0';
    told_count++;
    return 0;
}

static void ask(struct chunk *chunk)
{
    told_count = 0;
    ck_assert_int_eq(checkpoint_positions(checkpoint, &chunk->set, note, &told_count), 0);
}

static int keep(const char *input, const char *key, uint64_t offset)
{
    struct weir_kept kept = {.struct_size = sizeof(kept),
                             .input = input,
                             .key = key,
                             .offset = offset,
                             .token = offset * 10,
                             .meta = "kept",
                             .meta_size = 4};
    return checkpoint_kept(checkpoint, &kept);
}

START_TEST(goes_before_the_store)
{
    struct weir_stream *ahead = open_stream("in", "ahead"), *behind = open_stream("in", "behind");

    acknowledge(send_one(ahead, 500, NULL));
    acknowledge(send_one(behind, 100, NULL));
    checkpoint_stream_close(ahead);
    checkpoint_stream_close(behind);
    restart();
    ck_assert_int_eq(keep("in", "ahead", 400), 0);
    ck_assert_int_eq(keep("in", "behind", 300), 0);
    ck_assert_int_eq(keep("in", "new", 200), 0);
    ahead = open_stream("in", "ahead");
    behind = open_stream("in", "behind");
    struct weir_stream *new = open_stream("in", "new");
    assert_at(ahead, 500, 500);
    assert_at(behind, 300, 300);
    assert_at(new, 200, 200);
    ck_assert_int_eq((int)state_of(new).meta_size, 4);
    checkpoint_stream_close(ahead);
    checkpoint_stream_close(behind);
    checkpoint_stream_close(new);
    /* It is in the store as well from now on. */
    restart();
    new = open_stream("in", "new");
    assert_at(new, 200, 200);
    checkpoint_stream_close(new);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    struct weir_kept kept = {.struct_size = sizeof(kept), .input = "in", .key = "k", .forgotten = true};

    ck_assert_int_eq(checkpoint_kept(checkpoint, &kept), -EINVAL);
    ck_assert_int_eq(keep("", "k", 1), -EINVAL);
    ck_assert_int_eq(keep("in", "", 1), -EINVAL);
    ck_assert_int_eq(keep("in", "k", UINT64_MAX), -EINVAL);
    kept = (struct weir_kept){.input = "in", .key = "k", .meta = "", .meta_size = 4097};
    ck_assert_int_eq(checkpoint_kept(checkpoint, &kept), -EINVAL);
}
END_TEST

/* An input that runs knows better; but what is on its way may be there already. */
START_TEST(what_is_on_its_way)
{
    struct weir_stream *stream = open_stream("in", "k"), *other = open_stream("in", "other");
    struct chunk *first = send_to_keeper(stream, 100), *second = send_to_keeper(stream, 200);
    struct chunk *both = chunk_new(NULL);

    both->set.keeping = true;
    add(both, stream, 300);
    add(both, other, 10);
    checkpoint_track(checkpoint, &both->set);
    ck_assert(!checkpoint_is_kept(checkpoint, &first->set));
    ck_assert_int_eq(keep("in", "k", 100), 0);
    assert_at(stream, 300, 0);
    ck_assert(checkpoint_is_kept(checkpoint, &first->set));
    ck_assert(!checkpoint_is_kept(checkpoint, &second->set));
    ck_assert_int_eq(keep("in", "k", 300), 0);
    ck_assert(checkpoint_is_kept(checkpoint, &second->set));
    ck_assert(!checkpoint_is_kept(checkpoint, &both->set));
    ck_assert_int_eq(keep("in", "other", 10), 0);
    ck_assert(checkpoint_is_kept(checkpoint, &both->set));
    end(first);
    end(second);
    end(both);
    checkpoint_stream_close(stream);
    checkpoint_stream_close(other);
}
END_TEST

/* Moved on without records while its chunk was on its way: that chunk is there all the same. */
START_TEST(an_advance_does_not_count)
{
    struct weir_stream *stream = open_stream("in", "k");
    struct chunk *chunk = send_to_keeper(stream, 100);

    checkpoint_stream_advance(stream, 150, 1500);
    ck_assert_int_eq(keep("in", "k", 100), 0);
    ck_assert(checkpoint_is_kept(checkpoint, &chunk->set));
    end(chunk);
    checkpoint_stream_close(stream);
}
END_TEST

START_TEST(a_set_without_positions_is_never_kept)
{
    struct checkpoint_set set = {.count = 0};

    ck_assert(!checkpoint_is_kept(checkpoint, &set));
}
END_TEST

START_TEST(is_told_what_to_keep)
{
    struct weir_stream *stream = open_stream("in", "k");
    struct chunk *chunk = send_to_keeper(stream, 100);

    checkpoint_stream_set_meta(stream, "meta", 4);
    ask(chunk);
    ck_assert_int_eq(told_count, 1);
    ck_assert_str_eq(told[0].input, "in");
    ck_assert_str_eq(told_keys[0], "k");
    ck_assert_uint_eq(told[0].offset, 100);
    ck_assert_uint_eq(told[0].token, 1000);
    ck_assert_str_eq(told_meta[0], "meta");
    ck_assert(!told[0].forgotten);
    end(chunk);
    checkpoint_stream_close(stream);
}
END_TEST

/* With the next chunk of the input; and what is still on its way is told with its meta. */
START_TEST(is_told_what_was_forgotten)
{
    struct weir_stream *old = open_stream("in", "old"), *new = open_stream("in", "new");
    struct weir_stream *unheard = open_stream("in", "unheard");
    struct chunk *last = send_to_keeper(old, 100), *plain, *next;

    checkpoint_stream_set_meta(old, "meta", 4);
    checkpoint_stream_forget(old);
    acknowledge(send_one(unheard, 5, NULL));
    checkpoint_stream_forget(unheard);
    plain = send_one(new, 10, NULL); /* goes elsewhere */
    next = send_to_keeper(new, 20);
    ask(last);
    ck_assert_int_eq(told_count, 1);
    ck_assert_str_eq(told_meta[0], "meta");
    ask(next);
    ck_assert_int_eq(told_count, 2);
    ck_assert(told[0].forgotten);
    ck_assert_str_eq(told_keys[0], "old");
    ck_assert_str_eq(told_keys[1], "new");
    ck_assert(!told[1].forgotten);
    /* The keeper is asked again, and has the chunk of the forgotten stream. */
    ck_assert_int_eq(keep("in", "old", 100), 0);
    ck_assert(checkpoint_is_kept(checkpoint, &last->set));
    end(last);
    acknowledge(plain);
    end(next);
    /* Told once. */
    next = send_to_keeper(new, 30);
    ask(next);
    ck_assert_int_eq(told_count, 1);
    end(next);
    checkpoint_stream_close(new);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kept positions");
    TCase *tcase = tcase_create("kept");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, goes_before_the_store);
    tcase_add_test(tcase, nonsense_is_refused);
    tcase_add_test(tcase, what_is_on_its_way);
    tcase_add_test(tcase, an_advance_does_not_count);
    tcase_add_test(tcase, a_set_without_positions_is_never_kept);
    tcase_add_test(tcase, is_told_what_to_keep);
    tcase_add_test(tcase, is_told_what_was_forgotten);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
