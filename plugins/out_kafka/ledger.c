/* SPDX-License-Identifier: Apache-2.0 */
/* The topic of positions in the cluster. Nothing here blocks for long without asking whether it is cancelled.
 */
#include "ledger.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "properties.h"

enum {
    SLICE_MS = 500,   /* of one call that blocks */
    ADMIN_MS = 10000, /* of a request to make or describe the topic */
    PARTITIONS = 16,  /* of a topic that is made here */
    PAUSE_NS = 100000000
};

static int fail(struct ledger *ledger, int r, const char *format, ...) WEIR_PRINTF(3, 4);
static int fail(struct ledger *ledger, int r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(ledger->why, sizeof(ledger->why), format, args);
    va_end(args);
    return r;
}

static bool is_cancelled(const struct ledger *ledger)
{
    return ledger->link.host->wait(ledger->link.instance, -1, 0, 0) == -ECANCELED;
}

/* 0 or -ECANCELED. */
static int rest(const struct ledger *ledger)
{
    return ledger->link.host->wait(ledger->link.instance, -1, 0, PAUSE_NS) == -ECANCELED ? -ECANCELED : 0;
}

void ledger_init(struct ledger *ledger, struct kafka_link link, const struct kafka_settings *settings,
                 struct health *health)
{
    uint64_t bits[2] = {0};

    memset(ledger, 0, sizeof(*ledger));
    ledger->link = link;
    ledger->settings = settings;
    ledger->health = health;
    if (getrandom(bits, sizeof(bits), 0) != sizeof(bits))
        bits[0] = (uint64_t)(uintptr_t)ledger ^ (uint64_t)getpid();
    snprintf(ledger->owner, sizeof(ledger->owner), "%016llx%016llx", (unsigned long long)bits[0],
             (unsigned long long)bits[1]);
}

void ledger_release(struct ledger *ledger)
{
    if (ledger->topic)
        rd_kafka_topic_destroy(ledger->topic);
    ledger->topic = NULL;
}

void ledger_finish(struct ledger *ledger)
{
    ledger_release(ledger);
    claim_finish(&ledger->claim);
}

int ledger_open(struct ledger *ledger, const char *data_dir, const char *alias)
{
    const struct kafka_settings *settings = ledger->settings;
    char why[512];
    int r = claim_open(&ledger->claim, data_dir, alias, settings->transactional_id, settings->positions_topic,
                       why, sizeof(why));

    return r ? fail(ledger, r, "the transactional id can't be kept: %s", why) : 0;
}

/* -- Transactions' errors -- */

/* Frees the error. What is no answer of a broker, or one for now, is tried again with the same producer. */
static int classify(struct ledger *ledger, rd_kafka_error_t *error, const char *doing)
{
    int code = rd_kafka_error_code(error);
    int r = -EPIPE;

    fail(ledger, r, "%s: %s", doing, rd_kafka_error_string(error));
    if (rd_kafka_error_is_retriable(error))
        r = -EAGAIN;
    else if (code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
        r = -ENOTSUP;
    rd_kafka_error_destroy(error);
    return r;
}

static int init_transactions(struct ledger *ledger, rd_kafka_t *rk)
{
    rd_kafka_error_t *error;
    int r;

    while ((error = rd_kafka_init_transactions(rk, SLICE_MS))) {
        bool timed_out = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__TIMED_OUT;
        r = classify(ledger, error, "transactions can't be begun with");
        if (r != -EAGAIN)
            return r;
        if (!timed_out)
            health_failed(ledger->health, ledger->why);
        if (rest(ledger))
            return -ECANCELED;
    }
    return 0;
}

/* -- The topic -- */

/* How many partitions it has; 0: it is not there; -EAGAIN. Asking for it by name might make it. */
static int count_partitions(struct ledger *ledger, rd_kafka_t *rk)
{
    const char *name = ledger->settings->positions_topic;
    const struct rd_kafka_metadata *all;
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 1, NULL, &all, SLICE_MS * 4);
    int found = 0;

    if (error)
        return fail(ledger, -EAGAIN, "which topics there are is not known: %s", rd_kafka_err2str(error));
    for (int i = 0; i < all->topic_cnt && !found; i++) {
        if (strcmp(all->topics[i].topic, name) != 0)
            continue;
        error = all->topics[i].err;
        found = error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ? -EACCES
                : error                                               ? -EAGAIN
                                                                      : all->topics[i].partition_cnt;
        if (found < 0)
            fail(ledger, found, "positions_topic %s: %s", name, rd_kafka_err2str(error));
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
        event = rd_kafka_queue_poll(queue, SLICE_MS); /* it comes in any case: requests time out */
        if (!event && is_cancelled(ledger))
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
    fail(ledger, 0, "positions_topic %s can't be made: %s", ledger->settings->positions_topic,
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

    r = topic && queue && options ? 0
                                  : fail(ledger, -EINVAL, "positions_topic: %s", topic ? "no memory" : text);
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
    return fail(
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

static int refuse_vanished(struct ledger *ledger, const char *what)
{
    return fail(
        ledger, -ENODATA,
        "positions were committed under transactional id %s, but positions_topic %s %s: where reading is "
        "to go on is not known, and weir does not guess. Bring the topic back; or, to go on from the local "
        "checkpoints (lines may come twice), remove the file %s",
        ledger->claim.id, ledger->settings->positions_topic, what, ledger->claim.path);
}

/* Makes sure that it is there; sets partitions and partition. */
static int find_topic(struct ledger *ledger, rd_kafka_t *rk)
{
    int r, count = count_partitions(ledger, rk);

    if (count == 0 && ledger->claim.used)
        return refuse_vanished(ledger, "is not there");
    if (count == 0) {
        r = make_topic(ledger, rk);
        for (int tries = 0; !r && count <= 0 && tries < 50; tries++) {
            r = rest(ledger);
            count = r ? r : count_partitions(ledger, rk);
        }
        if (r)
            return r;
        if (count == 0)
            return fail(ledger, -EAGAIN, "positions_topic %s was made, and is not there yet",
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
    return ledger->topic ? 0 : fail(ledger, -EAGAIN, "no memory for positions_topic");
}

/* -- Reading -- */

static void quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text; /* what matters comes as an error of consume */
}

static rd_kafka_t *make_reader(struct ledger *ledger)
{
    char why[512];
    rd_kafka_conf_t *conf = properties_make_reader(ledger->settings, why, sizeof(why));
    char *brokers = conf ? properties_brokers(ledger->settings, why, sizeof(why)) : NULL;
    rd_kafka_t *reader = NULL;

    if (brokers) {
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0);
        rd_kafka_conf_set_log_cb(conf, quiet);
        reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    }
    if (!reader && conf)
        rd_kafka_conf_destroy(conf);
    free(brokers);
    if (!reader)
        fail(ledger, -EINVAL, "positions_topic can't be read: %s", why);
    return reader;
}

static int unreadable(struct ledger *ledger, const rd_kafka_message_t *message)
{
    const char *name = ledger->settings->positions_topic;

    switch (message->err) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return fail(ledger, -EACCES, "positions_topic %s can't be read: %s", name,
                    rd_kafka_err2str(message->err));
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
        return fail(ledger, -EUCLEAN, "positions_topic %s is damaged in partition %d at offset %lld: %s",
                    name, ledger->partition, (long long)message->offset, rd_kafka_err2str(message->err));
    default:
        return fail(ledger, -EAGAIN, "positions_topic %s can't be read now: %s", name,
                    rd_kafka_err2str(message->err));
    }
}

static int take(struct ledger *ledger, struct kept_table *table, const rd_kafka_message_t *message)
{
    struct kept_message text = {message->key, message->payload, message->key_len, message->len};
    int r = text.key ? kept_take(table, &text) : 0;

    if (r == -ENOTSUP)
        return fail(
            ledger, r,
            "positions_topic %s holds positions of this host in a newer format (partition %d, offset %lld): "
            "run the weir that wrote them, or a newer one",
            ledger->settings->positions_topic, ledger->partition, (long long)message->offset);
    if (r == -EUCLEAN)
        return fail(
            ledger, r,
            "positions_topic %s holds what weir did not write under the key of this host (partition %d, "
            "offset %lld)",
            ledger->settings->positions_topic, ledger->partition, (long long)message->offset);
    return r ? fail(ledger, -EAGAIN, "no memory for positions") : 0;
}

/* Reads until the reader stands at `end`. */
static int read_to(struct ledger *ledger, rd_kafka_topic_t *topic, int64_t end, struct kept_table *table)
{
    for (int64_t at = 0; at < end;) {
        rd_kafka_message_t *message = rd_kafka_consume(topic, ledger->partition, SLICE_MS);
        int r = is_cancelled(ledger) ? -ECANCELED : 0;
        if (message && !r && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            at = message->offset;
        else if (message && !r && message->err)
            r = unreadable(ledger, message);
        else if (message && !r) {
            at = message->offset + 1;
            r = take(ledger, table, message);
        }
        if (message)
            rd_kafka_message_destroy(message);
        if (r)
            return r;
    }
    return 0;
}

static int read_positions(struct ledger *ledger, rd_kafka_t *rk, struct kept_table *table)
{
    const char *name = ledger->settings->positions_topic;
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(rk, name, ledger->partition, &low, &high, SLICE_MS * 4);
    int r;

    if (error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        return fail(ledger, -EACCES, "positions_topic %s can't be read: %s", name, rd_kafka_err2str(error));
    if (error)
        return fail(ledger, -EAGAIN, "positions_topic %s can't be read now: %s", name,
                    rd_kafka_err2str(error));
    if (low >= high)
        return 0;
    rd_kafka_t *reader = make_reader(ledger);
    rd_kafka_topic_t *topic = reader ? rd_kafka_topic_new(reader, name, NULL) : NULL;
    r = topic ? 0 : -EINVAL;
    if (topic && rd_kafka_consume_start(topic, ledger->partition, RD_KAFKA_OFFSET_BEGINNING))
        r = fail(ledger, -EAGAIN, "positions_topic %s can't be read: %s", name,
                 rd_kafka_err2str(rd_kafka_last_error()));
    if (!r) {
        r = read_to(ledger, topic, high, table);
        rd_kafka_consume_stop(topic, ledger->partition);
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
    if (reader)
        rd_kafka_destroy(reader);
    return r;
}

/* -- Owning -- */

static int taken(struct ledger *ledger, const struct kept_table *table)
{
    return fail(ledger, -ESTALE, "transactional id %s is used by another weir now: %s", ledger->claim.id,
                table->where);
}

static int check_owner(struct ledger *ledger, const struct kept_table *table)
{
    if (!table->owned)
        return ledger->claim.used ? refuse_vanished(ledger, "holds nothing of it") : 0;
    if (table->partitions != ledger->partitions)
        return fail(
            ledger, -EINVAL,
            "positions_topic %s had %d partitions and has %d now, so positions are not where they are looked "
            "for: make it anew with as many as it had, or name another topic",
            ledger->settings->positions_topic, table->partitions, ledger->partitions);
    return ledger->owned && strcmp(table->owner, ledger->owner) != 0 ? taken(ledger, table) : 0;
}

static int commit(struct ledger *ledger, rd_kafka_t *rk)
{
    rd_kafka_error_t *error;
    int r;

    while ((error = rd_kafka_commit_transaction(rk, SLICE_MS))) {
        r = classify(ledger, error, "the transaction of its owner can't be committed");
        if (r != -EAGAIN)
            return r;
        if (is_cancelled(ledger))
            return -ECANCELED;
    }
    return 0;
}

/* Writes who owns the id from now on. */
static int own(struct ledger *ledger, rd_kafka_t *rk)
{
    char host[128] = "", where[192], why[512];
    struct weir_json text = {0};
    rd_kafka_error_t *error;
    int r = 0;

    gethostname(host, sizeof(host) - 1);
    snprintf(where, sizeof(where), "%s, process %ld", host, (long)getpid());
    error = rd_kafka_begin_transaction(rk);
    if (error)
        return classify(ledger, error, "no transaction can be begun");
    if (kept_write_owner(&text, ledger->owner, ledger->partitions, where))
        r = -EAGAIN;
    else if (ledger_put(ledger, ledger->claim.id, strlen(ledger->claim.id), text.data, text.size))
        r = fail(ledger, -EPIPE, "positions_topic %s can't be written", ledger->settings->positions_topic);
    weir_json_finish(&text);
    r = r ? r : commit(ledger, rk);
    if (r)
        return r;
    ledger->owned = true;
    WEIR_KILL_POINT("kafka-owner");
    /* Not before: a kill in between must not leave a note of what never was. */
    if (claim_use(&ledger->claim, why, sizeof(why)))
        return fail(ledger, -EIO, "that positions are kept by Kafka can't be noted: %s", why);
    return 0;
}

int ledger_load(struct ledger *ledger, rd_kafka_t *rk, struct kept_table *table)
{
    int r = init_transactions(ledger, rk);

    WEIR_KILL_POINT("kafka-starting");
    if (!r)
        r = find_topic(ledger, rk);
    if (!r)
        r = read_positions(ledger, rk, table);
    if (!r)
        r = check_owner(ledger, table);
    return r ? r : own(ledger, rk);
}

int ledger_is_owner(struct ledger *ledger, rd_kafka_t *rk)
{
    struct kept_table table;
    int r;

    kept_init(&table, ledger->claim.id);
    r = read_positions(ledger, rk, &table);
    if (!r && table.owned && strcmp(table.owner, ledger->owner) != 0)
        r = taken(ledger, &table);
    kept_finish(&table);
    return r;
}

rd_kafka_resp_err_t ledger_put(const struct ledger *ledger, const void *key, size_t key_size,
                               const void *value, size_t value_size)
{
    if (rd_kafka_produce(ledger->topic, ledger->partition, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)value,
                         value_size, key, key_size, NULL) == 0)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    return rd_kafka_last_error();
}
