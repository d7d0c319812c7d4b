/* SPDX-License-Identifier: Apache-2.0 */
/* out_reject: refuses every chunk whose tag matches, and appends the others' lines to a file. Output's
 * thread. */
#include <fnmatch.h>
#include <stdlib.h>
#include "lines.h"

struct reject_config {
    const char *path;
    const char *reject;
};

struct reject {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct reject_config *config;
    int fd;
};

static int reject_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                         void **ret_self)
{
    struct reject *reject = calloc(1, sizeof(*reject));

    if (!reject) {
        host->error(instance, "out of memory");
        return -ENOMEM;
    }
    reject->host = host;
    reject->instance = instance;
    reject->config = config;
    reject->fd = -1;
    *ret_self = reject;
    return 0;
}

static int reject_start(void *self)
{
    struct reject *reject = self;

    reject->fd = lines_open(reject->host, reject->instance, reject->config->path);
    return reject->fd < 0 ? reject->fd : 0;
}

static int reject_write(void *self, struct weir_chunk *chunk)
{
    struct reject *reject = self;

    if (fnmatch(reject->config->reject, chunk->tag, 0) == 0)
        return WEIR_REJECTED;
    return lines_append(reject->host, reject->instance, reject->fd, chunk);
}

static void reject_destroy(void *self)
{
    struct reject *reject = self;

    if (reject->fd >= 0)
        close(reject->fd);
    free(reject);
}

static const struct weir_option reject_options[] = {
    {.name = "path",
     .type = WEIR_OPTION_PATH,
     .flags = WEIR_OPTION_REQUIRED,
     .offset = offsetof(struct reject_config, path),
     .help = "the file that lines are appended to"},
    {.name = "reject",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct reject_config, reject),
     .def = "*",
     .help = "the tags whose chunks are refused, a pattern with * and ?"},
    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "reject",
    .version = "1.0",
    .summary = "a test output that refuses chunks",
    .options = reject_options,
    .config_size = sizeof(struct reject_config),
    .create = reject_create,
    .start = reject_start,
    .write = reject_write,
    .destroy = reject_destroy,
};
