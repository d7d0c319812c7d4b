/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics for the benchmarks, without the second that each of Kafka's own programs takes to start:
 *   topic BROKERS create NAME PARTITIONS   until every partition has a leader
 *   topic BROKERS delete NAME
 *   topic BROKERS count NAME               prints how many offsets its partitions hold
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE 30000 /* ms */

static void die(const char *what, const char *why)
{
    fprintf(stderr, "topic: %s: %s\n", what, why);
    exit(1);
}

static rd_kafka_t *connect_to(const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[512];
    rd_kafka_t *rk;

    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        die(brokers, why);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!rk)
        die("rd_kafka_new", why);
    return rk;
}

/* The number of partitions if all of them have leaders, else 0. */
static int partitions_led(rd_kafka_t *rk, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    const struct rd_kafka_metadata *all = NULL;
    int led = 0;

    if (!rd_kafka_metadata(rk, 0, topic, &all, PATIENCE) && all->topic_cnt == 1) {
        const rd_kafka_metadata_topic_t *found = &all->topics[0];
        while (led < found->partition_cnt && found->partitions[led].leader >= 0)
            led++;
        led = led == found->partition_cnt ? led : 0;
    }
    if (all)
        rd_kafka_metadata_destroy(all);
    rd_kafka_topic_destroy(topic);
    return led;
}

static void check_result(const char *name, const rd_kafka_topic_result_t **results, size_t count)
{
    if (count != 1)
        die(name, "no answer");
    if (rd_kafka_topic_result_error(results[0]))
        die(name, rd_kafka_topic_result_error_string(results[0]));
}

/* Waits for the answer; dies of what it says is wrong. */
static void check_answer(rd_kafka_queue_t *queue, const char *name)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE);
    const rd_kafka_topic_result_t **results = NULL;
    size_t count = 0;

    if (!event)
        die(name, "no answer in time");
    if (rd_kafka_event_error(event))
        die(name, rd_kafka_event_error_string(event));
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
        results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    else
        results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    check_result(name, results, count);
    rd_kafka_event_destroy(event);
}

static void create(rd_kafka_t *rk, const char *name, int partitions)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    char why[512];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof(why));

    if (!topic)
        die(name, why);
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    check_answer(queue, name);
    for (int tries = 0; partitions_led(rk, name) != partitions; tries++) {
        if (tries == 1000)
            die(name, "its partitions have no leader");
        usleep(10000);
    }
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
}

static void delete (rd_kafka_t *rk, const char *name)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);

    rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
    check_answer(queue, name);
    rd_kafka_DeleteTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
}

static void count(rd_kafka_t *rk, const char *name)
{
    int partitions = partitions_led(rk, name);
    long long total = 0;
    int64_t low, high;

    if (!partitions)
        die(name, "it is not there, or a partition has no leader");
    for (int i = 0; i < partitions; i++) {
        rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(rk, name, i, &low, &high, PATIENCE);
        if (error)
            die(name, rd_kafka_err2str(error));
        total += high - low;
    }
    printf("%lld\n", total);
}

int main(int argc, char **argv)
{
    const char *what = argc > 3 ? argv[2] : "";
    rd_kafka_t *rk;

    if (!(argc == 5 && !strcmp(what, "create")) &&
        !(argc == 4 && (!strcmp(what, "delete") || !strcmp(what, "count"))))
        die("usage", "topic BROKERS create NAME PARTITIONS, or delete NAME, or count NAME");
    rk = connect_to(argv[1]);
    if (argc == 5)
        create(rk, argv[3], atoi(argv[4]));
    else if (!strcmp(what, "delete"))
        delete (rk, argv[3]);
    else
        count(rk, argv[3]);
    rd_kafka_destroy(rk);
    return 0;
}
