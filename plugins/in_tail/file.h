/* SPDX-License-Identifier: Apache-2.0 */
/* One followed file: an open descriptor with its stream and where reading stands. */
#ifndef TAIL_FILE_H
#define TAIL_FILE_H

#include <sys/types.h>
#include "account.h"
#include "identity.h"
#include "notify.h"
#include "tail.h"

struct tail_join;

struct tail_file {
    struct tail_instance *tail;
    struct tail_link member, ready;
    struct tail_table_node by_path, by_inode;
    struct tail_sub sub;
    struct weir_stream *stream;
    const char *path; /* the last that is known; its own, or the only one in the configuration */
    struct tail_identity identity;
    struct tail_fingerprint fingerprint;
    uint64_t offset, token;  /* all lines below are sent; the hash of the bytes before it */
    uint64_t scanned;        /* so many bytes after the offset hold no newline */
    uint64_t size, changed;  /* when last looked at */
    uint64_t active;         /* when it last had news, monotonic ns */
    struct weir_timer *wait; /* rotated: runs since its end was reached, until it is due */
    struct tail_account account;
    char
        *before; /* the path that it was last followed under, where it was found under another one; or NULL */
    struct tail_join *join;     /* where records are more, or other, than a line; or NULL */
    struct tail_packed *packed; /* it is compressed, and this is how; or NULL */
    int fd;
    uint32_t generation; /* of the last walk that met its path */
    bool own_path;       /* the path is its own memory */
    bool named;          /* its path leads to it */
    bool linked;         /* it had other names when it lost that */
    bool rotated;        /* renamed, removed, or its link points elsewhere */
    bool waiting;        /* the timer runs */
    bool due;            /* it has run out: at its end the file is closed */
    bool polled;         /* inotify does not tell about it, or not reliably */
    bool anew;           /* its stream began because it was truncated or rewritten */
    bool split;          /* the offset is within a line that was split */
    bool fresh;          /* opened again just now: size and changed need not be asked for */
    bool unsure;         /* whether it is compressed is to be seen from its first bytes */
};

/*
 * Begins to follow an open file; takes the descriptor over in any case. named: `path` leads to it (and leads
 * to no other followed file). 0 or -errno, told in the log.
 */
int tail_file_begin(struct tail_instance *, const char *path, int fd, const struct tail_status *, bool named);
/* Closes it. Its stream goes back to the known ones, or is forgotten where the file has no name any more. */
void tail_file_close(struct tail_file *);
/*
 * Closes it when the instance stops: what is not read stays in the file, unless that was deleted: that is
 * read now.
 */
void tail_file_drop(struct tail_file *);
/* The same when the instance retires; but one that was deleted stays open, ready to be read on, where not all
 * of it could be sent now. */
void tail_file_retire(struct tail_file *);
/* Something of it was read. */
void tail_file_touch(struct tail_file *);
/*
 * Closes a file that has nothing new, though it goes on being followed: its watch or, without one, the
 * events of its directory lead to it being opened again (parked.c). False: it must stay open.
 */
bool tail_file_park(struct tail_file *);
/* One that is polled for want of a watch may get one now. False: there still is none. */
bool tail_file_watch_again(struct tail_file *);
/* How many are open, of all instances of this loop. */
size_t tail_files_open(void);
struct tail_file *tail_file_of(const struct tail_instance *, const struct tail_identity *);

/* -- look.c -- */

/* Whether the path of a followed file still leads to it. */
bool tail_leads_to(const struct tail_file *);

/* -- names.c -- */

struct tail_file *tail_file_at(const struct tail_instance *, const char *path);
/* Its path leads elsewhere or nowhere now: it is read to its end and then for rotate_wait more. */
void tail_file_lost(struct tail_file *);
/* Before a stop: what happened to its name a moment ago is kept, so that it is found again. */
void tail_file_note_name(struct tail_file *);
/* It is now found under this path. 0 or -ENOMEM. */
int tail_file_rename(struct tail_file *, const char *path);
/* Something happened to its name: sees what. */
void tail_file_look(struct tail_file *);
void tail_file_free_path(struct tail_file *);
/* Sets the path and enters it in the table, or not. 0 or -ENOMEM. */
int tail_file_set_path(struct tail_file *, const char *path, bool named);

/* -- content.c -- */

/* Chooses the stream of a file just opened, and where reading begins. 0 or -errno. */
int tail_file_choose(struct tail_file *, const struct tail_status *);
/* The content is another than before (what: "truncated"): a new stream, from its start. 0 or -errno. */
int tail_file_restart(struct tail_file *, const char *what);
/* Sees what can be seen without reading on: it was truncated, it has grown. 0 or -errno. */
int tail_file_examine(struct tail_file *);
/*
 * A writer without O_APPEND goes on where it was when the file was truncated, and leaves a hole before that:
 * no one wrote it, so it is no line, and the offset moves past it. 0 or -errno.
 */
int tail_file_skip_hole(struct tail_file *);
/* Something was read, beginning with the file's first byte: the fingerprint is that of those very bytes. */
void tail_file_learn_head(struct tail_file *, const uint8_t *head);
/* Something was read: the fingerprint grows with it. 0 or -errno. */
int tail_file_learn(struct tail_file *, bool *ret_changed);
/* Stores identity, fingerprint and path beside the position. */
void tail_file_save(struct tail_file *);
/*
 * The file, or what it said, is no more: its stream is forgotten, or kept for a while where the same may be
 * found compressed. Takes file->stream away.
 */
void tail_file_bury(struct tail_file *);

/* -- work.c -- */

/* There may be something to read. */
void tail_file_wake(struct tail_file *);
/* The end is reached: what then is to be done, if anything. read: only now. */
void tail_file_at_end(struct tail_file *, bool read);
/* It can't be read. */
void tail_file_give_up(struct tail_file *, int error);
/* Of a rotated file: the wait begins anew when its end is reached again. */
void tail_file_wait_no_more(struct tail_file *);
/* One slice of work. May close the file. Returns the bytes read. */
size_t tail_file_work(struct tail_file *);

/* -- read.c -- */

enum tail_progress {
    TAIL_MORE,    /* the slice is used up */
    TAIL_END,     /* the end of the file is reached */
    TAIL_FULL,    /* no room for a chunk now */
    TAIL_CHANGED, /* the bytes before the offset are no longer what they were */
    TAIL_BROKEN   /* reading failed: errno */
};
/* Reads and sends lines, up to about a slice of 1 MiB; adds the bytes of the file that were used to *bytes.
 */
enum tail_progress tail_file_read(struct tail_file *, size_t *bytes);
/* Sends what stands after the last newline as a line. TAIL_END, TAIL_FULL, TAIL_CHANGED or TAIL_BROKEN. */
enum tail_progress tail_file_flush(struct tail_file *);
/* pread, until no signal disturbs it. */
ssize_t tail_file_pread(const struct tail_file *, uint8_t *buffer, size_t size, uint64_t offset);
/*
 * Whether the file is still the one that was read: the bytes before the offset, of which `size` were just
 * read, have this token, and its first ones are what they were. TAIL_MORE, TAIL_CHANGED or TAIL_BROKEN.
 */
enum tail_progress tail_file_compare(const struct tail_file *, const uint8_t *bytes, size_t size,
                                     uint64_t offset, uint64_t token);
/* The same, and reads those bytes. */
enum tail_progress tail_file_compare_at(const struct tail_file *, uint64_t offset, uint64_t token);
/* As tail_token_read, of the content. */
int tail_file_token(const struct tail_file *, uint64_t offset, uint64_t *ret);
/* Bytes to be read at once, and those after which other files have their turn. */
size_t tail_file_chunk(const struct tail_file *);
size_t tail_file_slice(const struct tail_file *);
/* Adds to the metrics. */
void tail_file_tell(const struct tail_file *, const struct tail_tally *);
/* All below the offset is about to be sent. */
void tail_file_move_to(struct tail_file *, uint64_t offset, uint64_t token);

#endif
