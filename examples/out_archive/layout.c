/* SPDX-License-Identifier: 0BSD */
/* Prints the layout of what weir.rs describes, as the header has it. */
#include <stdio.h>
#include <weir/plugin.h>

#define SIZE(type)           printf(#type " %zu\n", sizeof(struct type))
#define MEMBER(type, member) printf(#type "." #member " %zu\n", offsetof(struct type, member))

static void option(void)
{
    SIZE(weir_option);
    MEMBER(weir_option, name);
    MEMBER(weir_option, alias);
    MEMBER(weir_option, type);
    MEMBER(weir_option, flags);
    MEMBER(weir_option, offset);
    MEMBER(weir_option, def);
    MEMBER(weir_option, min);
    MEMBER(weir_option, max);
    MEMBER(weir_option, choices);
    MEMBER(weir_option, help);
}

static void chunk(void)
{
    SIZE(weir_chunk);
    MEMBER(weir_chunk, struct_size);
    MEMBER(weir_chunk, records);
    MEMBER(weir_chunk, data);
    MEMBER(weir_chunk, size);
    MEMBER(weir_chunk, tag);
    MEMBER(weir_chunk, topic);
    MEMBER(weir_chunk, input);
    MEMBER(weir_chunk, id);
}

static void plugin(void)
{
    SIZE(weir_plugin);
    MEMBER(weir_plugin, struct_size);
    MEMBER(weir_plugin, abi_version);
    MEMBER(weir_plugin, option_size);
    MEMBER(weir_plugin, kind);
    MEMBER(weir_plugin, name);
    MEMBER(weir_plugin, version);
    MEMBER(weir_plugin, summary);
    MEMBER(weir_plugin, options);
    MEMBER(weir_plugin, config_size);
    MEMBER(weir_plugin, create);
    MEMBER(weir_plugin, start);
    MEMBER(weir_plugin, write);
    MEMBER(weir_plugin, resume);
    MEMBER(weir_plugin, stop);
    MEMBER(weir_plugin, destroy);
    MEMBER(weir_plugin, flags);
    MEMBER(weir_plugin, details);
    MEMBER(weir_plugin, series);
    MEMBER(weir_plugin, load);
    MEMBER(weir_plugin, retire);
}

static void host(void)
{
    MEMBER(weir_host, struct_size);
    MEMBER(weir_host, abi_version);
    MEMBER(weir_host, version);
    MEMBER(weir_host, log);
    MEMBER(weir_host, log_enabled);
    MEMBER(weir_host, error);
    MEMBER(weir_host, fail);
    MEMBER(weir_host, metric);
    MEMBER(weir_host, metric_add);
    MEMBER(weir_host, metric_set);
    MEMBER(weir_host, stopped);
}

int main(void)
{
    option();
    chunk();
    plugin();
    host();
    printf("numbers %u %d %d %d %d %d %d %d %d\n", WEIR_ABI_VERSION, WEIR_OUTPUT, WEIR_LOG_ERROR,
           WEIR_LOG_INFO, WEIR_OPTION_PATH, WEIR_OPTION_REQUIRED, WEIR_OPTION_WRITES, WEIR_DELIVERED,
           WEIR_RETRY);
    return 0;
}
