/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is to write to standard output: all instances in the process write there, and a line of one
 * must not end up inside a line of another. Output threads.
 *
 * A turn lasts for whole lines. An instance that had to give up within a line keeps its turn, and the others
 * wait, until it has written the rest or is destroyed; then what it has left must be ended by whoever comes.
 * Waiting is done in host->wait, so it ends when weir does.
 */
#ifndef OUT_STDOUT_TURN_H
#define OUT_STDOUT_TURN_H

#include <weir/plugin.h>

/* An instance begins and ends to exist. turn_join: 0 or a negative errno. Any thread. */
int turn_join(void);
void turn_leave(const void *self);

/* Waits until it is self's turn; at once if it is. 0, or what host->wait returned (-ECANCELED). */
int turn_take(const void *self, const struct weir_host *, struct weir_instance *);
/* Ends self's turn, if it has it. */
void turn_pass(const void *self);

/* In its turn. What it has written last; within a line: not all of it. */
void turn_wrote(const void *self, bool within_line);
/*
 * In its turn. Whether there is half a line whose rest never comes, since its instance is gone, or has
 * another chunk now. goes_on: self writes the rest of what it has begun.
 */
bool turn_finds_half_a_line(const void *self, bool goes_on);

#endif
