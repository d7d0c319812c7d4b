/* SPDX-License-Identifier: 0BSD */
/*
 * in_sequence: the numbers from 1 on, as {"log": "17", "number": 17}. Its position is the last number that
 * was sent: weir keeps it once every output has that record, so after a stop, a crash or a reload it goes on
 * where it is sure to have been delivered. All on the loop; no lock.
 *
 * It sends `batch` numbers each `interval`; with interval 0 as fast as they are taken, a slice at a time, and
 * posts itself the rest, so that the other inputs of the loop have their turn.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <weir/event.h>
#include <weir/plugin.h>

#define RECORD_ROOM (WEIR_MAX_RECORD + 2 * WEIR_MAX_STR + 3 + 20 + WEIR_MAX_STR + 6 + WEIR_MAX_INT)

struct sequence_config {
    int64_t count; /* 0: no end */
    int64_t batch;
    uint64_t interval;
};

struct sequence {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct sequence_config *config;
    struct weir_stream *stream;
    struct weir_timer *timer;
    struct weir_metric *last;
    uint64_t sent;
    int posted, over; /* a call is under way; nothing more is to be sent */
};

static int sequence_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                           void **ret_self)
{
    struct sequence *s = calloc(1, sizeof(*s));

    if (!s) {
        host->error(instance, "no memory");
        return -ENOMEM;
    }
    s->host = host;
    s->instance = instance;
    s->config = config;
    s->last = host->metric(instance, WEIR_GAUGE, "last", "The last number that was sent.", NULL, NULL);
    *ret_self = s;
    return 0;
}

static uint8_t *put_record(uint8_t *p, const struct timespec *now, uint64_t number)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);

    p = weir_put_record(p, (uint32_t)now->tv_sec, (uint32_t)now->tv_nsec, 2);
    p = weir_put_str(p, "log", 3);
    p = weir_put_str(p, text, (uint32_t)length);
    p = weir_put_str(p, "number", 6);
    return weir_put_uint(p, number);
}

static uint64_t left(const struct sequence *s)
{
    uint64_t batch = (uint64_t)s->config->batch, count = (uint64_t)s->config->count;

    return count && count - s->sent < batch ? count - s->sent : batch;
}

/* One chunk with one position, for all of it: the last. 0, -EAGAIN: an output is full, -ENOMEM. */
static int send_batch(struct sequence *s)
{
    uint64_t batch = left(s);
    struct weir_draft *draft;
    struct timespec now;
    int r = s->host->chunk_begin(s->instance, NULL, NULL, batch * RECORD_ROOM, &draft);

    if (r < 0)
        return r;
    clock_gettime(CLOCK_REALTIME, &now);
    uint8_t *p = draft->data;
    for (; draft->records < batch; draft->records++)
        p = put_record(p, &now, ++s->sent);
    draft->size = (size_t)(p - draft->data);
    struct weir_position position = {s->stream, s->sent, 0};
    s->host->chunk_send(draft, &position, 1);
    s->host->metric_set(s->last, (int64_t)s->sent);
    return 0;
}

static void step(void *data);

static void posted(void *data)
{
    struct sequence *s = data;

    s->posted = 0;
    step(s);
}

/* The next step: after the interval, or when the others had their turn. */
static void schedule(struct sequence *s)
{
    if (s->config->interval)
        s->host->timer_set(s->timer, s->config->interval, 0);
    else if (!s->posted)
        s->posted = s->host->post(s->host->loop(s->instance), posted, s) == 0;
}

static void step(void *data)
{
    struct sequence *s = data;
    int r;

    if (s->over)
        return;
    if (s->config->count && s->sent >= (uint64_t)s->config->count) {
        s->over = 1;
        s->host->ended(s->instance);
        return;
    }
    r = send_batch(s);
    if (r == -ENOMEM)
        s->host->timer_set(s->timer, 1000000000, 0);
    else if (r == 0)
        schedule(s);
    /* -EAGAIN: sequence_resume is called when there is room */
}

static int sequence_start(void *self)
{
    struct sequence *s = self;
    struct weir_stream_state state = {.struct_size = sizeof(state)};

    s->stream = s->host->stream_open(s->instance, "sequence");
    s->timer = s->host->timer_add(s->host->loop(s->instance), step, s);
    if (!s->stream || !s->timer) {
        if (s->stream)
            s->host->stream_close(s->stream);
        if (s->timer)
            s->host->timer_remove(s->timer);
        s->host->error(s->instance, "no memory");
        return -ENOMEM;
    }
    s->host->stream_state(s->stream, &state);
    if (state.known)
        s->sent = state.offset;
    s->host->timer_set(s->timer, 1, 0);
    return 0;
}

/* May come without need, so it does not hasten a timer that runs. */
static void sequence_resume(void *self)
{
    struct sequence *s = self;

    if (!s->over)
        schedule(s);
}

/* What is posted still comes before destroy: `over` makes it do nothing. */
static void sequence_stop(void *self)
{
    struct sequence *s = self;

    s->over = 1;
    s->host->timer_remove(s->timer);
    s->host->stream_close(s->stream);
    s->host->stopped(s->instance);
}

static void sequence_destroy(void *self)
{
    free(self);
}

static const struct weir_option sequence_options[] = {
    {.name = "count",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct sequence_config, count),
     .def = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "the last number; 0: there is none"},
    {.name = "batch",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct sequence_config, batch),
     .def = "10",
     .min = 1,
     .max = 10000,
     .help = "numbers in a chunk"},
    {.name = "interval",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct sequence_config, interval),
     .def = "1s",
     .help = "the time between chunks; 0: as fast as they are taken"},
    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "sequence",
    .version = "1.0",
    .summary = "numbers, with positions",
    .options = sequence_options,
    .config_size = sizeof(struct sequence_config),
    .create = sequence_create,
    .start = sequence_start,
    .resume = sequence_resume,
    .stop = sequence_stop,
    .destroy = sequence_destroy,
};
