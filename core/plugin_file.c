/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens a plugin file and refuses, with the exact reason, what is none or can't be trusted. Owns the handle
 * and the copied descriptor of each plugin until it is closed. Control thread.
 */
#include "plugin_file.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <link.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "option.h"

enum { LONGEST_NAME = 32 };

static const char symbol[] = "weir_plugin_descriptor";

/* What a descriptor of version 1 had: all up to and with destroy. */
static const size_t smallest_plugin = offsetof(struct weir_plugin, destroy) + sizeof(void (*)(void *));

char *plugin_message(const char *fmt, ...)
{
    va_list args;
    char *text;
    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        text = NULL;
    va_end(args);
    return text;
}

const char *plugin_kind_name(enum weir_kind kind)
{
    return kind == WEIR_INPUT ? "input" : "output";
}

bool plugin_is_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return !name[length] && name[0] >= 'a' && name[0] <= 'z' && length <= LONGEST_NAME;
}

/* -- Trust: code that others can replace is code that others can run -- */

static char *check_directory(const char *path)
{
    struct stat st;
    char *copy = strdup(path);
    if (!copy)
        return plugin_message("%s: no memory", path);
    const char *directory = dirname(copy);
    char *error = NULL;
    if (stat(directory, &st) < 0)
        error = plugin_message("%s: can't look at its directory: %s", path, strerror(errno));
    else if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        error = plugin_message("%s: refused, since everybody may write to its directory: chmod o-w '%s'",
                               path, directory);
    free(copy);
    return error;
}

/* -- Wholeness: the dynamic linker crashes on a file that ends too early, as one that is being copied -- */

/* The end of the last byte that the file's program headers want, or 0 where they can't be read. */
static uint64_t wanted_size(int fd)
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

/* What is no ELF file at all is left to the dynamic linker to name. */
static char *check_whole(const char *path, off_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return plugin_message("%s: can't be opened: %s", path, strerror(errno));
    uint64_t wanted = wanted_size(fd);
    close(fd);
    if (wanted <= (uint64_t)size)
        return NULL;
    return plugin_message("%s: is not whole: it ends after %lld bytes", path, (long long)size);
}

/* NULL where the file may be loaded, else why not. `path` is the file's real one. */
static char *check_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return plugin_message("%s: can't be opened: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return plugin_message("%s: is no shared object: it is not a regular file", path);
    if (st.st_mode & S_IWOTH)
        return plugin_message("%s: refused, since everybody may write to it: chmod o-w '%s'", path, path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return plugin_message(
            "%s: refused, since it belongs to user %u, who is neither root nor the user that "
            "weir runs as: chown root '%s'",
            path, (unsigned)st.st_uid, path);
    char *error = check_directory(path);
    return error ? error : check_whole(path, st.st_size);
}

/* -- The descriptor -- */

/* How many bytes the file really has at the symbol, whatever the descriptor says; SIZE_MAX: not known. */
static size_t size_of_symbol(const void *address)
{
    Dl_info info;
    const ElfW(Sym) *entry = NULL;
    if (!dladdr1(address, &info, (void **)&entry, RTLD_DL_SYMENT) || !entry || !entry->st_size)
        return SIZE_MAX;
    return entry->st_size;
}

static char *check_size(const char *path, const struct weir_plugin *theirs)
{
    size_t real = size_of_symbol(theirs);
    if (real < 3 * sizeof(uint32_t) || (real < smallest_plugin && real < theirs->struct_size))
        return plugin_message("%s: is no weir plugin: its %s has only %zu bytes", path, symbol, real);
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
                              LONGEST_NAME);
    if (missing)
        return plugin_message("%s: the %s '%s' lacks the callback '%s'", path, plugin_kind_name(api->kind),
                              api->name, missing);
    return check_options(path, api);
}

/* -- Opening -- */

/* dlerror's text without the path, which it usually begins with. */
static char *loader_error(const char *path)
{
    const char *text = dlerror();
    size_t length = strlen(path);
    if (text && !strncmp(text, path, length) && !strncmp(text + length, ": ", 2))
        text += length + 2;
    return plugin_message("%s: can't be loaded: %s", path,
                          text ? text : "the dynamic linker does not say why");
}

/* Fills api from what the opened file defines. */
static char *read_descriptor(struct plugin *plugin)
{
    const struct weir_plugin *theirs = dlsym(plugin->handle, symbol);
    if (!theirs)
        return plugin_message("%s: is no weir plugin: it does not define %s", plugin->path, symbol);
    char *error = check_size(plugin->path, theirs);
    if (error)
        return error;
    size_t size = theirs->struct_size < sizeof plugin->api ? theirs->struct_size : sizeof plugin->api;
    memcpy(&plugin->api, theirs, size);
    return check_api(plugin->path, &plugin->api);
}

static char *open_file(struct plugin *plugin, const char *path)
{
    plugin->path =
        realpath(path, NULL); /* a bare name is a file here, not one that the linker searches for */
    if (!plugin->path)
        return plugin_message("%s: can't be opened: %s", path, strerror(errno));
    char *error = check_file(plugin->path);
    if (error)
        return error;
    plugin->handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
    return plugin->handle ? read_descriptor(plugin) : loader_error(plugin->path);
}

struct plugin *plugin_file_open(const char *path, char **ret_error)
{
    struct plugin *plugin = calloc(1, sizeof *plugin);
    if (!plugin) {
        *ret_error = plugin_message("%s: no memory", path);
        return NULL;
    }
    char *error = open_file(plugin, path);
    if (!error)
        return plugin;
    *ret_error = error;
    plugin_file_close(plugin);
    return NULL;
}

void plugin_file_close(struct plugin *plugin)
{
    if (!plugin)
        return;
    if (plugin->handle)
        dlclose(plugin->handle);
    free(plugin->path);
    free(plugin);
}
