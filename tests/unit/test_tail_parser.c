/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: JSON and regular expressions into fields, and the times that logs write. */
#include <limits.h>
#include <weir/json.h>
#include "tail_fixture.h"
#include "json.h"
#include "parser.h"
#include "times.h"

/* -- JSON --------------------------------------------------------------------------------------------- */

/* What the fields say, as JSON again; NULL: not taken. The caller frees. Source and output are as small as
 * can be, so that a sanitizer sees what lies beyond. */
static char *through(const void *json, size_t size, struct tail_json_field *field)
{
    uint8_t *source = malloc(size ? size : 1);
    struct tail_text out = {0};
    struct weir_json text = {0};
    uint32_t count;
    memcpy(source, json, size);
    int r = tail_json_read(source, size, &out, &count, field);
    free(source);
    if (r < 0) {
        ck_assert_int_eq(r, -EINVAL);
        ck_assert_uint_eq(out.size, 0);
        tail_text_free(&out);
        return NULL;
    }
    uint8_t *record = malloc(out.size + WEIR_MAX_MAP), *p = weir_put_map(record, count);
    if (out.size > 0) {
        memcpy(p, out.bytes, out.size);
    }
    const uint8_t *end = p + out.size;
    struct weir_value value;
    ck_assert_ptr_eq(weir_read_value(record, end, &value), end);
    ck_assert_int_eq(weir_json_value(&text, &value), 0);
    char *ret = strndup(text.data, text.size);
    weir_json_finish(&text);
    free(record);
    tail_text_free(&out);
    return ret;
}

static void becomes(const char *json, const char *expected)
{
    char *text = through(json, strlen(json), NULL);
    ck_assert_msg(text && strcmp(text, expected) == 0, "%s became %s instead of %s", json, text, expected);
    free(text);
}

static void same(const char *json)
{
    becomes(json, json);
}

static void refused(const char *json)
{
    char *text = through(json, strlen(json), NULL);
    ck_assert_msg(text == NULL, "%s became %s", json, text);
}

START_TEST(values)
{
    same("{}");
    same("{\"\":\"\"}");
    same("{\"a\":[],\"b\":{},\"c\":[[{}]],\"d\":[1,[2,3],{\"e\":[null,true,false]}]}");
    becomes(" \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : null } \r\n", "{\"a\":[1,2],\"b\":null}");
    same("{\"a\":1,\"a\":2,\"a\":\"three\"}"); /* equal names: all of them */
    same("{\"n\":[0,-1,127,128,255,256,-32,-33,-128,-129,65535,65536,-32768,-32769,4294967295,4294967296]}");
    same("{\"n\":[9007199254740993,9223372036854775807,9223372036854775808,18446744073709551615]}");
    same("{\"n\":[-9223372036854775807,-9223372036854775808]}");
    becomes("{\"n\":18446744073709551616}", "{\"n\":1.8446744073709552e+19}");
    becomes("{\"n\":-9223372036854775809}", "{\"n\":-9.2233720368547758e+18}");
    becomes("{\"n\":[1.5,-0.25,1e2,1E+2,1e-2,0.1,-0]}", "{\"n\":[1.5,-0.25,100.0,100.0,0.01,0.1,0]}");
}
END_TEST

START_TEST(strings)
{
    same("{\"a\":\"plain text that is longer than sixteen bytes, so that it is searched in steps\"}");
    same("{\"a\\\"b\":\"\\\"\\\\\"}");
    becomes("{\"a\":\"\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\u20ac\\uD83D\\ude00\"}",
            "{\"a\":\"/\\b\\f\\n\\r\\tA\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"}");
    becomes("{\"a\":\"\\u0000\"}", "{\"a\":\"\\u0000\"}");
    /* half a pair of surrogates, before the end, before others, before half an escape */
    becomes("{\"a\":\"\\ud83d\"}", "{\"a\":\"\xef\xbf\xbd\"}");
    becomes("{\"a\":\"\\ud83dx\\ude00\"}", "{\"a\":\"\xef\xbf\xbdx\xef\xbf\xbd\"}");
    becomes("{\"a\":\"\\ud83d\\u0041\"}", "{\"a\":\"\xef\xbf\xbd"
                                          "A\"}");
    /* bytes that are no UTF-8 pass through: what writes JSON again replaces them */
    becomes("{\"a\":\"\xff\"}", "{\"a\":\"\xef\xbf\xbd\"}");
    refused("{\"a\":\"\\x\"}");
    refused("{\"a\":\"\\u12g4\"}");
    refused("{\"a\":\"\\u12\"}");
    refused("{\"a\":\"\\\"}");
    refused("{\"a\":\"open}");
    char nul[] = "{\"a\":\"x\0y\"}";
    char *text = through(nul, sizeof(nul) - 1, NULL);
    ck_assert_str_eq(text, "{\"a\":\"x\\u0000y\"}");
    free(text);
}
END_TEST

/* Each size of a string's head, with and without an escape. */
START_TEST(string_sizes)
{
    static const size_t sizes[] = {30, 31, 32, 33, 254, 255, 256, 257, 65534, 65535, 65536, 65537};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
        char *json = malloc(sizes[k] + 100);
        size_t size = (size_t)sprintf(json, "{\"a\":\"");
        memset(json + size, 'x', sizes[k]);
        sprintf(json + size + sizes[k], "\"}");
        same(json);
        json[size] = '\\';
        json[size + 1] = 'n';
        same(json);
        free(json);
    }
}
END_TEST

START_TEST(what_is_no_object)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[]",
        "1",
        "null",
        "\"a\"",
        "{a:1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "{\"a\":{]}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":0x1}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":tru}",
        "{\"a\":nul",
        "{\"a\":1e999}",
        "{\"a\":-1e999}",
        "{'a':1}",
        "{\"a\":'b'}",
        "{1:2}",
        "{\"a\":--1}",
    };
    for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
        refused(bad[k]);
    }
    /* whatever is cut off */
    const char *whole = "{\"a\":[1.5e3,{\"b\":\"\\u20ac\"}],\"c\":true}";
    for (size_t k = 0; k < strlen(whole); k++) {
        ck_assert_ptr_null(through(whole, k, NULL));
    }
}
END_TEST

/* So many levels, and what is in the innermost. */
static char *nested(char open, unsigned depth)
{
    char *json = calloc(1, depth * 8 + 16), *p = json;
    for (unsigned k = 0; k < depth; k++) {
        p += k == 0 || open == '{' ? sprintf(p, "{%s", k + 1 < depth ? "\"a\":" : "") : sprintf(p, "[");
    }
    for (unsigned k = depth; k-- > 0;) {
        *p++ = k == 0 || open == '{' ? '}' : ']';
    }
    return json;
}

START_TEST(limits)
{
    for (int k = 0; k < 2; k++) {
        for (unsigned depth = TAIL_JSON_DEPTH - 1; depth <= TAIL_JSON_DEPTH + 1; depth++) {
            char *json = nested("{["[k], depth);
            (depth <= TAIL_JSON_DEPTH ? same : refused)(json);
            free(json);
        }
        char *huge = nested("{["[k], 1000000);
        refused(huge);
        free(huge);
    }
    for (int digits = TAIL_JSON_NUMBER - 1; digits <= TAIL_JSON_NUMBER + 1; digits++) {
        char json[TAIL_JSON_NUMBER + 20];
        sprintf(json, "{\"a\":0.%0*d}", digits - 2, 1);
        if (digits <= TAIL_JSON_NUMBER) {
            becomes(json, "{\"a\":0.0}");
        } else {
            refused(json);
        }
    }
    /* as many elements as fit in the smaller head, and more */
    for (size_t count = 65534; count <= 65537; count++) {
        char *json = calloc(1, count * 2 + 10), *p = json + sprintf(json, "{\"a\":[");
        for (size_t k = 0; k < count; k++) {
            *p++ = '1';
            *p++ = k + 1 < count ? ',' : ']';
        }
        *p = '}';
        same(json);
        free(json);
    }
}
END_TEST

START_TEST(field_of_a_name)
{
    struct tail_json_field f = {.name = "t", .name_size = 1};
    free(through("{\"a\":{\"t\":1},\"b\":[{\"t\":2}]}", 28, &f));
    ck_assert(!f.found);
    free(through("{\"t\":1,\"a\":2,\"t\":\"x\"}", 21, &f));
    ck_assert(f.found && f.begin == 6 && f.value == 8 && f.end == 10);
}
END_TEST

/* -- Times -------------------------------------------------------------------------------------------- */

static const int64_t NOW = 1700000000; /* 2023-11-14 */

static void time_is(const char *format, const char *text, int64_t sec, uint32_t nsec)
{
    struct tail_times *times;
    struct tail_time time = {7, 7};
    ck_assert_int_eq(tail_times_create(format, &times), 0);
    bool r = tail_times_read(times, text, strlen(text), NOW, &time);
    if (sec < 0) {
        ck_assert_msg(!r, "%s by %s is %u", text, format, time.sec);
    } else {
        ck_assert_msg(r && time.sec == sec && time.nsec == nsec, "%s by %s is %d %u.%09u", text, format, r,
                      time.sec, time.nsec);
    }
    tail_times_destroy(times);
}

START_TEST(rfc3339)
{
    time_is(NULL, "2016-10-06T00:17:09.669794202Z", 1475713029, 669794202);
    time_is(NULL, "2016-10-06T00:17:09Z", 1475713029, 0);
    time_is(NULL, "2016-10-06t00:17:09.5z", 1475713029, 500000000);
    time_is(NULL, "2016-10-06 02:17:09+02:00", 1475713029, 0);
    time_is(NULL, "2016-10-05T19:47:09.000001-0430", 1475713029, 1000);
    time_is(NULL, "2016-10-06T00:17:09.6697942029999Z", 1475713029, 669794202);
    time_is(NULL, "2016-12-31T23:59:60Z", 1483228800, 0);
    time_is(NULL, "1970-01-01T00:00:00Z", 0, 0);
    time_is(NULL, "2106-02-07T06:28:15Z", UINT32_MAX, 0);
    time_is(NULL, "2000-02-29T00:00:00Z", 951782400, 0);
    static const char *const bad[] = {"1969-12-31T23:59:59Z",      "2106-02-07T06:28:16Z",
                                      "2001-02-29T00:00:00Z",      "2016-13-01T00:00:00Z",
                                      "2016-00-01T00:00:00Z",      "2016-10-32T00:00:00Z",
                                      "2016-10-06T24:00:00Z",      "2016-10-06T00:60:00Z",
                                      "2016-10-06T00:00:61Z",      "2016-10-06T00:17:09",
                                      "2016-10-06T00:17:09.Z",     "2016-10-06T00:17:09+2",
                                      "2016-10-06T00:17:09+24:00", "2016-10-06T00:17:09ZZ",
                                      "x016-10-06T00:17:09Z",      ""};
    for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
        time_is(NULL, bad[k], -1, 0);
    }
}
END_TEST

START_TEST(formats)
{
    time_is("%d/%b/%Y:%H:%M:%S %z", "10/Oct/2000:13:55:36 -0700", 971211336, 0);
    time_is("%Y-%m-%dT%H:%M:%S.%L%z", "2016-10-06T00:17:09.669Z", 1475713029, 669000000);
    time_is("%Y-%m-%d %H:%M:%S,%L", "2016-10-06 00:17:09,042", 1475713029, 42000000); /* no zone: UTC */
    time_is("%Y-%m-%d %H:%M:%S,%L", "2016-10-06 00:17:09,", -1, 0);
    time_is("%Y-%m-%d %H:%M:%S,%L", "2016-10-06 00:17:09,042 ", -1, 0);
    time_is("%Y-%m-%d %H:%M:%S", "2016-10-06 00:17:09 more", -1, 0);
    time_is("%s", "1475713029", 1475713029, 0);
    time_is("%s.%L", "1475713029.25", 1475713029, 250000000);
    time_is("%FT%T%z", "2016-10-06T02:17:09+0200", 1475713029, 0);
    /* without a year: the last that is not in the future */
    time_is("%b %d %H:%M:%S", "Nov 14 00:00:00", 1699920000, 0);
    time_is("%b %d %H:%M:%S", "Dec 31 00:00:00", 1672444800, 0);
    time_is("%b %d %H:%M:%S", "Nov 15 00:00:00", 1700006400, 0);
    struct tail_times *times;
    ck_assert_int_eq(tail_times_create("no time", &times), -EINVAL);
    ck_assert_int_eq(tail_times_create("100%", &times), -EINVAL);
    char lengthy[400];
    memset(lengthy, ' ', sizeof(lengthy));
    strcpy(lengthy + 300, "1475713029");
    time_is("%s", lengthy, -1, 0);
}
END_TEST

START_TEST(epochs)
{
    time_is(NULL, "1475713029", 1475713029, 0);
    time_is(NULL, "1475713029.123456789", 1475713029, 123456789);
    time_is("epoch", "1475713029.5", 1475713029, 500000000);
    time_is("epoch_ms", "1475713029669", 1475713029, 669000000);
    time_is("epoch_ms", "1475713029669.25", 1475713029, 669250000);
    time_is("epoch_us", "1475713029669794", 1475713029, 669794000);
    time_is("epoch_ns", "1475713029669794202", 1475713029, 669794202);
    time_is("epoch", "4294967295", UINT32_MAX, 0);
    time_is("epoch", "4294967296", -1, 0);
    time_is("epoch", "-1", -1, 0);
    time_is("epoch", "99999999999999999999", -1, 0);
    time_is("epoch", "1.", -1, 0);
    time_is("epoch", "x", -1, 0);
    time_is("epoch", "", -1, 0);
    struct tail_times *times;
    struct tail_time t;
    ck_assert_int_eq(tail_times_create("epoch_ms", &times), 0);
    ck_assert(tail_times_of_integer(times, 1500, &t) && t.sec == 1 && t.nsec == 500000000);
    ck_assert(tail_times_of_double(times, 1500.25, &t) && t.sec == 1 && t.nsec == 500250000);
    ck_assert(!tail_times_of_double(times, -1, &t) && !tail_times_of_double(times, 1e300, &t));
    ck_assert(!tail_times_of_integer(times, UINT64_MAX, &t));
    tail_times_destroy(times);
}
END_TEST

/* -- Records ------------------------------------------------------------------------------------------- */

/* All records so far, as JSON with a time. The caller frees. */
static char *records(void)
{
    size_t count, size = 0;
    const struct fake_chunk *chunks = fake_chunks(host, &count);
    char *text = calloc(1, 1 << 16);
    for (size_t i = first_chunk; i < count; i++) {
        struct weir_cursor cursor;
        struct weir_record record;
        weir_cursor_init(&cursor, chunks[i].data, chunks[i].size);
        while (weir_cursor_next(&cursor, &record) > 0) {
            struct weir_iter fields;
            struct weir_value key, value;
            struct weir_json json = {0};
            bool old = record.sec < NOW;
            size += (size_t)sprintf(text + size, "%lld.%09u", old ? (long long)record.sec : 0,
                                    old ? record.nsec : 0);
            weir_iter_record(&fields, &record);
            while (weir_iter_field(&fields, &key, &value) > 0) {
                json.size = 0;
                ck_assert_int_eq(weir_json_value(&json, &value), 0);
                size += (size_t)sprintf(text + size, " %.*s=%.*s", (int)key.size, (const char *)key.data,
                                        (int)json.size, json.data);
            }
            weir_json_finish(&json);
            text[size++] = '\n';
        }
    }
    return text;
}

static void expect_fields(struct weir_instance *i, const char *expected)
{
    fake_idle(host);
    char *text = records();
    ck_assert_msg(strcmp(text, expected) == 0, "expected:\n%s\ngot:\n%s", expected, text);
    free(text);
    fake_stop(i);
    seen();
}

START_TEST(json_records)
{
    append(
        "f",
        "{\"a\":1,\"time\":\"2016-10-06T00:17:09.5Z\",\"b\":[true,null]}\nplain\n{\"time\":\"when\"}\r\n\n{\"time\":12.5}\n");
    struct weir_instance *i = start_head("f", "parser", "json", "time_key", "time", "offset_key", "at");
    fake_idle(host);
    ck_assert_int_eq(fake_metric(i, "unparsed_lines", NULL), 2);
    ck_assert_int_eq(fake_metric(i, "bad_times", NULL), 1);
    expect_fields(
        i, "1475713029.500000000 at=0 a=1 b=[true,null]\n0.000000000 at=56 log=\"plain\"\n0.000000000 at=62 "
           "time=\"when\"\n0.000000000 at=79 log=\"\"\n12.500000000 at=80\n");
}
END_TEST

START_TEST(kept_keys)
{
    append("f", "{\"t\":1500,\"b\":2}\nno\n");
    struct weir_instance *i = start_head("f", "parser", "json", "time_key", "t", "time_format", "epoch_ms",
                                         "time_keep", "on", "preserve_key", "on", "key", "line");
    expect_fields(i,
                  "1.500000000 line=\"{\\\"t\\\":1500,\\\"b\\\":2}\" t=1500 b=2\n0.000000000 line=\"no\"\n");
}
END_TEST

START_TEST(regex_records)
{
    append("f", "10.0.0.1 [10/Oct/2000:13:55:36 -0700] \"GET /x\" 200 1.5 true\r\n10.0.0.1 - nothing\n"
                "10.0.0.1 [yesterday] \"GET /x\" 99999999999999999999 - no\n");
    struct weir_instance *i = start_head(
        "f", "parser", "regex", "regex",
        "^(?<host>\\S+) \\[(?<time>[^\\]]+)\\] \"(\\S+) (?<path>[^\"]*)\" (?<code>\\d+) (?<d>\\S+) (?<ok>\\w+)(?<none>x)?$",
        "time_key", "time", "time_format", "%d/%b/%Y:%H:%M:%S %z", "types", "code:integer", "types",
        "d:float", "types", "ok:bool", "types", "host:string");
    fake_idle(host);
    ck_assert_int_eq(fake_metric(i, "unparsed_lines", NULL), 1);
    expect_fields(
        i,
        "971211336.000000000 host=\"10.0.0.1\" path=\"/x\" code=200 d=1.5 ok=true\n"
        "0.000000000 log=\"10.0.0.1 - nothing\"\n"
        "0.000000000 host=\"10.0.0.1\" time=\"yesterday\" path=\"/x\" code=\"99999999999999999999\" d=\"-\" "
        "ok=\"no\"\n");
}
END_TEST

START_TEST(parsed_lines_of_a_container)
{
#define LINE(text) "{\"log\":\"" text "\\n\",\"stream\":\"stderr\",\"time\":\"2016-10-06T00:17:09Z\"}\n"
    append("f", LINE("{\\\"m\\\":\\\"x\\\",\\\"ts\\\":5}") LINE("plain") LINE("{\\\"m\\\":1}"));
    struct weir_instance *i =
        start_head("f", "multiline.parser", "docker", "parser", "json", "time_key", "ts");
    expect_fields(
        i, "5.000000000 m=\"x\" stream=\"stderr\"\n1475713029.000000000 log=\"plain\" stream=\"stderr\"\n"
           "1475713029.000000000 m=1 stream=\"stderr\"\n");
}
END_TEST

START_TEST(parsed_joined_lines)
{
    append("f", "S1\n a=1\nS2\n a=2\n");
    struct weir_instance *i =
        start_head("f", "multiline.start_pattern", "^S", "parser", "regex", "regex",
                   "(?s)^S(?<n>\\d+).*a=(?<a>\\d+)", "exit_on_eof", "on", "types", "n:integer");
    expect_fields(i, "0.000000000 n=1 a=\"1\"\n0.000000000 n=2 a=\"2\"\n");
}
END_TEST

START_TEST(bad_types)
{
    static const char *const bad[][2] = {{"a", "is not written as group:type"},
                                         {"b:integer", "with a named group"},
                                         {"a:number", "is of no type"}};
    for (size_t k = 0; k < 3; k++) {
        ck_assert_ptr_null(make("f", "parser", "regex", "regex", "(?<a>x)", "types", bad[k][0], NULL));
        ck_assert_msg(strstr(fake_error(host), bad[k][1]) != NULL, "%s", fake_error(host));
    }
    ck_assert_ptr_null(make("f", "parser", "regex", "regex", "(?<a>x)", "time_key", "b", NULL));
    ck_assert_ptr_nonnull(strstr(fake_error(host), "'b' is no named group"));
    ck_assert_ptr_null(make("f", "parser", "json", "time_key", "b", "time_format", "x", NULL));
    ck_assert_ptr_nonnull(strstr(fake_error(host), "no part of a time"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail parser");
    TCase *tests = tcase_create("parser");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, values);
    tcase_add_test(tests, strings);
    tcase_add_test(tests, string_sizes);
    tcase_add_test(tests, what_is_no_object);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, field_of_a_name);
    tcase_add_test(tests, rfc3339);
    tcase_add_test(tests, formats);
    tcase_add_test(tests, epochs);
    tcase_add_test(tests, json_records);
    tcase_add_test(tests, kept_keys);
    tcase_add_test(tests, regex_records);
    tcase_add_test(tests, parsed_lines_of_a_container);
    tcase_add_test(tests, parsed_joined_lines);
    tcase_add_test(tests, bad_types);
    suite_add_tcase(suite, tests);
    return run(suite);
}
