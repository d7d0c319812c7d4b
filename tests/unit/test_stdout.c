/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_stdout against a host of its own. Descriptor 1 is replaced for each test and put back after it. The
 * instance's thread is the test's, or one that the test starts.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>
#include "sink.h"

/* -- The host -- */

struct weir_instance {
    const struct weir_plugin *plugin;
    void *self;
    uint8_t config[256];
    char last_error[256];
    unsigned logged[6]; /* lines by level */
    unsigned failed, rejects;
    uint32_t rejected_records;
    size_t rejected_bytes;
    int waits_left; /* then -ECANCELED; -1: no limit */
};

struct weir_metric {
    uint64_t value;
};
static struct weir_metric the_metric;

static void host_log(struct weir_instance *in, enum weir_log_level level, const char *format, ...)
{
    (void)format;
    in->logged[level]++;
}

static void host_error(struct weir_instance *in, const char *format, ...)
{
    va_list args;

    in->last_error[0] = '\0';
    if (!format)
        return;
    va_start(args, format);
    vsnprintf(in->last_error, sizeof(in->last_error), format, args);
    va_end(args);
}

static void host_fail(struct weir_instance *in, const char *format, ...)
{
    (void)format;
    in->failed++;
}

static struct weir_metric *host_metric(struct weir_instance *in, enum weir_metric_kind kind, const char *name,
                                       const char *help, const char *label, const char *value)
{
    (void)in, (void)kind, (void)name, (void)help, (void)label, (void)value;
    return &the_metric;
}

static void host_metric_add(struct weir_metric *metric, uint64_t n)
{
    metric->value += n;
}

static void host_reject(struct weir_instance *in, struct weir_chunk *chunk, const void *records, size_t size,
                        uint32_t count, const char *reason)
{
    (void)chunk, (void)records, (void)reason;
    in->rejects++;
    in->rejected_records += count;
    in->rejected_bytes += size;
}

static int host_wait(struct weir_instance *in, int fd, short events, uint64_t timeout)
{
    struct pollfd item = {fd, events, 0};

    if (in->waits_left == 0)
        return -ECANCELED;
    if (in->waits_left > 0)
        in->waits_left--;
    /* A test that would wait longer than this is stuck. */
    if (poll(&item, fd >= 0, timeout == UINT64_MAX ? 20000 : (int)(timeout / 1000000)) > 0)
        return 0;
    ck_assert_msg(timeout != UINT64_MAX, "waited for ever");
    return -ETIMEDOUT;
}

static const struct weir_host host = {
    .struct_size = sizeof(host),
    .abi_version = WEIR_ABI_VERSION,
    .version = WEIR_VERSION,
    .log = host_log,
    .error = host_error,
    .fail = host_fail,
    .metric = host_metric,
    .metric_add = host_metric_add,
    .reject = host_reject,
    .wait = host_wait,
};

/* Fills the configuration with the table's defaults, but for `name`. */
static void configure(struct weir_instance *in, const char *name, const char *value)
{
    const struct weir_plugin *plugin = &weir_plugin_descriptor;

    ck_assert_uint_le(plugin->config_size, sizeof(in->config));
    for (const struct weir_option *o = plugin->options; o->name; o++) {
        const char *text = name && strcmp(o->name, name) == 0 ? value : o->def;
        if (o->type == WEIR_OPTION_STRING) {
            memcpy(in->config + o->offset, &text, sizeof(text));
            continue;
        }
        ck_assert_int_eq(o->type, WEIR_OPTION_CHOICE);
        int index = 0;
        while (o->choices[index] && strcmp(o->choices[index], text) != 0)
            index++;
        ck_assert_ptr_nonnull(o->choices[index]);
        memcpy(in->config + o->offset, &index, sizeof(index));
    }
}

static void create(struct weir_instance *in, const char *name, const char *value)
{
    memset(in, 0, sizeof(*in));
    in->plugin = &weir_plugin_descriptor;
    in->waits_left = -1;
    configure(in, name, value);
    ck_assert_int_eq(in->plugin->create(&host, in, in->config, &in->self), 0);
}

static void begin(struct weir_instance *in, const char *name, const char *value)
{
    create(in, name, value);
    ck_assert_int_eq(in->plugin->start(in->self), 0);
}

static void end(struct weir_instance *in)
{
    in->plugin->destroy(in->self);
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

static struct weir_chunk chunk_of(const struct text *text, uint32_t records, uint64_t id)
{
    return (struct weir_chunk){.struct_size = sizeof(struct weir_chunk),
                               .records = records,
                               .data = text->data,
                               .size = text->size,
                               .tag = "t",
                               .topic = "",
                               .input = "i",
                               .id = id};
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
    the_metric.value = 0;
}

static void teardown(void)
{
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

static void check_format(const char *name, const char *value, const char *expected)
{
    struct weir_instance in;
    struct text text = {0};
    int fd = to_memory();

    add_record(&text, "log", "a\"b", 3);
    add_record(&text, "other", "\xff", 1);
    struct weir_chunk chunk = chunk_of(&text, 2, 1);
    begin(&in, name, value);
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_DELIVERED);
    if (expected)
        check_file_text(fd, expected);
    else
        check_file(fd, text.data, text.size);
    end(&in);
    close(fd);
    free(text.data);
}

START_TEST(formats)
{
    check_format("format", "json_lines",
                 "{\"date\":1700000000.123456,\"log\":\"a\\\"b\"}\n"
                 "{\"date\":1700000000.123456,\"other\":\"\xef\xbf\xbd\"}\n");
    check_format("json_date_key", "false", "{\"log\":\"a\\\"b\"}\n{\"other\":\"\xef\xbf\xbd\"}\n");
    check_format(
        "json_date_format", "epoch",
        "{\"date\":1700000000,\"log\":\"a\\\"b\"}\n{\"date\":1700000000,\"other\":\"\xef\xbf\xbd\"}\n");
    check_format("format", "msgpack", NULL);
    ck_assert_uint_eq(the_metric.value, 0);
    check_format("format", "raw", "a\"b\n{\"date\":1700000000.123456,\"other\":\"\xef\xbf\xbd\"}\n");
    ck_assert_uint_eq(the_metric.value, 1);
}
END_TEST

START_TEST(raw_values_of_other_types)
{
    struct weir_instance in;
    struct text text = {0};
    int fd = to_memory();

    append(&text, "\x92\x05\x81\xa3log\x07", 8);
    append(&text, "\x92\x05\x82\xa1x\x01\xa3log\xc4\x02\xff\x00", 14);
    append(&text, "\x92\x05\x81\xa3log\x91\xa1q", 10);
    struct weir_chunk chunk = chunk_of(&text, 3, 1);
    begin(&in, "format", "raw");
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_DELIVERED);
    check_file(fd, "7\n\xff\x00\n[\"q\"]\n", 11);
    end(&in);
    close(fd);
    free(text.data);
}
END_TEST

START_TEST(empty_message_key_is_refused)
{
    struct weir_instance in = {.plugin = &weir_plugin_descriptor};

    configure(&in, "message_key", "");
    ck_assert_int_eq(in.plugin->create(&host, &in, in.config, &in.self), -EINVAL);
    ck_assert_ptr_nonnull(strstr(in.last_error, "message_key"));
}
END_TEST

/* Several pieces through a pipe of one page; the shared description must stay as it was. */
START_TEST(small_pipe)
{
    struct weir_instance in;
    struct text text = {0}, raw = {0};
    struct reader reader;

    make_lines(&text, &raw, 5000, 199);
    struct weir_chunk chunk = chunk_of(&text, 5000, 1);
    reader_start(&reader, to_pipe());
    begin(&in, "format", "raw");
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_DELIVERED);
    ck_assert_int_eq(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
    end(&in);
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
    struct weir_instance in;
    struct text text = {0}, raw = {0}, got = {0};
    uint8_t block[5000];
    int attempts = 0, result, fd = to_pipe();

    make_lines(&text, &raw, count, length);
    struct weir_chunk chunk = chunk_of(&text, count, 7);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    begin(&in, "format", format);
    do {
        in.waits_left = 0;
        result = in.plugin->write(in.self, &chunk);
        ssize_t n = read(fd, block, 1 + (size_t)(attempts * 997) % sizeof(block));
        if (n > 0)
            append(&got, block, (size_t)n);
        attempts++;
    } while (result == WEIR_RETRY);
    ck_assert_int_eq(result, WEIR_DELIVERED);
    ck_assert_int_gt(attempts, 50);
    end(&in);
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
    struct weir_instance in;
    struct text text = {0}, raw = {0};

    make_lines(&text, &raw, 1, 10);
    struct weir_chunk chunk = chunk_of(&text, 1, 1);
    for (int kind = 0; kind < 2; kind++) {
        int fds[2];
        ck_assert_int_eq(kind ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds), 0);
        redirect(fds[1]);
        begin(&in, NULL, NULL);
        close(fds[0]);
        ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_RETRY);
        ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_RETRY);
        ck_assert_uint_eq(in.failed, 1);
        end(&in);
    }
    free(text.data);
    free(raw.data);
}
END_TEST

START_TEST(socket_that_is_slow)
{
    struct weir_instance in;
    struct text text = {0}, raw = {0};
    struct reader reader;
    int fds[2];

    make_lines(&text, &raw, 20000, 199);
    struct weir_chunk chunk = chunk_of(&text, 20000, 1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    redirect(fds[1]);
    reader_start(&reader, fds[0]);
    begin(&in, "format", "raw");
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_DELIVERED);
    end(&in);
    reader_finish(&reader);
    check_same(&reader.text, &raw);
    free(reader.text.data);
    free(text.data);
    free(raw.data);
}
END_TEST

static void check_no_start(const char *word)
{
    struct weir_instance in;

    create(&in, NULL, NULL);
    ck_assert_int_lt(in.plugin->start(in.self), 0);
    ck_assert_msg(strstr(in.last_error, word) != NULL, "%s", in.last_error);
    end(&in);
}

START_TEST(no_standard_output)
{
    close(1);
    check_no_start("closed");
    redirect(open("/dev/null", O_RDONLY));
    check_no_start("not open for writing");
    redirect(open("/", O_RDONLY | O_DIRECTORY));
    check_no_start("not open for writing");
}
END_TEST

START_TEST(full_disk)
{
    struct weir_instance in;
    struct text text = {0}, raw = {0};

    make_lines(&text, &raw, 3, 50);
    struct weir_chunk chunk = chunk_of(&text, 3, 1);
    redirect(open("/dev/full", O_WRONLY));
    begin(&in, "format", "raw");
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_RETRY);
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_RETRY);
    ck_assert_uint_eq(in.logged[WEIR_LOG_ERROR], 1);
    ck_assert_str_ne(in.last_error, "");
    int fd = to_memory();
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_DELIVERED);
    ck_assert_uint_eq(in.logged[WEIR_LOG_INFO], 1);
    ck_assert_str_eq(in.last_error, "");
    ck_assert_uint_eq(in.failed, 0);
    check_file(fd, raw.data, raw.size);
    end(&in);
    close(fd);
    free(text.data);
    free(raw.data);
}
END_TEST

/* A file that may not grow any more takes part of a line; the rest follows when it may. */
START_TEST(file_size_limit)
{
    struct weir_instance in;
    struct text text = {0}, raw = {0};
    struct rlimit before, limit;
    FILE *file = tmpfile();

    make_lines(&text, &raw, 3000, 199);
    struct weir_chunk chunk = chunk_of(&text, 3000, 1);
    ck_assert_int_eq(dup2(fileno(file), 1), 1);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    begin(&in, "format", "raw");
    for (limit.rlim_cur = 1001; limit.rlim_cur < raw.size; limit.rlim_cur += 99991) {
        setrlimit(RLIMIT_FSIZE, &limit);
        int result = in.plugin->write(in.self, &chunk);
        setrlimit(RLIMIT_FSIZE, &before);
        ck_assert_int_eq(result, WEIR_RETRY);
        check_file(fileno(file), raw.data, limit.rlim_cur);
        lseek(1, 0, SEEK_END);
    }
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_DELIVERED);
    check_file(fileno(file), raw.data, raw.size);
    end(&in);
    fclose(file);
    free(text.data);
    free(raw.data);
}
END_TEST

START_TEST(malformed_chunk)
{
    struct weir_instance in;
    struct text text = {0}, raw = {0};

    make_lines(&text, &raw, 2, 50);
    append(&text, "\xc1garbage", 8);
    struct weir_chunk chunk = chunk_of(&text, 5, 1);
    redirect(open("/dev/full", O_WRONLY));
    begin(&in, "format", "raw");
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_RETRY);
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_RETRY);
    int fd = to_memory();
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_DELIVERED);
    check_file(fd, raw.data, raw.size);
    ck_assert_uint_eq(in.rejects, 1);
    ck_assert_uint_eq(in.rejected_records, 3);
    ck_assert_uint_eq(in.rejected_bytes, 8);
    end(&in);
    close(fd);
    free(text.data);
    free(raw.data);
}
END_TEST

START_TEST(record_nested_too_deep)
{
    struct weir_instance in;
    struct text text = {0};
    int fd = to_memory();

    add_record(&text, "log", "before", 6);
    append(&text, "\x92\x05\x81\xa3log", 7);
    for (int i = 0; i < 1000; i++)
        append(&text, "\x91", 1);
    append(&text, "\xc0", 1);
    add_record(&text, "log", "after", 5);
    struct weir_chunk chunk = chunk_of(&text, 3, 1);
    begin(&in, "json_date_key", "false");
    ck_assert_int_eq(in.plugin->write(in.self, &chunk), WEIR_DELIVERED);
    check_file_text(fd, "{\"log\":\"before\"}\n{\"log\":\"after\"}\n");
    ck_assert_uint_eq(in.rejects, 1);
    ck_assert_uint_eq(in.rejected_bytes, 1008);
    end(&in);
    close(fd);
    free(text.data);
}
END_TEST

/* -- Several instances -- */

struct writer {
    pthread_t thread;
    struct weir_instance in;
    struct text text, raw;
    int chunks;
};

static void *write_chunks(void *data)
{
    struct writer *w = data;

    for (int i = 0; i < w->chunks; i++) {
        struct weir_chunk chunk = chunk_of(&w->text, 40, (uint64_t)i);
        if (w->in.plugin->write(w->in.self, &chunk) != WEIR_DELIVERED)
            abort();
    }
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
        begin(&writers[i].in, "format", "raw");
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_chunks, &writers[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(writers[i].thread, NULL);
    for (int i = 0; i < 3; i++) {
        end(&writers[i].in);
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
    struct weir_instance one, two;
    struct text long_text = {0}, long_raw = {0}, short_text = {0}, short_raw = {0};
    struct reader reader;
    int fd = to_pipe();

    make_lines(&long_text, &long_raw, 1, 50000);
    make_lines(&short_text, &short_raw, 1, 10);
    struct weir_chunk first = chunk_of(&long_text, 1, 1), second = chunk_of(&short_text, 1, 2);
    begin(&one, "format", "raw");
    begin(&two, "format", "raw");
    one.waits_left = two.waits_left = 0;
    ck_assert_int_eq(one.plugin->write(one.self, &first), WEIR_RETRY);
    ck_assert_int_eq(two.plugin->write(two.self, &second), WEIR_RETRY);
    one.waits_left = two.waits_left = -1;
    reader_start(&reader, fd);
    ck_assert_int_eq(one.plugin->write(one.self, &first), WEIR_DELIVERED);
    ck_assert_int_eq(two.plugin->write(two.self, &second), WEIR_DELIVERED);
    one.waits_left = 0;
    end(&one);
    end(&two);
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

/* The one that holds the turn goes for good: the other is not held up by it. */
START_TEST(turn_ends_with_its_instance)
{
    struct weir_instance one, two;
    struct text text = {0}, raw = {0};
    int fd = to_pipe();

    make_lines(&text, &raw, 1, 50000);
    struct weir_chunk chunk = chunk_of(&text, 1, 1);
    begin(&one, "format", "raw");
    begin(&two, "format", "raw");
    one.waits_left = 0;
    ck_assert_int_eq(one.plugin->write(one.self, &chunk), WEIR_RETRY);
    end(&one);
    struct reader reader;
    reader_start(&reader, fd);
    ck_assert_int_eq(two.plugin->write(two.self, &chunk), WEIR_DELIVERED);
    end(&two);
    reader_finish(&reader);
    ck_assert_uint_gt(reader.text.size, raw.size);
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

    tcase_set_timeout(tc, 60);
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
