/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, marks and flushes: what is committed when, and what a restart finds. */
#include "checkpoint_chunks.h"

/* ---- Streams ------------------------------------------------------------------------------------- */

START_TEST(a_new_stream_is_unknown)
{
    struct weir_stream *stream = open_stream("i", "k");
    struct weir_stream_state state = state_of(stream);
    ck_assert(!state.known);
    ck_assert_str_eq(state.key, "k");
    ck_assert_uint_eq(state.offset, 0);
    ck_assert_uint_eq(state.committed, 0);
    ck_assert_ptr_null(state.meta);
    ck_assert_ptr_eq(open_stream("i", "k"), stream);
    struct weir_stream *other = open_stream("j", "k");
    ck_assert_ptr_ne(other, stream);
    checkpoint_stream_close(other);
    checkpoint_stream_close(stream);
    checkpoint_stream_close(stream);
}
END_TEST

START_TEST(keys_have_limits)
{
    char key[514];
    memset(key, 'k', sizeof(key));
    key[513] = 0;
    ck_assert_ptr_null(checkpoint_stream_open(checkpoint, "i", key));
    ck_assert_int_eq(errno, EINVAL);
    key[512] = 0;
    checkpoint_stream_close(open_stream("i", key));
    ck_assert_ptr_null(checkpoint_stream_open(checkpoint, "i", ""));
    ck_assert_ptr_null(checkpoint_stream_open(checkpoint, "i", "a\nb"));
    ck_assert_ptr_null(checkpoint_stream_open(checkpoint, "i", "a\x7f"));
    checkpoint_stream_close(open_stream("i", "\xff \xc3\xa9"));
}
END_TEST

START_TEST(the_state_of_an_older_or_newer_plugin)
{
    union {
        struct weir_stream_state state;
        unsigned char bytes[sizeof(struct weir_stream_state) + 16];
    } u;
    struct weir_stream *stream = open_stream("i", "k");
    ck_assert_int_eq(checkpoint_stream_advance(stream, 5, 50), 0);
    memset(&u, 0xaa, sizeof(u));
    u.state.struct_size = offsetof(struct weir_stream_state, token);
    checkpoint_stream_state(stream, &u.state);
    ck_assert_uint_eq(u.state.struct_size, offsetof(struct weir_stream_state, token));
    ck_assert_uint_eq(u.state.offset, 5);
    ck_assert_uint_eq(u.bytes[offsetof(struct weir_stream_state, token)], 0xaa);
    u.state.struct_size = sizeof(u);
    checkpoint_stream_state(stream, &u.state);
    ck_assert_uint_eq(u.state.token, 50);
    for (size_t i = sizeof(u.state); i < sizeof(u); i++)
        ck_assert_uint_eq(u.bytes[i], 0);
    checkpoint_stream_close(stream);
}
END_TEST

START_TEST(sent_in_this_process_committed_after_a_restart)
{
    struct weir_stream *stream = open_stream("i", "k");
    struct chunk *first = send_one(stream, 100, NULL);
    send_one(stream, 200, NULL);
    checkpoint_stream_close(stream);
    acknowledge(first);
    stream = open_stream("i", "k"); /* an input that comes back repeats nothing */
    assert_at(stream, 200, 100);
    checkpoint_stream_close(stream);
    restart();
    stream = open_stream("i", "k");
    assert_at(stream, 100, 100);
    checkpoint_stream_close(stream);
}
END_TEST

START_TEST(a_commit_at_offset_zero_is_kept)
{
    struct weir_stream *stream = open_stream("i", "k");
    ck_assert_int_eq(checkpoint_stream_advance(stream, 0, 0), 0);
    checkpoint_stream_close(stream);
    restart();
    stream = open_stream("i", "k");
    assert_at(stream, 0, 0);
    checkpoint_stream_close(stream);
}
END_TEST

START_TEST(without_a_directory_nothing_is_kept)
{
    close_checkpoint();
    ck_assert_int_eq(checkpoint_open(NULL, &checkpoint, &error), 0);
    struct weir_stream *stream = open_stream("i", "k");
    acknowledge(send_one(stream, 5, NULL));
    assert_at(stream, 5, 5);
    checkpoint_stream_close(stream);
    flush();
    stream = open_stream("i", "k");
    assert_at(stream, 5, 5);
    checkpoint_stream_forget(stream);
    flush();
    close_checkpoint();
    checkpoint_close(NULL);
    open_checkpoint();
}
END_TEST

/* ---- Marks --------------------------------------------------------------------------------------- */

START_TEST(committed_never_passes_an_open_mark)
{
    int released[3] = {0};
    struct weir_stream *stream = open_stream("i", "k");
    struct chunk *a = send_one(stream, 10, &released[0]);
    struct chunk *b = send_one(stream, 20, &released[1]);
    struct chunk *c = send_one(stream, 30, &released[2]);
    assert_at(stream, 30, 0);
    acknowledge(c);
    acknowledge(b);
    assert_at(stream, 30, 0);
    ck_assert_int_eq(released[1] + released[2], 0);
    acknowledge(a);
    assert_at(stream, 30, 30);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(released[i], 1);
    checkpoint_stream_close(stream);
}
END_TEST

START_TEST(a_set_of_several_streams)
{
    int released[3] = {0};
    struct weir_stream *s = open_stream("i", "s"), *t = open_stream("i", "t");
    struct chunk *first = send_one(s, 10, &released[0]);
    struct chunk *both = chunk_new(&released[1]);
    add(both, s, 20);
    add(both, t, 5);
    checkpoint_track(checkpoint, &both->set);
    struct chunk *last = send_one(t, 6, &released[2]);
    acknowledge(both);
    assert_at(s, 20, 0);
    assert_at(t, 6, 5);
    ck_assert_int_eq(released[1], 0); /* its mark in s still waits */
    acknowledge(first);
    assert_at(s, 20, 20);
    ck_assert_int_eq(released[1], 1);
    acknowledge(last);
    checkpoint_stream_close(s);
    checkpoint_stream_close(t);
}
END_TEST

START_TEST(a_set_without_marks_is_released_at_once)
{
    int released = 0;
    struct checkpoint_set *set = &chunk_new(&released)->set;
    struct checkpoint_set empty = {.count = 0};
    checkpoint_track(checkpoint, set);
    ck_assert_int_eq(released, 1);
    checkpoint_acknowledge(checkpoint, &empty);
}
END_TEST

START_TEST(advance_waits_its_turn)
{
    struct weir_stream *stream = open_stream("i", "k");
    ck_assert_int_eq(checkpoint_stream_advance(stream, 5, 50), 0);
    assert_at(stream, 5, 5);
    struct chunk *a = send_one(stream, 10, NULL), *b = send_one(stream, 20, NULL);
    ck_assert_int_eq(checkpoint_stream_advance(stream, 25, 250), 0);
    ck_assert_int_eq(checkpoint_stream_advance(stream, 27, 270), 0);
    struct chunk *c = send_one(stream, 30, NULL);
    assert_at(stream, 30, 5);
    acknowledge(a);
    assert_at(stream, 30, 10);
    acknowledge(b);
    assert_at(stream, 30, 27);
    restart();
    stream = open_stream("i", "k");
    assert_at(stream, 27, 27);
    checkpoint_stream_close(stream);
    (void)c; /* released by close */
}
END_TEST

START_TEST(offsets_never_go_down)
{
    struct weir_stream *stream = open_stream("i", "k");
    acknowledge(send_one(stream, 100, NULL));
    acknowledge(send_one(stream, 50, NULL));
    assert_at(stream, 100, 100);
    struct chunk *a = send_one(stream, 120, NULL), *b = send_one(stream, 110, NULL);
    ck_assert_int_eq(checkpoint_stream_advance(stream, 7, 70), 0);
    acknowledge(a);
    acknowledge(b);
    assert_at(stream, 120, 120);
    checkpoint_stream_close(stream);
    restart();
    stream = open_stream("i", "k");
    acknowledge(send_one(stream, 60, NULL));
    assert_at(stream, 120, 120);
    checkpoint_stream_close(stream);
}
END_TEST

START_TEST(close_releases_what_is_open_and_commits_nothing)
{
    int released[2] = {0};
    struct weir_stream *stream = open_stream("i", "k"), *other = open_stream("j", "k");
    send_one(stream, 10, &released[0]);
    struct chunk *both = chunk_new(&released[1]);
    add(both, stream, 20);
    add(both, other, 20);
    checkpoint_track(checkpoint, &both->set);
    close_checkpoint();
    ck_assert_int_eq(released[0], 1);
    ck_assert_int_eq(released[1], 1);
    open_checkpoint();
    stream = open_stream("i", "k");
    ck_assert(!state_of(stream).known);
    checkpoint_stream_close(stream);
}
END_TEST

/* ---- Forgetting ---------------------------------------------------------------------------------- */

START_TEST(forgotten_for_ever)
{
    struct weir_stream *stream = open_stream("i", "k");
    ck_assert_int_eq(checkpoint_stream_advance(stream, 5, 50), 0);
    checkpoint_stream_close(stream);
    restart();
    stream = open_stream("i", "k");
    checkpoint_stream_forget(stream);
    restart();
    stream = open_stream("i", "k");
    ck_assert(!state_of(stream).known);
    /* Never flushed, and gone before it could be. */
    ck_assert_int_eq(checkpoint_stream_advance(stream, 5, 50), 0);
    checkpoint_stream_forget(stream);
    restart();
    stream = open_stream("i", "k");
    ck_assert(!state_of(stream).known);
    checkpoint_stream_close(stream);
}
END_TEST

START_TEST(marks_of_a_forgotten_stream_drain_beside_a_fresh_one)
{
    int released[2] = {0};
    struct weir_stream *old = open_stream("i", "k");
    if (_i > 0)
        acknowledge(send_one(old, 50, NULL));
    flush();
    struct chunk *a = send_one(old, 100, &released[0]), *b = send_one(old, 200, &released[1]);
    checkpoint_stream_forget(old);
    if (_i == 2)
        flush(); /* its row is gone, its marks are not */
    struct weir_stream *fresh = open_stream("i", "k");
    ck_assert(!state_of(fresh).known);
    acknowledge(send_one(fresh, 3, NULL));
    acknowledge(b);
    acknowledge(a);
    ck_assert_int_eq(released[0] + released[1], 2);
    assert_at(fresh, 3, 3);
    checkpoint_stream_close(fresh);
    restart();
    fresh = open_stream("i", "k");
    assert_at(fresh, 3, 3);
    checkpoint_stream_close(fresh);
}
END_TEST

static struct chunk *under_way;

static void acknowledge_under_way(void)
{
    acknowledge(under_way);
}

START_TEST(acknowledged_while_its_row_is_being_removed)
{
    struct weir_stream *stream = open_stream("i", "k");
    acknowledge(send_one(stream, 50, NULL));
    flush();
    under_way = send_one(stream, 100, NULL);
    checkpoint_stream_forget(stream);
    fixture_in_pwrite = acknowledge_under_way;
    flush();
    ck_assert_ptr_null(fixture_in_pwrite); /* it was called */
    restart();
    stream = open_stream("i", "k");
    ck_assert(!state_of(stream).known);
    checkpoint_stream_close(stream);
}
END_TEST

START_TEST(forgotten_through_one_of_two_handles)
{
    struct weir_stream *stream = open_stream("i", "k");
    ck_assert_ptr_eq(open_stream("i", "k"), stream);
    ck_assert_int_eq(checkpoint_stream_advance(stream, 5, 50), 0);
    ck_assert_int_eq(checkpoint_stream_set_meta(stream, "m", 1), 0);
    checkpoint_stream_forget(stream);
    ck_assert(!state_of(stream).known);
    acknowledge(send_one(stream, 10, NULL));
    ck_assert_int_eq(checkpoint_stream_advance(stream, 15, 150), 0);
    ck_assert_int_eq(checkpoint_stream_set_meta(stream, "m", 1), 0);
    ck_assert(!state_of(stream).known);
    checkpoint_stream_forget(stream);
    restart();
    stream = open_stream("i", "k");
    ck_assert(!state_of(stream).known);
    checkpoint_stream_close(stream);
}
END_TEST

/* ---- Each, meta ---------------------------------------------------------------------------------- */

struct seen {
    int count, stop_at;
    uint64_t offsets;
    const char *forget; /* a key to forget when it comes */
};

static int see(void *data, const struct weir_stream_state *state)
{
    struct seen *seen = data;
    seen->offsets += state->offset;
    if (seen->forget && strcmp(state->key, seen->forget) == 0)
        checkpoint_stream_forget(open_stream("i", state->key));
    return ++seen->count == seen->stop_at ? 42 : 0;
}

START_TEST(each_known_stream_of_the_input)
{
    struct seen seen = {0};
    ck_assert_int_eq(checkpoint_stream_each(checkpoint, "i", see, &seen), 0);
    for (int i = 1; i <= 4; i++) {
        char key[32];
        snprintf(key, sizeof(key), "k%d", i);
        struct weir_stream *stream = open_stream(i == 4 ? "other" : "i", key);
        ck_assert_int_eq(checkpoint_stream_advance(stream, (uint64_t)1 << i, 0), 0);
        checkpoint_stream_close(stream);
    }
    struct weir_stream *unknown = open_stream("i", "unknown");
    for (int i = 0; i < 2; i++) {
        seen = (struct seen){0};
        ck_assert_int_eq(checkpoint_stream_each(checkpoint, "i", see, &seen), 0);
        ck_assert_int_eq(seen.count, 3);
        ck_assert_uint_eq(seen.offsets, 2 + 4 + 8);
        if (i == 0) {
            checkpoint_stream_close(unknown);
            restart();
        }
    }
    seen = (struct seen){.stop_at = 2};
    ck_assert_int_eq(checkpoint_stream_each(checkpoint, "i", see, &seen), 42);
    ck_assert_int_eq(seen.count, 2);
    seen = (struct seen){.forget = "k2"};
    ck_assert_int_eq(checkpoint_stream_each(checkpoint, "i", see, &seen), 0);
    ck_assert_int_eq(seen.count, 3);
    seen = (struct seen){0};
    ck_assert_int_eq(checkpoint_stream_each(checkpoint, "i", see, &seen), 0);
    ck_assert_uint_eq(seen.offsets, 2 + 8);
}
END_TEST

START_TEST(each_may_forget_what_it_is_told)
{
    close_checkpoint();
    ck_assert_int_eq(checkpoint_open(NULL, &checkpoint, &error), 0); /* so nothing else holds the memory */
    for (int i = 0; i < 3; i++) {
        struct weir_stream *stream = open_stream("i", (char[]){(char)('a' + i), 0});
        ck_assert_int_eq(checkpoint_stream_advance(stream, 1, 10), 0);
        checkpoint_stream_close(stream);
    }
    for (int left = 3; left > 0; left--) {
        struct seen seen = {.forget = (char[]){(char)('a' + left % 3), 0}};
        ck_assert_int_eq(checkpoint_stream_each(checkpoint, "i", see, &seen), 0);
        ck_assert_int_eq(seen.count, left);
    }
}
END_TEST

START_TEST(meta_is_kept_beside_the_position)
{
    char big[4097] = {1};
    struct weir_stream *stream = open_stream("i", "k");
    ck_assert_int_eq(checkpoint_stream_set_meta(stream, big, 4097), -EMSGSIZE);
    ck_assert_int_eq(checkpoint_stream_set_meta(stream, big, 4096), 0);
    ck_assert_uint_eq(state_of(stream).meta_size, 4096);
    ck_assert(!state_of(stream).known);
    ck_assert_int_eq(checkpoint_stream_set_meta(stream, "a\0b", 3), 0);
    ck_assert_int_eq(checkpoint_stream_advance(stream, 5, 50), 0);
    checkpoint_stream_close(stream);
    restart();
    stream = open_stream("i", "k");
    ck_assert_uint_eq(state_of(stream).meta_size, 3);
    ck_assert_mem_eq(state_of(stream).meta, "a\0b", 3);
    ck_assert_int_eq(checkpoint_stream_set_meta(stream, "new", 3), 0); /* nothing else changed */
    restart();
    stream = open_stream("i", "k");
    ck_assert_mem_eq(state_of(stream).meta, "new", 3);
    ck_assert_int_eq(checkpoint_stream_set_meta(stream, NULL, 0), 0);
    restart();
    stream = open_stream("i", "k");
    ck_assert_ptr_null(state_of(stream).meta);
    assert_at(stream, 5, 5);
    checkpoint_stream_close(stream);
}
END_TEST

/* ---- Flushing ------------------------------------------------------------------------------------ */

START_TEST(told_when_there_is_something_to_flush)
{
    struct weir_stream *s = open_stream("i", "s"), *t = open_stream("i", "t");
    checkpoint_on_dirty(checkpoint, note_dirty, &dirty_calls);
    ck_assert_int_eq(dirty_calls, 0);
    struct chunk *a = send_one(s, 10, NULL);
    ck_assert_int_eq(checkpoint_stream_set_meta(s, "m", 1), 0); /* waits for the position */
    ck_assert_int_eq(dirty_calls, 0);
    acknowledge(a);
    ck_assert_int_eq(dirty_calls, 1);
    ck_assert(last_urgent); /* its stream is not on disk yet */
    acknowledge(send_one(t, 10, NULL));
    acknowledge(send_one(s, 20, NULL));
    ck_assert_int_eq(dirty_calls, 1);
    flush();
    ck_assert_int_eq(checkpoint_stream_set_meta(s, "m", 1), 0); /* the same */
    ck_assert_int_eq(checkpoint_stream_advance(s, 20, 200), 0);
    ck_assert_int_eq(dirty_calls, 1);
    ck_assert_int_eq(checkpoint_stream_set_meta(s, "n", 1), 0);
    ck_assert_int_eq(dirty_calls, 2);
    flush();
    ck_assert_int_eq(checkpoint_stream_advance(s, 20, 201), 0); /* another token */
    ck_assert_int_eq(dirty_calls, 3);
    flush();
    checkpoint_stream_forget(s);
    ck_assert_int_eq(dirty_calls, 4);
    checkpoint_on_dirty(checkpoint, note_dirty, &dirty_calls); /* there is something already */
    ck_assert_int_eq(dirty_calls, 5);
    checkpoint_stream_close(t);
}
END_TEST

START_TEST(told_again_when_it_becomes_urgent)
{
    struct weir_stream *old = open_stream("i", "old"), *new = open_stream("i", "new");
    acknowledge(send_one(old, 10, NULL));
    flush();
    checkpoint_on_dirty(checkpoint, note_dirty, &dirty_calls);
    acknowledge(send_one(old, 20, NULL));
    ck_assert_int_eq(dirty_calls, 1);
    ck_assert(!last_urgent);
    acknowledge(send_one(new, 10, NULL));
    ck_assert_int_eq(dirty_calls, 2);
    ck_assert(last_urgent);
    flush();
    acknowledge(send_one(new, 20, NULL));
    ck_assert_int_eq(dirty_calls, 3);
    ck_assert(!last_urgent);
    checkpoint_stream_close(old);
    checkpoint_stream_close(new);
}
END_TEST

START_TEST(a_failed_flush_is_made_up_for)
{
    struct weir_stream *kept = open_stream("i", "kept"), *gone = open_stream("i", "gone");
    acknowledge(send_one(gone, 5, NULL));
    flush();
    checkpoint_on_dirty(checkpoint, note_dirty, &dirty_calls);
    ck_assert_int_eq(checkpoint_stream_set_meta(kept, "meta", 4), 0);
    acknowledge(send_one(kept, 10, NULL));
    checkpoint_stream_forget(gone);
    fixture_disk_full = true;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(checkpoint_flush(checkpoint, &error), -ENOSPC);
        ck_assert_ptr_nonnull(strstr(error, "checkpoint.db"));
        free(error);
        ck_assert_int_eq(dirty_calls, 2 + i); /* so that it is tried again */
    }
    acknowledge(send_one(kept, 20, NULL));
    fixture_disk_full = false;
    restart();
    kept = open_stream("i", "kept");
    assert_at(kept, 20, 20);
    ck_assert_mem_eq(state_of(kept).meta, "meta", 4);
    gone = open_stream("i", "gone");
    ck_assert(!state_of(gone).known);
    checkpoint_stream_close(gone);
    checkpoint_stream_close(kept);
}
END_TEST

START_TEST(a_flush_writes_what_changed)
{
    enum { STREAMS = 1000 };
    struct weir_stream *streams[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        streams[i] = open_stream("i", key);
        checkpoint_stream_advance(streams[i], 1, 10);
    }
    flush();
    /* Had it written all, the others would be there again. */
    fixture_sql("DELETE FROM stream");
    checkpoint_stream_advance(streams[7], 2, 20);
    restart();
    struct seen seen = {0};
    ck_assert_int_eq(checkpoint_stream_each(checkpoint, "i", see, &seen), 0);
    ck_assert_int_eq(seen.count, 1);
    ck_assert_uint_eq(seen.offsets, 2);
}
END_TEST

START_TEST(what_the_store_refuses_is_passed_on)
{
    struct checkpoint *second = NULL;
    ck_assert_int_eq(checkpoint_open(fixture_dir, &second, &error), -EBUSY);
    ck_assert_ptr_null(second);
    ck_assert_ptr_nonnull(strstr(error, "in use by weir"));
    free(error);
    close_checkpoint();
    fixture_sql("INSERT INTO stream VALUES('a', 'k', 1, 1, 'm', 0), ('b', 'k', 'text', 0, NULL, 0)");
    ck_assert_int_eq(checkpoint_open(fixture_dir, &second, &error), -EUCLEAN);
    ck_assert_ptr_nonnull(strstr(error, "damaged"));
    free(error);
    fixture_sql("DELETE FROM stream");
    open_checkpoint(); /* and the lock was given up */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("checkpoint");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_new_stream_is_unknown);
    tcase_add_test(t, keys_have_limits);
    tcase_add_test(t, the_state_of_an_older_or_newer_plugin);
    tcase_add_test(t, sent_in_this_process_committed_after_a_restart);
    tcase_add_test(t, a_commit_at_offset_zero_is_kept);
    tcase_add_test(t, without_a_directory_nothing_is_kept);
    tcase_add_test(t, committed_never_passes_an_open_mark);
    tcase_add_test(t, a_set_of_several_streams);
    tcase_add_test(t, a_set_without_marks_is_released_at_once);
    tcase_add_test(t, advance_waits_its_turn);
    tcase_add_test(t, offsets_never_go_down);
    tcase_add_test(t, close_releases_what_is_open_and_commits_nothing);
    tcase_add_test(t, forgotten_for_ever);
    tcase_add_loop_test(t, marks_of_a_forgotten_stream_drain_beside_a_fresh_one, 0, 3);
    tcase_add_test(t, acknowledged_while_its_row_is_being_removed);
    tcase_add_test(t, forgotten_through_one_of_two_handles);
    tcase_add_test(t, each_known_stream_of_the_input);
    tcase_add_test(t, each_may_forget_what_it_is_told);
    tcase_add_test(t, meta_is_kept_beside_the_position);
    tcase_add_test(t, told_when_there_is_something_to_flush);
    tcase_add_test(t, told_again_when_it_becomes_urgent);
    tcase_add_test(t, a_failed_flush_is_made_up_for);
    tcase_add_test(t, a_flush_writes_what_changed);
    tcase_add_test(t, what_the_store_refuses_is_passed_on);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
