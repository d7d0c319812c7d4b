/* SPDX-License-Identifier: Apache-2.0 */
/* Which files there are to follow: the walk through the patterns, the watched directories, and one path at a
 * time. */
#ifndef TAIL_SCAN_H
#define TAIL_SCAN_H

#include "tail.h"

/* Walks through all patterns: begins what is new, and looks at whatever was not met again. */
void tail_walk(struct tail_instance *);
/* Compares one path that matches with what is followed there, and acts on the difference. */
void tail_look(struct tail_instance *, const char *path);
/*
 * Begins to follow known files that were renamed, out of the patterns too, while nobody looked. late: only
 * those with something to read, which was written after they were closed.
 */
void tail_search(struct tail_instance *, bool late);
/* Looks at everything that inotify does not cover. */
void tail_poll_all(struct tail_instance *);

#endif
