/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: files that are closed until they change. No walk comes to the help of what is not noticed. */
#include "tail_fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

enum { FILES = 6 };

static unsigned watches, watches_given_up, directories; /* so many calls */
static int refused;                                     /* so many watches are not to be had */

/* In the place of the C library's, of everything in this program. */
int inotify_add_watch(int fd, const char *path, uint32_t events)
{
    watches++;
    if (refused > 0) {
        refused--;
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_inotify_add_watch, fd, path, events);
}

int inotify_rm_watch(int fd, int watch)
{
    watches_given_up++;
    return (int)syscall(SYS_inotify_rm_watch, fd, watch);
}

DIR *opendir(const char *path)
{
    DIR *(*real)(const char *);
    *(void **)&real = dlsym(RTLD_NEXT, "opendir");
    directories++;
    return real(path);
}

static bool alike; /* the file system tells one use of an inode from the next by nothing */

int statx(int dir_fd, const char *path, int flags, unsigned mask, struct statx *ret)
{
    int r = (int)syscall(SYS_statx, dir_fd, path, flags, mask, ret);
    ret->stx_mask &= alike ? ~STATX_BTIME : ~0u;
    return r;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    if (alike && request == FS_IOC_GETVERSION) {
        errno = ENOTTY;
        return -1;
    }
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

static struct weir_instance *start_few(const char *pattern, const char *most)
{
    return start_head(pattern, "max_open_files", most, "refresh_interval", "365d", "poll_interval", "1h");
}

static const char *name_of(int index)
{
    static char name[16];
    snprintf(name, sizeof(name), "%d.log", index);
    return name;
}

/* One file is open, of these. */
static struct weir_instance *start_on_files(void)
{
    for (int k = 0; k < FILES; k++) {
        append(name_of(k), "1\n");
    }
    struct weir_instance *i = start_few("*.log", "1");
    expect("1\n1\n1\n1\n1\n1\n");
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    return i;
}

static void append_to_each(void)
{
    for (int k = 0; k < FILES; k++) {
        append(name_of(k), "2\n");
        expect("2\n");
    }
}

static void append_to_all(void)
{
    for (int k = 0; k < FILES; k++) {
        append(name_of(k), "2\n");
    }
}

START_TEST(closed_files_keep_their_watches)
{
    struct weir_instance *i = start_on_files();
    watches = watches_given_up = 0;
    for (int round = 0; round < 3; round++) {
        append_to_each();
    }
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    ck_assert_uint_eq(watches, 0);
    ck_assert_uint_eq(watches_given_up, 0);
    fake_stop(i);
}
END_TEST

/* All at once, more than may be open: each has its turn, and none is looked for in the directory. */
START_TEST(all_have_news)
{
    alike = _i;
    struct weir_instance *i = start_on_files();
    directories = 0;
    for (int round = 0; round < 3; round++) {
        append_to_all();
        expect("2\n2\n2\n2\n2\n2\n");
    }
    ck_assert_uint_eq(directories, 0);
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    fake_stop(i);
}
END_TEST

/* Of which its directory knows nothing. */
START_TEST(written_through_another_name)
{
    alike = _i;
    mkdir(at("elsewhere"), 0700);
    struct weir_instance *i = start_on_files();
    for (int k = 0; k < FILES; k++) {
        ck_assert_int_eq(link(at(name_of(k)), at("elsewhere/name")), 0);
        append("elsewhere/name", "2\n");
        expect("2\n");
        ck_assert_int_eq(unlink(at("elsewhere/name")), 0);
    }
    fake_stop(i);
}
END_TEST

/* The watches of closed files are given up for those of open ones, and their directory tells instead. */
START_TEST(no_more_watches)
{
    alike = _i;
    struct weir_instance *i = start_on_files();
    watches_given_up = 0;
    refused = 1;
    append("new.log", "new\n");
    expect("new\n");
    ck_assert_uint_ge(watches_given_up, FILES - 1);
    append_to_each();
    append("new.log", "newer\n");
    expect("newer\n");
    append_to_each();
    fake_stop(i);
}
END_TEST

/* What was written between giving up the watches and asking the directory is found by the walk. */
START_TEST(written_as_watches_run_out)
{
    alike = _i;
    struct weir_instance *i = start_on_files();
    refused = 1;
    append("new.log", "");
    append_to_all();
    expect("2\n2\n2\n2\n2\n2\n");
    append_to_each();
    fake_stop(i);
}
END_TEST

/* Of two files that links lead to, one may be open; both were read. */
static struct weir_instance *start_behind_links(void)
{
    mkdir(at("d"), 0700);
    append("d/a", "1\n");
    append("d/b", "1\n");
    ck_assert_int_eq(symlink(at("d/a"), at("a.log")), 0);
    ck_assert_int_eq(symlink(at("d/b"), at("b.log")), 0);
    struct weir_instance *i = start_few("*.log", "1");
    expect("1\n1\n");
    return i;
}

START_TEST(behind_links)
{
    alike = _i;
    struct weir_instance *i = start_behind_links();
    watches = 0;
    for (int round = 0; round < 3; round++) {
        append("d/a", "a\n");
        expect("a\n");
        append("d/b", "b\n");
        expect("b\n");
    }
    ck_assert(alike || watches == 0);
    fake_stop(i);
}
END_TEST

/* It leads to another file by the time that the one that it led to has news. */
START_TEST(link_is_turned)
{
    alike = _i;
    struct weir_instance *i = start_behind_links();
    append("d/c", "c\n");
    ck_assert_int_eq(symlink(at("d/c"), at("a.new")), 0);
    append("d/a", "a\n");
    append("d/b", "b\n");
    move("a.new", "a.log");
    fake_idle(host);
    fake_later(host, UINT64_C(20000000000));
    size_t size;
    char *text = sent_text(&size);
    ck_assert_msg(strstr(text, "c\n") && strstr(text, "b\n"), "got:\n%s", text);
    free(text);
    seen();
    append("d/c", "2\n");
    expect("2\n");
    append("d/b", "2\n");
    expect("2\n");
    fake_stop(i);
}
END_TEST

/* Where nobody looks, and goes on being written to there: whoever has its name is another one. */
START_TEST(moved_away)
{
    alike = _i;
    mkdir(at("elsewhere"), 0700);
    struct weir_instance *i = start_on_files();
    append(name_of(1), "2\n"); /* for which the other is closed, if it is not */
    expect("2\n");
    move(name_of(0), "elsewhere/0.log");
    fake_idle(host);
    for (int k = 0; k < 3; k++) {
        append("elsewhere/0.log", "lost\n");
        fake_idle(host);
    }
    append(name_of(0), "2\n");
    expect("2\n");
    append("elsewhere/0.log", "lost\n");
    append(name_of(0), "3\n");
    expect("3\n");
    fake_stop(i);
}
END_TEST

/* As it was when it was closed; what comes then is noticed all the same. */
START_TEST(moved_away_and_back)
{
    alike = _i;
    struct stat s;
    mkdir(at("elsewhere"), 0700);
    struct weir_instance *i = start_on_files();
    append(name_of(1), "2\n");
    expect("2\n");
    ck_assert_int_eq(stat(at(name_of(0)), &s), 0);
    move(name_of(0), "elsewhere/0.log");
    append("elsewhere/0.log", "lost\n");
    fake_idle(host);
    ck_assert_int_eq(truncate(at("elsewhere/0.log"), s.st_size), 0);
    fake_idle(host);
    ck_assert_int_eq(utimensat(AT_FDCWD, at("elsewhere/0.log"), (struct timespec[]){s.st_atim, s.st_mtim}, 0),
                     0);
    move("elsewhere/0.log", name_of(0));
    fake_idle(host);
    append(name_of(1), "3\n");
    expect("3\n");
    append(name_of(0), "2\n");
    expect("2\n");
    fake_stop(i);
}
END_TEST

START_TEST(stopped_with_news)
{
    alike = _i;
    struct weir_instance *i = start_on_files();
    fake_set_full(i, true);
    append_to_all();
    fake_idle(host);
    fake_stop(i);
    fake_set_full(i, false);
    i = start_few("*.log", "1");
    expect("2\n2\n2\n2\n2\n2\n");
    fake_stop(i);
}
END_TEST

/* The writer has no O_APPEND, and writes on where it was after the file was closed, or weir stopped or
 * killed. */
START_TEST(truncated_and_closed_before_the_writer_goes_on)
{
    enum { CLOSED, STOPPED, KILLED };
    append("0.log", "1\n");
    append("1.log", "1\n");
    struct weir_instance *i = start_few("*.log", "1");
    expect("1\n1\n");
    append("0.log", "2\n");
    expect("2\n");
    ck_assert_int_eq(truncate(at("0.log"), 0), 0);
    fake_idle(host);
    if (_i == CLOSED) {
        append("1.log", "2\n"); /* in the place of the other one */
        expect("2\n");
    } else {
        fake_stop(i);
        if (_i == KILLED) {
            fake_crash(host);
        }
        i = start_few("*.log", "1");
        fake_idle(host);
    }
    ck_assert_int_eq(truncate(at("0.log"), 100000), 0);
    append("0.log", "3\n");
    expect("3\n");
    ck_assert_int_eq(fake_metric(i, "hole_bytes", NULL), 100000);
    fake_stop(i);
}
END_TEST

/* Appended to and removed within an outage, as by a job that compresses its log: what is to be read is open
 * by then. */
START_TEST(written_to_and_removed_while_an_output_is_full)
{
    append("0.log", "1\n");
    append("1.log", "1\n");
    struct weir_instance *i =
        start_head("*.log", "close_inactive", "10s", "max_open_files", _i ? "1" : "0", "poll_interval", "1h");
    expect("1\n1\n");
    clock_ns += UINT64_C(20000000000);
    fake_later(host, UINT64_C(20000000000));
    ck_assert_int_eq(fake_metric(i, "files", NULL), 0);
    fake_set_full(i, true);
    append("0.log", "2\n");
    fake_idle(host);
    append("1.log", "2\n"); /* where one may be open it waits, since that one may be gone as well */
    fake_idle(host);
    unlink(at("0.log"));
    fake_idle(host);
    ck_assert_int_eq(fake_metric(i, "files", NULL), _i ? 1 : 2);
    fake_set_full(i, false);
    expect("2\n2\n");
    fake_stop(i);
}
END_TEST

/* The next file that is opened has one of the last descriptors. */
static void limit_descriptors(bool limited)
{
    static struct rlimit before;
    if (!limited) {
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        return;
    }
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit now = {.rlim_cur = (rlim_t)fd + 2, .rlim_max = before.rlim_max};
    ck_assert_uint_ge(now.rlim_cur / 4, 2); /* so many are the last */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
}

/* No directory tells of what is written to it under a name that is in no pattern; its watch does. */
START_TEST(renamed_after_descriptors_had_run_out)
{
    append("0.log", "1\n");
    struct weir_instance *i = start_few("*.log", "0");
    expect("1\n");
    limit_descriptors(true);
    append("1.log", "1\n");
    expect("1\n");
    ck_assert_uint_eq(fake_logged(host, "no more files can be opened"), 1);
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    limit_descriptors(false);
    ahead += 3600; /* there is nothing to expect of it when it is renamed */
    move("0.log", "0.log.old");
    fake_idle(host);
    append("0.log.old", "2\n");
    expect("2\n");
    ck_assert_uint_eq(fake_logged(host, "after rotate_wait"), 0);
    fake_stop(i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parked");
    TCase *tests = tcase_create("tail");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, closed_files_keep_their_watches);
    tcase_add_loop_test(tests, all_have_news, 0, 2);
    tcase_add_loop_test(tests, written_through_another_name, 0, 2);
    tcase_add_loop_test(tests, no_more_watches, 0, 2);
    tcase_add_loop_test(tests, written_as_watches_run_out, 0, 2);
    tcase_add_loop_test(tests, behind_links, 0, 2);
    tcase_add_loop_test(tests, link_is_turned, 0, 2);
    tcase_add_loop_test(tests, moved_away, 0, 2);
    tcase_add_loop_test(tests, moved_away_and_back, 0, 2);
    tcase_add_loop_test(tests, stopped_with_news, 0, 2);
    tcase_add_loop_test(tests, written_to_and_removed_while_an_output_is_full, 0, 2);
    tcase_add_test(tests, renamed_after_descriptors_had_run_out);
    tcase_add_loop_test(tests, truncated_and_closed_before_the_writer_goes_on, 0, 3);
    suite_add_tcase(suite, tests);
    return run(suite);
}
