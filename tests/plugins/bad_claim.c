/* SPDX-License-Identifier: Apache-2.0 */
/* Its descriptor claims more bytes than it has. weir must refuse it. */
#include <weir/plugin.h>

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
    (uint32_t)sizeof(struct weir_plugin) + 4096,
    WEIR_ABI_VERSION,
    (uint32_t)sizeof(struct weir_option),
    .version = "1",
    .create = create,
    .destroy = destroy,
    .kind = WEIR_INPUT,
    .name = "bad_claim",
};
