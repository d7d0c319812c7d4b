/* SPDX-License-Identifier: Apache-2.0 */
/* The whole of a write to a file that blocks. Any thread. */
#ifndef WEIR_CORE_WRITE_ALL_H
#define WEIR_CORE_WRITE_ALL_H

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/* 0, or a negative errno: part of it may be written then. */
static inline int write_all(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

#endif
