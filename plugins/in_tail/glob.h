/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path patterns: wildcards in any component, `**` for any number of directories. Finds what matches, and
 * says which directories must be watched so that whatever will match later is noticed. Holds no watches
 * itself.
 */
#ifndef TAIL_GLOB_H
#define TAIL_GLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>

struct tail_glob; /* the patterns and excludes of one instance */

/*
 * Relative patterns are taken from the working directory. Excludes are compared with the whole path, `*`
 * matching slashes too; one without a slash also with the name alone. Both lists must outlive it. NULL and
 * errno: ENOMEM, EINVAL for an empty pattern.
 */
struct tail_glob *tail_glob_create(const struct weir_list *paths, const struct weir_list *excludes);
void tail_glob_destroy(struct tail_glob *); /* takes NULL */

enum tail_glob_match {
    TAIL_NO_MATCH = 0,
    TAIL_IS_FILE = 1, /* a file of that name is to be followed */
    TAIL_IS_WAY = 2   /* a directory (or a link to one) of that name leads to files; may be both */
};
/* What a path that need not exist would be. Names that begin with a dot are matched by a dot only. */
int tail_glob_match(const struct tail_glob *, const char *path);

/* What a directory must be watched for. */
enum tail_glob_need {
    TAIL_NEED_SELF = 1, /* that it is moved or removed */
    TAIL_NEED_NAMES = 2 /* names that come and go in it */
};

struct tail_glob_visitor {
    /* Called for a directory before it is looked at; may be called again with other needs. */
    void (*directory)(void *data, const char *path, int need);
    /* A name that matches and is not excluded. ino and type (DT_…) as in dirent; 0: not known. */
    void (*file)(void *data, const char *path, uint64_t ino, unsigned char type);
    /* A directory that is there but can't be read: what is in it is not known. */
    void (*unreadable)(void *data, const char *path, int error);
    void *data;
};
void tail_glob_walk(const struct tail_glob *, const struct tail_glob_visitor *);

#endif
