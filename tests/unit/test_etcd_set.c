/* SPDX-License-Identifier: Apache-2.0 */
/* in_etcd without etcd: keys as they come and go, the set that is made of them, and what is refused. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "items.h"
#include "keys.h"
#include "merge.h"

static struct etcd_settings settings;
static struct etcd_keys keys;
static struct etcd_items given;
static struct etcd_refusals refused;

static void set_up(void)
{
    settings = (struct etcd_settings){.max_entries = 100000, .max_value_size = 1 << 20};
    keys = (struct etcd_keys){.settings = &settings, .tag = "t"};
}

static void tear_down(void)
{
    etcd_items_clear(&given);
    etcd_refusals_clear(&refused);
    etcd_keys_clear(&keys);
}

/* The keys are `first` to `last` without `left_out`, with a value for each that names it, in the order of the
 * names. */
static void take(unsigned first, unsigned last, unsigned left_out)
{
    size_t count = 0;
    struct etcd_snapshot s = {.revision = 1, .kvs = calloc(last - first + 1, sizeof(*s.kvs))};

    for (unsigned i = first; i <= last; i++) {
        if (i == left_out)
            continue;
        struct etcd_kv *kv = &s.kvs[count++];
        ck_assert_int_ge(asprintf(&kv->key, "k/%06u", i), 0);
        kv->size = (size_t)asprintf(&kv->value, "{\"path\":\"/%u\"}", i);
    }
    s.count = count;
    keys.changed = false;
    ck_assert_int_eq(etcd_keys_take(&keys, &s), 0);
    etcd_snapshot_clear(&s);
}

static void check_keys(unsigned first, unsigned last, unsigned left_out)
{
    bool *seen = calloc(last + 1, sizeof(*seen));

    for (size_t i = 0; i < keys.count; i++) {
        unsigned n = (unsigned)atoi(keys.list[i].kv.key + 2);
        char path[16];
        ck_assert(n >= first && n <= last && n != left_out && !seen[n]);
        seen[n] = true;
        snprintf(path, sizeof(path), "/%u", n);
        ck_assert_uint_eq(keys.list[i].entries.count, 1);
        ck_assert_str_eq(etcd_entry_path(keys.list[i].entries.items[0]), path);
    }
    ck_assert_uint_eq(keys.count, last - first + 1 - (left_out >= first && left_out <= last));
    free(seen);
}

START_TEST(keys_that_come_and_go)
{
    const unsigned none = 0;

    take(10, 29, none);
    check_keys(10, 29, none);
    ck_assert(keys.changed);
    take(10, 29, none);
    ck_assert(!keys.changed);
    take(5, 29, none); /* before all others */
    check_keys(5, 29, none);
    ck_assert(keys.changed);
    take(5, 29, none);
    ck_assert(!keys.changed);
    take(5, 31, 17);
    check_keys(5, 31, 17);
    take(20, 40, 25);
    check_keys(20, 40, 25);
    take(20, 40, none);
    check_keys(20, 40, none);
    take(50, 50, none);
    check_keys(50, 50, none);
}
END_TEST

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The CPU time for that many keys that are new, then have one more before them, and then one less. */
static double cost_of(unsigned many)
{
    double begin = cpu_seconds();

    take(1, many, 0);
    take(0, many, many + 1); /* none stands where it stood */
    take(0, many, many / 2);
    ck_assert_uint_eq(keys.count, many);
    etcd_keys_clear(&keys);
    return cpu_seconds() - begin;
}

/* Ten times the keys take ten times the time, and not a hundred: each is looked for. */
START_TEST(many_keys)
{
    enum { MANY = 30000 };
    double few = cost_of(MANY / 10), many = cost_of(MANY);

    ck_assert_msg(many < 45 * few, "%u keys take %.3f s, %u %.3f s", MANY / 10, few, MANY, many);
}
END_TEST

START_TEST(many_refusals)
{
    enum { MANY = 50000 };
    struct etcd_refused one = {"k", NULL};
    char error[32];
    double begin = cpu_seconds();
    size_t from = 0, i;

    for (i = 0; i < MANY; i++) {
        snprintf(error, sizeof(error), "error of no %zu", i);
        ck_assert_int_eq(etcd_refusals_add(&refused, "k", error), 0);
    }
    for (i = 0; i < MANY; i++) {
        snprintf(error, sizeof(error), "error of no %zu", (i + 1) % MANY); /* as when the first one goes */
        one.error = error;
        ck_assert(etcd_refusals_have(&refused, &one, &from));
    }
    one.error = "another one";
    ck_assert(!etcd_refusals_have(&refused, &one, &from));
    ck_assert_msg(cpu_seconds() - begin < 5, "%.1f s", cpu_seconds() - begin);
}
END_TEST

/* -- More entries than there may be -------------------------------------------------------------------- */

/* The value of key "k", merged with what is in force, which it then is itself. */
static void merge(const char *value)
{
    struct etcd_kv kv = {"k", (char *)value, strlen(value), 1};
    const struct etcd_snapshot s = {.revision = 1, .kvs = &kv, .count = 1};
    struct etcd_items items;

    ck_assert_int_eq(etcd_keys_take(&keys, &s), 0);
    etcd_refusals_clear(&refused);
    ck_assert_int_eq(etcd_merge(&keys, &given, &items, &refused), 0);
    etcd_items_clear(&given);
    given = items;
}

/* The ids in force, and the origins that are refused, are these; in any order. */
static void check_merged(const char *const *ids, size_t refusals)
{
    size_t count = 0;

    for (; ids[count]; count++)
        ck_assert_msg(etcd_items_find(&given, ids[count]) != NULL, "%s is gone", ids[count]);
    ck_assert_uint_eq(given.count, count);
    ck_assert_uint_eq(refused.count, refusals);
}

START_TEST(what_runs_stays)
{
    settings.max_entries = 3;
    merge("[{\"path\":\"/b\",\"topic\":\"1\"},{\"path\":\"/c\",\"id\":\"cid\"},{\"path\":\"/d\"}]");
    check_merged((const char *const[]){"/b", "cid", "/d", NULL}, 0);
    /* new ones before them */
    merge("[{\"path\":\"/a\"},{\"path\":\"/b\",\"topic\":\"1\"},{\"path\":\"/x\",\"id\":\"x\"},"
          "{\"path\":\"/c\",\"id\":\"cid\"},{\"path\":\"/d\"}]");
    check_merged((const char *const[]){"/b", "cid", "/d", NULL}, 2);
    ck_assert_str_eq(refused.list[0].key, "k[1]");
    ck_assert_str_eq(refused.list[0].error, "there are more than max_entries (3)");
    ck_assert_str_eq(refused.list[1].key, "k[3]");
    /* the same path for another topic, before the one that runs; then that one's topic is changed */
    merge(
        "[{\"path\":\"/b\",\"topic\":\"2\"},{\"path\":\"/b\",\"topic\":\"1\"},{\"path\":\"/c\",\"id\":\"cid\"},{\"path\":\"/d\"}]");
    check_merged((const char *const[]){"/b", "cid", "/d", NULL}, 1);
    ck_assert_str_eq(refused.list[0].key, "k[1]");
    ck_assert_str_eq(etcd_entry_topic(etcd_items_find(&given, "/b")->entry), "1");
    merge(
        "[{\"path\":\"/a\"},{\"path\":\"/b\",\"topic\":\"3\"},{\"path\":\"/c\",\"id\":\"cid\"},{\"path\":\"/d\"}]");
    check_merged((const char *const[]){"/b", "cid", "/d", NULL}, 1);
    ck_assert_str_eq(etcd_entry_topic(etcd_items_find(&given, "/b")->entry), "3");
    /* one that runs and is bad now goes on as it was */
    merge(
        "[{\"path\":\"/a\"},{\"path\":\"/b\",\"topic\":{}},{\"path\":\"/c\",\"id\":\"cid\"},{\"path\":\"/d\"}]");
    check_merged((const char *const[]){"/b", "cid", "/d", NULL}, 2);
    /* what weir refused does not run; where one goes, the next one has its place */
    etcd_items_find(&given, "/d")->refused = true;
    merge(
        "[{\"path\":\"/a\"},{\"path\":\"/b\",\"topic\":\"3\"},{\"path\":\"/c\",\"id\":\"cid\"},{\"path\":\"/d\"}]");
    check_merged((const char *const[]){"/a", "/b", "cid", NULL}, 1);
    merge("[{\"path\":\"/e\"},{\"path\":\"/a\"},{\"path\":\"/b\",\"topic\":\"3\"},{\"path\":\"/f\"}]");
    check_merged((const char *const[]){"/a", "/b", "/e", NULL}, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("etcd set");
    TCase *tcase = tcase_create("set");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, keys_that_come_and_go);
    tcase_add_test(tcase, many_keys);
    tcase_add_test(tcase, many_refusals);
    tcase_add_test(tcase, what_runs_stays);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
