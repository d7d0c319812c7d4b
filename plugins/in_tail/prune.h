/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions of files that are long gone. A file is gone where its inode was neither at its path nor in its
 * directory, though all of that directory could be read, on the file system that the file was on; or where
 * the directory is gone itself. What can't be seen (no permission, not mounted, no descriptors) is not gone.
 * After forget_after its position is dropped.
 */
#ifndef TAIL_PRUNE_H
#define TAIL_PRUNE_H

#include "tail.h"

struct tail_prune;

/* Right after a search, whose findings it goes by. NULL: it is not time yet, or no memory. */
struct tail_prune *tail_prune_begin(struct tail_instance *);
/* Goes on until tail_hub_enough. True: that was all. */
bool tail_prune_step(struct tail_prune *);
void tail_prune_destroy(struct tail_prune *); /* takes NULL */

#endif
