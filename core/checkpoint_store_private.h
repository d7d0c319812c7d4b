/* SPDX-License-Identifier: Apache-2.0 */
/* Private to checkpoint_store.c and checkpoint_rescue.c. */
#ifndef WEIR_CORE_CHECKPOINT_STORE_PRIVATE_H
#define WEIR_CORE_CHECKPOINT_STORE_PRIVATE_H

#include <sqlite3.h>
#include <sys/types.h>
#include "checkpoint_store.h"

#define CHECKPOINT_DB      "checkpoint.db"
#define CHECKPOINT_BACKUP  "checkpoint.backup"
#define CHECKPOINT_DAMAGED "checkpoint.damaged"

struct checkpoint_store {
    char *path; /* of the database */
    int dir, lock;
    sqlite3 *db;
    sqlite3_stmt *put, *remove;
    ino_t ino, log_ino; /* of the database and its log; log_ino 0: not seen yet */
    uint64_t backed_up; /* monotonic ns; 0: not yet */
    char *damage;       /* what was found, or NULL */
    char *note;
    bool made;     /* the database was not there before */
    bool replaces; /* the next write leaves nothing of what is in it */
};

/* What SQLite has just refused, as an errno and a sentence: "FILE: DOING: WHY". */
int checkpoint_store_error(struct checkpoint_store *, const char *doing, char **ret_error);

/* Opens the database in the directory, which is locked. */
int checkpoint_store_connect(struct checkpoint_store *, char **ret_error);
void checkpoint_store_disconnect(struct checkpoint_store *);
bool checkpoint_store_has_backup(const struct checkpoint_store *);

#endif
