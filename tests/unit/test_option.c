/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables: every type with good and bad values, what is missing, unknown, given twice, and bad tables.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "option.h"

struct values {
    bool flag;
    int64_t number;
    uint64_t size;
    uint64_t wait;
    const char *text;
    const char *path;
    const char *secret;
    struct weir_list list;
    int choice;
    struct weir_map map;
    int64_t guard;
};

static const char *const choices[] = {"raw", "json_lines", "msgpack", NULL};

#define ROW(n, t, m) .name = n, .type = t, .offset = offsetof(struct values, m)

static const struct weir_option options[] = {
    {ROW("flag", WEIR_OPTION_BOOL, flag), .def = "on"},
    {ROW("number", WEIR_OPTION_INT, number), .alias = "count", .def = "5", .min = 1, .max = 64,
     .help = "How many."},
    {ROW("size", WEIR_OPTION_SIZE, size), .def = "32k", .min = 512, .max = INT64_MAX},
    {ROW("rotate_wait", WEIR_OPTION_DURATION, wait), .def = "5s", .max = 60000000000},
    {ROW("text", WEIR_OPTION_STRING, text)},
    {ROW("path", WEIR_OPTION_PATH, path), .def = "/default"},
    {ROW("password", WEIR_OPTION_SECRET, secret)},
    {ROW("list", WEIR_OPTION_LIST, list), .def = "a, b"},
    {ROW("format", WEIR_OPTION_CHOICE, choice), .def = "json_lines", .choices = choices},
    {ROW("rdkafka", WEIR_OPTION_MAP, map), .alias = "kafka"},
    {.name = "flush", .type = WEIR_OPTION_IGNORED, .help = "there is no timer"},
    {.name = "storage.*", .type = WEIR_OPTION_IGNORED, .help = "there is no storage"},
    {0},
};

static struct values values;
static struct problems problems;
static struct option_memory *memory;
static struct setting settings[8];
static char *texts[8][4];
static struct section section;

static void set_up(void)
{
    section = (struct section){.settings = settings, .origin = {"f.yaml", 1, 1}};
    memset(settings, 0, sizeof settings);
    memset(&values, 0, sizeof values);
    values.guard = 77;
}

static void tear_down(void)
{
    option_free(memory);
    memory = NULL;
    problems_clear(&problems);
    ck_assert_int_eq(values.guard, 77);
}

/* One more setting, in the line after the last one. `second`: it is a list of both. */
static void add2(const char *name, const char *value, const char *second)
{
    size_t i = section.count++;
    texts[i][0] = (char *)value;
    texts[i][1] = (char *)second;
    settings[i] = (struct setting){.name = (char *)name,
                                   .values = texts[i],
                                   .count = second ? 2 : 1,
                                   .is_list = second != NULL,
                                   .origin = {"f.yaml", (unsigned)section.count + 1, 3}};
}

static void add(const char *name, const char *value)
{
    add2(name, value, NULL);
}

static int parse_table(const struct weir_option *table)
{
    const struct option_table t = {table, sizeof(struct weir_option), &values, sizeof values};
    option_free(memory);
    memory = NULL;
    values = (struct values){.guard = values.guard};
    problems_clear(&problems);
    return option_parse(&section, "tail", &t, 1, &memory, &problems);
}

static int parse(void)
{
    return parse_table(options);
}

/* One setting, and the one line that it must get. */
static void refused(const char *name, const char *value, const char *line)
{
    section.count = 0;
    add(name, value);
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_uint_eq(problems.errors, 1);
    ck_assert_str_eq(problems.items[0].text, line);
}

START_TEST(defaults)
{
    ck_assert_int_eq(parse(), 0);
    ck_assert_uint_eq(problems.count, 0);
    ck_assert(values.flag);
    ck_assert_int_eq(values.number, 5);
    ck_assert_uint_eq(values.size, 32768);
    ck_assert_uint_eq(values.wait, 5000000000);
    ck_assert_ptr_null(values.text);
    ck_assert_str_eq(values.path, "/default");
    ck_assert_ptr_null(values.secret);
    ck_assert_uint_eq(values.list.count, 2);
    ck_assert_str_eq(values.list.items[0], "a");
    ck_assert_str_eq(values.list.items[1], "b");
    ck_assert_int_eq(values.choice, 1);
    ck_assert_uint_eq(values.map.count, 0);
}
END_TEST

START_TEST(all_set)
{
    add("Flag", "OFF");
    add("COUNT", "64");
    add("size", "1G");
    add("rotate_wait", "1m");
    add("text", "");
    add("path", "x/y");
    add("password", "hunter2");
    add("format", "RAW");
    ck_assert_int_eq(parse(), 0);
    ck_assert(!values.flag);
    ck_assert_int_eq(values.number, 64);
    ck_assert_uint_eq(values.size, UINT64_C(1) << 30);
    ck_assert_uint_eq(values.wait, 60000000000);
    ck_assert_str_eq(values.text, "");
    ck_assert_str_eq(values.path, "x/y");
    ck_assert_str_eq(values.secret, "hunter2");
    ck_assert_int_eq(values.choice, 0);
    ck_assert_ptr_ne(values.path, texts[5][0]); /* copied: the section may go */
}
END_TEST

START_TEST(wrong_types)
{
    refused("rotate_wait", "abc",
            "f.yaml:2:3: tail: option 'rotate_wait' wants a duration like 5s or 100ms, not 'abc'");
    refused("flag", "maybe", "f.yaml:2:3: tail: option 'flag' wants on or off, not 'maybe'");
    refused("number", "five", "f.yaml:2:3: tail: option 'number' wants a whole number, not 'five'");
    refused("number", "1.5", "f.yaml:2:3: tail: option 'number' wants a whole number, not '1.5'");
    refused("number", "", "f.yaml:2:3: tail: option 'number' wants a whole number, not ''");
    refused("count", "0x10", "f.yaml:2:3: tail: option 'number' wants a whole number, not '0x10'");
    refused("size", "many", "f.yaml:2:3: tail: option 'size' wants a size like 512, 32k or 5M, not 'many'");
    refused("size", "-1", "f.yaml:2:3: tail: option 'size' wants a size like 512, 32k or 5M, not '-1'");
    refused("format", "json",
            "f.yaml:2:3: tail: option 'format' wants one of raw, json_lines, msgpack, not 'json'");
    refused("rdkafka", "x", "f.yaml:2:3: tail: option 'rdkafka' wants settings below it, as in rdkafka.NAME");
}
END_TEST

START_TEST(long_values_are_shown_short)
{
    char value[5000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    add("number", value);
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_uint_lt(strlen(problems.items[0].text), 200);
}
END_TEST

START_TEST(ranges)
{
    static const char *const good[][2] = {{"number", "1"},       {"number", "64"},
                                          {"size", "512"},       {"rotate_wait", "0"},
                                          {"rotate_wait", "60"}, {"rotate_wait", "60s"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        section.count = 0;
        add(good[i][0], good[i][1]);
        ck_assert_int_eq(parse(), 0);
    }
    refused("number", "0", "f.yaml:2:3: tail: option 'number' must be between 1 and 64, not '0'");
    refused("number", "65", "f.yaml:2:3: tail: option 'number' must be between 1 and 64, not '65'");
    refused("number", "-9223372036854775809",
            "f.yaml:2:3: tail: option 'number' must be between 1 and 64, not '-9223372036854775809'");
    refused("number", "99999999999999999999999",
            "f.yaml:2:3: tail: option 'number' must be between 1 and 64, not '99999999999999999999999'");
    refused("size", "511", "f.yaml:2:3: tail: option 'size' must be at least 512, not '511'");
    refused("size", "18446744073709551615",
            "f.yaml:2:3: tail: option 'size' must be at least 512, not '18446744073709551615'");
    refused("rotate_wait", "61s", "f.yaml:2:3: tail: option 'rotate_wait' must be at most 1m, not '61s'");
    refused("rotate_wait", "60.000000001s",
            "f.yaml:2:3: tail: option 'rotate_wait' must be at most 1m, not '60.000000001s'");
}
END_TEST

START_TEST(unknown_options)
{
    refused("pth", "x", "f.yaml:2:3: unknown option 'pth' of tail; did you mean 'path'?");
    refused("coutn", "x", "f.yaml:2:3: unknown option 'coutn' of tail; did you mean 'count'?");
    refused("qqqqqqqq", "x", "f.yaml:2:3: unknown option 'qqqqqqqq' of tail; weir plugins tail lists them");
    refused("rdkafka.", "x", "f.yaml:2:3: unknown option 'rdkafka.' of tail; did you mean 'rdkafka'?");
    refused("path.x", "x", "f.yaml:2:3: unknown option 'path.x' of tail; did you mean 'path'?");
    refused("flus", "x", "f.yaml:2:3: unknown option 'flus' of tail; weir plugins tail lists them");
}
END_TEST

START_TEST(given_twice)
{
    add("number", "1");
    add("count", "2");
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_str_eq(problems.items[0].text,
                     "f.yaml:3:3: tail: option 'number' is given twice, first in line 2");
    section.count = 0;
    add("rdkafka.a", "1");
    add("kafka.A", "2");
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_uint_eq(problems.errors, 1);
    ck_assert_ptr_nonnull(
        strstr(problems.items[0].text, "f.yaml:3:3: tail: option 'kafka.A' is given twice"));
}
END_TEST

START_TEST(lists)
{
    add("list", " x , ,y,, z ");
    ck_assert_int_eq(parse(), 0);
    ck_assert_uint_eq(values.list.count, 3);
    ck_assert_str_eq(values.list.items[0], "x");
    ck_assert_str_eq(values.list.items[1], "y");
    ck_assert_str_eq(values.list.items[2], "z");
    section.count = 0;
    add2("list", "a,b", " c ");
    add("list", "d,e");
    ck_assert_int_eq(parse(), 0);
    ck_assert_uint_eq(values.list.count, 4);
    ck_assert_str_eq(values.list.items[0], "a,b");
    ck_assert_str_eq(values.list.items[1], " c ");
    ck_assert_str_eq(values.list.items[3], "e");
    section.count = 0;
    add("list", " , ");
    ck_assert_int_eq(parse(), 0);
    ck_assert_uint_eq(values.list.count, 0); /* not the default's */
    section.count = 0;
    add2("number", "1", "2");
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_str_eq(problems.items[0].text, "f.yaml:2:3: tail: option 'number' wants one value, not a list");
}
END_TEST

START_TEST(maps)
{
    add("rdkafka.compression.codec", "lz4");
    add("KAFKA.acks", "all");
    ck_assert_int_eq(parse(), 0);
    ck_assert_uint_eq(values.map.count, 2);
    ck_assert_str_eq(values.map.entries[0].name, "compression.codec");
    ck_assert_str_eq(values.map.entries[0].value, "lz4");
    ck_assert_str_eq(values.map.entries[1].name, "acks");
    section.count = 0;
    add2("rdkafka.x", "a", "b");
    ck_assert_int_eq(parse(), -EINVAL);
}
END_TEST

START_TEST(ignored)
{
    add("flush", "1");
    add("storage.path", "/x");
    ck_assert_int_eq(parse(), 0);
    ck_assert_uint_eq(problems.count, 2);
    ck_assert(problems.items[0].warning && problems.items[1].warning);
    ck_assert_str_eq(problems.items[0].text,
                     "f.yaml:2:3: tail: option 'flush' has no effect: there is no timer");
    ck_assert_str_eq(problems.items[1].text,
                     "f.yaml:3:3: tail: option 'storage.path' has no effect: there is no storage");
    refused("storage", "x", "f.yaml:2:3: unknown option 'storage' of tail; weir plugins tail lists them");
}
END_TEST

START_TEST(required)
{
    static const struct weir_option table[] = {
        {ROW("path", WEIR_OPTION_PATH, path), .flags = WEIR_OPTION_REQUIRED},
        {ROW("list", WEIR_OPTION_LIST, list), .flags = WEIR_OPTION_REQUIRED},
        {0},
    };
    ck_assert_int_eq(parse_table(table), -EINVAL);
    ck_assert_uint_eq(problems.errors, 2);
    ck_assert_str_eq(problems.items[0].text, "f.yaml:1:1: tail: option 'path' is missing");
    add("path", "");
    add("list", "x");
    ck_assert_int_eq(parse_table(table), -EINVAL);
    ck_assert_uint_eq(problems.errors, 1);
    ck_assert_str_eq(problems.items[0].text, "f.yaml:2:3: tail: option 'path' needs a value");
    settings[1].count = 0; /* [] */
    settings[1].is_list = true;
    texts[0][0] = (char *)"x";
    ck_assert_int_eq(parse_table(table), -EINVAL);
    ck_assert_str_eq(problems.items[0].text, "f.yaml:3:3: tail: option 'list' needs a value");
}
END_TEST

START_TEST(misspelt_required_is_one_error)
{
    static const struct weir_option table[] = {
        {ROW("path", WEIR_OPTION_PATH, path), .flags = WEIR_OPTION_REQUIRED}, {0}};
    add("pth", "/x");
    ck_assert_int_eq(parse_table(table), -EINVAL);
    ck_assert_uint_eq(problems.count, 1);
    ck_assert_str_eq(problems.items[0].text,
                     "f.yaml:2:3: unknown option 'pth' of tail; did you mean 'path'?");
}
END_TEST

START_TEST(several_errors_at_once)
{
    add("number", "x");
    add("pth", "x");
    add("size", "1");
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_uint_eq(problems.errors, 3);
}
END_TEST

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    fclose(file);
}

START_TEST(secrets_from_files)
{
    char path[] = "/tmp/test_option.XXXXXX", value[64], *many = malloc(70000);
    int fd = mkstemp(path);
    ck_assert(fd >= 0 && many);
    close(fd);
    snprintf(value, sizeof value, "file://%s", path);
    write_file(path, "hunter2 \r\n\n", 11);
    add("password", value);
    ck_assert_int_eq(parse(), 0);
    ck_assert_str_eq(values.secret, "hunter2 ");
    memset(many, 's', 70000);
    const struct {
        const void *data;
        size_t size;
        int expected;
    } cases[] = {{"\n", 1, -EINVAL},
                 {"", 0, -EINVAL},
                 {"hunter2\0x", 9, -EINVAL},
                 {many, 65536, 0},
                 {many, 65537, -EINVAL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(path, cases[i].data, cases[i].size);
        ck_assert_int_eq(parse(), cases[i].expected);
        ck_assert_uint_eq(problems.errors, cases[i].expected != 0);
        ck_assert(!problems.count ||
                  (!strstr(problems.items[0].text, "hunter2") && !strstr(problems.items[0].text, "sss")));
    }
    unlink(path);
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_ptr_nonnull(strstr(problems.items[0].text, "No such file"));
    refused(
        "password", "file://relative",
        "f.yaml:2:3: tail: option 'password' wants the whole path of a file, as in file:///run/secrets/NAME");
    free(many);
}
END_TEST

START_TEST(secrets_are_in_no_message)
{
    add("password", "hunter2");
    add("password", "hunter3");
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_ptr_null(strstr(problems.items[0].text, "hunter"));
    section.count = 0;
    add2("password", "hunter2", "hunter3");
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_ptr_null(strstr(problems.items[0].text, "hunter"));
    section.count = 0;
    add("passwrd", "hunter2");
    ck_assert_int_eq(parse(), -EINVAL);
    ck_assert_ptr_null(strstr(problems.items[0].text, "hunter"));
}
END_TEST

START_TEST(two_tables)
{
    static const struct weir_option common[] = {{.name = "tag", .type = WEIR_OPTION_STRING, .def = "t"}, {0}};
    const char *tag = NULL;
    const struct option_table tables[] = {
        {common, sizeof(struct weir_option), &tag, sizeof tag},
        {options, sizeof(struct weir_option), &values, sizeof values},
        {NULL, 0, NULL, 0},
    };
    add("TAG", "x");
    add("number", "7");
    ck_assert_int_eq(option_parse(&section, "tail", tables, 3, &memory, &problems), 0);
    ck_assert_str_eq(tag, "x");
    ck_assert_int_eq(values.number, 7);
}
END_TEST

/* A plugin of an older header has rows that end before `help`'s successors, one of a newer has more. */
START_TEST(other_row_sizes)
{
    struct longer {
        struct weir_option row;
        char more[24];
    } longer[3] = {
        {.row = {ROW("number", WEIR_OPTION_INT, number), .def = "3"}, .more = "xxxxxxxxxxxxxxxxxxxxxxx"},
        {.row = {ROW("path", WEIR_OPTION_PATH, path)}, .more = "yyyyyyyyyyyyyyyyyyyyyyy"}};
    const struct option_table table = {&longer[0].row, sizeof *longer, &values, sizeof values};
    add("path", "/x");
    ck_assert_int_eq(option_parse(&section, "tail", &table, 1, &memory, &problems), 0);
    ck_assert_int_eq(values.number, 3);
    ck_assert_str_eq(values.path, "/x");

    _Alignas(struct weir_option) unsigned char shorter[3 * 64] = {0};
    size_t row_size = offsetof(struct weir_option, choices);
    for (size_t i = 0; i < 2; i++)
        memcpy(shorter + i * row_size, &longer[i].row, row_size);
    struct weir_option row = option_row((const struct weir_option *)shorter, row_size, 1);
    ck_assert_str_eq(row.name, "path");
    ck_assert_ptr_null(row.choices);
    ck_assert_ptr_null(row.help);
    ck_assert_ptr_null(option_row((const struct weir_option *)shorter, row_size, 2).name);
}
END_TEST

START_TEST(nothing_outside_the_structure)
{
    static const struct weir_option table[] = {
        {ROW("guard", WEIR_OPTION_INT, guard), .def = "1"},
        {.name = "far", .type = WEIR_OPTION_LIST, .offset = SIZE_MAX - 4, .def = "1"},
        {0}};
    const struct option_table t = {table, sizeof *table, &values, offsetof(struct values, guard) + 4};
    add("guard", "2");
    add("far", "2");
    ck_assert_int_eq(option_parse(&section, "tail", &t, 1, &memory, &problems), 0);
    ck_assert_int_eq(values.guard, 77);
}
END_TEST

START_TEST(bools_and_ints)
{
    bool b;
    int64_t n = 42;
    static const char *const yes[] = {"on", "true", "yes", "YES", "True"}, *const no[] = {"off", "false",
                                                                                          "no", "Off"};
    for (size_t i = 0; i < 5; i++)
        ck_assert(option_parse_bool(yes[i], &b) == 0 && b);
    for (size_t i = 0; i < 4; i++)
        ck_assert(option_parse_bool(no[i], &b) == 0 && !b);
    ck_assert_int_eq(option_parse_bool("1", &b), -EINVAL);
    ck_assert_int_eq(option_parse_bool("", &b), -EINVAL);
    ck_assert_int_eq(option_parse_bool("on ", &b), -EINVAL);
    ck_assert(option_parse_int("-9223372036854775808", &n) == 0 && n == INT64_MIN);
    ck_assert(option_parse_int("9223372036854775807", &n) == 0 && n == INT64_MAX);
    ck_assert(option_parse_int("+007", &n) == 0 && n == 7);
    ck_assert_int_eq(option_parse_int("9223372036854775808", &n), -ERANGE);
    static const char *const bad[] = {"", "-", " 1", "1 ", "--1", "+-1", "1e3", "0x1", "1k"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(option_parse_int(bad[i], &n), -EINVAL);
    ck_assert_int_eq(n, 7); /* untouched on failure */
}
END_TEST

START_TEST(sizes)
{
    uint64_t n = 42;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},
                {"512", 512},
                {"1b", 1},
                {"32k", 32768},
                {"32KB", 32768},
                {"5M", 5 << 20},
                {"5MiB", 5 << 20},
                {"1G", 1 << 30},
                {"2t", UINT64_C(2) << 40},
                {"18446744073709551615", UINT64_MAX},
                {"16777215T", UINT64_C(16777215) << 40}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert(option_parse_size(good[i].text, &n) == 0 && n == good[i].value);
    n = 42;
    static const char *const bad[] = {"", "k", "-1", "+1", "1 k", "1.5M", "1kk", "1x", "0x10", " 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(option_parse_size(bad[i], &n), -EINVAL);
    static const char *const large[] = {"18446744073709551616", "16777216T", "99999999999999999999G"};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        ck_assert_int_eq(option_parse_size(large[i], &n), -ERANGE);
    ck_assert_uint_eq(n, 42);
}
END_TEST

START_TEST(durations)
{
    uint64_t n = 42;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},
                {"5", 5000000000},
                {"0.5", 500000000},
                {"5s", 5000000000},
                {"100ms", 100000000},
                {"1.5s", 1500000000},
                {"7us", 7000},
                {"9ns", 9},
                {"1h30m", 5400000000000},
                {"1d2h3m4s5ms6us7ns", 93784005006007},
                {"2M", 120000000000},
                {"0.0000000019s", 1},
                {"1.9999999999999ns", 1},
                {"213503d", UINT64_C(18446659200000000000)},
                {"18446744073709551615ns", UINT64_MAX}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(option_parse_duration(good[i].text, &n) == 0 && n == good[i].value, "%s: %llu",
                      good[i].text, (unsigned long long)n);
    n = 42;
    static const char *const bad[] = {"",     "s",    "-1s",  "+1s", "1 s",   "5x", "1s1",
                                      "1s1m", "1m1m", "1.s",  ".5s", "1..5s", "5 ", " 5",
                                      "1e3",  "soon", "1mss", "abc", "1h 30m"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(option_parse_duration(bad[i], &n) == -EINVAL, "%s", bad[i]);
    static const char *const large[] = {"213504d", "18446744073709551616ns", "99999999999999999999999h",
                                        "18446744073709551615ns1", "18446744073s1000ms999999999999ns"};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        ck_assert_int_lt(option_parse_duration(large[i], &n), 0);
    ck_assert_int_eq(option_parse_duration("18446744073s999ms", &n), -ERANGE);
    ck_assert_uint_eq(n, 42);
}
END_TEST

static void table_refused(struct weir_option row, const char *words)
{
    const struct weir_option table[] = {
        {.name = "first", .alias = "one", .type = WEIR_OPTION_BOOL}, row, {0}};
    char *fault = option_check_table(table, sizeof *table, 16);
    ck_assert_ptr_nonnull(fault);
    ck_assert_msg(strstr(fault, words) != NULL, "%s", fault);
    ck_assert_msg(strstr(fault, row.name) != NULL, "%s", fault);
    free(fault);
}

START_TEST(bad_tables)
{
    static const char *const none[] = {NULL};
    table_refused((struct weir_option){.name = "far", .type = WEIR_OPTION_INT, .offset = 16}, "offset");
    table_refused((struct weir_option){.name = "far", .type = WEIR_OPTION_LIST, .offset = 8}, "offset");
    table_refused((struct weir_option){.name = "far", .type = WEIR_OPTION_BOOL, .offset = SIZE_MAX},
                  "offset");
    table_refused((struct weir_option){.name = "over", .type = WEIR_OPTION_INT}, "an earlier option's");
    table_refused((struct weir_option){.name = "over", .type = WEIR_OPTION_LIST}, "an earlier option's");
    table_refused((struct weir_option){.name = "odd", .type = WEIR_OPTION_INT, .offset = 4}, "aligned");
    table_refused((struct weir_option){.name = "new", .type = (enum weir_option_type)12}, "type");
    table_refused((struct weir_option){.name = "zero", .type = (enum weir_option_type)0}, "type");
    table_refused((struct weir_option){.name = "Big", .type = WEIR_OPTION_INT}, "form");
    table_refused((struct weir_option){.name = "a b", .type = WEIR_OPTION_INT}, "form");
    table_refused((struct weir_option){.name = "a.*", .type = WEIR_OPTION_INT}, "form");
    table_refused((struct weir_option){.name = "a", .alias = "", .type = WEIR_OPTION_INT}, "form");
    table_refused((struct weir_option){.name = "first", .type = WEIR_OPTION_INT}, "earlier");
    table_refused((struct weir_option){.name = "a", .alias = "one", .type = WEIR_OPTION_INT}, "earlier");
    table_refused((struct weir_option){.name = "c", .type = WEIR_OPTION_CHOICE}, "choices");
    table_refused((struct weir_option){.name = "c", .type = WEIR_OPTION_CHOICE, .choices = none}, "choices");
    table_refused(
        (struct weir_option){.name = "c", .type = WEIR_OPTION_CHOICE, .choices = choices, .def = "x"},
        "default");
    table_refused((struct weir_option){.name = "n", .type = WEIR_OPTION_INT, .def = "x"}, "default");
    table_refused((struct weir_option){.name = "n", .type = WEIR_OPTION_INT, .def = "9", .min = 1, .max = 8},
                  "default");
    table_refused((struct weir_option){.name = "n", .type = WEIR_OPTION_INT, .min = 2, .max = 1}, "range");
    ck_assert_ptr_null(option_check_table(options, sizeof *options, sizeof(struct values)));
    ck_assert_ptr_null(option_check_table(config_service_options, sizeof *options, sizeof(struct service)));
    ck_assert_ptr_null(option_check_table(NULL, 0, 0));
}
END_TEST

START_TEST(endless_table)
{
    struct weir_option *table = calloc(1100, sizeof *table);
    char(*names)[16] = calloc(1100, sizeof *names);
    for (int i = 0; i < 1100; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        table[i] = (struct weir_option){.name = names[i], .type = WEIR_OPTION_BOOL};
    }
    char *fault = option_check_table(table, sizeof *table, 8);
    ck_assert(fault && strstr(fault, "does not end"));
    free(fault);
    free(names);
    free(table);
}
END_TEST

START_TEST(manual)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    option_print(file, options, sizeof *options);
    option_print(file, NULL, 0);
    fclose(file);
    static const char *const parts[] = {
        "  number\n      number, between 1 and 64, default 5, also written count\n      How many.\n",
        "  size\n      size, at least 512, default 32k\n",
        "  rotate_wait\n      duration, at most 1m, default 5s\n",
        "  format\n      choice: raw, json_lines, msgpack, default json_lines\n",
        "  rdkafka.NAME\n      settings, also written kafka\n",
        "  flush: there is no timer\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "%s in %s", parts[i], text);
    free(text);
}
END_TEST

/* Whether two values of an option, as text, count as the same. */
static bool same(const char *name, const char *first, const char *second)
{
    struct values both[2] = {{0}, {0}};
    const char *texts_of[2] = {first, second};
    struct option_memory *memories[2];

    for (int i = 0; i < 2; i++) {
        char *value = (char *)texts_of[i];
        struct setting one = {.name = (char *)name, .values = &value, .count = 1};
        struct section s = {.settings = &one, .count = value ? 1 : 0};
        struct option_table table = {options, sizeof(*options), &both[i], sizeof(both[i])};
        ck_assert_int_eq(option_parse(&s, "x", &table, 1, &memories[i], &problems), 0);
    }
    bool found = option_same(options, sizeof(*options), &both[0], &both[1]);
    ck_assert(option_same(options, sizeof(*options), &both[1], &both[0]) == found);
    option_free(memories[0]);
    option_free(memories[1]);
    return found;
}

static const struct {
    const char *name, *first, *second;
    bool same;
} pairs[] = {
    {"flag", "yes", "on", true},
    {"flag", NULL, "true", true},
    {"flag", NULL, "off", false},
    {"number", "5", NULL, true},
    {"count", "5", NULL, true},
    {"number", "6", NULL, false},
    {"size", "32768", "32k", true},
    {"size", "32769", "32k", false},
    {"rotate_wait", "5000ms", NULL, true},
    {"rotate_wait", "5001ms", NULL, false},
    {"text", NULL, "", false},
    {"text", "a", "a", true},
    {"text", "a", "b", false},
    {"path", "/default", NULL, true},
    {"path", "/other", NULL, false},
    {"password", "x", "x", true},
    {"password", "x", "X", false},
    {"password", "x", NULL, false},
    {"list", "a,b", NULL, true},
    {"list", "a , b", "a,b", true},
    {"list", "a,b,c", NULL, false},
    {"list", "b,a", NULL, false},
    {"format", "json_lines", NULL, true},
    {"format", "raw", NULL, false},
    {"rdkafka.a", "1", "1", true},
    {"rdkafka.a", "1", "2", false},
    {"rdkafka.a", "1", NULL, false},
    {"flush", "1", "2", true},
    {"storage.x", "1", NULL, true},
};

START_TEST(same_values)
{
    ck_assert_msg(same(pairs[_i].name, pairs[_i].first, pairs[_i].second) == pairs[_i].same, "%s: %s, %s",
                  pairs[_i].name, pairs[_i].first, pairs[_i].second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("option");
    TCase *tcase = tcase_create("all");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, defaults);
    tcase_add_loop_test(tcase, same_values, 0, sizeof(pairs) / sizeof(*pairs));
    tcase_add_test(tcase, all_set);
    tcase_add_test(tcase, wrong_types);
    tcase_add_test(tcase, long_values_are_shown_short);
    tcase_add_test(tcase, ranges);
    tcase_add_test(tcase, unknown_options);
    tcase_add_test(tcase, given_twice);
    tcase_add_test(tcase, lists);
    tcase_add_test(tcase, maps);
    tcase_add_test(tcase, ignored);
    tcase_add_test(tcase, required);
    tcase_add_test(tcase, misspelt_required_is_one_error);
    tcase_add_test(tcase, several_errors_at_once);
    tcase_add_test(tcase, secrets_from_files);
    tcase_add_test(tcase, secrets_are_in_no_message);
    tcase_add_test(tcase, two_tables);
    tcase_add_test(tcase, other_row_sizes);
    tcase_add_test(tcase, nothing_outside_the_structure);
    tcase_add_test(tcase, bools_and_ints);
    tcase_add_test(tcase, sizes);
    tcase_add_test(tcase, durations);
    tcase_add_test(tcase, bad_tables);
    tcase_add_test(tcase, endless_table);
    tcase_add_test(tcase, manual);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
