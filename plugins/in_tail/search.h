/* SPDX-License-Identifier: Apache-2.0 */
/* The search for known files that were renamed, out of the patterns too, while nobody looked. */
#ifndef TAIL_SEARCH_H
#define TAIL_SEARCH_H

#include "tail.h"

struct tail_search; /* one that is under way */

/*
 * Looks through the directories in which known files were last seen, and begins to follow those that are
 * there under other names. late: only those with something to read, which was written after they were closed.
 * NULL: no memory.
 */
struct tail_search *tail_search_create(struct tail_instance *, bool late);
/* Goes on until tail_hub_enough. True: it is through. */
bool tail_search_step(struct tail_search *);
void tail_search_destroy(struct tail_search *); /* takes NULL */

/* The same for one path, of which an event tells. */
void tail_search_at(struct tail_instance *, const char *path);
/*
 * The same for the closed file of that stream, in the directory where it was last seen, which is read at one
 * go. True: it is followed, so the stream is no longer that of a closed file.
 */
bool tail_search_for(struct tail_instance *, const char *key);

#endif
