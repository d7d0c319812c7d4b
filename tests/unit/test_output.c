/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outputs with a plugin of the test's own: order, retry, answers that come later, rejection, and the ways to
 * stop. The engine's getters are stood in for here, so that nothing but the output runs.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "engine.h"
#include "loop.h"
#include "output.h"

/* -- The engine, as far as an output sees it --------------------------------------------------------- */

static struct service service;
static struct weir_loop *control;
static struct metrics *metrics;
static struct router *router;
static struct pool *pool;
static struct checkpoint *checkpoint;
static unsigned events_seen, event_wanted;

static struct engine *const fake_engine = (struct engine *)&service;

void engine_retry_pauses(struct engine *e, uint64_t *ret_base, uint64_t *ret_cap)
{
    (void)e;
    *ret_base = service.retry_base;
    *ret_cap = service.retry_cap;
}

struct weir_loop *engine_control(struct engine *e)
{
    (void)e;
    return control;
}

struct metrics *engine_metrics(struct engine *e)
{
    (void)e;
    return metrics;
}

struct router *engine_router(struct engine *e)
{
    (void)e;
    return router;
}

bool engine_is_options_only(const struct engine *e)
{
    (void)e;
    return false;
}

const struct weir_host *engine_host(void)
{
    return NULL;
}

void engine_on_events(struct weir_instance *i, unsigned events)
{
    (void)i;
    events_seen |= events;
    if (events_seen & event_wanted)
        loop_stop(control);
}

static void await(unsigned event)
{
    event_wanted = event;
    if (!(events_seen & event))
        ck_assert_int_eq(loop_run(control), 0);
    ck_assert(events_seen & event);
}

/* -- The plugin -------------------------------------------------------------------------------------- */

enum { CHUNKS = 50 };

static struct fake {
    int (*write)(struct weir_chunk *);
    uint64_t log[1000];  /* ids in the order of writing */
    uint64_t time[1000]; /* when: loop_now */
    size_t writes;
    struct weir_chunk *kept[CHUNKS];
    size_t kept_count;
    sem_t written;
    bool metric_at_destroy;
} fake;

static struct output *output;

static int fake_create(const struct weir_host *host, struct weir_instance *i, const void *config, void **ret)
{
    (void)host, (void)config;
    metric_add(metrics_get(metrics, WEIR_COUNTER, "fake_own", "", NULL, 0, i), 1);
    *ret = &fake;
    return 0;
}

static int fake_write(void *self, struct weir_chunk *c)
{
    (void)self;
    if (fake.writes < 1000) {
        fake.log[fake.writes] = c->id;
        fake.time[fake.writes] = loop_now();
    }
    fake.writes++;
    int rc = fake.write(c);
    sem_post(&fake.written);
    return rc;
}

/* The plugin's own metrics are valid until it returns. */
static void fake_destroy(void *self)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)self;
    ck_assert_int_eq(metrics_write(metrics, f), 0);
    fclose(f);
    fake.metric_at_destroy = strstr(text, "fake_own_total 1") != NULL;
    free(text);
}

static struct plugin plugin = {.users = 1,
                               .file = -1,
                               .api = {.struct_size = sizeof(struct weir_plugin),
                                       .abi_version = WEIR_ABI_VERSION,
                                       .option_size = sizeof(struct weir_option),
                                       .kind = WEIR_OUTPUT,
                                       .name = "fake",
                                       .create = fake_create,
                                       .write = fake_write,
                                       .destroy = fake_destroy},
                               .path = (char *)"fake.so"};

/* -- One test's world -------------------------------------------------------------------------------- */

static struct weir_stream *stream;
static struct rcstring *input_name;
static uint64_t ids[CHUNKS];

static char *value_fake[] = {(char *)"fake"};

static struct output *try_output(struct setting *extra, size_t count, struct problems *problems)
{
    struct setting settings[8] = {{.name = (char *)"name", .values = value_fake, .count = 1}};
    struct section section = {.settings = settings, .count = 1 + count};

    for (size_t i = 0; i < count; i++)
        settings[i + 1] = extra[i];
    struct output *o = output_create(fake_engine, &plugin, &section, "fake.0", problems);
    if (o && output_add_rule(o, router, NULL, problems) < 0) {
        output_destroy(o);
        o = NULL;
    }
    return o;
}

static void begin_world(int (*write)(struct weir_chunk *), struct setting *extra, size_t count)
{
    struct problems problems = {0};
    char *why = NULL;

    memset(&fake, 0, sizeof(fake));
    sem_init(&fake.written, 0, 0);
    fake.write = write;
    events_seen = 0;
    service = (struct service){.retry_base = 1000000, .retry_cap = 4000000};
    control = loop_create();
    metrics = metrics_create();
    router = router_create();
    pool = pool_create(1 << 30);
    ck_assert_int_eq(checkpoint_open(NULL, &checkpoint, &why), 0);
    stream = checkpoint_stream_open(checkpoint, "in", "s");
    input_name = rcstring_create("in.0");
    output = try_output(extra, count, &problems);
    ck_assert_msg(output != NULL, "%s", problems.count ? problems.items[0].text : "no output");
    ck_assert_int_eq(output_start(output), 0);
    await(INSTANCE_STARTED);
}

static void end_world(void)
{
    await(INSTANCE_STOPPED);
    output_destroy(output);
    checkpoint_stream_close(stream);
    checkpoint_close(checkpoint);
    rcstring_unref(input_name);
    router_destroy(router);
    ck_assert_uint_eq(atomic_load(&pool_gate(pool)->used), 0); /* every chunk came back */
    pool_destroy(pool);
    metrics_destroy(metrics);
    loop_destroy(control);
    sem_destroy(&fake.written);
}

static void send_chunk(int number)
{
    struct route *route = router_get(router, "tag", "");
    struct chunk *c = chunk_create(pool, checkpoint, route, input_name, 16);
    struct weir_position position = {.stream = stream, .offset = (uint64_t)number + 1, .token = 7};
    bool sealed = false;

    memcpy(c->draft.data, "payload", 7);
    c->draft.size = 7;
    c->draft.records = 1;
    ck_assert_int_eq(chunk_seal(c, &position, 1, &sealed), 0);
    ck_assert(sealed);
    ids[number] = c->view.id;
    output_push(output, &c->slots[0]);
    route_unref(route);
}

static void send_all(void)
{
    for (int i = 0; i < CHUNKS; i++)
        send_chunk(i);
}

static uint64_t committed(void)
{
    struct weir_stream_state state = {.struct_size = sizeof(state)};

    checkpoint_stream_state(stream, &state);
    return state.committed;
}

static void wait_writes(int n)
{
    while (n--)
        while (sem_wait(&fake.written) < 0)
            ;
}

/* -- Tests ------------------------------------------------------------------------------------------- */

static int deliver(struct weir_chunk *c)
{
    ck_assert_str_eq(c->tag, "tag");
    ck_assert_str_eq(c->topic, "");
    ck_assert_str_eq(c->input, "in.0");
    ck_assert_int_eq(memcmp(c->data, "payload", 7), 0);
    return WEIR_DELIVERED;
}

START_TEST(delivers_in_order_and_commits)
{
    begin_world(deliver, NULL, 0);
    send_all();
    output_drain(output);
    await(INSTANCE_STOPPED);
    ck_assert_uint_eq(fake.writes, CHUNKS);
    for (int i = 0; i < CHUNKS; i++)
        ck_assert_uint_eq(fake.log[i], ids[i]);
    ck_assert_uint_eq(committed(), CHUNKS);
    ck_assert_int_eq(metric_value(output->records), CHUNKS);
    ck_assert_int_eq(metric_value(output->bytes), 7 * CHUNKS);
    end_world();
}
END_TEST

static int fail_each_three_times(struct weir_chunk *c)
{
    static uint64_t last;
    static int tries;

    tries = c->id == last ? tries + 1 : 1;
    last = c->id;
    return tries <= 3 ? WEIR_RETRY : WEIR_DELIVERED;
}

START_TEST(retries_keep_the_order)
{
    begin_world(fail_each_three_times, NULL, 0);
    send_all();
    output_drain(output);
    await(INSTANCE_STOPPED);
    ck_assert_uint_eq(fake.writes, CHUNKS * 4);
    for (int i = 0; i < CHUNKS * 4; i++)
        ck_assert_uint_eq(fake.log[i], ids[i / 4]);
    ck_assert_uint_eq(committed(), CHUNKS);
    ck_assert_int_eq(metric_value(output->retries), CHUNKS * 3);
    end_world();
}
END_TEST

static int keep(struct weir_chunk *c)
{
    if (fake.kept_count < CHUNKS)
        fake.kept[fake.kept_count++] = c;
    return WEIR_LATER;
}

START_TEST(later_in_any_order_commits_in_order)
{
    begin_world(keep, NULL, 0);
    send_all();
    wait_writes(CHUNKS);
    for (int i = CHUNKS - 1; i >= 1; i--)
        output_finish(output, fake.kept[i], WEIR_DELIVERED);
    ck_assert_uint_eq(committed(), 0);
    output_finish(output, fake.kept[0], WEIR_DELIVERED);
    ck_assert_uint_eq(committed(), CHUNKS);
    output_drain(output);
    end_world();
}
END_TEST

START_TEST(a_later_retry_waits_for_the_others)
{
    begin_world(keep, NULL, 0);
    for (int i = 0; i < 4; i++)
        send_chunk(i);
    wait_writes(4);
    output_finish(output, fake.kept[2], WEIR_RETRY);
    output_finish(output, fake.kept[1], WEIR_RETRY);
    send_chunk(4); /* must come behind both */
    fake.write = deliver;
    output_finish(output, fake.kept[3], WEIR_DELIVERED);
    ck_assert_uint_eq(fake.writes, 4); /* kept[0] is still under way */
    output_finish(output, fake.kept[0], WEIR_DELIVERED);
    output_drain(output);
    await(INSTANCE_STOPPED);
    ck_assert_uint_eq(fake.writes, 7);
    ck_assert_uint_eq(fake.log[4], ids[1]);
    ck_assert_uint_eq(fake.log[5], ids[2]);
    ck_assert_uint_eq(fake.log[6], ids[4]);
    ck_assert_uint_eq(committed(), 5);
    end_world();
}
END_TEST

/* The first stays under way; in the midst of writing the second it comes back. */
static int give_back_both(struct weir_chunk *c)
{
    if (fake.writes == 1)
        return keep(c);
    if (fake.writes > 2)
        return WEIR_DELIVERED;
    output_finish(output, fake.kept[0], WEIR_RETRY);
    return WEIR_RETRY;
}

START_TEST(one_that_lets_others_go_first_has_not_failed)
{
    char limit[] = "no_retries", *limits[] = {limit};
    struct setting extra = {.name = (char *)"retry_limit", .values = limits, .count = 1};

    begin_world(give_back_both, &extra, 1);
    send_chunk(0);
    send_chunk(1);
    output_drain(output);
    await(INSTANCE_STOPPED);
    ck_assert_int_eq(metric_value(output->rejected), 1);
    ck_assert_int_eq(metric_value(output->records), 1);
    ck_assert_uint_eq(fake.writes, 3);
    ck_assert_uint_eq(fake.log[2], ids[1]);
    end_world();
}
END_TEST

/* Two come back together, and the first of them fails twice more while the second waits behind it. */
static int fail_twice(struct weir_chunk *c)
{
    return fake.writes <= 4 && c->id == ids[0] ? WEIR_RETRY : WEIR_DELIVERED;
}

START_TEST(each_failure_has_its_pause)
{
    static const uint64_t MS = 1000000;

    begin_world(keep, NULL, 0);
    service = (struct service){.retry_base = 16 * MS, .retry_cap = 64 * MS};
    send_chunk(0);
    send_chunk(1);
    wait_writes(2);
    fake.write = fail_twice;
    uint64_t failed = loop_now();
    output_finish(output, fake.kept[0], WEIR_RETRY);
    output_finish(output, fake.kept[1], WEIR_RETRY);
    output_drain(output);
    await(INSTANCE_STOPPED);
    ck_assert_uint_eq(fake.writes, 6);
    for (int i = 2; i < 5; i++)
        ck_assert_uint_eq(fake.log[i], ids[0]);
    ck_assert_uint_eq(fake.log[5], ids[1]);
    ck_assert_uint_ge(fake.time[2] - failed, 8 * MS);
    ck_assert_uint_ge(fake.time[3] - fake.time[2], 16 * MS);
    ck_assert_uint_ge(fake.time[4] - fake.time[3], 32 * MS);
    end_world();
}
END_TEST

static int retry_for_ever(struct weir_chunk *c)
{
    (void)c;
    return WEIR_RETRY;
}

START_TEST(retry_limit_rejects_into_the_dead_letter_file)
{
    char path[] = "/tmp/weir-dead-XXXXXX", limit[] = "2", text[64];
    char *paths[] = {path}, *limits[] = {limit};
    struct setting extra[] = {{.name = (char *)"dead_letter_file", .values = paths, .count = 1},
                              {.name = (char *)"retry_limit", .values = limits, .count = 1}};
    int fd = mkstemp(path);

    begin_world(retry_for_ever, extra, 2);
    send_chunk(0);
    send_chunk(1);
    output_drain(output);
    await(INSTANCE_STOPPED);
    ck_assert_uint_eq(fake.writes, 6); /* each once and twice again */
    ck_assert_uint_eq(committed(), 2);
    ck_assert_int_eq(metric_value(output->rejected), 2);
    ck_assert_int_eq(metric_value(output->records), 0);
    ck_assert_int_eq(read(fd, text, sizeof(text)), 14);
    ck_assert_int_eq(memcmp(text, "payloadpayload", 14), 0);
    end_world();
    close(fd);
    unlink(path);
}
END_TEST

static void assert_file_is(const char *path, const char *expected)
{
    char text[64];
    FILE *f = fopen(path, "r");

    ck_assert_ptr_nonnull(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    ck_assert_str_eq(text, expected);
}

static void send_rejected(int number)
{
    send_chunk(number);
    while (committed() <= (uint64_t)number)
        usleep(1000);
}

/* A disk that is full within a record leaves nothing of it there; a file that was renamed is left alone. */
START_TEST(dead_letters_are_whole)
{
    char folder[] = "/tmp/weir-dead-XXXXXX", path[64], other[64], limit[] = "no_retries";
    char *paths[] = {path}, *limits[] = {limit};
    struct setting extra[] = {{.name = (char *)"dead_letter_file", .values = paths, .count = 1},
                              {.name = (char *)"retry_limit", .values = limits, .count = 1}};
    struct rlimit before, small;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/dead", folder);
    snprintf(other, sizeof(other), "%s/dead.1", folder);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    begin_world(retry_for_ever, extra, 2);
    send_rejected(0);
    small = (struct rlimit){.rlim_cur = 10, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    send_rejected(1);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_file_is(path, "payload");
    send_rejected(2);
    assert_file_is(path, "payloadpayload");
    ck_assert_int_eq(rename(path, other), 0);
    send_rejected(3);
    assert_file_is(path, "payload");
    assert_file_is(other, "payloadpayload");
    output_drain(output);
    end_world();
    unlink(path);
    unlink(other);
    rmdir(folder);
}
END_TEST

START_TEST(cancelled_leaves_the_rest_uncommitted)
{
    begin_world(retry_for_ever, NULL, 0);
    send_all();
    wait_writes(3);
    output_cancel(output);
    await(INSTANCE_STOPPED);
    ck_assert_uint_eq(committed(), 0);
    end_world();
}
END_TEST

static int waiting_result;

static int wait_for_ever(struct weir_chunk *c)
{
    (void)c;
    sem_post(&fake.written);
    waiting_result = output_wait(output, -1, 0, UINT64_MAX);
    return WEIR_RETRY;
}

START_TEST(cancel_ends_a_wait)
{
    begin_world(wait_for_ever, NULL, 0);
    send_chunk(0);
    wait_writes(1);
    output_cancel(output);
    await(INSTANCE_STOPPED);
    ck_assert_int_eq(waiting_result, -ECANCELED);
    ck_assert_int_eq(output_wait(output, -1, 0, 0), -ECANCELED);
    end_world();
}
END_TEST

START_TEST(waits_for_a_descriptor_or_time)
{
    int fds[2];

    begin_world(deliver, NULL, 0);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(output_wait(output, fds[0], 1 /* POLLIN */, 1000000), -ETIMEDOUT);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(output_wait(output, fds[0], 1, UINT64_MAX), 0);
    close(fds[0]);
    close(fds[1]);
    output_drain(output);
    end_world();
}
END_TEST

static const char *const bad_limits[] = {"-1", "0", "many", "1000000", ""};

/* -- Being swapped -- */

/* Another output, held, in no route. */
static struct output *start_successor(void)
{
    struct setting setting = {.name = (char *)"name", .values = value_fake, .count = 1};
    struct section section = {.settings = &setting, .count = 1};
    struct problems problems = {0};
    struct output *next = output_create(fake_engine, &plugin, &section, "fake.1", &problems);

    ck_assert_ptr_nonnull(next);
    output_hold(next);
    events_seen = 0;
    ck_assert_int_eq(output_start(next), 0);
    await(INSTANCE_STARTED);
    return next;
}

/* Ten chunks: five are delivered, one is to be written again, one is never finished, and two wait. */
static void leave_some_behind(void)
{
    for (int i = 0; i < 10; i++)
        send_chunk(i);
    wait_writes(10);
    for (int i = 0; i < 10; i++)
        if (i != 9)
            output_finish(output, fake.kept[i], i == 5 ? WEIR_RETRY : WEIR_DELIVERED);
    send_chunk(10);
    output_leave(output);
    send_chunk(11);
    events_seen = 0;
    output_cancel(output);
    await(INSTANCE_STOPPED);
    pthread_join(output->thread, NULL);
    output->joined = true;
}

START_TEST(a_successor_goes_on_where_the_old_one_ended)
{
    static const int left[] = {5, 9, 10, 11, 12};

    begin_world(keep, NULL, 0);
    struct output *next = start_successor();
    leave_some_behind();
    fake.writes = 0;
    fake.write = deliver;
    ck_assert_uint_eq(output_close(output, next), 4);
    send_chunk(12); /* of a route from before */
    ck_assert_uint_eq(atomic_load(&next->gate.used) > 0, true);
    ck_assert_uint_eq(fake.writes, 0);
    output_release(next);
    wait_writes(5);
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(fake.log[i], ids[left[i]]);
    events_seen = 0;
    output_drain(next);
    await(INSTANCE_STOPPED);
    ck_assert_uint_eq(committed(), 13);
    ck_assert_uint_eq(atomic_load(&next->gate.used), 0);
    output_destroy(next);
    end_world();
}
END_TEST

START_TEST(what_a_removed_one_has_left_does_not_count)
{
    begin_world(keep, NULL, 0);
    leave_some_behind();
    ck_assert_uint_eq(committed(), 5);
    ck_assert_uint_eq(output_close(output, NULL), 4);
    ck_assert(fake.metric_at_destroy);
    ck_assert_uint_eq(committed(), 12);
    send_chunk(12);
    ck_assert_uint_eq(committed(), 13);
    end_world();
}
END_TEST

START_TEST(one_that_leaves_finishes_what_is_in_flight)
{
    begin_world(keep, NULL, 0);
    send_chunk(0);
    wait_writes(1);
    output_leave(output);
    send_chunk(1);
    output_finish(output, fake.kept[0], WEIR_DELIVERED);
    await(INSTANCE_STOPPED);
    ck_assert_uint_eq(fake.writes, 1);
    ck_assert_uint_eq(committed(), 1);
    end_world();
}
END_TEST

START_TEST(bad_retry_limit)
{
    char *values[] = {(char *)bad_limits[_i]};
    struct setting extra = {.name = (char *)"retry_limit", .values = values, .count = 1};
    struct problems problems = {0};

    begin_world(deliver, NULL, 0);
    ck_assert_ptr_null(try_output(&extra, 1, &problems));
    ck_assert_uint_eq(problems.errors, 1);
    ck_assert_ptr_nonnull(strstr(problems.items[0].text, "retry_limit"));
    problems_clear(&problems);
    output_drain(output);
    end_world();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("output");
    TCase *t = tcase_create("all");

    tcase_add_test(t, delivers_in_order_and_commits);
    tcase_add_test(t, retries_keep_the_order);
    tcase_add_test(t, later_in_any_order_commits_in_order);
    tcase_add_test(t, a_later_retry_waits_for_the_others);
    tcase_add_test(t, one_that_lets_others_go_first_has_not_failed);
    tcase_add_test(t, each_failure_has_its_pause);
    tcase_add_test(t, retry_limit_rejects_into_the_dead_letter_file);
    tcase_add_test(t, dead_letters_are_whole);
    tcase_add_test(t, cancelled_leaves_the_rest_uncommitted);
    tcase_add_test(t, cancel_ends_a_wait);
    tcase_add_test(t, waits_for_a_descriptor_or_time);
    tcase_add_test(t, a_successor_goes_on_where_the_old_one_ended);
    tcase_add_test(t, what_a_removed_one_has_left_does_not_count);
    tcase_add_test(t, one_that_leaves_finishes_what_is_in_flight);
    tcase_add_loop_test(t, bad_retry_limit, 0, sizeof(bad_limits) / sizeof(*bad_limits));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
