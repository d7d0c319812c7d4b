/* SPDX-License-Identifier: Apache-2.0 */
/* Private to dirs.c and links.c: what an instance waits for in a directory. */
#ifndef TAIL_DIRS_PRIVATE_H
#define TAIL_DIRS_PRIVATE_H

#include "dirs.h"
#include "walk.h"

struct tail_dir;     /* a watched directory */
struct tail_link_to; /* links.c: a followed link that leads through one */
struct tail_polled;

/* One for each directory of an instance; ten thousand instances have one each, so it is small. */
struct tail_need {
    struct tail_table_node node; /* of the instance's; hash: path */
    struct tail_link of_dir;     /* among all needs of it */
    union {
        struct tail_link any;         /* among those who want any name */
        struct tail_table_node named; /* by the directory and `only` */
    };
    struct tail_instance *tail;
    struct tail_dir *dir;
    struct tail_link_to *links;
    const char *only;           /* the one name in it that matters, a component; NULL: any, or none yet */
    struct tail_polled *polled; /* what it was when last looked at; NULL: inotify covers it */
    uint32_t generation;        /* of the last walk that came through */
    uint8_t what;               /* TAIL_NEED_…, by that walk */
    bool listed;                /* names are told to it: of any name, unless `only` is set */
};

/* Of a link: the directory that a followed path leads through is needed for any name. NULL: no memory, which
 * leads to another try. */
struct tail_need *tail_need_any(struct tail_instance *, const char *path);

/* -- links.c -- */

/* Something happened to a name in the directory: followed links that lead through it are looked at. */
void tail_links_look(struct tail_need *, const char *name, bool modified);
/* Forgets those that the last walk did not come through; all: every one. */
void tail_links_sweep(struct tail_need *, bool all);

#endif
