/* SPDX-License-Identifier: Apache-2.0 */
/* What is set for the whole process before anything runs, and memory that it gives back. */
#ifndef WEIR_CORE_PROCESS_H
#define WEIR_CORE_PROCESS_H

/* malloc's thresholds, and as many descriptors as the system grants (the hard limit). */
void process_prepare(void); /* control thread, before any other */

/*
 * Much flows: what libraries free is kept for their next requests, up to 48 MB and in pieces of up to 16,
 * until process_give_back. With transactions all of librdkafka's records come and go ten times a second;
 * libzstd has 4 MB for each batch. Control thread.
 */
void process_hold_heap(void);
/*
 * Gives back to the system what a burst of allocations of this thread has left free. Takes a millisecond, and
 * page faults when it is wanted again, so it is for what happens seldom. Any thread.
 */
void process_give_back(void);
/* Only what is free at the end of this thread's part of the heap: hardly takes any time. Any thread. */
void process_give_back_end(void);

#endif
