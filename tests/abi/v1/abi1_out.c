/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An output as it was built against the first version's header: lines into a file, the odd chunks at once,
 * the even ones from a thread of its own, each third one only at the second time. It must work in every later
 * weir.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

_Static_assert(sizeof(struct weir_plugin) == 104, "this is not the first version's header");

struct lines_config {
    const char *path;
};

struct lines {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct lines_config *config;
    struct weir_metric *metric;
    int fd;
    uint64_t retried; /* the chunk that was sent back last */
    unsigned number;
    struct weir_chunk *later;
};

static int lines_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                        void **ret_self)
{
    struct lines *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    *l = (struct lines){.host = host, .instance = instance, .config = config, .fd = -1};
    l->metric = host->metric(instance, WEIR_GAUGE, "chunks", "Chunks.", NULL, NULL);
    *ret_self = l;
    return 0;
}

static int lines_start(void *self)
{
    struct lines *l = self;

    l->fd = open(l->config->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (l->fd >= 0)
        return 0;
    l->host->error(l->instance, "can't open %s", l->config->path);
    return -errno;
}

static int append(struct lines *l, const struct weir_chunk *chunk)
{
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value;
    int r;

    weir_cursor_init(&cursor, chunk->data, chunk->size);
    while ((r = weir_cursor_next(&cursor, &record)) > 0)
        if (weir_record_find(&record, "log", 3, &value) && value.type == WEIR_TYPE_STR &&
            (write(l->fd, value.data, value.size) < 0 || write(l->fd, "\n", 1) < 0))
            return WEIR_RETRY;
    return r < 0 ? WEIR_REJECTED : WEIR_DELIVERED;
}

static void *finish_later(void *data)
{
    struct lines *l = data;

    l->host->finish(l->instance, l->later, (enum weir_result)append(l, l->later));
    return NULL;
}

static int write_later(struct lines *l, struct weir_chunk *chunk)
{
    pthread_t thread;

    l->later = chunk;
    if (pthread_create(&thread, NULL, finish_later, l) != 0)
        return WEIR_RETRY;
    pthread_join(thread, NULL);
    return WEIR_LATER;
}

static int lines_write(void *self, struct weir_chunk *chunk)
{
    struct lines *l = self;

    l->host->metric_set(l->metric, ++l->number);
    if (chunk->struct_size < sizeof(*chunk) || !*chunk->tag || !chunk->topic || !*chunk->input)
        return WEIR_REJECTED;
    if (l->number % 3 == 0 && l->retried != chunk->id) {
        l->retried = chunk->id;
        if (l->host->wait(l->instance, -1, 0, 1000) == -ECANCELED)
            l->host->log(l->instance, WEIR_LOG_INFO, "told to give up");
        return WEIR_RETRY;
    }
    return l->number % 2 ? append(l, chunk) : write_later(l, chunk);
}

static void lines_stop(void *self)
{
    struct lines *l = self;

    l->host->stopped(l->instance);
}

static void lines_destroy(void *self)
{
    struct lines *l = self;

    if (l->fd >= 0)
        close(l->fd);
    free(l);
}

static const struct weir_option lines_options[] = {{.name = "path",
                                                    .alias = "file",
                                                    .type = WEIR_OPTION_PATH,
                                                    .flags = WEIR_OPTION_REQUIRED,
                                                    .offset = offsetof(struct lines_config, path),
                                                    .help = "the file"},
                                                   {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "abi1_out",
    .version = "1.0",
    .summary = "an output of the first version",
    .options = lines_options,
    .config_size = sizeof(struct lines_config),
    .create = lines_create,
    .start = lines_start,
    .write = lines_write,
    .stop = lines_stop,
    .destroy = lines_destroy,
};
