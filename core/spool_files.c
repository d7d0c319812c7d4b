/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a spool: opening, reading, writing as a whole or not at all. No state, any thread. */
#include "spool_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weir/kill_point.h>

void spool_segment_name(char to[SPOOL_FILE_NAME], uint64_t first)
{
    snprintf(to, SPOOL_FILE_NAME, "%020" PRIu64 ".seg", first);
}

static int sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int rc = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

/* With its name on disk before anything in it counts. The one that it is in may be made here as well. */
static int make_folder(const char *path)
{
    char *above = strdup(path);

    if (!above)
        return -ENOMEM;
    *strrchr(above, '/') = '\0';
    int rc = mkdir(path, 0700) == 0 ? sync_folder(above) : errno == EEXIST ? 0 : -errno;
    free(above);
    return rc;
}

int spool_folder_open(const char *path)
{
    char *above = strdup(path);

    if (!above)
        return -ENOMEM;
    *strrchr(above, '/') = '\0';
    int rc = make_folder(above);
    free(above);
    if (rc == 0)
        rc = make_folder(path);
    if (rc < 0)
        return rc;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Whether it is a segment's name. */
static int number_of(const char *name, uint64_t *ret)
{
    char again[SPOOL_FILE_NAME];

    if (name[0] < '0' || name[0] > '9')
        return 0;
    errno = 0;
    *ret = strtoull(name, NULL, 10);
    spool_segment_name(again, *ret);
    return errno == 0 && !strcmp(again, name);
}

int spool_files_list(int folder, uint64_t **ret, size_t *ret_count)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    uint64_t *list = NULL, number;
    size_t count = 0;

    if (!dir)
        return -errno;
    for (struct dirent *d; rc == 0 && (d = readdir(dir));) {
        if (!number_of(d->d_name, &number))
            continue;
        uint64_t *more = reallocarray(list, count + 1, sizeof(*list));
        if (more) {
            list = more;
            list[count++] = number;
        } else {
            rc = -ENOMEM;
        }
    }
    closedir(dir);
    if (count)
        qsort(list, count, sizeof(*list), compare_numbers);
    *ret = list;
    *ret_count = count;
    return rc;
}

int spool_file_open(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? -errno : fd;
}

int spool_file_get(int fd, uint64_t at, uint8_t *data, size_t size)
{
    while (size) {
        ssize_t n = pread(fd, data, size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EBADMSG;
        data += n;
        size -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

int spool_file_read(int folder, const char *name, uint8_t **ret, size_t *ret_size)
{
    int fd = spool_file_open(folder, name);
    struct stat st;

    if (fd < 0)
        return fd;
    int rc = fstat(fd, &st) < 0 ? -errno : 0;
    size_t size = rc == 0 ? (size_t)st.st_size : 0;
    uint8_t *data = rc == 0 ? malloc(size + 1) : NULL;
    if (rc == 0)
        rc = data ? spool_file_get(fd, 0, data, size) : -ENOMEM;
    close(fd);
    if (rc < 0) {
        free(data);
        return rc;
    }
    *ret = data;
    *ret_size = size;
    return 0;
}

/* All of the parts, which are used up. */
static int write_parts(int fd, struct iovec *parts, int count)
{
    while (count) {
        ssize_t n = writev(fd, parts, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        for (; count && (size_t)n >= parts->iov_len; parts++, count--)
            n -= (ssize_t)parts->iov_len;
        if (count) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int spool_file_append(int fd, uint64_t at, struct iovec *parts, int count)
{
    int rc = write_parts(fd, parts, count);

    if (rc < 0 && ftruncate(fd, (off_t)at) < 0)
        return rc; /* what is torn is seen by its sum */
    return rc;
}

static int create(int folder, const char *name, int flags, const uint8_t *data, size_t size)
{
    struct iovec part = {(void *)data, size};
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

    if (fd < 0)
        return -errno;
    int rc = write_parts(fd, &part, 1);
    if (rc == 0)
        return fd;
    close(fd);
    unlinkat(folder, name, 0);
    return rc;
}

int spool_file_create(int folder, const char *name, const uint8_t *data, size_t size)
{
    return create(folder, name, O_EXCL, data, size);
}

int spool_file_cut(int folder, const char *name, uint64_t size)
{
    int fd = openat(folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

int spool_file_keep(int folder, const char *name, const uint8_t *data, size_t size)
{
    int fd = create(folder, name, O_EXCL, data, size);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

int spool_file_replace(int folder, const char *name, const uint8_t *data, size_t size)
{
    char other[SPOOL_FILE_NAME];

    snprintf(other, sizeof(other), "%s.new", name);
    int fd = create(folder, other, O_TRUNC, data, size);
    if (fd < 0)
        return fd;
    close(fd);
    WEIR_KILL_POINT("spool-acks");
    return renameat(folder, other, folder, name) < 0 ? -errno : 0;
}
