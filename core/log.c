/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir's own log. Owns the log file's descriptor and one buffer, under one lock; any thread.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "log_repeat.h"
#include "text.h"

enum {
    LONGEST_MESSAGE = 16 * 1024,
    LONGEST_WHO = 512,
    LINE_SIZE = (LONGEST_MESSAGE + LONGEST_WHO) * TEXT_ESCAPE_GROWTH + 256,
    STUCK_MS = 1000 /* how long a full, non-blocking standard error may hold up its writer */
};

static atomic_int current_level = WEIR_LOG_INFO;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* All under the lock. */
static enum log_format current_format = LOG_TEXT;
static int log_fd = STDERR_FILENO;
static void (*before_line)(void);
static char line[LINE_SIZE];

void log_setup(int level, enum log_format format)
{
    pthread_mutex_lock(&lock);
    current_format = format;
    pthread_mutex_unlock(&lock);
    atomic_store_explicit(&current_level, level, memory_order_relaxed);
}

int log_open(const char *path)
{
    int fd = STDERR_FILENO;
    if (path)
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0)
        return -errno;
    pthread_mutex_lock(&lock);
    int old = log_fd;
    log_fd = fd;
    pthread_mutex_unlock(&lock);
    if (old != STDERR_FILENO)
        close(old);
    return 0;
}

bool log_enabled(int level)
{
    return level > 0 && level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_before_line(void (*fn)(void))
{
    pthread_mutex_lock(&lock);
    before_line = fn;
    pthread_mutex_unlock(&lock);
}

void log_alone(void (*fn)(void *data), void *data)
{
    pthread_mutex_lock(&lock);
    fn(data);
    pthread_mutex_unlock(&lock);
}

static const char *level_name(int level)
{
    static const char *const names[] = {"off", "error", "warn", "info", "debug", "trace"};
    return names[level < WEIR_LOG_TRACE ? level : WEIR_LOG_TRACE];
}

/* "2026-11-23T20:00:00.123Z" */
static void time_text(char *out, size_t room)
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t used = strftime(out, room, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + used, room - used, ".%03ldZ", now.tv_nsec / 1000000);
}

static void write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        struct pollfd writable = {.fd = fd, .events = POLLOUT};
        if (n == 0 || errno != EAGAIN || poll(&writable, 1, STUCK_MS) <= 0)
            return; /* nobody is left to tell */
    }
}

static size_t add(size_t used, const char *text)
{
    size_t length = strlen(text);
    memcpy(line + used, text, length);
    return used + length;
}

static size_t add_escaped(size_t used, const char *text, size_t length, enum text_style style)
{
    return used + text_escape(line + used, LINE_SIZE - used, text, length, style);
}

/* Both put a line together in `line`, under the lock, and return its length. */

static size_t compose_text(int level, const char *who, const char *message, size_t length)
{
    char head[64], now[40];
    time_text(now, sizeof now);
    snprintf(head, sizeof head, "%s %-5s ", now, level_name(level));
    size_t used = add(0, head);
    if (who) {
        used = add(used, "[");
        used = add_escaped(used, who, strnlen(who, LONGEST_WHO), TEXT_PLAIN);
        used = add(used, "] ");
    }
    used = add_escaped(used, message, length, TEXT_PLAIN);
    return add(used, "\n");
}

static size_t compose_json(int level, const char *who, const char *message, size_t length)
{
    char now[40];
    time_text(now, sizeof now);
    size_t used = add(0, "{\"time\":\"");
    used = add(used, now);
    used = add(used, "\",\"level\":\"");
    used = add(used, level_name(level));
    used = add(used, who ? "\",\"who\":\"" : "\",\"who\":null");
    if (who) {
        used = add_escaped(used, who, strnlen(who, LONGEST_WHO), TEXT_JSON);
        used = add(used, "\"");
    }
    used = add(used, ",\"message\":\"");
    used = add_escaped(used, message, length, TEXT_JSON);
    return add(used, "\"}\n");
}

/* Shortens a message that did not fit to whole characters and says how long it was. */
static size_t cut(char *message, size_t size, size_t wanted)
{
    char mark[64];
    size_t mark_length = (size_t)snprintf(mark, sizeof mark, " [cut, %zu bytes]", wanted);
    size_t end = size - 1 - mark_length;
    while (end && ((unsigned char)message[end] & 0xc0) == 0x80)
        end--;
    memcpy(message + end, mark, mark_length);
    return end + mark_length;
}

static uint64_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec;
}

/* Whether it is to be written, and what is said of its repeats added. Whoever asks for debug wants all of it.
 */
static bool judge_repeat(int level, const char *who, char *message, size_t room, size_t *length)
{
    char suffix[96];
    if (level >= WEIR_LOG_DEBUG)
        return true;
    bool allowed = log_repeat_allows(who, message, *length, seconds_now(), suffix, sizeof suffix);
    size_t more = strlen(suffix);
    if (*length + more < room) {
        memcpy(message + *length, suffix, more + 1);
        *length += more;
    }
    return allowed;
}

void log_vwrite(int level, const char *who, const char *fmt, va_list args)
{
    if (!log_enabled(level))
        return;
    int saved = errno; /* a log line between a failed call and its handling must not change the reason */
    char message[LONGEST_MESSAGE];
    int wanted = vsnprintf(message, sizeof message, fmt, args);
    size_t length = wanted < 0 ? 0 : (size_t)wanted;
    if (length >= sizeof message)
        length = cut(message, sizeof message, length);
    pthread_mutex_lock(&lock);
    if (judge_repeat(level, who, message, sizeof message, &length)) {
        size_t size = current_format == LOG_JSON ? compose_json(level, who, message, length)
                                                 : compose_text(level, who, message, length);
        if (before_line && log_fd == STDERR_FILENO)
            before_line();
        write_all(log_fd, line, size);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
}

void log_write(int level, const char *who, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_vwrite(level, who, fmt, args);
    va_end(args);
}

/* -- In a signal handler: no lock, no memory, no locale -------------------------------------------------- */

/* The date of a day counted from 1970, in the calendar that begins its years in March. */
static void civil(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    *ret_day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret_year = (int)(yoe + era * 400 + (*ret_month <= 2));
}

static char *put_digits(char *p, int64_t number, int digits, char after)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        p[i] = (char)('0' + number % 10);
    p[digits] = after;
    return p + digits + 1;
}

static void crash_time(char *p)
{
    struct timespec now;
    int year, month, day;

    clock_gettime(CLOCK_REALTIME, &now);
    civil(now.tv_sec / 86400, &year, &month, &day);
    p = put_digits(put_digits(put_digits(p, year, 4, '-'), month, 2, '-'), day, 2, 'T');
    p = put_digits(p, now.tv_sec / 3600 % 24, 2, ':');
    p = put_digits(p, now.tv_sec / 60 % 60, 2, ':');
    p = put_digits(p, now.tv_sec % 60, 2, '.');
    p = put_digits(p, now.tv_nsec / 1000000, 3, 'Z');
    *p = '\0';
}

void log_crash(const char *text)
{
    char now[40], out[1024];
    size_t used = 0;
    bool json = current_format == LOG_JSON;
    const char *parts[] = {json ? "{\"time\":\"" : "", now,
                           json ? "\",\"level\":\"error\",\"who\":\"engine\",\"message\":\""
                                : " error [engine] ",
                           text, json ? "\"}\n" : "\n"};

    crash_time(now);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        size_t length = strlen(parts[i]);
        if (length > sizeof(out) - used)
            length = sizeof(out) - used;
        memcpy(out + used, parts[i], length);
        used += length;
    }
    write_all(log_fd, out, used);
}
