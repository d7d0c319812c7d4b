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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "code_range.h"
#include "plugin_check.h"
#include "text.h"
#include "write_all.h"

enum { LARGEST_FILE = 1 << 30 };

static const char symbol[] = PLUGIN_SYMBOL;

char *plugin_message(const char *fmt, ...)
{
    va_list args;
    char *text;
    va_start(args, fmt);
    text = text_format(fmt, args);
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
    return !name[length] && name[0] >= 'a' && name[0] <= 'z' && length <= PLUGIN_LONGEST_NAME;
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

/* What is no ELF file at all is left to the dynamic linker to name. */
static char *check_whole(const char *path, int fd, off_t size)
{
    if (plugin_wanted_size(fd) <= (uint64_t)size)
        return NULL;
    return plugin_message("%s: is not whole: it ends after %lld bytes", path, (long long)size);
}

/* NULL where the opened file may be loaded, else why not. `path` is the file's real one. */
static char *check_file(const char *path, int fd, struct stat *ret)
{
    if (fstat(fd, ret) < 0)
        return plugin_message("%s: can't be opened: %s", path, strerror(errno));
    if (!S_ISREG(ret->st_mode))
        return plugin_message("%s: is no shared object: it is not a regular file", path);
    if (ret->st_mode & S_IWOTH)
        return plugin_message("%s: refused, since everybody may write to it: chmod o-w '%s'", path, path);
    if (ret->st_uid != 0 && ret->st_uid != geteuid())
        return plugin_message(
            "%s: refused, since it belongs to user %u, who is neither root nor the user that "
            "weir runs as: chown root '%s'",
            path, (unsigned)ret->st_uid, path);
    if (ret->st_size > LARGEST_FILE)
        return plugin_message("%s: is no plugin: it has more than %d MiB", path, LARGEST_FILE >> 20);
    char *error = check_directory(path);
    return error ? error : check_whole(path, fd, ret->st_size);
}

/* -- The copy -- */

static bool copy_bytes(int from, int to, off_t size)
{
    char block[64 << 10];
    off_t at = 0;
    while (at < size) {
        ssize_t n = pread(from, block, sizeof block, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || write_all(to, block, (size_t)n) < 0)
            return false;
        at += n;
    }
    return true;
}

static bool same_bytes(int a, int b, off_t size)
{
    char x[16 << 10], y[16 << 10];
    for (off_t at = 0; at < size;) {
        ssize_t n = pread(a, x, sizeof x, at);
        if (n <= 0 || pread(b, y, (size_t)n, at) != n || memcmp(x, y, (size_t)n) != 0)
            return false;
        at += n;
    }
    return true;
}

/* The file's bytes in memory that no path leads to, or -1. */
static int copy_file(const char *path, int fd, off_t size)
{
    const char *slash = strrchr(path, '/');
    int copy = memfd_create(slash ? slash + 1 : path, MFD_CLOEXEC);
    if (copy >= 0 && copy_bytes(fd, copy, size))
        return copy;
    if (copy >= 0)
        close(copy);
    return -1;
}

static struct plugin_stamp stamp_of(const struct stat *st)
{
    return (struct plugin_stamp){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/*
 * Whether plugins are loaded where they lie, for the sake of debuggers that look for a file by its name. Then
 * there is only ever one version of it.
 */
static bool in_place(void)
{
    const char *wish = secure_getenv("WEIR_PLUGIN_IN_PLACE");
    return wish && *wish;
}

/* Whether the file is still what that plugin was loaded from; one that was only touched is. */
static bool is_unchanged(struct plugin *p, int fd, const struct stat *st)
{
    struct plugin_stamp now = stamp_of(st), old = p->stamp;
    if (in_place() || (now.device == old.device && now.inode == old.inode && now.size == old.size &&
                       same_time(now.modified, old.modified) && same_time(now.changed, old.changed)))
        return true;
    if (now.size != old.size || p->file < 0 || !same_bytes(fd, p->file, now.size))
        return false;
    p->stamp = now;
    return true;
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

/* -- Opening -- */

/* dlerror's text without the name that was given to dlopen, which it usually begins with. */
static char *loader_error(const char *path, const char *name)
{
    const char *text = dlerror();
    size_t length = strlen(name);
    if (text && !strncmp(text, name, length) && !strncmp(text + length, ": ", 2))
        text += length + 2;
    return plugin_message("%s: can't be loaded: %s", path,
                          text ? text : "the dynamic linker does not say why");
}

static void *open_descriptor(int fd, char **ret_error, const char *path)
{
    char name[48];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        *ret_error = loader_error(path, name);
    return handle;
}

/*
 * Through a descriptor that stays open, so that its number, which is part of the name that the linker knows
 * the code by, is no other plugin's meanwhile. Where memory can't be executed, the file itself will do.
 */
static char *load(struct plugin *plugin, int fd)
{
    char *error = NULL;
    if (in_place()) {
        plugin->handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
        return plugin->handle ? NULL : loader_error(plugin->path, plugin->path);
    }
    plugin->file = copy_file(plugin->path, fd, plugin->stamp.size);
    if (plugin->file >= 0)
        plugin->handle = open_descriptor(plugin->file, &error, plugin->path);
    if (plugin->handle)
        return NULL;
    if (plugin->file >= 0)
        close(plugin->file);
    free(error);
    error = NULL;
    plugin->file = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (plugin->file >= 0)
        plugin->handle = open_descriptor(plugin->file, &error, plugin->path);
    return plugin->handle ? NULL : error ? error : plugin_message("%s: can't be loaded", plugin->path);
}

/* Fills api from what the opened file defines. */
static char *read_descriptor(struct plugin *plugin)
{
    const struct weir_plugin *theirs = dlsym(plugin->handle, symbol);
    if (!theirs)
        return plugin_message("%s: is no weir plugin: it does not define %s", plugin->path, symbol);
    char *error = plugin_check_descriptor(plugin->path, theirs, size_of_symbol(theirs), &plugin->api);
    if (!error)
        code_range_add(theirs, plugin->api.name);
    return error;
}

/* Loads what `fd` is, or finds it loaded. */
static char *open_opened(struct plugin **plugin, int fd, struct plugin *const *former, size_t count)
{
    struct stat st;
    char *error = check_file((*plugin)->path, fd, &st);
    for (size_t i = 0; !error && i < count; i++) {
        if (strcmp(former[i]->path, (*plugin)->path) != 0 || !is_unchanged(former[i], fd, &st))
            continue;
        plugin_unref(*plugin);
        *plugin = former[i];
        (*plugin)->users++;
        return NULL;
    }
    (*plugin)->stamp = stamp_of(&st);
    if (!error)
        error = load(*plugin, fd);
    return error ? error : read_descriptor(*plugin);
}

static char *open_file(struct plugin **plugin, const char *path, struct plugin *const *former, size_t count)
{
    /* A bare name is a file here, not one that the linker searches for. */
    (*plugin)->path = realpath(path, NULL);
    int fd = (*plugin)->path ? open((*plugin)->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (fd < 0)
        return plugin_message("%s: can't be opened: %s", path, strerror(errno));
    char *error = open_opened(plugin, fd, former, count);
    close(fd);
    return error;
}

struct plugin *plugin_file_open(const char *path, struct plugin *const *former, size_t count,
                                char **ret_error)
{
    struct plugin *plugin = calloc(1, sizeof *plugin);
    if (!plugin) {
        *ret_error = plugin_message("%s: no memory", path);
        return NULL;
    }
    plugin->file = -1;
    plugin->users = 1;
    char *error = open_file(&plugin, path, former, count);
    if (!error)
        return plugin;
    *ret_error = error;
    plugin_unref(plugin);
    return NULL;
}

const struct plugin *plugin_ref(const struct plugin *plugin)
{
    ((struct plugin *)plugin)->users++;
    return plugin;
}

void plugin_unref(const struct plugin *shared)
{
    struct plugin *plugin = (struct plugin *)shared;
    if (!plugin || --plugin->users)
        return;
    if (plugin->handle) {
        code_range_remove(dlsym(plugin->handle, symbol));
        dlclose(plugin->handle);
    }
    if (plugin->file >= 0)
        close(plugin->file);
    free(plugin->path);
    free(plugin);
}
