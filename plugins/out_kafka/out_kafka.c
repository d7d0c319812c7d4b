/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_kafka: delivers records to Kafka and says so when the broker has them. This file: the life of an
 * instance, and the decisions about a chunk; send.c hands messages to librdkafka, flight.c waits for their
 * reports, outcome.c settles what failed, producer.c keeps librdkafka.
 *
 * create and destroy run on control, start, write and stop on the output's thread, and reports come on the
 * thread of pace.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/kill_point.h>
#include "clock.h"
#include "letter.h"
#include "outcome.h"
#include "producer.h"
#include "ledger.h"
#include "send.h"
#include "transact.h"

/* A topic that was there and has gone is asked for so long before its records are refused. */
static const int64_t MISSING_NS = 30000000000;
/* Below this a batch that a broker finds too large is not made smaller any more. */
static const long BATCH_MIN = 1024;
/* What librdkafka adds to a message in a batch, at most, but for key and headers. */
static const size_t FRAMING = 512;
/* So long a cancelled stop waits for what was given up, before the connections are closed. */
static const int PURGE_MS = 250;
/* Between two tries to begin with transactions. */
static const uint64_t PAUSE_NS = 500000000;

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
    struct ledger ledger; /* this and the next: exactly_once only */
    struct transact transact;
    bool shut_out; /* for good: another weir has taken over */
    struct weir_metric *rebuilds;
    atomic_bool shrink; /* batches are too large for a broker */
};

/* -- What becomes of a failure. Any thread, as is all that flights call. -- */

/*
 * A topic that records were delivered to may be unknown for a while: to a broker that has just started, say.
 * One that is used for the first time may be in the making; the time that librdkafka allows for that also
 * runs while no broker is there, so it is counted here from when brokers answer.
 */
static enum fate judge_unknown_topic(const struct kafka_output *out, struct topic *topic)
{
    long long since, t = clock_ns();

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

static void landed(void *data, struct flight *flight)
{
    struct kafka_output *out = data;

    transact_landed(&out->transact, flight);
}

static void failed(void *data, const struct failure *failure)
{
    struct kafka_output *out = data;

    transact_failed(&out->transact, failure);
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

static bool is_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return false;
    return *text != '\0';
}

/* exactly_once: what it needs besides, and that this instance keeps positions. */
static int check_exact(const struct kafka_output *out)
{
    const struct kafka_link *link = &out->link;
    const struct kafka_settings *settings = out->settings;
    const char *topic = settings->positions_topic ? settings->positions_topic : "";
    const char *wrong = topic_check_name(topic, strlen(topic));

    if (!WEIR_HAS(link->host, keep_positions) || !link->host->keep_positions)
        link->host->error(link->instance,
                          "delivery: exactly_once needs a weir in which outputs keep positions");
    else if (!link->host->data_dir(link->instance))
        link->host->error(link->instance,
                          "delivery: exactly_once needs service.data_dir, where the transactional "
                          "id is kept, and that positions were committed under it");
    else if (wrong)
        link->host->error(link->instance, "positions_topic: '%s': %s", topic, wrong);
    else if (settings->transactional_id && !is_plain(settings->transactional_id))
        link->host->error(link->instance, "transactional_id: '%s': it can't be empty or hold spaces",
                          settings->transactional_id);
    else
        return link->host->keep_positions(link->instance);
    return -EINVAL;
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
    if (!rc && ++*done && kafka_is_exact(out->settings))
        rc = transact_init(&out->transact, out->link, out->settings);
    if (!rc)
        ++*done;
    return rc;
}

static void finish_parts(struct kafka_output *out, unsigned done)
{
    if (done > 4 && kafka_is_exact(out->settings))
        transact_finish(&out->transact);
    if (done > 3)
        letters_finish(&out->letters);
    if (done > 2)
        sender_finish(&out->sender);
    if (done > 1)
        flights_finish(&out->flights);
    if (done > 0)
        topics_finish(&out->topics);
    ledger_finish(&out->ledger);
    stats_finish(&out->stats);
    health_finish(&out->health);
    free(out);
}

static void kafka_destroy(void *self)
{
    struct kafka_output *out = self;

    topics_release(&out->topics);
    ledger_release(&out->ledger);
    producer_end(&out->producer);
    finish_parts(out, 5);
}

static void wire_exact(struct kafka_output *out)
{
    out->flights.landed = landed;
    out->flights.failed = failed;
    out->transact.flights = &out->flights;
    out->transact.health = &out->health;
    out->transact.producer = &out->producer;
    out->transact.ledger = &out->ledger;
}

static void wire(struct kafka_output *out)
{
    if (kafka_is_exact(out->settings))
        wire_exact(out);
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
    out->rebuilds = out->link.host->metric(
        out->link.instance, WEIR_COUNTER, "producer_rebuilds",
        "How often the producer was built anew, after a fatal error or with smaller batches", NULL, NULL);
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
    ledger_init(&out->ledger, out->link, out->settings, &out->health);
    rc = check_topics(out);
    if (!rc && kafka_is_exact(out->settings))
        rc = check_exact(out);
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

/* librdkafka has one topic of a name: that of letters may be one of records, whose reports tell of it. So it
 * is made here also for transact_letters.c. */
static int use_letters(struct kafka_output *out)
{
    const char *name = out->settings->dead_letter_topic;
    struct topic *topic = name ? topics_get(&out->topics, name, strlen(name)) : NULL;

    if (name && (!topic || !topic_handle(topic, out->producer.rk)))
        return -ENOMEM;
    return letters_use(&out->letters, out->producer.rk, kafka_is_exact(out->settings) ? NULL : topic);
}

static int go_online(struct kafka_output *out, char *why, size_t why_size)
{
    int rc;

    out->sender.sticky.bytes = atomic_load(&out->producer.batch_size);
    out->sender.sticky.span = out->producer.sticky_ms * 1000000;
    out->topics.sticky = out->producer.sticky_ms > 0;
    rc = producer_connect(&out->producer, why, why_size);
    if (rc)
        return rc;
    rc = use_letters(out);
    if (rc)
        snprintf(why, why_size, "dead letters can't be sent: %s", strerror(-rc));
    return rc;
}

/* With exactly_once load does it: the one that this one follows on may still write. */
static int kafka_start(void *self)
{
    struct kafka_output *out = self;
    char why[512];
    int rc = kafka_is_exact(out->settings) ? 0 : go_online(out, why, sizeof(why));

    if (rc)
        out->link.host->error(out->link.instance, "%s", why);
    return rc;
}

static void go_offline(struct kafka_output *out)
{
    topics_release(&out->topics);
    ledger_release(&out->ledger);
    letters_use(&out->letters, NULL, out->letters.topic);
    producer_end(&out->producer);
}

/* No flight is under way. On an error there is no producer. */
static int rebuild(struct kafka_output *out, long batch_size, char *why, size_t why_size)
{
    int rc;

    go_offline(out);
    rc = producer_make(&out->producer, batch_size, why, why_size);
    if (!rc)
        rc = go_online(out, why, why_size);
    if (rc)
        go_offline(out);
    return rc;
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
    char why[1024];
    bool broken = producer_is_broken(&out->producer, why, sizeof(why));
    long batch = atomic_load(&out->producer.batch_size);
    int rc;

    if (!broken && !atomic_load(&out->shrink))
        return 0;
    if (atomic_load(&out->flights.count) > 0)
        return -EBUSY;
    if (broken && out->producer.rk) /* else it was said, and why it can't be built as well */
        out->link.host->log(
            out->link.instance, WEIR_LOG_WARN,
            "librdkafka can't go on (%s): the producer is built anew, and what was not delivered "
            "is sent again",
            why);
    if (atomic_exchange(&out->shrink, false))
        batch = smaller_batch(out);
    rc = rebuild(out, batch, why, sizeof(why));
    if (rc)
        health_failed(&out->health, why);
    else
        out->link.host->metric_add(out->rebuilds, 1);
    return rc;
}

/* -- Exactly once -- */

static int tell_weir(void *data, const struct weir_kept *kept)
{
    const struct kafka_link *link = data;

    return link->host->kept(link->instance, kept);
}

static int tell_kept(struct kafka_output *out, const struct kept_table *table)
{
    struct ledger *ledger = &out->ledger;
    int r = kept_tell(table, tell_weir, &out->link);

    if (r == -ENOMEM) {
        snprintf(ledger->why, sizeof(ledger->why), "out of memory");
        return -EAGAIN;
    }
    if (r < 0)
        snprintf(ledger->why, sizeof(ledger->why), "positions_topic %s holds positions that make no sense",
                 out->settings->positions_topic);
    return r < 0 ? -EUCLEAN : 0;
}

/* Shuts out who had the id before, and takes over what was committed. The result is ledger_load's. */
static int load_positions(struct kafka_output *out)
{
    struct ledger *ledger = &out->ledger;
    struct kept_table table;
    int r;

    kept_init(&table, ledger->claim.id);
    producer_begun(&out->producer); /* a transaction says who owns the id */
    r = ledger_load(ledger, out->producer.rk, &table);
    if (!r && producer_ended_twice(&out->producer)) {
        snprintf(ledger->why, sizeof(ledger->why), "the end of a transaction had to be asked for again");
        r = -EPIPE;
    }
    if (!r)
        r = tell_kept(out, &table);
    if (!r && transact_use(&out->transact)) {
        snprintf(ledger->why, sizeof(ledger->why), "no thread can be started");
        r = -EAGAIN;
    }
    if (!r)
        out->link.host->log(out->link.instance, WEIR_LOG_INFO,
                            "transactional id %s: %zu positions are in %s (partition %d)", ledger->claim.id,
                            table.count, out->settings->positions_topic, ledger->partition);
    kept_finish(&table);
    return r;
}

/* No flight is under way. A producer, and what was committed. What hinders the former may pass. */
static int begin_anew(struct kafka_output *out, long batch_size, bool doubtful)
{
    int r = 0;

    if (rebuild(out, batch_size, out->ledger.why, sizeof(out->ledger.why)))
        return -EAGAIN;
    if (doubtful)
        r = ledger_is_owner(&out->ledger, out->producer.rk);
    return r ? r : load_positions(out);
}

/* Another weir has the id. To take it back would only begin a fight: this one stays down until it is started
 * again. */
static void stay_down(struct kafka_output *out)
{
    out->shut_out = true;
    out->link.host->log(
        out->link.instance, WEIR_LOG_ERROR,
        "%s. Two with one data_dir or transactional_id? This one sends nothing more until it is "
        "started again",
        out->ledger.why);
    out->link.host->error(out->link.instance, "shut out: %s", out->ledger.why);
}

/* 0; -EAGAIN: not now, after a pause; -ECANCELED; others: never. */
static int try_again(struct kafka_output *out, long batch_size, bool doubtful)
{
    int r = begin_anew(out, batch_size, doubtful);

    if (!r)
        health_delivered(&out->health);
    if (r == -EPIPE || r == -EAGAIN) {
        health_failed(&out->health, out->ledger.why);
        r = out->link.host->wait(out->link.instance, -1, 0, PAUSE_NS) == -ECANCELED ? -ECANCELED : -EAGAIN;
    }
    return r;
}

static int kafka_load(void *self)
{
    struct kafka_output *out = self;
    const struct kafka_link *link = &out->link;
    int r =
        ledger_open(&out->ledger, link->host->data_dir(link->instance), link->host->alias(link->instance));

    out->producer.transactional_id = out->ledger.claim.id;
    while (!r) {
        r = try_again(out, 0, false);
        if (r == -EAGAIN)
            r = 0;
        else if (!r)
            return 0;
    }
    if (r != -ECANCELED)
        link->host->error(link->instance, "%s", out->ledger.why);
    return r;
}

/* What was in flight is back, and comes again after this. */
static void recover(struct kafka_output *out, long batch_size, bool doubtful)
{
    int r = try_again(out, batch_size, doubtful);

    if (!r)
        out->link.host->metric_add(out->rebuilds, 1);
    if (r == -ESTALE)
        stay_down(out);
    else if (r && r != -EAGAIN && r != -ECANCELED)
        out->link.host->fail(out->link.instance, "%s", out->ledger.why);
}

/* Whether chunks may be sent in transactions; if not, it was seen to. */
static bool may_transact(struct kafka_output *out)
{
    char why[512];
    bool doubtful;

    if (out->shut_out) {
        out->link.host->wait(out->link.instance, -1, 0, UINT64_MAX);
        return false;
    }
    if (atomic_load(&out->shrink))
        transact_break(&out->transact, "batches are too large");
    if (!transact_is_broken(&out->transact, why, sizeof(why), &doubtful))
        return true;
    if (atomic_exchange(&out->shrink, false)) {
        recover(out, smaller_batch(out), doubtful);
        return false;
    }
    out->link.host->log(
        out->link.instance, WEIR_LOG_WARN,
        "the producer is built anew (%s): what was committed is read from %s, the rest is sent "
        "again",
        why, out->settings->positions_topic);
    recover(out, atomic_load(&out->producer.batch_size), doubtful);
    return false;
}

/* -- Chunks -- */

static int wait_for_room(struct kafka_output *out, const struct weir_chunk *chunk)
{
    long most = out->producer.most_messages - (long)chunk->records;

    return flights_wait(&out->flights, most > 1 ? most : 1);
}

static int write_exact(struct kafka_output *out, struct weir_chunk *chunk)
{
    struct remainder *rest;
    int result = WEIR_RETRY;

    if (!may_transact(out) || transact_enter(&out->transact, chunk, &rest, &out->sender.repeated))
        return WEIR_RETRY;
    if (!wait_for_room(out, chunk))
        result = send_chunk(&out->sender, out->producer.rk, chunk, rest);
    WEIR_KILL_POINT("kafka-produced");
    transact_leave(&out->transact, result == WEIR_LATER, !out->sender.halted);
    free(rest);
    return result;
}

static int kafka_write(void *self, struct weir_chunk *chunk)
{
    struct kafka_output *out = self;
    struct remainder *remainder;
    int result;

    if (kafka_is_exact(out->settings))
        return write_exact(out, chunk);
    if (make_ready(out) || wait_for_room(out, chunk) || turn_is_ahead(&out->flights.turn, chunk->id))
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

    if (kafka_is_exact(out->settings))
        transact_stop(&out->transact, out->link.host->wait(out->link.instance, -1, 0, 0) == -ECANCELED);
    if (!flights_drain(&out->flights, 0)) {
        letters_cancel(&out->letters);
        producer_purge(&out->producer);
        flights_drain(&out->flights, PURGE_MS);
    }
    letters_stop(&out->letters);
    topics_release(&out->topics);
    ledger_release(&out->ledger);
    producer_end(&out->producer);
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
    .load = kafka_load,
};
