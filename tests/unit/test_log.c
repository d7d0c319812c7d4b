/* SPDX-License-Identifier: Apache-2.0 */
/* The log's two forms, what is escaped and cut, and many threads at once. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"
#include "log_repeat.h"
#include "text.h"

static char path[64];

static void set_up(void)
{
    strcpy(path, "/tmp/test_log.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(log_open(path), 0);
    log_setup(WEIR_LOG_INFO, LOG_TEXT);
}

static void tear_down(void)
{
    ck_assert_int_eq(log_open(NULL), 0);
    log_setup(WEIR_LOG_INFO, LOG_TEXT);
    unlink(path);
}

/* All that was logged; the caller frees. */
static char *logged(void)
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    char *text = calloc(1, 1 << 20);
    ck_assert_ptr_nonnull(text);
    size_t size = fread(text, 1, (1 << 20) - 1, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

/* What follows the time, "2026-11-23T20:00:00.123Z ", which is checked for its form. */
static const char *after_time(const char *line)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    for (size_t i = 0; form[i]; i++)
        ck_assert_msg(form[i] == 'd' ? line[i] >= '0' && line[i] <= '9' : line[i] == form[i], "%s", line);
    return line + strlen(form);
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

START_TEST(repeats_are_left_out)
{
    log_setup(WEIR_LOG_DEBUG, LOG_TEXT);
    for (int i = 0; i < 1000; i++) {
        log_warn("out", "it fails");
        log_warn("other", "it fails");
        log_debug("out", "said for who asks");
    }
    for (int i = 0; i < 1000; i++)
        log_warn("out", "it fails with %d", i);
    char *text = logged();
    ck_assert_uint_eq(count_of(text, "[out] it fails\n"), LOG_REPEAT_MOST - 1);
    ck_assert_uint_eq(count_of(text, "[out] it fails [10 times within 10 s"), 1);
    ck_assert_uint_eq(count_of(text, "[other] it fails"), LOG_REPEAT_MOST);
    ck_assert_uint_eq(count_of(text, "it fails with "), 1000);
    ck_assert_uint_eq(count_of(text, "said for who asks"), 1000);
    free(text);
}
END_TEST

START_TEST(repeats_are_told_of_later)
{
    char suffix[96];
    for (int i = 0; i < 25; i++)
        ck_assert_int_eq(log_repeat_allows("a", "again", 5, 100, suffix, sizeof(suffix)),
                         i < LOG_REPEAT_MOST);
    ck_assert(!log_repeat_allows("a", "again", 5, 109, suffix, sizeof(suffix)));
    ck_assert(log_repeat_allows("a", "again", 5, 110, suffix, sizeof(suffix)));
    ck_assert_str_eq(suffix, " [and 16 times more, left out here]");
    ck_assert(log_repeat_allows("a", "again", 5, 111, suffix, sizeof(suffix)));
    ck_assert_str_eq(suffix, "");
    ck_assert(log_repeat_allows(NULL, "again", 5, 111, suffix, sizeof(suffix)));
}
END_TEST

START_TEST(text_lines)
{
    log_info("tail.0", "hello %d", 7);
    log_error(NULL, "x");
    char *text = logged();
    ck_assert_ptr_nonnull(strstr(text, "Z info  [tail.0] hello 7\n"));
    ck_assert_str_eq(after_time(strchr(text, '\n') + 1), " error x\n");
    free(text);
}
END_TEST

START_TEST(levels)
{
    log_setup(WEIR_LOG_WARN, LOG_TEXT);
    ck_assert(log_enabled(WEIR_LOG_ERROR) && log_enabled(WEIR_LOG_WARN));
    ck_assert(!log_enabled(WEIR_LOG_INFO) && !log_enabled(WEIR_LOG_TRACE) && !log_enabled(0));
    log_info("a", "not this");
    log_warn("a", "this");
    log_setup(0, LOG_TEXT);
    ck_assert(!log_enabled(WEIR_LOG_ERROR));
    log_error("a", "nor this");
    char *text = logged();
    ck_assert_ptr_nonnull(strstr(text, "this\n"));
    ck_assert_ptr_null(strstr(text, "not this"));
    ck_assert_ptr_null(strstr(text, "nor this"));
    free(text);
}
END_TEST

START_TEST(text_is_escaped)
{
    log_info("a\nb", "one\ntwo\r\t\x1b[31m\x7f \xc3\xa4 \xff \xc2\x9b \\");
    char *text = logged();
    ck_assert_str_eq(strstr(text, "["), "[a\\nb] one\\ntwo\\r\\t\\x1b[31m\\x7f \xc3\xa4 \\xff \\u009b \\\n");
    free(text);
}
END_TEST

START_TEST(json_lines)
{
    log_setup(WEIR_LOG_INFO, LOG_JSON);
    log_info("tail.0", "say \"%s\" \\ \n\x01\xff\xc2\x9b\xed\xa0\x80 \xf0\x9f\x98\x80", "hi");
    log_info(NULL, "x");
    char *text = logged();
    ck_assert_int_eq(strncmp(text, "{\"time\":\"", 9), 0);
    static const char expected[] =
        "\",\"level\":\"info\",\"who\":\"tail.0\",\"message\":\"say \\\"hi\\\" \\\\ "
        "\\n\\u0001\xef\xbf\xbd\\u009b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x98\x80\"}\n";
    const char *rest = after_time(text + 9);
    ck_assert_int_eq(strncmp(rest, expected, strlen(expected)), 0);
    ck_assert_ptr_nonnull(strstr(text, "\"who\":null,\"message\":\"x\"}\n"));
    free(text);
}
END_TEST

START_TEST(long_messages_are_cut)
{
    char *message = malloc(100001);
    ck_assert_ptr_nonnull(message);
    for (size_t i = 0; i < 100000; i += 2)
        memcpy(message + i, "\xc3\xa4", 2); /* so that a cut may fall into a character */
    message[100000] = '\0';
    for (size_t shift = 0; shift < 2; shift++) {
        log_info("a", "%s", message + 100000 - 2 * 8000); /* fits */
        log_info("a", "%.*s%s", (int)shift, "x", message);
    }
    char *text = logged();
    ck_assert_ptr_nonnull(strstr(text, "\xc3\xa4 [cut, 100000 bytes]\n"));
    ck_assert_ptr_nonnull(strstr(text, "\xc3\xa4 [cut, 100001 bytes]\n"));
    ck_assert_ptr_null(strstr(text, "\\x"));
    ck_assert_uint_lt(strlen(text), 4 * 16500);
    free(text);
    free(message);
}
END_TEST

START_TEST(worst_growth_fits)
{
    char *message = malloc(20001), *who = malloc(2001);
    ck_assert(message && who);
    memset(message, 1, 20000);
    memset(who, 2, 2000);
    message[20000] = who[2000] = '\0';
    log_setup(WEIR_LOG_INFO, LOG_JSON);
    log_info(who, "%s", message);
    char *text = logged();
    ck_assert_str_eq(text + strlen(text) - strlen(" [cut, 20000 bytes]\"}\n"), " [cut, 20000 bytes]\"}\n");
    ck_assert_ptr_null(strchr(text, 1));
    free(text);
    free(message);
    free(who);
}
END_TEST

START_TEST(errno_is_kept)
{
    errno = ENOSPC;
    log_info("a", "x");
    ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

START_TEST(opening)
{
    struct stat st;
    ck_assert_int_eq(log_open("/nonexistent/x/y"), -ENOENT);
    ck_assert_int_eq(log_open("/tmp"), -EISDIR);
    log_info("a", "still here"); /* a failure changes nothing */
    char *text = logged();
    ck_assert_ptr_nonnull(strstr(text, "still here"));
    free(text);
    mode_t old = umask(0);
    unlink(path);
    ck_assert_int_eq(log_open(path), 0);
    umask(old);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0640);
}
END_TEST

static int calls;

static void count_call(void)
{
    calls++;
}

START_TEST(before_line_is_for_standard_error)
{
    calls = 0;
    log_before_line(count_call);
    log_info("a", "to the file");
    ck_assert_int_eq(calls, 0);
    int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
    ck_assert_int_eq(dup2(null, STDERR_FILENO), STDERR_FILENO);
    ck_assert_int_eq(log_open(NULL), 0);
    log_info("a", "to standard error");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(null);
    ck_assert_int_eq(calls, 1);
    log_before_line(NULL);
}
END_TEST

enum { THREADS = 8, LINES = 500 };

static void *write_lines(void *data)
{
    for (int i = 0; i < LINES; i++)
        log_info("thread", "%d %d .................................................", *(int *)data, i);
    return NULL;
}

START_TEST(threads_write_whole_lines)
{
    pthread_t threads[THREADS];
    int numbers[THREADS], next[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    char *text = logged(), *rest = text, *line;
    while ((line = strsep(&rest, "\n")) && *line) {
        int thread, number, end = 0;
        ck_assert_int_eq(sscanf(after_time(line), " info [thread] %d %d %n", &thread, &number, &end), 2);
        ck_assert(thread >= 0 && thread < THREADS);
        ck_assert_int_eq(number, next[thread]++);
        ck_assert_uint_eq(strlen(after_time(line) + end), 49);
    }
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(next[i], LINES);
    free(text);
}
END_TEST

START_TEST(utf8)
{
    static const char *const good[] = {"a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xc3("};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t length = strlen(good[i]);
        ck_assert_uint_eq(text_utf8(good[i], length), length);
        ck_assert_uint_eq(text_utf8(good[i], length - 1), 0); /* cut short */
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_uint_eq(text_utf8(bad[i], strlen(bad[i])), 0);
}
END_TEST

START_TEST(escape_never_overruns)
{
    static const char text[] = "a\x01\"\xff\xc2\x9b\xf0\x9f\x98\x80";
    for (size_t room = 0; room < 40; room++) {
        char *out = malloc(room + 1); /* exactly: a sanitizer sees a byte too many */
        ck_assert_uint_le(text_escape(out, room, text, sizeof text - 1, TEXT_JSON), room);
        ck_assert_uint_le(text_escape(out, room, text, sizeof text - 1, TEXT_PLAIN), room);
        free(out);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("all");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, text_lines);
    tcase_add_test(tcase, repeats_are_left_out);
    tcase_add_test(tcase, repeats_are_told_of_later);
    tcase_add_test(tcase, levels);
    tcase_add_test(tcase, text_is_escaped);
    tcase_add_test(tcase, json_lines);
    tcase_add_test(tcase, long_messages_are_cut);
    tcase_add_test(tcase, worst_growth_fits);
    tcase_add_test(tcase, errno_is_kept);
    tcase_add_test(tcase, opening);
    tcase_add_test(tcase, before_line_is_for_standard_error);
    tcase_add_test(tcase, threads_write_whole_lines);
    tcase_add_test(tcase, utf8);
    tcase_add_test(tcase, escape_never_overruns);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
