/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk through the patterns: finds what matches, and says which directories must be watched so that
 * whatever will match later is noticed. It stops where it is told and goes on from there, so that a hundred
 * thousand files hold nobody up. Holds no watches itself.
 */
#ifndef TAIL_WALK_H
#define TAIL_WALK_H

#include "glob.h"

/* What a directory must be watched for. */
enum tail_walk_need {
    TAIL_NEED_SELF = 1, /* that it is moved or removed */
    TAIL_NEED_NAMES = 2 /* names that come and go in it */
};

struct tail_walk_visitor {
    /*
     * Called for a directory before it is looked at; may be called again with other needs. name: the only one
     * in it that matters, a component that stays as long as the patterns live; NULL: any.
     */
    void (*directory)(void *data, const char *path, int need, const char *name);
    /*
     * A name that matches and is not excluded. ino and type (DT_…) as in dirent; 0: not known. False: not
     * now; the walk stops, and offers it again when it goes on.
     */
    bool (*file)(void *data, const char *path, uint64_t ino, unsigned char type);
    /* A directory that is there but can't be read: what is in it is not known. */
    void (*unreadable)(void *data, const char *path, int error);
    /* Asked after each name: whether the walk is to stop for now. */
    bool (*enough)(void *data);
    void *data;
};

struct tail_walk; /* one that is under way */

/* From the root or, where it is not NULL, only of what is in or below the directory `path`. NULL: no memory.
 */
struct tail_walk *tail_walk_create(const struct tail_glob *, const struct tail_walk_visitor *,
                                   const char *path);
/* Goes on. True: it is through. */
bool tail_walk_step(struct tail_walk *);
void tail_walk_destroy(struct tail_walk *); /* takes NULL */

#endif
