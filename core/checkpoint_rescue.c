/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is damaged or gone. An hourly copy of it (VACUUM INTO, which reads every page and so notices
 * damage early) stands in for it at the next start: its positions are behind, which costs repeats and no
 * line, but of an input that is younger than it, which begins anew. While weir runs, memory holds all
 * positions, and the store can be made anew out of them. One thread at a time (control).
 */
#include "checkpoint_store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "fail.h"

#define BACKUP_INTERVAL (3600 * UINT64_C(1000000000)) /* ns */

bool checkpoint_store_has_backup(const struct checkpoint_store *store)
{
    struct stat s;
    return fstatat(store->dir, CHECKPOINT_BACKUP, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(s.st_mode) &&
           s.st_size > 0;
}

/* ---- Putting aside -------------------------------------------------------------------------------- */

/* Keeps the name itself, so that the database is never missing: a missing one means to begin anew. */
static void keep_copy(const struct checkpoint_store *store)
{
    unlinkat(store->dir, CHECKPOINT_DAMAGED, 0);
    unlinkat(store->dir, CHECKPOINT_DAMAGED "-wal", 0);
    if (linkat(store->dir, CHECKPOINT_DB, store->dir, CHECKPOINT_DAMAGED, 0) < 0)
        renameat(store->dir, CHECKPOINT_DB, store->dir, CHECKPOINT_DAMAGED);
    renameat(store->dir, CHECKPOINT_DB "-wal", store->dir, CHECKPOINT_DAMAGED "-wal");
    unlinkat(store->dir, CHECKPOINT_DB "-shm", 0);
}

/* Whether data_dir is still the directory that is open. */
static bool same_dir(const struct checkpoint_store *store, const char *dir)
{
    struct stat opened, named;
    return fstat(store->dir, &opened) == 0 && stat(dir, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

void checkpoint_store_detach(struct checkpoint_store *store, const char *dir)
{
    bool ours = same_dir(store, dir); /* one that was moved away is left as it is */
    checkpoint_store_disconnect(store);
    if (ours) {
        unlinkat(store->dir, CHECKPOINT_DB "-wal", 0);
        unlinkat(store->dir, CHECKPOINT_DB "-shm", 0);
    }
}

void checkpoint_store_set_aside(struct checkpoint_store *store)
{
    checkpoint_store_disconnect(store);
    keep_copy(store);
    unlinkat(store->dir, CHECKPOINT_DB, 0);
}

static void time_of_backup(const struct checkpoint_store *store, char *ret, size_t size)
{
    struct stat s;
    struct tm parts;
    if (fstatat(store->dir, CHECKPOINT_BACKUP, &s, 0) < 0 || !gmtime_r(&s.st_mtime, &parts) ||
        !strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &parts))
        snprintf(ret, size, "an unknown time");
}

int checkpoint_store_restore(struct checkpoint_store *store, int r, char **ret_error)
{
    char when[64];
    if (!checkpoint_store_has_backup(store))
        return r;
    time_of_backup(store, when, sizeof(when));
    checkpoint_store_disconnect(store);
    keep_copy(store);
    if (renameat(store->dir, CHECKPOINT_BACKUP, store->dir, CHECKPOINT_DB) < 0)
        return r;
    free(store->note);
    if (asprintf(
            &store->note,
            "%s is damaged (%s): it is kept as " CHECKPOINT_DAMAGED
            ", and weir goes on with " CHECKPOINT_BACKUP
            ", the positions as of %s: lines delivered since then come again, and an input that was new since then begins anew",
            store->path, store->damage ? store->damage : "?", when) < 0)
        store->note = NULL;
    free(*ret_error);
    *ret_error = NULL;
    return checkpoint_store_connect(store, ret_error);
}

void checkpoint_store_replace(struct checkpoint_store *store)
{
    store->replaces = true;
}

char *checkpoint_store_take_note(struct checkpoint_store *store)
{
    char *note = store->note;
    store->note = NULL;
    return note;
}

/* ---- Backups -------------------------------------------------------------------------------------- */

/* The copy is written with a name of its own, and synced before it takes the place of the last one. */
static int copy_to(struct checkpoint_store *store, int fd, char **ret_error)
{
    static const char doing[] = "no backup can be written now";
    char *sql = sqlite3_mprintf("VACUUM INTO '%q%s'", store->path, "-backup");
    if (!sql)
        return -ENOMEM;
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    if (code != SQLITE_OK)
        return checkpoint_store_error(store, doing, ret_error);
    if (fsync(fd) < 0 || renameat(store->dir, CHECKPOINT_DB "-backup", store->dir, CHECKPOINT_BACKUP) < 0 ||
        fsync(store->dir) < 0)
        return fail(ret_error, -errno, "%s: %s: %s", store->path, doing, strerror(errno));
    return 0;
}

int checkpoint_store_backup(struct checkpoint_store *store, char **ret_error)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    *ret_error = NULL;
    if (store->backed_up && now - store->backed_up < BACKUP_INTERVAL)
        return 0;
    store->backed_up = now; /* also where it fails: once an hour is often enough */
    unlinkat(store->dir, CHECKPOINT_DB "-backup", 0);
    int fd = openat(store->dir, CHECKPOINT_DB "-backup", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(ret_error, -errno, "%s: no backup can be written now: %s", store->path, strerror(errno));
    WEIR_KILL_POINT("checkpoint-backup");
    int r = copy_to(store, fd, ret_error);
    close(fd);
    if (r < 0)
        unlinkat(store->dir, CHECKPOINT_DB "-backup", 0);
    return r;
}

/* ---- What is gone --------------------------------------------------------------------------------- */

static bool same_inode(int dir, const char *name, ino_t ino)
{
    struct stat s;
    return fstatat(dir, name, &s, AT_SYMLINK_NOFOLLOW) == 0 && s.st_ino == ino;
}

bool checkpoint_store_is_gone(struct checkpoint_store *store, const char *dir)
{
    struct stat named, log;
    if (stat(dir, &named) < 0)
        return errno == ENOENT ||
               errno == ENOTDIR; /* else it can't be told: SQLite goes on with what is open */
    if (!same_dir(store, dir) || !same_inode(store->dir, CHECKPOINT_DB, store->ino))
        return true;
    bool there = fstatat(store->dir, CHECKPOINT_DB "-wal", &log, AT_SYMLINK_NOFOLLOW) == 0;
    if (store->log_ino)
        return !there || log.st_ino != store->log_ino;
    store->log_ino = there ? log.st_ino : 0;
    return false;
}
