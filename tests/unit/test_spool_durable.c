/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is told what after which sync: nobody hears that something is on disk which may not be. An input and a
 * loop of the test's own; the disk is asked in the test's fdatasync.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "engine.h"
#include "input.h"
#include "log.h"
#include "loop.h"
#include "spool_durable.h"

static struct checkpoint *checkpoint;
static struct weir_stream *stream;
static struct spool *spool;
static struct spool_durable *durable;
static struct input in;
static char data_dir[64];
static atomic_int sync_fails, syncs;
static int told; /* to the last call; 1: nothing yet */

struct checkpoint *engine_checkpoint(struct engine *e)
{
    (void)e;
    return checkpoint;
}

/* In front of the library's. */
int fdatasync(int fd)
{
    atomic_fetch_add(&syncs, 1);
    if (!atomic_load(&sync_fails))
        return (int)syscall(SYS_fdatasync, fd);
    errno = atomic_load(&sync_fails);
    return -1;
}

/* -- One test's world -------------------------------------------------------------------------------- */

static void synced(void *data)
{
    (void)data;
    loop_stop(in.loop);
}

static void set_up(void)
{
    char *why = NULL;

    log_setup(0, LOG_TEXT);
    strcpy(data_dir, "/dev/shm/test_durable.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(data_dir));
    ck_assert_int_eq(checkpoint_open(NULL, &checkpoint, &why), 0);
    stream = checkpoint_stream_open(checkpoint, "in", "s");
    const struct spool_settings settings = {data_dir, "lines:/x", "wire", 1 << 20};
    ck_assert_int_eq(spool_open(&settings, &spool, &why), 0);
    in.base.alias = rcstring_create("wire");
    in.loop = loop_create();
    in.running = true;
    durable = spool_durable_create(&in, spool, synced, NULL);
}

static void remove_folder(const char *path)
{
    char below[600];
    DIR *dir = opendir(path);

    for (const struct dirent *d; (d = readdir(dir));) {
        snprintf(below, sizeof(below), "%s/%s", path, d->d_name);
        if (d->d_name[0] != '.')
            unlink(below);
    }
    closedir(dir);
    rmdir(path);
}

static void tear_down(void)
{
    char *path = strdup(spool_path(spool));

    spool_durable_stop(durable, false);
    spool_durable_free(durable);
    loop_destroy(in.loop);
    rcstring_unref(in.base.alias);
    spool_close(spool);
    checkpoint_stream_close(stream);
    checkpoint_close(checkpoint);
    remove_folder(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    rmdir(data_dir);
    free(path);
}

static void put(void)
{
    static const struct spool_chunk c = {
        .tag = "t", .topic = "", .data = (const uint8_t *)"records", .size = 7, .records = 1};
    bool next;

    ck_assert_int_eq(spool_append(spool, &c, &next), 0);
}

static void deliver(void)
{
    struct spool_chunk c;

    ck_assert_int_eq(spool_peek(spool, &c), 1);
    spool_entry_done(spool_take(spool, 1), true);
    spool_durable_delivered(durable);
}

static void on_told(void *data, int rc)
{
    *(int *)data = rc;
}

static void ask(int *answer)
{
    *answer = 1;
    ck_assert_int_eq(spool_durable_ask(durable, on_told, answer), 0);
}

/* Something is under way: until it is over. */
static void finish(void)
{
    ck_assert_int_eq(loop_run(in.loop), 0);
}

static int ask_now(void)
{
    put();
    ask(&told);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    finish();
    return told;
}

static uint64_t committed(void)
{
    struct weir_stream_state state = {.struct_size = sizeof(state)};

    checkpoint_stream_state(stream, &state);
    return state.committed;
}

static void send_position(uint64_t offset)
{
    const struct weir_position position = {.stream = stream, .offset = offset, .token = 7};

    put();
    spool_durable_add_positions(durable, &position, 1);
}

/* -- Tests ------------------------------------------------------------------------------------------- */

START_TEST(answers_after_the_sync)
{
    int second;

    put();
    ask(&told);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    ask(&second); /* while it is under way: of the next one */
    ck_assert_int_eq(told, 1);
    finish();
    ck_assert_int_eq(told, 0);
    ck_assert_int_eq(second, 1);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0); /* there is nothing to sync */
    ck_assert_int_eq(second, 0);
    send_position(10);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    ck_assert_uint_eq(committed(), 0);
    finish();
    ck_assert_uint_eq(committed(), 10);
}
END_TEST

/* Nothing is on disk that was not synced. */
START_TEST(no_descriptor_to_sync_with)
{
    struct rlimit before, none;

    put();
    ask(&told);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    finish();
    ck_assert_int_eq(told, 0);
    put();
    ask(&told);
    int next = fcntl(0, F_DUPFD_CLOEXEC, 0), seen = atomic_load(&syncs);
    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(spool_durable_sync(durable, false), -EMFILE);
    ck_assert_int_eq(spool_durable_sync(durable, true), -EMFILE);
    ck_assert_int_eq(told, 1);
    ck_assert_int_eq(atomic_load(&syncs), seen);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    finish();
    ck_assert_int_eq(told, 0);
    ck_assert_int_eq(atomic_load(&syncs), seen + 1);
}
END_TEST

/* The kernel tells a failure once, and just then nobody had asked. */
START_TEST(a_failure_that_nobody_asked_for_is_told)
{
    put();
    sync_fails = EIO;
    ck_assert_int_eq(spool_durable_sync(durable, true), 0);
    finish();
    sync_fails = 0;
    ask(&told);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    ck_assert_int_eq(told, -EIO);
    ck_assert_int_eq(ask_now(), 0);
}
END_TEST

/* One who asked while the sync was under way in which his chunk was. */
START_TEST(a_failure_is_told_to_those_who_came_late)
{
    int late;

    put();
    ask(&told);
    sync_fails = EIO;
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    ask(&late);
    finish();
    sync_fails = 0;
    ck_assert_int_eq(told, -EIO);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    ck_assert_int_eq(late, -EIO);
    ck_assert_int_eq(ask_now(), 0);
}
END_TEST

/* They would stand still for good. */
START_TEST(positions_of_a_failed_sync_count_once_delivered)
{
    send_position(10);
    sync_fails = EIO;
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    finish();
    sync_fails = 0;
    send_position(20);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    finish();
    send_position(30);
    ck_assert_int_eq(spool_durable_sync(durable, false), 0);
    finish();
    ck_assert_uint_eq(committed(), 0);
    deliver();
    ck_assert_uint_eq(committed(), 10);
    deliver();
    ck_assert_uint_eq(committed(), 30); /* the last one is on disk */
}
END_TEST

START_TEST(the_last_sync_needs_no_descriptor)
{
    struct rlimit before, none = {0};

    send_position(10);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    spool_durable_stop(durable, false);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_uint_eq(committed(), 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool_durable");
    TCase *tests = tcase_create("spool_durable");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, answers_after_the_sync);
    tcase_add_test(tests, no_descriptor_to_sync_with);
    tcase_add_test(tests, a_failure_that_nobody_asked_for_is_told);
    tcase_add_test(tests, a_failure_is_told_to_those_who_came_late);
    tcase_add_test(tests, positions_of_a_failed_sync_count_once_delivered);
    tcase_add_test(tests, the_last_sync_needs_no_descriptor);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
