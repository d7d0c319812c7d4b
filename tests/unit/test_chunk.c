/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks: growing, sealing, and who frees one when. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "chunk.h"

static struct pool *pool;
static struct router *router;
static struct checkpoint *checkpoint;
static struct rcstring *name;

static void set_up(void)
{
    char *why = NULL;

    pool = pool_create(1 << 30);
    router = router_create();
    name = rcstring_create("in.0");
    ck_assert_int_eq(checkpoint_open(NULL, &checkpoint, &why), 0);
    router_add(router, (struct output *)0x10, "two", NULL, NULL, NULL);
    router_add(router, (struct output *)0x20, "two", NULL, NULL, NULL);
}

static void tear_down(void)
{
    checkpoint_close(checkpoint);
    ck_assert_uint_eq(atomic_load(&pool_gate(pool)->used), 0);
    router_destroy(router);
    pool_destroy(pool);
    rcstring_unref(name);
}

static struct chunk *make(size_t size)
{
    struct route *route = router_get(router, "two", "topic");
    struct chunk *c = chunk_create(pool, checkpoint, route, name, size);

    route_unref(route);
    ck_assert_ptr_nonnull(c);
    ck_assert_uint_ge(c->draft.capacity, size);
    return c;
}

static uint64_t committed(struct weir_stream *stream)
{
    struct weir_stream_state state = {.struct_size = sizeof(state)};

    checkpoint_stream_state(stream, &state);
    return state.committed;
}

START_TEST(growing_keeps_what_was_written)
{
    struct chunk *c = make(10);
    size_t written = 0;

    while (written < (3 << 20)) {
        ck_assert_int_eq(chunk_grow(&c, 1000), 0);
        ck_assert_uint_ge(c->draft.capacity - c->draft.size, 1000);
        memset(c->draft.data + c->draft.size, (int)(written / 1000) & 0xff, 1000);
        c->draft.size += 1000;
        written += 1000;
    }
    size_t wrong = 0;
    for (size_t i = 0; i < written; i++)
        wrong += c->draft.data[i] != ((i / 1000) & 0xff);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_int_eq(chunk_grow(&c, SIZE_MAX / 2), -ENOMEM);
    chunk_cancel(c);
}
END_TEST

START_TEST(every_output_must_be_done)
{
    struct weir_stream *s = checkpoint_stream_open(checkpoint, "in", "s");
    struct weir_position p = {.stream = s, .offset = 10};
    struct chunk *c = make(100);
    bool sealed = false;

    c->draft.records = 1;
    c->draft.size = 5;
    ck_assert_int_eq(chunk_seal(c, &p, 1, &sealed), 0);
    ck_assert(sealed);
    ck_assert_str_eq(c->view.tag, "two");
    ck_assert_str_eq(c->view.topic, "topic");
    ck_assert_str_eq(c->view.input, "in.0");
    ck_assert_ptr_eq(chunk_of_view(&c->view), c);
    chunk_slot_done(&c->slots[1], true);
    ck_assert_uint_eq(committed(s), 0);
    chunk_slot_done(&c->slots[0], true);
    ck_assert_uint_eq(committed(s), 10);
    checkpoint_stream_close(s);
}
END_TEST

START_TEST(one_output_that_gave_up_holds_the_position)
{
    struct weir_stream *s = checkpoint_stream_open(checkpoint, "in", "s");
    bool sealed;

    for (uint64_t i = 1; i <= 2; i++) {
        struct weir_position p = {.stream = s, .offset = 10 * i};
        struct chunk *c = make(100);
        c->draft.records = 1;
        ck_assert_int_eq(chunk_seal(c, &p, 1, &sealed), 0);
        chunk_slot_done(&c->slots[0], i != 1);
        chunk_slot_done(&c->slots[1], true);
    }
    ck_assert_uint_eq(committed(s), 0);
    checkpoint_stream_close(s);
}
END_TEST

START_TEST(no_records_is_acknowledged_at_once)
{
    struct weir_stream *s = checkpoint_stream_open(checkpoint, "in", "s");
    struct weir_position p = {.stream = s, .offset = 10};
    bool sealed = true;

    ck_assert_int_eq(chunk_seal(make(100), &p, 1, &sealed), 0);
    ck_assert(!sealed);
    ck_assert_uint_eq(committed(s), 10);
    checkpoint_stream_close(s);
}
END_TEST

/* More positions than fit behind the records of a full chunk. */
START_TEST(many_positions)
{
    enum { STREAMS = 500 };
    struct weir_position p[STREAMS];
    struct chunk *c = make(100);
    bool sealed;
    char key[16];

    for (unsigned i = 0; i < STREAMS; i++) {
        snprintf(key, sizeof(key), "s%u", i);
        p[i] =
            (struct weir_position){.stream = checkpoint_stream_open(checkpoint, "in", key), .offset = i + 1};
    }
    memset(c->draft.data, 0xaa, c->draft.capacity);
    c->draft.size = c->draft.capacity;
    c->draft.records = 1;
    ck_assert_int_eq(chunk_seal(c, p, STREAMS, &sealed), 0);
    for (size_t i = 0; i < c->view.size; i++)
        ck_assert_uint_eq(c->view.data[i], 0xaa);
    chunk_slot_done(&c->slots[0], true);
    chunk_slot_done(&c->slots[1], true);
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_uint_eq(committed(p[i].stream), i + 1);
        checkpoint_stream_close(p[i].stream);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chunk");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, growing_keeps_what_was_written);
    tcase_add_test(t, every_output_must_be_done);
    tcase_add_test(t, one_output_that_gave_up_holds_the_position);
    tcase_add_test(t, no_records_is_acknowledged_at_once);
    tcase_add_test(t, many_positions);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
