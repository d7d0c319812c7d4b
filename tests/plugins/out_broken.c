/* SPDX-License-Identifier: Apache-2.0 */
/* An output with the fault that its option names: check-plugin must find each, and nothing where there is
 * none. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weir/plugin.h>

enum fault {
    NONE,
    FINISHES_TWICE,
    FINISHES_AND_RETURNS,
    FINISHES_AFTER_DESTROY,
    FINISHES_AFTER_STOPPED,
    LEAKS_DESCRIPTOR,
    LEAKS_MEMORY,
    LEAKS_THREAD,
    WRONG_THREAD,
    IGNORES_STOP,
    HANGS_IN_STOP,
    HANGS_IN_WRITE,
    CRASHES_IN_WRITE,
    CRASHES_IN_DESTROY,
    EXITS,
    OPENS_IN_CREATE,
    NO_RESULT,
    REJECTS_LATE,
    SILENT_START,
    SILENT_CREATE,
    WAITS_FOR_EVER,
    OVERFLOWS_STACK,
    CRASHES_IN_THREAD
};

static const char *const faults[] = {"none",
                                     "finishes_twice",
                                     "finishes_and_returns",
                                     "finishes_after_destroy",
                                     "finishes_after_stopped",
                                     "leaks_descriptor",
                                     "leaks_memory",
                                     "leaks_thread",
                                     "wrong_thread",
                                     "ignores_stop",
                                     "hangs_in_stop",
                                     "hangs_in_write",
                                     "crashes_in_write",
                                     "crashes_in_destroy",
                                     "exits",
                                     "opens_in_create",
                                     "no_result",
                                     "rejects_late",
                                     "silent_start",
                                     "silent_create",
                                     "waits_for_ever",
                                     "overflows_stack",
                                     "crashes_in_thread",
                                     NULL};

struct broken_config {
    int fault;
};

struct broken {
    const struct weir_host *host;
    struct weir_instance *instance;
    enum fault fault;
    struct weir_chunk *chunk; /* the last one */
    int fd;
};

static void *volatile lost; /* so that no compiler sees that it is */
static int *volatile nowhere;

/* Deeper and deeper, with something to be done on the way back. */
static unsigned fall(unsigned depth)
{
    volatile char room[4096];

    room[depth % sizeof(room)] = (char)depth;
    return nowhere ? 0 : fall(depth + 1) + (unsigned)room[0]; /* which no compiler can know */
}

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static int broken_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                         void **ret_self)
{
    enum fault fault = (enum fault)((const struct broken_config *)config)->fault;
    struct broken *b;

    if (fault == SILENT_CREATE)
        return -EINVAL;
    b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    *b = (struct broken){.host = host, .instance = instance, .fault = fault, .fd = -1};
    if (fault == OPENS_IN_CREATE)
        b->fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    *ret_self = b;
    return 0;
}

static void *sleep_for_ever(void *data)
{
    pause();
    return data;
}

static int broken_start(void *self)
{
    struct broken *b = self;
    pthread_t thread;

    if (b->fault == SILENT_START)
        return -EIO;
    if (b->fault == LEAKS_DESCRIPTOR && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
        return 0;
    if (b->fault == LEAKS_MEMORY)
        lost = malloc(100);
    if (b->fault == LEAKS_THREAD && pthread_create(&thread, NULL, sleep_for_ever, NULL) == 0)
        pthread_detach(thread);
    return 0;
}

/* A thread of the plugin's own that asks for what only the output's thread may. */
static void *wait_elsewhere(void *data)
{
    struct broken *b = data;

    b->host->wait(b->instance, -1, 0, 1000);
    return NULL;
}

static void run_elsewhere(struct broken *b)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, wait_elsewhere, b) == 0)
        pthread_join(thread, NULL);
}

static void *crash(void *data)
{
    (void)data;
    *nowhere = 1;
    return NULL;
}

static int crash_in_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, crash, NULL) == 0)
        pthread_join(thread, NULL);
    return WEIR_DELIVERED;
}

static int broken_write(void *self, struct weir_chunk *chunk)
{
    struct broken *b = self;

    b->chunk = chunk;
    switch (b->fault) {
    case FINISHES_TWICE:
        b->host->finish(b->instance, chunk, WEIR_DELIVERED);
        b->host->finish(b->instance, chunk, WEIR_DELIVERED);
        return WEIR_LATER;
    case FINISHES_AND_RETURNS:
        b->host->finish(b->instance, chunk, WEIR_DELIVERED);
        return WEIR_DELIVERED;
    case FINISHES_AFTER_DESTROY:
    case FINISHES_AFTER_STOPPED:
        return WEIR_LATER;
    case WRONG_THREAD:
        run_elsewhere(b);
        return WEIR_DELIVERED;
    case HANGS_IN_WRITE:
        pause();
        return WEIR_DELIVERED;
    case WAITS_FOR_EVER: /* which is no fault: it gives up when it is told to */
        return b->host->wait(b->instance, -1, 0, UINT64_MAX) == -ECANCELED ? WEIR_RETRY : WEIR_DELIVERED;
    case CRASHES_IN_WRITE:
        *nowhere = 1;
        return WEIR_DELIVERED;
    case OVERFLOWS_STACK:
        return (int)fall(0);
    case CRASHES_IN_THREAD:
        return crash_in_thread();
    case EXITS:
        _exit(7);
    case NO_RESULT:
        return 42;
    case REJECTS_LATE:
        b->host->finish(b->instance, chunk, WEIR_DELIVERED);
        b->host->reject(b->instance, chunk, NULL, 0, 1, "too late");
        return WEIR_LATER;
    default:
        return WEIR_DELIVERED;
    }
}

static void broken_stop(void *self)
{
    struct broken *b = self;

    if (b->fault == IGNORES_STOP)
        return;
    if (b->fault == HANGS_IN_STOP)
        pause();
    b->host->stopped(b->instance);
    if (b->fault == FINISHES_AFTER_STOPPED && b->chunk)
        b->host->finish(b->instance, b->chunk, WEIR_DELIVERED);
}

/* As a library's own thread might that was not waited for. */
struct late {
    const struct weir_host *host;
    struct weir_instance *instance;
    struct weir_chunk *chunk;
};

static void *finish_late(void *data)
{
    struct late late = *(struct late *)data;

    free(data);
    nap(20);
    late.host->finish(late.instance, late.chunk, WEIR_DELIVERED);
    return NULL;
}

static void leave_thread(const struct broken *b)
{
    struct late *late = malloc(sizeof(*late));
    pthread_t thread;

    if (!late)
        return;
    *late = (struct late){b->host, b->instance, b->chunk};
    if (pthread_create(&thread, NULL, finish_late, late) == 0)
        pthread_detach(thread);
}

static void broken_destroy(void *self)
{
    struct broken *b = self;

    if (b->fault == CRASHES_IN_DESTROY)
        abort();
    if (b->fault == FINISHES_AFTER_DESTROY && b->chunk)
        leave_thread(b);
    if (b->fd >= 0)
        close(b->fd);
    free(b);
}

static const struct weir_option broken_options[] = {{.name = "fault",
                                                     .type = WEIR_OPTION_CHOICE,
                                                     .offset = offsetof(struct broken_config, fault),
                                                     .def = "none",
                                                     .choices = faults,
                                                     .help = "what it does wrong"},
                                                    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "broken",
    .version = "1.0",
    .summary = "a test output with a fault",
    .options = broken_options,
    .config_size = sizeof(struct broken_config),
    .create = broken_create,
    .start = broken_start,
    .write = broken_write,
    .stop = broken_stop,
    .destroy = broken_destroy,
};
