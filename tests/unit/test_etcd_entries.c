/* SPDX-License-Identifier: Apache-2.0 */
/* in_etcd without etcd: what values mean, which paths are allowed, and the file of the last good
 * configuration. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "allow.h"
#include "cache.h"
#include "entries.h"
#include "json_read.h"

static const char *const logs[] = {"/var/log/**"};
static const struct weir_list only_logs = {logs, 1};
static const struct weir_list anywhere = {NULL, 0};

static struct etcd_entries read_good(const char *value, const struct weir_list *allow)
{
    const struct etcd_rules rules = {allow, "the.tag"};
    struct etcd_entries entries = {0};
    char *why = NULL;

    ck_assert_msg(etcd_entries_read("k", value, strlen(value), &rules, NULL, &entries, &why) == 0, "%s: %s",
                  value, why);
    return entries;
}

/* "path=/a topic=t" */
static void check_settings(const struct etcd_entry *e, const char *wanted)
{
    char text[512] = "";
    struct weir_setting settings[ETCD_MOST_SETTINGS];

    ck_assert_msg(!etcd_entry_refusal(e), "%s", etcd_entry_refusal(e));
    etcd_entry_settings(e, settings);
    for (size_t i = 0; i < etcd_entry_count(e); i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%s=%s", i ? " " : "", settings[i].name,
                 settings[i].value);
    }
    ck_assert_str_eq(text, wanted);
}

START_TEST(good_entries)
{
    struct etcd_entries entries = read_good(
        "[{\"path\":\"/var/log/a\",\"topic\":\"t\"},"
        "{\"Path\":[\"/b\",\"/c*\"],\"id\":\"x\",\"TAG\":\"y\",\"name\":\"tail\",\"read_from_head\":true,"
        "\"max_open_files\":7,\"exclude_path\":[\"*.gz\",\"*.bz2\"]}]",
        &anywhere);

    ck_assert_uint_eq(entries.count, 2);
    check_settings(entries.items[0], "path=/var/log/a topic=t tag=the.tag");
    check_settings(
        entries.items[1],
        "path=/b path=/c* TAG=y read_from_head=true max_open_files=7 exclude_path=*.gz exclude_path=*.bz2");
    char origin[32];
    ck_assert_uint_ge(sizeof(origin), etcd_entry_origin_room(entries.items[0]));
    ck_assert_uint_eq(etcd_entry_origin(entries.items[0], origin), 4);
    ck_assert_str_eq(origin, "k[1]");
    ck_assert_str_eq(etcd_entry_id(entries.items[1]), "x");
    ck_assert_str_eq(etcd_entry_path(entries.items[1]), "/b,/c*");
    ck_assert(!etcd_entry_same(entries.items[0], entries.items[1]));
    etcd_entries_clear(&entries);
    entries = read_good("[]", &anywhere);
    ck_assert_uint_eq(entries.count, 0);
    etcd_entries_clear(&entries);
    entries = read_good(" {\"path\":\"/a\"} ", &anywhere);
    check_settings(entries.items[0], "path=/a tag=the.tag");
    etcd_entries_clear(&entries);
}
END_TEST

/* What entries say besides path and id is one text for all that say the same, and goes with the last of them.
 */
START_TEST(entries_share_what_they_say)
{
    struct etcd_entries entries = read_good(
        "[{\"path\":\"/a\",\"topic\":\"t\",\"x\":1},{\"path\":\"/longer/b\",\"topic\":\"t\",\"x\":1,\"id\":\"i\"},"
        "{\"path\":\"/a\",\"topic\":\"u\",\"x\":1},{\"path\":[\"/a\"],\"topic\":\"t\",\"x\":1},"
        "{\"path\":[\"/a\",\"/b\"],\"topic\":\"t\",\"x\":1},{\"path\":\"/a\",\"topic\":\"t\",\"x\":\"path\"}]",
        &anywhere);
    struct etcd_entry *const *e = entries.items;

    for (size_t i = 0; i < entries.count; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_msg((e[i]->form == e[k]->form) == (i == 1 && k == 0), "%zu and %zu", i, k);
    check_settings(e[0], "path=/a topic=t x=1 tag=the.tag");
    check_settings(e[1], "path=/longer/b topic=t x=1 tag=the.tag");
    check_settings(e[2], "path=/a topic=u x=1 tag=the.tag");
    check_settings(e[3], "path=/a topic=t x=1 tag=the.tag");
    check_settings(e[4], "path=/a path=/b topic=t x=1 tag=the.tag");
    check_settings(e[5], "path=/a topic=t x=path tag=the.tag");
    ck_assert_str_eq(etcd_entry_path(e[4]), "/a,/b");
    ck_assert_str_eq(etcd_entry_id(e[1]), "i");
    ck_assert_ptr_null(etcd_entry_id(e[0]));
    ck_assert_str_eq(etcd_entry_topic(e[2]), "u");

    struct etcd_entry *second = etcd_entry_ref(e[1]);
    etcd_entries_clear(&entries);
    check_settings(second, "path=/longer/b topic=t x=1 tag=the.tag");
    entries = read_good("[{\"path\":\"/c\",\"topic\":\"t\",\"x\":1}]", &anywhere);
    ck_assert_ptr_eq(entries.items[0]->form, second->form);
    etcd_entries_clear(&entries);
    etcd_entry_unref(second);
}
END_TEST

static void *read_often(void *data)
{
    size_t *count = data;

    for (int i = 0; i < 200; i++) {
        struct etcd_entries entries =
            read_good("[{\"path\":\"/a\",\"topic\":\"t\"},{\"path\":\"/b\"}]", &anywhere);
        *count += entries.count;
        etcd_entries_clear(&entries);
    }
    return NULL;
}

/* Each instance has its thread, and what they share comes and goes with what any of them reads. */
START_TEST(entries_of_several_threads)
{
    pthread_t threads[4];
    size_t counts[4] = {0};

    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_often, &counts[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(counts[i], 400);
    }
}
END_TEST

/* The entry is refused for that reason; the good ones at both sides of it are not. */
static void check_refused(const char *entry, const char *why)
{
    char value[20000];

    snprintf(value, sizeof(value), "[{\"path\":\"/var/log/1\"},%s,{\"path\":\"/var/log/2\"}]", entry);
    struct etcd_entries entries = read_good(value, &only_logs);
    ck_assert_uint_eq(entries.count, 3);
    ck_assert(!etcd_entry_refusal(entries.items[0]) && !etcd_entry_refusal(entries.items[2]));
    const char *refusal = etcd_entry_refusal(entries.items[1]);
    ck_assert_msg(refusal && strstr(refusal, why), "%s: %s", entry, refusal);
    etcd_entries_clear(&entries);
}

START_TEST(bad_entries)
{
    static const char *const types[] = {"null", "true", "1", "1.5", "\"x\"", "[]"};
    char long_one[10000];

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        check_refused(types[i], "no object");
    check_refused("{}", "no 'path'");
    check_refused("{\"path\":\"\"}", "empty");
    check_refused("{\"path\":7}", "not a string");
    check_refused("{\"path\":{}}", "not a string");
    check_refused("{\"path\":[]}", "empty list");
    check_refused("{\"path\":[\"/var/log/x\",null]}", "not a string");
    check_refused("{\"path\":[[\"/var/log/x\"]]}", "not a string");
    check_refused("{\"path\":\"var/log/x\"}", "not absolute");
    check_refused("{\"path\":\"/var/log/../../etc/shadow\"}", "'..'");
    check_refused("{\"path\":\"/var/log/..\"}", "'..'");
    check_refused("{\"path\":\"/var/log/a,b\"}", "comma");
    check_refused("{\"path\":\"/var/log/a\\u0000b\"}", "control characters");
    check_refused("{\"path\":\"/var/log/a\\nb\"}", "control characters");
    check_refused("{\"path\":\"/etc/shadow\"}", "outside of allow_path");
    check_refused("{\"path\":\"/var/logs/x\"}", "outside of allow_path");
    check_refused("{\"path\":[\"/var/log/x\",\"/dev/zero\"]}", "outside of allow_path");
    check_refused("{\"path\":\"/var/log/x\",\"topic\":null}", "'topic' is null");
    check_refused("{\"path\":\"/var/log/x\",\"topic\":{}}", "'topic' is an object");
    check_refused("{\"path\":\"/var/log/x\",\"topic\":[[1]]}", "'topic' is an object");
    check_refused("{\"path\":\"/var/log/x\",\"topic\":\"a\\u0001\"}", "control characters");
    check_refused("{\"path\":\"/var/log/x\",\"exclude_path\":[]}", "empty list");
    check_refused("{\"path\":\"/var/log/x\",\"alias\":\"a\"}", "'alias' can't be set here");
    check_refused("{\"path\":\"/var/log/x\",\"Allow_Path\":\"/\"}", "can't be set here");
    check_refused("{\"path\":\"/var/log/x\",\"name\":\"exec\"}", "'name' must be tail");
    check_refused("{\"path\":\"/var/log/x\",\"name\":1}", "'name' must be tail");
    check_refused("{\"path\":\"/var/log/x\",\"id\":\"\"}", "'id' must be");
    check_refused("{\"path\":\"/var/log/x\",\"id\":1}", "'id' must be");
    check_refused("{\"path\":\"/var/log/x\",\"\":1}", "member's name");
    memset(long_one, '/', sizeof(long_one));
    snprintf(long_one, 12, "{\"path\":\"/v");
    long_one[11] = '/';
    snprintf(long_one + 4000, 10, "x\"}");
    check_refused(long_one, "deeper");
    memset(long_one + 10, 'a', 5000);
    snprintf(long_one + 5010, 10, "x\"}");
    check_refused(long_one, "longer");
}
END_TEST

/* Of libjansson's allocations this one fails, and as many behind it. */
static size_t allocations, fails_from, fails_to;

static void *allocate(size_t size)
{
    allocations++;
    return allocations >= fails_from && allocations < fails_to ? NULL : malloc(size);
}

/* Whatever has no memory: it is said, and no other text comes of it. */
static void check_without_memory(const char *text, size_t in_a_row)
{
    json_error_t error;

    fails_from = fails_to = 0;
    json_t *whole = etcd_json_read(text, strlen(text), 0, &error);
    ck_assert_msg(whole, "%s: %s", text, error.text);
    for (size_t n = 1, count = SIZE_MAX; n <= count; n++) {
        allocations = 0;
        fails_from = n;
        fails_to = n + in_a_row;
        json_t *json = etcd_json_read(text, strlen(text), 0, &error);
        fails_from = fails_to = 0;
        if (count == SIZE_MAX && json)
            count = allocations;
        if (json)
            ck_assert_msg(json_equal(json, whole), "%zu: another value of %s", n, text);
        json_decref(json);
    }
    json_decref(whole);
}

START_TEST(json_without_memory)
{
    static const char *const texts[] = {
        "{\"path\":\"/var/log/nginx/access.log\",\"topic\":\"t\"}", "\"aaaaaaaaaaaaaa\"", "\"aaaaaaaaaaaaa\"",
        "[\"/var/log/a\",\"\\u00e4\\\"bcdefghijklmnopqrstuvwxyz0123456789\\ud83d\\ude00\",1234567890123456,0.5e2]"};
    char longer[4096];

    json_set_alloc_funcs(allocate, free);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        for (size_t in_a_row = 1; in_a_row <= 4; in_a_row++)
            check_without_memory(texts[i], in_a_row);
    for (size_t size = 10; size < 140; size++) {
        snprintf(longer, sizeof(longer), "[\"%0*d\"]", (int)size, 0);
        check_without_memory(longer, 1);
    }
    json_set_alloc_funcs(malloc, free);
}
END_TEST

/* The places are those of the text, whatever stands before it; what is expected is libjansson's own word for
 * it. */
static void check_json_error(const char *text, const char *why)
{
    json_error_t error, plain;

    ck_assert_ptr_null(etcd_json_read(text, strlen(text), 0, &error));
    ck_assert_ptr_null(json_loads(text, JSON_DECODE_ANY, &plain));
    ck_assert_msg(strstr(error.text, why ? why : plain.text), "%s: %s", text, error.text);
    ck_assert_int_ne(json_error_code(&error), json_error_out_of_memory);
    if (!why) {
        ck_assert_int_eq(error.line, plain.line);
        ck_assert_int_eq(error.column, plain.column);
    }
}

START_TEST(json_errors)
{
    check_json_error("{\"path\" \"/var/log/nginx\"}", NULL);
    check_json_error("[\"/var/log/nginx\",\n  nonsense]", NULL);
    check_json_error("{\"path\":\"/var/log/nginx\"", "ends before");
    check_json_error("\"/var/log/nginx", "ends before");
    check_json_error("[\"/var/log/nginx\"],[]", "more than one");
    check_json_error("", NULL);
}
END_TEST

START_TEST(bad_values)
{
    static const char *const bad[] = {"",      "null",
                                      "true",  "1",
                                      "\"x\"", "[{\"path\"",
                                      "[1,]",  "{\"a\":\"\xff\"}",
                                      "[] x",  "\xef\xbb\xbf[]",
                                      "[,]",   "[{},]",
                                      "[,{}]", "[{}{}]",
                                      "[{}],", "[{]}",
                                      "[}",    "[\"",
                                      "[{}",   "[",
                                      "]",     "[1 2]",
                                      "[\"\\"};
    const struct etcd_rules rules = {&anywhere, "t"};
    struct etcd_entries entries;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *why = NULL;
        ck_assert_msg(etcd_entries_read("k", bad[i], strlen(bad[i]), &rules, NULL, &entries, &why) == -EINVAL,
                      "%s", bad[i]);
        ck_assert_ptr_nonnull(why);
        free(why);
    }
    char *deep = malloc(40001), *why = NULL;
    memset(deep, '[', 20000);
    memset(deep + 20000, ']', 20000);
    ck_assert_int_eq(etcd_entries_read("k", deep, 40000, &rules, NULL, &entries, &why), -EINVAL);
    free(why);
    free(deep);
}
END_TEST

/* What is written as before is not read again, wherever it stands in the list. */
START_TEST(entries_are_kept)
{
    const char *old =
        "[ {\"path\":\"/a\"}, {\"path\":\"/b, ]\"} ,{\"path\":\"/c\",\"topic\":\"x]\\\"\"},{\"path\":7}]";
    const char *new =
        "[{\"path\":\"/new\"},{\"path\":\"/c\",\"topic\":\"x]\\\"\"},\n{\"path\":\"/a\"},{\"path\":\"/a\"},"
        "{\"path\":7},{ \"path\":\"/b, ]\"}]";
    const struct etcd_rules rules = {&anywhere, "the.tag"};
    struct etcd_entries first = read_good(old, &anywhere), next;
    const struct etcd_value before = {old, strlen(old), &first};
    char *why = NULL, origin[32];

    ck_assert_int_eq(etcd_entries_read("k", new, strlen(new), &rules, &before, &next, &why), 0);
    ck_assert_uint_eq(next.count, 6);
    ck_assert_ptr_eq(next.items[1], first.items[2]);
    ck_assert_ptr_eq(next.items[2], first.items[0]);
    ck_assert_ptr_ne(next.items[3], first.items[0]); /* two entries are two, though they say the same */
    ck_assert(etcd_entry_same(next.items[3], first.items[0]));
    ck_assert_ptr_eq(next.items[4], first.items[3]);
    ck_assert_ptr_ne(next.items[5], first.items[1]); /* it is written differently */
    ck_assert(etcd_entry_same(next.items[2], first.items[0]) && etcd_entry_refusal(next.items[4]));
    etcd_entry_origin(next.items[1], origin);
    ck_assert_str_eq(origin, "k[2]");
    etcd_entries_clear(&next);
    /* A bad value leaves what is there as it was, places too. */
    const char *bad = "[{\"path\":\"/c\",\"topic\":\"x]\\\"\"},{\"path\":}]";
    ck_assert_int_eq(etcd_entries_read("k", bad, strlen(bad), &rules, &before, &next, &why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "line 1"));
    free(why);
    for (size_t i = 0; i < first.count; i++)
        ck_assert_uint_eq(first.items[i]->number, i + 1);
    etcd_entries_clear(&first);
}
END_TEST

static bool allows(const char *pattern, const char *path)
{
    return etcd_allows(&(struct weir_list){&pattern, 1}, path);
}

START_TEST(allowed_paths)
{
    ck_assert(etcd_allows(&anywhere, "/etc/shadow"));
    ck_assert(allows("/var/log/**", "/var/log/a"));
    ck_assert(allows("/var/log/**", "/var/log/a/b/c.log"));
    ck_assert(allows("/var/log/**", "//var//log/./a") == allows("/var/log/**", "/var/log/./a"));
    ck_assert(!allows("/var/log/**", "/var/log"));
    ck_assert(!allows("/var/log/**", "/var/logs/a"));
    ck_assert(!allows("/var/log/**", "/etc/shadow"));
    ck_assert(allows("/var/log/*.log", "/var/log/a.log"));
    ck_assert(!allows("/var/log/*.log", "/var/log/a/b.log"));
    ck_assert(!allows("/var/log/*.log", "/var/log/a.txt"));
    ck_assert(allows("/srv/**/log/*.log", "/srv/a/b/log/x.log"));
    ck_assert(allows("/srv/**/log/*.log", "/srv/log/x.log"));
    ck_assert(!allows("/srv/**/log/*.log", "/srv/a/b/x.log"));
    /* a pattern in the path: where it may meet the allowed one */
    ck_assert(allows("/var/log/**", "/var/log/*/x"));
    ck_assert(allows("/var/log/**", "/var/*/x"));
    ck_assert(allows("/var/log/**", "/**/x"));
    ck_assert(!allows("/var/log/**", "/etc/*"));
    ck_assert(!allows("/var/log/**", "/etc/**"));
}
END_TEST

START_TEST(cache)
{
    char dir[] = "/tmp/weir-cache-XXXXXX";
    struct etcd_kv kvs[] = {{"a", "[\"\xc3\xa4\"]", 6, 1}, {"b", "", 0, 2}};
    struct etcd_snapshot s = {.cluster_id = UINT64_MAX, .revision = 77, .kvs = kvs, .count = 2}, back;
    struct stat st;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    char *path = etcd_cache_path(dir, "etcd/0");
    ck_assert_ptr_nonnull(strstr(path, "/etcd.etcd_0.json"));
    ck_assert_int_eq(etcd_cache_load(path, "key a\n", &back), -ENOENT);
    ck_assert_int_eq(etcd_cache_save(path, "key a\n", &s), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(etcd_cache_load(path, "key b\n", &back), -ESTALE);
    ck_assert_int_eq(etcd_cache_load(path, "key a\n", &back), 0);
    ck_assert(back.cluster_id == UINT64_MAX && back.revision == 77 && back.count == 2);
    ck_assert_str_eq(back.kvs[0].value, kvs[0].value);
    etcd_snapshot_clear(&back);
    /* cut off at any byte, it is no configuration */
    for (off_t size = st.st_size - 1; size >= 0; size--) {
        ck_assert_int_eq(truncate(path, size), 0);
        ck_assert_int_eq(etcd_cache_load(path, "key a\n", &back), -EBADMSG);
    }
    unlink(path);
    rmdir(dir);
    ck_assert_int_eq(etcd_cache_save(path, "key a\n", &s), -ENOENT);
    free(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("etcd entries");
    TCase *tcase = tcase_create("entries");

    tcase_add_test(tcase, good_entries);
    tcase_add_test(tcase, entries_share_what_they_say);
    tcase_add_test(tcase, entries_of_several_threads);
    tcase_add_test(tcase, bad_entries);
    tcase_add_test(tcase, bad_values);
    tcase_add_test(tcase, json_without_memory);
    tcase_add_test(tcase, json_errors);
    tcase_add_test(tcase, entries_are_kept);
    tcase_add_test(tcase, allowed_paths);
    tcase_add_test(tcase, cache);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
