/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The producer, and what librdkafka calls.
 *
 * Delivery reports come as callbacks on the thread of pace.c, as errors and statistics do. librdkafka's own
 * thread only passes the messages of an answered request on, and makes the next request; an interceptor would
 * have it count and free each message before (0.83 of the rate).
 */
#include "producer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <weir/kill_point.h>
#include "clock.h"

/* Numbers of requests in Kafka's protocol. */
enum { PRODUCE = 0, ADD_PARTITIONS_TO_TXN = 24, END_TXN = 26 };
/* Longer than this without an answer, and brokers were away, or had nothing to do. */
static const int64_t SILENCE = 5000000000;
/* A request that librdkafka repeats comes 20 ms after an answer; one for other partitions mostly at once. */
static const int64_t REPEATED = 15000000;

/* -- What librdkafka calls -- */

/*
 * What has no opaque is a position or a letter of a transaction: transact.c sees by that what became of it,
 * but not that it was a letter that was refused.
 */
static void note_failed(struct producer *producer, const rd_kafka_message_t *message)
{
    const char *letters = producer->settings->dead_letter_topic;

    if (message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
        return;
    if (letters && !strcmp(rd_kafka_topic_name(message->rkt), letters))
        atomic_store(&producer->letter_error, message->err);
}

/* The thread of pace.c, or one that flushes. */
static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    if (message->_private)
        flight_report(message->_private, message->err, message->len, rd_kafka_topic_opaque(message->rkt));
    else if (message->err)
        note_failed(opaque, message);
}

/* Threads of librdkafka. */
static rd_kafka_resp_err_t on_response(rd_kafka_t *rk, int socket, const char *broker, int32_t id,
                                       int16_t key, int16_t version, int32_t correlation, size_t size,
                                       int64_t latency, rd_kafka_resp_err_t error, void *opaque)
{
    struct producer *producer = opaque;
    int64_t t = clock_ns();

    (void)rk, (void)socket, (void)broker, (void)id, (void)key, (void)version, (void)correlation, (void)size;
    (void)latency;
    if (error)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    if (t - atomic_load(&producer->answered) > SILENCE)
        atomic_store(&producer->answers_since, t);
    atomic_store(&producer->answered, t);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool producer_is_sure(const struct producer *producer)
{
    return clock_ns() - atomic_load(&producer->answers_since) >= producer->patience;
}

void producer_begun(struct producer *producer)
{
    atomic_store(&producer->ended, 0);
    atomic_store(&producer->joined, 0);
    atomic_store(&producer->had_to_wait, false);
}

bool producer_ended_twice(const struct producer *producer)
{
    return atomic_load(&producer->ended) > 1;
}

bool producer_had_to_wait(const struct producer *producer)
{
    return atomic_load(&producer->had_to_wait);
}

/* A request for partitions, or that messages go: from then on nothing waits any more. */
static void note_joining(struct producer *producer, bool sending)
{
    long long since = atomic_load_explicit(&producer->joined, memory_order_relaxed);

    if (since < 0)
        return;
    if (sending || since == 0)
        atomic_store(&producer->joined, sending ? -1 : clock_ns());
    else if (clock_ns() - since >= REPEATED)
        atomic_store(&producer->had_to_wait, true);
}

/* Threads of librdkafka. */
static rd_kafka_resp_err_t on_request(rd_kafka_t *rk, int socket, const char *broker, int32_t id, int16_t key,
                                      int16_t version, int32_t correlation, size_t size, void *opaque)
{
    struct producer *producer = opaque;

    (void)rk, (void)socket, (void)broker, (void)id, (void)version, (void)correlation, (void)size;
    if (key == PRODUCE || key == ADD_PARTITIONS_TO_TXN)
        note_joining(producer, key == PRODUCE);
    if (key != END_TXN)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    atomic_fetch_add(&producer->ended, 1);
    WEIR_KILL_POINT("kafka-in-commit");
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque, char *why,
                                  size_t why_size)
{
    struct producer *producer = opaque;

    (void)conf;
    (void)why;
    (void)why_size;
    producer->begun = true;
    if (kafka_is_exact(producer->settings))
        rd_kafka_interceptor_add_on_request_sent(rk, "weir", on_request, opaque);
    return rd_kafka_interceptor_add_on_response_received(rk, "weir", on_response, opaque);
}

static enum weir_log_level level_of(int syslog_level)
{
    if (syslog_level <= LOG_WARNING)
        return WEIR_LOG_WARN;
    return syslog_level <= LOG_INFO ? WEIR_LOG_DEBUG : WEIR_LOG_TRACE;
}

/* Any thread of librdkafka. What went wrong with a connection comes as an error event besides. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct producer *producer = rd_kafka_opaque(rk);
    const struct kafka_link *link = &producer->link;

    /*
     * Brokers come later; librdkafka still counts messages whose delivery it has reported already; and what
     * is fatal is said when the producer is built anew.
     */
    if (strstr(text, "No `bootstrap.servers` configured") || !strcmp(facility, "TERMINATE") ||
        !strcmp(facility, "FATAL") || strstr(text, "isolation.level is a consumer property"))
        return;
    if (level <= LOG_WARNING &&
        (!strcmp(facility, "FAIL") || !strcmp(facility, "REQTMOUT") || !strcmp(facility, "GETPID")))
        health_failed(producer->health, text);
    else
        link->host->log(link->instance, level_of(level), "librdkafka %s: %s", facility, text);
}

/* The thread of pace.c, as the next one. A fatal error is found by the output's thread itself. */
static void on_error(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    struct producer *producer = opaque;
    char line[640];

    (void)rk;
    if (error == RD_KAFKA_RESP_ERR__FATAL)
        return;
    snprintf(line, sizeof(line), "Kafka: %s", reason);
    health_failed(producer->health, line);
}

static int on_stats(rd_kafka_t *rk, char *json, size_t size, void *opaque)
{
    struct producer *producer = opaque;

    (void)rk;
    if (stats_show(producer->stats, json, size))
        health_idle(producer->health);
    return 0;
}

/* -- Life -- */

static void set_callbacks(struct producer *producer, rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_stats_cb(conf, on_stats);
    rd_kafka_conf_interceptor_add_on_new(conf, "weir", on_new, producer);
}

/*
 * What rd_kafka_new could not use. As long as it had not begun, the configuration is ours to free. Else
 * librdkafka (all that is released by now) has freed the interceptors in it, and would free them again: it is
 * left alone, where a leak checker finds it.
 */
static void abandon(const struct producer *producer, rd_kafka_conf_t *conf)
{
    static _Atomic(rd_kafka_conf_t *) abandoned;

    if (producer->begun)
        atomic_store(&abandoned, conf);
    else
        rd_kafka_conf_destroy(conf);
}

int producer_make(struct producer *producer, long batch_size, char *why, size_t why_size)
{
    struct properties properties;
    char reason[512];
    int rc = properties_make(producer->settings, batch_size, &properties, why, why_size);

    if (rc)
        return rc;
    if (producer->transactional_id)
        rd_kafka_conf_set(properties.conf, "transactional.id", producer->transactional_id, NULL, 0);
    set_callbacks(producer, properties.conf);
    stats_restart(producer->stats);
    producer->begun = false;
    atomic_store(&producer->answered, -2 * SILENCE);
    atomic_store(&producer->answers_since, clock_ns());
    producer->rk = rd_kafka_new(RD_KAFKA_PRODUCER, properties.conf, reason, sizeof(reason));
    if (!producer->rk) {
        abandon(producer, properties.conf);
        snprintf(why, why_size, "librdkafka can't make a producer with these settings: %s", reason);
        return -EINVAL;
    }
    producer->most_messages = properties.most_messages;
    producer->patience = properties.propagation_ms * (int64_t)1000000;
    producer->linger_ms = properties.linger_ms;
    producer->sticky_ms = properties.sticky_ms;
    atomic_store(&producer->batch_size, properties.batch_size);
    return 0;
}

int producer_connect(struct producer *producer, char *why, size_t why_size)
{
    char *brokers = properties_brokers(producer->settings, why, why_size);
    int rc, added = brokers ? rd_kafka_brokers_add(producer->rk, brokers) : 0;

    if (brokers && added <= 0)
        snprintf(why, why_size, "brokers: librdkafka does not understand '%s'", brokers);
    free(brokers);
    if (added <= 0)
        return -EINVAL;
    rc = pace_begin(&producer->pace, producer->rk, producer->flights, producer->linger_ms,
                    atomic_load(&producer->batch_size));
    if (rc)
        snprintf(why, why_size, "no thread can be started: %s", strerror(-rc));
    return rc;
}

void producer_end(struct producer *producer)
{
    pace_end(&producer->pace);
    if (producer->rk)
        rd_kafka_destroy(producer->rk);
    producer->rk = NULL;
    flights_abandon(producer->flights);
}

void producer_purge(struct producer *producer)
{
    if (producer->rk)
        rd_kafka_purge(producer->rk,
                       RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

bool producer_is_broken(const struct producer *producer, char *why, size_t why_size)
{
    char text[512];
    rd_kafka_resp_err_t error;

    if (!producer->rk) {
        snprintf(why, why_size, "there is no producer");
        return true;
    }
    error = rd_kafka_fatal_error(producer->rk, text, sizeof(text));
    if (error)
        snprintf(why, why_size, "%s: %s", rd_kafka_err2name(error), text);
    return error != RD_KAFKA_RESP_ERR_NO_ERROR;
}
