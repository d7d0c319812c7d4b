/* SPDX-License-Identifier: 0BSD */
/*
 * out_batch: appends lines to a file and answers only when they are on the disk. fsync is slow and takes many
 * chunks as easily as one, so a thread of the plugin's own collects what has come meanwhile, writes it, syncs
 * once, and finishes all of it. `write` hands over and returns WEIR_LATER at once.
 *
 * Threads: create and destroy on weir's main thread, start, write and stop on the output's, batch_run on
 * ours. The lock guards the queue, which is all that they share. Chunks stay weir's until they are finished.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

enum { MOST_CHUNKS = 256 }; /* in a batch; write waits for the thread beyond that */

struct batch_config {
    const char *path;
};

struct batch {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct batch_config *config;
    int fd;
    int running; /* the thread is there; output's thread only */
    pthread_t thread;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct weir_chunk *waiting[MOST_CHUNKS];
    size_t count;
    int stopping;
};

static int batch_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                        void **ret_self)
{
    struct batch *b = calloc(1, sizeof(*b));

    if (!b) {
        host->error(instance, "no memory");
        return -ENOMEM;
    }
    b->host = host;
    b->instance = instance;
    b->config = config;
    b->fd = -1;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    *ret_self = b;
    return 0;
}

/* -- The thread -- */

struct text {
    char *data;
    size_t size, room;
};

static int add(struct text *t, const void *data, size_t size)
{
    if (t->room - t->size < size + 1) {
        size_t room = 2 * (t->size + size + 1);
        char *grown = realloc(t->data, room);
        if (!grown)
            return -ENOMEM;
        t->data = grown;
        t->room = room;
    }
    if (size)
        memcpy(t->data + t->size, data, size);
    t->data[t->size + size] = '\n';
    t->size += size + 1;
    return 0;
}

/* 0, -ENOMEM, -EINVAL. Of a chunk that is no good nothing is added. */
static int collect(struct text *t, const struct weir_chunk *chunk)
{
    size_t before = t->size;
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value;
    int r;

    weir_cursor_init(&cursor, chunk->data, chunk->size);
    while ((r = weir_cursor_next(&cursor, &record)) > 0)
        if (weir_record_find(&record, "log", 3, &value) && value.type == WEIR_TYPE_STR &&
            add(t, value.data, value.size)) {
            t->size = before;
            return -ENOMEM;
        }
    if (r < 0)
        t->size = before;
    return r < 0 ? -EINVAL : 0;
}

/* Writes and syncs, or leaves the file as it was. */
static int store(int fd, const struct text *t)
{
    off_t before = lseek(fd, 0, SEEK_END);
    size_t done = 0;
    int error = 0;

    while (done < t->size && !error) {
        ssize_t n = write(fd, t->data + done, t->size - done);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            error = errno;
    }
    if (!error && fdatasync(fd) < 0 && errno != EINVAL) /* a pipe has nothing to sync */
        error = errno;
    if (error && done && before >= 0 && ftruncate(fd, before) < 0)
        error = EIO;
    return -error;
}

/* Takes what waits; 0: it is time to end. */
static size_t take(struct batch *b, struct weir_chunk *chunks[MOST_CHUNKS])
{
    pthread_mutex_lock(&b->lock);
    while (!b->count && !b->stopping)
        pthread_cond_wait(&b->changed, &b->lock);
    size_t count = b->count;
    memcpy(chunks, b->waiting, count * sizeof(*chunks));
    b->count = 0;
    pthread_cond_signal(&b->changed); /* write may wait for room */
    pthread_mutex_unlock(&b->lock);
    return count;
}

static void *batch_run(void *data)
{
    struct batch *b = data;
    struct weir_chunk *chunks[MOST_CHUNKS];
    enum weir_result results[MOST_CHUNKS];
    struct text text = {NULL, 0, 0};
    size_t count;

    while ((count = take(b, chunks))) {
        int r = 0;
        text.size = 0;
        for (size_t k = 0; k < count && r == 0; k++) {
            int got = collect(&text, chunks[k]);
            results[k] = got == -EINVAL ? WEIR_REJECTED : WEIR_DELIVERED;
            r = got == -ENOMEM ? got : 0;
        }
        if (r == 0)
            r = store(b->fd, &text);
        if (r < 0)
            b->host->error(b->instance, "can't write to %s: %s", b->config->path, strerror(-r));
        else
            b->host->error(b->instance, NULL);
        /* Each exactly once, and not touched after. All or none, so that what comes back comes in order. */
        for (size_t k = 0; k < count; k++)
            b->host->finish(b->instance, chunks[k], r < 0 ? WEIR_RETRY : results[k]);
    }
    free(text.data);
    return NULL;
}

/* -- The output's thread -- */

static int batch_start(void *self)
{
    struct batch *b = self;
    int r;

    b->fd = open(b->config->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (b->fd < 0) {
        r = -errno;
        b->host->error(b->instance, "can't open %s: %s", b->config->path, strerror(-r));
        return r;
    }
    r = -pthread_create(&b->thread, NULL, batch_run, b);
    if (r < 0)
        b->host->error(b->instance, "can't start a thread: %s", strerror(-r));
    b->running = r == 0;
    return r;
}

static int batch_write(void *self, struct weir_chunk *chunk)
{
    struct batch *b = self;

    pthread_mutex_lock(&b->lock);
    while (b->count == MOST_CHUNKS) /* only as long as one batch takes */
        pthread_cond_wait(&b->changed, &b->lock);
    b->waiting[b->count++] = chunk;
    pthread_cond_signal(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return WEIR_LATER;
}

/* What waits is written and finished first; no thread of ours is left when host->stopped is called. */
static void batch_stop(void *self)
{
    struct batch *b = self;

    pthread_mutex_lock(&b->lock);
    b->stopping = 1;
    pthread_cond_signal(&b->changed);
    pthread_mutex_unlock(&b->lock);
    if (b->running)
        pthread_join(b->thread, NULL);
    b->running = 0;
    b->host->stopped(b->instance);
}

static void batch_destroy(void *self)
{
    struct batch *b = self;

    if (b->fd >= 0)
        close(b->fd);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static const struct weir_option batch_options[] = {{.name = "path",
                                                    .type = WEIR_OPTION_PATH,
                                                    .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_WRITES,
                                                    .offset = offsetof(struct batch_config, path),
                                                    .help = "the file that lines are appended to"},
                                                   {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "batch",
    .version = "1.0",
    .summary = "a file that is synced, once for many chunks",
    .options = batch_options,
    .config_size = sizeof(struct batch_config),
    .create = batch_create,
    .start = batch_start,
    .write = batch_write,
    .stop = batch_stop,
    .destroy = batch_destroy,
};
