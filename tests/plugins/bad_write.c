/* SPDX-License-Identifier: Apache-2.0 */
/* An output without write. weir must refuse it. */
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
    WEIR_ABI, .version = "1", .create = create, .destroy = destroy, .kind = WEIR_OUTPUT, .name = "bad_write",
};
