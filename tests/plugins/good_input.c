/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest input that weir loads: for the tests of plugin loading. */
#include <weir/plugin.h>

struct config {
    const char *path;
    int64_t number;
};

static const struct weir_option options[] = {
    {.name = "path", .type = WEIR_OPTION_PATH, .flags = WEIR_OPTION_REQUIRED, .help = "Some path."},
    {.name = "number",
     .alias = "count",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct config, number),
     .def = "3",
     .min = 1,
     .max = 9,
     .help = "Some number."},
    {0},
};

static int create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                  void **ret)
{
    (void)host, (void)instance, (void)config;
    *ret = NULL;
    return 0;
}

static void destroy(void *self)
{
    (void)self;
}

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "good",
    .version = "1.2",
    .summary = "Does nothing.",
    .options = options,
    .config_size = sizeof(struct config),
    .create = create,
    .destroy = destroy,
};
