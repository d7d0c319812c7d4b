/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that inputs out of a source share: the same text once, whatever their ids are, and each its own
 * again. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine_spec.h"

#define TEXT(literal) ((struct spec_text){literal, sizeof(literal)})

/* Shared, with the id, and what it says again. */
static struct spec_shared *share(struct spec_text text, const char *id)
{
    struct spec_shared *s = spec_share(&text, id);
    struct spec_text again;

    ck_assert_ptr_nonnull(s);
    ck_assert(spec_shared_is(s, id, &text));
    ck_assert_int_eq(spec_shared_text(s, id, &again), 0);
    ck_assert_uint_eq(again.size, text.size);
    ck_assert_mem_eq(again.bytes, text.bytes, text.size);
    free((char *)again.bytes);
    return s;
}

START_TEST(all_but_the_id_is_shared)
{
    struct spec_shared *a = share(TEXT("name\0tail\0path\0/a\0topic\0t"), "/a");
    struct spec_shared *b = share(TEXT("name\0tail\0path\0/longer\0topic\0t"), "/longer");

    ck_assert_ptr_eq(a, b);
    ck_assert(!spec_shared_is(a, "/a", &TEXT("name\0tail\0path\0/b\0topic\0t")));
    ck_assert(!spec_shared_is(a, "/a", &TEXT("name\0tail\0path\0/a\0topic\0u")));
    ck_assert(!spec_shared_is(a, "/a", &TEXT("name\0tail\0path\0/a\0topic\0t\0tag\0t")));
    ck_assert(!spec_shared_is(a, "/a", &TEXT("name\0tail\0path\0/a")));
    spec_unshare(a);
    ck_assert_str_eq(spec_shared_value(b, "/longer", "topic"), "t");
    ck_assert_str_eq(spec_shared_value(b, "/longer", "PATH"), "/longer");
    ck_assert_str_eq(spec_shared_value(b, "/longer", "name"), "tail");
    ck_assert_ptr_null(spec_shared_value(b, "/longer", "tag"));
    ck_assert_ptr_null(spec_shared_value(b, "/longer", "/longer"));
    spec_unshare(b);
    spec_unshare(NULL);
}
END_TEST

START_TEST(other_settings_are_not)
{
    struct spec_shared *all[] = {
        share(TEXT("name\0tail\0path\0/a\0topic\0t"), "/a"),
        share(TEXT("name\0tail\0path\0/a\0topic\0u"), "/a"),
        share(TEXT("name\0tail\0topic\0/a\0path\0t"), "/a"),
        share(TEXT("name\0tail\0path\0/a\0topic\0t"), "an id"),
        share(TEXT("name\0tail\0path\0\0topic\0t"), "an id"),
        share(TEXT("name\0tail\0path\0/a\0topic\0"), "/a"),
    };
    const size_t count = sizeof(all) / sizeof(*all);

    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < i; n++)
            ck_assert_ptr_ne(all[i], all[n]);
    ck_assert_str_eq(spec_shared_value(all[4], "an id", "path"), "");
    ck_assert_str_eq(spec_shared_value(all[5], "/a", "topic"), "");
    for (size_t i = 0; i < count; i++)
        spec_unshare(all[i]);
}
END_TEST

/* It may be the plugin's name, several values, a part of one, or a setting's name. */
START_TEST(the_id_is_the_first_value_that_it_is)
{
    struct spec_shared *name = share(TEXT("name\0tail\0path\0/a"), "tail");
    struct spec_shared *twice = share(TEXT("name\0tail\0path\0x\0topic\0x"), "x");
    struct spec_shared *part = share(TEXT("name\0tail\0path\0/a/b"), "/a");
    struct spec_shared *setting = share(TEXT("name\0tail\0path\0/a"), "path");

    ck_assert_str_eq(spec_shared_value(name, "tail", "name"), "tail");
    ck_assert_str_eq(spec_shared_value(twice, "x", "path"), "x");
    ck_assert_str_eq(spec_shared_value(twice, "x", "topic"), "x");
    ck_assert(!spec_shared_is(twice, "y", &TEXT("name\0tail\0path\0y\0topic\0y")));
    ck_assert_str_eq(spec_shared_value(part, "/a", "path"), "/a/b");
    ck_assert_str_eq(spec_shared_value(setting, "path", "path"), "/a");
    spec_unshare(name);
    spec_unshare(twice);
    spec_unshare(part);
    spec_unshare(setting);
}
END_TEST

/* More than there are buckets, of which each goes on its own. */
START_TEST(thousands_of_different_ones)
{
    enum { MANY = 5000 };
    static struct spec_shared *all[MANY];
    char bytes[64];

    for (int i = 0; i < MANY; i++) {
        int size = snprintf(bytes, sizeof(bytes), "name%ctail%ctopic%c%d", 0, 0, 0, i) + 1;
        struct spec_text text = {bytes, (size_t)size};
        all[i] = spec_share(&text, "id");
        ck_assert_ptr_nonnull(all[i]);
        ck_assert_ptr_eq(spec_share(&text, "id"), all[i]);
        spec_unshare(all[i]);
    }
    for (int i = 0; i < MANY; i += 2)
        spec_unshare(all[i]);
    for (int i = 1; i < MANY; i += 2) {
        snprintf(bytes, sizeof(bytes), "%d", i);
        ck_assert_str_eq(spec_shared_value(all[i], "id", "topic"), bytes);
        spec_unshare(all[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine spec");
    TCase *tc = tcase_create("shared settings");

    tcase_add_test(tc, all_but_the_id_is_shared);
    tcase_add_test(tc, other_settings_are_not);
    tcase_add_test(tc, the_id_is_the_first_value_that_it_is);
    tcase_add_test(tc, thousands_of_different_ones);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
