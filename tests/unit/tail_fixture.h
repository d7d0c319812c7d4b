/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of in_tail share: files in a directory of their own, the lines that came out of the plugin,
 * and a clock that only the test moves: what is to come before a time-out does, however long this process
 * stands still. */
#ifndef TAIL_FIXTURE_H
#define TAIL_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <weir/event.h>
#include <zlib.h>
#include "fake_host.h"

enum { DEADLINE_MS = 120000, SETTINGS_MAX = 24 };

static struct fake_host *host;
static char dir[PATH_MAX];
static size_t first_chunk; /* those before were looked at already */

static uint64_t clock_ns = UINT64_C(1000000000000); /* of the monotonic clocks */
static time_t ahead;                                /* of the real clock of the day, s */
static struct timespec frozen;                      /* where that stands still; 0: it does not */

/* In place of libc's, for all of this program. */
int clock_gettime(clockid_t id, struct timespec *t)
{
    if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE) {
        clock_ns += 1000; /* a look takes its time, or a slice of work would never end */
        *t = (struct timespec){(time_t)(clock_ns / 1000000000), (long)(clock_ns % 1000000000)};
        return 0;
    }
    if (id == CLOCK_REALTIME && frozen.tv_sec) {
        *t = frozen;
        return 0;
    }
    int r = (int)syscall(SYS_clock_gettime, id, t);
    t->tv_sec += id == CLOCK_REALTIME ? ahead : 0;
    return r;
}

/* Waiting moves the clock on; what the kernel knows of files it tells at once. */
int epoll_wait(int epoll, struct epoll_event *events, int max, int ms)
{
    int count = (int)syscall(SYS_epoll_pwait, epoll, events, max, 0, NULL, (size_t)8);
    clock_ns += count == 0 && ms > 0 ? (uint64_t)ms * 1000000 : 0;
    return count;
}

static inline void setup(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof(dir), "%s/weir-tail-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    /* paths that the kernel tells must be the same as ours */
    char *real = realpath(dir, NULL);
    ck_assert_ptr_nonnull(real);
    snprintf(dir, sizeof(dir), "%s", real);
    free(real);
    host = fake_create();
    frozen = (struct timespec){0};
    first_chunk = 0;
}

static inline int remove_entry(const char *path, const struct stat *s, int flag, struct FTW *ftw)
{
    (void)s;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void teardown(void)
{
    fake_destroy(host);
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path below the directory; one of a few buffers that are used in turn. */
static inline const char *at(const char *name)
{
    static char paths[8][PATH_MAX * 2];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static inline void put_bytes(const char *name, int flags, const void *bytes, size_t size)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    ck_assert_int_ge(fd, 0);
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)bytes + done, size - done);
        ck_assert_int_gt(n, 0);
        done += (size_t)n;
    }
    close(fd);
}

static inline void append(const char *name, const char *text)
{
    put_bytes(name, O_APPEND, text, strlen(text));
}

static inline void overwrite(const char *name, const char *text)
{
    put_bytes(name, O_TRUNC, text, strlen(text));
}

/* Adds a member of gzip that holds this: not made smaller, so that there are newlines in it. */
static inline void pack(const char *name, const char *text)
{
    gzFile file = gzopen(at(name), "ab0");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
    ck_assert_int_eq(gzclose(file), Z_OK);
}

static inline void move(const char *from, const char *to)
{
    ck_assert_int_eq(rename(at(from), at(to)), 0);
}

/* An input on `path` below the directory; then pairs of option and value, and NULL. Not started. */
static inline struct weir_instance *make(const char *path, ...)
{
    struct fake_setting settings[SETTINGS_MAX] = {{"path", *path == '/' ? path : at(path)}};
    size_t count = 1;
    va_list args;
    va_start(args, path);
    for (const char *name; (name = va_arg(args, const char *));) {
        ck_assert_uint_lt(count, SETTINGS_MAX - 1);
        settings[count++] = (struct fake_setting){name, va_arg(args, const char *)};
    }
    va_end(args);
    return fake_input(host, &weir_plugin_descriptor, "t", settings);
}

static inline struct weir_instance *started(struct weir_instance *instance)
{
    ck_assert_msg(instance != NULL, "%s", fake_error(host));
    ck_assert_int_eq(fake_start(instance), 0);
    return instance;
}

#define start(...)      started(make(__VA_ARGS__, NULL))
#define start_head(...) start(__VA_ARGS__, "read_from_head", "true")

/* The value of a record's field, or NULL. */
static inline bool field(const struct weir_record *record, const char *name, struct weir_value *ret)
{
    struct weir_iter fields;
    struct weir_value key;
    weir_iter_record(&fields, record);
    while (weir_iter_field(&fields, &key, ret) > 0) {
        if (key.type == WEIR_TYPE_STR && key.size == strlen(name) && memcmp(key.data, name, key.size) == 0) {
            return true;
        }
    }
    return false;
}

/* All lines that were sent since `first_chunk`, each followed by a newline. The caller frees. */
static inline char *sent_text(size_t *ret_size)
{
    size_t count, size = 0, room = 1;
    const struct fake_chunk *chunks = fake_chunks(host, &count);
    for (size_t i = first_chunk; i < count; i++) {
        room += chunks[i].size + chunks[i].records;
    }
    char *text = malloc(room);
    ck_assert_ptr_nonnull(text);
    for (size_t i = first_chunk; i < count; i++) {
        struct weir_cursor cursor;
        struct weir_record record;
        struct weir_value value = {0};
        uint32_t records = 0;
        weir_cursor_init(&cursor, chunks[i].data, chunks[i].size);
        int r;
        while ((r = weir_cursor_next(&cursor, &record)) > 0) {
            ck_assert(field(&record, "log", &value));
            memcpy(text + size, value.data, value.size);
            size += value.size;
            text[size++] = '\n';
            records++;
        }
        ck_assert_int_eq(r, 0);
        ck_assert_uint_eq(records, chunks[i].records);
    }
    text[size] = 0;
    *ret_size = size;
    return text;
}

static inline void seen(void)
{
    fake_chunks(host, &first_chunk);
}

static inline bool sent_enough(void *data)
{
    size_t size;
    free(sent_text(&size));
    return size >= *(const size_t *)data;
}

/* Waits for exactly these bytes, sees that nothing more comes, and forgets them. */
static inline void expect_bytes(const char *bytes, size_t size)
{
    size_t got;
    fake_until(host, sent_enough, &size, DEADLINE_MS);
    fake_idle(host);
    char *text = sent_text(&got);
    if (got < 2000 && size < 2000) {
        ck_assert_msg(got == size && memcmp(text, bytes, size) == 0, "expected:\n%s\ngot:\n%s", bytes, text);
    }
    ck_assert_uint_eq(got, size);
    ck_assert(memcmp(text, bytes, size) == 0);
    free(text);
    seen();
}

static inline void expect(const char *text)
{
    expect_bytes(text, strlen(text));
}

static inline bool has_ended(void *data)
{
    return fake_is_ended(data);
}

static inline int run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
