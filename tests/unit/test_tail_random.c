/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_tail against a model: random appends, partial lines, rotations, deletions, truncations, pauses, stops
 * and kills. Every line has a number; what must come is known, what may be repeated (after a kill) and what
 * may be lost (unread at a truncation) too. TAIL_RANDOM_SEED and TAIL_RANDOM_STEPS choose another run.
 */
#include "tail_fixture.h"

enum { LINES_MAX = 200000, ROTATIONS = 4 };

static unsigned char came[LINES_MAX]; /* how often, up to 255 */
static bool may_repeat[LINES_MAX], may_miss[LINES_MAX];
static int lines, settled; /* written so far; all below have been checked */
static bool torn;          /* the file ends within line number `lines - 1` */
static unsigned long state;
static struct weir_instance *input;

static unsigned pick(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

static void begin(void)
{
    input = start_head("f*", "exclude_path", "*.gone", "buffer_chunk_size", "4k", "rotate_wait", "1s");
}

static void write_line(void)
{
    char text[400];
    if (torn) {
        append("f", ".\n");
        torn = false;
        return;
    }
    int n = snprintf(text, sizeof(text), "%d ", lines++);
    unsigned fill = pick(10) ? pick(60) : pick(300);
    memset(text + n, 'x', fill);
    strcpy(text + n + fill, pick(8) ? ".\n" : "");
    torn = !strchr(text, '\n');
    append("f", text);
}

static void end_line(void)
{
    if (torn) {
        write_line();
    }
}

/* Everything written so far comes, or can't any more. */
static void collect(void)
{
    size_t count, size;
    fake_chunks(host, &count);
    char *text = sent_text(&size);
    for (char *line = text, *end; line < text + size; line = end + 1) {
        char *rest;
        end = memchr(line, '\n', (size_t)(text + size - line));
        long n = strtol(line, &rest, 10);
        ck_assert_msg(*rest == ' ' && n < lines, "no line of ours: %.80s", line);
        ck_assert_msg(end[-1] == '.' || may_miss[n], "torn line: %.*s", (int)(end - line), line);
        came[n] += came[n] < 255;
        ck_assert_msg(came[n] == 1 || may_repeat[n], "line %ld came twice", n);
    }
    free(text);
    seen();
}

static void settle(void)
{
    fake_set_full(input, false);
    fake_idle(host);
    /* inotify events come with the system call that causes them, so nothing is left to wait for */
    collect();
    for (; settled < lines - torn; settled++) {
        ck_assert_msg(came[settled] || may_miss[settled], "line %d never came", settled);
    }
}

static void rotate(void)
{
    static unsigned unlooked;
    char from[16], to[16];
    end_line();
    if (unlooked++ % 3 == 0) {
        fake_idle(
            host); /* one that is created and renamed out of the pattern between two looks is never seen */
    }
    for (int k = ROTATIONS; k >= 0; k--) {
        snprintf(from, sizeof(from), k ? "f.%d" : "f", k);
        snprintf(to, sizeof(to), k == ROTATIONS ? "f.%d.gone" : "f.%d", k + 1);
        if (rename(at(from), at(to)) < 0) {
            ck_assert_int_eq(errno, ENOENT);
        }
    }
}

static void truncate_file(void)
{
    settle(); /* what is not read by now would be lost */
    if (torn) {
        may_miss[lines - 1] = true;
        torn = false;
    }
    overwrite("f", "");
    if (pick(2)) {
        fake_idle(host);
    }
}

static void delete_file(void)
{
    end_line();
    unlink(at("f"));
}

/* What others do to the files while the input does not run. */
static void while_away(void)
{
    for (unsigned k = pick(3); k; k--) {
        for (unsigned n = pick(5); n; n--) {
            write_line();
        }
        rotate();
    }
    for (unsigned n = pick(5); n; n--) {
        write_line();
    }
}

static void restart(void)
{
    settle();
    fake_stop(input);
    while_away();
    begin();
}

/* Everything that was not acknowledged comes again. */
static void crash(void)
{
    settle();
    fake_acknowledge_at_once(host, false);
    int from = lines;
    for (unsigned k = pick(20); k; k--) {
        write_line();
        fake_idle(host);
    }
    end_line();
    fake_idle(host);
    collect();
    fake_acknowledge(host, pick(10));
    fake_stop(input);
    fake_crash(host);
    fake_acknowledge_at_once(host, true);
    for (int k = from ? from - 1 : 0; k < lines; k++) {
        may_repeat[k] = true;
    }
    while_away();
    begin();
}

static void step(void)
{
    unsigned what = pick(1000);
    if (what < 800) {
        write_line();
    } else if (what < 840) {
        fake_later(host, pick(4) ? 0 : UINT64_C(1100000000)); /* over rotate_wait, now and then */
    } else if (what < 880) {
        settle();
    } else if (what < 900) {
        fake_set_full(input, true);
    } else if (what < 930) {
        fake_set_room(input, 1 + pick(4));
    } else if (what < 960) {
        rotate();
    } else if (what < 970) {
        fake_idle(host);
        delete_file();
    } else if (what < 980) {
        truncate_file();
    } else if (what < 990) {
        restart();
    } else {
        crash();
    }
}

static unsigned long number_of(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

START_TEST(random_steps)
{
    unsigned long seed = number_of("TAIL_RANDOM_SEED", 1) + (unsigned long)_i;
    unsigned long steps = number_of("TAIL_RANDOM_STEPS", 3000);
    state = seed;
    lines = settled = 0;
    torn = false;
    memset(came, 0, sizeof(came));
    memset(may_repeat, 0, sizeof(may_repeat));
    memset(may_miss, 0, sizeof(may_miss));
    printf("seed %lu\n", seed);
    begin();
    for (unsigned long k = 0; k < steps && lines < LINES_MAX - 100; k++) {
        step();
    }
    end_line();
    settle();
    fake_stop(input);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail random");
    TCase *tests = tcase_create("random");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, random_steps, 0, 8);
    suite_add_tcase(suite, tests);
    return run(suite);
}
