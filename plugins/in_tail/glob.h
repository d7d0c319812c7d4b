/* SPDX-License-Identifier: Apache-2.0 */
/* Path patterns: wildcards in any component, `**` for any number of directories. */
#ifndef TAIL_GLOB_H
#define TAIL_GLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>

struct tail_glob; /* the patterns and excludes of one instance */

/*
 * Relative patterns are taken from the working directory. Excludes are compared with the whole path, `*`
 * matching slashes too; one without a slash also with the name alone; their list must outlive it. NULL and
 * errno: ENOMEM, EINVAL for an empty pattern, ENAMETOOLONG for one of more than 4,096 components.
 */
struct tail_glob *tail_glob_create(const struct weir_list *paths, const struct weir_list *excludes);
void tail_glob_destroy(struct tail_glob *); /* takes NULL */
/* The first pattern as it was written; whether it is the only one. */
const char *tail_glob_first(const struct tail_glob *);
bool tail_glob_is_one(const struct tail_glob *);

/* A component of a pattern is text that ends at a NUL or a slash. */
size_t tail_component_size(const char *component);
bool tail_component_is(const char *component, const char *name);

enum tail_glob_match {
    TAIL_NO_MATCH = 0,
    TAIL_IS_FILE = 1, /* a file of that name is to be followed */
    TAIL_IS_WAY = 2   /* a directory (or a link to one) of that name leads to files; may be both */
};
/* What a path that need not exist would be. Names that begin with a dot are matched by a dot only. */
int tail_glob_match(const struct tail_glob *, const char *path);

#endif
