/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An input as it will be built for a later weir: its descriptor has more members than this weir knows, and
 * its option rows are longer. weir must load it and take only what it knows.
 */
#include <weir/plugin.h>

struct longer_option {
    struct weir_option base;
    const char *later;
};

struct longer_plugin {
    struct weir_plugin base;
    void (*later)(void);
};

static const struct longer_option options[] = {
    {{.name = "first", .type = WEIR_OPTION_INT, .def = "1"}, "x"},
    {{.name = "second", .type = WEIR_OPTION_INT, .offset = sizeof(int64_t), .def = "2"}, "y"},
    {{0}, NULL},
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

/* The header declares the symbol with the type of today. */
extern WEIR_EXPORT const struct longer_plugin newer __asm__("weir_plugin_descriptor");
const struct longer_plugin newer = {
    .base = {.struct_size = sizeof(struct longer_plugin),
             .abi_version = WEIR_ABI_VERSION,
             .option_size = sizeof(struct longer_option),
             .kind = WEIR_INPUT,
             .name = "newer",
             .options = &options[0].base,
             .config_size = 2 * sizeof(int64_t),
             .create = create,
             .destroy = destroy},
};
