/* SPDX-License-Identifier: Apache-2.0 */
/* in_tail: what happens to a file between two of its own system calls: after each read that it does, in turn.
 */
#include "tail_fixture.h"

#include <sys/syscall.h>

static const uint64_t SECOND = 1000000000;

enum { READS = 24 }; /* more than one look at a file has */

static void (*meanwhile)(void);
static unsigned reads_left; /* until that happens, once */
static unsigned all_reads;  /* so many there were */
static unsigned reads_to_failure;

/* In the place of the C library's, of everything in this program. */
ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    ssize_t n = syscall(SYS_pread64, fd, bytes, size, offset);
    int error = errno;
    all_reads++;
    if (reads_to_failure > 0 && --reads_to_failure == 0) {
        n = -1;
        error = EIO;
    }
    if (reads_left > 0 && --reads_left == 0) {
        meanwhile();
    }
    errno = error;
    return n;
}

static void after_reads(int reads, void (*what)(void))
{
    meanwhile = what;
    reads_left = (unsigned)reads;
}

/* If it has not happened by now, it does. */
static void at_last(void)
{
    if (reads_left > 0) {
        reads_left = 0;
        meanwhile();
    }
    fake_idle(host);
    fake_later(host, 2 * SECOND);
}

static char old_text[4096], new_text[8192];

/* Both end in the same bytes where the old one ends, and begin with others. */
static void make_texts(void)
{
    char same[1500];
    memset(same, 'x', sizeof(same));
    snprintf(old_text, sizeof(old_text), "old\n%.1400s\n", same);
    snprintf(new_text, sizeof(new_text), "new\n%.1400s\nmore\n", same);
}

static void rewrite(void)
{
    overwrite("f", new_text);
}

/* What was there before may be cut anywhere between two lines; what is there now is whole, and comes once. */
static void expect_new(const char *before)
{
    size_t size, whole = strlen(new_text);
    char *text = sent_text(&size);
    ck_assert_msg(size >= whole && strcmp(text + size - whole, new_text) == 0, "after: %s", text);
    size -= whole;
    ck_assert_msg(size <= strlen(before) && memcmp(text, before, size) == 0, "before: %s", text);
    free(text);
    seen();
}

START_TEST(rewritten_after_each_read)
{
    make_texts();
    append("f", old_text);
    struct weir_instance *i = start_head("f", "buffer_chunk_size", "4k");
    expect(old_text);
    append("f", "grown\n");
    after_reads(_i, rewrite);
    fake_idle(host);
    at_last();
    expect_new("grown\n");
    fake_stop(i);
}
END_TEST

START_TEST(rewritten_after_each_first_read)
{
    make_texts();
    append("f", old_text);
    after_reads(_i, rewrite);
    struct weir_instance *i = start_head("f", "buffer_chunk_size", "4k");
    fake_idle(host);
    at_last();
    expect_new(old_text);
    fake_stop(i);
}
END_TEST

START_TEST(rewritten_after_each_read_of_a_restart)
{
    make_texts();
    append("f", old_text);
    struct weir_instance *i = start_head("f", "buffer_chunk_size", "4k");
    expect(old_text);
    fake_stop(i);
    append("f", "grown\n");
    after_reads(_i, rewrite);
    i = start_head("f", "buffer_chunk_size", "4k");
    fake_idle(host);
    at_last();
    expect_new("grown\n");
    fake_stop(i);
}
END_TEST

/* The bytes before the news and those that the file begins with come in one read where they are near. */
START_TEST(reads_for_news)
{
    static const size_t sizes[] = {20, 200, 255, 256, 257, 1023, 1024, 4090, 4096, 4097, 9000};
    char text[9001] = "";
    size_t size = sizes[_i];
    memset(text, 'x', size - 1);
    text[size - 1] = '\n';
    append("f", text);
    struct weir_instance *i = start_head("f");
    expect(text);
    for (int k = 0; k < 3; k++) {
        all_reads = 0;
        append("f", "news\n");
        expect("news\n");
        ck_assert_uint_eq(all_reads, size <= 4096 ? 1 : 2);
        size += strlen("news\n");
    }
    fake_stop(i);
}
END_TEST

static void fill_packed(void)
{
    pack("f.gz", "1\n2\n");
}

/* It is empty as it is found, and compressed by the time that it is read. */
START_TEST(compressed_after_each_read)
{
    append("f.gz", "");
    after_reads(_i, fill_packed);
    struct weir_instance *i = start_head("*");
    fake_idle(host);
    at_last();
    expect("1\n2\n");
    fake_stop(i);
}
END_TEST

static void replace(void)
{
    unlink(at("f"));
    append("f", "3\n");
}

/* It goes, and another takes its name, while its .gz is compared with it: the open file, or a closed one. */
START_TEST(replaced_after_each_read_of_its_compressed_form)
{
    append("f", "1\n2\n");
    struct weir_instance *i = start_head("*", "rotate_wait", "1s", "max_open_files", _i % 2 ? "1" : "0");
    expect("1\n2\n");
    after_reads(_i / 2 + 1, replace);
    pack("f.gz", "1\n2\n");
    fake_idle(host);
    at_last();
    expect("3\n");
    fake_stop(i);
}
END_TEST

/* What is known of it is not forgotten with it: nothing comes twice, nor is it begun at its end. */
START_TEST(first_reads_of_a_restart_fail)
{
    const char *old = _i % 2 ? "7d" : "0";
    char *text = malloc(6000);
    memset(text, 'x', 5999);
    memcpy(text + 5998, "\n", 2);
    append("f", text);
    pack("f.gz", "packed\n");
    struct weir_instance *i = start_head("*", "refresh_interval", "1s", "buffer_chunk_size", "4k");
    fake_idle(host);
    seen();
    fake_stop(i);
    append("f", "2\n");
    ck_assert_int_eq(utimensat(AT_FDCWD, at("f"), (struct timespec[2]){{0}, {0}}, 0), 0);
    reads_to_failure = (unsigned)_i / 2;
    i = start("*", "refresh_interval", "1s", "buffer_chunk_size", "4k", "ignore_older", old);
    fake_idle(host);
    fake_later(host, 2 * SECOND);
    fake_later(host, 10 * SECOND);
    expect("2\n");
    fake_stop(i);
    ck_assert_uint_eq(fake_stream_count(host, "t"), 2);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("races");
    TCase *tests = tcase_create("tail");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, rewritten_after_each_read, 1, READS);
    tcase_add_loop_test(tests, rewritten_after_each_first_read, 1, READS);
    tcase_add_loop_test(tests, rewritten_after_each_read_of_a_restart, 1, READS);
    tcase_add_loop_test(tests, reads_for_news, 0, 11);
    tcase_add_loop_test(tests, compressed_after_each_read, 1, READS);
    tcase_add_loop_test(tests, replaced_after_each_read_of_its_compressed_form, 0, 2 * READS);
    tcase_add_loop_test(tests, first_reads_of_a_restart_fail, 2, READS);
    suite_add_tcase(suite, tests);
    return run(suite);
}
