/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of out_kafka share: a host that retries as weir does, a mock cluster of librdkafka's,
 * chunks, and reading back what arrived.
 */
#ifndef KAFKA_FIXTURE_H
#define KAFKA_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

#define MOST_CHUNKS 200
#define MOST_SETS   16

struct setting {
    const char *name, *value;
};

struct weir_metric {
    const char *name;
    char label[64];
    uint64_t value;
};

struct weir_instance {
    void *self;
    uint64_t config[64];
    struct weir_map_entry entries[4][MOST_SETS];
    const char *items[MOST_SETS];
    int cancel; /* eventfd */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct weir_chunk chunks[MOST_CHUNKS];
    int state[MOST_CHUNKS];         /* of enum chunk_state */
    unsigned finished[MOST_CHUNKS]; /* how often */
    unsigned chunk_count;
    char error[1024];
    char log[65536];
    unsigned rejects, kept; /* calls; with bytes */
    uint32_t rejected;
    char reason[512];
    bool stopped;
    struct weir_metric metrics[256];
    unsigned metric_count;
};

enum chunk_state { CHUNK_NEW, CHUNK_FLYING, CHUNK_AGAIN, CHUNK_DELIVERED };

static inline struct timespec deadline(int seconds)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec += seconds;
    return ts;
}

static inline int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* -- The host -- */

static inline void host_log(struct weir_instance *in, enum weir_log_level level, const char *format, ...)
{
    char line[2048];
    va_list args;

    if (level > WEIR_LOG_INFO)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    pthread_mutex_lock(&in->lock);
    strncat(in->log, line, sizeof(in->log) - strlen(in->log) - 1);
    strncat(in->log, "\n", sizeof(in->log) - strlen(in->log) - 1);
    pthread_cond_broadcast(&in->changed);
    pthread_mutex_unlock(&in->lock);
}

static inline void host_error(struct weir_instance *in, const char *format, ...)
{
    va_list args;

    pthread_mutex_lock(&in->lock);
    in->error[0] = '\0';
    if (format) {
        va_start(args, format);
        vsnprintf(in->error, sizeof(in->error), format, args);
        va_end(args);
    }
    pthread_mutex_unlock(&in->lock);
}

static inline struct weir_metric *host_metric(struct weir_instance *in, enum weir_metric_kind kind,
                                              const char *name, const char *help, const char *label,
                                              const char *value)
{
    struct weir_metric *metric;

    (void)kind, (void)help, (void)label;
    pthread_mutex_lock(&in->lock);
    ck_assert_uint_lt(in->metric_count, 256);
    metric = &in->metrics[in->metric_count++];
    metric->name = name;
    snprintf(metric->label, sizeof(metric->label), "%s", value ? value : "");
    pthread_mutex_unlock(&in->lock);
    return metric;
}

static inline void host_metric_add(struct weir_metric *metric, uint64_t n)
{
    __atomic_add_fetch(&metric->value, n, __ATOMIC_RELAXED);
}

static inline void host_metric_set(struct weir_metric *metric, int64_t n)
{
    __atomic_store_n(&metric->value, (uint64_t)n, __ATOMIC_RELAXED);
}

static inline void host_reject(struct weir_instance *in, struct weir_chunk *chunk, const void *records,
                               size_t size, uint32_t count, const char *reason)
{
    ck_assert_uint_ge(chunk->records, count);
    ck_assert(!records || ((const uint8_t *)records >= chunk->data && size <= chunk->size));
    pthread_mutex_lock(&in->lock);
    in->rejects++;
    in->kept += records != NULL;
    in->rejected += count;
    snprintf(in->reason, sizeof(in->reason), "%s", reason);
    pthread_mutex_unlock(&in->lock);
}

static inline void host_finish(struct weir_instance *in, struct weir_chunk *chunk, enum weir_result result)
{
    unsigned i = (unsigned)(chunk - in->chunks);

    pthread_mutex_lock(&in->lock);
    ck_assert_int_eq(in->state[i], CHUNK_FLYING);
    ck_assert(result == WEIR_DELIVERED || result == WEIR_RETRY);
    in->state[i] = result == WEIR_RETRY ? CHUNK_AGAIN : CHUNK_DELIVERED;
    in->finished[i]++;
    pthread_cond_broadcast(&in->changed);
    pthread_mutex_unlock(&in->lock);
}

static inline int host_wait(struct weir_instance *in, int fd, short events, uint64_t timeout)
{
    struct pollfd items[2] = {{in->cancel, POLLIN, 0}, {fd, events, 0}};
    int n = poll(items, fd < 0 ? 1 : 2, timeout == UINT64_MAX ? 30000 : (int)(timeout / 1000000));

    if (items[0].revents)
        return -ECANCELED;
    ck_assert_msg(n > 0 || timeout != UINT64_MAX, "waited for ever");
    return n > 0 ? 0 : -ETIMEDOUT;
}

static inline void host_stopped(struct weir_instance *in)
{
    pthread_mutex_lock(&in->lock);
    in->stopped = true;
    pthread_mutex_unlock(&in->lock);
}

static const struct weir_host host = {
    .struct_size = sizeof(host),
    .abi_version = WEIR_ABI_VERSION,
    .version = WEIR_VERSION,
    .log = host_log,
    .error = host_error,
    .metric = host_metric,
    .metric_add = host_metric_add,
    .metric_set = host_metric_set,
    .reject = host_reject,
    .finish = host_finish,
    .wait = host_wait,
    .stopped = host_stopped,
};

/* -- Configuration -- */

static inline const char *value_of(const struct setting *settings, const char *name, const char *otherwise)
{
    for (; settings && settings->name; settings++)
        if (strcmp(settings->name, name) == 0)
            return settings->value;
    return otherwise;
}

static inline struct weir_map map_of(struct weir_map_entry *entries, const struct setting *settings,
                                     const char *name)
{
    size_t length = strlen(name), count = 0;

    for (; settings && settings->name; settings++) {
        if (strncmp(settings->name, name, length) != 0 || settings->name[length] != '.')
            continue;
        ck_assert_uint_lt(count, MOST_SETS);
        entries[count++] = (struct weir_map_entry){settings->name + length + 1, settings->value};
    }
    return (struct weir_map){entries, count};
}

static inline void configure(struct weir_instance *in, const struct setting *settings, const char *brokers)
{
    const struct weir_plugin *plugin = &weir_plugin_descriptor;
    unsigned maps = 0;

    ck_assert_uint_le(plugin->config_size, sizeof(in->config));
    for (const struct weir_option *o = plugin->options; o->name; o++) {
        void *at = (char *)in->config + o->offset;
        const char *text = value_of(settings, o->name, o->def);
        if (o->type == WEIR_OPTION_STRING) {
            memcpy(at, &text, sizeof(text));
        } else if (o->type == WEIR_OPTION_LIST) {
            in->items[0] = value_of(settings, o->name, brokers);
            struct weir_list list = {in->items, 1};
            memcpy(at, &list, sizeof(list));
        } else if (o->type == WEIR_OPTION_MAP) {
            struct weir_map map = map_of(in->entries[maps++], settings, o->name);
            memcpy(at, &map, sizeof(map));
        } else if (o->type == WEIR_OPTION_CHOICE) {
            int index = 0;
            while (o->choices[index] && strcmp(o->choices[index], text) != 0)
                index++;
            ck_assert_ptr_nonnull(o->choices[index]);
            memcpy(at, &index, sizeof(index));
        } else {
            ck_assert_int_eq(o->type, WEIR_OPTION_IGNORED);
        }
    }
}

static inline struct weir_instance *instance_new(const struct setting *settings, const char *brokers)
{
    struct weir_instance *in = calloc(1, sizeof(*in));

    ck_assert_ptr_nonnull(in);
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->changed, NULL);
    in->cancel = eventfd(0, EFD_CLOEXEC);
    configure(in, settings, brokers);
    return in;
}

static inline void free_chunks(struct weir_instance *in)
{
    for (unsigned i = 0; i < in->chunk_count; i++)
        free((void *)(uintptr_t)in->chunks[i].data);
}

static inline void instance_free(struct weir_instance *in)
{
    free_chunks(in);
    close(in->cancel);
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->changed);
    free(in);
}

static inline struct weir_instance *begin(const struct setting *settings, const char *brokers)
{
    struct weir_instance *in = instance_new(settings, brokers);

    ck_assert_msg(weir_plugin_descriptor.create(&host, in, in->config, &in->self) == 0, "%s", in->error);
    ck_assert_msg(weir_plugin_descriptor.start(in->self) == 0, "%s", in->error);
    return in;
}

static inline void end(struct weir_instance *in)
{
    weir_plugin_descriptor.stop(in->self);
    ck_assert(in->stopped);
    for (unsigned i = 0; i < in->chunk_count; i++)
        ck_assert_int_ne(in->state[i], CHUNK_FLYING);
    weir_plugin_descriptor.destroy(in->self);
    instance_free(in);
}

/* As weir on a second signal. */
static inline void cancel(struct weir_instance *in)
{
    uint64_t one = 1;

    ck_assert_int_eq(write(in->cancel, &one, sizeof(one)), sizeof(one));
}

static inline unsigned logged(struct weir_instance *in, const char *text)
{
    unsigned n = 0;

    pthread_mutex_lock(&in->lock);
    for (const char *at = in->log; (at = strstr(at, text)); at++)
        n++;
    pthread_mutex_unlock(&in->lock);
    return n;
}

/* -- Chunks -- */

/* Records of one field `log`, "PREFIX first" … in a chunk of their own; returns its number. */
static inline unsigned add_lines(struct weir_instance *in, const char *topic, unsigned first, unsigned count,
                                 size_t length)
{
    uint8_t *data = malloc((size_t)count * (length + 64) + 1), *p = data;
    char *line = malloc(length + 32);
    unsigned i = in->chunk_count++;

    ck_assert_uint_lt(i, MOST_CHUNKS);
    for (unsigned n = first; n < first + count; n++) {
        int size = sprintf(line, "%u", n);
        while ((size_t)size < length)
            line[size++] = '.';
        p = weir_put_record(p, 1700000000, 123456789, 1);
        p = weir_put_str(p, "log", 3);
        p = weir_put_str(p, line, (uint32_t)size);
    }
    free(line);
    in->chunks[i] = (struct weir_chunk){.struct_size = sizeof(struct weir_chunk),
                                        .records = count,
                                        .data = data,
                                        .size = (size_t)(p - data),
                                        .tag = "a tag",
                                        .topic = topic,
                                        .input = "i",
                                        .id = i + 1};
    return i;
}

/* A chunk of the given bytes. */
static inline unsigned add_bytes(struct weir_instance *in, const char *topic, const void *bytes, size_t size,
                                 uint32_t records)
{
    unsigned i = add_lines(in, topic, 0, 0, 0);
    uint8_t *data = malloc(size);

    memcpy(data, bytes, size);
    free((void *)(uintptr_t)in->chunks[i].data);
    in->chunks[i].data = data;
    in->chunks[i].size = size;
    in->chunks[i].records = records;
    return i;
}

static inline void write_chunk(struct weir_instance *in, unsigned i)
{
    int result;

    pthread_mutex_lock(&in->lock);
    in->state[i] = CHUNK_FLYING;
    pthread_mutex_unlock(&in->lock);
    result = weir_plugin_descriptor.write(in->self, &in->chunks[i]);
    if (result != WEIR_LATER)
        host_finish(in, &in->chunks[i], (enum weir_result)result);
}

static inline bool any_in_state(const struct weir_instance *in, int state)
{
    for (unsigned i = 0; i < in->chunk_count; i++)
        if (in->state[i] == state)
            return true;
    return false;
}

/* Waits until nothing is in flight. Whether that came. */
static inline bool wait_landed(struct weir_instance *in, int seconds)
{
    struct timespec end_of_time = deadline(seconds);
    int rc = 0;

    pthread_mutex_lock(&in->lock);
    while (rc == 0 && any_in_state(in, CHUNK_FLYING))
        rc = pthread_cond_timedwait(&in->changed, &in->lock, &end_of_time);
    pthread_mutex_unlock(&in->lock);
    return rc == 0;
}

/* The oldest chunk in that state; -1: none. */
static inline int oldest(struct weir_instance *in, int state)
{
    int found = -1;

    pthread_mutex_lock(&in->lock);
    for (unsigned i = 0; i < in->chunk_count && found < 0; i++)
        if (in->state[i] == state)
            found = (int)i;
    pthread_mutex_unlock(&in->lock);
    return found;
}

/* Writes every chunk until all are delivered; as weir does, those to be written again alone, and before
 * others. */
static inline void deliver(struct weir_instance *in)
{
    struct timespec pause = {0, 20000000}; /* weir's is longer */
    int64_t until = now_ms() + 40000;
    int i;

    while (now_ms() < until) {
        while (oldest(in, CHUNK_AGAIN) < 0 && (i = oldest(in, CHUNK_NEW)) >= 0)
            write_chunk(in, (unsigned)i);
        ck_assert_msg(wait_landed(in, 40), "reports are missing; log:\n%s", in->log);
        i = oldest(in, CHUNK_AGAIN);
        if (i < 0)
            return;
        nanosleep(&pause, NULL);
        write_chunk(in, (unsigned)i);
        ck_assert_msg(wait_landed(in, 40), "reports are missing; log:\n%s", in->log);
    }
    ck_abort_msg("not delivered in time; log:\n%s", in->log);
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
    int64_t low, high, until = now_ms() + 20000;
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
    ck_assert_int_eq(rd_kafka_query_watermark_offsets(rk, name, 0, &low, &high, 10000), 0);
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
