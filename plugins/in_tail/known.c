/* SPDX-License-Identifier: Apache-2.0 */
/* The table of streams whose files are not open. Owns its entries. Loop thread. */
#include "allow.h"
#include "known.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void tail_known_free(struct tail_known *known)
{
    free(known ? known->path : NULL);
    free(known);
}

int tail_known_add(struct tail_instance *tail, const struct weir_stream_state *state, bool finished)
{
    struct tail_meta meta;
    if (tail_meta_decode(state->meta, state->meta_size, &meta) < 0) {
        tail_log(tail, WARN, "the position kept under '%s' was written by another version of tail: not used",
                 state->key);
        return 0;
    }
    size_t size = strlen(state->key) + 1;
    struct tail_known *known = calloc(1, sizeof(*known) + size);
    char *path = strndup(meta.path, meta.path_size);
    if (!known || !path || tail_table_add(&tail->known, &known->node, meta.identity.ino) < 0) {
        free(path);
        free(known);
        return -ENOMEM;
    }
    memcpy(known->key, state->key, size);
    known->identity = meta.identity;
    known->fingerprint = meta.fingerprint;
    known->offset = state->offset;
    known->token = state->token;
    known->path = path;
    known->finished = finished;
    known->away = meta.away;
    return 0;
}

static int load_one(void *data, const struct weir_stream_state *state)
{
    struct tail_instance *tail = data;
    tail->first_start = false;
    return tail_known_add(tail, state, false);
}

int tail_known_load(struct tail_instance *tail)
{
    tail->first_start = true;
    return tail->host->stream_each(tail->instance, load_one, tail);
}

static void drop(struct tail_instance *tail, struct tail_known *known)
{
    tail->parked_count -= known->parked;
    tail_table_remove(&tail->known, &known->node);
    tail_known_free(known);
}

void tail_known_clear(struct tail_instance *tail)
{
    struct tail_table_node *node;
    while ((node = tail_table_any(&tail->known))) {
        drop(tail, TAIL_OF(node, struct tail_known, node));
    }
    tail_table_clear(&tail->known);
}

static void forget(struct tail_instance *tail, struct tail_known *known)
{
    struct weir_stream *stream = tail->host->stream_open(tail->instance, known->key);
    if (stream) {
        tail->host->stream_forget(stream);
    }
    drop(tail, known);
}

/* 1: the file says what it said up to the position; 0: it does not; -errno. */
static int same_content(int fd, uint64_t size, const struct tail_known *known)
{
    uint64_t token;
    if (size < known->offset || size < known->fingerprint.length) {
        return 0;
    }
    int r = tail_fingerprint_check(fd, &known->fingerprint);
    if (r <= 0) {
        return r;
    }
    r = tail_token_read(fd, known->offset, &token);
    return r == -ENODATA ? 0 : r < 0 ? r : token == known->token;
}

enum verdict { UNRELATED, SAME, CHANGED, GONE };

/* What a known stream has to do with an open file of the same inode number; -errno. */
static int judge(const struct tail_known *known, int fd, const struct tail_status *status, const char *path)
{
    if (tail_identity_equal(&known->identity, &status->identity)) {
        int r = same_content(fd, status->size, known);
        return r < 0 ? r : r ? SAME : CHANGED;
    }
    if (known->identity.dev == status->identity.dev) {
        return GONE; /* the inode number is used again, so the file that had it is no more */
    }
    if (tail_identity_equal_but_device(&known->identity, &status->identity) &&
        known->fingerprint.length > 0 && strcmp(known->path, path) == 0) {
        int r = same_content(fd, status->size, known);
        return r < 0 ? r : r ? SAME : UNRELATED;
    }
    return UNRELATED;
}

int tail_known_take(struct tail_instance *tail, int fd, const struct tail_status *status, const char *path,
                    struct tail_known **ret_known, bool *ret_changed)
{
    struct tail_known *same = NULL;
    bool changed = false;
    struct tail_table_node *node = tail_table_first(&tail->known, status->identity.ino);
    for (struct tail_table_node *next; node; node = next) {
        struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        next = tail_table_next(node);
        int r = judge(known, fd, status, path);
        if (r < 0) {
            return r;
        }
        if (r == SAME && same && same->offset >= known->offset) {
            forget(tail, known); /* an older one of the same file, left by a kill */
        } else if (r == SAME) {
            if (same) {
                forget(tail, same);
            }
            same = known;
        } else if (r == CHANGED || r == GONE) {
            changed |= r == CHANGED;
            forget(tail, known);
        }
    }
    if (same) {
        tail->parked_count -= same->parked;
        tail_table_remove(&tail->known, &same->node);
    }
    *ret_known = same;
    *ret_changed = changed && !same;
    return 0;
}

bool tail_known_moved(struct tail_instance *tail, int fd, const struct tail_status *status, const char *path)
{
    struct tail_table_node *node = tail_table_first(&tail->known, status->identity.ino);
    for (; node; node = tail_table_next(node)) {
        const struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        /* where it always was, though no pattern matches there: the patterns were changed */
        bool moved = known->away || strcmp(known->path, path) != 0;
        int r = moved ? judge(known, fd, status, path) : UNRELATED;
        /* it was truncated, too: an inode that surely is the same is enough to read what it says now */
        if (r == SAME || (r == CHANGED && tail_identity_is_certain(&status->identity))) {
            return true;
        }
    }
    return false;
}

bool tail_known_finished(const struct tail_instance *tail, uint64_t dev, uint64_t ino)
{
    struct tail_table_node *node = tail_table_first(&tail->known, ino);
    for (; node; node = tail_table_next(node)) {
        const struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        if (known->finished && known->identity.dev == dev) {
            return true;
        }
    }
    return false;
}

/* -- Files closed for want of news ---------------------------------------------------------------- */

void tail_known_park(struct tail_instance *tail, const char *key, uint64_t ino, uint64_t size,
                     uint64_t changed)
{
    struct tail_table_node *node = tail_table_first(&tail->known, ino);
    for (; node; node = tail_table_next(node)) {
        struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        if (strcmp(known->key, key) == 0) {
            known->size = size;
            known->changed = changed;
            known->parked = true;
            tail->parked_count++;
            return;
        }
    }
}

static bool as_it_was(const struct tail_known *known, const struct stat *s)
{
    return known->parked && known->identity.dev == s->st_dev && known->identity.ino == s->st_ino &&
           known->size == (uint64_t)s->st_size &&
           known->changed == (uint64_t)s->st_mtim.tv_sec * 1000000000u + (uint64_t)s->st_mtim.tv_nsec;
}

bool tail_known_unchanged(const struct tail_instance *tail, const char *path, const struct stat *s)
{
    struct tail_table_node *node = tail->parked_count ? tail_table_first(&tail->known, s->st_ino) : NULL;
    for (; node; node = tail_table_next(node)) {
        const struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        if (as_it_was(known, s) && strcmp(known->path, path) == 0) {
            return true;
        }
    }
    return false;
}

void tail_known_poll(struct tail_instance *tail, void (*fn)(struct tail_instance *, const char *))
{
    struct stat s;
    char path[PATH_MAX];
    for (size_t i = 0; i < tail->known.size && tail->parked_count; i++) {
        for (struct tail_table_node *n = tail->known.buckets[i]; n; n = n->next) {
            struct tail_known *known = TAIL_OF(n, struct tail_known, node);
            if (known->parked && (stat(known->path, &s) < 0 || !as_it_was(known, &s))) {
                snprintf(path, sizeof(path), "%s", known->path);
                fn(tail, path);
                break; /* the table may be another one now; the rest of these has its turn next time */
            }
        }
    }
}

/* -- Searching for files that were renamed while nobody looked ------------------------------------- */

static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* Whether there is something to expect from the file: unread bytes, or a writer that may still have it. */
static bool worth_opening(const struct tail_instance *tail, const struct tail_known *known,
                          const struct stat *s)
{
    struct timespec now;
    if (tail->searching_late) {
        return (uint64_t)s->st_size != known->offset;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t age = (uint64_t)(now.tv_sec > s->st_mtim.tv_sec ? now.tv_sec - s->st_mtim.tv_sec : 0);
    return (uint64_t)s->st_size != known->offset || age <= tail->config->rotate_wait / 1000000000u + 1;
}

static bool is_missed(const struct tail_instance *tail, const struct stat *s)
{
    struct tail_table_node *node = tail_table_first(&tail->known, s->st_ino);
    for (; node; node = tail_table_next(node)) {
        const struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        if (known->identity.dev == s->st_dev && worth_opening(tail, known, s)) {
            return true;
        }
    }
    return false;
}

static void search_entry(struct tail_instance *tail, int dir, const char *dir_path, const char *name,
                         void (*fn)(struct tail_instance *, const char *, int))
{
    struct stat s;
    if (fstatat(dir, name, &s, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(s.st_mode) || !is_missed(tail, &s)) {
        return;
    }
    char path[PATH_MAX + NAME_MAX];
    int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        tail_log(tail, WARN, "%s/%s was followed under another name, but can't be opened now: %s", dir_path,
                 name, strerror(errno));
    } else {
        snprintf(path, sizeof(path), "%s/%s", dir_path, name);
        if (tail_allowed(tail, fd, path)) {
            fn(tail, path, fd);
        } else {
            close(fd);
        }
    }
}

static void search_directory(struct tail_instance *tail, const char *path,
                             void (*fn)(struct tail_instance *, const char *, int))
{
    DIR *dir = opendir(*path ? path : "/");
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        search_entry(tail, dirfd(dir), path, entry->d_name, fn);
    }
    if (dir) {
        closedir(dir);
    }
}

/* The directory of a stream that was not looked for yet; marks all others of the same one. NULL: none left.
 */
static char *next_directory(struct tail_instance *tail)
{
    char *path = NULL;
    size_t length = 0;
    for (size_t i = 0; i < tail->known.size; i++) {
        for (struct tail_table_node *n = tail->known.buckets[i]; n; n = n->next) {
            struct tail_known *known = TAIL_OF(n, struct tail_known, node);
            if (known->looked || (path && (directory_length(known->path) != length ||
                                           strncmp(known->path, path, length) != 0))) {
                continue;
            }
            if (!path) {
                length = directory_length(known->path);
                path = strndup(known->path, length);
            }
            known->looked = path != NULL;
        }
    }
    return path;
}

void tail_known_search(struct tail_instance *tail, void (*fn)(struct tail_instance *, const char *, int))
{
    char *path;
    for (size_t i = 0; i < tail->known.size; i++) {
        for (struct tail_table_node *n = tail->known.buckets[i]; n; n = n->next) {
            TAIL_OF(n, struct tail_known, node)->looked = false;
        }
    }
    while ((path = next_directory(tail))) {
        search_directory(tail, path, fn);
        free(path);
    }
}
