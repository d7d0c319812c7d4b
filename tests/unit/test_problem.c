/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with their place, and the nearest name. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "problem.h"

START_TEST(place_and_kind)
{
    struct problems problems = {0};
    problem_error(&problems, &(struct origin){"a.yaml", 3, 7}, "no '%s'", "x");
    problem_warn(&problems, &(struct origin){"a.yaml", 3, 0}, "careful");
    problem_error(&problems, &(struct origin){.file = "command line"}, "what");
    problem_error(&problems, NULL, "nowhere");
    ck_assert_uint_eq(problems.count, 4);
    ck_assert_uint_eq(problems.errors, 3);
    ck_assert_str_eq(problems.items[0].text, "a.yaml:3:7: no 'x'");
    ck_assert(!problems.items[0].warning);
    ck_assert_str_eq(problems.items[1].text, "a.yaml:3: careful");
    ck_assert(problems.items[1].warning);
    ck_assert_str_eq(problems.items[2].text, "command line: what");
    ck_assert_str_eq(problems.items[3].text, "nowhere");
    problems_clear(&problems);
    ck_assert_uint_eq(problems.count + problems.errors, 0);
    ck_assert_ptr_null(problems.items);
}
END_TEST

START_TEST(printed_as_editors_read_it)
{
    struct problems problems = {0};
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    problem_error(&problems, &(struct origin){"a.yaml", 3, 7}, "wrong");
    problem_warn(&problems, NULL, "odd");
    problems_print(&problems, file);
    fclose(file);
    ck_assert_str_eq(text, "a.yaml:3:7: error: wrong\nwarning: odd\n");
    free(text);
    problems_clear(&problems);
}
END_TEST

START_TEST(one_line_whatever_is_in_it)
{
    struct problems problems = {0};
    problem_error(&problems, &(struct origin){"a\nb", 1, 1}, "got '%s'",
                  "x\n\x1b[31m\xff\x7f\xc2\x85 \xc3\xa4");
    ck_assert_str_eq(problems.items[0].text, "a\\nb:1:1: got 'x\\n\\x1b[31m\\xff\\x7f\\u0085 \xc3\xa4'");
    problems_clear(&problems);
}
END_TEST

START_TEST(many_are_counted_but_not_kept)
{
    struct problems problems = {0};
    for (int i = 0; i < 1000; i++)
        problem_error(&problems, NULL, "%d", i);
    for (int i = 0; i < 5; i++)
        problem_warn(&problems, NULL, "%d", i);
    ck_assert_uint_eq(problems.errors, 1000);
    ck_assert_uint_eq(problems.warnings, 5);
    ck_assert_uint_lt(problems.count, 1000);
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    problems_print(&problems, file);
    fclose(file);
    ck_assert_ptr_nonnull(strstr(text, "error: 900 more errors are not shown\n"));
    ck_assert_ptr_nonnull(strstr(text, "warning: 5 more warnings are not shown\n"));
    free(text);
    problems_clear(&problems);
}
END_TEST

START_TEST(moved_to_another_list)
{
    struct problems all = {0}, more = {0};
    problem_warn(&all, NULL, "one");
    problem_error(&more, NULL, "two");
    problem_warn(&more, NULL, "three");
    problems_move(&all, &more);
    ck_assert(more.count == 0 && more.errors == 0 && !more.items);
    ck_assert(all.count == 3 && all.errors == 1);
    ck_assert_str_eq(all.items[1].text, "two");
    ck_assert(all.items[2].warning);
    for (int i = 0; i < 150; i++)
        problem_error(&more, NULL, "%d", i);
    problems_move(&all, &more);
    problems_move(&all, &more);                       /* nothing */
    ck_assert(all.count == 100 && all.errors == 151); /* what is kept is bounded, what is counted is not */
    ck_assert_str_eq(all.items[99].text, "96");
    problems_clear(&all);
}
END_TEST

static const char *const names[] = {"path", "exclude_path", "read_from_head", "tag", "topic", "rotate_wait"};

static const char *nearest(const char *name)
{
    return problem_nearest(name, names, sizeof names / sizeof *names);
}

START_TEST(nearest_names)
{
    ck_assert_str_eq(nearest("pth"), "path");
    ck_assert_str_eq(nearest("PATH"), "path");
    ck_assert_str_eq(nearest("ptah"), "path");
    ck_assert_str_eq(nearest("tga"), "tag");
    ck_assert_str_eq(nearest("read_from_haed"), "read_from_head");
    ck_assert_str_eq(nearest("rotatewait"), "rotate_wait");
    ck_assert_str_eq(nearest("exclude_pathh"), "exclude_path");
    ck_assert_ptr_null(nearest("something_else"));
    ck_assert_ptr_null(nearest(""));
    ck_assert_ptr_null(nearest("xyz"));
    ck_assert_ptr_null(problem_nearest("path", NULL, 0));
}
END_TEST

START_TEST(nearest_of_long_names)
{
    char longest[300];
    for (size_t length = 60; length < sizeof longest - 1; length++) {
        memset(longest, 'a', length);
        longest[length] = '\0';
        const char *one = longest;
        const char *found = problem_nearest(longest, &one, 1);
        ck_assert(length <= 64 ? found == longest : found == NULL);
        ck_assert_ptr_null(problem_nearest("path", &one, 1));
        ck_assert_ptr_null(nearest(longest));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("problem");
    TCase *tcase = tcase_create("all");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, place_and_kind);
    tcase_add_test(tcase, printed_as_editors_read_it);
    tcase_add_test(tcase, one_line_whatever_is_in_it);
    tcase_add_test(tcase, many_are_counted_but_not_kept);
    tcase_add_test(tcase, moved_to_another_list);
    tcase_add_test(tcase, nearest_names);
    tcase_add_test(tcase, nearest_of_long_names);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
