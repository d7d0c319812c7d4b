/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output as a descriptor that never holds the thread. A pipe or a terminal is opened once
 * more through /proc, because O_NONBLOCK belongs to the open file description, which is shared with whoever
 * started weir and with everything else that writes there. Output thread; owns the new descriptor.
 */
#include "sink.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigaddset(&set, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* The same pipe or terminal, opened anew; or fd itself, with care. */
static void open_again(struct sink *sink, int fd)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    sink->fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    sink->mode = SINK_NONBLOCK;
    if (sink->fd < 0) {
        sink->fd = fd;
        sink->mode = SINK_CAREFUL;
    }
}

int sink_open(struct sink *ret, int fd)
{
    struct sink sink = {.fd = fd, .mode = SINK_PLAIN};
    int flags = fcntl(fd, F_GETFL);
    struct stat st;

    if (flags < 0 || fstat(fd, &st) < 0)
        return -errno;
    if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH))
        return -EBADF;
    if (S_ISSOCK(st.st_mode))
        sink.mode = SINK_SOCKET;
    else if (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd)))
        open_again(&sink, fd);
    else if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
        return -EINVAL;
    block_signals();
    *ret = sink;
    return 0;
}

void sink_close(struct sink *sink, int fd)
{
    if (sink->fd >= 0 && sink->fd != fd)
        close(sink->fd);
    sink->fd = -1;
}

bool sink_waits_first(const struct sink *sink)
{
    return sink->mode == SINK_CAREFUL;
}

ssize_t sink_write(const struct sink *sink, const void *data, size_t size)
{
    ssize_t n;

    /* A pipe that poll calls writable has room for this much. */
    if (sink->mode == SINK_CAREFUL && size > PIPE_BUF)
        size = PIPE_BUF;
    do {
        n = sink->mode == SINK_SOCKET ? send(sink->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                                      : write(sink->fd, data, size);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}
