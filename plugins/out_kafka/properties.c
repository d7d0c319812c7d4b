/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librdkafka's properties: weir's defaults first, then the user's. Control or output thread.
 */
#include "properties.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SECRET_MAX  ((size_t)64 * 1024)
#define FILE_SCHEME "file://"
/* Longer than anything waits in librdkafka at a rate that is worth a thread's while. */
#define LINGER_MS 60000L

/* After a crash whoever reads committed messages waits for so long, unless weir comes back before. */
#define TRANSACTION_MS "30000"

struct builder {
    rd_kafka_conf_t *conf;
    char *why;
    size_t why_size;
};

/* -- Secrets -- */

static bool is_from_file(const char *value)
{
    return strncmp(value, FILE_SCHEME "/", sizeof(FILE_SCHEME)) == 0;
}

static bool is_secret(const char *name)
{
    static const char *const words[] = {"password", "secret", "ssl.key", "oauthbearer.config", "jaas"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

static ssize_t read_all(int fd, char *data, size_t capacity)
{
    size_t size = 0;
    ssize_t n;

    while (size < capacity) {
        n = read(fd, data + size, capacity - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        size += (size_t)n;
    }
    return (ssize_t)size;
}

static void forget(char *secret, size_t size)
{
    if (secret)
        explicit_bzero(secret, size);
    free(secret);
}

/* The file's content without the newline at its end, in SECRET_MAX bytes for `forget`. */
static int read_secret(const struct builder *builder, const char *name, const char *path, char **ret)
{
    char *data = calloc(1, SECRET_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? -errno : data ? read_all(fd, data, SECRET_MAX) : -ENOMEM;

    if (fd >= 0)
        close(fd);
    if (size == (ssize_t)SECRET_MAX)
        size = -EFBIG;
    if (size < 0) {
        snprintf(builder->why, builder->why_size, "rdkafka.%s: the file %s can't be read: %s", name, path,
                 strerror((int)-size));
        forget(data, SECRET_MAX);
        return (int)size;
    }
    while (size > 0 && (data[size - 1] == '\n' || data[size - 1] == '\r'))
        data[--size] = '\0';
    *ret = data;
    return 0;
}

/* -- Setting -- */

static int set_text(const struct builder *builder, const char *name, const char *value, bool hidden)
{
    char reason[512];

    if (rd_kafka_conf_set(builder->conf, name, value, reason, sizeof(reason)) == RD_KAFKA_CONF_OK)
        return 0;
    /* librdkafka's reason quotes the value. */
    snprintf(builder->why, builder->why_size, "rdkafka.%s: %s", name,
             hidden ? "librdkafka does not take this value" : reason);
    return -EINVAL;
}

static int set_one(const struct builder *builder, const char *name, const char *value)
{
    char *secret = NULL;
    int rc;

    if (!is_from_file(value))
        return set_text(builder, name, value, is_secret(name));
    rc = read_secret(builder, name, value + strlen(FILE_SCHEME), &secret);
    if (!rc)
        rc = set_text(builder, name, secret, true);
    forget(secret, SECRET_MAX);
    return rc;
}

/* Properties that would take away what this plugin is built on. */
static const char *refusal(const char *name)
{
    static const char *const table[][2] = {
        {"bootstrap.servers", "name the brokers with the option `brokers`"},
        {"metadata.broker.list", "name the brokers with the option `brokers`"},
        {"transactional.id", "use the option `transactional_id`, with `delivery: exactly_once`"},
        {"isolation.level", "weir needs it for itself"},
        {"delivery.report.only.error", "weir waits for the report of every message"},
        {"log.queue", "weir reads librdkafka's log where it is written"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (!strcasecmp(name, table[i][0]))
            return table[i][1];
    return NULL;
}

static const char *find(const struct weir_map *map, const char *name)
{
    const char *found = NULL;

    for (size_t i = 0; i < map->count; i++)
        if (!strcasecmp(map->entries[i].name, name))
            found = map->entries[i].value;
    return found;
}

/* The acknowledgements asked for, by the option or by one of librdkafka's two names. */
static const char *wanted_acks(const struct kafka_settings *settings)
{
    static const char *const names[] = {"all", "all", "1", "0"};
    const char *acks = find(&settings->rdkafka, "acks");

    if (!acks)
        acks = find(&settings->rdkafka, "request.required.acks");
    return acks ? acks : names[settings->acks];
}

static int set_defaults(const struct builder *builder, const struct kafka_settings *settings)
{
    const char *acks = wanted_acks(settings);
    bool all = !strcmp(acks, "all") || !strcmp(acks, "-1"), exact = kafka_is_exact(settings);
    /* The messages in flight are counted by this plugin, which knows how to wait. */
    const char *const pairs[][2] = {
        {"client.id", settings->client_id ? settings->client_id : "weir"},
        {"message.timeout.ms", "0"},
        {"transactional.id", exact ? "weir" : NULL},
        {"transaction.timeout.ms", exact ? TRANSACTION_MS : NULL},
        /* How far the positions go that are there: also behind a transaction that is still open. */
        {"isolation.level", exact ? "read_uncommitted" : NULL},
        {"acks", acks},
        {"enable.idempotence", all ? "true" : "false"},
        {"statistics.interval.ms", "15000"},
        {"queue.buffering.max.messages", "0"},
        /* librdkafka's ten seconds would be added to every outage. */
        {"reconnect.backoff.max.ms", find(&settings->rdkafka, "reconnect.backoff.ms") ? NULL : "2000"},
        {"partitioner", settings->partitioner},
    };
    int rc = 0;

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs) && !rc; i++)
        if (pairs[i][1])
            rc = set_text(builder, pairs[i][0], pairs[i][1], false);
    return rc;
}

static int set_users(const struct builder *builder, const struct weir_map *map)
{
    int rc = 0;

    for (size_t i = 0; i < map->count && !rc; i++) {
        const char *reason = refusal(map->entries[i].name);
        if (reason) {
            snprintf(builder->why, builder->why_size, "rdkafka.%s can't be set here: %s",
                     map->entries[i].name, reason);
            rc = -EINVAL;
        } else {
            rc = set_one(builder, map->entries[i].name, map->entries[i].value);
        }
    }
    return rc;
}

static long number(rd_kafka_conf_t *conf, const char *name, long otherwise)
{
    char text[32];
    size_t size = sizeof(text);

    if (rd_kafka_conf_get(conf, name, text, &size) != RD_KAFKA_CONF_OK)
        return otherwise;
    return strtol(text, NULL, 10);
}

static bool is_any(const char *value, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(value, *words))
            return true;
    return false;
}

/*
 * sticky.c takes over where no message has a key and the partitioner would not make up its mind by one. For
 * librdkafka to ask it, its own stickiness must be off.
 */
static int take_partitions(const struct builder *builder, const struct kafka_settings *settings, long *ret_ms)
{
    static const char *const free_choice[] = {"consistent_random", "murmur2_random", "fnv1a_random", "random",
                                              NULL};
    char name[64];
    size_t size = sizeof(name);

    *ret_ms = 0;
    if (settings->message_key || settings->message_key_field ||
        rd_kafka_conf_get(builder->conf, "partitioner", name, &size) != RD_KAFKA_CONF_OK ||
        !is_any(name, free_choice))
        return 0;
    *ret_ms = number(builder->conf, "sticky.partitioning.linger.ms", 0);
    return *ret_ms ? set_text(builder, "sticky.partitioning.linger.ms", "0", false) : 0;
}

/* pace.c says when batches go that are not full; librdkafka itself is to wait for long. */
static int take_linger(const struct builder *builder, const struct weir_map *map, long *ret_ms)
{
    long timeout = number(builder->conf, "message.timeout.ms", 0);
    char text[32];

    *ret_ms = -1;
    if (find(map, "linger.ms") || find(map, "queue.buffering.max.ms"))
        *ret_ms = number(builder->conf, "linger.ms", 0);
    snprintf(text, sizeof(text), "%ld", timeout && timeout / 2 < LINGER_MS ? timeout / 2 : LINGER_MS);
    return set_text(builder, "linger.ms", text, false);
}

static void read_limits(struct properties *properties)
{
    long batch = number(properties->conf, "batch.size", 1000000);
    long message = number(properties->conf, "message.max.bytes", 1000000);
    long queue = number(properties->conf, "queue.buffering.max.messages", 0);

    properties->propagation_ms = number(properties->conf, "topic.metadata.propagation.max.ms", 30000);
    properties->batch_size = batch < message ? batch : message;
    properties->most_messages = queue > 0 ? queue : 100000;
}

/* A message can't be waited for longer than its transaction. */
static int limit_timeout(const struct builder *builder, const struct kafka_settings *settings)
{
    long transaction = number(builder->conf, "transaction.timeout.ms", 30000);
    long message = number(builder->conf, "message.timeout.ms", 0);
    char text[32], acks[16];
    size_t size = sizeof(acks);

    if (rd_kafka_conf_get(builder->conf, "acks", acks, &size) == RD_KAFKA_CONF_OK &&
        strcmp(acks, "-1") != 0) {
        snprintf(builder->why, builder->why_size, "delivery: exactly_once needs acks: all");
        return -EINVAL;
    }
    if (settings->transaction_interval / 1000000 * 2 > (uint64_t)transaction) {
        snprintf(
            builder->why, builder->why_size,
            "transaction_interval is more than half of rdkafka.transaction.timeout.ms (%ld), at which brokers "
            "abort",
            transaction);
        return -EINVAL;
    }
    if (message > 0 && message <= transaction)
        return 0;
    snprintf(text, sizeof(text), "%ld", transaction);
    return set_text(builder, "message.timeout.ms", text, false);
}

int properties_make(const struct kafka_settings *settings, long batch_size, struct properties *ret, char *why,
                    size_t why_size)
{
    struct builder builder = {rd_kafka_conf_new(), why, why_size};
    char text[32];
    int rc = set_defaults(&builder, settings);

    if (!rc)
        rc = set_users(&builder, &settings->rdkafka);
    if (!rc && kafka_is_exact(settings))
        rc = limit_timeout(&builder, settings);
    if (!rc && batch_size) {
        snprintf(text, sizeof(text), "%ld", batch_size);
        rc = set_text(&builder, "batch.size", text, false);
    }
    if (!rc)
        rc = take_linger(&builder, &settings->rdkafka, &ret->linger_ms);
    if (!rc)
        rc = take_partitions(&builder, settings, &ret->sticky_ms);
    if (rc) {
        rd_kafka_conf_destroy(builder.conf);
        return rc;
    }
    ret->conf = builder.conf;
    read_limits(ret);
    return 0;
}

/* -- Reading -- */

rd_kafka_conf_t *properties_make_reader(const struct kafka_settings *settings, char *why, size_t why_size)
{
    struct builder builder = {rd_kafka_conf_new(), why, why_size};
    const char *const pairs[][2] = {
        {"client.id", settings->client_id ? settings->client_id : "weir"},
        {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},
        {"fetch.wait.max.ms", "50"},
    };
    int rc = set_users(&builder, &settings->rdkafka);

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs) && !rc; i++)
        rc = set_text(&builder, pairs[i][0], pairs[i][1], false);
    if (!rc)
        return builder.conf;
    rd_kafka_conf_destroy(builder.conf);
    return NULL;
}

/* -- Brokers -- */

/* [protocol://]host[:port], where an IPv6 address stands in brackets. */
static const char *check_broker(const char *broker)
{
    const char *host = strstr(broker, "://"), *port;
    char *end;
    long n;

    host = host ? host + 3 : broker;
    if (!*host || strpbrk(host, " \t/"))
        return "is no address: host:port is expected";
    port = *host == '[' ? strchr(host, ']') : strchr(host, ':');
    if (*host == '[' && !port)
        return "begins an IPv6 address with '[', but does not end it with ']'";
    if (port && *port == ']')
        port++;
    if (!port || !*port)
        return NULL;
    n = strtol(port + 1, &end, 10);
    if (*port != ':' || port == host || end == port + 1 || *end || n < 1 || n > 65535)
        return "has no port from 1 to 65535 behind its last colon";
    return NULL;
}

char *properties_brokers(const struct kafka_settings *settings, char *why, size_t why_size)
{
    size_t size = 1;
    char *text, *at;

    for (size_t i = 0; i < settings->brokers.count; i++) {
        const char *wrong = check_broker(settings->brokers.items[i]);
        if (wrong) {
            snprintf(why, why_size, "brokers: '%s' %s", settings->brokers.items[i], wrong);
            return NULL;
        }
        size += strlen(settings->brokers.items[i]) + 1;
    }
    if (settings->brokers.count == 0) {
        snprintf(why, why_size, "brokers: at least one host:port is needed");
        return NULL;
    }
    at = text = calloc(1, size);
    for (size_t i = 0; text && i < settings->brokers.count; i++)
        at += sprintf(at, "%s%s", i ? "," : "", settings->brokers.items[i]);
    if (!text)
        snprintf(why, why_size, "out of memory");
    return text;
}
