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

static bool no_instance;

int inotify_init1(int flags)
{
    if (no_instance) {
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_inotify_init1, flags);
}

int inotify_rm_watch(int fd, int watch)
{
    watches_given_up++;
    return (int)syscall(SYS_inotify_rm_watch, fd, watch);
}

static int directory_error; /* of one called "bad" */

DIR *opendir(const char *path)
{
    DIR *(*real)(const char *);
    const char *name = strrchr(path, '/');
    if (directory_error && name && strcmp(name, "/bad") == 0) {
        errno = directory_error;
        return NULL;
    }
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

static const char *unreadable; /* how the path of a file ends that can't be read */

static bool leads_to(int fd, const char *end)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof(path));
    size_t length = strlen(end);
    return size >= (ssize_t)length && memcmp(path + size - length, end, length) == 0;
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    if (unreadable && leads_to(fd, unreadable)) {
        errno = EIO;
        return -1;
    }
    return (ssize_t)syscall(SYS_pread64, fd, bytes, size, offset);
}

static bool overflows; /* the next events are lost */

ssize_t read(int fd, void *bytes, size_t size)
{
    ssize_t n = (ssize_t)syscall(SYS_read, fd, bytes, size);
    if (n > 0 && overflows && leads_to(fd, "inotify")) {
        overflows = false;
        *(struct inotify_event *)bytes = (struct inotify_event){.wd = -1, .mask = IN_Q_OVERFLOW};
        n = sizeof(struct inotify_event);
    }
    return n;
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
    struct weir_instance *i = start_head("*.log", "close_inactive", "10s", "max_open_files", _i ? "1" : "0",
                                         "poll_interval", "1h", "refresh_interval", "365d");
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

/* So many more descriptors are left, or as many as before. The next file that is opened has one of the last.
 */
static void limit_descriptors(rlim_t more)
{
    static struct rlimit before;
    if (!more) {
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        return;
    }
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit now = {.rlim_cur = (rlim_t)fd + more, .rlim_max = before.rlim_max};
    ck_assert_uint_ge(now.rlim_cur / 4, more); /* so many are the last */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
}

/* No directory tells of what is written to it under a name that is in no pattern; its watch does. */
START_TEST(renamed_after_descriptors_had_run_out)
{
    append("0.log", "1\n");
    struct weir_instance *i = start_few("*.log", "0");
    expect("1\n");
    limit_descriptors(2);
    append("1.log", "1\n");
    expect("1\n");
    ck_assert_uint_eq(fake_logged(host, "no more files can be opened"), 1);
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    limit_descriptors(0);
    ahead += 3600; /* there is nothing to expect of it when it is renamed */
    move("0.log", "0.log.old");
    fake_idle(host);
    append("0.log.old", "2\n");
    expect("2\n");
    ck_assert_uint_eq(fake_logged(host, "after rotate_wait"), 0);
    fake_stop(i);
}
END_TEST

/* Of watches, or of inotify at all: it is asked for again, and from then on nothing is polled. */
START_TEST(shortage_that_ends)
{
    append("0.log", "1\n");
    append("1.log", "1\n");
    no_instance = _i;
    refused = _i ? 0 : 1000000;
    struct weir_instance *i = start_head("*.log", "refresh_interval", "60s", "poll_interval", "1s");
    expect("1\n1\n");
    append("0.log", "2\n");
    fake_later(host, UINT64_C(1000000000));
    expect("2\n");
    ck_assert_uint_eq(fake_logged(host, "asked for again"), 1);
    fake_later(host, UINT64_C(60000000000));
    append("1.log", "2\n"); /* there still is none */
    fake_later(host, UINT64_C(1000000000));
    expect("2\n");
    no_instance = false;
    refused = 0;
    append("0.log", "3\n");
    for (int k = 0; k < 2; k++) {
        fake_later(host, UINT64_C(60000000000));
    }
    expect("3\n");
    ck_assert_uint_eq(fake_logged(host, "asked for again"), 1);
    directories = 0;
    append("0.log", "4\n");
    append("1.log", "4\n");
    append("2.log", "4\n");
    fake_idle(host);
    size_t size;
    free(sent_text(&size));
    ck_assert_uint_eq(size, strlen("4\n4\n4\n"));
    seen();
    for (int k = 0; k < 5; k++) { /* as long as a polled directory is looked at again after it changed */
        fake_later(host, UINT64_C(1000000000));
    }
    ck_assert_uint_eq(directories, 0);
    fake_stop(i);
}
END_TEST

static void set_time(const char *name, struct timespec time)
{
    ck_assert_int_eq(utimensat(AT_FDCWD, at(name), (struct timespec[]){time, time}, 0), 0);
}

/* Within one tick of the clock that times of files are taken from: in the place of what was read stands as
 * much. */
START_TEST(rewritten_as_it_is_closed)
{
    static const struct {
        bool alike, seconds, overflows;
    } cases[] = {{0}, {.alike = true}, {.seconds = true}, {.overflows = true}};
    struct stat s;
    alike = cases[_i].alike;
    append("0.log", "1\n");
    append("1.log", "1\n");
    struct weir_instance *i = start_few("*.log", "1");
    expect("1\n1\n");
    append("0.log", "2\n");
    ck_assert_int_eq(stat(at("0.log"), &s), 0);
    if (cases[_i].seconds) { /* which is all that the file system keeps of it */
        s.st_mtim.tv_nsec = 0;
        set_time("0.log", s.st_mtim);
    }
    frozen = s.st_mtim;
    frozen.tv_sec += cases[_i].seconds;
    expect("2\n");
    append("1.log", "2\n");
    expect("2\n");
    overwrite("0.log", "3\n4\n");
    set_time("0.log", s.st_mtim);
    overflows = cases[_i].overflows;
    expect("3\n4\n");
    ck_assert(!overflows);
    fake_stop(i);
}
END_TEST

/* All of them, with this option as well. */
static struct weir_instance *start_on_closed_files(const char *option, const char *value)
{
    for (int k = 0; k < FILES; k++) {
        append(name_of(k), "1\n");
    }
    struct weir_instance *i = start_head("*.log", "close_inactive", "10s", "poll_interval", "1h",
                                         "refresh_interval", "60s", option, value);
    expect("1\n1\n1\n1\n1\n1\n");
    clock_ns += UINT64_C(20000000000);
    fake_later(host, UINT64_C(20000000000));
    ck_assert_int_eq(fake_metric(i, "files", NULL), 0);
    return i;
}

/* Each makes room for the next, and the last descriptors stay for others. */
START_TEST(last_descriptors_are_left)
{
    int others[4 * FILES]; /* of which a quarter are the last */
    struct weir_instance *i = start_on_closed_files("inotify_watcher", "true");
    for (int k = 0; k < 4 * FILES; k++) {
        others[k] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    limit_descriptors(FILES);
    append_to_all();
    expect("2\n2\n2\n2\n2\n2\n");
    limit_descriptors(0);
    for (int k = 0; k < 4 * FILES; k++) {
        close(others[k]);
    }
    ck_assert_int_eq(fake_metric(i, "files", NULL), 1);
    ck_assert_uint_eq(fake_logged(host, "until weir starts again"), 1);
    fake_stop(i);
}
END_TEST

/* It neither has the others wait nor is tried all the time. */
START_TEST(news_that_can_t_be_read)
{
    struct weir_instance *i = start_on_closed_files("multiline.start_pattern", "^");
    unreadable = "/0.log";
    append_to_all();
    fake_idle(host);
    ck_assert_int_eq(fake_metric(i, "files", NULL), FILES - 1);
    ck_assert_uint_eq(fake_logged(host, "0.log can't be followed yet"), 1);
    expect("2\n2\n2\n2\n2\n");
    for (int k = 0; k < 20; k++) {
        append(name_of(0), "3\n");
        fake_later(host, UINT64_C(1000000000));
    }
    ck_assert_uint_le(fake_logged(host, "0.log can't be followed yet"), 6);
    unreadable = NULL;
    fake_later(host, UINT64_C(60000000000));
    append(name_of(0), "4\n");
    expect("2\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n4\n");
    fake_stop(i);
}
END_TEST

/* Without events: what is gone is looked for once, and does not keep the news of others waiting. */
START_TEST(polled_beside_one_that_is_gone)
{
    for (int k = 0; k < FILES; k++) {
        append(name_of(k), "1\n");
    }
    struct weir_instance *i = start_head("*.log", "max_open_files", "1", "inotify_watcher", "false",
                                         "poll_interval", "1s", "refresh_interval", "365d");
    expect("1\n1\n1\n1\n1\n1\n");
    for (int k = 0; k < FILES; k += 2) {
        ahead += 3600;
        if (_i) {
            unlink(at(name_of(k)));
        } else {
            char old[32];
            snprintf(old, sizeof(old), "%d.old", k);
            move(name_of(k), old);
        }
    }
    for (int k = 0; k < 4; k++) {
        clock_ns += UINT64_C(10000000000); /* so long a directory is looked at again after it changed */
        fake_later(host, UINT64_C(1000000000));
    }
    directories = 0;
    for (int round = 0; round < 3; round++) {
        for (int k = 1; k < FILES; k += 2) {
            append(name_of(k), "2\n");
            fake_later(host, UINT64_C(1000000000));
            fake_idle(host);
            size_t size;
            free(sent_text(&size));
            ck_assert_uint_eq(size, 2);
            seen();
        }
    }
    ck_assert_uint_eq(directories, 0);
    fake_stop(i);
}
END_TEST

/* What has nothing new makes room for it, and it is none that was written to too late. */
START_TEST(renamed_while_there_are_no_descriptors)
{
    struct weir_instance *i = start_on_files();
    append(name_of(1), "2\n");
    expect("2\n");
    limit_descriptors(1);
    append(name_of(0), "2\n");
    move(name_of(0), "0.old");
    expect("2\n");
    limit_descriptors(0);
    ck_assert_uint_eq(fake_logged(host, "can't be opened now"), 0);
    ck_assert_uint_eq(fake_logged(host, "after rotate_wait"), 0);
    fake_stop(i);
}
END_TEST

static bool complains(struct weir_instance *i, const char *what)
{
    char *text = weir_fake_details(i);
    ck_assert_ptr_nonnull(text);
    bool found = strstr(text, what) != NULL;
    free(text);
    return found;
}

/* Of what is well again, or gone, the status says nothing more. */
START_TEST(complaints_end)
{
    mkdir(at("bad"), 0700);
    mkdir(at("good"), 0700);
    ck_assert_int_eq(mkfifo(at("good/fifo"), 0600), 0);
    ck_assert_int_eq(symlink("loop", at("good/loop")), 0);
    directory_error = EACCES;
    struct weir_instance *i = start_head("*/*", "refresh_interval", "60s");
    fake_idle(host);
    ck_assert(complains(i, "is not a regular file") && complains(i, "good/loop can't be opened"));
    ck_assert(complains(i, "bad can't be read"));
    unlink(at("good/fifo"));
    unlink(at("good/loop"));
    fake_later(host, UINT64_C(60000000000));
    ck_assert(!complains(i, "good/") && complains(i, "bad can't be read"));
    directory_error = 0;
    fake_later(host, UINT64_C(60000000000));
    ck_assert(!complains(i, "bad"));
    fake_stop(i);
}
END_TEST

/* It is looked at again less and less often, and then as everything is. */
START_TEST(errors_that_last)
{
    static const struct {
        int error;
        unsigned most;
    } cases[] = {{EIO, 4}, {ELOOP, 0}};
    mkdir(at("bad"), 0700);
    mkdir(at("good"), 0700);
    ck_assert_int_eq(symlink("loop", at("good/loop.log")), 0);
    directory_error = cases[_i].error;
    struct weir_instance *i = start_head("*/*.log", "refresh_interval", "20s");
    fake_idle(host);
    directories = 0;
    for (int k = 0; k < 19; k++) {
        fake_later(host, UINT64_C(1000000000));
    }
    ck_assert_uint_le(directories, 3 * cases[_i].most);
    for (int k = 0; k < 40; k++) {
        fake_later(host, UINT64_C(1000000000));
    }
    directory_error = 0;
    append("bad/a.log", "1\n");
    fake_later(host, UINT64_C(20000000000));
    expect("1\n");
    fake_stop(i);
}
END_TEST

/* They do not keep it from ending. */
START_TEST(errors_that_last_where_files_are_read_once)
{
    mkdir(at("bad"), 0700);
    mkdir(at("good"), 0700);
    ck_assert_int_eq(symlink("loop", at("good/loop.log")), 0);
    append("good/a.log", "1\n");
    directory_error = EIO;
    struct weir_instance *i = start_head("*/*.log", "exit_on_eof", "true", "refresh_interval", "20s");
    expect("1\n");
    ck_assert(!fake_is_ended(i));
    for (int k = 0; k < 120 && !fake_is_ended(i); k++) {
        fake_later(host, UINT64_C(1000000000));
    }
    ck_assert(fake_is_ended(i));
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
    tcase_add_loop_test(tests, shortage_that_ends, 0, 2);
    tcase_add_loop_test(tests, rewritten_as_it_is_closed, 0, 4);
    tcase_add_test(tests, last_descriptors_are_left);
    tcase_add_test(tests, news_that_can_t_be_read);
    tcase_add_loop_test(tests, polled_beside_one_that_is_gone, 0, 2);
    tcase_add_test(tests, renamed_while_there_are_no_descriptors);
    tcase_add_test(tests, complaints_end);
    tcase_add_loop_test(tests, errors_that_last, 0, 2);
    tcase_add_test(tests, errors_that_last_where_files_are_read_once);
    tcase_add_loop_test(tests, truncated_and_closed_before_the_writer_goes_on, 0, 3);
    suite_add_tcase(suite, tests);
    return run(suite);
}
