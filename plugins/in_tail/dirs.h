/* SPDX-License-Identifier: Apache-2.0 */
/* The watched directories of an instance. */
#ifndef TAIL_DIRS_H
#define TAIL_DIRS_H

#include "notify.h"
#include "tail.h"

/* The walk comes through this directory, which must be watched for `need` (TAIL_NEED_…), as in walk.h. */
void tail_dirs_need(struct tail_instance *, const char *path, int need, const char *name);
/* A followed path may be a link: it changes also when something happens where it leads; those directories are
 * watched. */
void tail_dirs_follow(struct tail_instance *, const char *path);
/* Drops those that the last walk did not come through. */
void tail_dirs_sweep(struct tail_instance *);
/* Drops all. */
void tail_dirs_clear(struct tail_instance *);
/* Looks at those that inotify does not cover; a change leads to a walk. */
void tail_dirs_poll(struct tail_instance *);

/*
 * Subscribes through the hub; `shown` is the path for messages, `name` as in notify.h. False: inotify does
 * not cover it, or not all of it, which was said: it must be polled. *ret_error: why, or 0.
 */
bool tail_subscribe(struct tail_instance *, struct tail_sub *, const char *path, const char *shown,
                    uint32_t events, const char *name, int *ret_error);
void tail_unsubscribe(struct tail_instance *, struct tail_sub *);

#endif
