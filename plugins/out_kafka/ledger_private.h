/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of ledger share. Output thread.
 *   ledger.c         the order of a start: shut out, find, read, own
 *   ledger_topic.c   the topic in the cluster: found, made, checked
 *   ledger_read.c    what is committed in it
 */
#ifndef OUT_KAFKA_LEDGER_PRIVATE_H
#define OUT_KAFKA_LEDGER_PRIVATE_H

#include "ledger.h"

enum { LEDGER_SLICE_MS = 500 }; /* of one call that blocks */

/* -- ledger.c -- */

/* Sets `why`, and returns r. */
int ledger_fail(struct ledger *, int r, const char *format, ...) WEIR_PRINTF(3, 4);
bool ledger_is_cancelled(const struct ledger *);
/* A pause. 0 or -ECANCELED. */
int ledger_rest(const struct ledger *);
/* `what` is the matter with a topic under which positions were committed. -ENODATA. */
int ledger_refuse_vanished(struct ledger *, const char *what);

/* -- ledger_topic.c -- */

/* Makes sure that it is there; sets partitions and partition. As ledger_load. */
int ledger_find_topic(struct ledger *, rd_kafka_t *);

/* -- ledger_read.c -- */

/* All that is committed of that id. As ledger_load. */
int ledger_read(struct ledger *, rd_kafka_t *, struct kept_table *table);

#endif
