/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool of one input on disk: data_dir/spool/NAME-HASH, with segments of chunks (FIRST.seg) and what is
 * acknowledged of them (acks). Chunks are appended at one end and taken, in order, at the other; one that is
 * taken stays on disk until every output has it. Thread of the input's loop, but for what says otherwise;
 * one lock guards what other threads may touch, and no file is touched while it is held.
 */
#ifndef WEIR_CORE_SPOOL_H
#define WEIR_CORE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;
struct spool_entry; /* a chunk that was taken */

struct spool_settings {
    const char *data_dir;
    const char *identity; /* of the input: the spool's name */
    const char *who;      /* for the log */
    uint64_t limit;       /* bytes on disk */
};

/* A chunk on its way to disk, or from it. */
struct spool_chunk {
    const char *tag, *topic;
    const uint8_t *data;
    size_t size;
    uint32_t records;
};

enum { SPOOL_UNSYNCED_MAX = 66 };

struct spool_stats {
    uint64_t bytes, chunks; /* on disk, and not acknowledged by every output */
    uint64_t oldest;        /* when the first of those was written: ns since 1970; 0: there is none */
    uint64_t damaged, cut;  /* pieces that were skipped; bytes cut from torn ends */
};

/*
 * Makes the folder where it is missing, cuts a torn end, and reads what is there. 0 or a negative errno with
 * *ret_error, a sentence (caller frees).
 */
int spool_open(const struct spool_settings *, struct spool **ret, char **ret_error);
/* Any thread, once nobody else uses it: writes what is acknowledged, and removes the files of a spool in
 * which nothing waits. */
void spool_close(struct spool *);

/* Before the next use on another loop. */
void spool_set(struct spool *, const char *who, uint64_t limit);
/* `changed` is called when an entry is done: any thread, with the lock held. NULL: nobody wants to know. */
void spool_on_change(struct spool *, void (*changed)(void *data), void *data);

/* -- Writing -- */

bool spool_has_room(const struct spool *);
/* 0 or a negative errno, of the disk: then nothing of it is there. *ret_next: it is the next one to be taken.
 */
int spool_append(struct spool *, const struct spool_chunk *, bool *ret_next);
/*
 * Descriptors with what was written since the last call, for the caller to fdatasync and close; the last one
 * may be the folder's. 0, or a negative errno: there is more, for which no descriptor could be had.
 */
int spool_take_unsynced(struct spool *, int fds[SPOOL_UNSYNCED_MAX], size_t *ret_count);
/* Syncs that here. 0 or a negative errno. */
int spool_sync_all(struct spool *);
/* 0, or the negative errno of what was written since the last call and could not be synced on the way. */
int spool_take_sync_error(struct spool *);

/* -- Reading -- */

/*
 * The next chunk that is not taken and that some output is still to have. 1 with all of *ret but data, which
 * is valid until the next call; 0: there is none; or a negative errno of the disk. Damaged ones are passed
 * over: counted, logged, and copied into a file of their own.
 */
int spool_peek(struct spool *, struct spool_chunk *ret);
/* Reads its records. 0; -EBADMSG: it is damaged, and passed over; or a negative errno of the disk. */
int spool_read(struct spool *, uint8_t *data);
/* Takes it, for `outputs` outputs. NULL: no memory. */
struct spool_entry *spool_take(struct spool *, size_t outputs);
/* Whether that output had it before a restart. */
bool spool_entry_had(const struct spool_entry *, uint64_t output);
/* An output (by the hash of its alias) has it; the entry is not done yet. Any thread. */
void spool_entry_note(struct spool_entry *, uint64_t output);
/* Nobody uses the entry any more. all: every output has it, else it stays in the spool for the next start.
 * Any thread. */
void spool_entry_done(struct spool_entry *, bool all);

/* -- Keeping house -- */

/* Removes segments in which nothing waits any more. Whether there were any. */
bool spool_recycle(struct spool *);
/* Writes what is acknowledged, if that has changed. 0 or a negative errno. Any one thread at a time. */
int spool_write_acks(struct spool *);
/* The number of the chunk that is appended next. */
uint64_t spool_next(const struct spool *);
/* Whether every output has every chunk below that number. */
bool spool_is_delivered(struct spool *, uint64_t number);
/* Any thread. */
void spool_look(struct spool *, struct spool_stats *ret);
const char *spool_identity(const struct spool *);
const char *spool_path(const struct spool *);
/* NAME-HASH of an identity, for the caller to free. */
char *spool_name(const char *identity);
/* The hash that stands for an output of that alias. */
uint64_t spool_output_hash(const char *alias);

#endif
