/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one core of this machine can do at all, to hold weir against; one loop, no engine.
 *   ceiling newlines FILE…   reads the files and counts their newlines
 *   ceiling raw FILE…        reads, splits, makes records, walks them, and writes the lines to standard
 * output ceiling json FILE…       the same, as JSON lines
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weir/json.h>

#define BLOCK ((size_t)256 * 1024)

enum mode { NEWLINES, RAW, JSON };

struct pass {
    enum mode mode;
    int fd;
    char *block; /* a torn line is carried to its beginning */
    size_t room, held;
    uint8_t *records;
    size_t size;
    struct weir_json text;
    struct weir_json_style style;
    unsigned long long lines;
};

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

static void write_all(const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(STDOUT_FILENO, data, size);
        if (n < 0 && errno != EINTR)
            die("standard output");
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

/* The lines of data, whole ones, as records. */
static void pack(struct pass *pass, const char *data, const char *end)
{
    struct timespec now;
    uint8_t *p = pass->records;

    clock_gettime(CLOCK_REALTIME, &now);
    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        p = weir_put_record(p, (uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, 1);
        p = weir_put_str(p, "log", 3);
        p = weir_put_str(p, data, (uint32_t)(newline - data));
        data = newline + 1;
        pass->lines++;
    }
    pass->size = (size_t)(p - pass->records);
}

static int put_raw(struct pass *pass, const struct weir_record *record)
{
    struct weir_value value;

    if (!weir_record_find(record, "log", 3, &value))
        return -EINVAL;
    return weir_json_text(&pass->text, value.data, value.size);
}

static void unpack(struct pass *pass)
{
    struct weir_cursor cursor;
    struct weir_record record;
    int rc = 0;

    pass->text.size = 0;
    weir_cursor_init(&cursor, pass->records, pass->size);
    while (!rc && weir_cursor_next(&cursor, &record) > 0) {
        rc = pass->mode == JSON ? weir_json_record(&pass->text, &pass->style, &record)
                                : put_raw(pass, &record);
        if (!rc)
            rc = weir_json_text(&pass->text, "\n", 1);
    }
    if (rc) {
        errno = -rc;
        die("record");
    }
    write_all(pass->text.data, pass->text.size);
}

static void count(struct pass *pass, const char *data, const char *end)
{
    while ((data = memchr(data, '\n', (size_t)(end - data)))) {
        data++;
        pass->lines++;
    }
}

/* A line longer than the block needs a larger one, and larger records: the head of one is below 32 bytes a
 * line. */
static void make_room(struct pass *pass)
{
    if (pass->held < pass->room)
        return;
    pass->room = pass->room ? pass->room * 2 : BLOCK;
    pass->block = realloc(pass->block, pass->room);
    free(pass->records);
    pass->records = malloc(pass->room * 32);
    if (!pass->block || !pass->records)
        die("memory");
}

static void run(struct pass *pass)
{
    ssize_t n;

    make_room(pass);
    while ((n = read(pass->fd, pass->block + pass->held, pass->room - pass->held)) > 0) {
        char *end = pass->block + pass->held + n;
        char *last = memrchr(pass->block + pass->held, '\n', (size_t)n);
        const char *whole = last ? last + 1 : pass->block;
        if (pass->mode == NEWLINES) {
            count(pass, pass->block, end);
            continue;
        }
        pack(pass, pass->block, whole);
        unpack(pass);
        pass->held = (size_t)(end - whole);
        memmove(pass->block, whole, pass->held);
        make_room(pass);
    }
    if (n < 0)
        die("read");
}

static void run_file(struct pass *pass, const char *path)
{
    pass->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (pass->fd < 0)
        die(path);
    run(pass);
    pass->held = 0;
    close(pass->fd);
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"newlines", "raw", "json"};
    struct pass pass = {0};
    int mode = 0;

    while (argc > 2 && mode < 3 && strcmp(argv[1], modes[mode]) != 0)
        mode++;
    if (argc < 3 || mode == 3) {
        fprintf(stderr, "usage: ceiling newlines|raw|json FILE…\n");
        return 1;
    }
    pass.mode = (enum mode)mode;
    if (weir_json_style_init(&pass.style, "date", WEIR_JSON_DATE_DOUBLE))
        die("memory");
    for (int i = 2; i < argc; i++)
        run_file(&pass, argv[i]);
    fprintf(stderr, "%llu lines\n", pass.lines);
    weir_json_style_finish(&pass.style);
    weir_json_finish(&pass.text);
    free(pass.records);
    free(pass.block);
    return 0;
}
