/* SPDX-License-Identifier: Apache-2.0 */
/* in_etcd without etcd: what it says to the gateway, and what it makes of the answers, good and bad. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base64.h"
#include "frames.h"
#include "gateway.h"
#include "names.h"

/* -- Base64 ----------------------------------------------------------------------------------------- */

static void check_base64(const char *bytes, size_t size, const char *text)
{
    char *encoded = etcd_base64_encode(bytes, size), *decoded;
    size_t back;

    ck_assert_str_eq(encoded, text);
    ck_assert_int_eq(etcd_base64_decode(text, strlen(text), &decoded, &back), 0);
    ck_assert_uint_eq(back, size);
    ck_assert_mem_eq(decoded, bytes, size);
    ck_assert_int_eq(decoded[size], 0);
    free(encoded);
    free(decoded);
}

START_TEST(base64)
{
    /* RFC 4648, section 10 */
    check_base64("", 0, "");
    check_base64("f", 1, "Zg==");
    check_base64("fo", 2, "Zm8=");
    check_base64("foo", 3, "Zm9v");
    check_base64("foob", 4, "Zm9vYg==");
    check_base64("fooba", 5, "Zm9vYmE=");
    check_base64("foobar", 6, "Zm9vYmFy");
    check_base64("\0\xff\xfe\xfb", 4, "AP/++w==");
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Z g=", "Zm9\n", "Zm=v", "Zm9-"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *decoded;
        size_t size;
        ck_assert_msg(etcd_base64_decode(bad[i], strlen(bad[i]), &decoded, &size) == -EBADMSG, "%s", bad[i]);
    }
}
END_TEST

/* -- Streams ---------------------------------------------------------------------------------------- */

struct seen {
    char text[256];
    unsigned count, end_at;
};

static int on_frame(void *data, const char *text, size_t size)
{
    struct seen *seen = data;
    size_t used = strlen(seen->text);

    snprintf(seen->text + used, sizeof(seen->text) - used, "%.*s|", (int)size, text);
    return ++seen->count == seen->end_at ? -ECONNRESET : 0;
}

static const char stream[] = "{\"a\":\"}{\\\"}\\\\\"}\n{}\r\n {\"b\":{\"c\":[{}]}}{\"d\":1}";
static const char objects[] = "{\"a\":\"}{\\\"}\\\\\"}|{}|{\"b\":{\"c\":[{}]}}|{\"d\":1}|";

START_TEST(frames_in_pieces)
{
    for (size_t piece = 1; piece <= strlen(stream); piece++) {
        struct etcd_frames f = {.max = 100};
        struct seen seen = {.count = 0};
        for (size_t at = 0; at < strlen(stream); at += piece) {
            size_t left = strlen(stream) - at;
            ck_assert_int_eq(etcd_frames_feed(&f, stream + at, left < piece ? left : piece, on_frame, &seen),
                             0);
        }
        ck_assert_str_eq(seen.text, objects);
        etcd_frames_clear(&f);
    }
}
END_TEST

START_TEST(frames_that_are_none)
{
    struct etcd_frames f = {.max = 10};
    struct seen seen = {.end_at = 2};

    ck_assert_int_eq(etcd_frames_feed(&f, "{}x", 3, on_frame, &seen), -EBADMSG);
    etcd_frames_clear(&f);
    ck_assert_int_eq(etcd_frames_feed(&f, "}", 1, on_frame, &seen), -EBADMSG);
    etcd_frames_clear(&f);
    ck_assert_int_eq(etcd_frames_feed(&f, "[{}]", 4, on_frame, &seen), -EBADMSG);
    etcd_frames_clear(&f);
    ck_assert_int_eq(etcd_frames_feed(&f, "{\"12345678", 10, on_frame, &seen), 0);
    ck_assert_int_eq(etcd_frames_feed(&f, "\"", 1, on_frame, &seen), -EMSGSIZE);
    etcd_frames_clear(&f);
    ck_assert_int_eq(etcd_frames_feed(&f, "{}{}", 4, on_frame, &seen), -ECONNRESET);
    ck_assert_uint_eq(seen.count, 2);
    etcd_frames_clear(&f);
}
END_TEST

/* -- Requests --------------------------------------------------------------------------------------- */

static void check_body(char *body, const char *wanted)
{
    ck_assert_str_eq(body, wanted);
    free(body);
}

START_TEST(requests)
{
    const struct etcd_target targets[] = {{"a", false}, {"b/", true}};
    const struct etcd_target last = {"\xff\xff", true};

    check_body(etcd_body_read(targets, 2, false),
               "{\"success\":[{\"request_range\":{\"key\":\"YQ==\"}},"
               "{\"request_range\":{\"key\":\"Yi8=\",\"range_end\":\"YjA=\"}}]}");
    check_body(etcd_body_read(targets, 1, true),
               "{\"success\":[{\"request_range\":{\"key\":\"YQ==\",\"keys_only\":true}}]}");
    check_body(etcd_body_read(&last, 1, false),
               "{\"success\":[{\"request_range\":{\"key\":\"//8=\",\"range_end\":\"AA==\"}}]}");
    check_body(etcd_body_watch(targets, 2, INT64_MAX),
               "{\"create_request\":{\"key\":\"YQ==\",\"start_revision\":\"9223372036854775807\","
               "\"progress_notify\":true}}\n"
               "{\"create_request\":{\"key\":\"Yi8=\",\"range_end\":\"YjA=\",\"start_revision\":"
               "\"9223372036854775807\",\"progress_notify\":true}}\n");
    check_body(etcd_body_authenticate("u\"", "p\\"), "{\"name\":\"u\\\"\",\"password\":\"p\\\\\"}");
    check_body(etcd_body_grant(60), "{\"TTL\":\"60\"}");
    check_body(etcd_body_keepalive(-1), "{\"ID\":\"-1\"}");
    check_body(etcd_body_put("k", "v", 1, 7), "{\"key\":\"aw==\",\"value\":\"dg==\",\"lease\":\"7\"}");
}
END_TEST

START_TEST(names)
{
    char host[256] = "", wanted[600];

    gethostname(host, sizeof(host) - 1);
    char *name = etcd_name_resolve("/a/${ip}/${hostname}/${x}$", "10.0.0.7");
    snprintf(wanted, sizeof(wanted), "/a/10.0.0.7/%s/${x}$", host);
    ck_assert_str_eq(name, wanted);
    free(name);
}
END_TEST

/* -- Answers ---------------------------------------------------------------------------------------- */

START_TEST(read_answer)
{
    static const char body[] =
        "{\"header\":{\"cluster_id\":\"18446744073709551615\",\"revision\":\"9\"},\"responses\":["
        "{\"response_range\":{\"kvs\":[{\"key\":\"YQ==\",\"mod_revision\":\"9\",\"value\":\"eAB5\"}],\"count\":\"1\"}},"
        "{\"response_range\":{}},"
        "{\"response_range\":{\"kvs\":[{\"key\":\"YQ==\",\"mod_revision\":\"9\"},{\"key\":\"YWI=\","
        "\"mod_revision\":8}]}}]}";
    struct etcd_snapshot s;
    const char *why = "";

    ck_assert_msg(etcd_take_read(body, strlen(body), &s, &why) == 0, "%s", why);
    ck_assert_uint_eq(s.cluster_id, UINT64_MAX);
    ck_assert_int_eq(s.revision, 9);
    ck_assert_uint_eq(s.count, 2); /* a key that two targets have is there once */
    ck_assert_str_eq(s.kvs[0].key, "a");
    ck_assert_uint_eq(s.kvs[0].size, 3);
    ck_assert_mem_eq(s.kvs[0].value, "x\0y", 4);
    ck_assert_str_eq(s.kvs[1].key, "ab");
    ck_assert_str_eq(s.kvs[1].value, "");
    ck_assert_int_eq(s.kvs[1].mod_revision, 8);
    etcd_snapshot_clear(&s);
}
END_TEST

/* Values longer than some length are not given to the JSON parser: none may see where that is. */
static void check_long(size_t letters, const char *end, const char *wanted_end)
{
    struct etcd_snapshot s;
    const char *why = "";
    char *body = malloc(letters + 1000), *to = body;

    to += sprintf(
        to, "{\"header\":{\"revision\":\"9\"},\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"YQ==\","
            "\"mod_revision\":\"9\",\"value\":\"");
    for (size_t i = 0; i < letters; i += 4)
        to = stpcpy(to, "YWJj");
    sprintf(to, "%s\"},{\"key\":\"Yg==\",\"value\":\"eA==\"}]}}]}", end);
    int rc = etcd_take_read(body, strlen(body), &s, &why);
    free(body);
    if (!wanted_end) {
        ck_assert_int_eq(rc, -EBADMSG);
        return;
    }
    ck_assert_msg(rc == 0, "%s", why);
    ck_assert_uint_eq(s.count, 2);
    ck_assert_uint_eq(s.kvs[0].size, letters / 4 * 3 + strlen(wanted_end));
    ck_assert_uint_eq(strlen(s.kvs[0].value), s.kvs[0].size);
    ck_assert_str_eq(s.kvs[0].value + letters / 4 * 3, wanted_end);
    ck_assert_str_eq(s.kvs[1].value, "x");
    etcd_snapshot_clear(&s);
}

START_TEST(long_values)
{
    static const size_t lengths[] = {0, 4000, 4088, 4092, 4096, 4100, 8192, 3000000};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        check_long(lengths[i], "", "");
        check_long(lengths[i], "eA==", "x");
        check_long(lengths[i], "\\u0065A==", "x"); /* with an escape, it is for the parser */
        check_long(lengths[i], "eA=", NULL);
        check_long(lengths[i], "e\xff==", NULL);
        check_long(lengths[i], "\\u00010", NULL); /* what stands in the place of a long one */
        check_long(lengths[i], "\\\\", NULL);
    }
}
END_TEST

/* Every value of a good answer is replaced by one of every other type: an answer or an error, never a crash.
 */
START_TEST(read_answer_of_wrong_types)
{
    static const char *const shapes[] = {
        "%s",
        "{\"header\":%s,\"responses\":[]}",
        "{\"header\":{\"revision\":%s},\"responses\":[]}",
        "{\"header\":{\"revision\":\"1\",\"cluster_id\":%s},\"responses\":1}",
        "{\"header\":{\"revision\":\"1\"},\"responses\":%s}",
        "{\"header\":{\"revision\":\"1\"},\"responses\":[%s]}",
        "{\"header\":{\"revision\":\"1\"},\"responses\":[{\"response_range\":%s}]}",
        "{\"header\":{\"revision\":\"1\"},\"responses\":[{\"response_range\":{\"kvs\":%s,\"x\":1}}]}",
        "{\"header\":{\"revision\":\"1\"},\"responses\":[{\"response_range\":{\"kvs\":[%s]}}]}",
        "{\"header\":{\"revision\":\"1\"},\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":%s}]}}]}",
        "{\"header\":{\"revision\":\"1\"},\"responses\":[{\"response_range\":{\"kvs\":[{\"value\":%s}]}}]}",
        "{\"header\":{\"revision\":\"1\"},\"responses\":[{\"response_range\":{\"kvs\":[{\"mod_revision\":%s}]}}]}",
    };
    static const char *const values[] = {"null",  "true",   "-1",       "1.5",
                                         "\"x\"", "\"\"",   "[]",       "{}",
                                         "[[]]",  "[null]", "\"AA==\"", "\"99999999999999999999\"",
                                         "\"1 \""};
    unsigned refused = 0;

    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        for (size_t k = 0; k < sizeof(values) / sizeof(*values); k++) {
            char body[512];
            const char *why = NULL;
            struct etcd_snapshot s;
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(body, sizeof(body), shapes[i], values[k]);
            int rc = etcd_take_read(body, strlen(body), &s, &why);
            if (rc == 0)
                etcd_snapshot_clear(&s);
            else
                ck_assert_msg(rc == -EBADMSG && why, "%s", body);
            refused += rc != 0;
            struct etcd_watch_message m;
            char *token = NULL;
            int64_t lease, ttl;
            etcd_take_watch(body, strlen(body), &m, &why);
            etcd_take_token(body, strlen(body), &token, &why);
            free(token);
            etcd_take_lease(body, strlen(body), &lease, &ttl, &why);
            char message[16];
            etcd_take_error(body, strlen(body), message, sizeof(message));
            etcd_is_old(body, strlen(body));
        }
    }
    ck_assert_uint_gt(refused, 100);
}
END_TEST

static struct etcd_watch_message watch(const char *body)
{
    struct etcd_watch_message m;
    const char *why = NULL;

    ck_assert_msg(etcd_take_watch(body, strlen(body), &m, &why) == 0, "%s", why);
    return m;
}

START_TEST(watch_answers)
{
    struct etcd_watch_message m = watch("{\"result\":{\"header\":{\"revision\":\"5\"},\"created\":true}}");
    ck_assert(m.created && m.revision == 5 && m.events == 0 && !m.canceled && !m.failed);
    /* a PUT has no type */
    m = watch(
        "{\"result\":{\"header\":{\"revision\":\"6\"},\"events\":[{\"kv\":{}},{\"type\":\"DELETE\"}]}}");
    ck_assert(m.events == 2 && m.revision == 6);
    m = watch(
        "{\"result\":{\"header\":{},\"canceled\":true,\"compact_revision\":\"7\",\"cancel_reason\":\"x\"}}");
    ck_assert(m.canceled && m.compacted == 7 && !strcmp(m.reason, "x"));
    m = watch("{\"error\":{\"grpc_code\":14,\"message\":\"no leader\"}}");
    ck_assert(m.failed && !strcmp(m.reason, "no leader"));
    const char *why;
    ck_assert_int_eq(etcd_take_watch("{\"result\":[]}", 13, &m, &why), -EBADMSG);
    ck_assert_int_eq(etcd_take_watch("{}", 2, &m, &why), -EBADMSG);
}
END_TEST

START_TEST(other_answers)
{
    char *token = NULL, text[64];
    int64_t lease = 0, ttl = 0;
    const char *why;

    ck_assert_int_eq(etcd_take_token("{\"token\":\"a.1\"}", 15, &token, &why), 0);
    ck_assert_str_eq(token, "a.1");
    free(token);
    ck_assert_int_eq(etcd_take_token("{\"token\":\"\"}", 12, &token, &why), -EBADMSG);
    ck_assert_int_eq(etcd_take_lease("{\"ID\":\"3\",\"TTL\":\"60\"}", 21, &lease, &ttl, &why), 0);
    ck_assert(lease == 3 && ttl == 60);
    ck_assert_int_eq(etcd_take_lease("{\"result\":{\"ID\":\"3\"}}", 21, &lease, &ttl, &why), 0);
    ck_assert(lease == 3 && ttl == 0); /* it has run out */
    etcd_take_error("{\"error\":\"etcdserver: permission denied\",\"code\":7}", 50, text, sizeof(text));
    ck_assert_str_eq(text, "etcdserver: permission denied");
    etcd_take_error("Not Found\r\nx", 12, text, sizeof(text));
    ck_assert_str_eq(text, "Not Found");
    ck_assert(etcd_is_old("{\"etcdserver\":\"3.3.27\"}", 23));
    ck_assert(!etcd_is_old("{\"etcdserver\":\"3.4.0\"}", 22));
    ck_assert(!etcd_is_old("{\"etcdserver\":\"4.0.0\"}", 22));
    ck_assert(!etcd_is_old("404", 3));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("etcd messages");
    TCase *tcase = tcase_create("messages");

    tcase_add_test(tcase, base64);
    tcase_add_test(tcase, frames_in_pieces);
    tcase_add_test(tcase, frames_that_are_none);
    tcase_add_test(tcase, requests);
    tcase_add_test(tcase, names);
    tcase_add_test(tcase, read_answer);
    tcase_add_test(tcase, long_values);
    tcase_add_test(tcase, read_answer_of_wrong_types);
    tcase_add_test(tcase, watch_answers);
    tcase_add_test(tcase, other_answers);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
