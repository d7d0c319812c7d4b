/* SPDX-License-Identifier: Apache-2.0 */
/* Streams whose positions are kept while their files are not open: what a found file is compared with. */
#ifndef TAIL_KNOWN_H
#define TAIL_KNOWN_H

#include <sys/stat.h>
#include "identity.h"
#include "notify.h"
#include "tail.h"

/* A directory in which known files were last seen. */
struct tail_place {
    struct tail_table_node node; /* hash: path */
    struct tail_instance *tail;
    size_t references;
    uint32_t listed; /* the round in which all its names were seen, or that it is gone */
    uint64_t dev;    /* then: the file system, of what is gone that of where it would be */
    char path[];     /* "" is the root */
};

struct tail_file;

enum { TAIL_BURIED_MAX = 4096 }; /* so many contents of files that are no more are remembered */

struct tail_known {
    struct tail_table_node node; /* hash: inode */
    struct tail_identity identity;
    struct tail_fingerprint fingerprint;
    uint64_t offset, token;
    struct tail_place *place; /* of its last known path */
    const char *name;
    uint64_t size, changed;     /* parked: as it was then */
    uint64_t told;              /* parked and polled: what it was when that was last told of; 0: as then */
    struct tail_sub sub;        /* parked: its watch, if it has one */
    struct tail_link news;      /* parked: among those that were written to since */
    struct weir_stream *stream; /* parked: kept open, since to find it among very many takes time; or NULL */
    bool finished, away, anew;  /* the last two as in tail_meta */
    struct tail_packing packing;
    uint64_t missing; /* as in tail_meta */
    uint32_t met;     /* the round in which its inode was last seen */
    bool gone;        /* in `buried`, where only what it said is looked for */
    bool held;        /* an input that retires has it, and reads its file to the end */
    bool answered;    /* of those: it is still there */
    bool rewritten;   /* its file says something else now, and gets another stream */
    bool lost;        /* parked: its watch led to another place than its path, or its news could not be read:
                         found there, it is opened */
    bool parked;      /* closed only because it has nothing new */
    bool racy;        /* as it was just written to: another write may have left the same size and time */
    char key[];       /* and behind it the name */
};

/* Files of that inode number were met in this round. */
void tail_known_meet(const struct tail_instance *, uint64_t ino);
/* Stores what is known of it beside its position. */
void tail_known_save(struct tail_instance *, const struct tail_known *);
/* Its stream, which the caller is to close. NULL: no memory. */
struct weir_stream *tail_known_open(struct tail_instance *, struct tail_known *);
/* Drops it and its stream. */
void tail_known_forget(struct tail_instance *, struct tail_known *);

/* Reads all of the instance's streams, and sets first_start. 0 or -ENOMEM. */
int tail_known_load(struct tail_instance *);
/* Adds one; finished: the file is not to be opened again in this run. 0 or -ENOMEM: then the file would be
 * taken for a new one, so say it. */
int tail_known_add(struct tail_instance *, const struct weir_stream_state *, bool finished);
void tail_known_clear(struct tail_instance *);
/* Sees what has become of those that an input which retires held. Whether any still are. */
bool tail_known_ask_held(struct tail_instance *);

/*
 * The stream of an open file, taken out of the table and opened; NULL: there is none, *ret_changed saying
 * whether one had to be forgotten because the file now says something else. *ret_known must be freed with
 * tail_known_free. 0 or -errno (the file can't be read, no memory: nothing is changed).
 */
int tail_known_take(struct tail_instance *, int fd, const struct tail_status *, const char *path,
                    struct tail_known **ret_known, bool *ret_changed);
/* It goes back into the table, since its file could not be begun: who looks at its path tries again. */
void tail_known_put_back(struct tail_instance *, struct tail_known *);
/* What tail_known_take found to be rewritten is let go of, once the file's new stream is there: a crash in
 * between must leave one of the two. */
void tail_known_bury_rewritten(struct tail_instance *, uint64_t ino);
/*
 * Whether an open file is one of the known that was moved to this path: by its content or, where that was
 * truncated meanwhile, by an inode that tells its uses apart. Changes nothing.
 */
bool tail_known_moved(struct tail_instance *, int fd, const struct tail_status *, const char *path);
/* Marks the one with that file's key, which is to be opened again only when it changes. Takes its stream. */
void tail_known_park(struct tail_instance *, struct tail_file *, const char *key);
/*
 * Whether an open file, of equal identity, surely is the one that was parked: then all that it says is
 * compared when it is read, as that of one that stayed open is, and no sooner.
 */
bool tail_known_is_sure(const struct tail_known *, const struct tail_status *);
/* Events were lost: of parked files that only their watches could tell of, none counts as what it was. */
void tail_known_doubt(struct tail_instance *);
/* Whether what is at the path is a parked file that has not changed since. */
bool tail_known_unchanged(const struct tail_instance *, const char *path, const struct stat *);
/*
 * Where there are no events: looks at some of the parked files, beginning at *bucket = 0, and calls fn with
 * the paths of those that changed, once for each change; lost: another file is there, or none. True: that was
 * all.
 */
bool tail_known_poll(struct tail_instance *, size_t *bucket,
                     void (*fn)(struct tail_instance *, const char *path, bool lost));
/* The one with that key, also of the buried; NULL. Looks through all. */
struct tail_known *tail_known_find(const struct tail_instance *, const char *key);
/* Its file, as it was last known, is still at its path. */
bool tail_known_is_there(const struct tail_known *);
/* The path, at most PATH_MAX bytes. */
void tail_known_path(const struct tail_known *, char *ret);
/* Takes it out of its table and frees it; its stream stays known, though no longer open. */
void tail_known_drop(struct tail_instance *, struct tail_known *);
/* Whether the inode is one that was added as finished. */
bool tail_known_finished(const struct tail_instance *, uint64_t dev, uint64_t ino);
/* One that is in no table. Closes its stream where it is open. Takes NULL. */
void tail_known_free(struct tail_known *);

/* Its path, where that is another one; malloc'ed. NULL: it is the same, or no memory. */
char *tail_known_path_elsewhere(const struct tail_known *, const char *path);
bool tail_known_is_at(const struct tail_known *, const char *path);
void tail_place_unref(struct tail_place *);

#endif
