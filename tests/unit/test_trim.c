/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When memory is looked at, in a time of our own: the functions that the loop waits with are replaced, and
 * waiting moves the clock on. So are malloc's settings, which say what the heap is told to keep.
 */
#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "loop.h"
#include "pool.h"
#include "trim.h"

#define MS  UINT64_C(1000000)
#define MIB ((size_t)1 << 20)

static struct {
    _Atomic bool own_time;
    _Atomic uint64_t now; /* ns */
    _Atomic int sleeps;   /* that a timer ends */
    _Atomic int given_back;
    _Atomic uint64_t given_at;
    _Atomic int largest; /* piece that the heap keeps, not a mapping of its own */
} fake;

static struct weir_loop *loop;
static struct pool *pool;
static struct trim trim;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (!fake.own_time || clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, ts);
    ts->tv_sec = (time_t)(fake.now / 1000000000);
    ts->tv_nsec = (long)(fake.now % 1000000000);
    return 0;
}

/* Whoever would sleep for ever has come to the end of what there is to do. */
int epoll_pwait2(int epoll, struct epoll_event *events, int max, const struct timespec *ts,
                 const sigset_t *mask)
{
    uint64_t ns = ts ? (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec : 0;
    (void)mask;
    int count = (int)syscall(SYS_epoll_pwait, epoll, events, max, 0, NULL, (size_t)8);

    if (count == 0 && !ts)
        loop_stop(loop);
    if (count == 0 && ns) {
        fake.now += ns;
        fake.sleeps++;
    }
    return count;
}

int mallopt(int parameter, int value)
{
    if (parameter == M_MMAP_THRESHOLD)
        fake.largest = value;
    return 1;
}

int malloc_trim(size_t pad)
{
    (void)pad;
    fake.given_back++;
    fake.given_at = fake.now;
    return 1;
}

static bool is_held(void)
{
    return fake.largest >= (int)(4 * MIB);
}

/* What something sends: so many blocks of a megabyte at once, so often. */
static struct flow {
    struct weir_timer *timer;
    uint64_t pause;
    int blocks, left;
    bool was_held; /* at its end */
    int given_back;
} flow;

static void use(int blocks)
{
    void *taken[64];
    size_t size = MIB;

    for (int i = 0; i < blocks; i++)
        taken[i] = pool_take(pool, &size);
    for (int i = 0; i < blocks; i++)
        pool_give(pool, taken[i], size);
}

static void on_flow(void *data)
{
    (void)data;
    use(flow.blocks);
    flow.was_held = is_held();
    flow.given_back = fake.given_back;
    if (--flow.left)
        loop_timer_set(flow.timer, flow.pause, 0);
}

static void run(void)
{
    fake.sleeps = 0;
    ck_assert_int_eq(loop_run(loop), 0);
}

/* Returns when the loop would sleep for ever. */
static void run_flow(int blocks, uint64_t pause, int times)
{
    flow.blocks = blocks;
    flow.pause = pause;
    flow.left = times;
    loop_timer_set(flow.timer, pause, 0);
    run();
    ck_assert_int_eq(flow.left, 0);
}

static void setup(void)
{
    fake.now = 3600 * 1000 * MS;
    fake.given_back = fake.largest = 0;
    fake.own_time = true;
    loop = loop_create();
    pool = pool_create(1 << 30);
    flow.timer = loop_timer_add(loop, on_flow, NULL);
    trim = (struct trim){0};
    ck_assert_int_eq(trim_init(&trim, loop, pool), 0);
}

/* Check takes the time of each test as well. */
static void teardown(void)
{
    fake.own_time = false;
    loop_timer_remove(flow.timer);
    trim_finish(&trim);
    pool_destroy(pool);
    loop_destroy(loop);
}

START_TEST(idle_nothing_wakes_up)
{
    run();
    ck_assert_int_eq(fake.sleeps, 0);
    run_flow(1, 1000 * MS, 10);
    ck_assert_int_eq(fake.sleeps, 10);
    ck_assert_int_eq(fake.given_back, 0);
}
END_TEST

/* 320 MiB a second: the heap is held before the first of them is over, and let go once. */
START_TEST(the_heap_is_held_while_much_flows)
{
    run_flow(32, 100 * MS, 2);
    ck_assert(flow.was_held);
    run_flow(32, 100 * MS, 40);
    uint64_t end = fake.now;
    ck_assert(flow.was_held);
    ck_assert_int_eq(flow.given_back, 1); /* after the first ones */
    ck_assert_int_eq(fake.given_back, 2);
    ck_assert(!is_held());
    ck_assert_uint_le(end, 3600 * 1000 * MS + 20 * 1000 * MS);
    ck_assert(!pool_look(pool).more);
}
END_TEST

/* A megabyte each 100 ms, for a minute and a half: a look each time that 16 have gone, and nothing else. */
START_TEST(a_trickle_costs_nothing)
{
    run_flow(1, 100 * MS, 900);
    ck_assert(!flow.was_held);
    ck_assert_int_eq(fake.given_back, 0);
    ck_assert_int_eq(fake.sleeps, 900);
}
END_TEST

/* Nothing was taken for long, and then all comes back at once. */
START_TEST(what_a_standstill_leaves_is_given_back)
{
    void *taken[12];
    size_t size = MIB;

    for (int i = 0; i < 12; i++)
        taken[i] = pool_take(pool, &size);
    run();
    ck_assert_int_eq(fake.sleeps, 0);
    fake.now += 600 * 1000 * MS;
    for (int i = 0; i < 12; i++)
        pool_give(pool, taken[i], size);
    run();
    ck_assert(!pool_look(pool).more);
    ck_assert_int_eq(fake.given_back, 1);
    ck_assert_int_le(fake.sleeps, 3);
}
END_TEST

/* Small chunks, of which nothing is kept as a block, waited for an outage's end: what others had for them is
 * free as well. */
START_TEST(what_an_outage_leaves_is_given_back)
{
    enum { COUNT = 3000 };
    void *taken[COUNT];
    size_t size = 1000;

    for (int i = 0; i < COUNT; i++)
        taken[i] = pool_take(pool, &size);
    run();
    ck_assert_int_eq(fake.given_back, 0);
    fake.now += 600 * 1000 * MS;
    for (int i = 0; i < COUNT; i++)
        pool_give(pool, taken[i], size);
    run();
    ck_assert_int_eq(fake.given_back, 1);
    ck_assert_int_le(fake.sleeps, 1);
    run();
    ck_assert_int_eq(fake.given_back, 1);
}
END_TEST

/* A swapped sink. Twice in a row: the second has to wait for its turn. */
START_TEST(what_others_freed_is_given_back_soon)
{
    uint64_t first, from = fake.now;

    trim_soon(&trim);
    run();
    first = fake.given_at;
    ck_assert_int_eq(fake.given_back, 1);
    ck_assert_uint_le(first - from, 1000 * MS);
    trim_soon(&trim);
    run();
    ck_assert_int_eq(fake.given_back, 2);
    ck_assert_uint_eq(fake.given_at - first, 10000 * MS);
}
END_TEST

/* Chunks come back until the very end. */
START_TEST(after_the_end_nobody_is_told)
{
    trim_finish(&trim);
    use(20);
    trim_finish(&trim);
    trim_soon(&trim);
    run();
    ck_assert_int_eq(fake.given_back, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("trim");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, idle_nothing_wakes_up);
    tcase_add_test(t, the_heap_is_held_while_much_flows);
    tcase_add_test(t, a_trickle_costs_nothing);
    tcase_add_test(t, what_a_standstill_leaves_is_given_back);
    tcase_add_test(t, what_an_outage_leaves_is_given_back);
    tcase_add_test(t, what_others_freed_is_given_back_soon);
    tcase_add_test(t, after_the_end_nobody_is_told);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
