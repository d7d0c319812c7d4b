/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An output built against a header of the future (newer.cmake): its descriptor has a callback and its options
 * have a member that this weir does not know, and it would use a function of the host that this weir does not
 * have. It must load and work, and do without.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

struct newer_config {
    const char *path;
    int64_t second;
};

struct newer {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct newer_config *config;
    int fd;
};

static int newer_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                        void **ret_self)
{
    struct newer *n = calloc(1, sizeof(*n));

    if (!n)
        return -ENOMEM;
    *n = (struct newer){.host = host, .instance = instance, .config = config, .fd = -1};
    if (n->config->second != 2) { /* rows of another length were not read as such */
        free(n);
        host->error(instance, "the second option has no default");
        return -EINVAL;
    }
    if (WEIR_HAS(host, future))
        host->future(instance);
    else
        host->log(instance, WEIR_LOG_INFO, "this weir has no future: doing without");
    *ret_self = n;
    return 0;
}

static int newer_start(void *self)
{
    struct newer *n = self;

    n->fd = open(n->config->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return n->fd < 0 ? -errno : 0;
}

static int newer_write(void *self, struct weir_chunk *chunk)
{
    struct newer *n = self;
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value;

    if (WEIR_HAS(chunk, future) && chunk->future)
        return WEIR_REJECTED;
    weir_cursor_init(&cursor, chunk->data, chunk->size);
    while (weir_cursor_next(&cursor, &record) > 0)
        if (weir_record_find(&record, "log", 3, &value) && value.type == WEIR_TYPE_STR &&
            (write(n->fd, value.data, value.size) < 0 || write(n->fd, "\n", 1) < 0))
            return WEIR_RETRY;
    return WEIR_DELIVERED;
}

static void newer_stop(void *self)
{
    struct newer *n = self;

    n->host->stopped(n->instance);
}

static void newer_destroy(void *self)
{
    struct newer *n = self;

    if (n->fd >= 0)
        close(n->fd);
    free(n);
}

/* A weir that calls this knows more than it should. */
static void newer_future(void *self)
{
    (void)self;
    abort();
}

static const struct weir_option newer_options[] = {{.name = "path",
                                                    .type = WEIR_OPTION_PATH,
                                                    .flags = WEIR_OPTION_REQUIRED,
                                                    .offset = offsetof(struct newer_config, path),
                                                    .help = "the file",
                                                    .future = "x"},
                                                   {.name = "second",
                                                    .type = WEIR_OPTION_INT,
                                                    .offset = offsetof(struct newer_config, second),
                                                    .def = "2",
                                                    .help = "a number",
                                                    .future = "y"},
                                                   {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "abi_newer_out",
    .version = "9.0",
    .summary = "an output of the future",
    .options = newer_options,
    .config_size = sizeof(struct newer_config),
    .create = newer_create,
    .start = newer_start,
    .write = newer_write,
    .stop = newer_stop,
    .destroy = newer_destroy,
    .future = newer_future,
};
