/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories that the instances of one loop wait for something in. Each is watched once, with all on the
 * way to it, whoever needs it; an instance has a small need of each in which its names may appear.
 */
#ifndef TAIL_DIRS_H
#define TAIL_DIRS_H

#include "notify.h"
#include "tail.h"

struct tail_dirs; /* those of one loop; the hub has it */

struct tail_dirs *tail_dirs_create(void);   /* NULL: no memory */
void tail_dirs_destroy(struct tail_dirs *); /* nobody may need one any more; takes NULL */
/* Events were lost: what is watched may not be what the paths lead to. */
void tail_dirs_doubt(struct tail_dirs *);

/* The walk comes through this directory, which must be watched for `need` (TAIL_NEED_…), as in walk.h. */
void tail_dirs_need(struct tail_instance *, const char *path, int need, const char *name);
/* A followed path may be a link: it changes also when something happens where it leads; those directories are
 * watched. */
void tail_dirs_follow(struct tail_instance *, const char *path);
/* Drops the needs of those that the last walk did not come through. */
void tail_dirs_sweep(struct tail_instance *);
/* Drops all needs. */
void tail_dirs_clear(struct tail_instance *);
/* Whether there are any that inotify does not cover. */
bool tail_dirs_polled(const struct tail_instance *);
/* Looks at those; a change leads to a walk. */
void tail_dirs_poll(struct tail_instance *);

#endif
