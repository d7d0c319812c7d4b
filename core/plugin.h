/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding and loading plugins: dlopen, the check of the descriptor, and the registry of what was
 * loaded. Control thread.
 */
#ifndef WEIR_CORE_PLUGIN_H
#define WEIR_CORE_PLUGIN_H

#include <stdio.h>
#include <sys/types.h>
#include <time.h>
#include <weir/plugin.h>
#include "problem.h"

/* A loaded plugin: the descriptor as this weir knows it, whatever the file's own size of it is. */
struct plugin {
    struct weir_plugin api; /* a copy; members that the file's descriptor lacks are zero */
    char *path;
    void *handle; /* dlopen's */
    int file;     /* what it was loaded from, open as long as it is loaded; -1: its path */
    struct plugin_stamp {
        dev_t device;
        ino_t inode;
        off_t size;
        struct timespec modified, changed;
    } stamp;        /* of the file at its path when it was loaded */
    unsigned users; /* registries and instances */
};

/* One more, and one fewer, who uses it: the last one's going closes the code. Control thread. unref takes
 * NULL. */
const struct plugin *plugin_ref(const struct plugin *);
void plugin_unref(const struct plugin *);

/* Whether its records are of use only where an output takes them: an input that is no source. */
static inline bool plugin_needs_output(const struct plugin *p)
{
    return p->api.resume && !(p->api.flags & WEIR_PLUGIN_SOURCE);
}

struct registry; /* the loaded plugins of one process */

/*
 * `dirs` is a colon-separated list (NULL: none). Searched after WEIR_PLUGIN_PATH, and before the directory of
 * the running binary, its plugins/ folder and the installed place. Loads nothing yet. NULL: no memory.
 */
struct registry *registry_create(const char *dirs);
/* Calls fn for every directory that plugins are looked for in, whether it is there or not. */
void registry_each_dir(const struct registry *, void (*fn)(void *data, const char *path), void *data);

/*
 * Loads one file. Refused, with the exact reason in *ret_error (caller frees), where it can't be opened, can
 * be written to by others, is no shared object, has no descriptor, another ABI version, too small a struct, a
 * missing callback, a bad option table, or the name of one that is there already. NULL then.
 */
const struct plugin *registry_load(struct registry *, const char *path, char **ret_error);

/* The loaded ones, from 0 on; NULL after the last. */
const struct plugin *registry_at(const struct registry *, size_t index);

/*
 * The plugin of that kind and name: loaded already, or <dir>/in_NAME.so or out_NAME.so in the first directory
 * that has it. NULL and *ret_error, with the nearest known name where one is near.
 */
const struct plugin *registry_find(struct registry *, enum weir_kind, const char *name, char **ret_error);

/* Loads every plugin that the directories hold and prints a table of them; or the manual of those with that
 * name. 0 or -ENOENT. */
int registry_print(struct registry *, FILE *, const char *name);

/* Why registry_print did not find that name: a file that was refused, or the nearest name. The caller frees;
 * NULL: no memory. */
char *registry_why_not(struct registry *, const char *name);

/*
 * A registry for the next configuration, with directories of its own. A file that `former` has loaded, and
 * that is what it was, is that same plugin in both; one that has changed is loaded anew beside the old code.
 * NULL: no memory.
 */
struct registry *registry_renew(const struct registry *former, const char *dirs);
/* The former one is not looked at any more: what only it had is closed with it. */
void registry_settle(struct registry *);

/* Leaves it empty: another registry has taken over. What nobody else uses is closed. */
void registry_clear(struct registry *);

/* The same, and frees it. Takes NULL. */
void registry_destroy(struct registry *);

#endif
