/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_kafka against librdkafka's mock cluster: what arrives, and what becomes of errors. The instance's
 * thread is the test's.
 */
#include <dlfcn.h>
#include <pthread.h>
#include "kafka_fixture.h"

enum { PRODUCE = 0 }; /* Kafka's number of that request */

static const struct setting raw[] = {{"format", "raw"}, {NULL, NULL}};

START_TEST(lines_arrive_in_order)
{
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in = begin(raw, cluster.brokers);
    for (unsigned i = 0; i < 50; i++)
        add_lines(in, "numbers", i * 700, 700, 40);
    deliver(in);
    ck_assert_uint_eq(rejects(in), 0);
    for (size_t i = 0; i < weir_fake_written(in); i++)
        ck_assert_uint_eq(weir_fake_attempts(in, i), 1);
    check_numbers(&cluster, "numbers", 0, 35000);
    end(in);
    cluster_end(&cluster);
}
END_TEST

struct expected {
    const char *value, *key, *header, *header_value;
    size_t value_size;
};

static void see_expected(void *data, unsigned n, const rd_kafka_message_t *message)
{
    const struct expected *e = (const struct expected *)data + n;
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size = e->value_size ? e->value_size : strlen(e->value);

    ck_assert_msg(message->len == size && !memcmp(message->payload, e->value, size), "%.*s instead of %s",
                  (int)message->len, (const char *)message->payload, e->value);
    ck_assert_uint_eq(message->key_len, e->key ? strlen(e->key) : 0);
    if (e->key)
        ck_assert_mem_eq(message->key, e->key, message->key_len);
    if (!e->header)
        return;
    ck_assert_int_eq(rd_kafka_message_headers(message, &headers), 0);
    if (!e->header_value) {
        ck_assert_int_ne(rd_kafka_header_get_last(headers, e->header, &value, &size), 0);
        return;
    }
    ck_assert_int_eq(rd_kafka_header_get_last(headers, e->header, &value, &size), 0);
    ck_assert_uint_eq(size, strlen(e->header_value));
    ck_assert_mem_eq(value, e->header_value, size);
}

/* {"log":"a\"b","n":7} and {"x":true} */
static const char two[] = "\x92\x05\x82\xa3log\xa3"
                          "a\"b\xa1n\x07\x92\x06\x81\xa1x\xc3";
#define TWO_SIZE (sizeof(two) - 1)

static void check_messages(const struct setting *settings, const struct expected *expected)
{
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "two");
    struct weir_instance *in = begin(settings, cluster.brokers);
    add_bytes(in, "two", two, TWO_SIZE, 2);
    deliver(in);
    read_back(&cluster, "two", 2, see_expected, (void *)(uintptr_t)expected);
    end(in);
    cluster_end(&cluster);
}

START_TEST(formats)
{
    check_messages(NULL,
                   (struct expected[]){{.value = "{\"@timestamp\":5.000000,\"log\":\"a\\\"b\",\"n\":7}"},
                                       {.value = "{\"@timestamp\":6.000000,\"x\":true}"}});
    check_messages((struct setting[]){{"timestamp_key", "t"}, {"timestamp_format", "epoch"}, {NULL, NULL}},
                   (struct expected[]){{.value = "{\"t\":5,\"log\":\"a\\\"b\",\"n\":7}"},
                                       {.value = "{\"t\":6,\"x\":true}"}});
    check_messages(raw,
                   (struct expected[]){{.value = "a\"b"}, {.value = "{\"@timestamp\":6.000000,\"x\":true}"}});
    check_messages((struct setting[]){{"format", "raw"}, {"raw_log_key", "n"}, {NULL, NULL}},
                   (struct expected[]){{.value = "7"}, {.value = "{\"@timestamp\":6.000000,\"x\":true}"}});
    check_messages(
        (struct setting[]){{"format", "msgpack"}, {NULL, NULL}},
        (struct expected[]){{.value = two, .value_size = 14}, {.value = two + 14, .value_size = 6}});
}
END_TEST

START_TEST(keys_and_headers)
{
    check_messages(
        (struct setting[]){{"format", "raw"},
                           {"message_key", "K"},
                           {"message_key_field", "n"},
                           {"headers.where", "at ${n} of ${tag}/${topic}"},
                           {"headers.log", "${log}"},
                           {NULL, NULL}},
        (struct expected[]){{"a\"b", "7", "where", "at 7 of a tag/two", 0},
                            {"{\"@timestamp\":6.000000,\"x\":true}", "K", "where", "at  of a tag/two", 0}});
    check_messages(
        (struct setting[]){
            {"format", "raw"}, {"message_key_field", "log"}, {"headers.log", "${log}"}, {NULL, NULL}},
        (struct expected[]){{"a\"b", "a\"b", "log", "a\"b", 0},
                            {"{\"@timestamp\":6.000000,\"x\":true}", NULL, NULL, NULL, 0}});
}
END_TEST

static void see_time(void *data, unsigned n, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;

    ((int64_t *)data)[n] = rd_kafka_message_timestamp(message, &type);
    ck_assert_int_eq(type, RD_KAFKA_TIMESTAMP_CREATE_TIME);
}

/* When it was sent, or the record's time where it has one. */
START_TEST(message_times)
{
    const char records[] = "\x92\xd7\x00\x65\x53\xf1\x00\x07\x5b\xcd\x15\x81\xa1"
                           "a\x01"
                           "\x92\x00\x81\xa1"
                           "a\x02";
    struct cluster cluster;
    int64_t before = (int64_t)time(NULL) * 1000, sent[2], own[2];

    cluster_begin(&cluster);
    cluster_topic(&cluster, "sent");
    cluster_topic(&cluster, "own");
    struct weir_instance *in = begin((struct setting[]){{NULL, NULL}}, cluster.brokers);
    add_bytes(in, "sent", records, sizeof(records) - 1, 2);
    deliver(in);
    end(in);
    in = begin((struct setting[]){{"message_timestamp", "record"}, {NULL, NULL}}, cluster.brokers);
    add_bytes(in, "own", records, sizeof(records) - 1, 2);
    deliver(in);
    end(in);
    read_back(&cluster, "sent", 2, see_time, sent);
    read_back(&cluster, "own", 2, see_time, own);
    ck_assert_int_ge(sent[0], before);
    ck_assert_int_ge(sent[1], before);
    ck_assert_int_eq(own[0], 1700000000123);
    ck_assert_int_ge(own[1], before);
    cluster_end(&cluster);
}
END_TEST

/* What is no full batch waits as long as the user says; librdkafka's own, longer lingering never shows. */
START_TEST(linger)
{
    struct cluster cluster;
    int64_t begun;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in = begin(
        (struct setting[]){{"format", "raw"}, {"rdkafka.linger.ms", "400"}, {NULL, NULL}}, cluster.brokers);
    add_lines(in, "numbers", 0, 1, 10);
    deliver(in);
    for (unsigned i = 1; i < 3; i++) {
        struct timespec pause = {0, 50000000};
        nanosleep(&pause, NULL); /* what comes while the batch before is being flushed goes along */
        begun = now_ms();
        add_lines(in, "numbers", i, 1, 10);
        deliver(in);
        ck_assert_int_ge(now_ms() - begun, 300);
        ck_assert_int_lt(now_ms() - begun, 20000);
    }
    check_numbers(&cluster, "numbers", 0, 3);
    end(in);
    cluster_end(&cluster);
}
END_TEST

START_TEST(topics_by_field)
{
    const char records[] = "\x92\x05\x81\xa1s\xa1"
                           "a"
                           "\x92\x05\x81\xa1s\xa3../"
                           "\x92\x05\x81\xa1x\x01"
                           "\x92\x05\x81\xa1s\xa1"
                           "a";
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "app-a");
    cluster_topic(&cluster, "app-.._");
    cluster_topic(&cluster, "app-_");
    struct weir_instance *in =
        begin((struct setting[]){{"topics", "app-${s}"}, {"timestamp_key", "false"}, {NULL, NULL}},
              cluster.brokers);
    add_bytes(in, "", records, sizeof(records) - 1, 4);
    deliver(in);
    read_back(&cluster, "app-a", 2, see_expected,
              (struct expected[]){{.value = "{\"s\":\"a\"}"}, {.value = "{\"s\":\"a\"}"}});
    read_back(&cluster, "app-.._", 1, see_expected, (struct expected[]){{.value = "{\"s\":\"../\"}"}});
    read_back(&cluster, "app-_", 1, see_expected, (struct expected[]){{.value = "{\"x\":1}"}});
    end(in);
    cluster_end(&cluster);
}
END_TEST

START_TEST(no_internal_topic_by_field)
{
    const char record[] = "\x92\x05\x81\xa1s\xb2__consumer_offsets";
    struct cluster cluster;

    cluster_begin(&cluster);
    struct weir_instance *in = begin((struct setting[]){{"topics", "${s}"}, {NULL, NULL}}, cluster.brokers);
    add_bytes(in, "", record, sizeof(record) - 1, 1);
    deliver(in);
    ck_assert_uint_eq(weir_fake_rejected(in), 1);
    ck_assert_uint_eq(kept(in), 1);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* A line that is larger than message.max.bytes is rejected alone, wherever it stands. */
START_TEST(large_line_alone)
{
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in = begin(raw, cluster.brokers);
    add_lines(in, "numbers", 0, 500, 10);
    add_lines(in, "numbers", 1000000, 1, 2500000);
    add_lines(in, "numbers", 500, 500, 10);
    deliver(in);
    ck_assert_uint_eq(weir_fake_rejected(in), 1);
    ck_assert_uint_eq(kept(in), 1);
    ck_assert_msg(strstr(reason(in), "numbers") && strstr(reason(in), "2500000"), "%s", reason(in));
    check_numbers(&cluster, "numbers", 0, 1000);
    end(in);
    cluster_end(&cluster);
}
END_TEST

START_TEST(chunk_that_is_no_msgpack)
{
    const char bytes[] = "\x92\x05\x81\xa3log\xa1"
                         "1"
                         "\xc1\xc1";
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in = begin(raw, cluster.brokers);
    add_bytes(in, "numbers", bytes, sizeof(bytes) - 1, 3);
    deliver(in);
    ck_assert_uint_eq(weir_fake_rejected(in), 2);
    check_numbers(&cluster, "numbers", 1, 1);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* One batch is refused by the broker for good: rejected as one run, and what comes later arrives. */
START_TEST(refused_by_broker)
{
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in = begin(raw, cluster.brokers);
    rd_kafka_mock_push_request_errors(cluster.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
    add_lines(in, "numbers", 7000, 20, 10);
    deliver(in);
    ck_assert_uint_eq(weir_fake_rejected(in), 20);
    ck_assert_uint_eq(rejects(in), 1);
    ck_assert_uint_eq(kept(in), 1);
    add_lines(in, "numbers", 0, 20, 10);
    deliver(in);
    check_numbers(&cluster, "numbers", 0, 20);
    end(in);
    cluster_end(&cluster);
}
END_TEST

START_TEST(dead_letters)
{
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    cluster_topic(&cluster, "dead");
    struct weir_instance *in = begin(
        (struct setting[]){{"format", "raw"}, {"dead_letter_topic", "dead"}, {NULL, NULL}}, cluster.brokers);
    rd_kafka_mock_push_request_errors(cluster.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    add_lines(in, "numbers", 7000, 20, 10);
    deliver(in);
    ck_assert_uint_eq(weir_fake_rejected(in), 20);
    ck_assert_uint_eq(kept(in), 0);
    check_numbers(&cluster, "dead", 7000, 20);
    /* What is too large for the one is too large for the other: kept by the host. */
    add_lines(in, "numbers", 1, 1, 2500000);
    deliver(in);
    ck_assert_uint_eq(weir_fake_rejected(in), 21);
    ck_assert_uint_eq(kept(in), 1);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* The broker takes no batch of that size, but each of its messages: batches get smaller, nothing is rejected.
 */
START_TEST(batches_too_large)
{
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in = begin(raw, cluster.brokers);
    rd_kafka_mock_push_request_errors(cluster.mock, PRODUCE, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    add_lines(in, "numbers", 0, 500, 10);
    deliver(in);
    ck_assert_uint_eq(rejects(in), 0);
    ck_assert_uint_ge(logged("going on with batches of"), 1);
    check_numbers(&cluster, "numbers", 0, 500);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* Lines 0 to 99 are delivered; the next request is answered with what an idempotent producer can't recover
 * from.
 */
static struct weir_instance *begin_with_fatal_answer(struct cluster *cluster)
{
    cluster_begin(cluster);
    cluster_topic(cluster, "numbers");
    struct weir_instance *in = begin(raw, cluster->brokers);
    add_lines(in, "numbers", 0, 100, 10);
    deliver(in);
    rd_kafka_mock_push_request_errors(cluster->mock, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    return in;
}

/* What an idempotent producer can't recover from: it is built anew, and what was not delivered is sent in
 * order. */
START_TEST(fatal_error)
{
    struct cluster cluster;

    struct weir_instance *in = begin_with_fatal_answer(&cluster);
    /* All in one request: of two the mock would take the second, which a broker refuses for its sequence. */
    rd_kafka_mock_broker_set_down(cluster.mock, 1);
    for (unsigned i = 1; i < 20; i++) {
        add_lines(in, "numbers", i * 100, 100, 10);
        ck_assert_int_eq(weir_fake_write_next(in), WEIR_LATER);
    }
    rd_kafka_mock_broker_set_up(cluster.mock, 1);
    deliver(in);
    ck_assert_uint_eq(rejects(in), 0);
    ck_assert_msg(logged("built anew") == 1, "%s", weir_fake_log(fake));
    check_numbers(&cluster, "numbers", 0, 2000);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* The next producers can't be made. */
static unsigned unmade;

rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *why, size_t size)
{
    __typeof__(&rd_kafka_new) real;

    *(void **)&real = dlsym(RTLD_NEXT, "rd_kafka_new");
    if (type != RD_KAFKA_PRODUCER || !unmade)
        return real(type, conf, why, size);
    unmade--;
    snprintf(why, size, "no more of them");
    return NULL;
}

/* It is tried again until it can be, and said once. */
START_TEST(a_producer_that_cannot_be_built_now)
{
    struct cluster cluster;

    struct weir_instance *in = begin_with_fatal_answer(&cluster);
    add_lines(in, "numbers", 100, 1, 10);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_LATER);
    unmade = 3;
    deliver(in);
    ck_assert_uint_eq(unmade, 0);
    ck_assert_msg(logged("built anew") == 1, "%s", weir_fake_log(fake));
    check_numbers(&cluster, "numbers", 0, 101);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* One chunk was taken from the queue before others came back: it does not go before them. */
START_TEST(one_in_hand_does_not_overtake)
{
    struct cluster cluster;

    struct weir_instance *in = begin_with_fatal_answer(&cluster);
    /* One message: of two requests the mock would take the second, which a broker refuses for its sequence.
     */
    rd_kafka_mock_broker_set_down(cluster.mock, 1);
    size_t back = add_lines(in, "numbers", 100, 1, 10);
    ck_assert_int_eq(weir_fake_write_next(in), WEIR_LATER);
    add_lines(in, "numbers", 101, 199, 10);
    ck_assert_int_eq(write_in_hand(in, back, cluster.mock), WEIR_RETRY);
    deliver(in);
    check_numbers(&cluster, "numbers", 0, 300);
    end(in);
    cluster_end(&cluster);
}
END_TEST

static void *raise_later(void *data)
{
    struct cluster *cluster = data;
    struct timespec pause = {0, 20000000};

    for (int64_t until = now_ms() + DEADLINE_MS; !logged("nothing is lost") && now_ms() < until;)
        nanosleep(&pause, NULL);
    rd_kafka_mock_broker_set_up(cluster->mock, 1);
    return NULL;
}

/* No broker at the start, and more than may be in flight: waits, says so once, and delivers all when it is
 * there. */
START_TEST(broker_away_at_start)
{
    struct cluster cluster;
    pthread_t thread;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    rd_kafka_mock_broker_set_down(cluster.mock, 1);
    struct weir_instance *in = begin(
        (struct setting[]){{"format", "raw"}, {"rdkafka.queue.buffering.max.messages", "150"}, {NULL, NULL}},
        cluster.brokers);
    for (unsigned i = 0; i < 20; i++)
        add_lines(in, "numbers", i * 100, 100, 10);
    pthread_create(&thread, NULL, raise_later, &cluster);
    deliver(in);
    pthread_join(thread, NULL);
    check_numbers(&cluster, "numbers", 0, 2000);
    ck_assert_msg(logged("nothing is lost") == 1 && logged("delivered again") == 1, "%s",
                  weir_fake_log(fake));
    ck_assert_uint_eq(weir_fake_attempts(in, 0), 1);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* Cancelled with everything under way: given back without an answer, which would take 20 seconds or for ever,
 * and the chunks' memory is free. */
static void cancel_with(bool connected)
{
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in = begin(raw, cluster.brokers);
    if (connected) {
        add_lines(in, "numbers", 0, 10, 10);
        deliver(in);
        rd_kafka_mock_broker_set_rtt(cluster.mock, 1, 20000);
    } else {
        rd_kafka_mock_broker_set_down(cluster.mock, 1);
    }
    size_t first = weir_fake_written(in);
    for (unsigned i = 0; i < 100; i++) {
        add_lines(in, "numbers", i * 100, 100, 500);
        ck_assert_int_eq(weir_fake_write_next(in), WEIR_LATER);
    }
    weir_fake_cancel(in);
    int64_t begun = now_ms();
    weir_fake_begin_stop(in);
    ck_assert_int_lt(now_ms() - begun, 15000);
    ck_assert(weir_fake_is_stopped(in));
    for (size_t i = first; i < weir_fake_written(in); i++)
        ck_assert_int_eq(weir_fake_result(in, i), WEIR_RETRY);
    weir_fake_drop(in);
    weir_fake_destroy(fake);
    cluster_end(&cluster);
}

START_TEST(cancelled)
{
    cancel_with(false);
    cancel_with(true);
}
END_TEST

static void *cancel_later(void *data)
{
    struct timespec pause = {0, 300000000};

    nanosleep(&pause, NULL);
    weir_fake_cancel(data);
    return NULL;
}

/* Room for more is waited for, and the wait ends when it is cancelled. */
START_TEST(cancelled_while_full)
{
    struct cluster cluster;
    pthread_t thread;

    cluster_begin(&cluster);
    rd_kafka_mock_broker_set_down(cluster.mock, 1);
    struct weir_instance *in = begin(
        (struct setting[]){{"format", "raw"}, {"rdkafka.queue.buffering.max.messages", "100"}, {NULL, NULL}},
        cluster.brokers);
    pthread_create(&thread, NULL, cancel_later, in);
    add_lines(in, "numbers", 0, 300, 10); /* more than librdkafka takes */
    weir_fake_write_next(in);
    ck_assert(is_under_way(in, 0));
    add_lines(in, "numbers", 0, 50, 10);
    weir_fake_write_next(in);
    ck_assert_int_eq(weir_fake_result(in, 1), WEIR_RETRY);
    pthread_join(thread, NULL);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* A topic that can't be created is rejected; the others go on. */
START_TEST(unknown_topic)
{
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    rd_kafka_mock_topic_set_error(cluster.mock, "nowhere", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    struct weir_instance *in = begin((struct setting[]){{"format", "raw"},
                                                        {"rdkafka.topic.metadata.propagation.max.ms", "500"},
                                                        {"rdkafka.topic.metadata.refresh.interval.ms", "300"},
                                                        {NULL, NULL}},
                                     cluster.brokers);
    add_lines(in, "nowhere", 0, 30, 10);
    add_lines(in, "numbers", 0, 30, 10);
    deliver(in);
    ck_assert_uint_eq(weir_fake_rejected(in), 30);
    ck_assert_msg(strstr(reason(in), "nowhere") != NULL, "%s", reason(in));
    check_numbers(&cluster, "numbers", 0, 30);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* A topic that was there, and that a broker does not know for a while, loses nothing. */
START_TEST(topic_gone_for_a_while)
{
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in = begin((struct setting[]){{"format", "raw"},
                                                        {"rdkafka.topic.metadata.refresh.interval.ms", "100"},
                                                        {NULL, NULL}},
                                     cluster.brokers);
    add_lines(in, "numbers", 0, 30, 10);
    deliver(in);
    rd_kafka_mock_topic_set_error(cluster.mock, "numbers", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    struct timespec pause = {0, 500000000};
    nanosleep(&pause, NULL); /* librdkafka must have seen it */
    add_lines(in, "numbers", 30, 30, 10);
    for (int64_t until = now_ms() + DEADLINE_MS; weir_fake_attempts(in, 1) < 2 && now_ms() < until;)
        weir_fake_settle(in, 50);
    rd_kafka_mock_topic_set_error(cluster.mock, "numbers", RD_KAFKA_RESP_ERR_NO_ERROR);
    deliver(in);
    ck_assert_uint_eq(weir_fake_rejected(in), 0);
    ck_assert_uint_gt(weir_fake_attempts(in, 1), 1);
    check_numbers(&cluster, "numbers", 0, 60);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* One of several topics of a chunk, and not its last: that it was there is known all the same. */
START_TEST(one_of_several_topics_gone_for_a_while)
{
    const char records[] = "\x92\x05\x81\xa1s\xa3"
                           "one"
                           "\x92\x05\x81\xa1s\xa3"
                           "two";
    struct cluster cluster;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "one");
    cluster_topic(&cluster, "two");
    struct weir_instance *in = begin((struct setting[]){{"topics", "${s}"},
                                                        {"rdkafka.topic.metadata.propagation.max.ms", "100"},
                                                        {"rdkafka.topic.metadata.refresh.interval.ms", "100"},
                                                        {NULL, NULL}},
                                     cluster.brokers);
    add_bytes(in, "", records, sizeof(records) - 1, 2);
    deliver(in);
    rd_kafka_mock_topic_set_error(cluster.mock, "one", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    nanosleep(&(struct timespec){0, 500000000}, NULL); /* librdkafka must have seen it */
    add_bytes(in, "", records, sizeof(records) - 1, 2);
    for (int64_t until = now_ms() + DEADLINE_MS; weir_fake_attempts(in, 1) < 2 && now_ms() < until;)
        weir_fake_settle(in, 50);
    rd_kafka_mock_topic_set_error(cluster.mock, "one", RD_KAFKA_RESP_ERR_NO_ERROR);
    deliver(in);
    ck_assert_uint_eq(weir_fake_rejected(in), 0);
    ck_assert_uint_gt(weir_fake_attempts(in, 1), 1);
    end(in);
    cluster_end(&cluster);
}
END_TEST

/* In place of librdkafka's function: the first call is in vain, before the next one the topic is there again.
 */
static struct cluster *restored_by_asking;
static unsigned asked;

rd_kafka_resp_err_t rd_kafka_metadata(rd_kafka_t *rk, int all, rd_kafka_topic_t *topic,
                                      const struct rd_kafka_metadata **ret, int ms)
{
    rd_kafka_resp_err_t (*real)(rd_kafka_t *, int, rd_kafka_topic_t *, const struct rd_kafka_metadata **,
                                int);

    *(void **)&real = dlsym(RTLD_NEXT, "rd_kafka_metadata");
    if (restored_by_asking && asked++ == 0)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (restored_by_asking)
        rd_kafka_mock_topic_set_error(restored_by_asking->mock, "numbers", RD_KAFKA_RESP_ERR_NO_ERROR);
    return real(rk, all, topic, ret, ms);
}

/* It comes back between two batches of a chunk: what failed of the chunk goes before the rest all the same.
 */
static void check_topic_back(const struct setting *settings)
{
    struct cluster cluster;
    struct timespec pause = {0, 500000000};

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in = begin(settings, cluster.brokers);
    add_lines(in, "numbers", 0, 30, 10);
    deliver(in);
    rd_kafka_mock_topic_set_error(cluster.mock, "numbers", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    nanosleep(&pause, NULL); /* librdkafka must have seen it */
    size_t back = add_lines(in, "numbers", 30, 1000, 10);
    weir_fake_write_next(in);
    for (int64_t until = now_ms() + DEADLINE_MS; is_under_way(in, back) && now_ms() < until;)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    ck_assert_int_eq(weir_fake_result(in, back), WEIR_RETRY);
    restored_by_asking = &cluster;
    asked = 0; /* once for the first batch of the second attempt */
    deliver(in);
    restored_by_asking = NULL;
    check_numbers(&cluster, "numbers", 0, 1030);
    end(in);
    cluster_end(&cluster);
}

START_TEST(topic_back_in_the_midst_of_a_chunk)
{
    const struct setting often = {"rdkafka.topic.metadata.refresh.interval.ms", "100"};

    check_topic_back((struct setting[]){{"format", "raw"}, often, {NULL, NULL}});
    check_topic_back((struct setting[]){{"format", "raw"}, {"headers.x", "y"}, often, {NULL, NULL}});
}
END_TEST

START_TEST(statistics)
{
    struct cluster cluster;
    int64_t sent = 0;
    bool latency = false;

    cluster_begin(&cluster);
    cluster_topic(&cluster, "numbers");
    struct weir_instance *in =
        begin((struct setting[]){{"rdkafka.statistics.interval.ms", "50"}, {NULL, NULL}}, cluster.brokers);
    add_lines(in, "numbers", 0, 30, 10);
    deliver(in);
    for (int64_t until = now_ms() + DEADLINE_MS; now_ms() < until && (sent < 30 || !latency);) {
        struct timespec pause = {0, 20000000};
        nanosleep(&pause, NULL);
        sent = weir_fake_metric(in, "topic_sent_messages", "numbers");
        latency = weir_fake_metric_count(in, "broker_latency_microseconds") > 0;
    }
    ck_assert_int_eq(sent, 30);
    ck_assert(latency);
    end(in);
    cluster_end(&cluster);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka delivery");
    TCase *tcase = tcase_create("mock cluster");

    tcase_add_test(tcase, lines_arrive_in_order);
    tcase_add_test(tcase, formats);
    tcase_add_test(tcase, keys_and_headers);
    tcase_add_test(tcase, message_times);
    tcase_add_test(tcase, linger);
    tcase_add_test(tcase, topics_by_field);
    tcase_add_test(tcase, no_internal_topic_by_field);
    tcase_add_test(tcase, large_line_alone);
    tcase_add_test(tcase, chunk_that_is_no_msgpack);
    tcase_add_test(tcase, refused_by_broker);
    tcase_add_test(tcase, dead_letters);
    tcase_add_test(tcase, batches_too_large);
    tcase_add_test(tcase, fatal_error);
    tcase_add_test(tcase, a_producer_that_cannot_be_built_now);
    tcase_add_test(tcase, one_in_hand_does_not_overtake);
    tcase_add_test(tcase, broker_away_at_start);
    tcase_add_test(tcase, cancelled);
    tcase_add_test(tcase, cancelled_while_full);
    tcase_add_test(tcase, unknown_topic);
    tcase_add_test(tcase, topic_gone_for_a_while);
    tcase_add_test(tcase, one_of_several_topics_gone_for_a_while);
    tcase_add_test(tcase, topic_back_in_the_midst_of_a_chunk);
    tcase_add_test(tcase, statistics);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
