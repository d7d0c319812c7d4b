/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint store whose file was damaged: some bytes of a good one are replaced. It is opened and read, or
 * refused with a sentence; rows keep within their limits.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "checkpoint_store.h"

static char folder[64], database[96];
static uint8_t good[1 << 16];
static size_t good_size;

static void clean(void)
{
    static const char *const names[] = {"checkpoint.db", "checkpoint.db-wal", "checkpoint.db-shm",
                                        "checkpoint.db-journal", "weir.lock"};
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
    int fd = open(database, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static int on_row(void *data, const struct checkpoint_row *row)
{
    (void)data;
    size_t key = strlen(row->key);
    FUZZ_CHECK(strlen(row->input) < SIZE_MAX && key <= CHECKPOINT_KEY_MAX);
    FUZZ_CHECK(row->meta_size <= CHECKPOINT_META_MAX && (row->meta || row->meta_size == 0));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct checkpoint_store *store;
    char *error = NULL;
    if (!good_size) {
        make_good();
    }
    clean();
    write_damaged((struct fuzz_input){data, size});
    int r = checkpoint_store_open(folder, &store, &error);
    if (r == 0) {
        r = checkpoint_store_read(store, on_row, NULL, &error);
        checkpoint_store_close(store);
    }
    FUZZ_CHECK((r == 0) == (error == NULL));
    free(error);
    return 0;
}
