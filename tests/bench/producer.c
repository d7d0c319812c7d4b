/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a producer on librdkafka can do: hands the lines of a file in memory over in batches that
 * are not copied, waits for their delivery reports, and nothing else. What weir is measured against.
 *
 *     producer BROKERS TOPIC FILE callback|event|interceptor [PROPERTY=VALUE…]
 */
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH 256

static atomic_ulong delivered, failed;

static void count(rd_kafka_resp_err_t error)
{
    atomic_fetch_add_explicit(error ? &failed : &delivered, 1, memory_order_relaxed);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk, (void)opaque;
    count(message->err);
}

static rd_kafka_resp_err_t on_acknowledgement(rd_kafka_t *rk, rd_kafka_message_t *message, void *opaque)
{
    (void)rk, (void)opaque;
    count(message->err);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque, char *why,
                                  size_t size)
{
    (void)conf, (void)why, (void)size;
    return rd_kafka_interceptor_add_on_acknowledgement(rk, "bench", on_acknowledgement, opaque);
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "producer: %s: %s\n", what, why);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[512];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        die(name, why);
}

static rd_kafka_t *make(const char *brokers, const char *reports, char **properties, int n)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[512];
    rd_kafka_t *rk;

    set(conf, "bootstrap.servers", brokers);
    for (int i = 0; i < n; i++) {
        char *value = strchr(properties[i], '=');
        if (!value)
            die(properties[i], "NAME=VALUE is expected");
        *value = '\0';
        set(conf, properties[i], value + 1);
    }
    if (!strcmp(reports, "callback"))
        rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    else if (!strcmp(reports, "event"))
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    else if (!strcmp(reports, "interceptor"))
        rd_kafka_conf_interceptor_add_on_new(conf, "bench", on_new, NULL);
    else
        die(reports, "callback, event or interceptor");
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!rk)
        die("rd_kafka_new", why);
    return rk;
}

/* Takes the reports that are there, waiting for the first of them. */
static void serve(rd_kafka_t *rk, rd_kafka_queue_t *queue, int ms)
{
    rd_kafka_event_t *event;
    const rd_kafka_message_t *message;

    if (!queue) {
        rd_kafka_poll(rk, ms);
        return;
    }
    while ((event = rd_kafka_queue_poll(queue, ms))) {
        while ((message = rd_kafka_event_message_next(event)))
            count(message->err);
        rd_kafka_event_destroy(event);
        ms = 0;
    }
}

/* The next lines of the text as messages. */
static int fill(rd_kafka_message_t *messages, char **at, char *end)
{
    int n = 0;

    while (n < BATCH && *at < end) {
        char *newline = memchr(*at, '\n', (size_t)(end - *at));
        char *stop = newline ? newline : end;
        messages[n].payload = *at;
        messages[n].len = (size_t)(stop - *at);
        n++;
        *at = stop + (newline != NULL);
    }
    return n;
}

static unsigned long send_all(rd_kafka_t *rk, rd_kafka_queue_t *queue, rd_kafka_topic_t *topic, char *at,
                              char *end)
{
    static rd_kafka_message_t messages[BATCH];
    unsigned long sent = 0;
    int n;

    while ((n = fill(messages, &at, end)) > 0) {
        int done = 0;
        while (done < n) {
            done += rd_kafka_produce_batch(topic, RD_KAFKA_PARTITION_UA, 0, messages + done, n - done);
            if (done < n && messages[done].err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                die("produce", rd_kafka_err2str(messages[done].err));
            serve(rk, queue, done < n ? 10 : 0);
        }
        sent += (unsigned long)n;
    }
    return sent;
}

int main(int argc, char **argv)
{
    struct stat st;
    int fd = argc > 4 ? open(argv[3], O_RDONLY | O_CLOEXEC) : -1;
    unsigned long sent;

    if (fd < 0 || fstat(fd, &st))
        die("usage", "producer BROKERS TOPIC FILE callback|event|interceptor [PROPERTY=VALUE...]");
    char *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED)
        die(argv[3], "can't be mapped");
    rd_kafka_t *rk = make(argv[1], argv[4], argv + 5, argc - 5);
    rd_kafka_queue_t *queue = !strcmp(argv[4], "event") ? rd_kafka_queue_get_main(rk) : NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, argv[2], NULL);
    sent = send_all(rk, queue, topic, data, data + st.st_size);
    while (atomic_load(&delivered) + atomic_load(&failed) < sent)
        serve(rk, queue, 10);
    if (failed)
        die("delivery", "some messages failed");
    rd_kafka_topic_destroy(topic);
    if (queue)
        rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return 0;
}
