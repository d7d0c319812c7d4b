/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams to NOTIFY_SOCKET, never waited for. Whoever keeps calls that are posted to the input loops must
 * outlive these loops' threads.
 */
#include "supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "callback.h"
#include "log.h"
#include "loop.h"

/* One input loop. */
struct pulse {
    struct loop_call call;
    struct weir_loop *loop;
    atomic_bool out; /* on its way */
};

struct supervisor {
    int fd; /* -1: no manager */
    struct sockaddr_un address;
    socklen_t size;
    uint64_t interval;               /* ns between two signs of life; 0: none are wanted */
    struct weir_timer *timer, *look; /* signs of life; hangs */
    uint64_t limit;                  /* ns that a callback may take; 0: any */
    struct pulse *pulses;
    size_t count;
    bool silent; /* the log says so */
};

static void tell(struct supervisor *s, const char *format, ...) WEIR_PRINTF(2, 3);

static void tell(struct supervisor *s, const char *format, ...)
{
    char text[256];
    va_list arguments;

    if (s->fd < 0)
        return;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (sendto(s->fd, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&s->address,
               s->size) < 0)
        log_debug("engine", "NOTIFY_SOCKET: %s", strerror(errno));
}

/* -- Hangs ------------------------------------------------------------------------------------------ */

static void tell_hang(const char *alias, const char *what, uint64_t ns)
{
    log_error(
        *alias ? alias : "engine",
        "has not come back from its callback '%s' for %.1f s or more: what it holds up waits, and nothing is lost",
        what, (double)ns / 1e9);
}

static void on_look(void *data)
{
    struct supervisor *s = data;

    callback_watch(s->limit, tell_hang);
}

void supervisor_name_hangs(struct supervisor *s, uint64_t limit)
{
    uint64_t period = limit / 2 + (limit > 0);

    s->limit = limit;
    loop_timer_set(s->look, limit ? period : 0, limit ? period : 0);
}

/* -- The watchdog ----------------------------------------------------------------------------------- */

/* On an input loop. */
static void on_pulse(struct loop_call *call)
{
    struct pulse *p = LOOP_CALL_OF(call, struct pulse, call);

    atomic_store(&p->out, false);
}

static void on_timer(void *data)
{
    struct supervisor *s = data;
    size_t stuck = 0;

    for (size_t i = 0; i < s->count; i++)
        stuck += atomic_load(&s->pulses[i].out);
    if (stuck && !s->silent)
        log_error("engine",
                  "%zu of %zu input loops have not come round for %" PRIu64
                  " ms: the service manager is not told that weir is alive until they do",
                  stuck, s->count, s->interval / 1000000);
    s->silent = stuck > 0;
    if (stuck) /* the manager may not wait until service.watchdog does */
        callback_watch(s->interval, tell_hang);
    if (!stuck)
        tell(s, "WATCHDOG=1");
    for (size_t i = 0; i < s->count; i++)
        if (!atomic_exchange(&s->pulses[i].out, true))
            loop_post_call(s->pulses[i].loop, &s->pulses[i].call);
}

int supervisor_watch(struct supervisor *s, struct weir_loop *const *loops, size_t count)
{
    if (s->fd < 0 || !s->interval)
        return 0;
    s->pulses = calloc(count + 1, sizeof(*s->pulses));
    if (!s->pulses)
        return -ENOMEM;
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        s->pulses[i].loop = loops[i];
        s->pulses[i].call = (struct loop_call){.fn = on_pulse};
    }
    loop_timer_set(s->timer, s->interval, s->interval);
    return 0;
}

/* Twice in the manager's time, as it asks for. */
static uint64_t watchdog_interval(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (!usec || (pid && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    return strtoull(usec, NULL, 10) * 1000 / 2;
}

/* -- Life ------------------------------------------------------------------------------------------- */

static void connect_to(struct supervisor *s, const char *path)
{
    size_t length = strlen(path);

    if ((*path != '/' && *path != '@') || length >= sizeof(s->address.sun_path)) {
        log_warn("engine", "NOTIFY_SOCKET '%s' is neither an absolute path nor an abstract name", path);
        return;
    }
    s->address.sun_family = AF_UNIX;
    memcpy(s->address.sun_path, path, length + 1);
    s->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*path == '/'));
    if (*path == '@')
        s->address.sun_path[0] = '\0';
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        log_warn("engine", "NOTIFY_SOCKET: %s", strerror(errno));
}

struct supervisor *supervisor_create(struct weir_loop *control)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct supervisor *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->fd = -1;
    s->look = loop_timer_add(control, on_look, s);
    if (!s->look) {
        free(s);
        return NULL;
    }
    if (!path || !*path)
        return s;
    connect_to(s, path);
    s->interval = watchdog_interval();
    s->timer = loop_timer_add(control, on_timer, s);
    if (!s->timer) {
        supervisor_destroy(s);
        return NULL;
    }
    return s;
}

void supervisor_destroy(struct supervisor *s)
{
    if (!s)
        return;
    if (s->timer)
        loop_timer_remove(s->timer);
    loop_timer_remove(s->look);
    if (s->fd >= 0)
        close(s->fd);
    free(s->pulses);
    free(s);
}

/* -- What is told ----------------------------------------------------------------------------------- */

void supervisor_ready(struct supervisor *s, size_t inputs, size_t outputs)
{
    tell(s, "READY=1\nSTATUS=running, %zu inputs and %zu outputs", inputs, outputs);
}

void supervisor_reloading(struct supervisor *s)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    tell(s, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading",
         (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

void supervisor_stopping(struct supervisor *s)
{
    tell(s, "STOPPING=1\nSTATUS=stopping: what was read is delivered");
}
