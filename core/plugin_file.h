/* SPDX-License-Identifier: Apache-2.0 */
/* One plugin file: whether it may be loaded, loading it, and whether its descriptor can be used. Control
 * thread. */
#ifndef WEIR_CORE_PLUGIN_FILE_H
#define WEIR_CORE_PLUGIN_FILE_H

#include "plugin.h"

/*
 * Loads a file, from a copy of its own: what happens to the file later is nothing to the code that runs, and
 * its next version can be loaded beside it. Where one of `former` has that path and the file has not changed,
 * it is that one. With a reference for the caller. NULL and the reason in *ret_error (the caller frees it;
 * NULL: no memory), which begins with the path.
 */
struct plugin *plugin_file_open(const char *path, struct plugin *const *former, size_t count,
                                char **ret_error);

/* "input" or "output" */
const char *plugin_kind_name(enum weir_kind);
/* Whether that can be a plugin's name: [a-z][a-z0-9_]*, at most 32. */
bool plugin_is_name(const char *);

/* A finished message, or NULL for want of memory. */
char *plugin_message(const char *fmt, ...) WEIR_PRINTF(1, 2);

#endif
