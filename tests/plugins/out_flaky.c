/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_flaky: appends lines to a file, but asks for every chunk to be written again: `retries` times, and
 * besides at each `every`th write. All on the output's thread.
 */
#include <stdlib.h>
#include "lines.h"

struct flaky_config {
    const char *path;
    int64_t retries;
    int64_t every;
};

struct flaky {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct flaky_config *config;
    int fd;
    uint64_t chunk;  /* the one that was refused last */
    int64_t refused; /* how often it was */
    uint64_t writes;
};

static int flaky_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                        void **ret_self)
{
    struct flaky *flaky = calloc(1, sizeof(*flaky));

    if (!flaky) {
        host->error(instance, "out of memory");
        return -ENOMEM;
    }
    flaky->host = host;
    flaky->instance = instance;
    flaky->config = config;
    flaky->fd = -1;
    *ret_self = flaky;
    return 0;
}

static int flaky_start(void *self)
{
    struct flaky *flaky = self;

    flaky->fd = lines_open(flaky->host, flaky->instance, flaky->config->path);
    return flaky->fd < 0 ? flaky->fd : 0;
}

static int flaky_write(void *self, struct weir_chunk *chunk)
{
    struct flaky *flaky = self;

    flaky->writes++;
    if (flaky->chunk != chunk->id || flaky->writes == 1) {
        flaky->chunk = chunk->id;
        flaky->refused = 0;
    }
    if (flaky->refused < flaky->config->retries) {
        flaky->refused++;
        return WEIR_RETRY;
    }
    if (flaky->config->every && flaky->writes % (uint64_t)flaky->config->every == 0)
        return WEIR_RETRY;
    return lines_append(flaky->host, flaky->instance, flaky->fd, chunk);
}

static void flaky_destroy(void *self)
{
    struct flaky *flaky = self;

    if (flaky->fd >= 0)
        close(flaky->fd);
    free(flaky);
}

static const struct weir_option flaky_options[] = {
    {.name = "path",
     .type = WEIR_OPTION_PATH,
     .flags = WEIR_OPTION_REQUIRED,
     .offset = offsetof(struct flaky_config, path),
     .help = "the file that lines are appended to"},
    {.name = "retries",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct flaky_config, retries),
     .def = "1",
     .min = 0,
     .max = 1000000,
     .help = "how often each chunk is refused before it is taken"},
    {.name = "every",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct flaky_config, every),
     .def = "0",
     .min = 0,
     .max = 1000000,
     .help = "also refuses each so many-th write; 0: none (1 takes nothing, ever)"},
    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "flaky",
    .version = "1.0",
    .summary = "a test output that asks for retries",
    .options = flaky_options,
    .config_size = sizeof(struct flaky_config),
    .create = flaky_create,
    .start = flaky_start,
    .write = flaky_write,
    .destroy = flaky_destroy,
};
