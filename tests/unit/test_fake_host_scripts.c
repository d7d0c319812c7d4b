/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test can script with the fake host: waits that are cancelled, chunks written one by one, several
 * outputs at a time; what it can ask of inputs: series, pages of details, the status; sets that are refused.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake_fixture.h"

/* -- A plugin that does what the test says -- */

struct toy {
    const struct weir_host *host;
    struct weir_instance *instance;
    struct weir_chunk *last, *before;
    char seen[256];
};

static int (*write_fn)(struct toy *, struct weir_chunk *);
static void (*start_fn)(struct toy *);
static void (*series_fn)(struct toy *, const struct weir_series *);
static struct toy *newest;

static int toy_create(const struct weir_host *host, struct weir_instance *i, const void *config, void **ret)
{
    (void)config;
    newest = calloc(1, sizeof(*newest));
    *newest = (struct toy){.host = host, .instance = i};
    *ret = newest;
    return 0;
}

static int toy_start(void *self)
{
    if (start_fn)
        start_fn(self);
    return 0;
}

static int toy_write(void *self, struct weir_chunk *chunk)
{
    struct toy *t = self;

    t->before = t->last;
    t->last = chunk;
    return write_fn(t, chunk);
}

static int toy_details(void *self, const struct weir_details *details)
{
    char text[64];

    (void)self;
    snprintf(text, sizeof(text), "\"from\":%u,\"to\":%u,\"worst\":%u", (unsigned)details->offset,
             (unsigned)(details->offset + details->limit), details->worst_first);
    details->write(details->data, text, strlen(text));
    return 0;
}

static int toy_series(void *self, const struct weir_series *series)
{
    series_fn(self, series);
    return 0;
}

static void toy_destroy(void *self)
{
    free(self);
}

static const struct weir_plugin output = {
    WEIR_ABI,           .kind = WEIR_OUTPUT, .name = "toy",         .create = toy_create,
    .start = toy_start, .write = toy_write,  .destroy = toy_destroy};
static const struct weir_plugin input = {WEIR_ABI,
                                         .kind = WEIR_INPUT,
                                         .name = "toy",
                                         .create = toy_create,
                                         .start = toy_start,
                                         .destroy = toy_destroy,
                                         .flags = WEIR_PLUGIN_SOURCE,
                                         .details = toy_details,
                                         .series = toy_series};

static struct weir_instance *start(const struct weir_plugin *plugin)
{
    struct weir_instance *i = weir_fake_new(fake, plugin, "t", NULL);

    ck_assert_ptr_nonnull(i);
    ck_assert_int_eq(weir_fake_start(i), 0);
    return i;
}

/* -- Waits -- */

/* Three waits, of which any may be the one that is cancelled. */
static int wait_thrice(struct toy *t, struct weir_chunk *chunk)
{
    (void)chunk;
    for (int n = 0; n < 3; n++) {
        int r = t->host->wait(t->instance, -1, 0, 1000);
        strcat(t->seen, r == -ETIMEDOUT ? "w" : r == -ECANCELED ? "c" : "?");
        if (r == -ECANCELED)
            return WEIR_RETRY;
    }
    return WEIR_DELIVERED;
}

START_TEST(waits_are_cancelled_in_turn)
{
    struct weir_instance *i = start(&output);

    write_fn = wait_thrice;
    weir_fake_cancel_after(i, 0);
    ck_assert_int_eq(weir_fake_write_lines(i, "tag", "", "a"), WEIR_RETRY);
    for (size_t n = 1; n < 3; n++) {
        weir_fake_cancel_after(i, n);
        ck_assert_int_eq(weir_fake_write_next(i), WEIR_RETRY);
    }
    ck_assert_int_eq(weir_fake_write_next(i), WEIR_RETRY); /* stays so */
    weir_fake_cancel_after(i, 3);
    ck_assert_int_eq(weir_fake_write_next(i), WEIR_DELIVERED);
    ck_assert_str_eq(newest->seen, "cwcwwccwww");
    weir_fake_stop(i);
    ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(cancelling_is_taken_back)
{
    struct weir_instance *i = start(&output);

    write_fn = wait_thrice;
    weir_fake_cancel(i);
    ck_assert_int_eq(weir_fake_write_lines(i, "tag", "", "a"), WEIR_RETRY);
    weir_fake_uncancel(i);
    ck_assert_int_eq(weir_fake_write_next(i), WEIR_DELIVERED);
    weir_fake_cancel_after(i, 1);
    weir_fake_uncancel(i);
    weir_fake_uncancel(i);
    ck_assert_int_eq(weir_fake_write_lines(i, "tag", "", "b"), WEIR_DELIVERED);
    ck_assert_str_eq(newest->seen, "cwwwwww");
    weir_fake_stop(i);
}
END_TEST

static int waits_for_ever(struct toy *t, struct weir_chunk *chunk)
{
    (void)chunk;
    return t->host->wait(t->instance, -1, 0, UINT64_MAX) == -ECANCELED ? WEIR_RETRY : WEIR_REJECTED;
}

START_TEST(patience_ends)
{
    struct weir_instance *i = start(&output);

    write_fn = waits_for_ever;
    weir_fake_set_patience(fake, 20);
    ck_assert_int_eq(weir_fake_write_lines(i, "tag", "", "a"), WEIR_RETRY);
    expect_told("wait: nothing has come for 20 ms");
    weir_fake_stop(i);
}
END_TEST

/* -- Chunks one by one -- */

static int keeps(struct toy *t, struct weir_chunk *chunk)
{
    (void)t, (void)chunk;
    return WEIR_LATER;
}

static void finish(struct weir_chunk *chunk, enum weir_result result)
{
    newest->host->finish(newest->instance, chunk, result);
}

START_TEST(one_that_is_written_again_goes_alone)
{
    struct weir_instance *i = start(&output);

    write_fn = keeps;
    ck_assert_int_eq(weir_fake_write_next(i), -ENOENT);
    for (size_t k = 0; k < 3; k++)
        ck_assert_uint_eq(weir_fake_queue(i, "tag", "", "", 0, 0), k);
    ck_assert_uint_eq(weir_fake_attempts(i, 0), 0);
    ck_assert_int_eq(weir_fake_write_next(i), WEIR_LATER);
    ck_assert_int_eq(weir_fake_write_next(i), WEIR_LATER); /* new ones go beside each other */
    struct weir_chunk *first = newest->before, *second = newest->last;
    finish(first, WEIR_RETRY);
    ck_assert_int_eq(weir_fake_write_next(i), -EBUSY); /* the second one is under way */
    finish(second, WEIR_DELIVERED);
    ck_assert_int_eq(weir_fake_write_next(i), WEIR_LATER);
    ck_assert_ptr_eq(newest->last, first);
    ck_assert_int_eq(weir_fake_write_next(i), -EBUSY); /* nothing beside it */
    finish(first, WEIR_DELIVERED);
    ck_assert_int_eq(weir_fake_write_next(i), WEIR_LATER);
    finish(newest->last, WEIR_DELIVERED);
    ck_assert_int_eq(weir_fake_write_next(i), -ENOENT);
    ck_assert_uint_eq(weir_fake_attempts(i, 0), 2);
    ck_assert_uint_eq(weir_fake_attempts(i, 1), 1);
    ck_assert_uint_eq(weir_fake_written(i), 3);
    weir_fake_stop(i);
    ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(stopping_with_a_chunk_under_way)
{
    struct weir_instance *i = start(&output);

    write_fn = keeps;
    weir_fake_write_lines(i, "tag", "", "a");
    weir_fake_stop(i);
    expect_told("stopped: 1 chunks are not finished");
}
END_TEST

static int rejects(struct toy *t, struct weir_chunk *chunk)
{
    t->host->reject(t->instance, chunk, chunk->data + 2, chunk->size - 2, 1, "odd");
    t->host->reject(t->instance, chunk, "elsewhere", 9, 1, "strange");
    t->host->reject(t->instance, chunk, NULL, 0, 1, "lost");
    return WEIR_DELIVERED;
}

START_TEST(rejections_are_kept)
{
    struct weir_instance *i = start(&output);
    size_t count;

    write_fn = rejects;
    weir_fake_write(i, "tag", "", "abcd", 4, 3);
    const struct weir_fake_rejection *r = weir_fake_rejections(i, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(weir_fake_rejected(i), 3);
    ck_assert_uint_eq(r[0].chunk, 0);
    ck_assert_uint_eq(r[0].offset, 2);
    ck_assert_mem_eq(r[0].bytes, "cd", 2);
    ck_assert_str_eq(r[0].reason, "odd");
    ck_assert_uint_eq(r[1].offset, SIZE_MAX);
    ck_assert_mem_eq(r[1].bytes, "elsewhere", 9);
    ck_assert_ptr_null(r[2].bytes);
    weir_fake_stop(i);
}
END_TEST

static int waits_a_little(struct toy *t, struct weir_chunk *chunk)
{
    (void)chunk;
    return t->host->wait(t->instance, -1, 0, 1000) == -ETIMEDOUT ? WEIR_DELIVERED : WEIR_REJECTED;
}

static void *write_many(void *data)
{
    for (int k = 0; k < 50; k++)
        weir_fake_write_lines(data, "tag", "", "a");
    weir_fake_settle(data, 60000);
    return NULL;
}

/* Each on its own thread, which is not that on which they were made; host->wait looks at the thread. */
START_TEST(several_outputs_at_a_time)
{
    struct weir_instance *outputs[3];
    pthread_t threads[3];

    write_fn = waits_a_little;
    for (int k = 0; k < 3; k++)
        outputs[k] = start(&output);
    for (int k = 0; k < 3; k++)
        ck_assert_int_eq(pthread_create(&threads[k], NULL, write_many, outputs[k]), 0);
    for (int k = 0; k < 3; k++)
        pthread_join(threads[k], NULL);
    for (int k = 0; k < 3; k++) {
        ck_assert_uint_eq(weir_fake_written(outputs[k]), 50);
        for (size_t n = 0; n < 50; n++)
            ck_assert_int_eq(weir_fake_result(outputs[k], n), WEIR_DELIVERED);
        weir_fake_stop(outputs[k]);
    }
    ck_assert_str_eq(told, "");
}
END_TEST

/* -- Words and numbers -- */

static void says(struct toy *t)
{
    t->host->log(t->instance, WEIR_LOG_WARN, "one");
    (t->host->fail)(t->instance, "two");
    t->host->metric(t->instance, WEIR_GAUGE, "lag", "How far.", "file", "a");
    t->host->metric(t->instance, WEIR_GAUGE, "lag", "How far.", "file", "b");
}

START_TEST(log_and_metrics)
{
    start_fn = says;
    struct weir_instance *i = start(&input);
    char *log = weir_fake_log(fake);
    ck_assert_str_eq(log, "WARN one\nFAIL two\n");
    free(log);
    ck_assert_uint_eq(weir_fake_metric_count(i, "lag"), 2);
    ck_assert_uint_eq(weir_fake_metric_count(i, "la"), 0);
    weir_fake_stop(i);
}
END_TEST

static void good_series(struct toy *t, const struct weir_series *s)
{
    (void)t;
    s->put(s->data, WEIR_GAUGE, "lag", "How far.", "file", "a", 1.5);
    s->put(s->data, WEIR_COUNTER, "all", "All.", NULL, NULL, 2);
}

static void no_help(struct toy *t, const struct weir_series *s)
{
    (void)t;
    s->put(s->data, WEIR_GAUGE, "lag", "", NULL, NULL, 1);
}

static void same_name(struct toy *t, const struct weir_series *s)
{
    t->host->metric(t->instance, WEIR_GAUGE, "lag", "How far.", NULL, NULL);
    s->put(s->data, WEIR_GAUGE, "lag", "How far.", NULL, NULL, 1);
}

START_TEST(series_are_asked_for)
{
    struct weir_instance *i = start(&input);
    size_t count;

    for (int again = 0; again < 2; again++) {
        series_fn = good_series;
        const struct weir_fake_series *s = weir_fake_series(i, &count);
        ck_assert_uint_eq(count, 2);
        ck_assert_str_eq(s[0].name, "lag");
        ck_assert_str_eq(s[0].label, "file");
        ck_assert_str_eq(s[0].label_value, "a");
        ck_assert(s[0].value == 1.5);
        ck_assert_int_eq(s[1].kind, WEIR_COUNTER);
        ck_assert_str_eq(s[1].label, "");
    }
    ck_assert_str_eq(told, "");
    series_fn = no_help;
    weir_fake_series(i, &count);
    expect_told("series: 'lag' lacks its name, help, kind");
    series_fn = same_name;
    weir_fake_series(i, &count);
    ck_assert_uint_eq(count, 0);
    expect_told("series: 'lag' is a metric of host->metric already");
    weir_fake_stop(i);
}
END_TEST

START_TEST(pages_of_details)
{
    struct weir_instance *i = start(&input);
    char *text = weir_fake_details_of(i, 10, 5, true);
    ck_assert_str_eq(text, "{\"from\":10,\"to\":15,\"worst\":1}");
    free(text);
    text = weir_fake_details(i);
    ck_assert_str_eq(text, "{\"from\":0,\"to\":1000,\"worst\":0}");
    free(text);
    weir_fake_stop(i);
}
END_TEST

/* -- Sources -- */

static void see_status(void *data, const char *json, size_t size)
{
    struct toy *t = data;

    ck_assert_uint_eq(size, json ? strlen(json) : 0);
    strcat(t->seen, json ? json : "none");
}

static void asks(struct toy *t)
{
    ck_assert_int_eq(t->host->status(t->instance, 3, see_status, t), 0);
}

START_TEST(status)
{
    start_fn = asks;
    struct weir_instance *i = start(&input);
    ck_assert_str_eq(newest->seen, "");
    weir_fake_idle(fake);
    ck_assert_str_eq(newest->seen, "none");
    weir_fake_set_status(fake, "{}");
    asks(newest);
    weir_fake_idle(fake);
    ck_assert_str_eq(newest->seen, "none{}");
    weir_fake_stop(i);
}
END_TEST

static void see_refusals(void *data, const struct weir_refusal *refusals, size_t count)
{
    struct toy *t = data;

    strcat(t->seen, "|");
    for (size_t k = 0; k < count; k++)
        sprintf(t->seen + strlen(t->seen), "%zu %s,", refusals[k].index, refusals[k].reason);
}

static void gives_set(struct toy *t)
{
    const struct weir_input_spec specs[] = {{.id = "a", .name = "tail"}, {.id = "b", .name = "tail"}};

    t->host->set_inputs(t->instance, specs, sizeof(*specs), 2, see_refusals, t);
}

START_TEST(several_are_refused)
{
    start_fn = gives_set;
    struct weir_instance *i = start(&input);
    weir_fake_refuse(i, "b", "bad");
    weir_fake_refuse(i, "a", "worse");
    weir_fake_idle(fake);
    weir_fake_refuse(i, NULL, NULL);
    gives_set(newest);
    weir_fake_idle(fake);
    ck_assert_str_eq(newest->seen, "|0 worse,1 bad,|");
    ck_assert_uint_eq(weir_fake_sets(i), 2);
    weir_fake_stop(i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fake_host_scripts");
    TCase *tcase = tcase_create("fake_host_scripts");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, waits_are_cancelled_in_turn);
    tcase_add_test(tcase, cancelling_is_taken_back);
    tcase_add_test(tcase, patience_ends);
    tcase_add_test(tcase, one_that_is_written_again_goes_alone);
    tcase_add_test(tcase, stopping_with_a_chunk_under_way);
    tcase_add_test(tcase, rejections_are_kept);
    tcase_add_test(tcase, several_outputs_at_a_time);
    tcase_add_test(tcase, log_and_metrics);
    tcase_add_test(tcase, series_are_asked_for);
    tcase_add_test(tcase, pages_of_details);
    tcase_add_test(tcase, status);
    tcase_add_test(tcase, several_are_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
