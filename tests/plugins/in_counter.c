/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_counter: the records {"log":"0"}, {"log":"1"}, … up to `count`, then it has ended. Its position is the
 * number of the next one, in the stream "counter": after a restart it goes on where every output had it. All
 * on the loop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

/* A test changes it in the built file; one that begins with "vbad" can't start. */
static const volatile char version[] = "version-of-this-input:v0000";

/* A record with its one key and a number of up to 20 digits. */
#define RECORD_ROOM (WEIR_MAX_RECORD + WEIR_MAX_STR + 3 + WEIR_MAX_STR + 20)
#define SECOND      1000000000u

struct counter_config {
    int64_t count;
    int64_t batch;
    uint64_t interval;
    bool broken;
    const char *needs;
};

struct counter {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct counter_config *config;
    struct weir_stream *stream;
    struct weir_timer *timer;
    uint64_t next;
    bool posted; /* counter_posted is under way */
    bool ended;  /* host->ended was called */
    bool stopped;
};

static int counter_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                          void **ret_self)
{
    struct counter *counter = calloc(1, sizeof(*counter));

    if (!counter) {
        host->error(instance, "out of memory");
        return -ENOMEM;
    }
    counter->host = host;
    counter->instance = instance;
    counter->config = config;
    *ret_self = counter;
    return 0;
}

static uint8_t *put_number(uint8_t *p, uint64_t number)
{
    struct timespec now;
    char text[24];

    clock_gettime(CLOCK_REALTIME, &now);
    p = weir_put_record(p, (uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, 1);
    p = weir_put_str(p, "log", 3);
    return weir_put_str(p, text, (uint32_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)number));
}

/* Sends one chunk. 0, or what chunk_begin said. */
static int send_batch(struct counter *counter)
{
    uint64_t left = (uint64_t)counter->config->count - counter->next;
    uint64_t batch = left < (uint64_t)counter->config->batch ? left : (uint64_t)counter->config->batch;
    struct weir_position position = {counter->stream, counter->next + batch, 0};
    struct weir_draft *draft;
    int rc = counter->host->chunk_begin(counter->instance, NULL, NULL, batch * RECORD_ROOM, &draft);

    if (rc)
        return rc;
    while (counter->next < position.offset) {
        draft->size = (size_t)(put_number(draft->data + draft->size, counter->next++) - draft->data);
        draft->records++;
    }
    counter->host->chunk_send(draft, &position, 1);
    return 0;
}

static void counter_step(struct counter *counter);

static void counter_posted(void *data)
{
    struct counter *counter = data;

    counter->posted = false;
    counter_step(counter);
}

static void counter_tick(void *data)
{
    counter_step(data);
}

/* The next step after the interval, or as soon as others of the loop had theirs. */
static void schedule(struct counter *counter, uint64_t after)
{
    if (!after && counter->posted)
        return;
    if (!after && counter->host->post(counter->host->loop(counter->instance), counter_posted, counter) == 0)
        counter->posted = true;
    else
        counter->host->timer_set(counter->timer, after ? after : SECOND / 100, 0);
}

static void counter_step(struct counter *counter)
{
    int rc;

    if (counter->stopped || counter->ended)
        return;
    if (counter->next >= (uint64_t)counter->config->count) {
        counter->ended = true;
        counter->host->ended(counter->instance);
        return;
    }
    rc = send_batch(counter);
    if (rc == -EAGAIN)
        return; /* counter_resume goes on */
    schedule(counter, rc ? SECOND : counter->config->interval);
}

/* May come at any time, so it keeps the interval by leaving a running timer alone. */
static void counter_resume(void *self)
{
    struct counter *counter = self;

    schedule(counter, counter->config->interval);
}

static int counter_start(void *self)
{
    struct counter *counter = self;
    struct weir_stream_state state = {.struct_size = sizeof(state)};

    if (counter->config->broken || version[sizeof("version-of-this-input:v") - 1] == 'b') {
        counter->host->error(counter->instance, "it is broken");
        return -EIO;
    }
    if (counter->config->needs && access(counter->config->needs, F_OK) < 0) {
        counter->host->error(counter->instance, "%s is not there", counter->config->needs);
        return -ENOENT;
    }
    counter->stream = counter->host->stream_open(counter->instance, "counter");
    counter->timer = counter->host->timer_add(counter->host->loop(counter->instance), counter_tick, counter);
    if (!counter->stream || !counter->timer) {
        if (counter->stream)
            counter->host->stream_close(counter->stream);
        if (counter->timer)
            counter->host->timer_remove(counter->timer);
        counter->host->error(counter->instance, "out of memory");
        return -ENOMEM;
    }
    counter->host->stream_state(counter->stream, &state);
    if (state.known)
        counter->next = state.offset;
    schedule(counter, 0);
    return 0;
}

static void counter_stop(void *self)
{
    struct counter *counter = self;

    counter->stopped = true; /* what is posted still comes */
    counter->host->timer_remove(counter->timer);
    counter->host->stream_close(counter->stream);
    counter->host->stopped(counter->instance);
}

static void counter_destroy(void *self)
{
    free(self);
}

static const struct weir_option counter_options[] = {
    {.name = "count",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct counter_config, count),
     .def = "1000",
     .min = 0,
     .max = INT64_MAX,
     .help = "how many records there are in all"},
    {.name = "batch",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct counter_config, batch),
     .def = "100",
     .min = 1,
     .max = 10000,
     .help = "records in a chunk"},
    {.name = "interval",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct counter_config, interval),
     .def = "0",
     .help = "the time between two chunks; 0: as fast as they are taken"},
    {.name = "broken",
     .type = WEIR_OPTION_BOOL,
     .offset = offsetof(struct counter_config, broken),
     .help = "it can't start"},
    {.name = "needs",
     .type = WEIR_OPTION_PATH,
     .offset = offsetof(struct counter_config, needs),
     .help = "it can't start while this file is not there"},
    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "counter",
    .version = "1.0",
    .summary = "a test input that counts",
    .options = counter_options,
    .config_size = sizeof(struct counter_config),
    .create = counter_create,
    .start = counter_start,
    .resume = counter_resume,
    .stop = counter_stop,
    .destroy = counter_destroy,
};
