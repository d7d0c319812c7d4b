/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges what a plugin file is made of, from bytes that anybody may have written: how long it must be, and
 * whether its descriptor can be used. Calls nothing of the plugin. Owns nothing; control thread.
 */
#include "plugin_check.h"

#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "option.h"
#include "plugin_file.h"

enum { LARGEST_ROW = 4096 }; /* bytes of an option's, in whatever version */

/* What a descriptor of version 1 had: all up to and with destroy. */
static const size_t smallest_plugin = offsetof(struct weir_plugin, destroy) + sizeof(void (*)(void *));

uint64_t plugin_wanted_size(int fd)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) part;
    uint64_t size = 0;
    if (pread(fd, &head, sizeof head, 0) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_phentsize != sizeof part)
        return 0;
    for (unsigned i = 0; i < head.e_phnum; i++) {
        uint64_t end;
        if (__builtin_add_overflow(head.e_phoff, (uint64_t)i * sizeof part, &end) || end > INT64_MAX ||
            pread(fd, &part, sizeof part, (off_t)end) != sizeof part ||
            __builtin_add_overflow(part.p_offset, part.p_filesz, &end))
            return UINT64_MAX;
        if (part.p_type == PT_LOAD && end > size)
            size = end;
    }
    return size;
}

static char *check_size(const char *path, const struct weir_plugin *theirs, size_t real)
{
    if (real < 3 * sizeof(uint32_t) || (real < smallest_plugin && real < theirs->struct_size))
        return plugin_message("%s: is no weir plugin: its %s has only %zu bytes", path, PLUGIN_SYMBOL, real);
    if (theirs->abi_version != WEIR_ABI_VERSION)
        return plugin_message("%s: is built for version %u of the plugin interface, this weir has version %u",
                              path, theirs->abi_version, WEIR_ABI_VERSION);
    if (theirs->struct_size < smallest_plugin)
        return plugin_message(
            "%s: its descriptor is too small: %u bytes, where %zu are the least (is WEIR_ABI first "
            "in it?)",
            path, theirs->struct_size, smallest_plugin);
    if (theirs->struct_size > real)
        return plugin_message("%s: its descriptor claims %u bytes and has %zu", path, theirs->struct_size,
                              real);
    return NULL;
}

/* An input without resume is one that begins no chunks, such as a source of configuration. */
static const char *missing_callback(const struct weir_plugin *api)
{
    if (!api->create)
        return "create";
    if (!api->destroy)
        return "destroy";
    if (api->kind == WEIR_OUTPUT && !api->write)
        return "write";
    return NULL;
}

static char *check_options(const char *path, const struct weir_plugin *api)
{
    if (!api->options)
        return NULL;
    if (api->option_size < option_smallest_row())
        return plugin_message(
            "%s: the rows of its option table are too small: %u bytes, where %zu are the least", path,
            api->option_size, option_smallest_row());
    if (api->option_size > LARGEST_ROW)
        return plugin_message(
            "%s: the rows of its option table can't be right: %u bytes (is WEIR_ABI first in its descriptor?)",
            path, api->option_size);
    char *fault = option_check_table(api->options, api->option_size, api->config_size);
    char *error = fault ? plugin_message("%s: bad option table: %s", path, fault) : NULL;
    free(fault);
    return error;
}

static char *check_api(const char *path, const struct weir_plugin *api)
{
    const char *missing = missing_callback(api);
    if (api->kind != WEIR_INPUT && api->kind != WEIR_OUTPUT)
        return plugin_message("%s: is neither an input nor an output (kind %d)", path, (int)api->kind);
    if (!api->name || !plugin_is_name(api->name))
        return plugin_message("%s: its name is not of the form [a-z][a-z0-9_]*, at most %d long", path,
                              PLUGIN_LONGEST_NAME);
    if (missing)
        return plugin_message("%s: the %s '%s' lacks the callback '%s'", path, plugin_kind_name(api->kind),
                              api->name, missing);
    return check_options(path, api);
}

char *plugin_check_descriptor(const char *path, const struct weir_plugin *theirs, size_t real,
                              struct weir_plugin *ret)
{
    char *error = check_size(path, theirs, real);
    if (error)
        return error;
    memcpy(ret, theirs, theirs->struct_size < sizeof *ret ? theirs->struct_size : sizeof *ret);
    return check_api(path, ret);
}
