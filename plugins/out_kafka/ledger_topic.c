/* SPDX-License-Identifier: Apache-2.0 */
/* The topic of positions in the cluster: looked for, made where it is missing, and checked. Output thread. */
#include <errno.h>
#include <string.h>
#include "ledger_private.h"

enum {
    ADMIN_MS = 10000, /* of a request to make or describe the topic */
    PARTITIONS = 16   /* of a topic that is made here */
};

/* How many partitions it has; 0: it is not there; -EAGAIN. Asking for it by name might make it. */
static int count_partitions(struct ledger *ledger, rd_kafka_t *rk)
{
    const char *name = ledger->settings->positions_topic;
    const struct rd_kafka_metadata *all;
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 1, NULL, &all, LEDGER_SLICE_MS * 4);
    int found = 0;

    if (error)
        return ledger_fail(ledger, -EAGAIN, "which topics there are is not known: %s",
                           rd_kafka_err2str(error));
    for (int i = 0; i < all->topic_cnt && !found; i++) {
        if (strcmp(all->topics[i].topic, name) != 0)
            continue;
        error = all->topics[i].err;
        found = error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ? -EACCES
                : error                                               ? -EAGAIN
                                                                      : all->topics[i].partition_cnt;
        if (found < 0)
            ledger_fail(ledger, found, "positions_topic %s: %s", name, rd_kafka_err2str(error));
    }
    rd_kafka_metadata_destroy(all);
    return found;
}

/* Waits for the answer of a request to the cluster. NULL and *ret_r: none came. */
static rd_kafka_event_t *await_event(struct ledger *ledger, rd_kafka_queue_t *queue, int *ret_r)
{
    rd_kafka_event_t *event = NULL;

    *ret_r = 0;
    while (!event && !*ret_r) {
        event = rd_kafka_queue_poll(queue, LEDGER_SLICE_MS); /* it comes in any case: requests time out */
        if (!event && ledger_is_cancelled(ledger))
            *ret_r = -ECANCELED;
    }
    return event;
}

static int made(struct ledger *ledger, const rd_kafka_event_t *event)
{
    const rd_kafka_CreateTopics_result_t *result =
        rd_kafka_event_CreateTopics_result((rd_kafka_event_t *)event);
    rd_kafka_resp_err_t error = rd_kafka_event_error((rd_kafka_event_t *)event);
    const char *text = rd_kafka_event_error_string((rd_kafka_event_t *)event);
    size_t count = 0;
    const rd_kafka_topic_result_t **topics =
        result && !error ? rd_kafka_CreateTopics_result_topics(result, &count) : NULL;

    if (topics && count) {
        error = rd_kafka_topic_result_error(topics[0]);
        text = rd_kafka_topic_result_error_string(topics[0]);
    }
    if (!error || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return 0;
    ledger_fail(ledger, 0, "positions_topic %s can't be made: %s", ledger->settings->positions_topic,
                text ? text : rd_kafka_err2str(error));
    if (error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        error == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
        error == RD_KAFKA_RESP_ERR_POLICY_VIOLATION)
        return -EACCES;
    return -EAGAIN;
}

static int make_topic(struct ledger *ledger, rd_kafka_t *rk)
{
    char text[128];
    int r;
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(ledger->settings->positions_topic, PARTITIONS, -1, text, sizeof(text));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_event_t *event = NULL;

    r = topic && queue && options
            ? 0
            : ledger_fail(ledger, -EINVAL, "positions_topic: %s", topic ? "no memory" : text);
    if (!r) {
        rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "compact");
        rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_MS, text, sizeof(text));
        rd_kafka_CreateTopics(rk, &topic, 1, options, queue);
        event = await_event(ledger, queue, &r);
    }
    if (event)
        r = made(ledger, event);
    if (event)
        rd_kafka_event_destroy(event);
    if (options)
        rd_kafka_AdminOptions_destroy(options);
    if (queue)
        rd_kafka_queue_destroy(queue);
    if (topic)
        rd_kafka_NewTopic_destroy(topic);
    return r;
}

/* What the topic does with old messages: NULL where it does not say. */
static const char *cleanup_of(rd_kafka_event_t *event)
{
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    size_t count = 0, entries = 0;
    const rd_kafka_ConfigResource_t **resources =
        result && !rd_kafka_event_error(event) ? rd_kafka_DescribeConfigs_result_resources(result, &count)
                                               : NULL;
    const rd_kafka_ConfigEntry_t **entry = resources && count && !rd_kafka_ConfigResource_error(resources[0])
                                               ? rd_kafka_ConfigResource_configs(resources[0], &entries)
                                               : NULL;

    for (size_t i = 0; i < entries; i++)
        if (!strcmp(rd_kafka_ConfigEntry_name(entry[i]), "cleanup.policy"))
            return rd_kafka_ConfigEntry_value(entry[i]);
    return NULL;
}

static int check_cleanup(struct ledger *ledger, rd_kafka_event_t *event)
{
    const char *name = ledger->settings->positions_topic, *cleanup = cleanup_of(event);

    if (!cleanup)
        ledger->link.host->log(
            ledger->link.instance, WEIR_LOG_WARN,
            "whether positions_topic %s has cleanup.policy=compact can't be found out: it must", name);
    if (!cleanup || !strcmp(cleanup, "compact"))
        return 0;
    return ledger_fail(
        ledger, -EINVAL,
        "positions_topic %s has cleanup.policy=%s, so that positions would vanish from it: it must be "
        "compact",
        name, cleanup);
}

static int check_topic(struct ledger *ledger, rd_kafka_t *rk)
{
    char text[128];
    int r;
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, ledger->settings->positions_topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_event_t *event;

    rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_MS, text, sizeof(text));
    rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
    event = await_event(ledger, queue, &r);
    if (event) {
        r = check_cleanup(ledger, event);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return r;
}

int ledger_find_topic(struct ledger *ledger, rd_kafka_t *rk)
{
    int r, count = count_partitions(ledger, rk);

    if (count == 0 && ledger->claim.used)
        return ledger_refuse_vanished(ledger, "is not there");
    if (count == 0) {
        r = make_topic(ledger, rk);
        for (int tries = 0; !r && count <= 0 && tries < 50; tries++) {
            r = ledger_rest(ledger);
            count = r ? r : count_partitions(ledger, rk);
        }
        if (r)
            return r;
        if (count == 0)
            return ledger_fail(ledger, -EAGAIN, "positions_topic %s was made, and is not there yet",
                               ledger->settings->positions_topic);
    }
    if (count < 0)
        return count;
    r = check_topic(ledger, rk);
    if (r)
        return r;
    ledger->partitions = count;
    ledger->partition = kept_partition(ledger->claim.id, count);
    if (!ledger->topic)
        ledger->topic = rd_kafka_topic_new(rk, ledger->settings->positions_topic, NULL);
    return ledger->topic ? 0 : ledger_fail(ledger, -EAGAIN, "no memory for positions_topic");
}
