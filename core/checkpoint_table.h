/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to checkpoint*.c: the streams in memory. Everything here is under the checkpoint's lock.
 *
 * A stream goes away when nothing refers to it and it holds nothing worth keeping: it was never sent, or it
 * was forgotten and its row is gone. One that was sent stays for the life of the process.
 */
#ifndef WEIR_CORE_CHECKPOINT_TABLE_H
#define WEIR_CORE_CHECKPOINT_TABLE_H

#include <pthread.h>
#include "checkpoint.h"
#include "checkpoint_store.h"

struct checkpoint_place {
    uint64_t offset, token;
};

/* Counted: a flush writes it while the stream may already have another. */
struct checkpoint_meta {
    uint32_t references;
    uint32_t size;
    unsigned char data[];
};

/* A stream that was forgotten, or has moved: the keeper of positions is to be told. */
struct checkpoint_forgotten {
    struct checkpoint_forgotten *next;
    const struct checkpoint_input *input; /* under which the keeper has it */
    char key[];
};

/* An input's identity, shared by its streams. Made once and kept. */
struct checkpoint_input {
    struct checkpoint *checkpoint;
    struct checkpoint_input *next;
    struct checkpoint_input *heir; /* where its streams have moved to, or NULL */
    void *by_key; /* tree of the keys of the streams that are not forgotten, where has_tree */
    struct weir_stream *first;
    struct checkpoint_forgotten *removed; /* what no chunk for the keeper carries yet */
    uint32_t count;                       /* of all its streams */
    bool used;                            /* by an input of this process */
    bool has_tree;                        /* else they are few, and looked for in the list */
    char identity[];
};

struct weir_stream {
    _Atomic(struct checkpoint_input *) input; /* changes under the lock, also while it is open */
    struct weir_stream *previous, *next;      /* of the input, forgotten ones as well */
    struct checkpoint_mark *head, *tail;      /* sent and not committed, oldest first */
    struct checkpoint_place sent;             /* as committed until something is sent */
    struct checkpoint_place committed;
    uint64_t kept; /* the keeper's offset, as it told, and one more; 0: it has not */
    struct checkpoint_meta *meta;
    struct checkpoint_input *former; /* where it was, as long as one of the two below says so; else NULL */
    struct weir_stream *next_dirty;
    uint32_t handles;   /* stream_open less stream_close */
    uint32_t pins;      /* by a flush or by stream_each */
    bool known;         /* sent holds something */
    bool has_committed; /* committed holds something */
    bool stored;        /* there may be a row on disk */
    bool told;          /* the keeper has heard of it */
    bool dirty;         /* in the list of what a flush has to look at */
    bool forgotten;
    bool former_stored; /* there may be a row of it under `former` */
    bool former_told;   /* the keeper has heard of it under `former`, and not under its input yet */
    char key[];
};

struct checkpoint {
    pthread_mutex_t lock;
    struct checkpoint_input *first_input;
    void *inputs;              /* tree of their identities */
    struct weir_stream *dirty; /* only with a store */
    size_t dirty_count;
    char *dir;                      /* NULL: nothing is kept */
    struct checkpoint_store *store; /* NULL: none now; the next flush makes one */
    bool backup_failing;            /* the log says so */
    bool urgent;                    /* among the dirty ones is a stream that is not on disk yet */
    void (*on_dirty)(void *data, bool urgent);
    void *on_dirty_data;
};

/* How much there is to flush. */
enum checkpoint_need { CHECKPOINT_CLEAN, CHECKPOINT_DIRTY, CHECKPOINT_URGENT };

/* Locks, and returns what checkpoint_unlock is to be given. */
enum checkpoint_need checkpoint_lock(struct checkpoint *);
/* Unlocks, and calls on_dirty if the need has grown. */
void checkpoint_unlock(struct checkpoint *, enum checkpoint_need before);

/* Commits and takes out of the queue what is acknowledged at its head; sets that are through are added to
 * *done. */
void checkpoint_drain(struct weir_stream *, struct checkpoint_mark **done);
/* Calls the releases, without the lock. */
void checkpoint_release(struct checkpoint_mark *done);

/* The input of that identity; make: where there is none, one is made. NULL: none, or no memory. */
struct checkpoint_input *checkpoint_table_input(struct checkpoint *, const char *identity, bool make);
/* The stream of that key, made where there is none. NULL: no memory. */
struct weir_stream *checkpoint_table_stream(struct checkpoint_input *, const char *key);
/* The stream of that key that is not forgotten, or NULL. */
struct weir_stream *checkpoint_table_find(const struct checkpoint_input *, const char *key);
/* Makes it a stream of that input, which has none of its key. False: no memory, and it is where it was. */
bool checkpoint_table_move(struct weir_stream *, struct checkpoint_input *to);
/* Takes the stream out of the map, so that its key is free. */
void checkpoint_table_unmap(struct weir_stream *);
/* Frees the stream if nothing needs it any more. */
void checkpoint_table_reap(struct weir_stream *);
/* The next flush is to look at it. */
void checkpoint_table_dirty(struct weir_stream *);
/* Frees all of it, whatever refers to it. */
void checkpoint_table_clear(struct checkpoint *);

/* The set goes to the keeper, and takes along what was forgotten before. */
void checkpoint_tell(struct checkpoint_set *);
/* Notes for the keeper, with the next chunk of the stream's input, that nothing of that key is under
 * `under` any more. False: no memory. */
bool checkpoint_note_forgotten(struct weir_stream *, const struct checkpoint_input *under);

/* A copy, with one reference. NULL: no memory, or size is 0. */
struct checkpoint_meta *checkpoint_meta_create(const void *data, size_t size);
/* Takes NULL. */
void checkpoint_meta_unref(struct checkpoint_meta *);

#endif
