/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that inputs share: the same for those with the same options, and nothing of what was given is
 * kept. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "settings.h"

/* A configuration whose texts are in memory of its own. */
struct given {
    struct tail_config config;
    const char *lists[3][2];
    char texts[8][32];
    int used;
};

static const char *text(struct given *g, const char *value)
{
    return strcpy(g->texts[g->used++], value);
}

static struct given *given(const char *path, const char *key, const char *first, const char *second)
{
    struct given *g = calloc(1, sizeof(*g));

    ck_assert_ptr_nonnull(g);
    g->lists[0][0] = text(g, path);
    g->config.path = (struct weir_list){g->lists[0], 1};
    g->config.key = text(g, key);
    g->config.parser = text(g, "json");
    g->config.buffer_max_size = 4096;
    g->config.skip_long_lines = true;
    for (; first && g->config.exclude_path.count < 2; first = second)
        g->lists[1][g->config.exclude_path.count++] = text(g, first);
    g->config.exclude_path.items = g->lists[1];
    g->lists[2][0] = text(g, "/var/log/**");
    g->config.allow_path = (struct weir_list){g->lists[2], 1};
    return g;
}

static struct tail_settings *get(struct given *g)
{
    struct tail_settings *s = tail_settings_get(&g->config);

    ck_assert_ptr_nonnull(s);
    memset(g, 0xdb, sizeof(*g)); /* freed by weir, and used for something else */
    free(g);
    return s;
}

START_TEST(all_of_it_is_copied)
{
    struct tail_settings *s = get(given("/a", "log", "*.gz", "*.old"));

    ck_assert_str_eq(s->config.key, "log");
    ck_assert_str_eq(s->config.parser, "json");
    ck_assert_ptr_null(s->config.path_key);
    ck_assert_uint_eq(s->config.buffer_max_size, 4096);
    ck_assert_uint_eq(s->config.path.count, 0);
    ck_assert_uint_eq(s->config.exclude_path.count, 2);
    ck_assert_str_eq(s->config.exclude_path.items[0], "*.gz");
    ck_assert_str_eq(s->config.exclude_path.items[1], "*.old");
    ck_assert_str_eq(s->format.key, "log");
    ck_assert_int_eq(s->format.long_lines, TAIL_SKIP);
    ck_assert_ptr_nonnull(s->allow);
    ck_assert_int_eq(tail_glob_match(s->allow, "/var/log/a/b") & TAIL_IS_FILE, TAIL_IS_FILE);
    tail_settings_unref(s);
}
END_TEST

START_TEST(the_same_options_are_shared)
{
    struct tail_settings *a = get(given("/a", "log", "*.gz", "*.old"));
    struct tail_settings *b = get(given("/b", "log", "*.gz", "*.old"));

    ck_assert_ptr_eq(a, b);
    tail_settings_unref(a);
    ck_assert_str_eq(b->config.key, "log");
    tail_settings_unref(b);
    tail_settings_unref(NULL);
}
END_TEST

START_TEST(other_options_are_not)
{
    struct tail_settings *all[] = {
        get(given("/a", "log", "*.gz", "*.old")), get(given("/a", "msg", "*.gz", "*.old")),
        get(given("/a", "log", "*.old", "*.gz")), get(given("/a", "log", "*.gz*.old", "")),
        get(given("/a", "log", NULL, NULL)),
    };
    struct given *number = given("/a", "log", NULL, NULL);
    number->config.buffer_max_size++;
    struct tail_settings *last = get(number);

    for (size_t i = 0; i < 5; i++) {
        ck_assert_ptr_ne(all[i], last);
        for (size_t n = 0; n < i; n++)
            ck_assert_ptr_ne(all[i], all[n]);
    }
    for (size_t i = 0; i < 5; i++)
        tail_settings_unref(all[i]);
    tail_settings_unref(last);
}
END_TEST

START_TEST(an_empty_allowed_path_is_refused)
{
    struct given *g = given("/a", "log", NULL, NULL);

    g->lists[2][0] = "";
    ck_assert_ptr_null(tail_settings_get(&g->config));
    ck_assert_int_eq(errno, EINVAL);
    free(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail settings");
    TCase *tc = tcase_create("settings");

    tcase_add_test(tc, all_of_it_is_copied);
    tcase_add_test(tc, the_same_options_are_shared);
    tcase_add_test(tc, other_options_are_not);
    tcase_add_test(tc, an_empty_allowed_path_is_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
