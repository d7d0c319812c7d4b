/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions on disk, in SQLite with a write-ahead log: a crash leaves the last transaction or the one
 * before, never half of one. synchronous=NORMAL may lose the latest ones with the machine's power, which
 * costs repeats and no line. One table; a format newer than ours, or a file that is something else, is
 * refused rather than touched. A damaged store is replaced by its backup (checkpoint_rescue.c).
 *
 * Owns the lock file's descriptor and the connection. Used by one thread at a time (control).
 */
#include "checkpoint_store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "fail.h"

/* Rows are written, and read once: what SQLite keeps of them by itself (2 MB) is of no use. */
#define CACHE_KIB       "256"
#define APPLICATION_ID  0x77656972 /* "weir" */
#define FORMAT          1
#define BUSY_TIMEOUT_MS 250 /* someone looks into the file with sqlite3 */
#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(text)  #text

/* ---- The directory and its lock -------------------------------------------------------------------- */

static int sync_parent(int dir)
{
    int parent = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return -errno;
    int r = fsync(parent) < 0 ? -errno : 0;
    close(parent);
    return r;
}

int checkpoint_store_make_dir(const char *dir, char **ret_error)
{
    if (mkdir(dir, 0700) == 0) {
        int made = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (made >= 0)
            sync_parent(made); /* fails where the parent can't be read; that is no reason not to start */
        if (made >= 0)
            close(made);
    } else if (errno != EEXIST) {
        return fail(ret_error, -errno,
                    "data_dir %s can't be made: %s; make it, or set data_dir to another place", dir,
                    strerror(errno));
    }
    return 0;
}

static int open_dir(struct checkpoint_store *store, const char *dir, char **ret_error)
{
    int r = checkpoint_store_make_dir(dir, ret_error);
    if (r < 0)
        return r;
    store->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir < 0)
        return fail(ret_error, -errno, "data_dir %s can't be opened: %s", dir, strerror(errno));
    return 0;
}

static int lock_refused(int lock, const char *dir, char **ret_error)
{
    char text[32] = "";
    ssize_t size = pread(lock, text, sizeof(text) - 1, 0);
    long pid = size > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0)
        return fail(ret_error, -EBUSY,
                    "data_dir %s is in use by weir with pid %ld; give this one another data_dir", dir, pid);
    return fail(ret_error, -EBUSY, "data_dir %s is in use by another weir; give this one another data_dir",
                dir);
}

/* The file stays when the lock is given up: removing it would let two weirs lock two files of the same name.
 */
static int take_lock(struct checkpoint_store *store, const char *dir, char **ret_error)
{
    char text[32];
    store->lock = openat(store->dir, "weir.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock < 0)
        return fail(ret_error, -errno, "data_dir %s can't be written: weir.lock: %s", dir, strerror(errno));
    if (flock(store->lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return lock_refused(store->lock, dir, ret_error);
        return fail(ret_error, -errno, "data_dir %s can't be locked: %s", dir, strerror(errno));
    }
    /* The pid is for the message above only: a full disk is no reason not to start. */
    int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    bool written = ftruncate(store->lock, 0) == 0 && pwrite(store->lock, text, (size_t)size, 0) == size;
    (void)written;
    return 0;
}

/* ---- The database -------------------------------------------------------------------------------- */

static int errno_of(sqlite3 *db, int code)
{
    int error = sqlite3_system_errno(db);
    switch (code & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return -EACCES;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    default:
        return error > 0 ? -error : -EIO;
    }
}

static int damaged(struct checkpoint_store *store, const char *why, char **ret_error)
{
    free(store->damage);
    store->damage = strdup(why);
    return fail(ret_error, -EUCLEAN,
                "%s is damaged (%s), and weir has no " CHECKPOINT_BACKUP
                " of it: bring one back from a backup of yours, or move it away to begin anew, as if no file "
                "had been read yet",
                store->path, why);
}

int checkpoint_store_error(struct checkpoint_store *store, const char *doing, char **ret_error)
{
    int code = sqlite3_extended_errcode(store->db);
    int r = errno_of(store->db, code);
    const char *why = sqlite3_errmsg(store->db);
    if (r == -EUCLEAN)
        return damaged(store, why, ret_error);
    int error = sqlite3_system_errno(store->db);
    if ((code & 0xff) == SQLITE_IOERR && error > 0)
        why = strerror(error);
    return fail(ret_error, r, "%s: %s: %s", store->path, doing, why);
}

static int execute(struct checkpoint_store *store, const char *sql, const char *doing, char **ret_error)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return checkpoint_store_error(store, doing, ret_error);
}

static int read_number(struct checkpoint_store *store, const char *sql, int64_t *ret, char **ret_error)
{
    sqlite3_stmt *statement = NULL;
    int r = 0;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        r = checkpoint_store_error(store, "can't be read", ret_error);
    else
        *ret = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return r;
}

static int create_table(struct checkpoint_store *store, char **ret_error)
{
    return execute(
        store,
        "BEGIN IMMEDIATE;"
        "CREATE TABLE stream(input TEXT NOT NULL, \"key\" TEXT NOT NULL, \"offset\" INTEGER NOT NULL,"
        " token INTEGER NOT NULL, meta BLOB, updated INTEGER NOT NULL,"
        " PRIMARY KEY(input, \"key\")) WITHOUT ROWID;"
        "PRAGMA application_id = " TEXT_OF(APPLICATION_ID) ";"
                                                           "PRAGMA user_version = " TEXT_OF(FORMAT) ";"
                                                                                                    "COMMIT",
        "can't be set up", ret_error);
}

/* Makes the table in a new file; refuses what is not ours, before anything is written to it. */
static int check_format(struct checkpoint_store *store, char **ret_error)
{
    int64_t id = 0, format = 0, objects = 0;
    int r = read_number(store, "PRAGMA application_id", &id, ret_error);
    if (r == 0)
        r = read_number(store, "PRAGMA user_version", &format, ret_error);
    if (r == 0)
        r = read_number(store, "SELECT count(*) FROM sqlite_master", &objects, ret_error);
    if (r < 0)
        return r;
    if (id == 0 && format == 0 && objects == 0) {
        /* One that weir has just made, or that a crash left before anything was in it; else it was emptied.
         */
        if (!store->made && checkpoint_store_has_backup(store))
            return damaged(store, "it is empty", ret_error);
        return create_table(store, ret_error);
    }
    if (id != APPLICATION_ID)
        return fail(ret_error, -EEXIST,
                    "%s is a database of another program: move it away, or set data_dir to another place",
                    store->path);
    if (format > FORMAT)
        return fail(ret_error, -ENOTSUP,
                    "%s was written by a newer weir (format %" PRId64 ", this one knows up to " TEXT_OF(
                        FORMAT) "): run that one, or move the file away to begin anew",
                    store->path, format);
    if (format != FORMAT)
        return damaged(store, "its format number makes no sense", ret_error);
    return 0;
}

static int prepare(struct checkpoint_store *store, sqlite3_stmt **ret, const char *sql, char **ret_error)
{
    if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK)
        return 0;
    /* A file with our numbers, but not our table. */
    if (sqlite3_errcode(store->db) == SQLITE_ERROR)
        return damaged(store, sqlite3_errmsg(store->db), ret_error);
    return checkpoint_store_error(store, "can't be read", ret_error);
}

int checkpoint_store_connect(struct checkpoint_store *store, char **ret_error)
{
    /* Made here and not by SQLite, for its mode; the log beside it takes that over. */
    int fd = openat(store->dir, CHECKPOINT_DB, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    store->made = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        fd = openat(store->dir, CHECKPOINT_DB, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat s;
    if (fd < 0 || fstat(fd, &s) < 0)
        return fail(ret_error, -errno, "%s can't be opened: %s", store->path, strerror(errno));
    close(fd);
    store->ino = s.st_ino;
    store->log_ino = 0;
    int code = sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_NOMEM || !store->db)
        return -ENOMEM;
    if (code != SQLITE_OK)
        return checkpoint_store_error(store, "can't be opened", ret_error);
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);

    int r = check_format(store, ret_error);
    if (r == 0)
        r = execute(store,
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -" CACHE_KIB,
                    "can't be set up", ret_error);
    if (r == 0)
        r = prepare(
            store, &store->put,
            "INSERT INTO stream(input, \"key\", \"offset\", token, meta, updated) VALUES(?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET \"offset\" = excluded.\"offset\", token = excluded.token,"
            " meta = excluded.meta, updated = excluded.updated",
            ret_error);
    if (r == 0)
        r = prepare(store, &store->remove, "DELETE FROM stream WHERE input = ? AND \"key\" = ?", ret_error);
    return r;
}

int checkpoint_store_open(const char *dir, struct checkpoint_store **ret, char **ret_error)
{
    *ret_error = NULL;
    struct checkpoint_store *store = calloc(1, sizeof(*store));
    if (!store)
        return -ENOMEM;
    store->dir = store->lock = -1;
    int r = asprintf(&store->path, "%s/checkpoint.db", dir) < 0 ? -ENOMEM : 0;
    if (r < 0)
        store->path = NULL;
    if (r == 0)
        r = open_dir(store, dir, ret_error);
    if (r == 0)
        r = take_lock(store, dir, ret_error);
    if (r == 0)
        r = checkpoint_store_connect(store, ret_error);
    if (r == -EUCLEAN)
        r = checkpoint_store_restore(store, r, ret_error);
    if (r == 0 && fsync(store->dir) < 0)
        r = fail(ret_error, -errno, "data_dir %s can't be synced: %s", dir, strerror(errno));
    if (r < 0) {
        checkpoint_store_close(store);
        return r;
    }
    *ret = store;
    return 0;
}

void checkpoint_store_disconnect(struct checkpoint_store *store)
{
    sqlite3_finalize(store->put);
    sqlite3_finalize(store->remove);
    sqlite3_close(store->db);
    store->put = store->remove = NULL;
    store->db = NULL;
}

void checkpoint_store_close(struct checkpoint_store *store)
{
    if (!store)
        return;
    checkpoint_store_disconnect(store);
    if (store->lock >= 0)
        close(store->lock);
    if (store->dir >= 0)
        close(store->dir);
    free(store->path);
    free(store->note);
    free(store->damage);
    free(store);
}

/* ---- Rows ---------------------------------------------------------------------------------------- */

static bool column_is_text(sqlite3_stmt *statement, int column, size_t max)
{
    if (sqlite3_column_type(statement, column) != SQLITE_TEXT)
        return false;
    const char *text = (const char *)sqlite3_column_text(statement, column);
    size_t size = (size_t)sqlite3_column_bytes(statement, column);
    return text && size > 0 && size <= max && strlen(text) == size;
}

static bool row_valid(sqlite3_stmt *statement)
{
    int meta = sqlite3_column_type(statement, 4);
    return column_is_text(statement, 0, SIZE_MAX) && column_is_text(statement, 1, CHECKPOINT_KEY_MAX) &&
           sqlite3_column_type(statement, 2) == SQLITE_INTEGER &&
           sqlite3_column_type(statement, 3) == SQLITE_INTEGER &&
           (meta == SQLITE_NULL ||
            (meta == SQLITE_BLOB && sqlite3_column_bytes(statement, 4) <= CHECKPOINT_META_MAX));
}

static struct checkpoint_row row_of(sqlite3_stmt *statement)
{
    return (struct checkpoint_row){
        .input = (const char *)sqlite3_column_text(statement, 0),
        .key = (const char *)sqlite3_column_text(statement, 1),
        .offset = (uint64_t)sqlite3_column_int64(statement, 2),
        .token = (uint64_t)sqlite3_column_int64(statement, 3),
        .meta = sqlite3_column_blob(statement, 4),
        .meta_size = (size_t)sqlite3_column_bytes(statement, 4),
    };
}

int checkpoint_store_read(struct checkpoint_store *store, int (*fn)(void *, const struct checkpoint_row *),
                          void *data, char **ret_error)
{
    sqlite3_stmt *statement = NULL;
    *ret_error = NULL;
    int code,
        r = prepare(store, &statement,
                    "SELECT input, \"key\", \"offset\", token, meta FROM stream ORDER BY input, \"key\"",
                    ret_error);
    if (r < 0)
        return r;
    while (r == 0 && (code = sqlite3_step(statement)) != SQLITE_DONE) {
        if (code != SQLITE_ROW) {
            r = checkpoint_store_error(store, "can't be read", ret_error);
        } else if (!row_valid(statement)) {
            r = damaged(store, "a row has values that weir does not write", ret_error);
        } else {
            struct checkpoint_row row = row_of(statement);
            r = fn(data, &row);
        }
    }
    sqlite3_finalize(statement);
    return r;
}

/* Texts and meta are bound without a copy: the row outlives the step. */
static bool write_row(struct checkpoint_store *store, const struct checkpoint_row *row, int64_t now)
{
    sqlite3_stmt *statement = row->remove ? store->remove : store->put;
    bool ok = sqlite3_bind_text(statement, 1, row->input, -1, SQLITE_STATIC) == SQLITE_OK &&
              sqlite3_bind_text(statement, 2, row->key, -1, SQLITE_STATIC) == SQLITE_OK;
    if (ok && !row->remove) {
        ok = sqlite3_bind_int64(statement, 3, (int64_t)row->offset) == SQLITE_OK &&
             sqlite3_bind_int64(statement, 4, (int64_t)row->token) == SQLITE_OK &&
             sqlite3_bind_blob(statement, 5, row->meta, (int)row->meta_size, SQLITE_STATIC) == SQLITE_OK &&
             sqlite3_bind_int64(statement, 6, now) == SQLITE_OK;
    }
    return ok && sqlite3_step(statement) == SQLITE_DONE;
}

static int write_rows(struct checkpoint_store *store, const struct checkpoint_row *rows, size_t count,
                      bool remove, char **ret_error)
{
    sqlite3_stmt *statement = remove ? store->remove : store->put;
    int64_t now = (int64_t)time(NULL);
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (rows[i].remove != remove)
            continue;
        if (!write_row(store, &rows[i], now))
            r = checkpoint_store_error(store, "positions can't be written now", ret_error);
        sqlite3_reset(statement);
        WEIR_KILL_POINT("checkpoint-within");
    }
    sqlite3_clear_bindings(statement);
    return r;
}

int checkpoint_store_write(struct checkpoint_store *store, const struct checkpoint_row *rows, size_t count,
                           char **ret_error)
{
    static const char doing[] = "positions can't be written now";
    *ret_error = NULL;
    WEIR_KILL_POINT("checkpoint-before");
    int r = execute(store, "BEGIN IMMEDIATE", doing, ret_error);
    if (r < 0)
        return r;
    if (store->replaces)
        r = execute(store, "DELETE FROM stream", doing, ret_error);
    if (r == 0)
        r = write_rows(store, rows, count, true, ret_error);
    if (r == 0)
        r = write_rows(store, rows, count, false, ret_error);
    WEIR_KILL_POINT("checkpoint-commit");
    if (r == 0)
        r = execute(store, "COMMIT", doing, ret_error);
    WEIR_KILL_POINT("checkpoint-after");
    store->replaces &= r < 0;
    if (r < 0 && !sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}
