/* SPDX-License-Identifier: Apache-2.0 */
/* Streams whose positions are kept while their files are not open: what a found file is compared with. */
#ifndef TAIL_KNOWN_H
#define TAIL_KNOWN_H

#include <sys/stat.h>
#include "identity.h"
#include "tail.h"

struct tail_known {
    struct tail_table_node node; /* hash: inode */
    struct tail_identity identity;
    struct tail_fingerprint fingerprint;
    uint64_t offset, token;
    char *path;             /* the last one known */
    uint64_t size, changed; /* parked: as it was then */
    bool finished, away;
    bool parked; /* closed only because it has nothing new */
    bool looked; /* during a search: its directory has been looked through */
    char key[];
};

/* Reads all of the instance's streams, and sets first_start. 0 or -ENOMEM. */
int tail_known_load(struct tail_instance *);
/* Adds one; finished: the file is not to be opened again in this run. 0 or -ENOMEM: then the file would be
 * taken for a new one, so say it. */
int tail_known_add(struct tail_instance *, const struct weir_stream_state *, bool finished);
void tail_known_clear(struct tail_instance *);

/*
 * The stream of an open file, taken out of the table and opened; NULL: there is none, *ret_changed saying
 * whether one had to be forgotten because the file now says something else. *ret_known must be freed with
 * tail_known_free. 0 or -errno (the file can't be read, no memory: nothing is changed).
 */
int tail_known_take(struct tail_instance *, int fd, const struct tail_status *, const char *path,
                    struct tail_known **ret_known, bool *ret_changed);
/*
 * Whether an open file is one of the known that was moved to this path: by its content or, where that was
 * truncated meanwhile, by an inode that tells its uses apart. Changes nothing.
 */
bool tail_known_moved(struct tail_instance *, int fd, const struct tail_status *, const char *path);
/* Marks the one with that key: its file is to be opened again only when it changes. */
void tail_known_park(struct tail_instance *, const char *key, uint64_t ino, uint64_t size, uint64_t changed);
/* Whether what is at the path is a parked file that has not changed since. */
bool tail_known_unchanged(const struct tail_instance *, const char *path, const struct stat *);
/* Where there are no events: looks at the parked files, and calls fn with the paths of those that changed. */
void tail_known_poll(struct tail_instance *, void (*fn)(struct tail_instance *, const char *path));
/* Whether the inode is one that was added as finished. */
bool tail_known_finished(const struct tail_instance *, uint64_t dev, uint64_t ino);
void tail_known_free(struct tail_known *); /* takes NULL */

/*
 * Looks for the files of known streams under other names in the directories they were last seen in, and calls
 * fn with each that is found, open. fn takes the descriptor over.
 */
void tail_known_search(struct tail_instance *, void (*fn)(struct tail_instance *, const char *path, int fd));

#endif
