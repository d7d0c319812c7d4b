/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_stdout in the fake host. Descriptor 1 is replaced for each test and put back after it. The
 * instance's thread is the test's, or one that the test starts.
 */
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/fake_host.h>
#include "sink.h"

/* -- Instances -- */

static struct weir_fake *fake;

/* An instance with the defaults, but for `name`; "" is a value, too. */
static struct weir_instance *create(const char *name, const char *value)
{
    const struct weir_fake_setting settings[] = {{name, value}, {NULL, NULL}};
    struct weir_instance *in = weir_fake_new(fake, &weir_plugin_descriptor, "i", settings);

    ck_assert_msg(in != NULL, "%s", weir_fake_error(fake));
    return in;
}

static struct weir_instance *begin(const char *name, const char *value)
{
    struct weir_instance *in = create(name, value);

    ck_assert_msg(weir_fake_start(in) == 0, "%s", weir_fake_error(fake));
    return in;
}

/* -- Chunks -- */

struct text {
    uint8_t *data;
    size_t size, capacity;
};

static void append(struct text *text, const void *data, size_t size)
{
    if (text->size + size > text->capacity) {
        text->capacity = (text->size + size) * 2;
        text->data = realloc(text->data, text->capacity);
        if (!text->data)
            abort();
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

static void add_record(struct text *chunk, const char *key, const void *line, uint32_t size)
{
    uint8_t *bytes = malloc(WEIR_MAX_RECORD + 2 * WEIR_MAX_STR + strlen(key) + size);
    uint8_t *p = weir_put_record(bytes, 1700000000, 123456789, 1);

    p = weir_put_str(p, key, (uint32_t)strlen(key));
    p = weir_put_str(p, line, size);
    append(chunk, bytes, (size_t)(p - bytes));
    free(bytes);
}

/* What write returned for a chunk of these bytes. */
static int give(struct weir_instance *in, const struct text *text, uint32_t records)
{
    return weir_fake_write(in, "t", "", text->data, text->size, records);
}

/* A chunk of numbered lines with all kinds of bytes, and what raw makes of it. */
static void make_lines(struct text *chunk, struct text *raw, uint32_t count, size_t length)
{
    uint8_t *line = malloc(length + 1);

    for (uint32_t i = 0; i < count; i++) {
        for (size_t at = 0; at < length; at++)
            line[at] = (uint8_t)(at * 31 + i);
        for (size_t at = 0; at < length; at++)
            line[at] = line[at] == '\n' ? 'n' : line[at];
        line[length] = '\n';
        add_record(chunk, "log", line, (uint32_t)length);
        append(raw, line, length + 1);
    }
    free(line);
}

/* -- Descriptor 1 -- */

static int saved = -1;

static void setup(void)
{
    fflush(stdout);
    saved = fcntl(1, F_DUPFD_CLOEXEC, 10);
    fake = weir_fake_create();
    weir_fake_set_patience(fake, 120000);
}

static void teardown(void)
{
    weir_fake_destroy(fake);
    dup2(saved, 1);
    close(saved);
}

static void redirect(int fd)
{
    ck_assert_int_eq(dup2(fd, 1), 1);
    close(fd);
}

static int to_memory(void)
{
    int fd = memfd_create("stdout", MFD_CLOEXEC);

    ck_assert_int_eq(dup2(fd, 1), 1);
    return fd;
}

static void check_file(int fd, const void *expected, size_t size)
{
    size_t got_size = (size_t)lseek(fd, 0, SEEK_END);
    uint8_t *got = malloc(got_size + 1);

    ck_assert_int_eq(pread(fd, got, got_size, 0), (ssize_t)got_size);
    ck_assert_uint_eq(got_size, size);
    ck_assert(memcmp(got, expected, size) == 0);
    free(got);
}

static void check_file_text(int fd, const char *expected)
{
    check_file(fd, expected, strlen(expected));
}

/* Everything that comes out of a pipe until its writers are gone. */
struct reader {
    pthread_t thread;
    int fd;
    struct text text;
};

static void *read_all(void *data)
{
    struct reader *reader = data;
    char block[3000];
    ssize_t n;

    while ((n = read(reader->fd, block, sizeof(block))) > 0)
        append(&reader->text, block, (size_t)n);
    return NULL;
}

/* Descriptor 1 becomes a small pipe; the other end. */
static int to_pipe(void)
{
    int fds[2];

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_ge(fcntl(fds[1], F_SETPIPE_SZ, 4096), 0);
    redirect(fds[1]);
    return fds[0];
}

static void reader_start(struct reader *reader, int fd)
{
    memset(reader, 0, sizeof(*reader));
    reader->fd = fd;
    ck_assert_int_eq(pthread_create(&reader->thread, NULL, read_all, reader), 0);
}

/* The instances must be gone: theirs is an end of the pipe, too. */
static void reader_finish(struct reader *reader)
{
    dup2(saved, 1);
    pthread_join(reader->thread, NULL);
    close(reader->fd);
}

static void check_same(const struct text *got, const struct text *expected)
{
    ck_assert_uint_eq(got->size, expected->size);
    ck_assert(memcmp(got->data, expected->data, got->size) == 0);
}

/* -- Tests -- */

static void check_format(const char *name, const char *value, const char *expected, int64_t without_key)
{
    struct weir_instance *in;
    struct text text = {0};
    int fd = to_memory();

    add_record(&text, "log", "a\"b", 3);
    add_record(&text, "other", "\xff", 1);
    in = begin(name, value);
    ck_assert_int_eq(give(in, &text, 2), WEIR_DELIVERED);
    ck_assert_int_eq(weir_fake_metric(in, "records_without_key", NULL), without_key);
    if (expected)
        check_file_text(fd, expected);
    else
        check_file(fd, text.data, text.size);
    weir_fake_stop(in);
    close(fd);
    free(text.data);
}

START_TEST(formats)
{
    check_format("format", "json_lines",
                 "{\"date\":1700000000.123456,\"log\":\"a\\\"b\"}\n"
                 "{\"date\":1700000000.123456,\"other\":\"\xef\xbf\xbd\"}\n",
                 0);
    check_format("json_date_key", "false", "{\"log\":\"a\\\"b\"}\n{\"other\":\"\xef\xbf\xbd\"}\n", 0);
    check_format(
        "json_date_format", "epoch",
        "{\"date\":1700000000,\"log\":\"a\\\"b\"}\n{\"date\":1700000000,\"other\":\"\xef\xbf\xbd\"}\n", 0);
    check_format("format", "msgpack", NULL, 0);
    check_format("format", "raw", "a\"b\n{\"date\":1700000000.123456,\"other\":\"\xef\xbf\xbd\"}\n", 1);
}
END_TEST

START_TEST(raw_values_of_other_types)
{
    struct weir_instance *in;
    struct text text = {0};
    int fd = to_memory();

    append(&text, "\x92\x05\x81\xa3log\x07", 8);
    append(&text, "\x92\x05\x82\xa1x\x01\xa3log\xc4\x02\xff\x00", 14);
    append(&text, "\x92\x05\x81\xa3log\x91\xa1q", 10);
    in = begin("format", "raw");
    ck_assert_int_eq(give(in, &text, 3), WEIR_DELIVERED);
    check_file(fd, "7\n\xff\x00\n[\"q\"]\n", 11);
    weir_fake_stop(in);
    close(fd);
    free(text.data);
}
END_TEST

START_TEST(empty_message_key_is_refused)
{
    const struct weir_fake_setting settings[] = {{"message_key", ""}, {NULL, NULL}};

    ck_assert_ptr_null(weir_fake_new(fake, &weir_plugin_descriptor, "i", settings));
    ck_assert_msg(strstr(weir_fake_error(fake), "message_key is empty") != NULL, "%s", weir_fake_error(fake));
}
END_TEST

/* Several pieces through a pipe of one page; the shared description must stay as it was. */
START_TEST(small_pipe)
{
    struct weir_instance *in;
    struct text text = {0}, raw = {0};
    struct reader reader;

    make_lines(&text, &raw, 5000, 199);
    reader_start(&reader, to_pipe());
    in = begin("format", "raw");
    ck_assert_int_eq(give(in, &text, 5000), WEIR_DELIVERED);
    ck_assert_int_eq(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
    weir_fake_stop(in);
    reader_finish(&reader);
    check_same(&reader.text, &raw);
    free(reader.text.data);
    free(text.data);
    free(raw.data);
}
END_TEST

/* Given up again and again at any place, by each attempt after one wait more: no byte is lost or doubled. */
static void give_up_often(const char *format, uint32_t count, size_t length)
{
    struct weir_instance *in;
    struct text text = {0}, raw = {0}, got = {0};
    uint8_t block[5000];
    int attempts = 0, result, fd = to_pipe();

    make_lines(&text, &raw, count, length);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    in = begin("format", format);
    do {
        weir_fake_cancel_after(in, 0);
        result = attempts ? weir_fake_write_next(in) : give(in, &text, count);
        ssize_t n = read(fd, block, 1 + (size_t)(attempts * 997) % sizeof(block));
        if (n > 0)
            append(&got, block, (size_t)n);
        attempts++;
    } while (result == WEIR_RETRY);
    ck_assert_int_eq(result, WEIR_DELIVERED);
    ck_assert_int_gt(attempts, 50);
    weir_fake_stop(in);
    for (ssize_t n; (n = read(fd, block, sizeof(block))) > 0;)
        append(&got, block, (size_t)n);
    if (strcmp(format, "raw") == 0)
        check_same(&got, &raw);
    else
        check_same(&got, &text);
    close(fd);
    free(got.data);
    free(text.data);
    free(raw.data);
}

START_TEST(giving_up_anywhere)
{
    give_up_often("raw", 3000, 199);
    give_up_often("raw", 5, 100000);
    give_up_often("msgpack", 3000, 199);
}
END_TEST

START_TEST(reader_gone)
{
    struct weir_instance *in;
    struct text text = {0}, raw = {0};

    make_lines(&text, &raw, 1, 10);
    for (int kind = 0; kind < 2; kind++) {
        int fds[2];
        ck_assert_int_eq(kind ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds), 0);
        redirect(fds[1]);
        in = begin(NULL, NULL);
        close(fds[0]);
        ck_assert_int_eq(give(in, &text, 1), WEIR_RETRY);
        ck_assert_int_eq(weir_fake_write_next(in), WEIR_RETRY);
        ck_assert_uint_eq(weir_fake_logged(fake, "FAIL "), kind + 1);
        weir_fake_stop(in);
    }
    free(text.data);
    free(raw.data);
}
END_TEST

START_TEST(socket_that_is_slow)
{
    struct weir_instance *in;
    struct text text = {0}, raw = {0};
    struct reader reader;
    int fds[2];

    make_lines(&text, &raw, 20000, 199);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    redirect(fds[1]);
    reader_start(&reader, fds[0]);
    in = begin("format", "raw");
    ck_assert_int_eq(give(in, &text, 20000), WEIR_DELIVERED);
    weir_fake_stop(in);
    reader_finish(&reader);
    check_same(&reader.text, &raw);
    free(reader.text.data);
    free(text.data);
    free(raw.data);
}
END_TEST

/* Descriptor 1 becomes that one (-1: closed) once the instance, which has descriptors in the fake host, is
 * there. */
static void check_no_start(int fd, const char *word)
{
    struct weir_instance *in = create(NULL, NULL);

    if (fd < 0)
        close(1);
    else
        redirect(fd);
    ck_assert_int_lt(weir_fake_start(in), 0);
    ck_assert_msg(strstr(weir_fake_error(fake), word) != NULL, "%s", weir_fake_error(fake));
    weir_fake_drop(in);
}

START_TEST(no_standard_output)
{
    check_no_start(-1, "closed");
    dup2(saved, 1); /* or the next descriptor would be it */
    check_no_start(open("/dev/null", O_RDONLY), "not open for writing");
    check_no_start(open("/", O_RDONLY | O_DIRECTORY), "not open for writing");
}
END_TEST

START_TEST(full_disk)
{
    struct weir_instance *in;
    struct text text = {0}, raw = {0};

    make_lines(&text, &raw, 3, 50);
    redirect(open("/dev/full", O_WRONLY));
    in = begin("format", "raw");
    ck_assert_int_eq(give(in, &text, 3), WEIR_RETRY);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_RETRY);
    ck_assert_uint_eq(weir_fake_logged(fake, "ERROR "), 1);
    ck_assert_str_ne(weir_fake_error(fake), "");
    int fd = to_memory();
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_DELIVERED);
    ck_assert_uint_eq(weir_fake_logged(fake, "INFO "), 1);
    ck_assert_str_eq(weir_fake_error(fake), "");
    ck_assert_uint_eq(weir_fake_logged(fake, "FAIL "), 0);
    check_file(fd, raw.data, raw.size);
    weir_fake_stop(in);
    close(fd);
    free(text.data);
    free(raw.data);
}
END_TEST

/* A file that may not grow any more takes part of a line; the rest follows when it may. */
START_TEST(file_size_limit)
{
    struct weir_instance *in;
    struct text text = {0}, raw = {0};
    struct rlimit before, limit;
    FILE *file = tmpfile();

    make_lines(&text, &raw, 3000, 199);
    ck_assert_int_eq(dup2(fileno(file), 1), 1);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    in = begin("format", "raw");
    for (limit.rlim_cur = 1001; limit.rlim_cur < raw.size; limit.rlim_cur += 99991) {
        setrlimit(RLIMIT_FSIZE, &limit);
        int result = weir_fake_written(in) ? weir_fake_write_next(in) : give(in, &text, 3000);
        setrlimit(RLIMIT_FSIZE, &before);
        ck_assert_int_eq(result, WEIR_RETRY);
        check_file(fileno(file), raw.data, limit.rlim_cur);
        lseek(1, 0, SEEK_END);
    }
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_DELIVERED);
    check_file(fileno(file), raw.data, raw.size);
    weir_fake_stop(in);
    fclose(file);
    free(text.data);
    free(raw.data);
}
END_TEST

static void check_one_rejected(const struct weir_instance *in, uint32_t records, size_t size)
{
    size_t count;
    const struct weir_fake_rejection *rejections = weir_fake_rejections(in, &count);

    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(rejections->records, records);
    ck_assert_uint_eq(rejections->size, size);
    ck_assert_uint_ne(rejections->offset, SIZE_MAX);
}

START_TEST(malformed_chunk)
{
    struct weir_instance *in;
    struct text text = {0}, raw = {0};

    make_lines(&text, &raw, 2, 50);
    append(&text, "\xc1garbage", 8);
    redirect(open("/dev/full", O_WRONLY));
    in = begin("format", "raw");
    ck_assert_int_eq(give(in, &text, 5), WEIR_RETRY);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_RETRY);
    int fd = to_memory();
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_DELIVERED);
    check_file(fd, raw.data, raw.size);
    check_one_rejected(in, 3, 8);
    weir_fake_stop(in);
    close(fd);
    free(text.data);
    free(raw.data);
}
END_TEST

START_TEST(record_nested_too_deep)
{
    struct weir_instance *in;
    struct text text = {0};
    int fd = to_memory();

    add_record(&text, "log", "before", 6);
    append(&text, "\x92\x05\x81\xa3log", 7);
    for (int i = 0; i < 1000; i++)
        append(&text, "\x91", 1);
    append(&text, "\xc0", 1);
    add_record(&text, "log", "after", 5);
    in = begin("json_date_key", "false");
    ck_assert_int_eq(give(in, &text, 3), WEIR_DELIVERED);
    check_file_text(fd, "{\"log\":\"before\"}\n{\"log\":\"after\"}\n");
    check_one_rejected(in, 1, 1008);
    weir_fake_stop(in);
    close(fd);
    free(text.data);
}
END_TEST

/* -- Several instances -- */

struct writer {
    pthread_t thread;
    struct weir_instance *in;
    struct text text;
    int chunks;
};

static void *write_chunks(void *data)
{
    struct writer *w = data;

    for (int i = 0; i < w->chunks; i++)
        if (give(w->in, &w->text, 40) != WEIR_DELIVERED)
            abort();
    return NULL;
}

/* Lines of one letter and one length for each writer; every line that comes out is whole. */
START_TEST(instances_do_not_mix)
{
    struct writer writers[3];
    unsigned seen[3] = {0}, mixed = 0;
    struct reader reader;

    memset(writers, 0, sizeof(writers));
    reader_start(&reader, to_pipe());
    for (int i = 0; i < 3; i++) {
        char line[7000];
        memset(line, 'a' + i, sizeof(line));
        for (int n = 0; n < 40; n++)
            add_record(&writers[i].text, "log", line, (uint32_t)(5000 + i * 1000));
        writers[i].chunks = 10;
        writers[i].in = begin("format", "raw");
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_chunks, &writers[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(writers[i].thread, NULL);
    for (int i = 0; i < 3; i++) {
        weir_fake_stop(writers[i].in);
        free(writers[i].text.data);
    }
    reader_finish(&reader);
    for (size_t at = 0; at < reader.text.size;) {
        int i = reader.text.data[at] - 'a';
        ck_assert_int_ge(i, 0);
        ck_assert_int_lt(i, 3);
        size_t length = (size_t)(5000 + i * 1000);
        ck_assert_uint_lt(at + length, reader.text.size);
        for (size_t n = 0; n < length; n++)
            mixed += reader.text.data[at + n] != 'a' + i;
        ck_assert_int_eq(reader.text.data[at + length], '\n');
        at += length + 1;
        seen[i]++;
    }
    ck_assert_uint_eq(mixed, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(seen[i], 400);
    free(reader.text.data);
}
END_TEST

/* One has given up within a line: the other may not write, and can give up too. */
START_TEST(torn_line_keeps_the_turn)
{
    struct weir_instance *one, *two;
    struct text long_text = {0}, long_raw = {0}, short_text = {0}, short_raw = {0};
    struct reader reader;
    int fd = to_pipe();

    make_lines(&long_text, &long_raw, 1, 50000);
    make_lines(&short_text, &short_raw, 1, 10);
    one = begin("format", "raw");
    two = begin("format", "raw");
    weir_fake_cancel_after(one, 0);
    weir_fake_cancel(two);
    ck_assert_int_eq(give(one, &long_text, 1), WEIR_RETRY);
    ck_assert_int_eq(give(two, &short_text, 1), WEIR_RETRY);
    weir_fake_uncancel(one);
    weir_fake_uncancel(two);
    reader_start(&reader, fd);
    ck_assert_int_eq(weir_fake_write_next(one), WEIR_DELIVERED);
    ck_assert_int_eq(weir_fake_write_next(two), WEIR_DELIVERED);
    weir_fake_stop(one);
    weir_fake_stop(two);
    reader_finish(&reader);
    append(&long_raw, short_raw.data, short_raw.size);
    check_same(&reader.text, &long_raw);
    free(reader.text.data);
    free(long_text.data);
    free(long_raw.data);
    free(short_text.data);
    free(short_raw.data);
}
END_TEST

/* The one that holds the turn goes for good: the other is not held up by it, and begins on a line of its own.
 */
START_TEST(turn_ends_with_its_instance)
{
    struct weir_instance *one, *two;
    struct text text = {0}, raw = {0};
    int fd = to_pipe();

    make_lines(&text, &raw, 1, 50000);
    one = begin("format", "raw");
    two = begin("format", "raw");
    weir_fake_cancel_after(one, 0);
    ck_assert_int_eq(give(one, &text, 1), WEIR_RETRY);
    weir_fake_stop(one);
    struct reader reader;
    reader_start(&reader, fd);
    ck_assert_int_eq(give(two, &text, 1), WEIR_DELIVERED);
    weir_fake_stop(two);
    reader_finish(&reader);
    ck_assert_uint_gt(reader.text.size, raw.size + 1);
    size_t half = reader.text.size - raw.size - 1;
    ck_assert_int_eq(memcmp(reader.text.data, raw.data, half), 0);
    ck_assert_int_eq(reader.text.data[half], '\n');
    ck_assert_int_eq(memcmp(reader.text.data + half + 1, raw.data, raw.size), 0);
    free(reader.text.data);
    free(text.data);
    free(raw.data);
}
END_TEST

/* Where a pipe can't be opened anew, no write is larger than what a writable pipe takes. */
START_TEST(careful_writes_are_small)
{
    static const char zeros[100000];
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    struct sink sink = {fds[1], SINK_CAREFUL};
    ck_assert(sink_waits_first(&sink));
    ck_assert_int_eq(sink_write(&sink, zeros, sizeof(zeros)), PIPE_BUF);
    ck_assert_int_eq(sink_write(&sink, zeros, 5), 5);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stdout");
    TCase *tc = tcase_create("stdout");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, formats);
    tcase_add_test(tc, raw_values_of_other_types);
    tcase_add_test(tc, empty_message_key_is_refused);
    tcase_add_test(tc, small_pipe);
    tcase_add_test(tc, giving_up_anywhere);
    tcase_add_test(tc, reader_gone);
    tcase_add_test(tc, socket_that_is_slow);
    tcase_add_test(tc, no_standard_output);
    tcase_add_test(tc, full_disk);
    tcase_add_test(tc, file_size_limit);
    tcase_add_test(tc, malformed_chunk);
    tcase_add_test(tc, record_nested_too_deep);
    tcase_add_test(tc, instances_do_not_mix);
    tcase_add_test(tc, torn_line_keeps_the_turn);
    tcase_add_test(tc, turn_ends_with_its_instance);
    tcase_add_test(tc, careful_writes_are_small);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
