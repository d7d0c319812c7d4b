/* SPDX-License-Identifier: Apache-2.0 */
/* Slabs: blocks do not overlap, come back, and what is empty is given back. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "slab.h"

enum { BLOCKS = 5000 };

static void *blocks[BLOCKS];

static void take_all(struct slabs *all, struct slab **with_room, size_t size)
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = slab_take(all, with_room, size);
        ck_assert_ptr_nonnull(blocks[i]);
        ck_assert_uint_eq((uintptr_t)blocks[i] % 64, 0);
        memset(blocks[i], i % 251, size);
    }
    for (int i = 0; i < BLOCKS; i++)
        for (size_t at = 0; at < size; at += size - 1)
            ck_assert_uint_eq(((unsigned char *)blocks[i])[at], i % 251);
}

static long mapped_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long total;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%ld", &total), 1);
    fclose(file);
    return total;
}

START_TEST(blocks_are_apart)
{
    static const size_t sizes[] = {64, 1024, 1280, 3584, 4096};
    struct slabs all = {0};
    struct slab *with_room[5] = {0};

    for (int i = 0; i < 5; i++) {
        take_all(&all, &with_room[i], sizes[i]);
        for (int n = 0; n < BLOCKS; n++)
            slab_give(&all, &with_room[i], blocks[n]);
        ck_assert_ptr_null(with_room[i]);
    }
    slabs_trim(&all);
}
END_TEST

START_TEST(the_last_block_back_is_the_next_out)
{
    struct slabs all = {0};
    struct slab *with_room = NULL;
    void *a = slab_take(&all, &with_room, 1024), *b = slab_take(&all, &with_room, 1024);

    slab_give(&all, &with_room, a);
    ck_assert_ptr_eq(slab_take(&all, &with_room, 1024), a);
    slab_give(&all, &with_room, a);
    slab_give(&all, &with_room, b);
    slabs_trim(&all);
}
END_TEST

/* In any order, with some that stay. */
START_TEST(what_is_empty_goes)
{
    const long page = sysconf(_SC_PAGESIZE);
    struct slabs all = {0};
    struct slab *with_room = NULL;
    long before = mapped_pages();

    take_all(&all, &with_room, 1024);
    ck_assert_int_ge(mapped_pages() - before, BLOCKS * 1024L / page);
    for (int i = 0; i < BLOCKS; i += 2)
        slab_give(&all, &with_room, blocks[i]);
    for (int i = 1; i < BLOCKS - 1; i += 2)
        slab_give(&all, &with_room, blocks[i]);
    ck_assert_int_le(mapped_pages() - before, (5 * 64L << 10) / page); /* four spare ones, and that one */
    for (int i = 0; i < BLOCKS - 1; i++)
        blocks[i] = slab_take(&all, &with_room, 1024);
    for (int i = 0; i < BLOCKS; i++)
        slab_give(&all, &with_room, blocks[i]);
    slabs_trim(&all);
    ck_assert_int_le(mapped_pages() - before, (64L << 10) / page);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slab");
    TCase *tc = tcase_create("slabs");

    tcase_add_test(tc, blocks_are_apart);
    tcase_add_test(tc, the_last_block_back_is_the_next_out);
    tcase_add_test(tc, what_is_empty_goes);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
