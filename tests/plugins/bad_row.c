/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of its option table are too small. weir must refuse it. */
#include <weir/plugin.h>

static const struct weir_option options[] = {
    {.name = "near", .type = WEIR_OPTION_INT},
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
    (uint32_t)sizeof(struct weir_plugin),
    WEIR_ABI_VERSION,
    8,
    .version = "1",
    .create = create,
    .destroy = destroy,
    .kind = WEIR_INPUT,
    .name = "bad_row",
    .options = options,
    .config_size = 8,
};
