/* SPDX-License-Identifier: Apache-2.0 */
/* Its option table passes the loader, and is not what anybody can have meant: check-plugin says so. */
#include <weir/plugin.h>

struct config {
    int64_t number;
    const char *text;
};

static const struct weir_option options[] = {
    {.name = "number", .type = WEIR_OPTION_INT, .help = "Some number."},
    {.name = "text",
     .type = WEIR_OPTION_STRING,
     .flags = WEIR_OPTION_REQUIRED,
     .offset = offsetof(struct config, text),
     .def = "never used"},
    {.name = "match", .type = WEIR_OPTION_IGNORED, .help = "The host's own."},
    {0},
};

static int create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                  void **ret)
{
    (void)host, (void)instance, (void)config;
    *ret = NULL;
    return 0;
}

static int take(void *self, struct weir_chunk *chunk)
{
    (void)self, (void)chunk;
    return WEIR_DELIVERED;
}

static void destroy(void *self)
{
    (void)self;
}

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "odd_table",
    .options = options,
    .config_size = sizeof(struct config),
    .create = create,
    .write = take,
    .destroy = destroy,
};
