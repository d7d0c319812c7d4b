/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics: identity, values, removal, and the text, read back by a small parser of the format. */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "metrics.h"

static struct metrics *metrics;
static int owner, other;

static void setup(void)
{
    metrics = metrics_create();
    ck_assert_ptr_nonnull(metrics);
}

static void teardown(void)
{
    metrics_destroy(metrics);
}

static struct weir_metric *get(enum weir_metric_kind kind, const char *name, const char *label,
                               const char *value)
{
    struct metrics_label l = {.name = label, .value = value};
    return metrics_get(metrics, kind, name, "Help.", &l, label ? 1 : 0, &owner);
}

static char *text_of(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    ck_assert_int_eq(metrics_write(metrics, out), 0);
    fclose(out);
    return text;
}

/* ---- A reader of the text format 0.0.4 -------------------------------------------------------------- */

struct sample {
    char name[64], labels[512], value[32]; /* labels unescaped, as name=value; */
};

static struct {
    struct sample samples[64];
    size_t count;
    char help[64][64];
    size_t helps;
} parsed;

static const char *parse_name(const char *p, char *ret, bool colons)
{
    const char *first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:";
    size_t length = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789");
    ck_assert_uint_gt(length, 0);
    ck_assert_uint_lt(length, 64);
    ck_assert_ptr_nonnull(strchr(first, *p));
    memcpy(ret, p, length);
    ret[length] = 0;
    ck_assert(colons || !strchr(ret, ':'));
    return p + length;
}

/* From behind the opening quote to behind the closing one. */
static const char *parse_label_value(const char *p, char **to)
{
    for (; *p != '"'; p++) {
        ck_assert(*p && *p != '\n');
        if (*p != '\\') {
            *(*to)++ = *p;
            continue;
        }
        p++;
        ck_assert(*p == '\\' || *p == '"' || *p == 'n');
        *(*to)++ = *p == 'n' ? '\n' : *p;
    }
    return p + 1;
}

static const char *parse_labels(const char *p, char *to)
{
    do {
        p = parse_name(p + 1, to, false);
        to += strlen(to);
        ck_assert_int_eq(p[0], '=');
        ck_assert_int_eq(p[1], '"');
        *to++ = '=';
        p = parse_label_value(p + 2, &to);
        *to++ = ';';
    } while (*p == ',');
    ck_assert_int_eq(*p, '}');
    *to = 0;
    return p + 1;
}

static void parse_sample(const char *line, const char *family)
{
    struct sample *s = &parsed.samples[parsed.count++];
    ck_assert_uint_le(parsed.count, 64);
    s->labels[0] = 0;
    const char *p = parse_name(line, s->name, true);
    ck_assert_str_eq(s->name, family);
    if (*p == '{')
        p = parse_labels(p, s->labels);
    ck_assert_int_eq(*p, ' ');
    char *end;
    strtod(p + 1, &end);
    ck_assert_int_eq(*end, 0);
    snprintf(s->value, sizeof(s->value), "%s", p + 1);
}

/* Each family once, in order: HELP, TYPE, samples. */
static void parse(char *text)
{
    char family[64] = "", next[64], last[64] = "";
    bool typed = false;
    parsed.count = parsed.helps = 0;
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end); /* the last line ends as well */
        *end = 0;
        if (strncmp(line, "# HELP ", 7) == 0) {
            const char *p = parse_name(line + 7, next, true);
            snprintf(parsed.help[parsed.helps++], 64, "%s", p + 1);
            ck_assert_str_gt(next, last);
            strcpy(last, next);
            typed = false;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            const char *p = parse_name(line + 7, family, true);
            ck_assert(!typed || strcmp(family, last) > 0);
            strcpy(last, family);
            ck_assert(strcmp(p, " counter") == 0 || strcmp(p, " gauge") == 0);
            typed = true;
        } else {
            ck_assert(typed);
            parse_sample(line, family);
        }
    }
}

static const char *value_of(const char *name, const char *labels)
{
    for (size_t i = 0; i < parsed.count; i++)
        if (strcmp(parsed.samples[i].name, name) == 0 && strcmp(parsed.samples[i].labels, labels) == 0)
            return parsed.samples[i].value;
    return "none";
}

/* ---- Tests --------------------------------------------------------------------------------------- */

START_TEST(the_same_name_and_labels_are_the_same_metric)
{
    struct weir_metric *a = get(WEIR_COUNTER, "weir_lines", "input", "a");
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_eq(get(WEIR_COUNTER, "weir_lines", "input", "a"), a);
    ck_assert_ptr_ne(get(WEIR_COUNTER, "weir_lines", "input", "b"), a);
    ck_assert_ptr_ne(get(WEIR_COUNTER, "weir_lines", "output", "a"), a);
    ck_assert_ptr_ne(get(WEIR_COUNTER, "weir_lines", NULL, NULL), a);
    metric_add(a, 3);
    metric_add(a, 4);
    ck_assert_int_eq(metric_value(a), 7);
    metric_set(a, -5);
    ck_assert_int_eq(metric_value(a), -5);
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    ck_assert_int_eq(metric_value(NULL), 0);
}
END_TEST

START_TEST(another_kind_is_refused)
{
    ck_assert_ptr_nonnull(get(WEIR_COUNTER, "x", NULL, NULL));
    ck_assert_ptr_null(get(WEIR_GAUGE, "x", NULL, NULL));
    ck_assert_ptr_null(get(WEIR_GAUGE, "x", "input", "a"));
    ck_assert_ptr_null(get(WEIR_GAUGE, "x_total", NULL, NULL)); /* the counter's name in the text */
    ck_assert_ptr_nonnull(get(WEIR_GAUGE, "y", NULL, NULL));
    ck_assert_ptr_null(get(WEIR_COUNTER, "y", NULL, NULL));
    ck_assert_ptr_nonnull(get(WEIR_GAUGE, "memory_total", NULL, NULL));
    ck_assert_ptr_null(get(WEIR_COUNTER, "memory", NULL, NULL));
}
END_TEST

START_TEST(bad_names_are_refused)
{
    static const char *const bad[] = {"", "1x", "a-b", "a b", "a\n", "é", "a.b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_ptr_null(get(WEIR_GAUGE, bad[i], NULL, NULL));
        ck_assert_ptr_null(get(WEIR_GAUGE, "x", bad[i], "v"));
    }
    ck_assert_ptr_null(get(WEIR_GAUGE, NULL, NULL, NULL));
    ck_assert_ptr_null(get(WEIR_GAUGE, "x", "label", NULL));
    ck_assert_ptr_null(get((enum weir_metric_kind)7, "x", NULL, NULL));
    ck_assert_ptr_null(get(WEIR_GAUGE, "x", "a:b", "v")); /* colons are for names only */
    ck_assert_ptr_nonnull(get(WEIR_GAUGE, "a:b_1", NULL, NULL));
    char *text = text_of();
    ck_assert_str_eq(text, "# HELP a:b_1 Help.\n# TYPE a:b_1 gauge\na:b_1 0\n");
    free(text);
}
END_TEST

START_TEST(the_text_is_prometheus)
{
    struct metrics_label two[] = {{.name = "input", .value = "a"}, {.name = "reason", .value = "too long"}};
    metric_add(get(WEIR_COUNTER, "weir_lines", "input", "b"), UINT64_MAX);
    metric_set(get(WEIR_GAUGE, "weir_depth", NULL, NULL), INT64_MIN);
    metric_add(get(WEIR_COUNTER, "weir_lines", "input", "a"), 2);
    metric_add(metrics_get(metrics, WEIR_COUNTER, "weir_lines", "ignored", two, 2, &owner), 9);
    metric_set(metrics_get(metrics, WEIR_GAUGE, "a_first", NULL, NULL, 0, &owner), 1);
    char *text = text_of();
    ck_assert_str_eq(text,
                     "# TYPE a_first gauge\na_first 1\n"
                     "# HELP weir_depth Help.\n# TYPE weir_depth gauge\nweir_depth -9223372036854775808\n"
                     "# HELP weir_lines_total Help.\n# TYPE weir_lines_total counter\n"
                     "weir_lines_total{input=\"a\",reason=\"too long\"} 9\n"
                     "weir_lines_total{input=\"a\"} 2\n"
                     "weir_lines_total{input=\"b\"} 18446744073709551615\n");
    parse(text);
    ck_assert_uint_eq(parsed.count, 5);
    ck_assert_str_eq(value_of("weir_lines_total", "input=a;reason=too long;"), "9");
    free(text);
}
END_TEST

START_TEST(label_values_come_back_as_they_were)
{
    static const char *const values[] = {
        "",      "\\",       "\"",           "\n",
        "a\\nb", "\\\"\n\\", "{x=\"1\"} 5",  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        "a,b",   "\t\r",     "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    size_t count = sizeof(values) / sizeof(*values);
    for (size_t i = 0; i < count; i++)
        metric_set(get(WEIR_GAUGE, "weir_x", "path", values[i]), (int64_t)i + 1);
    char *text = text_of();
    parse(text);
    free(text);
    ck_assert_uint_eq(parsed.count, count);
    for (size_t i = 0; i < count; i++) {
        char labels[64], value[16];
        snprintf(labels, sizeof(labels), "path=%s;", values[i]);
        snprintf(value, sizeof(value), "%zu", i + 1);
        ck_assert_str_eq(value_of("weir_x", labels), value);
    }
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_replaced)
{
#define BAD "\xef\xbf\xbd"
    static const char *const values[][2] = {
        {"\xff", BAD},
        {"a\x80z", "a" BAD "z"},
        {"\xc0\xaf", BAD BAD},         /* overlong */
        {"\xe0\x80\xaf", BAD BAD BAD}, /* overlong */
        {"\xed\xa0\x80", BAD BAD BAD}, /* a surrogate */
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
        {"\xf0\x9f\x98", BAD BAD BAD}, /* cut off */
        {"\xe2\x82\"", BAD BAD "\""},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        char name[16], labels[64];
        snprintf(name, sizeof(name), "x%zu", i);
        snprintf(labels, sizeof(labels), "path=%s;", values[i][1]);
        ck_assert_ptr_nonnull(get(WEIR_GAUGE, name, "path", values[i][0]));
        char *text = text_of();
        parse(text);
        ck_assert_str_eq(value_of(name, labels), "0");
        free(text);
    }
}
END_TEST

START_TEST(help_is_one_line)
{
    ck_assert_ptr_nonnull(metrics_get(metrics, WEIR_GAUGE, "x", "a\\b\n\"c\"", NULL, 0, &owner));
    char *text = text_of();
    parse(text);
    ck_assert_uint_eq(parsed.helps, 1);
    ck_assert_str_eq(parsed.help[0], "a\\\\b\\n\"c\"");
    free(text);
}
END_TEST

/* An instance that replaces another has the same metrics; whichever of them goes first. */
START_TEST(shared_by_owners)
{
    static int heirs[3];
    struct weir_metric *mine = get(WEIR_COUNTER, "shared", "input", "a");
    struct metrics_label label = {.name = "input", .value = "a"};
    metric_add(mine, 5);
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_eq(metrics_get(metrics, WEIR_COUNTER, "shared", "Help.", &label, 1, &heirs[i]), mine);
        ck_assert_ptr_eq(metrics_get(metrics, WEIR_COUNTER, "shared", "Help.", &label, 1, &heirs[i]), mine);
    }
    metrics_drop(metrics, &heirs[1]);
    metrics_drop(metrics, &owner);
    metric_add(mine, 1);
    metrics_drop(metrics, &heirs[_i ? 0 : 2]);
    ck_assert_ptr_eq(get(WEIR_COUNTER, "shared", "input", "a"), mine);
    metrics_drop(metrics, &owner);
    char *text = text_of();
    ck_assert_str_eq(text,
                     "# HELP shared_total Help.\n# TYPE shared_total counter\nshared_total{input=\"a\"} 6\n");
    free(text);
    metrics_drop(metrics, &heirs[_i ? 2 : 0]);
    text = text_of();
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

START_TEST(dropped_with_its_owner)
{
    struct metrics_label label = {.name = "input", .value = "b"};
    get(WEIR_COUNTER, "shared", "input", "a");
    get(WEIR_GAUGE, "mine", NULL, NULL);
    struct weir_metric *theirs = metrics_get(metrics, WEIR_COUNTER, "shared", "Help.", &label, 1, &other);
    metric_add(theirs, 6);
    metrics_drop(metrics, &owner);
    metrics_drop(metrics, &owner);
    char *text = text_of();
    ck_assert_str_eq(text,
                     "# HELP shared_total Help.\n# TYPE shared_total counter\nshared_total{input=\"b\"} 6\n");
    free(text);
    /* A name that is free again may be of another kind. */
    ck_assert_ptr_nonnull(get(WEIR_COUNTER, "mine", NULL, NULL));
    metrics_drop(metrics, &other);
    metrics_drop(metrics, &owner);
    text = text_of();
    ck_assert_str_eq(text, "");
    free(text);
    metrics_destroy(NULL);
}
END_TEST

START_TEST(many_inputs_come_and_go)
{
    enum { INPUTS = 10000 };
    static char owners[INPUTS];
    for (int i = 0; i < INPUTS; i++) {
        char alias[32];
        snprintf(alias, sizeof(alias), "tail.%d", i);
        struct metrics_label label = {.name = "input", .value = alias};
        if (!metrics_get(metrics, WEIR_COUNTER, "weir_a", "a", &label, 1, &owners[i]) ||
            !metrics_get(metrics, WEIR_GAUGE, "weir_b", "b", &label, 1, &owners[i]))
            ck_abort_msg("no metric %d", i);
    }
    for (int i = 0; i < INPUTS; i++)
        metrics_drop(metrics, &owners[i]);
    char *text = text_of();
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

/* As many as there are files, by a label of their own; and as many names. */
START_TEST(one_owner_may_have_thousands)
{
    enum { FILES = 3000, NAMES = 200 };
    static struct weir_metric *files[FILES];
    char text[32];
    for (int i = 0; i < FILES; i++) {
        snprintf(text, sizeof(text), "/var/log/%d", i);
        struct metrics_label labels[] = {{.name = "input", .value = "a"}, {.name = "path", .value = text}};
        files[i] = metrics_get(metrics, WEIR_GAUGE, "lag", NULL, labels, 2, &owner);
        metric_set(files[i], i);
    }
    for (int i = 0; i < NAMES; i++) {
        snprintf(text, sizeof(text), "n%03d", i);
        metric_set(get(WEIR_GAUGE, text, "input", "a"), i);
    }
    for (int i = 0; i < FILES; i++) {
        snprintf(text, sizeof(text), "/var/log/%d", i);
        struct metrics_label labels[] = {{.name = "input", .value = "a"}, {.name = "path", .value = text}};
        if (metric_value(files[i]) != i ||
            metrics_get(metrics, WEIR_GAUGE, "lag", NULL, labels, 2, &owner) != files[i])
            ck_abort_msg("%d is another metric", i);
    }
    for (int i = 0; i < NAMES; i++) {
        snprintf(text, sizeof(text), "n%03d", i);
        ck_assert_int_eq(metric_value(get(WEIR_GAUGE, text, "input", "a")), i);
    }
    char *all = text_of();
    size_t lines = 0;
    for (const char *p = all; *p; p++)
        lines += *p == '\n';
    ck_assert_uint_eq(lines, FILES + 1 + 3 * NAMES);
    ck_assert_ptr_nonnull(strstr(all, "lag{input=\"a\",path=\"/var/log/2999\"} 2999\n"));
    free(all);
    metrics_drop(metrics, &owner);
    all = text_of();
    ck_assert_str_eq(all, "");
    free(all);
}
END_TEST

/* What an owner asks for anew begins at 0, though another one kept the labels alive. */
START_TEST(what_was_dropped_begins_anew)
{
    struct metrics_label label = {.name = "input", .value = "a"};
    metric_set(get(WEIR_GAUGE, "x", "input", "a"), 7);
    ck_assert_ptr_nonnull(metrics_get(metrics, WEIR_GAUGE, "y", NULL, &label, 1, &other));
    metrics_drop(metrics, &owner);
    char *text = text_of();
    ck_assert_str_eq(text, "# TYPE y gauge\ny{input=\"a\"} 0\n");
    free(text);
    ck_assert_ptr_nonnull(get(WEIR_COUNTER, "x", "input", "a")); /* the name is free */
    metrics_drop(metrics, &owner);
    ck_assert_int_eq(metric_value(get(WEIR_GAUGE, "x", "input", "a")), 0);
    ck_assert_ptr_null(get(WEIR_COUNTER, "x", "input", "a"));
}
END_TEST

START_TEST(a_failed_write_is_told)
{
    FILE *full = fopen("/dev/full", "w");
    ck_assert_ptr_nonnull(full);
    get(WEIR_GAUGE, "x", NULL, NULL);
    ck_assert_int_eq(metrics_write(metrics, full), -ENOSPC);
    fclose(full);
}
END_TEST

enum { THREADS = 4, ROUNDS = 3000 };

/* Each thread has its own label; all add to one counter. */
static void *work(void *data)
{
    char *alias = data;
    struct metrics_label label = {.name = "input", .value = alias};
    for (int i = 0; i < ROUNDS; i++) {
        metric_add(metrics_get(metrics, WEIR_COUNTER, "common", "Help.", NULL, 0, &owner), 1);
        metric_set(metrics_get(metrics, WEIR_GAUGE, "own", "Help.", &label, 1, alias), i);
        if (i % 100 == 0)
            metrics_drop(metrics, alias);
    }
    return NULL;
}

START_TEST(threads_count_and_write)
{
    static char aliases[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    struct weir_metric *common = get(WEIR_COUNTER, "common", NULL, NULL);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, aliases[i]), 0);
    for (int i = 0; i < 50; i++)
        free(text_of());
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(metric_value(common), THREADS * ROUNDS);
    char *text = text_of();
    parse(text);
    free(text);
    ck_assert_uint_eq(parsed.count, 1 + THREADS);
    ck_assert_str_eq(value_of("own", "input=c;"), "2999");
}
END_TEST

static struct weir_metric *get_as(enum weir_metric_kind kind, const char *name, const char *value, void *by)
{
    struct metrics_label l = {.name = "input", .value = value};
    return metrics_get(metrics, kind, name, "Help.", &l, 1, by);
}

/* Shown as 0, without a value until it is asked for as a counter; so for those that come after, too. */
START_TEST(a_counter_at_zero_is_shown)
{
    for (const char *input = "a"; *input; input = *input == 'a' ? "b" : "") {
        struct weir_metric *first = get_as(WEIR_COUNTER, "first", input, &owner);
        ck_assert_ptr_null(get_as(WEIR_COUNTER_AT_ZERO, "rare", input, &owner));
        ck_assert_ptr_null(get_as(WEIR_COUNTER_AT_ZERO, "never", input, &owner));
        struct weir_metric *last = get_as(WEIR_COUNTER, "last", input, &owner);
        metric_add(first, 1);
        metric_add(last, 3);
        struct weir_metric *rare = get_as(WEIR_COUNTER, "rare", input, &owner);
        ck_assert_ptr_nonnull(rare);
        metric_add(rare, 2);
        ck_assert_ptr_eq(get_as(WEIR_COUNTER, "first", input, &owner), first);
        ck_assert_ptr_eq(get_as(WEIR_COUNTER, "rare", input, &owner), rare);
        ck_assert_ptr_eq(get_as(WEIR_COUNTER, "last", input, &owner), last);
        ck_assert_ptr_null(get_as(WEIR_COUNTER_AT_ZERO, "rare", input, &owner));
    }
    char *text = text_of();
    ck_assert_ptr_nonnull(strstr(text, "# TYPE never_total counter\nnever_total{input=\"a\"} 0\n"));
    ck_assert_ptr_nonnull(strstr(text, "never_total{input=\"b\"} 0\n"));
    ck_assert_ptr_nonnull(strstr(text, "first_total{input=\"a\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "rare_total{input=\"a\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "rare_total{input=\"b\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "last_total{input=\"b\"} 3\n"));
    free(text);
}
END_TEST

/* Who follows on an owner declares them anew, and takes nothing away; what all have dropped begins at 0. */
START_TEST(a_counter_at_zero_keeps_what_it_counts)
{
    get_as(WEIR_COUNTER_AT_ZERO, "rare", "a", &owner);
    metric_add(get_as(WEIR_COUNTER, "rare", "a", &owner), 5);
    get_as(WEIR_COUNTER_AT_ZERO, "rare", "a", &other);
    metrics_drop(metrics, &owner);
    ck_assert_int_eq(metric_value(get_as(WEIR_COUNTER, "rare", "a", &other)), 5);
    get_as(WEIR_COUNTER, "kept", "a", &owner);
    metrics_drop(metrics, &other);
    get_as(WEIR_COUNTER_AT_ZERO, "rare", "a", &other);
    char *text = text_of();
    ck_assert_ptr_nonnull(strstr(text, "rare_total{input=\"a\"} 0\n"));
    free(text);
    ck_assert_ptr_null(get_as(WEIR_COUNTER_AT_ZERO, "kept", "a", &owner));
    ck_assert_ptr_null(get_as(WEIR_GAUGE, "rare", "a", &owner)); /* that name is a counter's */
}
END_TEST

static struct weir_metric *get_shared(const char *name, struct rcstring *value, const char *reason)
{
    struct metrics_label labels[] = {{"input", value->chars, value}, {.name = "reason", .value = reason}};
    return metrics_get(metrics, WEIR_COUNTER, name, NULL, labels, reason ? 2 : 1, &other);
}

static unsigned references(const struct rcstring *s)
{
    return atomic_load(&s->refs);
}

/* A value whose memory is kept is the same as one that is copied, and lives as long as its metrics. */
START_TEST(a_value_may_be_shared)
{
    struct rcstring *a = rcstring_create("a"), *c = rcstring_create("c"), *quoted = rcstring_create("b\"");
    struct weir_metric *copied = get(WEIR_COUNTER, "lines", "input", "a");
    ck_assert_ptr_eq(get_shared("lines", a, NULL), copied);
    struct weir_metric *kept = get_shared("lines", c, NULL);
    ck_assert_ptr_eq(get(WEIR_COUNTER, "lines", "input", "c"), kept);
    ck_assert_ptr_ne(get(WEIR_COUNTER, "lines", "input", "cc"), kept);
    ck_assert_ptr_ne(get(WEIR_COUNTER, "lines", "inputs", "c"), kept);
    get_shared("lines", c, "long");
    get_shared("lines", quoted, NULL);
    ck_assert_uint_eq(references(a), 1);
    ck_assert_uint_eq(references(c), 2);
    ck_assert_uint_eq(references(quoted), 1); /* it is written with a backslash */
    rcstring_unref(c);
    metrics_drop(metrics, &owner);
    char *text = text_of();
    ck_assert_str_eq(text, "# HELP lines_total Help.\n# TYPE lines_total counter\n"
                           "lines_total{input=\"c\",reason=\"long\"} 0\nlines_total{input=\"c\"} 0\n"
                           "lines_total{input=\"a\"} 0\nlines_total{input=\"b\\\"\"} 0\n");
    free(text);
    metrics_drop(metrics, &other);
    rcstring_unref(a);
    rcstring_unref(quoted);
}
END_TEST

/* Where it is full of series, the values of all labels say which holder, and the first one's is copied. */
START_TEST(a_shared_value_of_thousands)
{
    struct rcstring *a = rcstring_create("a");
    struct weir_metric *files[200];
    char number[16];
    for (int i = 0; i < 200; i++) {
        snprintf(number, sizeof(number), "%d", i);
        files[i] = get_shared("lag", a, number);
        metric_add(files[i], (uint64_t)i);
    }
    ck_assert_uint_eq(references(a), 2);
    for (int i = 0; i < 200; i++) {
        snprintf(number, sizeof(number), "%d", i);
        ck_assert_ptr_eq(get_shared("lag", a, number), files[i]);
        ck_assert_int_eq(metric_value(files[i]), i);
    }
    metrics_drop(metrics, &other);
    ck_assert_uint_eq(references(a), 1);
    rcstring_unref(a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metrics");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_same_name_and_labels_are_the_same_metric);
    tcase_add_test(t, another_kind_is_refused);
    tcase_add_test(t, bad_names_are_refused);
    tcase_add_test(t, the_text_is_prometheus);
    tcase_add_test(t, label_values_come_back_as_they_were);
    tcase_add_test(t, bytes_that_are_not_utf8_are_replaced);
    tcase_add_test(t, help_is_one_line);
    tcase_add_test(t, dropped_with_its_owner);
    tcase_add_loop_test(t, shared_by_owners, 0, 2);
    tcase_add_test(t, many_inputs_come_and_go);
    tcase_add_test(t, one_owner_may_have_thousands);
    tcase_add_test(t, what_was_dropped_begins_anew);
    tcase_add_test(t, a_counter_at_zero_is_shown);
    tcase_add_test(t, a_counter_at_zero_keeps_what_it_counts);
    tcase_add_test(t, a_value_may_be_shared);
    tcase_add_test(t, a_shared_value_of_thousands);
    tcase_add_test(t, a_failed_write_is_told);
    tcase_add_test(t, threads_count_and_write);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
