/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_later: takes chunks at once and finishes them later, in order, from a thread of its own, `delay` after
 * each was taken. `write` and `stop` run on the output's thread, later_run on ours; the lock guards
 * what they share. Owns its thread, its file, and the queue's nodes; the chunks stay weir's.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "lines.h"

struct later_config {
    const char *path;
    uint64_t delay;
};

struct taken {
    struct weir_chunk *chunk;
    struct timespec due; /* CLOCK_MONOTONIC */
    struct taken *next;
};

struct later {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct later_config *config;
    int fd;
    bool running; /* the thread is there; output's thread only */
    pthread_t thread;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct taken *first, **end;
    bool stopping;
    bool failed; /* until the queue is empty, everything is given back: order */
};

static int later_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                        void **ret_self)
{
    struct later *later = calloc(1, sizeof(*later));
    pthread_condattr_t attr;

    if (!later) {
        host->error(instance, "out of memory");
        return -ENOMEM;
    }
    later->host = host;
    later->instance = instance;
    later->config = config;
    later->fd = -1;
    later->end = &later->first;
    pthread_mutex_init(&later->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&later->changed, &attr);
    pthread_condattr_destroy(&attr);
    *ret_self = later;
    return 0;
}

/* With the lock: waits until the first chunk is due. NULL: stopping, and there is none. */
static struct taken *await_first(struct later *later)
{
    while (!later->first && !later->stopping)
        pthread_cond_wait(&later->changed, &later->lock);
    /* At the end nobody wants to wait for the sake of a test. */
    while (later->first && !later->stopping)
        if (pthread_cond_timedwait(&later->changed, &later->lock, &later->first->due) == ETIMEDOUT)
            break;
    return later->first;
}

/* With the lock. */
static void remove_first(struct later *later)
{
    struct taken *first = later->first;

    later->first = first->next;
    if (!later->first) {
        later->end = &later->first;
        later->failed = false;
    }
    free(first);
}

static void *later_run(void *data)
{
    struct later *later = data;
    struct taken *first;

    pthread_mutex_lock(&later->lock);
    while ((first = await_first(later))) {
        struct weir_chunk *chunk = first->chunk;
        bool failed = later->failed;
        enum weir_result result = WEIR_RETRY;

        pthread_mutex_unlock(&later->lock);
        if (!failed)
            result = lines_append(later->host, later->instance, later->fd, chunk);
        pthread_mutex_lock(&later->lock);
        later->failed = later->failed || result == WEIR_RETRY;
        remove_first(later);
        pthread_mutex_unlock(&later->lock);
        /* Without the lock: weir may write the next chunk before finish returns. */
        later->host->finish(later->instance, chunk, result);
        pthread_mutex_lock(&later->lock);
    }
    pthread_mutex_unlock(&later->lock);
    return NULL;
}

static int later_start(void *self)
{
    struct later *later = self;
    int rc;

    later->fd = lines_open(later->host, later->instance, later->config->path);
    if (later->fd < 0)
        return later->fd;
    rc = -pthread_create(&later->thread, NULL, later_run, later);
    if (rc)
        later->host->error(later->instance, "can't start a thread: %s", strerror(-rc));
    later->running = rc == 0;
    return rc;
}

static struct timespec due_after(uint64_t delay)
{
    struct timespec due;

    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += (time_t)(delay / 1000000000);
    due.tv_nsec += (long)(delay % 1000000000);
    if (due.tv_nsec >= 1000000000) {
        due.tv_sec++;
        due.tv_nsec -= 1000000000;
    }
    return due;
}

static int later_write(void *self, struct weir_chunk *chunk)
{
    struct later *later = self;
    struct taken *taken = malloc(sizeof(*taken));

    if (!taken)
        return WEIR_RETRY;
    *taken = (struct taken){chunk, due_after(later->config->delay), NULL};
    pthread_mutex_lock(&later->lock);
    *later->end = taken;
    later->end = &taken->next;
    pthread_cond_signal(&later->changed);
    pthread_mutex_unlock(&later->lock);
    return WEIR_LATER;
}

static void later_stop(void *self)
{
    struct later *later = self;

    pthread_mutex_lock(&later->lock);
    later->stopping = true;
    pthread_cond_signal(&later->changed);
    pthread_mutex_unlock(&later->lock);
    if (later->running)
        pthread_join(later->thread, NULL);
    later->running = false;
    later->host->stopped(later->instance);
}

static void later_destroy(void *self)
{
    struct later *later = self;

    if (later->fd >= 0)
        close(later->fd);
    pthread_cond_destroy(&later->changed);
    pthread_mutex_destroy(&later->lock);
    free(later);
}

static const struct weir_option later_options[] = {
    {.name = "path",
     .type = WEIR_OPTION_PATH,
     .flags = WEIR_OPTION_REQUIRED,
     .offset = offsetof(struct later_config, path),
     .help = "the file that lines are appended to"},
    {.name = "delay",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct later_config, delay),
     .def = "100ms",
     .help = "how long after it was taken a chunk is finished"},
    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "later",
    .version = "1.0",
    .summary = "a test output that finishes chunks later",
    .options = later_options,
    .config_size = sizeof(struct later_config),
    .create = later_create,
    .start = later_start,
    .write = later_write,
    .stop = later_stop,
    .destroy = later_destroy,
};
