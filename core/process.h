/* SPDX-License-Identifier: Apache-2.0 */
/* What is set for the whole process before anything runs, and memory that it gives back. */
#ifndef WEIR_CORE_PROCESS_H
#define WEIR_CORE_PROCESS_H

/* malloc's thresholds, and as many descriptors as the system grants (the hard limit). */
void process_prepare(void); /* control thread, before any other */

/*
 * Gives back to the system what a burst of allocations of this thread has left free. Takes a millisecond, and
 * page faults when it is wanted again, so it is for what happens seldom. Any thread.
 */
void process_give_back(void);

#endif
