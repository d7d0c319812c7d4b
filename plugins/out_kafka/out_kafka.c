/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_kafka: delivers records to Kafka and says so when the broker has them. This file: the life of an
 * instance, and the decisions about a chunk; send.c hands messages to librdkafka, flight.c waits for their
 * reports, outcome.c settles what failed, producer.c keeps librdkafka.
 *
 * create and destroy run on control, start, write and stop on the output's thread, and reports come on
 * librdkafka's threads.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "letter.h"
#include "outcome.h"
#include "producer.h"
#include "send.h"

/* A topic that was there and has gone is asked for so long before its records are refused. */
static const int64_t MISSING_NS = 30000000000;
/* Below this a batch that a broker finds too large is not made smaller any more. */
static const long BATCH_MIN = 1024;
/* What librdkafka adds to a message in a batch, at most, but for key and headers. */
static const size_t FRAMING = 512;
/* So long a cancelled stop waits for what was given up, before the connections are closed. */
static const int PURGE_MS = 250;

struct kafka_output {
    struct kafka_link link;
    const struct kafka_settings *settings;
    struct topics topics;
    struct flights flights;
    struct sender sender;
    struct health health;
    struct stats stats;
    struct producer producer;
    struct letters letters;
    struct weir_metric *rebuilds;
    atomic_bool shrink; /* batches are too large for a broker */
};

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* -- What becomes of a failure. Any thread, as is all that flights call. -- */

/*
 * A topic that records were delivered to may be unknown for a while: to a broker that has just started, say.
 * One that is used for the first time may be in the making; the time that librdkafka allows for that also
 * runs while no broker is there, so it is counted here from when brokers answer.
 */
static enum fate judge_unknown_topic(const struct kafka_output *out, struct topic *topic)
{
    long long since, t = now();

    if (topic && !atomic_load(&topic->known) && !producer_is_sure(&out->producer)) {
        atomic_store(&topic->missing_since, t);
        return FATE_AGAIN;
    }
    if (!topic || !atomic_load(&topic->known))
        return FATE_REFUSED;
    since = atomic_load(&topic->missing_since);
    if (since == 0) {
        atomic_store(&topic->missing_since, t);
        return FATE_AGAIN;
    }
    if (t - since < MISSING_NS)
        return FATE_AGAIN;
    atomic_store(&topic->known, false);
    atomic_store(&topic->missing_since, 0);
    return FATE_REFUSED;
}

/* A broker refuses a batch as a whole: a message that shared one may be small enough by itself. */
static enum fate judge_size(struct kafka_output *out, const struct failure *failure)
{
    long batch = atomic_load(&out->producer.batch_size);

    if (failure->local || batch <= BATCH_MIN || failure->size + FRAMING >= (size_t)batch)
        return FATE_REFUSED;
    atomic_store(&out->shrink, true);
    return FATE_AGAIN;
}

static enum fate judge(void *data, const struct failure *failure)
{
    struct kafka_output *out = data;

    switch (failure->error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return judge_size(out, failure);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return judge_unknown_topic(out, failure->topic);
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY:
    case RD_KAFKA_RESP_ERR__FATAL:
        return FATE_AGAIN; /* said by whoever gave it up */
    default:
        if (outcome_is_final(failure->error))
            return FATE_REFUSED;
        health_failed(&out->health, rd_kafka_err2str(failure->error));
        return FATE_AGAIN;
    }
}

static bool hand_over(void *data, struct flight *flight)
{
    struct kafka_output *out = data;

    return letters_take(&out->letters, flight);
}

static void delivered(void *data)
{
    struct kafka_output *out = data;

    health_delivered(&out->health);
}

/* -- Creation -- */

static int check_topics(const struct kafka_output *out)
{
    const struct kafka_settings *settings = out->settings;
    const struct kafka_link *link = &out->link;
    const char *wrong = settings->topics ? topic_check_template(settings->topics) : NULL;

    if (wrong) {
        link->host->error(link->instance, "topics: '%s': %s", settings->topics, wrong);
        return -EINVAL;
    }
    wrong = settings->dead_letter_topic
                ? topic_check_name(settings->dead_letter_topic, strlen(settings->dead_letter_topic))
                : NULL;
    if (wrong) {
        link->host->error(link->instance, "dead_letter_topic: '%s': %s", settings->dead_letter_topic, wrong);
        return -EINVAL;
    }
    if (settings->format == KAFKA_RAW && (!settings->raw_log_key || !*settings->raw_log_key)) {
        link->host->error(link->instance, "raw_log_key is empty: name the key whose value is to be sent");
        return -EINVAL;
    }
    return 0;
}

static int check_properties(struct kafka_output *out)
{
    char why[1024];
    char *brokers = properties_brokers(out->settings, why, sizeof(why));
    int rc = brokers ? producer_make(&out->producer, 0, why, sizeof(why)) : -EINVAL;

    free(brokers);
    if (rc)
        out->link.host->error(out->link.instance, "%s", why);
    return rc;
}

static int init_sender(struct kafka_output *out)
{
    const char *wrong = NULL;
    int rc = sender_init(&out->sender, out->link, out->settings, &out->flights, &out->topics, &wrong);

    if (rc == -EINVAL)
        out->link.host->error(out->link.instance,
                              "headers.%s: '${' begins the name of a field and ends with '}', as in ${topic}",
                              wrong);
    return rc;
}

/* In the order in which they are finished again: backwards. `done` is how many are. */
static int init_parts(struct kafka_output *out, unsigned *done)
{
    int rc = topics_init(&out->topics, out->settings->topics);

    if (!rc && ++*done)
        rc = flights_init(&out->flights, out->link);
    if (!rc && ++*done)
        rc = init_sender(out);
    if (!rc && ++*done)
        rc = letters_init(&out->letters, out->settings);
    if (!rc)
        ++*done;
    return rc;
}

static void finish_parts(struct kafka_output *out, unsigned done)
{
    if (done > 3)
        letters_finish(&out->letters);
    if (done > 2)
        sender_finish(&out->sender);
    if (done > 1)
        flights_finish(&out->flights);
    if (done > 0)
        topics_finish(&out->topics);
    stats_finish(&out->stats);
    health_finish(&out->health);
    free(out);
}

static void kafka_destroy(void *self)
{
    struct kafka_output *out = self;

    topics_release(&out->topics);
    producer_end(&out->producer);
    finish_parts(out, 4);
}

static void wire(struct kafka_output *out)
{
    out->flights.judge = judge;
    out->flights.hand_over = hand_over;
    out->flights.delivered = delivered;
    out->flights.data = out;
    out->producer.link = out->link;
    out->producer.settings = out->settings;
    out->producer.health = &out->health;
    out->producer.stats = &out->stats;
    out->producer.flights = &out->flights;
    out->sender.pace = out->letters.pace = &out->producer.pace;
    out->rebuilds =
        out->link.host->metric(out->link.instance, WEIR_COUNTER, "producer_rebuilds",
                               "How often the producer was built anew after a fatal error", NULL, NULL);
}

static int kafka_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                        void **ret_self)
{
    struct kafka_output *out = calloc(1, sizeof(*out));
    unsigned done = 0;
    int rc;

    if (!out) {
        host->error(instance, "out of memory");
        return -ENOMEM;
    }
    out->link = (struct kafka_link){host, instance};
    out->settings = config;
    health_init(&out->health, out->link);
    stats_init(&out->stats, out->link);
    rc = check_topics(out);
    if (!rc)
        rc = init_parts(out, &done);
    if (rc == -ENOMEM)
        host->error(instance, "out of memory");
    if (!rc) {
        wire(out);
        rc = check_properties(out);
    }
    if (rc) {
        finish_parts(out, done);
        return rc;
    }
    *ret_self = out;
    return 0;
}

/* -- Start, and building the producer anew -- */

static int use_letters(struct kafka_output *out)
{
    const char *name = out->settings->dead_letter_topic;
    struct topic *topic = name ? topics_get(&out->topics, name, strlen(name)) : NULL;

    if (name && !topic)
        return -ENOMEM;
    return letters_use(&out->letters, out->producer.rk, topic);
}

static int go_online(struct kafka_output *out)
{
    char why[512] = "out of memory";
    int rc;

    out->sender.sticky.bytes = atomic_load(&out->producer.batch_size);
    out->sender.sticky.span = out->producer.sticky_ms * 1000000;
    out->topics.sticky = out->producer.sticky_ms > 0;
    rc = producer_connect(&out->producer, why, sizeof(why));

    if (!rc)
        rc = use_letters(out);
    if (rc)
        out->link.host->error(out->link.instance, "%s", why);
    return rc;
}

static int kafka_start(void *self)
{
    return go_online(self);
}

/* No flight is under way. */
static int rebuild(struct kafka_output *out, long batch_size)
{
    char why[1024];
    int rc;

    topics_release(&out->topics);
    letters_use(&out->letters, NULL, out->letters.topic);
    producer_end(&out->producer);
    rc = producer_make(&out->producer, batch_size, why, sizeof(why));
    if (rc) {
        health_failed(&out->health, why);
        return rc;
    }
    out->link.host->metric_add(out->rebuilds, 1);
    return go_online(out);
}

static long smaller_batch(struct kafka_output *out)
{
    long batch = atomic_load(&out->producer.batch_size) / 2;

    batch = batch < BATCH_MIN ? BATCH_MIN : batch;
    out->link.host->log(
        out->link.instance, WEIR_LOG_WARN,
        "the broker refuses batches for their size: its message.max.bytes, or the topic's "
        "max.message.bytes, is lower than rdkafka.batch.size; going on with batches of %ld bytes",
        batch);
    return batch;
}

/* Makes sure that the producer can send. 0; -EBUSY: not before what is in flight has come back. */
static int make_ready(struct kafka_output *out)
{
    char why[640];
    bool broken = producer_is_broken(&out->producer, why, sizeof(why));

    if (!broken && !atomic_load(&out->shrink))
        return 0;
    if (atomic_load(&out->flights.count) > 0)
        return -EBUSY;
    if (broken)
        out->link.host->log(
            out->link.instance, WEIR_LOG_WARN,
            "librdkafka can't go on (%s): the producer is built anew, and what was not delivered "
            "is sent again",
            why);
    if (atomic_exchange(&out->shrink, false))
        return rebuild(out, smaller_batch(out));
    return rebuild(out, atomic_load(&out->producer.batch_size));
}

/* -- Chunks -- */

static int wait_for_room(struct kafka_output *out, const struct weir_chunk *chunk)
{
    long most = out->producer.most_messages - (long)chunk->records;

    return flights_wait(&out->flights, most > 1 ? most : 1);
}

static int kafka_write(void *self, struct weir_chunk *chunk)
{
    struct kafka_output *out = self;
    struct remainder *remainder;
    int result;

    if (make_ready(out) || wait_for_room(out, chunk))
        return WEIR_RETRY;
    remainder = flights_take_remainder(&out->flights, chunk->id);
    result = send_chunk(&out->sender, out->producer.rk, chunk, remainder);
    if (remainder && result == WEIR_RETRY)
        flights_keep_remainder(&out->flights, remainder);
    else
        free(remainder);
    return result;
}

/*
 * Everything is delivered, or weir does not wait for it: then what is under way is given up, and sent again
 * in another life. A request that is half sent is only given up with its connection.
 */
static void kafka_stop(void *self)
{
    struct kafka_output *out = self;

    if (!flights_drain(&out->flights, 0)) {
        letters_cancel(&out->letters);
        producer_purge(&out->producer);
        flights_drain(&out->flights, PURGE_MS);
    }
    letters_stop(&out->letters);
    topics_release(&out->topics);
    producer_end(&out->producer);
    flights_drain(&out->flights, -1);
    out->link.host->stopped(out->link.instance);
}

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "kafka",
    .version = WEIR_VERSION,
    .summary = "delivers records to Kafka",
    .options = kafka_options,
    .config_size = sizeof(struct kafka_settings),
    .create = kafka_create,
    .start = kafka_start,
    .write = kafka_write,
    .stop = kafka_stop,
    .destroy = kafka_destroy,
};
