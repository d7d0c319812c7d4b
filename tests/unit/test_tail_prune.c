/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: which positions are dropped in the end, and which never; on a clock that the test sets. */
#include <sys/mount.h>
#include "tail_fixture.h"

enum { DAYS = 24 * 3600 };

/* Two refreshes; the second one finds what the first one has changed. */
static void look(void)
{
    for (int i = 0; i < 2; i++) {
        fake_later(host, 61 * UINT64_C(1000000000));
        fake_idle(host);
    }
}

static void days_pass(int days)
{
    for (int i = 0; i < days; i++) {
        ahead += DAYS;
        look();
    }
}

/* Reads what the pattern matches, and stops. */
static void once(const char *pattern, const char *text)
{
    struct weir_instance *i = start_head(pattern);
    expect(text);
    fake_stop(i);
}

static void setup_clock(void)
{
    setup();
    ahead = 0;
}

START_TEST(gone_for_a_week)
{
    append("f.log", "1\n");
    append("stays.log", "2\n");
    once("f.log", "1\n");
    once("stays.log", "2\n");
    unlink(at("f.log"));
    struct weir_instance *i = start("stays.log");
    look();
    days_pass(6);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 2);
    days_pass(1);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    ck_assert_uint_eq(fake_logged(host, "the positions of 1 files that are long gone were dropped"), 1);
    append("stays.log", "3\n");
    expect("3\n");
    fake_stop(i);
}
END_TEST

START_TEST(restarts_do_not_begin_the_time_anew)
{
    append("f.log", "1\n");
    once("f.log", "1\n");
    unlink(at("f.log"));
    for (int day = 0; day <= 7; day++) {
        ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
        struct weir_instance *i = start("other.log");
        look();
        fake_stop(i);
        ahead += DAYS;
    }
    ck_assert_uint_eq(fake_stream_count(host, "t"), 0);
}
END_TEST

START_TEST(option)
{
    append("f.log", "1\n");
    once("f.log", "1\n");
    unlink(at("f.log"));
    struct weir_instance *i = start("other.log", "forget_after", "0");
    days_pass(1000);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    fake_stop(i);
    i = start("other.log", "forget_after", "1h");
    look();
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    days_pass(1);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 0);
    fake_stop(i);
}
END_TEST

START_TEST(back_in_time)
{
    append("f.log", "1\n");
    once("f.log", "1\n");
    move("f.log", "../f.log.away");
    struct weir_instance *i = start("f.log");
    look();
    days_pass(6);
    move("../f.log.away", "f.log");
    append("f.log", "2\n");
    expect("2\n"); /* not read again from its start */
    days_pass(30);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    fake_stop(i);
}
END_TEST

START_TEST(years_of_rotation)
{
    enum { KEPT = 5, YEARS = 3 };
    char name[32];
    struct weir_instance *i = start_head("app.log", "rotate_wait", "0");
    size_t most = 0;
    for (int day = 0; day < YEARS * 365; day++) {
        append("app.log", "a line\n");
        expect("a line\n");
        snprintf(name, sizeof(name), "app.log.%d", day);
        move("app.log", name);
        snprintf(name, sizeof(name), "app.log.%d", day - KEPT);
        unlink(at(name));
        days_pass(1);
        most = fake_stream_count(host, "t") > most ? fake_stream_count(host, "t") : most;
    }
    ck_assert_uint_le(most, KEPT + 7 + 4);
    ck_assert_uint_ge(most, KEPT);
    fake_stop(i);
}
END_TEST

START_TEST(excluded_now)
{
    append("f.log", "1\n");
    append("g.log", "2\n");
    once("f.log", "1\n");
    struct weir_instance *i = start("*.log", "exclude_path", "f.log");
    expect("2\n");
    days_pass(30);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 2);
    fake_stop(i);
    append("f.log", "3\n");
    once("f.log", "3\n");
}
END_TEST

START_TEST(reached_through_a_link)
{
    ck_assert_int_eq(mkdir(at("real"), 0700), 0);
    append("real/target", "1\n");
    ck_assert_int_eq(symlink(at("real/target"), at("f.log")), 0);
    once("f.log", "1\n");
    struct weir_instance *i = start("*.log", "exclude_path", "f.log");
    days_pass(30);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    /* what the link led to can't be seen now */
    move("real", "elsewhere");
    days_pass(30);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    unlink(at("f.log"));
    days_pass(10);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 0);
    fake_stop(i);
}
END_TEST

START_TEST(directory_gone)
{
    ck_assert_int_eq(mkdir(at("a"), 0700), 0);
    ck_assert_int_eq(mkdir(at("a/b"), 0700), 0);
    append("a/b/f.log", "1\n");
    once("a/b/f.log", "1\n");
    unlink(at("a/b/f.log"));
    rmdir(at("a/b"));
    rmdir(at("a"));
    struct weir_instance *i = start("a/b/f.log");
    look();
    days_pass(6);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    days_pass(1);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 0);
    fake_stop(i);
}
END_TEST

START_TEST(directory_not_readable)
{
    ck_assert_int_eq(mkdir(at("a"), 0700), 0);
    append("a/f.log", "1\n");
    once("a/f.log", "1\n");
    unlink(at("a/f.log"));
    ck_assert_int_eq(chmod(at("a"), 0), 0);
    ck_assert_int_eq(chmod(dir, 0755), 0);
    bool root = geteuid() == 0;
    ck_assert(!root || seteuid(65534) == 0);
    struct weir_instance *i = start("a/f.log");
    days_pass(30);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    ck_assert(!root || seteuid(0) == 0);
    chmod(at("a"), 0700);
    days_pass(8);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 0);
    fake_stop(i);
}
END_TEST

/* Only where the test may mount. */
START_TEST(not_mounted)
{
    ck_assert_int_eq(mkdir(at("m"), 0700), 0);
    if (mount("none", at("m"), "tmpfs", 0, NULL) < 0) {
        ck_assert(errno == EPERM || errno == EACCES);
        return;
    }
    append("m/f.log", "1\n");
    ck_assert_int_eq(mkdir(at("m/sub"), 0700), 0);
    append("m/sub/f.log", "2\n");
    once("m/f.log", "1\n");
    once("m/sub/f.log", "2\n");
    ck_assert_int_eq(umount(at("m")), 0);
    struct weir_instance *i = start("other.log");
    days_pass(400);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 2);
    fake_stop(i);
}
END_TEST

START_TEST(wrong_clock)
{
    append("f.log", "1\n");
    once("f.log", "1\n");
    unlink(at("f.log"));
    ahead = 3000L * DAYS; /* a clock that was set wrong for a while */
    struct weir_instance *i = start("other.log");
    look();
    ahead = 0;
    look();
    days_pass(6);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    days_pass(1);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 0);
    fake_stop(i);
}
END_TEST

/* Where patterns may match compressed files, what deleted ones said is remembered as long. */
START_TEST(what_was_said)
{
    append("f.log", "1\n");
    struct weir_instance *i = start_head("f.log*", "rotate_wait", "0");
    expect("1\n");
    unlink(at("f.log"));
    fake_idle(host);
    look();
    ck_assert_uint_eq(fake_stream_count(host, "t"), 1);
    days_pass(8);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 0);
    fake_stop(i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail prune");
    TCase *tests = tcase_create("prune");
    tcase_add_checked_fixture(tests, setup_clock, teardown);
    tcase_add_test(tests, gone_for_a_week);
    tcase_add_test(tests, restarts_do_not_begin_the_time_anew);
    tcase_add_test(tests, option);
    tcase_add_test(tests, back_in_time);
    tcase_add_test(tests, years_of_rotation);
    tcase_add_test(tests, excluded_now);
    tcase_add_test(tests, reached_through_a_link);
    tcase_add_test(tests, directory_gone);
    tcase_add_test(tests, directory_not_readable);
    tcase_add_test(tests, not_mounted);
    tcase_add_test(tests, wrong_clock);
    tcase_add_test(tests, what_was_said);
    suite_add_tcase(suite, tests);
    return run(suite);
}
