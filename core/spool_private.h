/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a spool's code share. Included by core/spool*.c only. */
#ifndef WEIR_CORE_SPOOL_PRIVATE_H
#define WEIR_CORE_SPOOL_PRIVATE_H

#include <pthread.h>
#include "spool.h"
#include "spool_files.h"
#include "spool_format.h"

enum {
    SEGMENT_MAX = 16 << 20,
    SEGMENT_MIN = 64 << 10,
    SEGMENTS_IN_LIMIT = 8,
    FULL_UNSYNCED_MAX = SPOOL_UNSYNCED_MAX - 2
};

struct segment {
    struct segment *next;
    uint64_t first; /* number of its first chunk: its name */
    uint64_t time;  /* of its first chunk */
    uint64_t size;
    uint64_t unread; /* chunks that were not taken and that some output is to have */
    uint64_t taken;  /* entries that are not done; under the lock */
};

struct spool_entry {
    struct spool *spool;
    struct segment *segment;
    uint64_t number, time;
    struct spool_entry *prev, *next;
    bool kept; /* not done by all, and nobody uses it any more */
    uint32_t count, room;
    uint64_t outputs[]; /* that have it */
};

struct spool {
    char *path, *identity, *who;
    int folder;
    uint64_t owner, limit, segment_max;
    struct segment *first, *last; /* last: the one that is written, where active >= 0 */
    int active;
    uint64_t next_number;

    int unsynced[FULL_UNSYNCED_MAX]; /* segments that are full */
    size_t unsynced_count;
    bool active_unsynced, folder_unsynced;
    int sync_error; /* of one that found no place among those; nobody was told yet */

    struct segment *reading; /* NULL: everything there is was taken */
    int read_fd;
    uint64_t read_at;
    struct spool_chunk_head head; /* of the chunk at read_at, once peeked */
    bool peeked;
    char *names; /* its tag and topic */
    struct spool_acks restored;
    pthread_mutex_t acks_lock; /* one writes that file at a time; taken before `lock` */
    bool acks_failing;

    pthread_mutex_t lock;
    struct spool_entry *first_entry, *last_entry;
    bool acks_changed;
    uint64_t taken_to; /* every chunk below it was taken, or passed over */
    uint64_t bytes, chunks, damaged, cut;
    uint64_t unread_time; /* of the first chunk that is not taken, or of its segment; 0: none */
    void (*changed)(void *data);
    void *changed_data;
};

/* A damaged piece of a segment goes into a file of its own, once. */
void spool_set_aside(struct spool *, const struct segment *, uint64_t at, const uint8_t *data, size_t size);
/* The same where nothing of it can be set aside. */
void spool_say_missing(struct spool *, const struct segment *, uint64_t at, uint64_t size);
/* Puts a segment at the end of the list. */
void spool_add_segment(struct spool *, struct segment *);
/* Reads what is in the folder. 0 or a negative errno with *ret_error. */
int spool_load(struct spool *, char **ret_error);
/* Goes on to the next segment; what was in this one and could not be read is not waited for. */
void spool_leave_segment(struct spool *);
/* Goes on behind the chunk that was peeked. */
void spool_pass_over(struct spool *);

#endif
