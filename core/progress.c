/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draws the progress bar. Owns its state, all of it under the log's lock, but for the numbers and the time of
 * the next drawing, which are atomic. Any thread.
 */
#include "progress.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "log.h"

enum {
    SAMPLES = 32,       /* at ten drawings a second: the rate of the last three seconds */
    NARROWEST_BAR = 10, /* below that, no bar */
    MOST_COLUMNS = 240,
    DEFAULT_COLUMNS = 80,
    LINE_ROOM = 512
};

#define DRAW_INTERVAL UINT64_C(100000000) /* ns */

struct sample {
    uint64_t time, done;
};

struct progress {
    int fd;
    _Atomic uint64_t next_draw;     /* ns */
    bool visible;                   /* the cursor stands behind a bar */
    bool drawn;                     /* there ever was one */
    uint64_t begun;                 /* ns */
    _Atomic uint64_t done, total;   /* as last told; drawn or not */
    struct sample samples[SAMPLES]; /* a ring */
    size_t sample_count;
};

static struct progress *current; /* under the log's lock */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put(const struct progress *progress, const char *text, size_t size)
{
    while (size) {
        ssize_t n = write(progress->fd, text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a bar is not worth waiting for */
        text += n;
        size -= (size_t)n;
    }
}

/* -- Text -- */

static void bytes_text(char *out, size_t room, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(out, room, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void time_text(char *out, size_t room, uint64_t seconds)
{
    if (seconds >= 100 * 3600)
        snprintf(out, room, "over 99 h");
    else if (seconds >= 3600)
        snprintf(out, room, "%u:%02u:%02u", (unsigned)(seconds / 3600), (unsigned)(seconds / 60 % 60),
                 (unsigned)(seconds % 60));
    else
        snprintf(out, room, "%u:%02u", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
}

/* "42 %  420 MiB of 1.0 GiB  512 MiB/s  0:03 left" */
static void numbers_text(char *out, size_t room, uint64_t done, uint64_t total, uint64_t rate)
{
    char done_text[32], total_text[32], rate_text[32], left_text[32];
    unsigned percent = total ? (unsigned)((double)done / (double)total * 100) : 100;
    bytes_text(done_text, sizeof done_text, done);
    bytes_text(total_text, sizeof total_text, total);
    bytes_text(rate_text, sizeof rate_text, rate);
    time_text(left_text, sizeof left_text, rate ? (total - done + rate - 1) / rate : 0);
    if (rate && done < total)
        snprintf(out, room, "%3u %%  %s of %s  %s/s  %s left", percent, done_text, total_text, rate_text,
                 left_text);
    else if (rate)
        snprintf(out, room, "%3u %%  %s of %s  %s/s", percent, done_text, total_text, rate_text);
    else
        snprintf(out, room, "%3u %%  %s of %s", percent, done_text, total_text);
}

size_t progress_text(char *out, size_t room, unsigned columns, uint64_t done, uint64_t total, uint64_t rate)
{
    char numbers[160], bar[MOST_COLUMNS + 1];
    if (done > total)
        done = total;
    if (columns > MOST_COLUMNS)
        columns = MOST_COLUMNS;
    numbers_text(numbers, sizeof numbers, done, total, rate);
    size_t used = strlen(numbers);
    size_t width = columns > used + 3 ? columns - (unsigned)used - 3 : 0; /* brackets and a blank */
    if (width < NARROWEST_BAR) {
        int length = snprintf(out, room, "%.*s", (int)columns, numbers);
        return (size_t)length < room ? (size_t)length : room - 1;
    }
    size_t full = total ? (size_t)((double)done / (double)total * (double)width) : width;
    memset(bar, ' ', width);
    memset(bar, '=', full);
    if (full && full < width)
        bar[full - 1] = '>';
    bar[width] = '\0';
    int length = snprintf(out, room, "[%s] %s", bar, numbers);
    return (size_t)length < room ? (size_t)length : room - 1;
}

/* -- Drawing, under the log's lock -- */

static void clear(struct progress *progress)
{
    static const char erase[] = "\r\x1b[K";
    if (progress->visible)
        put(progress, erase, sizeof erase - 1);
    progress->visible = false;
}

static void clear_current(void)
{
    if (current)
        clear(current);
}

static unsigned columns_of(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return DEFAULT_COLUMNS;
    return size.ws_col;
}

/* Bytes a second since the oldest sample that is kept. */
static uint64_t take_sample(struct progress *progress)
{
    const struct sample now = {now_ns(), progress->done};
    size_t count = progress->sample_count++;
    const struct sample oldest = progress->samples[count < SAMPLES ? 0 : count % SAMPLES];
    progress->samples[count % SAMPLES] = now;
    if (!count || now.time <= oldest.time || now.done <= oldest.done)
        return 0;
    return (uint64_t)((double)(now.done - oldest.done) * 1e9 / (double)(now.time - oldest.time));
}

static void draw_with(struct progress *progress, uint64_t rate)
{
    char line[LINE_ROOM] = "\r";
    unsigned columns = columns_of(progress->fd) - 1; /* in the last column some terminals begin a new line */
    size_t length =
        1 + progress_text(line + 1, sizeof line - 8, columns, progress->done, progress->total, rate);
    memcpy(line + length, "\x1b[K", 3);
    put(progress, line, length + 3);
    progress->visible = progress->drawn = true;
}

static void draw(void *data)
{
    struct progress *progress = data;
    draw_with(progress, take_sample(progress));
}

/* The last one shows the rate of the whole run. */
static void draw_end(struct progress *progress)
{
    uint64_t taken = now_ns() - progress->begun;
    draw_with(progress, taken ? (uint64_t)((double)progress->done * 1e9 / (double)taken) : 0);
}

void progress_update(struct progress *progress, uint64_t done, uint64_t total)
{
    if (!progress)
        return;
    atomic_store_explicit(&progress->done, done, memory_order_relaxed);
    atomic_store_explicit(&progress->total, total, memory_order_relaxed);
    uint64_t now = now_ns(), due = atomic_load(&progress->next_draw);
    if (now >= due && atomic_compare_exchange_strong(&progress->next_draw, &due, now + DRAW_INTERVAL))
        log_alone(draw, progress);
}

/* -- Life -- */

static void make_current(void *data)
{
    if (!current)
        current = data;
}

static void is_current(void *data)
{
    struct progress **progress = data;
    if (current != *progress)
        *progress = NULL;
}

struct progress *progress_create(int fd)
{
    if (!isatty(fd))
        return NULL;
    struct progress *progress = calloc(1, sizeof *progress), *taken = progress;
    if (!progress)
        return NULL;
    progress->fd = fd;
    progress->begun = now_ns();
    log_alone(make_current, progress);
    log_alone(is_current, &taken);
    if (!taken) {
        free(progress);
        return NULL;
    }
    log_before_line(clear_current);
    return progress;
}

static void finish(void *data)
{
    struct progress *progress = data;
    if (progress->drawn || progress->total) {
        draw_end(progress);
        put(progress, "\n", 1);
    }
    current = NULL;
}

void progress_finish(struct progress *progress)
{
    if (!progress)
        return;
    log_before_line(NULL);
    log_alone(finish, progress);
    free(progress);
}
