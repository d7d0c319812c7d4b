/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks: sizes, alignment, reuse, and the budget. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "pool.h"

START_TEST(every_size_fits_and_is_aligned)
{
    struct pool *p = pool_create(1 << 30);

    for (size_t wanted = 1; wanted < (40u << 20); wanted += 1 + wanted / 7) {
        size_t size = wanted;
        void *block = pool_take(p, &size);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_ge(size, wanted);
        ck_assert(wanted <= 1024 || size <= wanted + wanted / 4 + 1);
        ck_assert_uint_eq((uintptr_t)block % 64, 0);
        ck_assert_uint_eq(atomic_load(&pool_gate(p)->used), size);
        memset(block, 0x5a, size);
        pool_give(p, block, size);
        ck_assert_uint_eq(atomic_load(&pool_gate(p)->used), 0);
    }
    pool_destroy(p);
}
END_TEST

START_TEST(exact_classes_are_not_rounded_up)
{
    struct pool *p = pool_create(1 << 30);

    for (size_t wanted = 1024; wanted <= (8u << 20); wanted *= 2) {
        size_t size = wanted;
        void *block = pool_take(p, &size);
        ck_assert_uint_eq(size, wanted);
        pool_give(p, block, size);
    }
    pool_destroy(p);
}
END_TEST

START_TEST(the_last_block_back_is_the_next_out)
{
    struct pool *p = pool_create(1 << 30);
    size_t size = 100000, again = 100000;
    void *a = pool_take(p, &size);

    pool_give(p, a, size);
    void *b = pool_take(p, &again);
    ck_assert_ptr_eq(a, b);
    ck_assert_uint_eq(size, again);
    pool_give(p, b, again);
    pool_destroy(p);
}
END_TEST

/* As it was given back, and not one that is mapped anew. */
START_TEST(the_largest_is_kept)
{
    struct pool *p = pool_create(1 << 30);
    size_t size = 8 << 20;
    uint8_t *block = pool_take(p, &size);

    memset(block, 0x5a, size);
    pool_give(p, block, size);
    block = pool_take(p, &size);
    ck_assert_uint_eq(size, 8 << 20);
    ck_assert_uint_eq(block[size - 1], 0x5a);
    pool_give(p, block, size);
    pool_destroy(p);
}
END_TEST

static long resident_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long total, resident;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%ld %ld", &total, &resident), 2);
    fclose(file);
    return resident;
}

/* Takes so many blocks of a megabyte, writes to them, and gives them back. */
static void use(struct pool *p, int blocks)
{
    void *taken[32];
    size_t size = 1 << 20;

    for (int i = 0; i < blocks; i++) {
        taken[i] = pool_take(p, &size);
        memset(taken[i], 1, size);
    }
    for (int i = 0; i < blocks; i++)
        pool_give(p, taken[i], size);
}

/* A full queue's blocks are written again and again; idle, they are given back. */
START_TEST(blocks_are_kept_while_they_are_used)
{
    enum { BLOCKS = 24 };
    const long pages = (1 << 20) / sysconf(_SC_PAGESIZE); /* of a block */
    struct pool *p = pool_create(1 << 30);
    long before = resident_pages();
    struct pool_look seen;

    for (int round = 0; round < 3; round++) {
        use(p, BLOCKS);
        ck_assert_int_ge(resident_pages() - before, (BLOCKS - 1) * pages);
        seen = pool_look(p);
        ck_assert_uint_eq(seen.dropped, 0);
        ck_assert(seen.more);
    }
    use(p, BLOCKS - 10); /* ten were not asked for, and eight may stay */
    seen = pool_look(p);
    ck_assert_uint_eq(seen.dropped, 2 << 20);
    ck_assert(seen.more);
    seen = pool_look(p);
    ck_assert_uint_eq(seen.dropped, 14 << 20);
    ck_assert(!seen.more);
#ifndef __SANITIZE_THREAD__ /* its shadow of them stays */
    ck_assert_int_le(resident_pages() - before, 9 * pages);
#endif
    pool_destroy(p);
}
END_TEST

static void count(void *data)
{
    ++*(int *)data;
}

static void use_each(struct pool *p, int times)
{
    while (times--)
        use(p, 1);
}

/* By what was taken since the last look, whether it came back or not; and once. */
START_TEST(much_that_is_taken_is_told)
{
    struct pool *p = pool_create(1 << 30);
    int told = 0;

    use_each(p, 7);
    pool_tell(p, count, &told);
    use_each(p, 8);
    ck_assert_uint_eq(pool_look(p).taken, 15 << 20);
    use_each(p, 15); /* not with those before it */
    ck_assert_int_eq(told, 0);
    use_each(p, 1);
    ck_assert_int_eq(told, 1);
    use_each(p, 8);
    ck_assert_int_eq(told, 1);
    pool_tell(p, count, &told); /* it is so already */
    ck_assert_int_eq(told, 2);
    ck_assert_uint_eq(pool_look(p).taken, 24 << 20);
    pool_tell(p, count, &told);
    pool_tell(p, NULL, NULL);
    use(p, 8);
    use(p, 8);
    ck_assert_int_eq(told, 2);
    pool_destroy(p);
}
END_TEST

/* Though little was taken since: it came back from a sink that was away. */
START_TEST(much_that_is_kept_is_told)
{
    enum { BLOCKS = 32 };
    struct pool *p = pool_create(1 << 30);
    size_t size = 1 << 20;
    void *taken[BLOCKS];
    int told = 0;

    for (int i = 0; i < BLOCKS; i++)
        taken[i] = pool_take(p, &size);
    pool_look(p);
    pool_tell(p, count, &told);
    for (int i = 0; i < 9; i++) {
        ck_assert_int_eq(told, 0);
        pool_give(p, taken[i], size);
    }
    ck_assert_int_eq(told, 1);
    struct pool_look seen = pool_look(p);
    ck_assert(seen.more && !seen.fell);
    for (int i = 9; i < BLOCKS; i++)
        pool_give(p, taken[i], size);
    pool_destroy(p);
}
END_TEST

/* Less than half of what there was, where that was two megabytes or more; of whatever size. */
START_TEST(what_is_not_used_any_more_is_told)
{
    enum { BLOCKS = 2048 };
    struct pool *p = pool_create(1 << 30);
    size_t size = 1024;
    void *taken[BLOCKS];
    int told = 0;

    pool_tell(p, count, &told);
    for (int i = 0; i < BLOCKS; i++)
        taken[i] = pool_take(p, &size);
    for (int i = 0; i < BLOCKS / 2; i++)
        pool_give(p, taken[i], size);
    ck_assert_int_eq(told, 0);
    pool_give(p, taken[BLOCKS / 2], size);
    ck_assert_int_eq(told, 1);
    ck_assert(pool_look(p).fell);
    pool_tell(p, count, &told);
    for (int i = BLOCKS / 2 + 1; i < BLOCKS; i++)
        pool_give(p, taken[i], size);
    ck_assert_int_eq(told, 1); /* of a megabyte */
    ck_assert(!pool_look(p).fell);
    pool_destroy(p);
}
END_TEST

START_TEST(an_absurd_size_is_refused)
{
    struct pool *p = pool_create(1 << 30);
    size_t size = SIZE_MAX - 5;

    ck_assert_ptr_null(pool_take(p, &size));
    ck_assert_uint_eq(atomic_load(&pool_gate(p)->used), 0);
    pool_destroy(p);
    pool_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("all");

    tcase_add_test(t, every_size_fits_and_is_aligned);
    tcase_add_test(t, exact_classes_are_not_rounded_up);
    tcase_add_test(t, the_last_block_back_is_the_next_out);
    tcase_add_test(t, the_largest_is_kept);
    tcase_add_test(t, blocks_are_kept_while_they_are_used);
    tcase_add_test(t, much_that_is_taken_is_told);
    tcase_add_test(t, much_that_is_kept_is_told);
    tcase_add_test(t, what_is_not_used_any_more_is_told);
    tcase_add_test(t, an_absurd_size_is_refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
