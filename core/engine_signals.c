/* SPDX-License-Identifier: Apache-2.0 */
/* What a signal asks for: to stop, to read the configuration again, to open the log anew. Control thread. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "engine_private.h"
#include "log.h"
#include "reload.h"
#include "signals.h"

static void reopen_log(struct engine *e)
{
    int rc = log_open(e->service.log_file);

    if (rc < 0)
        log_error("engine", "SIGUSR1: can't open '%s': %s; the log goes on in the old file",
                  e->service.log_file, strerror(-rc));
    else if (e->service.log_file)
        log_info("engine", "SIGUSR1: the log file is opened anew");
}

static void on_signal(void *data, int fd, uint32_t events)
{
    struct engine *e = data;
    struct signalfd_siginfo info;

    (void)events;
    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            reload_ask(e->reload, NULL, NULL);
        else if (info.ssi_signo == SIGUSR1)
            reopen_log(e);
        else
            engine_terminate(e, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
    }
}

int engine_take_signals(struct engine *e)
{
    const sigset_t set = signals_block();

    e->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (e->signal_fd < 0)
        return -errno;
    e->signal_watch = loop_watch_add(e->control, e->signal_fd, EPOLLIN, on_signal, e);
    return e->signal_watch ? 0 : -errno;
}

void engine_leave_signals(struct engine *e)
{
    if (e->signal_watch)
        loop_watch_remove(e->signal_watch);
    if (e->signal_fd >= 0)
        close(e->signal_fd);
}
