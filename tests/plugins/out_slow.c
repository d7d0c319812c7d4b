/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_slow: appends lines to a file, after a pause for each chunk that it makes in host->wait, so that it can
 * be stopped in it; and, where it is asked to, after one before it has started. All on the output's thread.
 */
#include <stdlib.h>
#include "lines.h"

struct slow_config {
    const char *path;
    uint64_t delay, start_delay;
};

struct slow {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct slow_config *config;
    int fd;
};

static int slow_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                       void **ret_self)
{
    struct slow *slow = calloc(1, sizeof(*slow));

    if (!slow) {
        host->error(instance, "out of memory");
        return -ENOMEM;
    }
    slow->host = host;
    slow->instance = instance;
    slow->config = config;
    slow->fd = -1;
    *ret_self = slow;
    return 0;
}

static int slow_start(void *self)
{
    struct slow *slow = self;
    uint64_t delay = slow->config->start_delay;

    if (delay && slow->host->wait(slow->instance, -1, 0, delay) == -ECANCELED)
        return -ECANCELED;
    slow->fd = lines_open(slow->host, slow->instance, slow->config->path);
    return slow->fd < 0 ? slow->fd : 0;
}

static int slow_write(void *self, struct weir_chunk *chunk)
{
    struct slow *slow = self;

    if (slow->host->wait(slow->instance, -1, 0, slow->config->delay) == -ECANCELED)
        return WEIR_RETRY;
    return lines_append(slow->host, slow->instance, slow->fd, chunk);
}

static void slow_destroy(void *self)
{
    struct slow *slow = self;

    if (slow->fd >= 0)
        close(slow->fd);
    free(slow);
}

static const struct weir_option slow_options[] = {{.name = "path",
                                                   .type = WEIR_OPTION_PATH,
                                                   .flags = WEIR_OPTION_REQUIRED,
                                                   .offset = offsetof(struct slow_config, path),
                                                   .help = "the file that lines are appended to"},
                                                  {.name = "delay",
                                                   .type = WEIR_OPTION_DURATION,
                                                   .offset = offsetof(struct slow_config, delay),
                                                   .def = "100ms",
                                                   .help = "the pause before each chunk"},
                                                  {.name = "start_delay",
                                                   .type = WEIR_OPTION_DURATION,
                                                   .offset = offsetof(struct slow_config, start_delay),
                                                   .help = "the pause before it has started"},
                                                  {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "slow",
    .version = "1.0",
    .summary = "a test output that takes its time",
    .options = slow_options,
    .config_size = sizeof(struct slow_config),
    .create = slow_create,
    .start = slow_start,
    .write = slow_write,
    .destroy = slow_destroy,
};
