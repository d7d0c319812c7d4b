/* SPDX-License-Identifier: Apache-2.0 */
/* The spool on disk: what goes in comes out, in order, after a restart as well; torn at every byte, and with
 * every byte damaged, it gives what is whole and nothing else. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"
#include "spool.h"
#include "spool_format.h"
#include "spool_sync.h"

enum { CHUNKS = 4, LIMIT = 1 << 20 };

static char data_dir[64];
static struct spool *spool;
static int sync_fails; /* errno of every fdatasync, or 0 */

/* In front of the library's. */
int fdatasync(int fd)
{
    if (!sync_fails)
        return (int)syscall(SYS_fdatasync, fd);
    errno = sync_fails;
    return -1;
}

static size_t disk_room = SIZE_MAX; /* of a disk that has no more */

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    size_t all = 0;

    for (int i = 0; i < count; i++)
        all += parts[i].iov_len;
    if (all <= disk_room) {
        disk_room -= disk_room == SIZE_MAX ? 0 : all;
        return syscall(SYS_writev, fd, parts, count);
    }
    errno = ENOSPC;
    return -1;
}

static size_t bytes_read;

ssize_t pread(int fd, void *data, size_t size, off_t at)
{
    bytes_read += size;
    return syscall(SYS_pread64, fd, data, size, at);
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    char below[512];

    for (const struct dirent *d; dir && (d = readdir(dir));) {
        if (d->d_name[0] == '.')
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, d->d_name);
        remove_tree(below);
    }
    if (dir)
        closedir(dir);
    remove(path);
}

static void open_spool(void)
{
    const struct spool_settings settings = {data_dir, "lines:/x", "wire", LIMIT};
    char *why = NULL;

    ck_assert_msg(spool_open(&settings, &spool, &why) == 0, "%s", why);
}

static void set_up(void)
{
    log_setup(0, LOG_TEXT);
    strcpy(data_dir, "/dev/shm/test_spool.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(data_dir));
    open_spool();
}

static void tear_down(void)
{
    spool_close(spool);
    remove_tree(data_dir);
}

static void restart(void)
{
    spool_close(spool);
    open_spool();
}

static bool put(unsigned number)
{
    char text[32];
    bool next;
    const struct spool_chunk c = {.tag = "the.tag",
                                  .topic = "topic",
                                  .data = (uint8_t *)text,
                                  .size = (size_t)snprintf(text, sizeof(text), "chunk %u", number),
                                  .records = 1};

    ck_assert_int_eq(spool_append(spool, &c, &next), 0);
    return next;
}

/* The next chunk's number, taken; -1: there is none. */
static int take(struct spool_entry **ret)
{
    struct spool_chunk c;
    char text[64] = "";
    unsigned number;
    int rc;

    while ((rc = spool_peek(spool, &c)) == 1) {
        ck_assert_uint_lt(c.size, sizeof(text));
        rc = spool_read(spool, (uint8_t *)text);
        if (rc == -EBADMSG)
            continue;
        ck_assert_int_eq(rc, 0);
        ck_assert_str_eq(c.tag, "the.tag");
        ck_assert_str_eq(c.topic, "topic");
        text[c.size] = '\0';
        ck_assert_int_eq(sscanf(text, "chunk %u", &number), 1);
        *ret = spool_take(spool, 2);
        return (int)number;
    }
    ck_assert_int_eq(rc, 0);
    return -1;
}

static int take_done(void)
{
    struct spool_entry *entry;
    int number = take(&entry);

    if (number >= 0)
        spool_entry_done(entry, true);
    return number;
}

static struct spool_stats look(void)
{
    struct spool_stats stats;

    spool_look(spool, &stats);
    return stats;
}

START_TEST(test_order)
{
    ck_assert(put(0));
    ck_assert(!put(1)); /* 0 was not taken */
    ck_assert_int_eq(take_done(), 0);
    ck_assert_int_eq(take_done(), 1);
    ck_assert_int_eq(take_done(), -1);
    ck_assert(put(2));
    ck_assert_uint_eq(look().chunks, 1);
    restart();
    ck_assert_uint_eq(look().chunks, 1);
    put(3);
    ck_assert_int_eq(take_done(), 2);
    ck_assert_int_eq(take_done(), 3);
    ck_assert_int_eq(take_done(), -1);
}
END_TEST

START_TEST(test_acknowledged)
{
    struct spool_entry *entries[CHUNKS];

    for (unsigned i = 0; i < CHUNKS; i++)
        put(i);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(take(&entries[i]), (int)i);
    spool_entry_note(entries[0], 17);
    spool_entry_done(entries[1], true);
    spool_entry_done(entries[0], false);
    spool_entry_done(entries[2], false);
    for (int again = 0; again < 2; again++) { /* what was known and not taken yet is kept */
        restart();
        ck_assert_uint_eq(look().chunks, 3);
    }
    ck_assert_int_eq(take(&entries[0]), 0);
    ck_assert(spool_entry_had(entries[0], 17));
    ck_assert(!spool_entry_had(entries[0], 18));
    ck_assert_int_eq(take(&entries[2]), 2);
    ck_assert(!spool_entry_had(entries[2], 17));
    spool_entry_done(entries[2], true);
    spool_entry_done(entries[0], false);
    restart();
    ck_assert_int_eq(take(&entries[0]), 0);
    ck_assert(spool_entry_had(entries[0], 17));
    spool_entry_done(entries[0], true);
    ck_assert_int_eq(take_done(), 3);
    ck_assert_int_eq(take_done(), -1);
}
END_TEST

/* Numbers never come again, or new chunks would count as acknowledged. */
START_TEST(test_numbers_go_on)
{
    put(0);
    put(1);
    take_done();
    take_done();
    restart();
    put(2);
    restart();
    ck_assert_int_eq(take_done(), 2);
}
END_TEST

static size_t segments_on_disk(uint64_t *ret_bytes)
{
    DIR *dir = opendir(spool_path(spool));
    size_t count = 0;
    struct stat st;
    char path[512];

    *ret_bytes = 0;
    for (const struct dirent *d; (d = readdir(dir));) {
        if (!strstr(d->d_name, ".seg"))
            continue;
        snprintf(path, sizeof(path), "%s/%s", spool_path(spool), d->d_name);
        ck_assert_int_eq(stat(path, &st), 0);
        *ret_bytes += (uint64_t)st.st_size;
        count++;
    }
    closedir(dir);
    return count;
}

START_TEST(test_segments_are_recycled)
{
    static uint8_t data[10000];
    struct spool_chunk c = {.tag = "t", .topic = "", .data = data, .size = sizeof(data), .records = 1}, found;
    uint64_t bytes;
    unsigned written = 0;
    bool next;

    for (; spool_has_room(spool); written++)
        ck_assert_int_eq(spool_append(spool, &c, &next), 0);
    ck_assert_uint_ge(segments_on_disk(&bytes), 7);
    ck_assert_uint_eq(look().bytes, bytes);
    for (unsigned i = 0; i < written; i++) {
        ck_assert_int_eq(spool_peek(spool, &found), 1);
        ck_assert_int_eq(spool_read(spool, data), 0);
        spool_entry_done(spool_take(spool, 1), true);
    }
    ck_assert(spool_recycle(spool));
    ck_assert_uint_eq(segments_on_disk(&bytes), 1);
    ck_assert_uint_eq(look().bytes, bytes);
    ck_assert_int_eq(spool_append(spool, &c, &next), 0);
    ck_assert(next);
}
END_TEST

static const struct spool_chunk a_chunk = {
    .tag = "t", .topic = "", .data = (const uint8_t *)"records", .size = 7, .records = 1};

/* There is room for the head of a segment, and none for a chunk: again and again, and then there is. */
START_TEST(test_disk_full_and_back)
{
    uint64_t bytes;
    bool next;

    put(0);
    for (int i = 0; i < 3; i++) {
        disk_room = SPOOL_SEGMENT_HEAD;
        ck_assert_int_eq(spool_append(spool, &a_chunk, &next), -ENOSPC);
    }
    ck_assert_uint_eq(segments_on_disk(&bytes), 1);
    ck_assert_uint_eq(look().bytes, bytes);
    disk_room = SIZE_MAX;
    ck_assert(!put(1));
    restart();
    ck_assert_int_eq(take_done(), 0);
    ck_assert_int_eq(take_done(), 1);
    ck_assert_int_eq(take_done(), -1);
}
END_TEST

/* One chunk takes all the room. */
START_TEST(test_a_chunk_as_large_as_the_limit)
{
    struct spool_chunk c = {.tag = "t", .topic = "", .size = LIMIT, .records = 1}, found;
    bool next;

    c.data = calloc(1, LIMIT);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(spool_append(spool, &c, &next), 0);
        ck_assert(next);
        ck_assert(!spool_has_room(spool));
        ck_assert_int_eq(spool_peek(spool, &found), 1);
        struct spool_entry *entry = spool_take(spool, 1);
        spool_recycle(spool);
        ck_assert(!spool_has_room(spool));
        spool_entry_done(entry, true);
        spool_recycle(spool);
        ck_assert(spool_has_room(spool));
        ck_assert_uint_eq(look().bytes, 0);
    }
    free((void *)c.data);
}
END_TEST

/* Nobody asks what is to be synced, until one more is full than can be remembered. */
START_TEST(test_a_failed_sync_on_the_way_is_told)
{
    static uint8_t data[60000];
    struct spool_chunk c = {.tag = "t", .topic = "", .data = data, .size = sizeof(data), .records = 1};
    bool next;

    sync_fails = EIO;
    for (int i = 0; i < 66 * 3; i++)
        ck_assert_int_eq(spool_append(spool, &c, &next), 0);
    ck_assert_int_eq(spool_take_sync_error(spool), -EIO);
    ck_assert_int_eq(spool_take_sync_error(spool), 0);
    sync_fails = 0;
    ck_assert_int_eq(spool_sync_all(spool), 0);
}
END_TEST

static void never(void *data, int rc)
{
    (void)data;
    (void)rc;
}

START_TEST(test_what_was_under_way_at_the_stop_is_told)
{
    struct weir_loop *loop = loop_create();
    struct spool_sync *sync = spool_sync_create(loop, never, NULL);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    sync_fails = ENOSPC;
    spool_sync_begin(sync, &fd, 1);
    ck_assert_int_eq(spool_sync_stop(sync), -ENOSPC);
    ck_assert_int_eq(spool_sync_stop(sync), -ENOSPC);
    sync_fails = 0;
    loop_destroy(loop); /* the call that tells of it lies there yet */
    spool_sync_free(sync);
}
END_TEST

/* -- Damage ----------------------------------------------------------------------------------------- */

static char segment[512];
static uint8_t bytes[4096];
static size_t size, ends[CHUNKS + 1];
static char follower[512]; /* the next one, where there is one */
static uint8_t follower_bytes[4096];
static size_t follower_size;

static size_t read_file(const char *path, uint8_t *to, size_t room)
{
    FILE *f = fopen(path, "rb");

    ck_assert_ptr_nonnull(f);
    size_t n = fread(to, 1, room, f);
    fclose(f);
    return n;
}

/* One segment of a few chunks, and its bytes. */
static void make_segment(void)
{
    struct stat st;

    snprintf(segment, sizeof(segment), "%s/00000000000000000001.seg", spool_path(spool));
    for (unsigned i = 0; i < CHUNKS; i++) {
        put(i);
        ck_assert_int_eq(stat(segment, &st), 0);
        ends[i + 1] = (size_t)st.st_size;
    }
    ends[0] = SPOOL_SEGMENT_HEAD;
    size = read_file(segment, bytes, sizeof(bytes));
    ck_assert_uint_eq(size, ends[CHUNKS]);
}

static void write_file(const char *path, const uint8_t *data, size_t n)
{
    FILE *f = fopen(path, "wb");

    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    fclose(f);
}

/* Opens a spool that has just these bytes. */
static void reopen_with(const uint8_t *data, size_t n)
{
    char *folder = strdup(spool_path(spool));

    spool_close(spool);
    remove_tree(folder);
    ck_assert_int_eq(mkdir(folder, 0750), 0);
    free(folder);
    write_file(segment, data, n);
    if (follower_size)
        write_file(follower, follower_bytes, follower_size);
    open_spool();
}

START_TEST(test_torn_at_every_byte)
{
    struct stat st;

    make_segment();
    for (size_t n = 0; n <= size; n++) {
        unsigned whole = 0;
        while (whole < CHUNKS && ends[whole + 1] <= n)
            whole++;
        reopen_with(bytes, n);
        ck_assert_uint_eq(look().chunks, whole);
        ck_assert_uint_eq(look().damaged, 0);
        ck_assert_uint_eq(look().cut, n < SPOOL_SEGMENT_HEAD ? n : n - ends[whole]);
        if (whole) {
            ck_assert_int_eq(stat(segment, &st), 0);
            ck_assert_uint_eq((size_t)st.st_size, ends[whole]);
        } else {
            ck_assert_int_lt(stat(segment, &st), 0);
        }
        for (unsigned i = 0; i < whole; i++)
            ck_assert_int_eq(take_done(), (int)i);
        ck_assert_int_eq(take_done(), -1);
        ck_assert(put(99)); /* it is as usable as any */
        ck_assert_int_eq(take_done(), 99);
    }
}
END_TEST

/* The chunks of the segment but one, and what is in the next one. */
static void assert_all_but(unsigned missed)
{
    for (unsigned i = 0; i < CHUNKS; i++)
        if (i + 1 != missed)
            ck_assert_int_eq(take_done(), (int)i);
    ck_assert_int_eq(take_done(), 99);
    ck_assert_int_eq(take_done(), -1);
    ck_assert_uint_eq(look().damaged, 1);
    ck_assert_uint_eq(look().cut, 0);
    ck_assert_uint_eq(look().chunks, 0);
}

/* A bit of every byte of a segment that another follows: nothing of it is a torn end. */
START_TEST(test_damaged_before_another)
{
    make_segment();
    restart();
    put(99);
    snprintf(follower, sizeof(follower), "%s/00000000000000000005.seg", spool_path(spool));
    follower_size = read_file(follower, follower_bytes, sizeof(follower_bytes));
    for (size_t at = 0; at < size; at++) {
        unsigned hit = 0;
        while (at >= ends[hit])
            hit++;
        bytes[at] ^= (uint8_t)(1 << at % 8);
        reopen_with(bytes, size);
        bytes[at] ^= (uint8_t)(1 << at % 8);
        assert_all_but(hit);
    }
    for (size_t n = 0; n < size; n++) {
        unsigned whole = 0;
        while (whole < CHUNKS && ends[whole + 1] <= n)
            whole++;
        reopen_with(bytes, n);
        for (unsigned i = 0; i < whole; i++)
            ck_assert_int_eq(take_done(), (int)i);
        ck_assert_int_eq(take_done(), 99);
        ck_assert_uint_eq(look().damaged, n != ends[whole]);
    }
}
END_TEST

/* A spool may be larger than what can be read in a start's time. */
START_TEST(test_start_reads_heads_only)
{
    static uint8_t data[60000];
    struct spool_chunk c = {.tag = "t", .topic = "", .data = data, .size = sizeof(data), .records = 1};
    uint64_t on_disk;
    bool next;

    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(spool_append(spool, &c, &next), 0);
    ck_assert_uint_ge(segments_on_disk(&on_disk), 5);
    bytes_read = 0;
    restart();
    ck_assert_uint_eq(look().chunks, 16);
    ck_assert_uint_eq(look().bytes, on_disk);
    ck_assert_uint_lt(bytes_read, on_disk / 4); /* the last segment, and heads */
}
END_TEST

/* A bit of every byte: only the chunk that it is in is missed. */
START_TEST(test_damaged_at_every_byte)
{
    make_segment();
    for (size_t at = 0; at < size; at++) {
        unsigned hit = 0; /* in the head of the segment: all are there */
        bytes[at] ^= (uint8_t)(1 << at % 8);
        while (at >= ends[hit])
            hit++;
        reopen_with(bytes, size);
        for (unsigned i = 0; i < CHUNKS; i++)
            if (i + 1 != hit)
                ck_assert_int_eq(take_done(), (int)i);
        ck_assert_int_eq(take_done(), -1);
        ck_assert_uint_eq(look().damaged, hit != CHUNKS); /* the last one is a torn end */
        ck_assert_uint_eq(look().cut, hit == CHUNKS ? ends[CHUNKS] - ends[CHUNKS - 1] : 0);
        ck_assert_uint_eq(look().chunks, 0);
        spool_recycle(spool);
        ck_assert_uint_eq(look().bytes, 0);
        bytes[at] ^= (uint8_t)(1 << at % 8);
    }
}
END_TEST

/* The same while the spool is open: it finds the next chunk by itself. */
START_TEST(test_damaged_while_open)
{
    make_segment();
    for (size_t at = SPOOL_SEGMENT_HEAD; at < size; at++) {
        unsigned hit = 0;
        while (at >= ends[hit])
            hit++;
        reopen_with(bytes, size);
        int fd = open(segment, O_WRONLY);
        uint8_t wrong = bytes[at] ^ 0x20;
        ck_assert_int_eq(pwrite(fd, &wrong, 1, (off_t)at), 1);
        close(fd);
        for (unsigned i = 0; i < CHUNKS; i++)
            if (i + 1 != hit)
                ck_assert_int_eq(take_done(), (int)i);
        ck_assert_int_eq(take_done(), -1);
        ck_assert_uint_eq(look().damaged, 1);
        ck_assert_uint_eq(look().chunks, 0);
    }
}
END_TEST

/* It has become shorter: what is whole comes, and what is gone is told. */
START_TEST(test_cut_while_open)
{
    make_segment();
    for (size_t n = SPOOL_SEGMENT_HEAD; n < size; n++) {
        int whole = 0;
        while (ends[whole + 1] <= n)
            whole++;
        reopen_with(bytes, size);
        ck_assert_int_eq(truncate(segment, (off_t)n), 0);
        for (int i = 0; i < whole; i++)
            ck_assert_int_eq(take_done(), i);
        ck_assert_int_eq(take_done(), -1);
        ck_assert_uint_ge(look().damaged, 1);
        ck_assert_uint_eq(look().chunks, 0);
    }
}
END_TEST

static void replace(const char *name, const uint8_t *data, size_t n)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/%s", spool_path(spool), name);
    write_file(path, data, n);
}

static void refused(const char *what)
{
    const struct spool_settings settings = {data_dir, "lines:/x", "wire", LIMIT};
    struct spool *other;
    char *why = NULL;

    ck_assert_int_lt(spool_open(&settings, &other, &why), 0);
    ck_assert_msg(why && strstr(why, what), "%s", why);
    free(why);
}

START_TEST(test_newer_versions_are_refused)
{
    uint8_t head[SPOOL_SEGMENT_HEAD];

    spool_put_segment(head, &(struct spool_segment_head){.version = SPOOL_VERSION + 1, .first = 7});
    replace("00000000000000000007.seg", head, sizeof(head));
    refused("00000000000000000007.seg: it was written by a newer weir");
}
END_TEST

START_TEST(test_damaged_acks_mean_again)
{
    for (unsigned i = 0; i < CHUNKS; i++)
        put(i);
    take_done();
    spool_write_acks(spool);
    replace("acks", (const uint8_t *)"WEIRACK\nnonsense", 16);
    struct spool *first = spool; /* as after a kill: nobody has closed it */
    open_spool();
    ck_assert_uint_eq(look().chunks, CHUNKS);
    ck_assert_int_eq(take_done(), 0);
    spool_close(first);
}
END_TEST

START_TEST(test_acks_bytes)
{
    uint64_t outputs[] = {5, 6};
    struct spool_acks_item items[] = {{10, 2, 0}, {12, 0, 2}};
    const struct spool_acks a = {
        .low = 10, .next = 20, .items = items, .count = 2, .outputs = outputs, .output_count = 2};
    struct spool_acks b;
    size_t n;
    uint8_t *data = spool_put_acks(&a, &n);

    ck_assert_int_eq(spool_get_acks(data, n, &b), 0);
    ck_assert(spool_acks_has(&b, 9) && spool_acks_has(&b, 11) && spool_acks_has(&b, 19));
    ck_assert(!spool_acks_has(&b, 10) && !spool_acks_has(&b, 12) && !spool_acks_has(&b, 20));
    for (uint64_t from = 8; from < 24; from++)
        for (uint64_t to = from; to < 24; to++) {
            uint64_t open = 0;
            for (uint64_t number = from; number < to; number++)
                open += !spool_acks_has(&b, number);
            ck_assert_uint_eq(spool_acks_open(&b, from, to), open);
        }
    spool_free_acks(&b);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(spool_get_acks(data, i, &b), -EBADMSG);
        data[i] ^= 4;
        ck_assert_int_eq(spool_get_acks(data, n, &b), -EBADMSG);
        data[i] ^= 4;
    }
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool");
    TCase *tests = tcase_create("spool");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_order);
    tcase_add_test(tests, test_acknowledged);
    tcase_add_test(tests, test_numbers_go_on);
    tcase_add_test(tests, test_segments_are_recycled);
    tcase_add_test(tests, test_disk_full_and_back);
    tcase_add_test(tests, test_a_chunk_as_large_as_the_limit);
    tcase_add_test(tests, test_a_failed_sync_on_the_way_is_told);
    tcase_add_test(tests, test_what_was_under_way_at_the_stop_is_told);
    tcase_add_test(tests, test_torn_at_every_byte);
    tcase_add_test(tests, test_damaged_at_every_byte);
    tcase_add_test(tests, test_damaged_before_another);
    tcase_add_test(tests, test_start_reads_heads_only);
    tcase_add_test(tests, test_damaged_while_open);
    tcase_add_test(tests, test_cut_while_open);
    tcase_add_test(tests, test_newer_versions_are_refused);
    tcase_add_test(tests, test_damaged_acks_mean_again);
    tcase_add_test(tests, test_acks_bytes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
