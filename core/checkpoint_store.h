/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where positions are kept: data_dir/checkpoint.db (SQLite), and data_dir/weir.lock against a second weir.
 * One thread at a time. Failures are a negative errno and *ret_error, a sentence for the operator that the
 * caller frees (NULL when there is no memory for it); results are untouched then.
 */
#ifndef WEIR_CORE_CHECKPOINT_STORE_H
#define WEIR_CORE_CHECKPOINT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct checkpoint_store;

#define CHECKPOINT_KEY_MAX  512
#define CHECKPOINT_META_MAX 4096

/* One stream as it is on disk. The pointers are the caller's, or valid during checkpoint_store_read's call.
 */
struct checkpoint_row {
    const char *input, *key;
    uint64_t offset, token;
    const void *meta; /* NULL where there is none */
    size_t meta_size;
    bool remove; /* checkpoint_store_write: delete the row of that input and key */
};

/* Makes the directory (0700, not its parents) where it is missing, and syncs the one that it is in. */
int checkpoint_store_make_dir(const char *dir, char **ret_error);

/* Does that, locks it and opens or creates the store. */
int checkpoint_store_open(const char *dir, struct checkpoint_store **ret, char **ret_error);

/* Calls fn for every row, those of one input after each other. fn returns 0 or a negative errno, which ends
 * it. */
int checkpoint_store_read(struct checkpoint_store *, int (*fn)(void *data, const struct checkpoint_row *),
                          void *data, char **ret_error);

/* Writes all rows, in one transaction, or none. Removals are done first, wherever they stand. */
int checkpoint_store_write(struct checkpoint_store *, const struct checkpoint_row *, size_t count,
                           char **ret_error);

/* -- checkpoint_rescue.c: what becomes of a store that is damaged or gone. -- */

/*
 * After -EUCLEAN of r: puts the damaged files aside (checkpoint.damaged) and the last backup in their place,
 * which may be an hour old: its positions are behind, so lines come again. Without a backup
 * nothing is touched, r is returned and *ret_error stays. checkpoint_store_open does this by itself.
 */
int checkpoint_store_restore(struct checkpoint_store *, int r, char **ret_error);
/* The next write leaves nothing but what it writes, in the same transaction. */
void checkpoint_store_replace(struct checkpoint_store *);
/* What was restored, as a sentence for the log; the caller frees. NULL: nothing since the last call. */
char *checkpoint_store_take_note(struct checkpoint_store *);
/* Puts the damaged files aside, so that an empty store can be made. It can only be closed after it. */
void checkpoint_store_set_aside(struct checkpoint_store *);
/* Lets go of a store that is gone, with what may be left of its log. It can only be closed after it. */
void checkpoint_store_detach(struct checkpoint_store *, const char *dir);
/* Writes a backup (checkpoint.backup) if the last one is an hour old. */
int checkpoint_store_backup(struct checkpoint_store *, char **ret_error);
/* Whether what is open is no longer what stands in data_dir: it was removed or replaced, and what is written
 * is lost. */
bool checkpoint_store_is_gone(struct checkpoint_store *, const char *dir);

/* Takes NULL. */
void checkpoint_store_close(struct checkpoint_store *);

#endif
