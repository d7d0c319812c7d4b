/* SPDX-License-Identifier: Apache-2.0 */
/* The progress bar: its text at every width, and how it and the log share a terminal. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "log.h"
#include "progress.h"

#define MIB (UINT64_C(1) << 20)

static int master, slave;

static void open_terminal(void)
{
    struct winsize size = {.ws_row = 24, .ws_col = 70};
    master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master), 0);
    ck_assert_int_eq(unlockpt(master), 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(slave, 0);
    ck_assert_int_eq(ioctl(slave, TIOCSWINSZ, &size), 0);
}

static void close_terminal(void)
{
    close(slave);
    close(master);
}

/* All that was written so far. */
static const char *seen(void)
{
    static char text[200000];
    size_t used = 0;
    ssize_t n;
    while ((n = read(master, text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    return text;
}

START_TEST(text_of_the_bar)
{
    char out[300];
    size_t length = progress_text(out, sizeof out, 79, 420 * MIB, 1000 * MIB, 512 * MIB);
    ck_assert_uint_eq(length, strlen(out));
    ck_assert_str_eq(out, "[==========>                 ]  42 %  420 MiB of 1000 MiB  512 MiB/s  0:02 left");
}
END_TEST

START_TEST(text_never_exceeds_its_width)
{
    static const uint64_t numbers[] = {0, 1, 1023, 1024, MIB, 5000 * MIB, UINT64_MAX / 2, UINT64_MAX};
    char out[300];
    for (unsigned columns = 0; columns < 260; columns++) {
        for (size_t i = 0; i < 8; i++) {
            for (size_t j = 0; j < 8; j++) {
                size_t length =
                    progress_text(out, sizeof out, columns, numbers[i], numbers[j], numbers[(i + j) % 8]);
                ck_assert_uint_eq(length, strlen(out));
                ck_assert_uint_le(length, columns);
            }
        }
    }
    for (size_t room = 1; room < 100; room++) {
        char *small = malloc(room); /* exactly: a sanitizer sees a byte too many */
        ck_assert_uint_lt(progress_text(small, room, 79, MIB, 2 * MIB, 1), room);
        free(small);
    }
}
END_TEST

START_TEST(ends_of_the_range)
{
    char out[300];
    progress_text(out, sizeof out, 60, 0, 100, 0);
    ck_assert_ptr_nonnull(strstr(out, "   0 %  0 B of 100 B"));
    progress_text(out, sizeof out, 60, 100, 100, 0);
    ck_assert_ptr_nonnull(strstr(out, "=] 100 %  100 B of 100 B"));
    progress_text(out, sizeof out, 60, 0, 0, 0); /* nothing to read is all read */
    ck_assert_ptr_nonnull(strstr(out, "100 %"));
    progress_text(out, sizeof out, 60, 200, 100, 0); /* a file that grew */
    ck_assert_ptr_nonnull(strstr(out, "100 %  100 B of 100 B"));
    progress_text(out, sizeof out, 79, 0, 3600 * 200, 1);
    ck_assert_ptr_nonnull(strstr(out, "over 99 h left"));
    progress_text(out, sizeof out, 79, 0, 3600 * 2 + 62, 1);
    ck_assert_ptr_nonnull(strstr(out, "2:01:02 left"));
}
END_TEST

START_TEST(only_on_a_terminal)
{
    int null = open("/dev/null", O_WRONLY);
    ck_assert_ptr_null(progress_create(null));
    ck_assert_ptr_null(progress_create(-1));
    close(null);
    progress_update(NULL, 1, 2);
    progress_finish(NULL);
}
END_TEST

START_TEST(draws_and_ends)
{
    open_terminal();
    struct progress *progress = progress_create(slave);
    ck_assert_ptr_nonnull(progress);
    ck_assert_ptr_null(progress_create(slave)); /* one at a time */
    progress_update(progress, 50, 100);
    const char *text = seen();
    ck_assert_ptr_nonnull(strstr(text, " 50 %"));
    ck_assert_int_eq(text[0], '\r');
    ck_assert_ptr_nonnull(strstr(text, "\x1b[K"));
    ck_assert_uint_eq(strlen(text), 1 + 69 + 3); /* one less than the terminal is wide */
    for (int i = 0; i < 1000; i++)
        progress_update(progress, 51, 100);
    size_t again = 0;
    for (text = seen(); (text = strchr(text, '\r')); text++)
        again++;
    ck_assert_uint_le(again, 50);       /* and not a thousand: ten a second */
    progress_update(progress, 99, 100); /* too soon to be drawn, and what the last drawing shows */
    progress_finish(progress);
    text = seen();
    ck_assert_ptr_nonnull(strstr(text, " 99 %"));
    ck_assert_ptr_nonnull(strstr(text, "\x1b[K\r\n"));
    close_terminal();
}
END_TEST

START_TEST(nothing_drawn_for_nothing)
{
    open_terminal();
    progress_finish(progress_create(slave));
    ck_assert_str_eq(seen(), "");
    close_terminal();
}
END_TEST

START_TEST(a_log_line_clears_it_first)
{
    open_terminal();
    int saved = dup(STDERR_FILENO);
    dup2(slave, STDERR_FILENO);
    struct progress *progress = progress_create(slave);
    progress_update(progress, 50, 100);
    log_info("a", "first");
    log_info("a", "second");
    dup2(saved, STDERR_FILENO);
    const char *text = seen();
    const char *cleared =
        strstr(text, "\x1b[K\r\x1b[K2"); /* the bar's own end, then gone, then the line's time */
    ck_assert_msg(cleared != NULL, "%s", text);
    const char *second = strstr(cleared, "second");
    ck_assert_ptr_nonnull(strstr(cleared, "first\r\n2"));
    ck_assert_ptr_nonnull(second);
    progress_finish(progress);
    close(saved);
    close_terminal();
}
END_TEST

static void *update_much(void *data)
{
    for (uint64_t i = 0; i < 20000; i++)
        progress_update(data, i, 20000);
    return NULL;
}

START_TEST(many_threads)
{
    pthread_t threads[4];
    open_terminal();
    struct progress *progress = progress_create(slave);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, update_much, progress), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    progress_finish(progress);
    ck_assert_ptr_nonnull(strstr(seen(), " %"));
    close_terminal();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("progress");
    TCase *tcase = tcase_create("all");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, text_of_the_bar);
    tcase_add_test(tcase, text_never_exceeds_its_width);
    tcase_add_test(tcase, ends_of_the_range);
    tcase_add_test(tcase, only_on_a_terminal);
    tcase_add_test(tcase, draws_and_ends);
    tcase_add_test(tcase, nothing_drawn_for_nothing);
    tcase_add_test(tcase, a_log_line_clears_it_first);
    tcase_add_test(tcase, many_threads);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
