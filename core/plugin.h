/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding and loading plugins: dlopen, the check of the descriptor, and the registry of what was
 * loaded. Control thread.
 */
#ifndef WEIR_CORE_PLUGIN_H
#define WEIR_CORE_PLUGIN_H

#include <stdio.h>
#include <weir/plugin.h>
#include "problem.h"

/* A loaded plugin: the descriptor as this weir knows it, whatever the file's own size of it is. */
struct plugin {
    struct weir_plugin api; /* a copy; members that the file's descriptor lacks are zero */
    char *path;
    void *handle; /* dlopen's */
};

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

/*
 * Loads one file. Refused, with the exact reason in *ret_error (caller frees), where it can't be opened, can
 * be written to by others, is no shared object, has no descriptor, another ABI version, too small a struct, a
 * missing callback, a bad option table, or the name of one that is there already. NULL then.
 */
const struct plugin *registry_load(struct registry *, const char *path, char **ret_error);

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

/* Closes everything. No instance may be left. Takes NULL. */
void registry_destroy(struct registry *);

#endif
