/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of checkpoints: a data_dir of their own, and a disk that is full when they say so. */
#ifndef CHECKPOINT_FIXTURE_H
#define CHECKPOINT_FIXTURE_H

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char fixture_dir[256];
static _Atomic bool fixture_disk_full;
static void (*fixture_in_pwrite)(void); /* called once, in the middle of the next write */

static inline const char *fixture_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", fixture_dir, name);
    return path;
}

static ssize_t fixture_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    void (*fn)(void) = fixture_in_pwrite;
    fixture_in_pwrite = NULL;
    if (fn)
        fn();
    if (!fixture_disk_full)
        return pwrite(fd, data, size, offset);
    errno = ENOSPC;
    return -1;
}

/* SQLite's own hook for this. Which of the two it calls is a matter of how it was built. */
static inline void fixture_hook_sqlite(void)
{
    sqlite3_initialize();
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    ck_assert_int_eq(vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)fixture_pwrite), SQLITE_OK);
    ck_assert_int_eq(vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)fixture_pwrite), SQLITE_OK);
}

static inline void fixture_setup(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(fixture_dir, sizeof(fixture_dir), "%s/weir-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(fixture_dir));
    fixture_disk_full = false;
    fixture_hook_sqlite();
}

static inline void fixture_teardown(void)
{
    DIR *dir = opendir(fixture_dir);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ck_assert_int_eq(unlinkat(dirfd(dir), entry->d_name, 0), 0);
    closedir(dir);
    ck_assert_int_eq(rmdir(fixture_dir), 0);
}

/* Runs SQL on the store's file from outside, as an operator might. */
static inline void fixture_sql(const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    ck_assert_int_eq(sqlite3_open(fixture_path("checkpoint.db"), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        ck_abort_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

#endif
