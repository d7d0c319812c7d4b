/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host remembers of its transactions: the transactional.id, and whether positions were committed
 * under it, so that a topic of positions that has vanished is noticed. A small file in data_dir. Output
 * thread.
 */
#ifndef OUT_KAFKA_CLAIM_H
#define OUT_KAFKA_CLAIM_H

#include <stdbool.h>
#include <stddef.h>

struct claim {
    char *path;
    char *id;    /* the transactional.id */
    char *topic; /* of the positions */
    bool used;   /* positions were committed there under that id */
};

/*
 * Reads the file, or makes it with a new id. `id` NULL: the one in the file. 0; or a negative errno and
 * `why`. Finish it in any case.
 */
int claim_open(struct claim *, const char *dir, const char *alias, const char *id, const char *topic,
               char *why, size_t why_size);
/* Positions are about to be committed: that is on disk when it returns. 0, or a negative errno and `why`. */
int claim_use(struct claim *, char *why, size_t why_size);
void claim_finish(struct claim *);

#endif
