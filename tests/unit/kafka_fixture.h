/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of out_kafka share: instances in the fake host, a mock cluster of librdkafka's,
 * chunks, and reading back what arrived.
 */
#ifndef KAFKA_FIXTURE_H
#define KAFKA_FIXTURE_H

#include <check.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/fake_host.h>

enum { SETTINGS_MAX = 24, DEADLINE_MS = 120000 };

#define setting weir_fake_setting

static struct weir_fake *fake; /* from begin to end */

static inline int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* -- Instances -- */

/* An instance with these settings and, where they name none, these brokers; NULL if it is refused. */
static inline struct weir_instance *create(const struct setting *settings, const char *brokers)
{
    struct setting all[SETTINGS_MAX] = {{NULL, NULL}};
    bool has_brokers = false;
    size_t count = 0;

    for (; settings && settings->name; settings++) {
        ck_assert_uint_lt(count, SETTINGS_MAX - 2);
        has_brokers = has_brokers || strcmp(settings->name, "brokers") == 0;
        all[count++] = *settings;
    }
    if (!has_brokers)
        all[count] = (struct setting){"brokers", brokers};
    fake = weir_fake_create();
    weir_fake_set_pause(fake, 20); /* weir's is longer */
    weir_fake_set_patience(fake, DEADLINE_MS);
    return weir_fake_new(fake, &weir_plugin_descriptor, "k", all);
}

static inline struct weir_instance *begin(const struct setting *settings, const char *brokers)
{
    struct weir_instance *in = create(settings, brokers);

    ck_assert_msg(in != NULL, "%s", weir_fake_error(fake));
    ck_assert_msg(weir_fake_start(in) == 0, "%s", weir_fake_error(fake));
    return in;
}

static inline void end(struct weir_instance *in)
{
    weir_fake_stop(in);
    weir_fake_destroy(fake);
}

static inline unsigned logged(const char *text)
{
    return (unsigned)weir_fake_logged(fake, text);
}

/* -- What was rejected -- */

static inline unsigned rejects(const struct weir_instance *in)
{
    size_t count;

    weir_fake_rejections(in, &count);
    return (unsigned)count;
}

/* How often the records came along: they are the chunk's own bytes. */
static inline unsigned kept(const struct weir_instance *in)
{
    size_t count;
    const struct weir_fake_rejection *r = weir_fake_rejections(in, &count);
    unsigned n = 0;

    for (size_t i = 0; i < count; i++) {
        ck_assert(!r[i].bytes || r[i].offset != SIZE_MAX);
        n += r[i].bytes != NULL;
    }
    return n;
}

/* Why, the last time. */
static inline const char *reason(const struct weir_instance *in)
{
    size_t count;
    const struct weir_fake_rejection *r = weir_fake_rejections(in, &count);

    return count ? r[count - 1].reason : "";
}

/* -- Chunks -- */

/* A chunk of the given bytes, to be written; returns its number. */
static inline size_t add_bytes(struct weir_instance *in, const char *topic, const void *bytes, size_t size,
                               uint32_t records)
{
    return weir_fake_queue(in, "a tag", topic, bytes, size, records);
}

/* Records of one field `log`, "PREFIX first" … in a chunk of their own. */
static inline size_t add_lines(struct weir_instance *in, const char *topic, unsigned first, unsigned count,
                               size_t length)
{
    uint8_t *data = malloc((size_t)count * (length + 64) + 1), *p = data;
    char *line = malloc(length + 32);
    size_t number;

    for (unsigned n = first; n < first + count; n++) {
        int size = sprintf(line, "%u", n);
        while ((size_t)size < length)
            line[size++] = '.';
        p = weir_put_record(p, 1700000000, 123456789, 1);
        p = weir_put_str(p, "log", 3);
        p = weir_put_str(p, line, (uint32_t)size);
    }
    number = add_bytes(in, topic, data, (size_t)(p - data), count);
    free(line);
    free(data);
    return number;
}

/* Whether the chunk was given to write, and is not finished. */
static inline bool is_under_way(const struct weir_instance *in, size_t chunk)
{
    return weir_fake_attempts(in, chunk) > 0 && weir_fake_result(in, chunk) == WEIR_LATER;
}

struct comeback {
    const struct weir_instance *in;
    size_t chunk;
    rd_kafka_mock_cluster_t
        *down; /* its broker comes up only now, so that the chunk can't be back before; or NULL */
};

/* As another one's write begins: goes on once the chunk was given back, and whoever did that has returned. */
static inline void await_comeback(void *data, const char *callback)
{
    const struct comeback *c = data;
    struct timespec pause = {0, 20000000};

    if (!callback || strcmp(callback, "write") != 0)
        return;
    if (c->down)
        rd_kafka_mock_broker_set_up(c->down, 1);
    for (int64_t until = now_ms() + DEADLINE_MS;
         weir_fake_result(c->in, c->chunk) != WEIR_RETRY && now_ms() < until;)
        nanosleep(&pause, NULL);
    ck_assert_int_eq(weir_fake_result(c->in, c->chunk), WEIR_RETRY);
    nanosleep(&pause, NULL);
}

/* Writes the next chunk, which weir had in hand when that one came back. */
static inline int write_in_hand(struct weir_instance *in, size_t chunk, rd_kafka_mock_cluster_t *down)
{
    struct comeback comeback = {in, chunk, down};

    weir_fake_on_callback(fake, await_comeback, &comeback);
    int result = weir_fake_write_next(in);
    weir_fake_on_callback(fake, NULL, NULL);
    return result;
}

/* Writes every chunk until all are delivered. */
static inline void deliver(struct weir_instance *in)
{
    ck_assert_msg(weir_fake_settle(in, DEADLINE_MS), "not delivered in time; log:\n%s", weir_fake_log(fake));
    for (size_t i = 0; i < weir_fake_written(in); i++)
        ck_assert_int_eq(weir_fake_result(in, i), WEIR_DELIVERED);
    kept(in);
}

/* -- The cluster -- */

struct cluster {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *mock;
    const char *brokers;
};

static inline rd_kafka_t *client(rd_kafka_type_t type, const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[512];
    rd_kafka_t *rk;

    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    if (brokers)
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0);
    if (type == RD_KAFKA_CONSUMER)
        rd_kafka_conf_set(conf, "group.id", "test", NULL, 0);
    rk = rd_kafka_new(type, conf, why, sizeof(why));
    ck_assert_msg(rk != NULL, "%s", why);
    return rk;
}

static inline void cluster_begin(struct cluster *cluster)
{
    cluster->rk = client(RD_KAFKA_PRODUCER, NULL);
    cluster->mock = rd_kafka_mock_cluster_new(cluster->rk, 1);
    ck_assert_ptr_nonnull(cluster->mock);
    cluster->brokers = rd_kafka_mock_cluster_bootstraps(cluster->mock);
}

static inline void cluster_topic(struct cluster *cluster, const char *name)
{
    ck_assert_int_eq(rd_kafka_mock_topic_create(cluster->mock, name, 1, 1), 0);
}

static inline void cluster_end(struct cluster *cluster)
{
    rd_kafka_mock_cluster_destroy(cluster->mock);
    rd_kafka_destroy(cluster->rk);
}

typedef void (*see_fn)(void *data, unsigned n, const rd_kafka_message_t *);

/* Reads `count` messages of a topic with one partition from its beginning, and makes sure that there is no
 * more. */
static inline void read_back(struct cluster *cluster, const char *name, unsigned count, see_fn see,
                             void *data)
{
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, cluster->brokers);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int64_t low, high, until = now_ms() + DEADLINE_MS;
    unsigned n = 0;

    rd_kafka_topic_partition_list_add(list, name, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    ck_assert_int_eq(rd_kafka_assign(rk, list), 0);
    while (n < count && now_ms() < until) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (!message)
            continue;
        if (!message->err)
            see(data, n++, message);
        rd_kafka_message_destroy(message);
    }
    ck_assert_uint_eq(n, count);
    ck_assert_int_eq(rd_kafka_query_watermark_offsets(rk, name, 0, &low, &high, DEADLINE_MS), 0);
    ck_assert_int_eq(high, count);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

/* Every message is the next number. */
static inline void see_number(void *data, unsigned n, const rd_kafka_message_t *message)
{
    unsigned *first = data;

    ck_assert_uint_eq(strtoul(strndupa(message->payload, message->len), NULL, 10), *first + n);
}

static inline void check_numbers(struct cluster *cluster, const char *name, unsigned first, unsigned count)
{
    read_back(cluster, name, count, see_number, &first);
}

#endif
