/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a plugin file is whole, and whether its descriptor can be used. Control thread. */
#ifndef WEIR_CORE_PLUGIN_CHECK_H
#define WEIR_CORE_PLUGIN_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>

#define PLUGIN_SYMBOL "weir_plugin_descriptor"
enum { PLUGIN_LONGEST_NAME = 32 };

/*
 * The end of the last byte that the file's program headers want; 0: it is no ELF file of this machine's kind;
 * UINT64_MAX: the headers themselves are not all there.
 */
uint64_t plugin_wanted_size(int fd);

/*
 * Copies into *ret, which is all zero before, as much of a descriptor as this weir knows. `real`: how many
 * bytes the file has there, SIZE_MAX where that is not known. NULL where the copy can be used, else why not,
 * which begins with `path` and is the caller's to free.
 */
char *plugin_check_descriptor(const char *path, const struct weir_plugin *theirs, size_t real,
                              struct weir_plugin *ret);

#endif
