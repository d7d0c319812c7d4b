/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_kafka's transactions against librdkafka's mock cluster, which can give any answer to any request: what
 * becomes of a transaction, and what is begun anew after it. That aborted messages are not seen is for the
 * tests with a real broker: the mock shows them.
 */
#include "kafka_fixture.h"
#include <dlfcn.h>
#include <stdatomic.h>

enum { PRODUCE = 0, INIT_PRODUCER_ID = 22, ADD_PARTITIONS = 24, END_TXN = 26 }; /* Kafka's numbers */

static char dir[64];
static struct cluster cluster;
static struct weir_instance *in;
static const struct weir_plugin *plugin = &weir_plugin_descriptor; /* what is loaded next */

#define ANSWER(request, count, ...) \
    rd_kafka_mock_push_request_errors(cluster.mock, request, count, __VA_ARGS__)

/*
 * In place of librdkafka's function: the mock does not know that request, and its answer would be waited for.
 * So it is another one, which says nothing of a topic's settings.
 */
void rd_kafka_DescribeConfigs(rd_kafka_t *rk, rd_kafka_ConfigResource_t **configs, size_t count,
                              const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new("nobody", NULL);

    (void)configs, (void)count, (void)options;
    rd_kafka_ListConsumerGroupOffsets(rk, &request, 1, NULL, queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
}

/*
 * In place of librdkafka's functions, of the plugin's calls only: reports are held back while that is asked
 * for, so that a flight stays under way, and a purge that blocks waits to be let go on.
 */
static atomic_bool held, purging, may_purge;
static atomic_uint destroyed;

#define REAL(name)          \
    __typeof__(&name) real; \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

int rd_kafka_poll(rd_kafka_t *rk, int ms)
{
    REAL(rd_kafka_poll);
    return atomic_load(&held) ? 0 : real(rk, ms);
}

rd_kafka_resp_err_t rd_kafka_flush(rd_kafka_t *rk, int ms)
{
    REAL(rd_kafka_flush);
    return atomic_load(&held) ? RD_KAFKA_RESP_ERR__TIMED_OUT : real(rk, ms);
}

static void await(atomic_bool *flag)
{
    for (int64_t until = now_ms() + DEADLINE_MS; !atomic_load(flag) && now_ms() < until;)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    ck_assert(atomic_load(flag));
}

rd_kafka_resp_err_t rd_kafka_purge(rd_kafka_t *rk, int flags)
{
    REAL(rd_kafka_purge);
    if (atomic_load(&held) && !(flags & RD_KAFKA_PURGE_F_NON_BLOCKING)) {
        atomic_store(&purging, true);
        await(&may_purge);
    }
    return real(rk, flags);
}

void rd_kafka_destroy(rd_kafka_t *rk)
{
    REAL(rd_kafka_destroy);
    atomic_fetch_add(&destroyed, 1);
    real(rk);
}

/* The next producers can't be made; what is handed to librdkafka by itself, a position, finds no room. */
static atomic_uint unmade, full;
static _Thread_local bool was_full;

rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *why, size_t size)
{
    REAL(rd_kafka_new);
    if (type != RD_KAFKA_PRODUCER || !atomic_load(&unmade))
        return real(type, conf, why, size);
    atomic_fetch_sub(&unmade, 1);
    snprintf(why, size, "no more of them");
    return NULL;
}

int rd_kafka_produce(rd_kafka_topic_t *topic, int32_t partition, int flags, void *data, size_t size,
                     const void *key, size_t key_size, void *opaque)
{
    REAL(rd_kafka_produce);
    was_full = atomic_load(&full);
    if (!was_full)
        return real(topic, partition, flags, data, size, key, key_size, opaque);
    atomic_fetch_sub(&full, 1);
    return -1;
}

rd_kafka_resp_err_t rd_kafka_last_error(void)
{
    REAL(rd_kafka_last_error);
    return was_full ? RD_KAFKA_RESP_ERR__QUEUE_FULL : real();
}

static void set_up(void)
{
    strcpy(dir, "/tmp/weir-transactions-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    cluster_topic(&cluster, "letters");
    ck_assert_int_eq(rd_kafka_mock_topic_create(cluster.mock, "positions", 4, 1), 0);
}

static void make(const char *extra, const char *value)
{
    const struct setting settings[] = {{"brokers", cluster.brokers},
                                       {"delivery", "exactly_once"},
                                       {"positions_topic", "positions"},
                                       {"transaction_interval", "20ms"},
                                       {"format", "raw"},
                                       {"rdkafka.transaction.timeout.ms", "300000"},
                                       {extra, value},
                                       {NULL, NULL}};

    fake = weir_fake_create();
    weir_fake_set_pause(fake, 20);
    weir_fake_set_patience(fake, DEADLINE_MS);
    weir_fake_set_data_dir(fake, dir);
    in = weir_fake_new(fake, plugin, "k", settings);
    ck_assert_msg(in != NULL, "%s", weir_fake_error(fake));
    ck_assert_int_eq(weir_fake_start(in), 0);
}

static void load(const char *extra, const char *value)
{
    make(extra, value);
    ck_assert_msg(weir_fake_load(in) == 0, "%s\n%s", weir_fake_error(fake), weir_fake_log(fake));
}

static void tear_down(void)
{
    char command[128];

    end(in);
    cluster_end(&cluster);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void begin_again(void)
{
    weir_fake_stop(in);
    weir_fake_destroy(fake);
    load(NULL, NULL);
}

/* How many numbers there are in the topic, each of the first `count` at least once. */
static unsigned messages(unsigned count)
{
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, cluster.brokers);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    char *seen = calloc(count, 1);
    int64_t low, high;
    unsigned found = 0;

    ck_assert_int_eq(rd_kafka_query_watermark_offsets(rk, "numbers", 0, &low, &high, DEADLINE_MS), 0);
    rd_kafka_topic_partition_list_add(list, "numbers", 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    ck_assert_int_eq(rd_kafka_assign(rk, list), 0);
    for (int64_t until = now_ms() + DEADLINE_MS; found < high && now_ms() < until;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (message && !message->err) {
            unsigned long n = strtoul(strndupa(message->payload, message->len), NULL, 10);
            found++;
            if (n < count)
                seen[n] = 1;
        }
        if (message)
            rd_kafka_message_destroy(message);
    }
    ck_assert_ptr_null(memchr(seen, 0, count));
    free(seen);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return found;
}

static int64_t metric(const char *name)
{
    return weir_fake_metric(in, name, NULL);
}

START_TEST(committed)
{
    load(NULL, NULL);
    for (unsigned i = 0; i < 5; i++)
        add_lines(in, "numbers", i * 100, 100, 20);
    deliver(in);
    ck_assert_int_ge(metric("transactions"), 1);
    ck_assert_int_eq(metric("transactions_aborted"), 0);
    ck_assert_uint_eq(messages(500), 500);
    /* What was committed is what the next one is told. */
    begin_again();
    ck_assert_int_gt(weir_fake_kept(in, "fake", "stream"), 0);
}
END_TEST

/* The answers may be late, and then end the next transaction: there must be none of this producer. */
START_TEST(an_end_that_is_asked_for_twice)
{
    load(NULL, NULL);
    ANSWER(END_TXN, 1, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    add_lines(in, "numbers", 0, 100, 20);
    deliver(in);
    int64_t rebuilds = metric("producer_rebuilds");
    add_lines(in, "numbers", 100, 100, 20);
    deliver(in);
    ck_assert_uint_eq(logged("built anew (the end of a transaction had to be asked for again)"), 1);
    ck_assert_int_eq(metric("producer_rebuilds"), rebuilds + 1);
    ck_assert_int_eq(metric("transactions_aborted"), 0);
    ck_assert_uint_eq(messages(200), 200);
    ck_assert_int_eq(weir_fake_kept(in, "fake", "stream"), 1); /* read again: of the first chunk */
}
END_TEST

/* The same of an abort; it is one since a topic is not there. */
START_TEST(an_abort_that_is_asked_for_twice)
{
    load("rdkafka.topic.metadata.propagation.max.ms", "500");
    rd_kafka_mock_topic_set_error(cluster.mock, "nowhere", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    ANSWER(END_TXN, 1, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    add_lines(in, "numbers", 0, 100, 20);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_LATER);
    add_lines(in, "nowhere", 0, 1, 20);
    deliver(in);
    ck_assert_int_ge(metric("transactions_aborted"), 1);
    ck_assert_uint_eq(logged("built anew (the end of a transaction had to be asked for again)"), 1);
    ck_assert_uint_eq(rejects(in), 1);
    messages(100);
}
END_TEST

/* The same of the transaction that says who owns the id. */
START_TEST(an_owner_that_is_asked_for_twice)
{
    ANSWER(END_TXN, 1, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    load(NULL, NULL);
    ck_assert_uint_eq(logged("the end of a transaction had to be asked for again"), 1);
    add_lines(in, "numbers", 0, 100, 20);
    deliver(in);
    ck_assert_int_eq(metric("producer_rebuilds"), 0);
    ck_assert_int_eq(metric("transactions_aborted"), 0);
    ck_assert_uint_eq(messages(100), 100);
}
END_TEST

/* The end may have been or not: everything is begun anew, and weir is told what is committed. */
static void check_uncertain(rd_kafka_resp_err_t answer)
{
    load(NULL, NULL);
    add_lines(in, "numbers", 0, 100, 20);
    deliver(in);
    int64_t rebuilds = metric("producer_rebuilds");
    ANSWER(END_TXN, 1, answer);
    add_lines(in, "numbers", 100, 100, 20);
    deliver(in);
    ck_assert_int_eq(metric("producer_rebuilds"), rebuilds + 1);
    ck_assert_int_eq(metric("transactions_aborted"), 1);
    ck_assert_int_ge(weir_fake_kept(in, "fake", "stream"), 1);
    ck_assert_uint_ge(messages(200), 200);
}

START_TEST(an_end_in_a_state_that_cannot_be)
{
    check_uncertain(RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
}
END_TEST

START_TEST(an_end_that_is_not_allowed)
{
    check_uncertain(RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
}
END_TEST

/* The topic says that the id is still ours: it was a timeout. */
START_TEST(shut_out_by_nobody)
{
    check_uncertain(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    ck_assert_uint_eq(logged("shut out"), 0);
}
END_TEST

/* Somebody else has written that it owns the id. */
START_TEST(shut_out_by_another)
{
    load(NULL, NULL);
    add_lines(in, "numbers", 0, 100, 20);
    deliver(in);
    struct weir_fake *first = fake;
    struct weir_instance *mine = in;
    load(NULL, NULL);
    struct weir_fake *second = fake;
    struct weir_instance *other = in;
    fake = first;
    in = mine;
    ANSWER(END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    size_t chunk = add_lines(in, "numbers", 100, 100, 20);
    weir_fake_cancel_after(in, 1000);
    for (int64_t until = now_ms() + DEADLINE_MS; !logged("is used by another weir now") && now_ms() < until;)
        weir_fake_settle(in, 50);
    ck_assert_uint_eq(logged("is used by another weir now"), 1);
    ck_assert(weir_fake_result(in, chunk) != WEIR_DELIVERED);
    ck_assert_msg(strstr(weir_fake_error(fake), "shut out") != NULL, "%s", weir_fake_error(fake));
    weir_fake_cancel(in);
    end(in);
    fake = second;
    in = other;
}
END_TEST

/*
 * What broke is cleared up by the thread that commits. A chunk that comes meanwhile must not have the
 * producer built anew, which that thread is about to use.
 */
START_TEST(a_chunk_comes_while_the_broken_one_is_cleared_up)
{
    load(NULL, NULL);
    atomic_store(&held, true);
    ANSWER(ADD_PARTITIONS, 1, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    add_lines(in, "numbers", 0, 100, 20);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_LATER);
    await(&purging);
    unsigned before = atomic_load(&destroyed);
    add_lines(in, "numbers", 100, 100, 20);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_RETRY);
    ck_assert_uint_eq(atomic_load(&destroyed), before);
    atomic_store(&held, false);
    atomic_store(&may_purge, true);
    deliver(in);
    ck_assert_uint_gt(atomic_load(&destroyed), before);
    messages(200);
}
END_TEST

/*
 * Writes the chunk that is next, which the mock refuses. The answers of ANSWER go to whatever comes first: so
 * no positions go along with it, as they would where its answer takes longer than the interval.
 */
static void write_refused(void)
{
    int64_t before = metric("transactions_aborted"), until = now_ms() + DEADLINE_MS;

    atomic_store(&full, 1U << 31);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_LATER);
    while (metric("transactions_aborted") == before && now_ms() < until)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    ck_assert_int_eq(metric("transactions_aborted"), before + 1);
    atomic_store(&full, 0);
}

/* Aborted, and sent again; what the broker refuses is left out then. */
START_TEST(a_message_that_is_refused)
{
    load("dead_letter_topic", "letters");
    ANSWER(PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    add_lines(in, "numbers", 0, 1, 20);
    add_lines(in, "numbers", 1, 100, 20);
    deliver(in);
    ck_assert_int_eq(metric("transactions_aborted"), 1);
    ck_assert_uint_ge(rejects(in), 1);
    ck_assert_msg(strstr(reason(in), "sent to dead_letter_topic"), "%s", reason(in));
}
END_TEST

/* A letter that fails since its transaction is over says nothing of its topic. */
START_TEST(a_letter_of_a_producer_that_is_shut_out)
{
    load("dead_letter_topic", "letters");
    /* of the record; of the positions; of the letter */
    ANSWER(PRODUCE, 3, RD_KAFKA_RESP_ERR_INVALID_RECORD, RD_KAFKA_RESP_ERR_NO_ERROR,
           RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    add_lines(in, "numbers", 0, 1, 20);
    write_refused();
    deliver(in);
    ck_assert_int_ge(metric("transactions_aborted"), 2);
    ck_assert_uint_eq(logged("takes no message"), 0);
    ck_assert_uint_eq(rejects(in), 1);
    ck_assert_msg(strstr(reason(in), "sent to dead_letter_topic"), "%s", reason(in));
}
END_TEST

/* librdkafka has one topic of a name: it is not of letters only. */
START_TEST(records_go_where_letters_go)
{
    load("dead_letter_topic", "letters");
    ANSWER(PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    add_lines(in, "numbers", 0, 1, 20);
    write_refused();
    deliver(in);
    ck_assert_uint_eq(rejects(in), 1);
    add_lines(in, "letters", 0, 10, 20);
    deliver(in);
    ck_assert_uint_eq(rejects(in), 1);
}
END_TEST

static void await_result(size_t chunk)
{
    for (int64_t until = now_ms() + DEADLINE_MS;
         weir_fake_result(in, chunk) == WEIR_LATER && now_ms() < until;)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    ck_assert_int_eq(weir_fake_result(in, chunk), WEIR_RETRY);
}

/* What is committed for all that anybody knows is not written again where weir finds it there: so what was
 * refused of it is told before that, and once. */
START_TEST(refused_in_doubt)
{
    load(NULL, NULL);
    ANSWER(PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    ANSWER(END_TXN, 2, RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    size_t chunk = add_lines(in, "numbers", 0, 1, 20);
    write_refused();
    await_result(chunk);
    ck_assert_uint_eq(rejects(in), 0);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_LATER);
    await_result(chunk);
    ck_assert_uint_eq(rejects(in), 1);
    deliver(in);
    ck_assert_uint_eq(rejects(in), 1);
}
END_TEST

/* As records without a key: not all of them to one partition. */
START_TEST(letters_are_spread)
{
    unsigned used = 0;

    ck_assert_int_eq(rd_kafka_mock_topic_create(cluster.mock, "spread", 8, 1), 0);
    load("dead_letter_topic", "spread");
    for (unsigned i = 0; i < 8; i++) {
        ANSWER(PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
        add_lines(in, "numbers", i, 1, 20);
        write_refused();
        deliver(in);
    }
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, cluster.brokers);
    for (int32_t i = 0; i < 8; i++) {
        int64_t low, high;
        ck_assert_int_eq(rd_kafka_query_watermark_offsets(rk, "spread", i, &low, &high, DEADLINE_MS), 0);
        used += high > 0;
    }
    rd_kafka_destroy(rk);
    ck_assert_uint_gt(used, 1);
}
END_TEST

/* -- Positions -- */

static struct weir_host again; /* host->positions tells first that the stream of a chunk was forgotten */
static int (*positions)(struct weir_instance *, struct weir_chunk *, weir_kept_fn, void *);

static int positions_again(struct weir_instance *i, struct weir_chunk *chunk, weir_kept_fn fn, void *data)
{
    struct weir_kept kept = {.struct_size = sizeof(kept), .input = "fake", .key = "stream", .forgotten = 1};
    int r = fn(data, &kept);

    return r ? r : positions(i, chunk, fn, data);
}

static int create_again(const struct weir_host *host, struct weir_instance *i, const void *config, void **ret)
{
    again = *host;
    positions = host->positions;
    again.positions = positions_again;
    return weir_plugin_descriptor.create(&again, i, config, ret);
}

/* What was forgotten and is there again under its key, with the same chunk. */
START_TEST(one_that_is_there_again)
{
    struct weir_plugin with = weir_plugin_descriptor;

    with.create = create_again;
    plugin = &with;
    load(NULL, NULL);
    add_lines(in, "numbers", 0, 100, 20);
    add_lines(in, "numbers", 100, 100, 20);
    deliver(in);
    plugin = &weir_plugin_descriptor;
    begin_again();
    ck_assert_int_gt(weir_fake_kept(in, "fake", "stream"), 0);
}
END_TEST

START_TEST(positions_wait_for_room)
{
    load(NULL, NULL);
    atomic_store(&full, 3);
    add_lines(in, "numbers", 0, 100, 20);
    deliver(in);
    ck_assert_uint_eq(atomic_load(&full), 0);
    ck_assert_int_eq(metric("transactions_aborted"), 0);
    ck_assert_uint_eq(messages(100), 100);
    begin_again();
    ck_assert_int_gt(weir_fake_kept(in, "fake", "stream"), 0);
}
END_TEST

/* Such as where the file of its password is being replaced. */
START_TEST(a_producer_that_cannot_be_built_now)
{
    load(NULL, NULL);
    ANSWER(END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    atomic_store(&unmade, 2);
    add_lines(in, "numbers", 0, 100, 20);
    deliver(in);
    ck_assert_uint_eq(atomic_load(&unmade), 0);
    ck_assert_int_eq(metric("producer_rebuilds"), 1);
    ck_assert_uint_eq(logged("no more of them; nothing is lost"), 1);
    ck_assert_uint_eq(logged("FAIL"), 0);
    messages(100);
}
END_TEST

/* librdkafka sends nothing more then, and would give the rest back when the transaction's time is over. */
START_TEST(the_rest_of_a_chunk_is_not_waited_for)
{
    load("rdkafka.batch.size", "1000");
    ANSWER(PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    int64_t begun = now_ms();
    add_lines(in, "numbers", 0, 100, 100);
    deliver(in);
    ck_assert_int_lt(now_ms() - begun, 150000);
    ck_assert_int_ge(metric("transactions_aborted"), 1);
    ck_assert_uint_ge(rejects(in), 1);
}
END_TEST

START_TEST(what_passes_is_waited_for)
{
    ANSWER(INIT_PRODUCER_ID, 2, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
           RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS);
    load(NULL, NULL);
    ANSWER(ADD_PARTITIONS, 3, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
           RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
    add_lines(in, "numbers", 0, 100, 20);
    deliver(in);
    ck_assert_int_eq(metric("transactions_aborted"), 0);
    ck_assert_uint_eq(messages(100), 100);
}
END_TEST

START_TEST(a_topic_that_may_not_be_written)
{
    load(NULL, NULL);
    ANSWER(ADD_PARTITIONS, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    add_lines(in, "numbers", 0, 100, 20);
    deliver(in);
    ck_assert_int_ge(metric("transactions_aborted"), 1);
    ck_assert_uint_ge(messages(100), 100);
}
END_TEST

/* What is aborted comes again; the chunk that weir had in hand meanwhile is not committed before it. */
START_TEST(one_in_hand_does_not_overtake)
{
    load(NULL, NULL);
    ANSWER(ADD_PARTITIONS, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    rd_kafka_mock_broker_set_down(cluster.mock, 1);
    size_t back = add_lines(in, "numbers", 0, 100, 20);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_LATER);
    add_lines(in, "numbers", 100, 100, 20);
    ck_assert_int_eq(write_in_hand(in, back, cluster.mock), WEIR_RETRY);
    deliver(in);
    check_numbers(&cluster, "numbers", 0, 200);
}
END_TEST

/* A producer that can't go on at the very start: another one can. */
START_TEST(a_start_that_fails)
{
    make(NULL, NULL);
    ANSWER(INIT_PRODUCER_ID, 1, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    ck_assert_int_eq(weir_fake_load(in), 0);
    ck_assert_int_eq(metric("producer_rebuilds"), 0); /* what was not there yet was not built anew */
    ck_assert_uint_eq(logged("nothing is lost, it is tried again"), 1);
    add_lines(in, "numbers", 0, 100, 20);
    deliver(in);
    ck_assert_uint_eq(messages(100), 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka transactions");
    TCase *t = tcase_create("mock");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, committed);
    tcase_add_test(t, an_end_that_is_asked_for_twice);
    tcase_add_test(t, an_abort_that_is_asked_for_twice);
    tcase_add_test(t, an_owner_that_is_asked_for_twice);
    tcase_add_test(t, a_chunk_comes_while_the_broken_one_is_cleared_up);
    tcase_add_test(t, an_end_in_a_state_that_cannot_be);
    tcase_add_test(t, an_end_that_is_not_allowed);
    tcase_add_test(t, shut_out_by_nobody);
    tcase_add_test(t, shut_out_by_another);
    tcase_add_test(t, a_message_that_is_refused);
    tcase_add_test(t, a_letter_of_a_producer_that_is_shut_out);
    tcase_add_test(t, records_go_where_letters_go);
    tcase_add_test(t, letters_are_spread);
    tcase_add_test(t, refused_in_doubt);
    tcase_add_test(t, one_that_is_there_again);
    tcase_add_test(t, positions_wait_for_room);
    tcase_add_test(t, a_producer_that_cannot_be_built_now);
    tcase_add_test(t, the_rest_of_a_chunk_is_not_waited_for);
    tcase_add_test(t, what_passes_is_waited_for);
    tcase_add_test(t, a_topic_that_may_not_be_written);
    tcase_add_test(t, one_in_hand_does_not_overtake);
    tcase_add_test(t, a_start_that_fails);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
