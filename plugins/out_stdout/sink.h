/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output as a place to write to without being stuck in write(2). Output thread. */
#ifndef OUT_STDOUT_SINK_H
#define OUT_STDOUT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum sink_mode {
    SINK_PLAIN,    /* a regular file, /dev/null: write, which does not wait for anybody */
    SINK_NONBLOCK, /* a pipe or a terminal, through a description of our own with O_NONBLOCK */
    SINK_SOCKET,
    SINK_CAREFUL /* a pipe or a terminal that could not be opened anew: little, and only when poll says so */
};

struct sink {
    int fd;
    enum sink_mode mode;
};

/*
 * Takes descriptor `fd` (1) as the sink. 0; -EBADF: it is not open, or not for writing; -EINVAL: it is
 * nothing that data can be written to. Also blocks SIGPIPE and SIGXFSZ in this thread, so that they arrive as
 * errors.
 */
int sink_open(struct sink *ret, int fd);
/* Closes what sink_open opened. An fd of -1 is none. */
void sink_close(struct sink *, int fd);

/* Whether the descriptor must be waited for before sink_write. */
bool sink_waits_first(const struct sink *);
/* Writes some of it. How much, or a negative errno; -EAGAIN: wait for POLLOUT. */
ssize_t sink_write(const struct sink *, const void *data, size_t size);

#endif
