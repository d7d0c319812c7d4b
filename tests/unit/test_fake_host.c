/* SPDX-License-Identifier: Apache-2.0 */
/* The fake host of the plugin kit: what it does for a good plugin, and each misuse that it tells of. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/event.h>
#include "fake_fixture.h"

/* -- A plugin that does what the test says, in whatever callback. ------------------------------------------
 */

struct toy {
    const struct weir_host *host;
    struct weir_instance *instance;
    struct weir_chunk *last;
};

struct toy_config {
    int64_t number;
    uint64_t size, pause;
    const char *text;
    struct weir_list list;
    struct weir_map map;
    int choice;
    bool on;
};

static const char *const choices[] = {"red", "green", NULL};
static const struct weir_option options[] = {
    {.name = "number",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct toy_config, number),
     .def = "-3",
     .min = -5,
     .max = 9},
    {.name = "size", .type = WEIR_OPTION_SIZE, .offset = offsetof(struct toy_config, size), .def = "2k"},
    {.name = "pause",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct toy_config, pause),
     .def = "1m30s"},
    {.name = "text",
     .type = WEIR_OPTION_STRING,
     .flags = WEIR_OPTION_REQUIRED,
     .offset = offsetof(struct toy_config, text)},
    {.name = "list", .type = WEIR_OPTION_LIST, .offset = offsetof(struct toy_config, list), .def = "a,b"},
    {.name = "map", .type = WEIR_OPTION_MAP, .offset = offsetof(struct toy_config, map)},
    {.name = "choice",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct toy_config, choice),
     .def = "green",
     .choices = choices},
    {.name = "on", .type = WEIR_OPTION_BOOL, .offset = offsetof(struct toy_config, on), .def = "yes"},
    {.name = "old", .type = WEIR_OPTION_IGNORED, .help = "of no use"},
    {0},
};

static struct toy_config seen;

static int toy_create(const struct weir_host *host, struct weir_instance *i, const void *config, void **ret)
{
    struct toy *t = calloc(1, sizeof(*t));
    *t = (struct toy){.host = host, .instance = i};
    if (config)
        seen = *(const struct toy_config *)config;
    *ret = t;
    return 0;
}

static int (*write_fn)(struct toy *, struct weir_chunk *);
static void (*start_fn)(struct toy *);
static void (*stop_fn)(struct toy *);

static int toy_start(void *self)
{
    if (start_fn)
        start_fn(self);
    return 0;
}

static int toy_write(void *self, struct weir_chunk *chunk)
{
    ((struct toy *)self)->last = chunk;
    return write_fn ? write_fn(self, chunk) : WEIR_DELIVERED;
}

static void toy_resume(void *self)
{
    struct toy *t = self;
    t->host->log(t->instance, WEIR_LOG_INFO, "resumed");
}

static void toy_stop(void *self)
{
    struct toy *t = self;
    if (stop_fn)
        stop_fn(t);
    t->host->stopped(t->instance);
}

static void toy_destroy(void *self)
{
    free(self);
}

static const struct weir_plugin output = {WEIR_ABI,
                                          .kind = WEIR_OUTPUT,
                                          .name = "toy",
                                          .config_size = sizeof(struct toy_config),
                                          .create = toy_create,
                                          .start = toy_start,
                                          .write = toy_write,
                                          .stop = toy_stop,
                                          .destroy = toy_destroy};
static const struct weir_plugin input = {WEIR_ABI,
                                         .kind = WEIR_INPUT,
                                         .name = "toy",
                                         .options = options,
                                         .config_size = sizeof(struct toy_config),
                                         .create = toy_create,
                                         .start = toy_start,
                                         .resume = toy_resume,
                                         .stop = toy_stop,
                                         .destroy = toy_destroy};

static struct weir_instance *start(const struct weir_plugin *plugin)
{
    static const struct weir_fake_setting settings[] = {{"text", "x"}, {NULL, NULL}};
    struct weir_instance *i = weir_fake_new(fake, plugin, "t", plugin->options ? settings : NULL);
    ck_assert_msg(i != NULL, "%s", weir_fake_error(fake));
    ck_assert_int_eq(weir_fake_start(i), 0);
    return i;
}

static void forget_fns(void)
{
    write_fn = NULL;
    start_fn = NULL;
    stop_fn = NULL;
}

/* -- Options -----------------------------------------------------------------------------------------------
 */

START_TEST(options_as_written)
{
    const struct weir_fake_setting settings[] = {{"TEXT", "hello"}, {"list", "c"},  {"map.k.l", "v"},
                                                 {"choice", "Red"}, {"size", "3M"}, {"old", "1"},
                                                 {"tag", "my.tag"}, {NULL, NULL}};
    struct weir_instance *i = weir_fake_new(fake, &input, "t", settings);
    ck_assert_msg(i != NULL, "%s", weir_fake_error(fake));
    ck_assert_int_eq(seen.number, -3);
    ck_assert_uint_eq(seen.size, 3 << 20);
    ck_assert_uint_eq(seen.pause, 90000000000);
    ck_assert_str_eq(seen.text, "hello");
    ck_assert_uint_eq(seen.map.count, 1);
    ck_assert_str_eq(seen.map.entries[0].name, "k.l");
    ck_assert_int_eq(seen.choice, 0);
    ck_assert(seen.on);
    ck_assert_str_eq(weir_fake_table(fake)->tag(i), "my.tag");
    weir_fake_drop(i);
}
END_TEST

START_TEST(bad_settings)
{
    static const struct {
        struct weir_fake_setting setting;
        const char *words;
    } cases[] = {{{"nosuch", "1"}, "there is no such option"},
                 {{"number", "10"}, "bad setting number=10"},
                 {{"number", "x"}, "bad setting"},
                 {{"choice", "blue"}, "bad setting"},
                 {{"on", "perhaps"}, "bad setting"},
                 {{"pause", "5 parsecs"}, "bad setting"}};
    for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
        const struct weir_fake_setting settings[] = {{"text", "x"}, cases[k].setting, {NULL, NULL}};
        ck_assert_ptr_null(weir_fake_new(fake, &input, "t", settings));
        ck_assert_msg(strstr(weir_fake_error(fake), cases[k].words) != NULL, "%s", weir_fake_error(fake));
    }
    ck_assert_ptr_null(weir_fake_new(fake, &input, "t", NULL));
    ck_assert_str_eq(weir_fake_error(fake), "'text' is required");
}
END_TEST

/* -- Outputs -----------------------------------------------------------------------------------------------
 */

static int twice_retry(struct toy *t, struct weir_chunk *chunk)
{
    (void)t;
    static int calls;
    ck_assert_uint_eq(chunk->records, calls < 3 ? 2 : 1);
    return calls++ < 2 ? WEIR_RETRY : WEIR_DELIVERED;
}

START_TEST(retried_in_order)
{
    struct weir_instance *i = start(&output);
    write_fn = twice_retry;
    ck_assert_int_eq(weir_fake_write_lines(i, "tag", "", "a\nb\n"), WEIR_RETRY);
    ck_assert_int_eq(weir_fake_write_lines(i, "tag", "", "c"), WEIR_RETRY); /* behind it: not given yet */
    ck_assert_uint_eq(weir_fake_attempts(i, 1), 0);
    ck_assert(weir_fake_settle(i, 60000));
    ck_assert_uint_eq(weir_fake_attempts(i, 0), 3);
    ck_assert_int_eq(weir_fake_result(i, 0), WEIR_DELIVERED);
    ck_assert_int_eq(weir_fake_result(i, 1), WEIR_DELIVERED);
    weir_fake_stop(i);
    ck_assert_str_eq(told, "");
}
END_TEST

static void *finish_later(void *data)
{
    struct toy *t = data;
    usleep(1000);
    t->host->finish(t->instance, t->last, WEIR_DELIVERED);
    return NULL;
}

static pthread_t thread;

static int later(struct toy *t, struct weir_chunk *chunk)
{
    (void)chunk;
    ck_assert_int_eq(pthread_create(&thread, NULL, finish_later, t), 0);
    return WEIR_LATER;
}

START_TEST(finished_from_another_thread)
{
    struct weir_instance *i = start(&output);
    write_fn = later;
    ck_assert_int_eq(weir_fake_write_lines(i, "tag", "", "a"), WEIR_LATER);
    ck_assert(weir_fake_settle(i, 60000));
    ck_assert_int_eq(weir_fake_result(i, 0), WEIR_DELIVERED);
    pthread_join(thread, NULL);
    weir_fake_stop(i);
    ck_assert_str_eq(told, "");
}
END_TEST

static int waits(struct toy *t, struct weir_chunk *chunk)
{
    (void)chunk;
    return t->host->wait(t->instance, -1, 0, UINT64_MAX) == -ECANCELED ? WEIR_RETRY : WEIR_REJECTED;
}

START_TEST(wait_is_cancelled)
{
    struct weir_instance *i = start(&output);
    write_fn = waits;
    weir_fake_cancel(i);
    ck_assert_int_eq(weir_fake_write_lines(i, "tag", "", "a"), WEIR_RETRY);
    weir_fake_stop(i);
}
END_TEST

static int finish_and_return(struct toy *t, struct weir_chunk *chunk)
{
    t->host->finish(t->instance, chunk, WEIR_DELIVERED);
    return WEIR_DELIVERED;
}

static int finish_twice(struct toy *t, struct weir_chunk *chunk)
{
    t->host->finish(t->instance, chunk, WEIR_DELIVERED);
    t->host->finish(t->instance, chunk, WEIR_DELIVERED);
    return WEIR_LATER;
}

static int no_result(struct toy *t, struct weir_chunk *chunk)
{
    (void)t, (void)chunk;
    return 17;
}

static int reject_too_much(struct toy *t, struct weir_chunk *chunk)
{
    t->host->reject(t->instance, chunk, NULL, 0, 5, "bad");
    return WEIR_DELIVERED;
}

START_TEST(misuse_by_outputs)
{
    static const struct {
        int (*fn)(struct toy *, struct weir_chunk *);
        const char *words;
    } cases[] = {{finish_and_return, "finish: a chunk is finished twice: by host->finish"},
                 {finish_twice, "finish: a chunk is finished twice"},
                 {no_result, "write: returned 17"},
                 {reject_too_much, "reject: "}};
    for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
        struct weir_instance *i = start(&output);
        write_fn = cases[k].fn;
        weir_fake_write_lines(i, "tag", "", "a");
        weir_fake_stop(i);
        expect_told(cases[k].words);
    }
}
END_TEST

START_TEST(finish_after_destroy)
{
    struct weir_instance *i = start(&output);
    struct weir_chunk *chunk;
    write_fn = finish_twice;
    weir_fake_write_lines(i, "tag", "", "a");
    told[0] = '\0';
    chunk = &(struct weir_chunk){0};
    weir_fake_table(fake)->finish(i, chunk, WEIR_DELIVERED);
    expect_told("finish: a chunk that this instance was not given");
    weir_fake_stop(i);
    weir_fake_table(fake)->finish(i, chunk, WEIR_DELIVERED);
    expect_told("finish: called after destroy");
}
END_TEST

/* -- Inputs ------------------------------------------------------------------------------------------------
 */

static struct weir_stream *stream;

static struct weir_draft *draft_of(struct toy *t, size_t room)
{
    struct weir_draft *d;
    ck_assert_int_eq(t->host->chunk_begin(t->instance, NULL, NULL, room, &d), 0);
    return d;
}

static void put(struct weir_draft *d, const char *text)
{
    uint8_t *p = weir_put_record(d->data + d->size, 1, 2, 1);
    p = weir_put_str(weir_put_str(p, "log", 3), text, (uint32_t)strlen(text));
    d->size = (size_t)(p - d->data);
    d->records++;
}

static void send(struct toy *t, const char *text, uint64_t offset)
{
    struct weir_draft *d = draft_of(t, 100);
    put(d, text);
    t->host->chunk_send(d, &(struct weir_position){stream, offset, 7}, 1);
}

static void send_two(struct toy *t)
{
    stream = t->host->stream_open(t->instance, "s");
    send(t, "a", 1);
    send(t, "b", 2);
}

static void close_stream(struct toy *t)
{
    t->host->stream_close(stream);
}

START_TEST(positions_and_acknowledgement)
{
    size_t count;
    start_fn = send_two;
    stop_fn = close_stream;
    weir_fake_acknowledge_at_once(fake, false);
    struct weir_instance *i = start(&input);
    char *text = weir_fake_text(fake, "log");
    ck_assert_str_eq(text, "a\nb\n");
    free(text);
    const struct weir_fake_chunk *chunks = weir_fake_chunks(fake, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(chunks[1].positions[0].key, "s");
    ck_assert_str_eq(chunks[1].tag, "t");
    weir_fake_acknowledge(fake, 1);
    struct weir_stream_state state = {.struct_size = sizeof(state)};
    weir_fake_table(fake)->stream_state(stream, &state);
    ck_assert_uint_eq(state.offset, 2);
    ck_assert_uint_eq(state.committed, 1);
    weir_fake_stop(i);
    ck_assert_str_eq(told, "");
}
END_TEST

static void too_many_records(struct toy *t)
{
    struct weir_draft *d = draft_of(t, 100);
    put(d, "x");
    d->records = 2;
    t->host->chunk_send(d, NULL, 0);
}

static void no_record(struct toy *t)
{
    struct weir_draft *d = draft_of(t, 100);
    d->data[0] = 0xc1;
    d->size = d->records = 1;
    t->host->chunk_send(d, NULL, 0);
}

static void goes_down(struct toy *t)
{
    stream = t->host->stream_open(t->instance, "s");
    send(t, "a", 5);
    send(t, "b", 4);
    t->host->stream_close(stream);
}

static void named_twice(struct toy *t)
{
    stream = t->host->stream_open(t->instance, "s2");
    struct weir_position positions[] = {{stream, 1, 0}, {stream, 1, 0}};
    t->host->chunk_send(draft_of(t, 1), positions, 2);
    t->host->stream_close(stream);
}

static void leaves_stream(struct toy *t)
{
    t->host->stream_open(t->instance, "left");
}

static void leaves_draft(struct toy *t)
{
    draft_of(t, 10);
}

static void nothing(void *data)
{
    (void)data;
}

static void leaves_timer(struct toy *t)
{
    t->host->timer_add(t->host->loop(t->instance), nothing, NULL);
}

static void sources_without_flag(struct toy *t)
{
    t->host->set_inputs(t->instance, NULL, sizeof(struct weir_input_spec), 0, NULL, NULL);
}

static void bad_key(struct toy *t)
{
    t->host->stream_open(t->instance, "a\nb");
}

static void *stray(void *data)
{
    struct toy *t = data;
    struct weir_draft *d;
    t->host->chunk_begin(t->instance, NULL, NULL, 10, &d);
    return NULL;
}

static void from_thread(struct toy *t)
{
    ck_assert_int_eq(pthread_create(&thread, NULL, stray, t), 0);
    pthread_join(thread, NULL);
}

static void ends_twice(struct toy *t)
{
    t->host->ended(t->instance);
    t->host->ended(t->instance);
}

static void stops_unasked(struct toy *t)
{
    t->host->stopped(t->instance);
}

START_TEST(misuse_by_inputs)
{
    static const struct {
        void (*fn)(struct toy *);
        const char *words;
    } cases[] = {{too_many_records, "the draft says 2 records and has 1"},
                 {no_record, "record 1 of the chunk is no record"},
                 {goes_down, "the offset of 's' goes down, from 5 to 4"},
                 {named_twice, "the stream 's2' is named twice"},
                 {leaves_stream, "the stream 'left' is left open"},
                 {leaves_draft, "a draft is neither sent nor cancelled"},
                 {leaves_timer, "a timer is left"},
                 {sources_without_flag, "lacks the flag WEIR_PLUGIN_SOURCE"},
                 {bad_key, "stream_open: a key has 1 to 512 bytes"},
                 {from_thread, "chunk_begin: called on another thread than the instance's"},
                 {ends_twice, "ended: called twice"},
                 {stops_unasked, "stopped: called before stop"}};
    for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
        start_fn = cases[k].fn;
        weir_fake_stop(start(&input));
        expect_told(cases[k].words);
    }
}
END_TEST

START_TEST(resume_when_there_is_room)
{
    struct weir_instance *i = start(&input);
    weir_fake_set_full(i, true);
    weir_fake_set_full(i, false);
    ck_assert_uint_eq(weir_fake_logged(fake, "resumed"), 0);
    weir_fake_idle(fake);
    ck_assert_uint_eq(weir_fake_logged(fake, "INFO resumed"), 1);
    weir_fake_stop(i);
}
END_TEST

static bool had_data_dir;

static void asks_for_data_dir(struct toy *t)
{
    had_data_dir = WEIR_HAS(t->host, data_dir) && t->host->data_dir(t->instance);
}

START_TEST(older_host)
{
    weir_fake_set_data_dir(fake, "/somewhere");
    start_fn = asks_for_data_dir;
    weir_fake_stop(start(&input));
    ck_assert(had_data_dir);
    weir_fake_pretend_older(fake, offsetof(struct weir_host, data_dir));
    weir_fake_stop(start(&input));
    ck_assert(!had_data_dir);
    ck_assert_ptr_null(weir_fake_table(fake)->status);
}
END_TEST

START_TEST(aborts_by_default)
{
    weir_fake_on_misuse(fake, NULL, NULL);
    start_fn = stops_unasked;
    start(&input);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fake_host");
    TCase *tcase = tcase_create("fake_host");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_checked_fixture(tcase, forget_fns, NULL);
    tcase_add_test(tcase, options_as_written);
    tcase_add_test(tcase, bad_settings);
    tcase_add_test(tcase, retried_in_order);
    tcase_add_test(tcase, finished_from_another_thread);
    tcase_add_test(tcase, wait_is_cancelled);
    tcase_add_test(tcase, misuse_by_outputs);
    tcase_add_test(tcase, finish_after_destroy);
    tcase_add_test(tcase, positions_and_acknowledgement);
    tcase_add_test(tcase, misuse_by_inputs);
    tcase_add_test(tcase, resume_when_there_is_room);
    tcase_add_test(tcase, older_host);
    tcase_add_test_raise_signal(tcase, aborts_by_default, 6);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
