/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics: JSON by jansson, one series for each number that is shown. librdkafka's totals become counters
 * by what they grew since the last report. The thread of pace.c.
 */
#include "stats.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Topics may be named by what is logged; so many get metrics. */
#define TOPICS_MAX 200

struct series {
    struct series *next;
    struct weir_metric *metric;
    const struct number *number;
    uint64_t last; /* of a counter */
    char label[];
};

/* A number of a report: where it stands and what it is shown as. */
struct number {
    const char *name, *help;
    enum weir_metric_kind kind;
    const char *key, *inner; /* inner: a member of the object at key */
};

static const struct number broker_numbers[] = {
    {"broker_requests_in_flight", "Requests that the broker has not answered yet", WEIR_GAUGE, "waitresp_cnt",
     NULL},
    {"broker_waiting_messages", "Messages in requests to the broker", WEIR_GAUGE, "waitresp_msg_cnt", NULL},
    {"broker_latency_microseconds", "Time to the broker's answer, on average", WEIR_GAUGE, "rtt", "avg"},
    {"broker_latency_p99_microseconds", "Time to the broker's answer, 99th percentile", WEIR_GAUGE, "rtt",
     "p99"},
    {"broker_sent_bytes", "Bytes sent to the broker", WEIR_COUNTER, "txbytes", NULL},
    {"broker_send_errors", "Requests that could not be sent", WEIR_COUNTER, "txerrs", NULL},
    {"broker_retries", "Requests that were sent again", WEIR_COUNTER, "txretries", NULL},
    {"broker_timeouts", "Requests that were not answered in time", WEIR_COUNTER, "req_timeouts", NULL},
    {"broker_connects", "Attempts to connect", WEIR_COUNTER, "connects", NULL},
    {"broker_disconnects", "Connections lost", WEIR_COUNTER, "disconnects", NULL},
};

static const struct number topic_batch_number = {
    "topic_batch_bytes", "Size of a batch of messages, on average", WEIR_GAUGE, "batchsize", "avg"};

/* Sums over the topic's partitions. */
static const struct number partition_numbers[] = {
    {"topic_queued_messages", "Messages that wait for being sent", WEIR_GAUGE, "msgq_cnt", NULL},
    {"topic_messages_in_flight", "Messages sent and not acknowledged yet", WEIR_GAUGE, "msgs_inflight", NULL},
    {"topic_sent_messages", "Messages sent", WEIR_COUNTER, "txmsgs", NULL},
    {"topic_sent_bytes", "Bytes sent", WEIR_COUNTER, "txbytes", NULL},
};

void stats_init(struct stats *stats, struct kafka_link link)
{
    stats->link = link;
    stats->series = NULL;
}

void stats_finish(struct stats *stats)
{
    struct series *series;

    while ((series = stats->series)) {
        stats->series = series->next;
        free(series);
    }
}

void stats_restart(struct stats *stats)
{
    for (struct series *series = stats->series; series; series = series->next)
        series->last = 0;
}

static struct series *find_series(struct stats *stats, const struct number *number, const char *what,
                                  const char *label)
{
    struct series *series = stats->series;

    while (series && (series->number != number || strcmp(series->label, label) != 0))
        series = series->next;
    if (series)
        return series;
    series = calloc(1, sizeof(*series) + strlen(label) + 1);
    if (!series)
        return NULL;
    strcpy(series->label, label);
    series->number = number;
    series->metric =
        stats->link.host->metric(stats->link.instance, number->kind, number->name, number->help, what, label);
    series->next = stats->series;
    stats->series = series;
    return series;
}

static void show(struct stats *stats, const struct number *number, const char *what, const char *label,
                 json_int_t value)
{
    struct series *series = find_series(stats, number, what, label);

    if (!series || value < 0)
        return;
    if (number->kind == WEIR_GAUGE) {
        stats->link.host->metric_set(series->metric, value);
        return;
    }
    if ((uint64_t)value > series->last)
        stats->link.host->metric_add(series->metric, (uint64_t)value - series->last);
    series->last = (uint64_t)value;
}

static json_int_t read_number(const json_t *object, const struct number *number)
{
    const json_t *value = json_object_get(object, number->key);

    if (number->inner)
        value = json_object_get(value, number->inner);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static void show_broker(struct stats *stats, const char *name, const json_t *broker)
{
    const json_t *source = json_object_get(broker, "source");
    const json_t *id = json_object_get(broker, "nodeid");

    /* Bootstrap addresses and coordinators come again under the brokers' own names. */
    if (!json_is_integer(id) || json_integer_value(id) < 0 ||
        (json_is_string(source) && !strcmp(json_string_value(source), "logical")))
        return;
    for (size_t i = 0; i < sizeof(broker_numbers) / sizeof(*broker_numbers); i++)
        show(stats, &broker_numbers[i], "broker", name, read_number(broker, &broker_numbers[i]));
}

static void show_topic(struct stats *stats, const char *name, json_t *topic)
{
    json_t *partitions = json_object_get(topic, "partitions"), *partition;
    const char *id;

    show(stats, &topic_batch_number, "topic", name, read_number(topic, &topic_batch_number));
    for (size_t i = 0; i < sizeof(partition_numbers) / sizeof(*partition_numbers); i++) {
        json_int_t sum = 0;
        json_object_foreach(partitions, id, partition)
        {
            json_int_t n = read_number(partition, &partition_numbers[i]);
            sum += n > 0 ? n : 0;
        }
        show(stats, &partition_numbers[i], "topic", name, sum);
    }
}

static bool is_up(const json_t *broker)
{
    const char *state = json_string_value(json_object_get(broker, "state"));

    return state && !strcmp(state, "UP") && json_integer_value(json_object_get(broker, "nodeid")) >= 0;
}

bool stats_show(struct stats *stats, const char *json, size_t size)
{
    json_t *root = json_loadb(json, size, 0, NULL), *item;
    const json_t *waiting = json_object_get(root, "msg_cnt");
    bool idle = json_is_integer(waiting) && json_integer_value(waiting) == 0, up = false;
    unsigned topics = 0;
    const char *name;

    json_object_foreach(json_object_get(root, "brokers"), name, item)
    {
        show_broker(stats, name, item);
        up |= is_up(item);
    }
    json_object_foreach(json_object_get(root, "topics"), name, item)
    {
        if (topics++ < TOPICS_MAX)
            show_topic(stats, name, item);
    }
    json_decref(root);
    return idle && up;
}
