/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/json.h. Strings are compared with a reference that goes byte by byte, for each implementation of the
 * escaping that this machine has, in source blocks of the exact size.
 */
#include <check.h>
#include <math.h>
#include <time.h>
#include <stdlib.h>
#include <weir/json.h>

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

/* -- The reference -- */

struct sequence {
    uint8_t low[4], high[4]; /* the range of each byte */
    int length;
};

/* Unicode, table 3-7. */
static const struct sequence well_formed[] = {
    {{0x00}, {0x7f}, 1},
    {{0xc2, 0x80}, {0xdf, 0xbf}, 2},
    {{0xe0, 0xa0, 0x80}, {0xe0, 0xbf, 0xbf}, 3},
    {{0xe1, 0x80, 0x80}, {0xec, 0xbf, 0xbf}, 3},
    {{0xed, 0x80, 0x80}, {0xed, 0x9f, 0xbf}, 3},
    {{0xee, 0x80, 0x80}, {0xef, 0xbf, 0xbf}, 3},
    {{0xf0, 0x90, 0x80, 0x80}, {0xf0, 0xbf, 0xbf, 0xbf}, 4},
    {{0xf1, 0x80, 0x80, 0x80}, {0xf3, 0xbf, 0xbf, 0xbf}, 4},
    {{0xf4, 0x80, 0x80, 0x80}, {0xf4, 0x8f, 0xbf, 0xbf}, 4},
};

/* How many bytes of src fit the row's beginning. */
static int matched(const struct sequence *row, const uint8_t *src, size_t size)
{
    int i = 0;

    while (i < row->length && (size_t)i < size && src[i] >= row->low[i] && src[i] <= row->high[i])
        i++;
    return i;
}

static size_t reference(char *dst, const uint8_t *src, size_t size)
{
    size_t at = 0, out = 0;

    while (at < size) {
        int longest = 1;
        bool whole = false;
        for (size_t row = 0; row < sizeof(well_formed) / sizeof(*well_formed); row++) {
            int n = matched(&well_formed[row], src + at, size - at);
            if (n == well_formed[row].length)
                whole = true;
            if (n > longest)
                longest = n;
        }
        uint8_t c = src[at];
        if (!whole)
            out += (size_t)sprintf(dst + out, "\xef\xbf\xbd");
        else if (c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t')
            out += (size_t)sprintf(dst + out, "\\%c", "btn.fr"[c - 8]);
        else if (c < 0x20)
            out += (size_t)sprintf(dst + out, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            out += (size_t)sprintf(dst + out, "\\%c", c);
        else {
            memcpy(dst + out, src + at, (size_t)longest);
            out += (size_t)longest;
        }
        at += (size_t)longest;
    }
    return out;
}

/* -- Comparing -- */

typedef char *(*escape_fn)(char *dst, const uint8_t *src, const uint8_t *end);

static char *escape_portable(char *dst, const uint8_t *src, const uint8_t *end)
{
    return weir_json_escape_portable(dst, src, end);
}
static char *escape_chosen(char *dst, const uint8_t *src, const uint8_t *end)
{
    return weir_json_escape(dst, src, end);
}
#ifdef WEIR_JSON_X86
static char *escape_sse2(char *dst, const uint8_t *src, const uint8_t *end)
{
    return weir_json_escape_sse2(dst, src, end);
}
static char *escape_avx2(char *dst, const uint8_t *src, const uint8_t *end)
{
    return __builtin_cpu_supports("avx2") ? weir_json_escape_avx2(dst, src, end)
                                          : weir_json_escape_sse2(dst, src, end);
}
#endif

static const escape_fn implementations[] = {
    escape_portable,
    escape_chosen,
#ifdef WEIR_JSON_X86
    escape_sse2,
    escape_avx2,
#endif
};

static void check_escape(const void *data, size_t size)
{
    size_t room = WEIR_JSON_ROOM(size);
    char *expected = malloc(room), *got = malloc(room);
    uint8_t *exact = malloc(size ? size : 1);
    size_t length = reference(expected, data, size);

    memcpy(exact, data, size);
    for (size_t i = 0; i < sizeof(implementations) / sizeof(*implementations); i++) {
        char *end = implementations[i](got, exact, exact + size);
        /* Not an assertion, which costs Check more than the comparison itself. */
        if ((size_t)(end - got) != length || memcmp(got, expected, length) != 0)
            ck_abort_msg("implementation %zu: %.*s, not %.*s", i, (int)(end - got), got, (int)length,
                         expected);
    }
    free(expected);
    free(got);
    free(exact);
}

static void check_text(const struct weir_json *json, const char *expected)
{
    ck_assert_msg(json->size == strlen(expected) && memcmp(json->data, expected, json->size) == 0,
                  "got %.*s\nexpected %s", (int)json->size, json->data, expected);
}

/* -- Strings -- */

/* Every byte at every place of every length around the blocks of 4, 8, 16 and 32. */
START_TEST(every_byte_everywhere)
{
    uint8_t data[102];

    for (size_t size = 0; size <= sizeof(data); size += size < 18 ? 1 : 7) {
        memset(data, 'a', sizeof(data));
        check_escape(data, size);
        for (size_t at = 0; at < size; at++) {
            for (int c = 0; c < 256; c++) {
                data[at] = (uint8_t)c;
                check_escape(data, size);
            }
            data[at] = 'a';
        }
    }
}
END_TEST

/* All of two and three bytes from where UTF-8 makes its decisions, in front of an 'a', a block and the end.
 */
START_TEST(every_sequence)
{
    static const uint8_t bytes[] = {0x41, 0x22, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1,
                                    0xc2, 0xe0, 0xed, 0xee, 0xf0, 0xf3, 0xf4, 0xf5};
    const size_t n = sizeof(bytes);
    uint8_t data[24];

    memset(data, 'a', sizeof(data));
    for (size_t i = 0; i < n * n * n * n; i++) {
        data[0] = bytes[i % n];
        data[1] = bytes[i / n % n];
        data[2] = bytes[i / n / n % n];
        data[3] = bytes[i / n / n / n];
        check_escape(data, 4);
        if (i % 3 == 0)
            check_escape(data, i % sizeof(data));
    }
}
END_TEST

START_TEST(every_code_point)
{
    uint8_t data[4];

    for (uint32_t point = 0x80; point < 0x110000; point += point < 0x3000 ? 1 : 31) {
        size_t size;
        if (point < 0x800) {
            data[0] = (uint8_t)(0xc0 | point >> 6);
            size = 2;
        } else if (point < 0x10000) {
            data[0] = (uint8_t)(0xe0 | point >> 12);
            data[1] = (uint8_t)(0x80 | (point >> 6 & 63));
            size = 3;
        } else {
            data[0] = (uint8_t)(0xf0 | point >> 18);
            data[1] = (uint8_t)(0x80 | (point >> 12 & 63));
            data[2] = (uint8_t)(0x80 | (point >> 6 & 63));
            size = 4;
        }
        data[size - 1] = (uint8_t)(0x80 | (point & 63));
        check_escape(data, size);
        struct weir_json json = {0};
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        if (weir_json_string(&json, data, size) ||
            (json.size == size + 2 && memcmp(json.data + 1, data, size) == 0) == surrogate)
            ck_abort_msg("U+%X became %.*s", point, (int)json.size, json.data);
        weir_json_finish(&json);
    }
}
END_TEST

static void fill_random(uint8_t *data, size_t size)
{
    static const char *const words[] = {"plain ascii text of some length ",
                                        "Привет, мир ",
                                        "日本語の行",
                                        "\"",
                                        "\\",
                                        "\n",
                                        "😀",
                                        "\xf0\x9f\x98",
                                        "\xed\xa0\x80",
                                        "\xc0\xaf",
                                        "\xff",
                                        "\x01",
                                        "é"};
    size_t at = 0;

    while (at < size) {
        const char *word = words[draw(draw(2) ? 13 : 2)];
        for (; *word && at < size; word++)
            data[at++] = draw(200) ? (uint8_t)*word : (uint8_t)draw(256);
    }
}

START_TEST(random_text)
{
    uint8_t data[600];

    random_state = 1;
    for (int i = 0; i < 10000; i++) {
        size_t size = draw(draw(4) ? 120 : sizeof(data));
        fill_random(data, size);
        check_escape(data, size);
    }
    for (int i = 0; i < 10000; i++) {
        size_t size = draw(100);
        for (size_t at = 0; at < size; at++)
            data[at] = (uint8_t)draw(256);
        check_escape(data, size);
    }
}
END_TEST

/* Longer than a slice, so that sequences lie across the cuts. */
START_TEST(long_strings)
{
    size_t size = 100000;
    uint8_t *data = malloc(size);
    char *expected = malloc(WEIR_JSON_ROOM(size));

    random_state = 2;
    for (int i = 0; i < 60; i++) {
        struct weir_json json = {0};
        if (i < 8)
            for (size_t at = 0; at < size; at++)
                data[at] = (uint8_t) "\xf0\x9f\x98\x80\xe6\x97\xa5\x80"[(at + (size_t)i) % 8];
        else
            fill_random(data, size);
        size_t length = reference(expected, data, size);
        ck_assert_int_eq(weir_json_string(&json, data, size), 0);
        ck_assert_uint_eq(json.size, length + 2);
        ck_assert(json.data[0] == '"' && json.data[json.size - 1] == '"');
        ck_assert(memcmp(json.data + 1, expected, length) == 0);
        weir_json_finish(&json);
    }
    free(data);
    free(expected);
}
END_TEST

START_TEST(known_strings)
{
    struct weir_json json = {0};

    ck_assert_int_eq(weir_json_string(&json, "a\"b\\c/\b\f\n\r\t\x01\x1f\x7f", 14), 0);
    check_text(&json, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    json.size = 0;
    /* One U+FFFD for the torn sequence, none for what follows it; then three for a surrogate's bytes. */
    ck_assert_int_eq(weir_json_string(&json, "\xf0\x9f\x98z\xed\xa0\x80", 7), 0);
    check_text(&json, "\"\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    weir_json_finish(&json);
}
END_TEST

/* -- Values -- */

static int write_value(struct weir_json *json, const void *bytes, size_t size)
{
    uint8_t *exact = malloc(size);
    struct weir_value value;
    int rc;

    memcpy(exact, bytes, size);
    ck_assert_ptr_eq(weir_read_value(exact, exact + size, &value), exact + size);
    rc = weir_json_value(json, &value);
    free(exact);
    return rc;
}

static void check_value(const void *bytes, size_t size, const char *expected)
{
    struct weir_json json = {0};

    ck_assert_int_eq(write_value(&json, bytes, size), 0);
    check_text(&json, expected);
    weir_json_finish(&json);
}
#define VALUE(bytes, expected) check_value(bytes, sizeof(bytes) - 1, expected)

START_TEST(values)
{
    VALUE("\xc0", "null");
    VALUE("\xc2", "false");
    VALUE("\xc3", "true");
    VALUE("\x00", "0");
    VALUE("\xff", "-1");
    VALUE("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615");
    VALUE("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808");
    VALUE("\xca\x3f\xc0\x00\x00", "1.5");
    VALUE("\xa0", "\"\"");
    VALUE("\xc4\x02\xff\n", "\"\xef\xbf\xbd\\n\"");
    VALUE("\xd5\x07\xab\x01", "\"ab01\"");
    VALUE("\xc7\x00\x07", "\"\"");
    VALUE("\x90", "[]");
    VALUE("\x80", "{}");
    VALUE("\x93\x01\x90\x92\xa1x\xc0", "[1,[],[\"x\",null]]");
    VALUE("\x82\xa1k\x81\xa1q\x91\x01\xa1\"\xc3", "{\"k\":{\"q\":[1]},\"\\\"\":true}");
    VALUE("\x85\x01\x02\xc0\x03\xcb\x3f\xf8\0\0\0\0\0\0\x04\xd4\x01\xff\x05\xc4\x01x\x06",
          "{\"1\":2,\"null\":3,\"1.5\":4,\"ff\":5,\"x\":6}");
    VALUE("\x81\x92\xa1x\x80\x01", "{\"[\\\"x\\\",{}]\":1}");
}
END_TEST

static void check_double(double n, const char *expected)
{
    struct weir_json json = {0};
    struct weir_value value = {.type = WEIR_TYPE_DOUBLE};

    value.as.number = n;
    if (weir_json_value(&json, &value) || weir_json_text(&json, "", 1))
        ck_abort_msg("no memory");
    if (expected)
        ck_assert_str_eq(json.data, expected);
    if (isfinite(n) && strtod(json.data, NULL) != n)
        ck_abort_msg("%s is not %.17g", json.data, n);
    weir_json_finish(&json);
}

START_TEST(doubles)
{
    check_double(0, "0.0");
    check_double(-0.0, "-0.0");
    check_double(1, "1.0");
    check_double(0.1, "0.1");
    check_double(0.1 + 0.2, "0.30000000000000004");
    check_double(1e300, "1e+300");
    check_double(-1.7976931348623157e308, "-1.7976931348623157e+308");
    check_double(5e-324, NULL);
    check_double(123456789012345680.0, NULL);
    check_double(NAN, "null");
    check_double(INFINITY, "null");
    check_double(-INFINITY, "null");
    random_state = 3;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)draw(1u << 31) << 33 ^ (uint64_t)draw(1u << 31) << 10 ^ draw(1024);
        double n;
        memcpy(&n, &bits, 8);
        check_double(n, NULL);
    }
}
END_TEST

/* One level fewer than the limit, at it, beyond it; arrays and maps; what was in the buffer stays. */
START_TEST(depth)
{
    for (int map = 0; map < 2; map++) {
        for (int levels = WEIR_JSON_DEPTH - 1; levels < WEIR_JSON_DEPTH + 3; levels++) {
            uint8_t *bytes = malloc((size_t)levels * 3 + 1), *p = bytes;
            struct weir_json json = {0};
            for (int i = 0; i < levels; i++) {
                p = map ? weir_put_map(p, 1) : weir_put_array(p, 1);
                p = map ? weir_put_str(p, "k", 1) : p;
            }
            p = weir_put_nil(p);
            weir_json_text(&json, "before", 6);
            int rc = write_value(&json, bytes, (size_t)(p - bytes));
            ck_assert_int_eq(rc, levels <= WEIR_JSON_DEPTH ? 0 : -EMSGSIZE);
            if (rc)
                check_text(&json, "before");
            else
                ck_assert_uint_eq(json.size, 6 + 4 + (size_t)levels * (map ? 6 : 2));
            weir_json_finish(&json);
            free(bytes);
        }
    }
}
END_TEST

START_TEST(keys_within_keys)
{
    struct weir_json json = {0};

    ck_assert_int_eq(write_value(&json, "\x81\x81\x90\x01\x02", 5), -EMSGSIZE);
    ck_assert_uint_eq(json.size, 0);
    weir_json_finish(&json);
}
END_TEST

/* -- Records -- */

static void check_record(struct weir_json_style *style, const uint8_t *bytes, size_t size,
                         const char *expected)
{
    struct weir_json json = {0};
    struct weir_cursor cursor;
    struct weir_record record;

    weir_cursor_init(&cursor, bytes, size);
    ck_assert_int_eq(weir_cursor_next(&cursor, &record), 1);
    ck_assert_int_eq(weir_json_record(&json, style, &record), 0);
    check_text(&json, expected);
    weir_json_finish(&json);
}

static void check_date(enum weir_json_date date, int64_t sec, uint32_t nsec, const char *expected)
{
    char text[64];

    memset(text, 0, sizeof(text));
    ck_assert_int_le(weir_json_put_date(text, date, sec, nsec) - text, 40);
    ck_assert_str_eq(text, expected);
}

START_TEST(dates)
{
    check_date(WEIR_JSON_DATE_DOUBLE, 1700000000, 123456789, "1700000000.123456");
    check_date(WEIR_JSON_DATE_DOUBLE, 0, 999999999, "0.999999");
    check_date(WEIR_JSON_DATE_DOUBLE, -2, 500000000, "-1.500000");
    check_date(WEIR_JSON_DATE_EPOCH, 1700000000, 999999999, "1700000000");
    check_date(WEIR_JSON_DATE_EPOCH_MS, 1700000000, 1999999, "1700000000001");
    check_date(WEIR_JSON_DATE_EPOCH_MS, WEIR_TIME_MAX, 999999999, "253402300799999");
    check_date(WEIR_JSON_DATE_ISO8601, 1795464000, 123456789, "\"2026-11-23T20:00:00.123456Z\"");
    check_date(WEIR_JSON_DATE_ISO8601, 951782400, 0, "\"2000-02-29T00:00:00.000000Z\"");
    check_date(WEIR_JSON_DATE_ISO8601, 951868800, 0, "\"2000-03-01T00:00:00.000000Z\"");
    check_date(WEIR_JSON_DATE_ISO8601, -1, 0, "\"1969-12-31T23:59:59.000000Z\"");
    check_date(WEIR_JSON_DATE_ISO8601, WEIR_TIME_MIN, 0, "\"0001-01-01T00:00:00.000000Z\"");
    check_date(WEIR_JSON_DATE_ISO8601, WEIR_TIME_MAX, 999999999, "\"9999-12-31T23:59:59.999999Z\"");
}
END_TEST

/* Every day of 400 years and some, against the C library. */
START_TEST(every_day)
{
    for (int64_t day = -150000; day < 150000; day += 1) {
        char expected[64], text[64];
        struct tm tm;
        time_t sec = (time_t)(day * 86400 + 45296);
        gmtime_r(&sec, &tm);
        strftime(expected, sizeof(expected), "\"%Y-%m-%dT%H:%M:%S.000001Z\"", &tm);
        *weir_json_put_date(text, WEIR_JSON_DATE_ISO8601, sec, 1999) = '\0';
        if (strcmp(text, expected) != 0)
            ck_abort_msg("%s, not %s", text, expected);
    }
}
END_TEST

START_TEST(records)
{
    uint8_t bytes[64], *p = weir_put_record(bytes, 1700000000, 123456789, 2);
    struct weir_json_style style;

    p = weir_put_str(p, "log", 3);
    p = weir_put_str(p, "x", 1);
    p = weir_put_str(p, "n", 1);
    p = weir_put_int(p, -7);
    const size_t size = (size_t)(p - bytes);
    ck_assert_int_eq(weir_json_style_init(&style, "date", WEIR_JSON_DATE_DOUBLE), 0);
    check_record(&style, bytes, size, "{\"date\":1700000000.123456,\"log\":\"x\",\"n\":-7}");
    check_record(&style, bytes, size, "{\"date\":1700000000.123456,\"log\":\"x\",\"n\":-7}");
    weir_put_record(bytes, 5, 123456789, 2);
    check_record(&style, bytes, size, "{\"date\":5.123456,\"log\":\"x\",\"n\":-7}");
    weir_put_record(bytes, 5, 0, 2);
    check_record(&style, bytes, size, "{\"date\":5.000000,\"log\":\"x\",\"n\":-7}");
    weir_json_style_finish(&style);
    ck_assert_int_eq(weir_json_style_init(&style, "a\"b", WEIR_JSON_DATE_EPOCH), 0);
    check_record(&style, bytes, size, "{\"a\\\"b\":5,\"log\":\"x\",\"n\":-7}");
    weir_json_style_finish(&style);
}
END_TEST

START_TEST(records_without_date_or_fields)
{
    static const char *const none[] = {"", "false", NULL, "date"};
    uint8_t bytes[64], *p = weir_put_record(bytes, 0, 0, 1);
    uint8_t bare[WEIR_MAX_RECORD];
    size_t bare_size = (size_t)(weir_put_record(bare, 0, 0, 0) - bare);
    struct weir_json_style style;

    p = weir_put_str(p, "log", 3);
    p = weir_put_str(p, "x", 1);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(
            weir_json_style_init(&style, none[i], i < 3 ? WEIR_JSON_DATE_DOUBLE : WEIR_JSON_DATE_NONE), 0);
        check_record(&style, bytes, (size_t)(p - bytes), "{\"log\":\"x\"}");
        check_record(&style, bare, bare_size, "{}");
        weir_json_style_finish(&style);
    }
    ck_assert_int_eq(weir_json_style_init(&style, "date", WEIR_JSON_DATE_EPOCH), 0);
    check_record(&style, bare, bare_size, "{\"date\":0}");
    weir_json_style_finish(&style);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *tc = tcase_create("json");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, every_byte_everywhere);
    tcase_add_test(tc, every_sequence);
    tcase_add_test(tc, every_code_point);
    tcase_add_test(tc, random_text);
    tcase_add_test(tc, long_strings);
    tcase_add_test(tc, known_strings);
    tcase_add_test(tc, values);
    tcase_add_test(tc, doubles);
    tcase_add_test(tc, depth);
    tcase_add_test(tc, keys_within_keys);
    tcase_add_test(tc, dates);
    tcase_add_test(tc, every_day);
    tcase_add_test(tc, records);
    tcase_add_test(tc, records_without_date_or_fields);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
