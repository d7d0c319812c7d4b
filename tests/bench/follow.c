/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow FOLDER FILES [OPEN]: the least that following files asks of the kernel, to hold weir against.
 * Follows the FILES files that make_access_log spreads over FOLDER, from their ends, and writes what is
 * appended to standard output: one inotify watch for each, one read for its news, one write for each 64 KiB
 * of lines. With OPEN, only so many are open at a time: the others are opened for their news, each in the
 * place of the one that is open for longest. Nothing is recognised, compared, packed, counted or remembered,
 * and no rotation is seen. A first line says that all are followed; ends with SIGTERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((size_t)256 * 1024)
#define BATCH ((size_t)64 * 1024)

struct file {
    off_t offset;
    int fd; /* -1: closed */
    bool ready;
};

struct follow {
    const char *folder;
    struct file *files; /* by number, and so is by_watch's content */
    unsigned *by_watch, *ready, *opened;
    size_t count, most, ready_count;
    size_t is_open, oldest; /* opened: a ring of `most` */
    int inotify;
    size_t held;
    char out[BATCH + BLOCK];
    char events[64 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
};

static void die(const char *what)
{
    fprintf(stderr, "follow: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void write_out(struct follow *f)
{
    for (size_t done = 0; done < f->held;) {
        ssize_t n = write(STDOUT_FILENO, f->out + done, f->held - done);
        if (n < 0 && errno != EINTR)
            die("standard output");
        done += n > 0 ? (size_t)n : 0;
    }
    f->held = 0;
}

static void path_of(const struct follow *f, size_t index, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%04zu/%02zu.log", f->folder, index / 100, index % 100);
}

static void open_file(struct follow *f, size_t index)
{
    char path[PATH_MAX];

    path_of(f, index, path);
    if (f->is_open == f->most) {
        struct file *other = &f->files[f->opened[f->oldest]];
        close(other->fd);
        other->fd = -1;
    } else {
        f->is_open++;
    }
    f->opened[f->oldest] = (unsigned)index;
    f->oldest = (f->oldest + 1) % f->most;
    f->files[index].fd = open(path, O_RDONLY | O_CLOEXEC | O_NOATIME);
    if (f->files[index].fd < 0)
        die(path);
}

static void begin(struct follow *f)
{
    char path[PATH_MAX];
    struct stat s;

    for (size_t i = 0; i < f->count; i++) {
        path_of(f, i, path);
        int watch = inotify_add_watch(f->inotify, path, IN_MODIFY);
        if (watch < 0 || (size_t)watch > f->count || stat(path, &s) < 0)
            die(path);
        f->by_watch[watch] = (unsigned)i;
        f->files[i] = (struct file){.offset = s.st_size, .fd = -1};
        if (i < f->most)
            open_file(f, i);
    }
}

/* Whole lines; what stands behind them is read again when there is more. */
static void read_news(struct follow *f, size_t index)
{
    struct file *file = &f->files[index];
    ssize_t n;

    if (file->fd < 0)
        open_file(f, index);
    do {
        char *to = f->out + f->held;
        n = pread(file->fd, to, BLOCK, file->offset);
        if (n < 0)
            die("read");
        const char *last = memrchr(to, '\n', (size_t)n);
        size_t whole = last ? (size_t)(last + 1 - to) : 0;
        file->offset += (off_t)whole;
        f->held += whole;
        if (f->held >= BATCH)
            write_out(f);
    } while ((size_t)n == BLOCK);
}

static void take_events(struct follow *f, size_t size)
{
    for (char *p = f->events; p < f->events + size;) {
        const struct inotify_event *event = (const void *)p;
        p += sizeof(*event) + event->len;
        if (event->mask & IN_Q_OVERFLOW) {
            for (size_t i = 0; i < f->count; i++)
                read_news(f, i);
            continue;
        }
        unsigned index = f->by_watch[event->wd];
        if (!f->files[index].ready)
            f->ready[f->ready_count++] = index;
        f->files[index].ready = true;
    }
}

static void run(struct follow *f)
{
    ssize_t size;

    while ((size = read(f->inotify, f->events, sizeof(f->events))) > 0 || errno == EINTR) {
        take_events(f, size > 0 ? (size_t)size : 0);
        for (size_t i = 0; i < f->ready_count; i++) {
            f->files[f->ready[i]].ready = false; /* before the read: what comes after it has its own event */
            read_news(f, f->ready[i]);
        }
        f->ready_count = 0;
        write_out(f);
    }
    die("inotify");
}

int main(int argc, char **argv)
{
    static struct follow f;

    f.count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    f.most = argc > 3 ? strtoul(argv[3], NULL, 10) : f.count;
    if (!f.count || !f.most || argc > 4) {
        fprintf(stderr, "usage: follow FOLDER FILES [OPEN]\n");
        return 1;
    }
    f.most = f.most < f.count ? f.most : f.count;
    f.folder = argv[1];
    f.files = calloc(f.count, sizeof(*f.files));
    f.by_watch = calloc(f.count + 1, sizeof(*f.by_watch)); /* inotify counts from 1 */
    f.ready = calloc(f.count, sizeof(*f.ready));
    f.opened = calloc(f.most, sizeof(*f.opened));
    f.inotify = inotify_init1(IN_CLOEXEC);
    if (!f.files || !f.by_watch || !f.ready || !f.opened || f.inotify < 0)
        die("start");
    begin(&f);
    f.held = (size_t)snprintf(f.out, sizeof(f.out), "ready\n");
    write_out(&f);
    run(&f);
}
