/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_kafka without a broker: what its configuration may hold, names of topics, properties and secrets.
 */
#include "kafka_fixture.h"
#include <fcntl.h>
#include "topic.h"

static const char *const anywhere = "127.0.0.1:1";

/* create alone, as `weir check` does; it has nothing to say. */
static void check_good(const struct setting *settings)
{
    struct weir_instance *in = create(settings, anywhere);

    ck_assert_msg(in != NULL, "%s", weir_fake_error(fake));
    ck_assert_msg(logged("ERROR ") + logged("WARN ") + logged("INFO ") + logged("FAIL ") == 0, "%s",
                  weir_fake_log(fake));
    weir_fake_drop(in);
    weir_fake_destroy(fake);
}

/* create fails, and its error holds the words and not the secret. */
static void check_bad(const struct setting *settings, const char *a, const char *b, const char *secret)
{
    ck_assert_ptr_null(create(settings, anywhere));
    const char *error = weir_fake_error(fake);
    ck_assert_msg(strstr(error, a) && strstr(error, b), "%s", error);
    ck_assert_msg(!secret || (!strstr(error, secret) && logged(secret) == 0), "%s", error);
    weir_fake_destroy(fake);
}

static void check_one_bad(const char *name, const char *value, const char *a, const char *b)
{
    check_bad((struct setting[]){{name, value}, {NULL, NULL}}, a, b, NULL);
}

static void check_one_good(const char *name, const char *value)
{
    check_good((struct setting[]){{name, value}, {NULL, NULL}});
}

START_TEST(properties)
{
    check_good(NULL);
    check_one_good("rdkafka.compression.codec", "lz4");
    check_one_good("rdkafka.request.required.acks", "1"); /* idempotence must go off by itself */
    check_one_good("acks", "0");
    check_one_good("acks", "-1");
    check_one_good("partitioner", "murmur2_random");
    check_one_bad("rdkafka.compression.codec", "lz5", "rdkafka.compression.codec", "lz5");
    check_one_bad("rdkafka.linger", "5", "rdkafka.linger", "No such configuration property");
    check_one_bad("rdkafka.socket.timeout.ms", "1", "rdkafka.socket.timeout.ms", "range");
    check_one_bad("partitioner", "nearest", "partitioner", "nearest");
    check_one_bad("rdkafka.bootstrap.servers", "a:1", "bootstrap.servers", "brokers");
    check_one_bad("rdkafka.transactional.id", "x", "transactional_id", "exactly_once");
    check_one_bad("delivery", "exactly_once", "exactly_once", "data_dir");
    check_bad((struct setting[]){{"acks", "1"}, {"rdkafka.enable.idempotence", "true"}, {NULL, NULL}}, "acks",
              "idempotence", NULL);
    check_bad((struct setting[]){{"rdkafka.security.protocol", "ssl"},
                                 {"rdkafka.ssl.ca.location", "/nonexistent/ca.pem"},
                                 {NULL, NULL}},
              "ssl.ca.location", "producer", NULL);
}
END_TEST

START_TEST(brokers)
{
    check_one_good("brokers", "kafka-1.example.com:9092");
    check_one_good("brokers", "[::1]:9092");
    check_one_good("brokers", "SSL://kafka:9093");
    check_one_good("brokers", "kafka");
    check_one_bad("brokers", "", "brokers", "host:port");
    check_one_bad("brokers", "kafka:port", "kafka:port", "port from 1");
    check_one_bad("brokers", "kafka:0", "kafka:0", "port from 1");
    check_one_bad("brokers", "kafka:65536", "kafka:65536", "port from 1");
    check_one_bad("brokers", "a b:9092", "a b:9092", "host:port");
    check_one_bad("brokers", ":9092", ":9092", "port");
    check_one_bad("brokers", "[::1", "[::1", "IPv6");
}
END_TEST

START_TEST(topics_option)
{
    char longest[TOPIC_NAME_MAX + 2];

    memset(longest, 'a', sizeof(longest));
    longest[TOPIC_NAME_MAX] = '\0';
    check_one_good("topics", longest);
    longest[TOPIC_NAME_MAX] = 'a';
    longest[TOPIC_NAME_MAX + 1] = '\0';
    check_one_bad("topics", longest, "topics", "249");
    check_one_good("topics", "logs-${tag}.${topic}_${field name}");
    check_one_bad("topics", "", "topics", "empty");
    check_one_bad("topics", "a,b", "topics", "one topic");
    check_one_bad("topics", "a b", "topics", "letters");
    check_one_bad("topics", "a b ${tag}", "topics", "letters");
    check_one_bad("topics", "..", "topics", "'..'");
    check_one_bad("topics", "a-${tag", "topics", "'}'");
    check_one_bad("topics", "a-${}", "topics", "'}'");
    check_one_bad("dead_letter_topic", "a/b", "dead_letter_topic", "letters");
    check_one_bad("headers.h", "${x", "headers.h", "'}'");
    check_bad((struct setting[]){{"format", "raw"}, {"raw_log_key", ""}, {NULL, NULL}}, "raw_log_key",
              "empty", NULL);
}
END_TEST

/* The topic of a record {"s": value} with the given tag and topic; NULL: refused. The caller frees it. */
static char *topic_of(const char *source, const char *tag, const char *topic, const char *value)
{
    struct weir_chunk chunk = {.struct_size = sizeof(chunk), .tag = tag, .topic = topic};
    struct weir_cursor cursor;
    struct weir_record record;
    struct topics topics;
    struct topic *found;
    const char *reason;
    uint8_t bytes[1024], *p = weir_put_record(bytes, 1, 0, 1);
    char *name = NULL;

    p = weir_put_str(p, value ? "s" : "other", value ? 1 : 5);
    p = weir_put_str(p, value ? value : "", value ? (uint32_t)strlen(value) : 0);
    weir_cursor_init(&cursor, bytes, (size_t)(p - bytes));
    ck_assert_int_eq(weir_cursor_next(&cursor, &record), 1);
    ck_assert_int_eq(topics_init(&topics, source), 0);
    if (topics_find(&topics, &chunk, &record, &found, &reason) == 0)
        name = strdup(found->name);
    topics_finish(&topics);
    return name;
}

static void check_topic(const char *source, const char *tag, const char *topic, const char *value,
                        const char *expected)
{
    char *name = topic_of(source, tag, topic, value);

    if (expected)
        ck_assert_str_eq(name, expected);
    else
        ck_assert_msg(name == NULL, "%s", name);
    free(name);
}

START_TEST(names)
{
    char text[300];

    check_topic(NULL, "web.access", "web_log", NULL, "web_log");
    check_topic(NULL, "web.access", "", NULL, "web.access");
    check_topic(NULL, "web access/\xc3\xa4", "", NULL, "web_access___");
    check_topic(NULL, "..", "", NULL, NULL);
    check_topic("logs-${topic}", "t", "", NULL, "logs-t");
    check_topic("logs-${topic}-${tag}", "t", "o", NULL, "logs-o-t");
    check_topic("logs-${s}", "t", "", "a/b\n", "logs-a_b_");
    check_topic("logs-${s}", "t", "", "../../x", "logs-.._.._x");
    check_topic("logs-${s}", "t", "", "", "logs-_");
    check_topic("logs-${s}", "t", "", NULL, "logs-_");
    check_topic("${s}", "t", "", ".", NULL);
    check_topic("${s}", "t", "", "__consumer_offsets", NULL);
    check_topic("_${s}", "t", "", "_consumer_offsets", NULL);
    check_topic("${s}${tag}", "_t", "", "_", NULL);
    check_topic("${s}", "t", "", "_x", "_x");
    memset(text, 'x', sizeof(text));
    text[244] = '\0';
    char *name = topic_of("logs-${s}", "t", "", text);
    ck_assert_uint_eq(strlen(name), 249);
    free(name);
    text[244] = 'x';
    text[245] = '\0';
    check_topic("logs-${s}", "t", "", text, NULL);
}
END_TEST

/* Data can't make more topics than librdkafka should have to bear. */
START_TEST(too_many_topics)
{
    struct topics topics;
    char name[16];

    ck_assert_int_eq(topics_init(&topics, NULL), 0);
    for (unsigned i = 0; i < TOPIC_COUNT_MAX; i++) {
        snprintf(name, sizeof(name), "%u", i);
        ck_assert_ptr_nonnull(topics_get(&topics, name, strlen(name)));
    }
    ck_assert_ptr_null(topics_get(&topics, "x", 1));
    ck_assert_ptr_nonnull(topics_get(&topics, "7", 1));
    topics_finish(&topics);
}
END_TEST

static char secret_file[] = "/tmp/weir-test-secret-XXXXXX";

static void with_secret(const char *text, char *url, size_t size)
{
    strcpy(secret_file + strlen(secret_file) - 6, "XXXXXX");
    int fd = mkstemp(secret_file);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    snprintf(url, size, "file://%s", secret_file);
}

START_TEST(secrets)
{
    char url[128];

    with_secret("hunter2\n", url, sizeof(url));
    check_good((struct setting[]){{"rdkafka.security.protocol", "sasl_plaintext"},
                                  {"rdkafka.sasl.mechanism", "PLAIN"},
                                  {"rdkafka.sasl.username", "u"},
                                  {"rdkafka.sasl.password", url},
                                  {NULL, NULL}});
    /* A value from a file is a secret wherever it is used. */
    check_bad((struct setting[]){{"rdkafka.socket.timeout.ms", url}, {NULL, NULL}}, "socket.timeout.ms",
              "does not take", "hunter2");
    check_bad((struct setting[]){{"rdkafka.ssl.key.passwordx", "hunter2"}, {NULL, NULL}}, "ssl.key.passwordx",
              "", "hunter2");
    unlink(secret_file);
    check_bad((struct setting[]){{"rdkafka.sasl.password", url}, {NULL, NULL}}, "sasl.password",
              "No such file or directory", NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka names");
    TCase *tcase = tcase_create("configuration");

    tcase_add_test(tcase, properties);
    tcase_add_test(tcase, brokers);
    tcase_add_test(tcase, topics_option);
    tcase_add_test(tcase, names);
    tcase_add_test(tcase, too_many_topics);
    tcase_add_test(tcase, secrets);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
