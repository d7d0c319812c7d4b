/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are closed because they have nothing new: being told when they have, and opening them again. */
#ifndef TAIL_PARKED_H
#define TAIL_PARKED_H

#include "tail.h"

struct tail_known;

/* The file is about to be closed, and goes on being watched, where that can be. */
void tail_parked_watch(struct tail_known *, struct tail_file *);
/* It was opened again just now: the watch is its own. */
void tail_parked_unwatch(struct tail_known *, struct tail_file *);
/* It is none of them any more. Takes one that never was. */
void tail_parked_end(struct tail_known *);
/* Gives up the watches of all. From now on the directories tell of them. False: there was none. */
bool tail_parked_spare(struct tail_instance *);

/* Whether their directories must tell that they were written to. */
bool tail_parked_by_dirs(const struct tail_instance *);
/* Whether some have news and may be opened now. */
bool tail_parked_due(const struct tail_instance *);
/* Opens some that have news, each in the place of one that has none. Returns how many it looked at. */
size_t tail_parked_open(struct tail_instance *);

#endif
