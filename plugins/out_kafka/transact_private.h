/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of transact share: one transaction at a time.
 *   transact.c           which chunks are in it, and when it ends
 *   transact_end.c       its end: positions, reports, commit or abort
 *   transact_letters.c   records that were refused
 * The thread that commits, unless it is said otherwise.
 */
#ifndef OUT_KAFKA_TRANSACT_PRIVATE_H
#define OUT_KAFKA_TRANSACT_PRIVATE_H

#include "transact.h"

/* How it ended. */
enum end { END_COMMITTED, END_ABORTED, END_BROKEN };

/* -- transact.c -- */

/* The lock is held. Any thread. */
void transact_set_broken(struct transact *, const char *why, bool shut_out);

/* -- transact_end.c -- */

/* The state is COMMITTING. With END_BROKEN it is BROKEN after this, and may be with the others. */
enum end transact_end(struct transact *);

/* -- transact_letters.c -- */

/* Of all refused records of the transaction. */
void transact_send_letters(struct transact *);
/* Tells weir of those of a chunk that is committed, or may be. */
void transact_reject_refused(struct transact *, struct weir_chunk *);

#endif
