/* SPDX-License-Identifier: Apache-2.0 */
/* allow_path, as far as a path alone tells; in_tail compares again, with what was opened. Any thread. */
#ifndef ETCD_ALLOW_H
#define ETCD_ALLOW_H

#include <stdbool.h>
#include <weir/plugin.h>

/*
 * Whether a path, or a pattern of paths, may lead to a file that one of the patterns allows: * ? [] within a
 * component, ** for any number of directories. No patterns: yes.
 */
bool etcd_allows(const struct weir_list *patterns, const char *path);

#endif
