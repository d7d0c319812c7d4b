/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a segment of a spool, and as what is acknowledged of one. What is found lies within the bytes,
 * in order, and is written as it was read; a spool opens on it or refuses it with a sentence, and comes to
 * its end.
 */
#include "fuzz.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"
#include "spool.h"
#include "spool_format.h"

static void walk(const uint8_t *data, size_t size)
{
    struct spool_chunk_head head;
    uint8_t again[SPOOL_CHUNK_HEAD];
    uint64_t least = 0;
    size_t at = 0, found;

    while (spool_find_chunk(data, size, at, least, &head, &found) == 0) {
        FUZZ_CHECK(found >= at && head.number >= least && spool_chunk_size(&head) <= size - found);
        spool_body_is_good(&head, data + found + SPOOL_CHUNK_HEAD);
        spool_put_chunk(again, &head);
        FUZZ_CHECK(!memcmp(again, data + found, sizeof(again)));
        at = found + (size_t)spool_chunk_size(&head);
        if (head.number == UINT64_MAX)
            break;
        least = head.number + 1;
    }
}

static void acks(const uint8_t *data, size_t size)
{
    struct spool_acks a;
    size_t again_size;

    if (spool_get_acks(data, size, &a) < 0)
        return;
    for (size_t i = 0; i < a.count; i++)
        FUZZ_CHECK(spool_acks_item(&a, a.items[i].number) == &a.items[i]);
    uint8_t *again = spool_put_acks(&a, &again_size);
    FUZZ_CHECK(again && again_size == size);
    free(again);
    spool_free_acks(&a);
}

/* -- A spool with that segment ------------------------------------------------------------------------- */

static char folder[64];

static void clean(const char *below)
{
    char command[160];

    snprintf(command, sizeof(command), "rm -rf %s/%s", folder, below);
    FUZZ_CHECK(system(command) == 0);
}

static void remove_folder(void)
{
    clean("");
}

static void make_folder(void)
{
    log_setup(0, LOG_TEXT);
    strcpy(folder, "/dev/shm/fuzz_spool.XXXXXX");
    FUZZ_CHECK(mkdtemp(folder));
    atexit(remove_folder);
}

static void drain(struct spool *s)
{
    struct spool_chunk c;
    int rc;

    while ((rc = spool_peek(s, &c)) == 1) {
        uint8_t *records = malloc(c.size);
        FUZZ_CHECK(records);
        rc = spool_read(s, records);
        free(records);
        FUZZ_CHECK(rc == 0 || rc == -EBADMSG);
        if (rc == 0)
            spool_entry_done(spool_take(s, 1), true);
    }
    FUZZ_CHECK(rc == 0);
}

static void open_on(const uint8_t *data, size_t size)
{
    const struct spool_settings settings = {folder, "x", "x", 1 << 20};
    char path[256], *name = spool_name("x"), *why = NULL;
    struct spool *s;

    snprintf(path, sizeof(path), "%s/spool", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/spool/%s", folder, name);
    free(name);
    mkdir(path, 0700);
    strcat(path, "/00000000000000000001.seg");
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f && fwrite(data, 1, size, f) == size);
    fclose(f);
    if (spool_open(&settings, &s, &why) == 0) {
        drain(s);
        spool_close(s);
    } else {
        FUZZ_CHECK(why);
    }
    free(why);
    unlink(path);
    *strrchr(path, '/') = '\0';
    name = strdup(path);
    FUZZ_CHECK(name);
    static const char *const left[] = {"acks", "damaged-00000000000000000001-0"};
    for (size_t i = 0; i < sizeof(left) / sizeof(*left); i++) {
        snprintf(path, sizeof(path), "%.150s/%s", name, left[i]);
        unlink(path);
    }
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned runs;

    if (!*folder)
        make_folder();
    uint8_t *copy = fuzz_copy(data, size);
    walk(copy, size);
    acks(copy, size);
    open_on(copy, size);
    free(copy);
    if (++runs % 1000 == 0)
        clean("spool"); /* what was set aside */
    return 0;
}
