/* SPDX-License-Identifier: Apache-2.0 */
/* Which files there are to follow: one path at a time, and everything, in slices. */
#ifndef TAIL_SCAN_H
#define TAIL_SCAN_H

#include "tail.h"

/* What is under way; made when there is something to look for. */
struct tail_scan;

/* All patterns are to be walked through, soon: what is new is begun, and whatever was not met is looked at.
 */
void tail_rescan(struct tail_instance *);
/* The same for what is in or below a directory that has just appeared. */
void tail_scan_way(struct tail_instance *, const char *path);
/* Known files that were renamed while nobody looked are to be found; late: those written to after they were
 * closed. */
void tail_scan_renamed(struct tail_instance *, bool late);
/* Everything that inotify does not cover is to be looked at. */
void tail_scan_polled(struct tail_instance *);

/* Goes on until tail_hub_enough. Returns whether something is left that can be done now. */
bool tail_scan_step(struct tail_instance *);
/* Whether something is left to look for, and whether it can be done now. */
bool tail_scan_waits(const struct tail_instance *);
bool tail_scan_due(const struct tail_instance *);
/* Whether the patterns are being walked through, or soon are. */
bool tail_scan_walks(const struct tail_instance *);
/* The file moves in the list of open files, or leaves it. */
void tail_scan_pass(struct tail_instance *, const struct tail_link *member);
/* Forgets what is under way. */
void tail_scan_clear(struct tail_instance *);

/*
 * Compares one path that matches with what is followed there, and acts on the difference. False: it must wait
 * until others are closed.
 */
bool tail_look(struct tail_instance *, const char *path);
/*
 * Whether one more file may be open. Where max_open_files is reached, one that has nothing new makes room;
 * where all have, this one waits until those are through. Rotated ones are kept beyond the limit.
 */
bool tail_has_room(struct tail_instance *);
/* open(2), with `more` flags: that a file is read is not noted in it, where weir may see to that. */
int tail_open(struct tail_instance *, const char *path, int more);
/* The same; EMFILE where one of the last descriptors, which are for others, would be used up. */
int tail_open_if_spared(struct tail_instance *, const char *path, int more);
/* The same; where descriptors have run out, a file that has nothing new makes room. */
int tail_open_somehow(struct tail_instance *, const char *path, int more);
/* Whether that errno says that there are no descriptors: then everything waits until there are. */
bool tail_refused(struct tail_instance *, int error);

#endif
