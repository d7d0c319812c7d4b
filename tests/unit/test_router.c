/* SPDX-License-Identifier: Apache-2.0 */
/* Wildcards, rules, and the routes that come of them. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "router.h"

static struct output *const A = (struct output *)0x10, *const B = (struct output *)0x20;

static const struct {
    const char *pattern, *text;
    bool matches;
} wildcards[] = {
    {"web.access", "web.access", true},
    {"web.access", "web.acces", false},
    {"web.access", "web.accesss", false},
    {"*", "", true},
    {"*", "any.thing", true},
    {"web.*", "web.", true},
    {"web.*", "web", false},
    {"web.*", "web.a.b", true},
    {"*.access", "web.access", true},
    {"*.access", "access", false},
    {"a*b*c", "aXbYc", true},
    {"a*b*c", "abc", true},
    {"a*b*c", "acb", false},
    {"**", "x", true},
    {"", "", true},
    {"", "x", false},
    {"x", "", false},
    {"*a", "bababa", true},
    {"*ab", "aab", true},
    {"a.b", "axb", false},
    {"WEB", "web", false},
};

START_TEST(wildcard)
{
    ck_assert_msg(router_match_wildcard(wildcards[_i].pattern, wildcards[_i].text) == wildcards[_i].matches,
                  "'%s' on '%s'", wildcards[_i].pattern, wildcards[_i].text);
}
END_TEST

static void expect(struct router *r, const char *tag, const char *topic, struct output *first,
                   struct output *second)
{
    struct route *route = router_get(r, tag, topic);
    size_t count = (first != NULL) + (second != NULL);

    ck_assert_ptr_nonnull(route);
    ck_assert_msg(route->count == count, "tag '%s', topic '%s': %zu outputs", tag, topic, route->count);
    if (first)
        ck_assert_ptr_eq(route->outputs[0], first);
    if (second)
        ck_assert_ptr_eq(route->outputs[1], second);
    ck_assert_str_eq(route->tag, tag);
    ck_assert_str_eq(route->topic, topic);
    route_unref(route);
}

START_TEST(rules)
{
    struct router *r = router_create();

    ck_assert_int_eq(router_add(r, A, "web.*", NULL, NULL, NULL), 0);
    ck_assert_int_eq(router_add(r, B, NULL, "^(web|db)\\.[0-9]+$", NULL, NULL), 0);
    expect(r, "web.1", "", A, B);
    expect(r, "web.x", "", A, NULL);
    expect(r, "db.22", "any", B, NULL);
    expect(r, "db", "", NULL, NULL);
    router_destroy(r);
}
END_TEST

START_TEST(topics_narrow_a_rule)
{
    struct router *r = router_create();

    ck_assert_int_eq(router_add(r, A, NULL, NULL, "web_*", NULL), 0);
    ck_assert_int_eq(router_add(r, B, "x", NULL, "", NULL), 0);
    expect(r, "x", "web_log", A, NULL);
    expect(r, "x", "", B, NULL);
    expect(r, "y", "", NULL, NULL);
    expect(r, "y", "web_", A, NULL);
    router_destroy(r);
}
END_TEST

START_TEST(match_and_regex_add_up)
{
    struct router *r = router_create();

    ck_assert_int_eq(router_add(r, A, "a", "^b$", NULL, NULL), 0);
    expect(r, "a", "", A, NULL);
    expect(r, "b", "", A, NULL);
    expect(r, "c", "", NULL, NULL);
    router_destroy(r);
}
END_TEST

START_TEST(a_route_is_resolved_once_and_outlives_the_router)
{
    struct router *r = router_create();

    ck_assert_int_eq(router_add(r, A, NULL, NULL, NULL, NULL), 0);
    struct route *one = router_get(r, "t", "u"), *two = router_get(r, "t", "u"),
                 *other = router_get(r, "tu", "");
    ck_assert_ptr_eq(one, two);
    ck_assert_ptr_ne(one, other);
    route_unref(two);
    route_unref(other);
    router_destroy(r);
    ck_assert_str_eq(one->tag, "t");
    route_unref(one);
    route_unref(NULL);
}
END_TEST

START_TEST(a_bad_regex_says_where)
{
    struct router *r = router_create();
    char *why = NULL;

    ck_assert_int_eq(router_add(r, A, NULL, "web(", NULL, &why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "web("));
    ck_assert_ptr_nonnull(strstr(why, "character 5"));
    free(why);
    expect(r, "web(", "", NULL, NULL);
    router_destroy(r);
}
END_TEST

static int held;

static void hold(struct output *o)
{
    ck_assert(o == A || o == B);
    held++;
}

static void release(struct output *o)
{
    ck_assert(o == A || o == B);
    held--;
}

START_TEST(new_rules)
{
    struct router *r = router_create(), *next = router_create();

    held = 0;
    router_hold_outputs(r, hold, release);
    ck_assert_int_eq(router_add(r, A, "a", NULL, NULL, NULL), 0);
    ck_assert_int_eq(router_add(r, B, "*", NULL, NULL, NULL), 0);
    struct route *old = router_get(r, "a", "");
    ck_assert(router_is_current(r, old));
    ck_assert_int_eq(held, 2);
    ck_assert_int_eq(router_add(next, B, "*", NULL, NULL, NULL), 0);
    router_take_rules(r, next);
    ck_assert(!router_is_current(r, old));
    expect(r, "a", "", B, NULL);
    ck_assert_int_eq(held, 3);
    ck_assert_ptr_eq(old->outputs[0], A); /* who has the old one keeps it */
    route_unref(old);
    ck_assert_int_eq(held, 1);
    router_take_rules(r, next); /* of which there are none */
    router_destroy(next);
    expect(r, "a", "", NULL, NULL);
    ck_assert_int_eq(router_add(r, A, NULL, NULL, NULL, NULL), 0);
    expect(r, "b", "", A, NULL);
    router_destroy(r);
    ck_assert_int_eq(held, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("router");
    TCase *t = tcase_create("all");

    tcase_add_loop_test(t, wildcard, 0, sizeof(wildcards) / sizeof(*wildcards));
    tcase_add_test(t, rules);
    tcase_add_test(t, topics_narrow_a_rule);
    tcase_add_test(t, match_and_regex_add_up);
    tcase_add_test(t, a_route_is_resolved_once_and_outlives_the_router);
    tcase_add_test(t, a_bad_regex_says_where);
    tcase_add_test(t, new_rules);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
