/* SPDX-License-Identifier: Apache-2.0 */
/* The default of an option is no value of its type. weir must refuse it. */
#include <weir/plugin.h>

static const struct weir_option options[] = {
    {.name = "number", .type = WEIR_OPTION_INT, .def = "many"},
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
    WEIR_ABI,           .version = "1",        .create = create,   .destroy = destroy,
    .kind = WEIR_INPUT, .name = "bad_default", .options = options, .config_size = 8,
};
