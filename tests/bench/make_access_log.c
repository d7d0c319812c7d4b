/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_access_log SIZE FILE: writes a web server's access log of SIZE bytes (k, M, G: units of 1024), rounded
 * up to whole lines of 200 bytes. Every run writes the same bytes, and every line has a number of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE      200
#define TEMPLATES 1024
#define BLOCK     (TEMPLATES * LINE)

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

/* One line with its number left at zero, and its path as long as it takes to make 200 bytes. */
static void make_line(char *line, uint64_t *state)
{
    static const char *const methods[] = {"GET", "GET", "GET", "POST", "HEAD"};
    static const int statuses[] = {200, 200, 200, 200, 304, 404, 302, 500};
    static const char path[] =
        "/catalogue/products/summer/shoes/detail.html?session=8f14e45fceea167a5a36dedd4bea2543"
        "&page=2&sort=price&filter=size&lang=en&currency=eur&view=grid";
    char head[128], tail[160];
    int head_size = snprintf(head, sizeof(head), "10.%u.%u.%u - - [23/Nov/2026:20:%02u:%02u +0000] \"%s ",
                             draw(state, 256), draw(state, 256), draw(state, 256), draw(state, 60),
                             draw(state, 60), methods[draw(state, 5)]);
    int tail_size = snprintf(
        tail, sizeof(tail), " HTTP/1.1\" %d %u \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\" \"id=0000000000\"\n",
        statuses[draw(state, 8)], draw(state, 100000));

    memcpy(line, head, (size_t)head_size);
    memcpy(line + head_size, path, (size_t)(LINE - head_size - tail_size));
    memcpy(line + LINE - tail_size, tail, (size_t)tail_size);
}

static void number_lines(char *block, uint64_t first, size_t lines)
{
    for (size_t i = 0; i < lines; i++) {
        uint64_t n = first + i;
        char *last = block + i * LINE + LINE - 3;
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

static int write_log(int fd, uint64_t lines)
{
    static char block[BLOCK];
    uint64_t state = 1;
    int rc = 0;

    for (size_t i = 0; i < TEMPLATES; i++)
        make_line(block + i * LINE, &state);
    for (uint64_t done = 0; done < lines && !rc;) {
        size_t n = lines - done < TEMPLATES ? (size_t)(lines - done) : TEMPLATES;
        number_lines(block, done, n);
        rc = write_all(fd, block, n * LINE);
        done += n;
    }
    return rc;
}

int main(int argc, char **argv)
{
    uint64_t size = argc == 3 ? parse_size(argv[1]) : 0;
    int fd, rc;

    if (!size) {
        fprintf(stderr, "usage: make_access_log SIZE FILE, as in: make_access_log 1G /tmp/access.log\n");
        return 1;
    }
    fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    rc = fd < 0 ? -errno : write_log(fd, (size + LINE - 1) / LINE);
    if (fd >= 0 && close(fd) < 0 && !rc)
        rc = -errno;
    if (rc)
        fprintf(stderr, "%s: %s\n", argv[2], strerror(-rc));
    return rc ? 2 : 0;
}
