/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a line takes from the end of the write that appends it to a file until it is read where it came
 * out: latency RATE COUNT FILE                   from standard input latency RATE COUNT FILE BROKERS TOPIC
 * from Kafka, partition 0 of the topic, from its end on One thread appends COUNT lines of 100 bytes, RATE a
 * second, each with its time; another reads. It writes the microseconds of each line, one a row, to standard
 * output. A line missed or out of order ends it with status 2.
 */
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WIDTH    100
#define PATIENCE 30 /* seconds without a line */

struct job {
    long rate, count, seen;
    int fd;
    int64_t *taken; /* nanoseconds */
};

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "latency: %s: %s\n", what, why);
    exit(2);
}

static void sleep_until(int64_t due)
{
    struct timespec t = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
        ;
}

static void *append(void *opaque)
{
    struct job *job = opaque;
    int64_t begin = now();
    char line[WIDTH + 64]; /* a number may be longer than thought */

    for (long i = 0; i < job->count; i++) {
        sleep_until(begin + i * 1000000000 / job->rate);
        snprintf(line, sizeof(line), "%010ld %020lld %066d", i, (long long)now(), 0);
        line[WIDTH - 1] = '\n';
        if (write(job->fd, line, WIDTH) != WIDTH)
            die("append", "not written");
    }
    return NULL;
}

/* A line without its newline. */
static void take(struct job *job, const char *line, size_t size)
{
    if (size != WIDTH - 1 || atol(line) != job->seen)
        die("a line", "is missing, or came out of order or damaged");
    job->taken[job->seen++] = now() - atoll(line + 11);
}

static void read_input(struct job *job)
{
    static char block[WIDTH * 10000];
    size_t held = 0;

    while (job->seen < job->count) {
        ssize_t n = read(STDIN_FILENO, block + held, sizeof(block) - held);
        size_t at = 0;
        if (n <= 0)
            die("standard input", "it ended before the last line");
        held += (size_t)n;
        for (; held - at >= WIDTH; at += WIDTH)
            take(job, block + at, WIDTH - 1);
        held -= at;
        memmove(block, block + at, held);
    }
}

static rd_kafka_t *open_consumer(const char *brokers, const char *topic, rd_kafka_topic_t **ret_topic)
{
    static const char *const settings[][2] = {{"fetch.wait.max.ms", "1000"},
                                              {"fetch.error.backoff.ms", "10"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[512];
    rd_kafka_t *rk;

    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        die(brokers, why);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof(why)) != RD_KAFKA_CONF_OK)
            die(settings[i][0], why);
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (!rk)
        die("rd_kafka_new", why);
    *ret_topic = rd_kafka_topic_new(rk, topic, NULL);
    if (rd_kafka_consume_start(*ret_topic, 0, RD_KAFKA_OFFSET_BEGINNING))
        die(topic, "can't be consumed");
    return rk;
}

static void read_kafka(struct job *job, rd_kafka_topic_t *topic)
{
    int64_t last = now();

    while (job->seen < job->count) {
        rd_kafka_message_t *message = rd_kafka_consume(topic, 0, 1000);
        if (message && !message->err) {
            take(job, message->payload, message->len);
            last = now();
        } else if (now() - last > PATIENCE * 1000000000LL) {
            die("Kafka", message ? rd_kafka_message_errstr(message) : "no line came");
        }
        if (message)
            rd_kafka_message_destroy(message);
    }
}

int main(int argc, char **argv)
{
    struct job job = {.rate = argc > 3 ? atol(argv[1]) : 0, .count = argc > 3 ? atol(argv[2]) : 0};
    rd_kafka_topic_t *topic = NULL;
    rd_kafka_t *rk = NULL;
    pthread_t writer;

    if (job.rate < 1 || job.count < 1 || (argc != 4 && argc != 6))
        die("usage", "latency RATE COUNT FILE [BROKERS TOPIC]");
    job.fd = open(argv[3], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    job.taken = calloc((size_t)job.count, sizeof(*job.taken));
    if (job.fd < 0 || !job.taken)
        die(argv[3], "can't be opened, or no memory");
    if (argc == 6)
        rk = open_consumer(argv[4], argv[5], &topic);
    if (pthread_create(&writer, NULL, append, &job))
        die("thread", "not started");
    if (topic)
        read_kafka(&job, topic);
    else
        read_input(&job);
    pthread_join(writer, NULL);
    for (long i = 0; i < job.count; i++)
        printf("%lld.%03lld\n", (long long)job.taken[i] / 1000, (long long)job.taken[i] % 1000);
    if (topic) {
        rd_kafka_consume_stop(topic, 0);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(rk);
    }
    free(job.taken);
    return 0;
}
