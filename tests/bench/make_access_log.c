/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_access_log SIZE FILE [WIDTH [FILES]]: writes a web server's access log of SIZE bytes (k, M, G: units
 * of 1024), rounded up to whole lines of WIDTH bytes (200). Every run writes the same bytes, and every line
 * has a number of its own. With FILES the lines are spread over so many files, in order, a hundred in a
 * folder below FILE: FILE/0000/00.log and so on. What is there already is appended to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPLATES 1024
#define WIDEST    4096
#define NARROWEST 100

struct log {
    size_t width;
    char *block; /* TEMPLATES lines */
    uint64_t written;
};

static uint64_t parse_size(const char *text)
{
    char *end;
    uint64_t size = strtoull(text, &end, 10);

    switch (*end) {
    case 'G':
        return size << 30;
    case 'M':
        return size << 20;
    case 'k':
        return size << 10;
    default:
        return *end ? 0 : size;
    }
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 33) % below);
}

/* One line with its number left at zero, and its path as long as it takes to make the width. */
static void make_line(char *line, size_t width, uint64_t *state)
{
    static const char *const methods[] = {"GET", "GET", "GET", "POST", "HEAD"};
    static const int statuses[] = {200, 200, 200, 200, 304, 404, 302, 500};
    static const char path[] =
        "/catalogue/products/summer/shoes/detail.html?session=8f14e45fceea167a5a36dedd4bea2543"
        "&page=2&sort=price&filter=size&lang=en&currency=eur&view=grid";
    const char *agent = width < 200 ? "" : " \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"";
    char head[128], tail[160];
    size_t head_size = (size_t)snprintf(
        head, sizeof(head), "10.%u.%u.%u - - [23/Nov/2026:20:%02u:%02u +0000] \"%s ", draw(state, 256),
        draw(state, 256), draw(state, 256), draw(state, 60), draw(state, 60), methods[draw(state, 5)]);
    size_t tail_size = (size_t)snprintf(tail, sizeof(tail), " HTTP/1.1\" %d %u%s \"id=0000000000\"\n",
                                        statuses[draw(state, 8)], draw(state, 100000), agent);

    memcpy(line, head, head_size);
    for (size_t i = head_size; i < width - tail_size; i++)
        line[i] = path[(i - head_size) % (sizeof(path) - 1)];
    memcpy(line + width - tail_size, tail, tail_size);
}

static void number_lines(struct log *log, size_t lines)
{
    for (size_t i = 0; i < lines; i++) {
        uint64_t n = log->written + i;
        char *last = log->block + i * log->width + log->width - 3;
        for (int digit = 0; digit < 10; digit++, n /= 10)
            last[-digit] = (char)('0' + n % 10);
    }
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno != EINTR)
            return -errno;
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_lines(struct log *log, int fd, uint64_t lines)
{
    int rc = 0;

    while (lines && !rc) {
        size_t n = lines < TEMPLATES ? (size_t)lines : TEMPLATES;
        number_lines(log, n);
        rc = write_all(fd, log->block, n * log->width);
        log->written += n;
        lines -= n;
    }
    return rc;
}

static int write_file(struct log *log, const char *path, uint64_t lines)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int rc = fd < 0 ? -errno : write_lines(log, fd, lines);

    if (fd >= 0 && close(fd) < 0 && !rc)
        rc = -errno;
    return rc;
}

static int make_folder(const char *path)
{
    return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

static int write_files(struct log *log, const char *folder, uint64_t lines, unsigned files)
{
    char path[4096];
    int rc = make_folder(folder);

    for (unsigned i = 0; i < files && !rc; i++) {
        snprintf(path, sizeof(path), "%s/%04u", folder, i / 100);
        if (i % 100 == 0)
            rc = make_folder(path);
        snprintf(path, sizeof(path), "%s/%04u/%02u.log", folder, i / 100, i % 100);
        if (!rc)
            rc = write_file(log, path, lines * (i + 1) / files - lines * i / files);
    }
    return rc;
}

int main(int argc, char **argv)
{
    uint64_t size = argc > 2 ? parse_size(argv[1]) : 0;
    struct log log = {.width = argc > 3 ? strtoul(argv[3], NULL, 10) : 200};
    unsigned files = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    uint64_t state = 1, lines;
    int rc;

    if (!size || argc > 5 || log.width < NARROWEST || log.width > WIDEST || (argc > 4 && !files)) {
        fprintf(stderr, "usage: make_access_log SIZE FILE [WIDTH [FILES]]; WIDTH is %d to %d\n", NARROWEST,
                WIDEST);
        return 1;
    }
    lines = (size + log.width - 1) / log.width;
    log.block = malloc(TEMPLATES * log.width);
    if (!log.block)
        return 2;
    for (size_t i = 0; i < TEMPLATES; i++)
        make_line(log.block + i * log.width, log.width, &state);
    rc = files ? write_files(&log, argv[2], lines, files) : write_file(&log, argv[2], lines);
    if (rc)
        fprintf(stderr, "%s: %s\n", argv[2], strerror(-rc));
    free(log.block);
    return rc ? 2 : 0;
}
