/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topic of positions, read up to the high watermark that it had at first, with a consumer of committed
 * messages. Output thread; it waits for as long as it takes, unless it is cancelled.
 */
#include <errno.h>
#include <stdlib.h>
#include "clock.h"
#include "ledger_private.h"
#include "properties.h"

/* So long nothing comes before it is said. */
static const int64_t STUCK = 2000000000;

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
        ledger_fail(ledger, -EINVAL, "positions_topic can't be read: %s", why);
    return reader;
}

static int unreadable(struct ledger *ledger, const rd_kafka_message_t *message)
{
    const char *name = ledger->settings->positions_topic;

    switch (message->err) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return ledger_fail(ledger, -EACCES, "positions_topic %s can't be read: %s", name,
                           rd_kafka_err2str(message->err));
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
        return ledger_fail(ledger, -EUCLEAN,
                           "positions_topic %s is damaged in partition %d at offset %lld: %s", name,
                           ledger->partition, (long long)message->offset, rd_kafka_err2str(message->err));
    default:
        return ledger_fail(ledger, -EAGAIN, "positions_topic %s can't be read now: %s", name,
                           rd_kafka_err2str(message->err));
    }
}

static int take(struct ledger *ledger, struct kept_table *table, const rd_kafka_message_t *message)
{
    struct kept_message text = {message->key, message->payload, message->key_len, message->len};
    int r = text.key ? kept_take(table, &text) : 0;

    if (r == -ENOTSUP)
        return ledger_fail(
            ledger, r,
            "positions_topic %s holds positions of this host in a newer format (partition %d, offset %lld): "
            "run the weir that wrote them, or a newer one",
            ledger->settings->positions_topic, ledger->partition, (long long)message->offset);
    if (r == -EUCLEAN)
        return ledger_fail(
            ledger, r,
            "positions_topic %s holds what weir did not write under the key of this host (partition %d, "
            "offset %lld)",
            ledger->settings->positions_topic, ledger->partition, (long long)message->offset);
    return r ? ledger_fail(ledger, -EAGAIN, "no memory for positions") : 0;
}

/* Nothing can be read where the reader stands, though there is something. */
static void say_stuck(struct ledger *ledger, int64_t at, int64_t end)
{
    ledger_fail(
        ledger, -EAGAIN,
        "positions_topic %s can't be read beyond offset %lld of %lld in partition %d: another producer's "
        "transaction is open there, or its broker does not answer",
        ledger->settings->positions_topic, (long long)at, (long long)end, ledger->partition);
    health_failed(ledger->health, ledger->why);
}

/* A message, or that there is none: *at moves on. */
static int take_message(struct ledger *ledger, struct kept_table *table, const rd_kafka_message_t *message,
                        int64_t *at)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        *at = message->offset;
        return 0;
    }
    if (message->err)
        return unreadable(ledger, message);
    *at = message->offset + 1;
    return take(ledger, table, message);
}

/*
 * Reads until the reader stands at `end`, for as long as it takes: committed messages end where another
 * producer's transaction is open, and our positions may be behind that.
 */
static int read_to(struct ledger *ledger, rd_kafka_topic_t *topic, int64_t end, struct kept_table *table)
{
    int64_t moved = clock_ns();
    int r = 0;

    for (int64_t at = 0, before = 0; !r && at < end; before = at) {
        rd_kafka_message_t *message = rd_kafka_consume(topic, ledger->partition, LEDGER_SLICE_MS);
        r = ledger_is_cancelled(ledger) ? -ECANCELED : 0;
        if (message && !r)
            r = take_message(ledger, table, message, &at);
        if (message)
            rd_kafka_message_destroy(message);
        if (at != before)
            moved = clock_ns();
        else if (clock_ns() - moved >= STUCK)
            say_stuck(ledger, at, end);
    }
    return r;
}

int ledger_read(struct ledger *ledger, rd_kafka_t *rk, struct kept_table *table)
{
    const char *name = ledger->settings->positions_topic;
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(rk, name, ledger->partition, &low, &high, LEDGER_SLICE_MS * 4);
    int r;

    if (error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        return ledger_fail(ledger, -EACCES, "positions_topic %s can't be read: %s", name,
                           rd_kafka_err2str(error));
    if (error)
        return ledger_fail(ledger, -EAGAIN, "positions_topic %s can't be read now: %s", name,
                           rd_kafka_err2str(error));
    if (low >= high)
        return 0;
    rd_kafka_t *reader = make_reader(ledger);
    rd_kafka_topic_t *topic = reader ? rd_kafka_topic_new(reader, name, NULL) : NULL;
    r = topic ? 0 : -EINVAL;
    if (topic && rd_kafka_consume_start(topic, ledger->partition, RD_KAFKA_OFFSET_BEGINNING))
        r = ledger_fail(ledger, -EAGAIN, "positions_topic %s can't be read: %s", name,
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
