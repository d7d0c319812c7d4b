/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: records of several lines, wherever they are cut by reads, restarts, rotation and truncation. */
#include "tail_fixture.h"

enum { TEXT_MAX = 1 << 20 };

#define T1        "2016-10-06T00:17:09.669794202Z"
#define T2        "2016-10-06T00:17:10.5Z"
#define OUT(text) "{\"log\":\"" text "\",\"stream\":\"stdout\",\"time\":\"" T1 "\"}\n"
#define ERR(text) "{\"log\":\"" text "\",\"stream\":\"stderr\",\"time\":\"" T2 "\"}\n"

/* -- What came ------------------------------------------------------------------------------------------ */

static size_t put_field(char *out, const struct weir_record *record, const char *name)
{
    struct weir_value value = {0};
    if (!field(record, name, &value)) {
        return 0;
    }
    if (value.type == WEIR_TYPE_UINT) {
        return (size_t)sprintf(out, "%s=%llu ", name, (unsigned long long)value.as.uint);
    }
    return (size_t)sprintf(out, "%s=%.*s ", name, (int)value.size, (const char *)value.data);
}

/* All records of the chunks from `first` on, each as "[stream=… log=…]" and a newline. The caller frees. */
static char *records_from(size_t first, bool with_offset)
{
    size_t count, size = 0;
    const struct fake_chunk *chunks = fake_chunks(host, &count);
    char *text = calloc(1, TEXT_MAX);
    for (size_t i = first; i < count; i++) {
        struct weir_cursor cursor;
        struct weir_record record;
        weir_cursor_init(&cursor, chunks[i].data, chunks[i].size);
        uint32_t records = 0;
        while (weir_cursor_next(&cursor, &record) > 0) {
            ck_assert_uint_lt(size + record.size + 100, TEXT_MAX);
            text[size++] = '[';
            size += with_offset ? put_field(text + size, &record, "at") : 0;
            size += put_field(text + size, &record, "stream");
            size += put_field(text + size, &record, "log");
            text[size - 1] = ']';
            text[size++] = '\n';
            records++;
        }
        ck_assert_uint_eq(records, chunks[i].records);
    }
    return text;
}

static void expect_records(const char *expected)
{
    fake_idle(host);
    char *text = records_from(first_chunk, false);
    ck_assert_msg(strcmp(text, expected) == 0, "expected:\n%s\ngot:\n%s", expected, text);
    free(text);
    seen();
}

/* Of the chunks since `first_chunk`, sees that nothing came. */
static void expect_none(void)
{
    expect_records("");
}

/* -- Joining -------------------------------------------------------------------------------------------- */

struct sample {
    const char *parser, *pattern, *text, *expected;
};

#define JAVA                                                 \
    "2024-01-02 10:00:00 ERROR c.e.Shop - order 17 failed\n" \
    "java.lang.IllegalStateException: no stock\n"            \
    "\tat com.example.Shop.order(Shop.java:17)\n"            \
    "\tat com.example.Main.main(Main.java:5)\n"              \
    "\tSuppressed: java.io.IOException: close\n"             \
    "\t\tat com.example.R.close(R.java:1)\n"                 \
    "Caused by: java.lang.NullPointerException\n"            \
    "\tat com.example.Db.get(Db.java:9)\n"                   \
    "\t... 2 more\n"                                         \
    "2024-01-02 10:00:01 INFO c.e.Shop - next\n"

static const struct sample samples[] = {
    {NULL, "^\\d{4}-", "rest\n2024-a\n b\n\n c\n2025-d\n2026-e\n f\n",
     "[log=rest]\n[log=2024-a\n b\n\n c]\n[log=2025-d]\n[log=2026-e\n f]\n"},
    {NULL, "^S", "S\r\n a\r\nS\r\n", "[log=S\r\n a\r]\n[log=S\r]\n"},
    {"java", NULL, JAVA,
     "[log=2024-01-02 10:00:00 ERROR c.e.Shop - order 17 failed]\n"
     "[log=java.lang.IllegalStateException: no stock\n\tat com.example.Shop.order(Shop.java:17)\n\tat "
     "com.example.Main.main(Main.java:5)\n\tSuppressed: java.io.IOException: close\n\t\tat "
     "com.example.R.close(R.java:1)\nCaused by: java.lang.NullPointerException\n\tat "
     "com.example.Db.get(Db.java:9)\n\t... 2 more]\n"
     "[log=2024-01-02 10:00:01 INFO c.e.Shop - next]\n"},
    {"java", NULL,
     "Exception in thread \"main\" java.lang.Error\r\n\tat a.B.c(B.java:1)\r\nplain\r\njavax.ServletException: x; "
     "nested exception is:\njava.lang.OutOfMemoryError: heap\n    at x\nTypeError: y\n    at eval at f (e.js:1:2)\n",
     "[log=Exception in thread \"main\" java.lang.Error\r\n\tat a.B.c(B.java:1)\r]\n[log=plain\r]\n"
     "[log=javax.ServletException: x; nested exception is:]\n[log=java.lang.OutOfMemoryError: heap\n    at x]\n"
     "[log=TypeError: y\n    at eval at f (e.js:1:2)]\n"},
    {"java", NULL,
     "java.rmi.RemoteException: a\n nested exception is:\njava.io.IOException: b\n\tat x\n\tat orphan\nz\n\tat y\n",
     "[log=java.rmi.RemoteException: a\n nested exception is:\njava.io.IOException: b\n\tat x\n\tat orphan]\n"
     "[log=z]\n[log=\tat y]\n"},
    {"python", NULL,
     "start\nTraceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    f()\n    ~^^\n"
     "ValueError: bad\n\nDuring handling of the above exception, another exception occurred:\n\n"
     "Traceback (most recent call last):\n  File \"a.py\", line 5, in <module>\n    g()\nmy.pkg.Error\nafter\n",
     "[log=start]\n[log=Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    f()\n    "
     "~^^\nValueError: bad\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback "
     "(most recent call last):\n  File \"a.py\", line 5, in <module>\n    g()\nmy.pkg.Error]\n[log=after]\n"},
    {"python", NULL,
     "  + Exception Group Traceback (most recent call last):\n  |   File \"x\", line 1, in <module>\n  | "
     "ExceptionGroup: g (1 sub-exception)\n  +-+---------------- 1 ----------------\n    | ValueError: 1\nnext\n",
     "[log=  + Exception Group Traceback (most recent call last):\n  |   File \"x\", line 1, in <module>\n  | "
     "ExceptionGroup: g (1 sub-exception)\n  +-+---------------- 1 ----------------\n    | ValueError: "
     "1]\n[log=next]\n"},
    {"go", NULL,
     "2024/01/02 hello\npanic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\n"
     "main.(*T).f(0xc000, 0x1)\n\t/tmp/x.go:8 +0x1d\nmain.main()\n\t/tmp/x.go:3 +0x20\ncreated by main.x in "
     "goroutine 7\n\t/tmp/x.go:1\n\ngoroutine 18 [chan receive]:\nmain.g(...)\n\t/tmp/x.go:9\nexit status 2\n",
     "[log=2024/01/02 hello]\n[log=panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 "
     "[running]:\nmain.(*T).f(0xc000, 0x1)\n\t/tmp/x.go:8 +0x1d\nmain.main()\n\t/tmp/x.go:3 +0x20\ncreated by main.x "
     "in goroutine 7\n\t/tmp/x.go:1\n\ngoroutine 18 [chan receive]:\nmain.g(...)\n\t/tmp/x.go:9]\n[log=exit "
     "status 2]\n"},
    {"go", NULL,
     "http: panic serving 1.2.3.4:5: boom\ngoroutine 9 [running]:\nnet/http.f(0x1)\n\t/a.go:1\nfatal error: all "
     "goroutines are asleep - deadlock!\n\ngoroutine 1 [select]:\nmain.main()\n\t/b.go:2\nmy panic\n",
     "[log=http: panic serving 1.2.3.4:5: boom\ngoroutine 9 [running]:\nnet/http.f(0x1)\n\t/a.go:1]\n[log=fatal "
     "error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [select]:\nmain.main()\n\t/b.go:2]\n[log=my "
     "panic]\n"},
    {"docker", NULL,
     OUT("one\\n") OUT("piece 1,") ERR("err \\\"x\\\"\\t\\u20ac\\ud83d\\ude00\\n") OUT("piece 2,")
         ERR("half ") OUT("end\\n") ERR("done\\n") OUT("\\n") OUT("cr\\r\\n"),
     "[stream=stdout log=one]\n[stream=stderr log=err \"x\"\t\xe2\x82\xac\xf0\x9f\x98\x80]\n[stream=stdout "
     "log=piece 1,piece 2,end]\n[stream=stderr log=half done]\n[stream=stdout log=]\n[stream=stdout log=cr\r]\n"},
    {"docker", NULL,
     "{\"time\":\"" T1
     "\", \"stream\" : \"stderr\", \"attrs\":{\"tag\":\"x\"}, \"log\":\"any order\\n\"}\n" OUT(
         "a") "no json\n" OUT("b\\n") "{\"log\":\"no time\\n\",\"stream\":\"stdout\"}\n",
     "[stream=stderr log=any order]\n[stream=stdout log=a]\n[log=no json]\n[stream=stdout "
     "log=b]\n[log={\"log\":\"no time\\n\",\"stream\":\"stdout\"}]\n"},
    {"cri", NULL,
     T1 " stdout P piece \n" T2 " stderr F whole\n" T1 " stdout P and \n" T1 " stdout F end\n" T1
        " stdout F \n" T1 " stdout F\n2024-10-06T00:17:09+02:00 stdout F:x zone\nx stdout F no time\n",
     "[stream=stderr log=whole]\n[stream=stdout log=piece and end]\n[stream=stdout log=]\n[stream=stdout "
     "log=]\n[stream=stdout log=zone]\n[log=x stdout F no time]\n"},
    {"docker,cri,java,python", NULL,
     OUT("java.lang.Exception: a\\n") ERR("Traceback (most recent call last):\\n") OUT("\\tat x\\n")
         ERR("  File 1\\n") OUT("\\tat lo") ERR("KeyError: 1\\n") OUT("ng\\n") T1
     " stdout F \tat cri\n" OUT("z\\n") ERR("z\\n"),
     "[stream=stdout log=java.lang.Exception: a\n\tat x\n\tat long\n\tat cri]\n[stream=stdout "
     "log=z]\n[stream=stderr log=Traceback (most recent call last):\n  File 1\nKeyError: 1]\n[stream=stderr log=z]\n"},
    {"docker", "^\\[", OUT("[1] a\\n") ERR("[2] b\\n") OUT(" c\\n") ERR(" d\\n") OUT("[3]\\n") ERR("[4]\\n"),
     "[stream=stdout log=[1] a\n c]\n[stream=stderr log=[2] b\n d]\n[stream=stdout log=[3]]\n[stream=stderr "
     "log=[4]]\n"},
};

enum { SAMPLES = sizeof(samples) / sizeof(*samples) };

/* Without inotify, which takes its time to begin and to end: a poll finds what is new. */
static struct weir_instance *start_sample(const struct sample *s, const char *extra, const char *value)
{
    char *names = strdup(s->parser ? s->parser : ""), *rest = NULL, *all[4] = {NULL};
    for (size_t n = 0; n < 4; n++) {
        all[n] = strtok_r(n ? NULL : names, ",", &rest);
        if (!all[n]) {
            break;
        }
    }
    static const char option[] = "multiline.parser";
    struct weir_instance *i = started(
        make("f", "read_from_head", "true", "offset_key", "at", "rotate_wait", "100ms", "inotify_watcher",
             "false", "multiline.start_pattern", s->pattern ? s->pattern : "", extra ? extra : "key",
             extra ? value : "log", all[0] ? option : NULL, all[0], all[1] ? option : NULL, all[1],
             all[2] ? option : NULL, all[2], all[3] ? option : NULL, all[3], NULL));
    free(names);
    return i;
}

/* Twice the timeout, which is what one of two streams may wait. */
static void timeouts_later(void)
{
    fake_later(host, UINT64_C(2100000000));
    fake_later(host, UINT64_C(2100000000));
}

START_TEST(samples_are_joined)
{
    const struct sample *s = &samples[_i];
    append("f", s->text);
    struct weir_instance *i = start_sample(s, NULL, NULL);
    fake_idle(host);
    timeouts_later();
    expect_records(s->expected);
    fake_stop(i);
}
END_TEST

START_TEST(samples_are_joined_at_the_end_of_files)
{
    /* without its last newline, and without any wait */
    const struct sample *s = &samples[_i];
    put_bytes("f", 0, s->text, strlen(s->text) - 1);
    struct weir_instance *i = start_sample(s, "exit_on_eof", "true");
    ck_assert(fake_until(host, has_ended, i, DEADLINE_MS));
    expect_records(s->expected);
    fake_stop(i);
}
END_TEST

/* Written up to each byte, then the rest; with and without a restart between. */
START_TEST(cut_at_every_byte)
{
    const struct sample *s = &samples[_i / 3];
    size_t size = strlen(s->text);
    for (size_t k = 0; k <= size; k++) {
        char *name = strdup(at("f"));
        put_bytes("f", O_TRUNC, s->text, k);
        struct weir_instance *i = start_sample(s, NULL, NULL);
        fake_idle(host);
        if (_i % 3 == 1) {
            fake_stop(i);
            i = start_sample(s, NULL, NULL);
        }
        put_bytes("f", O_APPEND, s->text + k, size - k);
        fake_later(host, 300000000);
        if (_i % 3 == 2) {
            fake_stop(i);
            i = start_sample(s, NULL, NULL);
            fake_idle(host);
        }
        timeouts_later();
        char *text = records_from(first_chunk, false);
        ck_assert_msg(strcmp(text, s->expected) == 0, "cut at %zu; expected:\n%s\ngot:\n%s", k, s->expected,
                      text);
        free(text);
        ck_assert_int_eq(unlink(name), 0);
        free(name);
        timeouts_later();
        fake_stop(i);
        seen();
    }
}
END_TEST

/* How often the line (a whole record) stands in the text. */
static size_t times_in(const char *text, const char *line, size_t size)
{
    size_t n = 0;
    for (const char *p = text; (p = memmem(p, strlen(p), line, size)); p += size) {
        n++;
    }
    return n;
}

static const char *next_record(const char *p)
{
    const char *end = strstr(p, "]\n[");
    return end ? end + 2 : p + strlen(p);
}

/* Every record of `all` is in `text`, and nothing else is. */
static void same_set(const char *all, const char *text)
{
    for (const char *p = all, *next; *p; p = next) {
        next = next_record(p);
        ck_assert_msg(times_in(text, p, (size_t)(next - p)) > 0, "never came: %.*s\n%s", (int)(next - p), p,
                      text);
    }
    for (const char *p = text, *next; *p; p = next) {
        next = next_record(p);
        ck_assert_msg(times_in(all, p, (size_t)(next - p)) > 0, "cut: %.*s", (int)(next - p), p);
    }
}

/* As after kill -9 at every byte, with some of what was sent acknowledged. */
START_TEST(killed_at_every_byte)
{
    const struct sample *s = &samples[_i];
    size_t size = strlen(s->text);
    fake_acknowledge_at_once(host, false);
    for (size_t k = 1; k < size; k++) {
        size_t before, after;
        put_bytes("f", O_TRUNC, s->text, k / 2);
        struct weir_instance *i = start_sample(s, NULL, NULL);
        fake_idle(host);
        put_bytes("f", O_APPEND, s->text + k / 2, k - k / 2);
        fake_later(host, 300000000);
        fake_chunks(host, &after);
        before = first_chunk;
        fake_acknowledge(host, (after - before) * (k % 4) / 3);
        fake_stop(i);
        fake_crash(host);
        put_bytes("f", O_APPEND, s->text + k, size - k);
        i = start_sample(s, NULL, NULL);
        fake_idle(host);
        timeouts_later();
        char *text = records_from(before, false);
        same_set(s->expected, text);
        free(text);
        fake_chunks(host, &after);
        fake_acknowledge(host, after);
        ck_assert_int_eq(unlink(at("f")), 0);
        timeouts_later();
        fake_stop(i);
        fake_chunks(host, &after);
        fake_acknowledge(host, after);
        seen();
    }
}
END_TEST

/* A long text whose records lie across the ends of reads in every way. */
START_TEST(across_reads)
{
    char *text = malloc(TEXT_MAX), *expected = malloc(TEXT_MAX);
    size_t size = 0, out = 0;
    for (unsigned k = 0; size < 300000; k++) {
        size += (size_t)sprintf(text + size, "S%u", k);
        out += (size_t)sprintf(expected + out, "[log=S%u", k);
        for (unsigned n = 0; n < k % 7; n++) {
            int width = (int)((k * 37 + n * 101) % (k % 50 == 0 ? 9000 : 300));
            size += (size_t)sprintf(text + size, "\n %*s", width, "x");
            out += (size_t)sprintf(expected + out, "\n %*s", width, "x");
        }
        size += (size_t)sprintf(text + size, "\n");
        out += (size_t)sprintf(expected + out, "]\n");
    }
    put_bytes("f", 0, text, size);
    struct weir_instance *i =
        start_head("f", "multiline.start_pattern", "^S", "buffer_chunk_size", _i ? "4k" : "256k");
    fake_idle(host);
    timeouts_later();
    expect_records(expected);
    fake_stop(i);
    free(text);
    free(expected);
}
END_TEST

START_TEST(container_lines_across_reads)
{
    char *text = malloc(TEXT_MAX), *expected = malloc(TEXT_MAX);
    size_t size = 0, out = 0;
    for (unsigned k = 0; size < 300000; k++) {
        const char *stream = k % 3 ? "stdout" : "stderr";
        int width = (int)((k * 37) % (k % 50 == 0 ? 9000 : 300)) + 1;
        size += (size_t)sprintf(text + size, T1 " %s P %*s\n" T1 " %s F %u\n", stream, width, "x", stream, k);
        out += (size_t)sprintf(expected + out, "[stream=%s log=%*s%u]\n", stream, width, "x", k);
    }
    put_bytes("f", 0, text, size);
    struct weir_instance *i = start_head("f", "multiline.parser", "cri", "buffer_chunk_size", "4k");
    expect_records(expected);
    fake_stop(i);
    free(text);
    free(expected);
}
END_TEST

/* -- Time, names, content ----------------------------------------------------------------------------- */

START_TEST(unfinished_record_waits_for_the_timeout)
{
    append("f", "S1\n a\n");
    struct weir_instance *i =
        start_head("f", "multiline.start_pattern", "^S", "multiline.flush_timeout", "500ms");
    expect_none();
    fake_later(host, 400000000);
    expect_none();
    append("f", " b\n"); /* the time begins anew */
    fake_idle(host);
    fake_later(host, 400000000);
    expect_none();
    fake_later(host, 200000000);
    expect_records("[log=S1\n a\n b]\n");
    append("f", " late\n");
    fake_idle(host);
    fake_later(host, 600000000);
    expect_records("[log= late]\n");
    fake_stop(i);
    append("f", "S2\n");
    i = start_head("f", "multiline.start_pattern", "^S");
    fake_idle(host);
    timeouts_later();
    expect_records("[log=S2]\n");
    fake_stop(i);
}
END_TEST

START_TEST(timeout_of_one_stream_while_the_other_is_busy)
{
    append("f", T1 " stderr P half\n");
    struct weir_instance *i = start_head("f", "multiline.parser", "cri", "multiline.flush_timeout", "500ms");
    fake_idle(host);
    for (int k = 0; k < 3; k++) {
        fake_later(host, 200000000);
        append("f", T1 " stdout P o");
        append("f", "\n");
        append("f", T1 " stdout F k\n");
        fake_idle(host);
    }
    expect_records(
        "[stream=stdout log=ok]\n[stream=stdout log=ok]\n[stream=stderr log=half]\n[stream=stdout log=ok]\n");
    fake_stop(i);
}
END_TEST

START_TEST(time_waits_while_outputs_are_full)
{
    append("f", "S1\n");
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S");
    expect_none();
    fake_set_full(i, true);
    append("f", " a\n");
    timeouts_later();
    append("f", " b\n");
    timeouts_later();
    fake_set_full(i, false);
    expect_none();
    append("f", " c\n");
    fake_idle(host);
    timeouts_later();
    expect_records("[log=S1\n a\n b\n c]\n");
    fake_stop(i);
}
END_TEST

/* What one stream had delivered beyond the other's unfinished record does not come again. */
START_TEST(a_stream_that_is_ahead_does_not_repeat)
{
    append("f", T1 " stderr P half \n" T1 " stdout F 1\n" T1 " stdout F 2\n" T1 " stdout P piece \n");
    struct weir_instance *i = start_head("f", "multiline.parser", "cri");
    expect_records("[stream=stdout log=1]\n[stream=stdout log=2]\n");
    for (int k = 0; k < 3; k++) {
        fake_stop(i);
        i = start_head("f", "multiline.parser", "cri");
        expect_none();
    }
    fake_stop(i);
    append("f", T1 " stdout F end\n");
    i = start_head("f", "multiline.parser", "cri");
    expect_records("[stream=stdout log=piece end]\n");
    fake_stop(i);
    append("f", T1 " stderr F end\n" T1 " stdout F 3\n");
    i = start_head("f", "multiline.parser", "cri");
    expect_records("[stream=stderr log=half end]\n[stream=stdout log=3]\n");
    fake_stop(i);
}
END_TEST

START_TEST(options_may_come_and_go)
{
    append("f", T1 " stderr P half \n" T1 " stdout F 1\n");
    struct weir_instance *i = start_head("f", "multiline.parser", "cri");
    expect_records("[stream=stdout log=1]\n");
    fake_stop(i);
    i = start_head("f"); /* the same file still, read on from the unfinished record */
    expect_records("[log=" T1 " stderr P half ]\n[log=" T1 " stdout F 1]\n");
    fake_stop(i);
    append("f", T1 " stderr F end\n");
    i = start_head("f", "multiline.parser", "cri");
    expect_records("[stream=stderr log=end]\n");
    fake_stop(i);
}
END_TEST

START_TEST(rotation_ends_a_record)
{
    append("f", "S1\n a\n b");
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S", "rotate_wait", "100ms");
    expect_none();
    if (_i == 0) {
        move("f", "f.1");
        append("f", " new\n");
    } else {
        ck_assert_int_eq(unlink(at("f")), 0);
    }
    fake_idle(host);
    fake_later(host, 200000000);
    if (_i == 0) {
        timeouts_later();
    }
    expect_records(_i == 0 ? "[log=S1\n a\n b]\n[log= new]\n" : "[log=S1\n a\n b]\n");
    fake_stop(i);
}
END_TEST

START_TEST(deleted_and_stopped)
{
    append("f", "S1\n a\n b");
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S");
    expect_none();
    ck_assert_int_eq(unlink(at("f")), 0);
    fake_stop(i);
    expect_records("[log=S1\n a\n b]\n");
}
END_TEST

/* What was read of a record whose file was truncated is not lost. */
START_TEST(truncation_ends_a_record)
{
    append("f", "S0\nS1\n a\n");
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S");
    expect_records("[log=S0]\n");
    fake_set_full(i, _i == 1);
    overwrite("f", _i == 2 ? "T much longer than what was there before\n" : "T\n");
    fake_idle(host);
    fake_set_full(i, false);
    fake_idle(host);
    timeouts_later();
    expect_records(_i == 2 ? "[log=S1\n a]\n[log=T much longer than what was there before]\n"
                           : "[log=S1\n a]\n[log=T]\n");
    fake_stop(i);
}
END_TEST

START_TEST(truncation_with_a_stream_ahead)
{
    append("f", T1 " stderr P half\n" T1 " stdout F 1\n" T1 " stdout F 2\n");
    struct weir_instance *i = start_head("f", "multiline.parser", "cri");
    expect_records("[stream=stdout log=1]\n[stream=stdout log=2]\n");
    overwrite("f", T1 " stdout F 3\n");
    expect_records("[stream=stderr log=half]\n[stream=stdout log=3]\n");
    fake_stop(i);
}
END_TEST

START_TEST(busy_files_are_not_closed)
{
    append("f", "S1\n");
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S", "close_inactive", "100ms",
                                         "multiline.flush_timeout", "5s");
    fake_idle(host);
    fake_later(host, 300000000);
    fake_later(host, 300000000);
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    fake_later(host, UINT64_C(6000000000));
    expect_records("[log=S1]\n");
    fake_stop(i);
}
END_TEST

/* -- Limits ------------------------------------------------------------------------------------------- */

/* Records of max - 1, max and max + 1 bytes; the neighbours are whole. */
START_TEST(record_as_long_as_allowed)
{
    static const char *const treatments[] = {"split", "truncate", "skip"};
    const char *treatment = treatments[_i % 3];
    int tail = 97 - 4 - 1 + _i / 3; /* "S1a\n" and the tail make 97 - 1 … of 97 */
    char text[400], expected[400];
    sprintf(text, "S0\nS1a\n%0*d\n b\n%sS2\n", tail, 0, "");
    append("f", text);
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S", "buffer_max_size", "97",
                                         "long_lines", treatment, "buffer_chunk_size", "4k");
    fake_idle(host);
    timeouts_later();
    /* " b" comes on top: all of these are too long, with or without their last line */
    bool whole = 4 + tail <= 97;
    char *p = expected + sprintf(expected, "[log=S0]\n");
    if (_i % 3 == 0) {
        p += whole ? sprintf(p, "[log=S1a\n%0*d]\n[log= b]\n", tail, 0)
                   : sprintf(p, "[log=S1a]\n[log=%0*d\n b]\n", tail, 0);
    } else if (_i % 3 == 1) {
        char all[200];
        sprintf(all, "S1a\n%0*d\n b", tail, 0);
        /* no newline alone at the end */
        int cut = 4 + tail >= 96 ? (4 + tail < 97 ? 4 + tail : 97) : 97;
        p += sprintf(p, "[log=%.*s]\n", cut, all);
    }
    sprintf(p, "[log=S2]\n");
    expect_records(expected);
    ck_assert_int_eq(fake_metric(i, "long_lines", treatment), 1);
    fake_stop(i);
}
END_TEST

START_TEST(long_line_within_a_record)
{
    static const char *const treatments[] = {"split", "truncate", "skip"};
    const size_t sizes[] = {101, 4000, 5000, 10001};
    size_t long_size = sizes[_i / 3], size = 0;
    char *text = calloc(1, 40000), *expected = calloc(1, 40000), *out = expected;
    size += (size_t)sprintf(text, "S0\n");
    memset(text + size, 'L', long_size);
    size += long_size;
    size += (size_t)sprintf(text + size, "\n a\nS1\n b\n");
    put_bytes("f", 0, text, size);
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S", "buffer_chunk_size", "4k",
                                         "buffer_max_size", "100", "long_lines", treatments[_i % 3]);
    fake_idle(host);
    timeouts_later();
    if (_i % 3 == 0) {
        out += sprintf(out, "[log=S0]\n");
        for (size_t left = long_size; left > 0;) {
            size_t n = left > 100 ? 100 : left;
            out += sprintf(out, "[log=%.*s", (int)n, text + 3);
            left -= n;
            out += sprintf(out, left ? "]\n" : n + 3 <= 100 ? "\n a]\n" : "]\n[log= a]\n");
        }
    } else if (_i % 3 == 1) {
        out += sprintf(out, "[log=S0\n%.97s]\n", text + 3);
    } else {
        out += sprintf(out, "[log=S0\n a]\n");
    }
    sprintf(out, "[log=S1\n b]\n");
    expect_records(expected);
    ck_assert_int_ge(fake_metric(i, "long_lines", treatments[_i % 3]), 1);
    fake_stop(i);
    free(text);
    free(expected);
}
END_TEST

/* Pieces that make a line longer than allowed; then a line of one piece that is. */
START_TEST(long_line_of_a_container)
{
    static const char *const treatments[] = {"split", "truncate", "skip"};
    static const char *const expected[] = {
        "[stream=stdout log=%1$050d%1$050d]\n[stream=stdout log=%1$050d%1$050d]\n[stream=stdout log=%1$050dend]\n"
        "[stream=stderr log=ok]\n[stream=stdout log=%1$0100d]\n[stream=stdout log=%1$050d]\n[stream=stdout log=z]\n",
        "[stream=stdout log=%1$050d%1$050d]\n[stream=stderr log=ok]\n[stream=stdout log=%1$0100d]\n[stream=stdout "
        "log=z]\n",
        "[stream=stderr log=ok]\n[stream=stdout log=z]\n"};
    char text[4000], all[2000];
    sprintf(text,
            T1 " stdout P %1$050d\n" T1 " stdout P %1$050d\n" T1 " stdout P %1$050d\n" T1
               " stdout P %1$050d\n" T1 " stdout P %1$050d\n" T1 " stdout F end\n" T1 " stderr F ok\n" T1
               " stdout F %1$0150d\n" T1 " stdout F z\n",
            0);
    append("f", text);
    struct weir_instance *i =
        start_head("f", "multiline.parser", "cri", "buffer_max_size", "100", "long_lines", treatments[_i]);
    sprintf(all, expected[_i], 0);
    expect_records(all);
    ck_assert_int_eq(fake_metric(i, "long_lines", treatments[_i]), 2);
    fake_stop(i);
}
END_TEST

START_TEST(endless_record_does_not_hold_the_position)
{
    char line[101];
    memset(line, 'x', 99);
    strcpy(line + 99, "\n");
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S", "buffer_max_size", "1000");
    for (int k = 0; k < 1000; k++) {
        append("f", line);
    }
    fake_idle(host);
    size_t count;
    const struct fake_chunk *chunks = fake_chunks(host, &count);
    ck_assert_uint_ge(chunks[count - 1].positions[0].offset, 100000 - 2000);
    fake_stop(i);
    seen();
}
END_TEST

/* -- Fields and choices ------------------------------------------------------------------------------- */

START_TEST(joined_records_are_chosen_as_a_whole)
{
    append("f", "S1\n a\nS2\n b\nS3\n\n c\n");
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S", "exclude_regex", "S2\\n b",
                                         "include_regex", "[ac]$", "skip_empty_lines", "on");
    fake_idle(host);
    timeouts_later();
    expect_records("[log=S1\n a]\n[log=S3\n\n c]\n");
    ck_assert_int_eq(fake_metric(i, "filtered_lines", NULL), 1);
    fake_stop(i);
}
END_TEST

START_TEST(empty_lines_of_containers)
{
    append("f", T1 " stdout F \n" T1 " stdout F x\n");
    struct weir_instance *i = start_head("f", "multiline.parser", "cri", "skip_empty_lines", "on");
    expect_records("[stream=stdout log=x]\n");
    ck_assert_int_eq(fake_metric(i, "empty_lines", NULL), 1);
    fake_stop(i);
}
END_TEST

START_TEST(utf16)
{
    static const char text[] = "S\0"
                               "1\0\n\0 \0\xac\x20\n\0S\0"
                               "2\0\n\0";
    put_bytes("f", 0, text, sizeof(text) - 1);
    struct weir_instance *i =
        start_head("f", "multiline.start_pattern", "^S", "encoding", "utf-16le", "offset_key", "at");
    fake_idle(host);
    timeouts_later();
    char *got = records_from(first_chunk, true);
    ck_assert_str_eq(got, "[at=0 log=S1\n \xe2\x82\xac]\n[at=12 log=S2]\n");
    free(got);
    fake_stop(i);
}
END_TEST

START_TEST(fields_of_containers)
{
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value = {0};
    size_t count;
    append("f", "skipped\n{\"log\":\"a\",\"stream\":\"stdout\",\"attrs\":{\"k\":\"v\"},\"time\":\"" T1
                "\"}\n" ERR("b\\n") OUT("c\\n"));
    struct weir_instance *i = start_head("f", "multiline.parser", "docker", "time_keep", "on", "path_key",
                                         "file", "offset_key", "at", "exclude_regex", "skipped|b");
    fake_idle(host);
    const struct fake_chunk *chunks = fake_chunks(host, &count);
    ck_assert_uint_gt(count, 0);
    weir_cursor_init(&cursor, chunks[count - 1].data, chunks[count - 1].size);
    ck_assert_int_eq(weir_cursor_next(&cursor, &record), 1);
    ck_assert_int_eq(record.sec, 1475713029);
    ck_assert_uint_eq(record.nsec, 669794202);
    ck_assert_uint_eq(record.count, 6);
    ck_assert(field(&record, "file", &value) && value.size == strlen(at("f")));
    ck_assert(field(&record, "at", &value) && value.as.uint == 8);
    ck_assert(field(&record, "log", &value) && value.size == 2);
    ck_assert(field(&record, "time", &value) && value.size == strlen(T1) &&
              memcmp(value.data, T1, value.size) == 0);
    ck_assert(field(&record, "attrs", &value) && value.type == WEIR_TYPE_MAP);
    ck_assert_int_eq(weir_cursor_next(&cursor, &record), 0);
    ck_assert_int_eq(fake_metric(i, "unparsed_lines", NULL), 1);
    fake_stop(i);
    seen();
}
END_TEST

START_TEST(offsets_are_where_records_begin)
{
    append("f", "S1\n a\nS2\nS3\n");
    struct weir_instance *i = start_head("f", "multiline.start_pattern", "^S", "offset_key", "at");
    fake_idle(host);
    timeouts_later();
    char *got = records_from(first_chunk, true);
    ck_assert_str_eq(got, "[at=0 log=S1\n a]\n[at=6 log=S2]\n[at=9 log=S3]\n");
    free(got);
    fake_stop(i);
}
END_TEST

static void refused(const char *name, const char *value, const char *other, const char *other_value,
                    const char *why)
{
    ck_assert_ptr_null(make("f", name, value, other, other_value, NULL));
    ck_assert_msg(strstr(fake_error(host), why) != NULL, "'%s' is not in: %s", why, fake_error(host));
}

START_TEST(bad_options)
{
    refused("multiline.parser", "ruby", NULL, NULL, "'ruby' is none; docker, cri, java");
    refused("multiline.start_pattern", "(", NULL, NULL, "no regular expression");
    refused("multiline.start_pattern", "^S", "multiline.parser", "java", "leave out one of them");
    refused("multiline.flush_timeout", "0", NULL, NULL, "multiline.flush_timeout");
    refused("multiline.flush_timeout", "1000", NULL, NULL, "multiline.flush_timeout");
    refused("parser", "docker", NULL, NULL, "multiline.parser: docker");
    refused("parser", "logfmt", NULL, NULL, "'logfmt' is none; json and regex are");
    refused("parser", "regex", NULL, NULL, "the option regex");
    refused("parser", "regex", "regex", "a(", "no regular expression");
    refused("parser", "regex", "regex", "(a)(b)", "no named group");
    refused("regex", "(?<a>b)", NULL, NULL, "used by parser: regex only");
    refused("parser", "json", "regex", "(?<a>b)", "used by parser: regex only");
    refused("parser", "json", "types", "a:integer", "used by parser: regex only");
    refused("time_key", "t", NULL, NULL, "with a parser only");
    refused("parser", "json", "time_format", "%Y", "in time_key");
    refused("preserve_key", "on", NULL, NULL, "with a parser only");
    refused("time_keep", "on", NULL, NULL, "no time to keep");
    refused("time_keep", "on", "parser", "json", "no time to keep");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail multiline");
    TCase *tests = tcase_create("multiline");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, samples_are_joined, 0, SAMPLES);
    tcase_add_loop_test(tests, samples_are_joined_at_the_end_of_files, 0, SAMPLES);
    tcase_add_loop_test(tests, cut_at_every_byte, 0, SAMPLES * 3);
    tcase_add_loop_test(tests, killed_at_every_byte, 0, SAMPLES);
    tcase_add_loop_test(tests, across_reads, 0, 2);
    tcase_add_test(tests, container_lines_across_reads);
    tcase_add_test(tests, unfinished_record_waits_for_the_timeout);
    tcase_add_test(tests, timeout_of_one_stream_while_the_other_is_busy);
    tcase_add_test(tests, time_waits_while_outputs_are_full);
    tcase_add_test(tests, a_stream_that_is_ahead_does_not_repeat);
    tcase_add_test(tests, options_may_come_and_go);
    tcase_add_loop_test(tests, rotation_ends_a_record, 0, 2);
    tcase_add_test(tests, deleted_and_stopped);
    tcase_add_loop_test(tests, truncation_ends_a_record, 0, 3);
    tcase_add_test(tests, truncation_with_a_stream_ahead);
    tcase_add_test(tests, busy_files_are_not_closed);
    tcase_add_loop_test(tests, record_as_long_as_allowed, 0, 9);
    tcase_add_loop_test(tests, long_line_within_a_record, 0, 12);
    tcase_add_loop_test(tests, long_line_of_a_container, 0, 3);
    tcase_add_test(tests, endless_record_does_not_hold_the_position);
    tcase_add_test(tests, joined_records_are_chosen_as_a_whole);
    tcase_add_test(tests, empty_lines_of_containers);
    tcase_add_test(tests, utf16);
    tcase_add_test(tests, fields_of_containers);
    tcase_add_test(tests, offsets_are_where_records_begin);
    tcase_add_test(tests, bad_options);
    suite_add_tcase(suite, tests);
    return run(suite);
}
