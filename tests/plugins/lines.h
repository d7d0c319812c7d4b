/* SPDX-License-Identifier: Apache-2.0 */
/* What the test outputs share: a file that the `log` of each record is appended to, a line each. */
#ifndef TEST_LINES_H
#define TEST_LINES_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <weir/json.h>
#include <weir/plugin.h>

/* Opens the file, made where it is missing. The descriptor, or a negative errno after host->error. */
static inline int lines_open(const struct weir_host *host, struct weir_instance *instance, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    if (fd >= 0)
        return fd;
    fd = -errno;
    host->error(instance, "can't open %s: %s", path, strerror(errno));
    return fd;
}

/* Collects the lines of a chunk. 0, -ENOMEM, or -EINVAL: the chunk is malformed. */
static inline int lines_collect(struct weir_json *text, const struct weir_chunk *chunk)
{
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value;
    int got;

    weir_cursor_init(&cursor, chunk->data, chunk->size);
    while ((got = weir_cursor_next(&cursor, &record)) > 0) {
        if (!weir_record_find(&record, "log", 3, &value) || value.type != WEIR_TYPE_STR)
            continue;
        if (weir_json_text(text, value.data, value.size) || weir_json_text(text, "\n", 1))
            return -ENOMEM;
    }
    return got < 0 ? -EINVAL : 0;
}

/* All of it or nothing: what a failed write has left behind is cut off again. 0 or a negative errno. */
static inline int lines_write(int fd, const char *data, size_t size)
{
    off_t before = lseek(fd, 0, SEEK_END);
    ssize_t n;
    int rc = 0;

    while (size && !rc) {
        n = write(fd, data, size);
        if (n >= 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno != EINTR) {
            rc = -errno;
        }
    }
    if (rc && before >= 0 && ftruncate(fd, before) < 0)
        return -errno;
    return rc;
}

/* Appends the chunk's lines to the file; what became of the chunk, for `write` to return. */
static inline enum weir_result lines_append(const struct weir_host *host, struct weir_instance *instance,
                                            int fd, const struct weir_chunk *chunk)
{
    struct weir_json text = {0};
    int rc = lines_collect(&text, chunk);

    if (!rc)
        rc = lines_write(fd, text.data, text.size);
    weir_json_finish(&text);
    if (rc)
        host->log(instance, WEIR_LOG_ERROR, "chunk %llu can't be written: %s", (unsigned long long)chunk->id,
                  strerror(-rc));
    return rc == -EINVAL ? WEIR_REJECTED : rc ? WEIR_RETRY : WEIR_DELIVERED;
}

#endif
