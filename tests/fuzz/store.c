/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint store whose file was damaged: some bytes of a good one are replaced. It is opened, read and
 * written, or refused with a sentence; rows keep within their limits. With a backup beside it, it is never
 * refused.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "checkpoint_store.h"

enum { NEW_FOLDER = 0x20, BACKUP = 0x40, LOCKED = 0x80 }; /* of the first byte */

static char folder[64], database[96];
static uint8_t good[1 << 16];
static size_t good_size;

static void clean(void)
{
    static const char *const names[] = {
        "checkpoint.db",         "checkpoint.db-wal",      "checkpoint.db-shm",
        "checkpoint.db-journal", "checkpoint.db-backup",   "checkpoint.backup",
        "checkpoint.damaged",    "checkpoint.damaged-wal", "weir.lock"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
}

static void remove_folder(void)
{
    clean();
    rmdir(folder);
}

/* A store of a few rows, kept in memory. */
static void make_good(void)
{
    static const struct checkpoint_row rows[] = {
        {"tail:/var/log/a.log", "1:2:3", 100, 7, "meta", 4, false},
        {"tail:/var/log/a.log", "1:2:4", UINT64_MAX, UINT64_MAX, NULL, 0, false},
        {"other", "key", 0, 0, "", 0, false},
    };
    struct checkpoint_store *store;
    char *error = NULL;
    strcpy(folder, "/dev/shm/fuzz_store.XXXXXX");
    FUZZ_CHECK(mkdtemp(folder));
    atexit(remove_folder);
    snprintf(database, sizeof database, "%s/checkpoint.db", folder);
    FUZZ_CHECK(!checkpoint_store_open(folder, &store, &error));
    FUZZ_CHECK(!checkpoint_store_write(store, rows, sizeof rows / sizeof *rows, &error));
    checkpoint_store_close(store);
    FILE *file = fopen(database, "rb");
    FUZZ_CHECK(file);
    good_size = fread(good, 1, sizeof good, file);
    fclose(file);
    FUZZ_CHECK(good_size > 0 && good_size < sizeof good);
}

static void write_file(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static void write_damaged(struct fuzz_input in)
{
    size_t size = good_size;
    static uint8_t bytes[sizeof good];
    memcpy(bytes, good, good_size);
    if (fuzz_byte(&in) % 8 == 0) {
        size = (fuzz_byte(&in) << 8 | fuzz_byte(&in)) % good_size;
    }
    while (in.size >= 4) {
        size_t at = (fuzz_byte(&in) << 16 | fuzz_byte(&in) << 8 | fuzz_byte(&in)) % good_size;
        bytes[at] = (uint8_t)fuzz_byte(&in);
    }
    write_file(database, bytes, size);
}

static int on_row(void *data, const struct checkpoint_row *row)
{
    (void)data;
    size_t key = strlen(row->key);
    FUZZ_CHECK(strlen(row->input) < SIZE_MAX && key <= CHECKPOINT_KEY_MAX);
    FUZZ_CHECK(row->meta_size <= CHECKPOINT_META_MAX && (row->meta || row->meta_size == 0));
    return 0;
}

/* A row more, one less, and a copy of all. */
static int use(struct checkpoint_store *store, char **ret_error)
{
    static const struct checkpoint_row rows[] = {{"new", "key", 1, 2, "m", 1, false},
                                                 {"other", "key", 0, 0, NULL, 0, true}};
    int r = checkpoint_store_read(store, on_row, NULL, ret_error);
    if (r == 0) {
        r = checkpoint_store_write(store, rows, 2, ret_error);
    }
    return r == 0 ? checkpoint_store_backup(store, ret_error) : r;
}

/* Two weirs in one data_dir: the second one is told so. */
static void open_again(void)
{
    struct checkpoint_store *store;
    char *error = NULL;
    int r = checkpoint_store_open(folder, &store, &error);
    FUZZ_CHECK((r == -EBUSY && error && strstr(error, fuzz_failed() ? "in use by" : "in use by weir")) ||
               (r < 0 && fuzz_failed()));
    free(error);
}

static void run(const uint8_t *data, size_t size)
{
    struct checkpoint_store *store;
    char *error = NULL, backup[128];
    unsigned flags = size ? data[0] : 0;
    if (!good_size) {
        make_good();
    }
    clean();
    write_damaged((struct fuzz_input){data, size});
    snprintf(backup, sizeof backup, "%s/checkpoint.backup", folder);
    if (flags & BACKUP) {
        write_file(backup, good, good_size);
    }
    if (flags & NEW_FOLDER) {
        clean();
        FUZZ_CHECK(rmdir(folder) == 0);
    }
    fuzz_tested(true);
    int r = checkpoint_store_open(folder, &store, &error);
    FUZZ_CHECK((r == 0) == (error == NULL) || fuzz_failed());
    FUZZ_CHECK(!(flags & BACKUP) || r != -EUCLEAN || fuzz_failed());
    if (r == 0) {
        free(checkpoint_store_take_note(store));
        r = use(store, &error);
        FUZZ_CHECK((r == 0) == (error == NULL) || fuzz_failed());
        if (flags & LOCKED) {
            open_again();
        }
        if (r == -EUCLEAN) {
            checkpoint_store_set_aside(store);
        }
        checkpoint_store_close(store);
    }
    fuzz_tested(false);
    if (access(folder, F_OK) < 0)
        FUZZ_CHECK(mkdir(folder, 0700) == 0);
    free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_with_failure(run, data, size);
    return 0;
}
