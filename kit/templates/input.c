/*
 * in_@NAME@: an input for weir. It counts: a record {"log": "1"}, {"log": "2"}, … each `interval`.
 *
 * This file is yours: keep what you need, change what you like, under whatever licence you like.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weir/event.h>
#include <weir/plugin.h>

/* The most bytes that one of our records needs: its head, a key of 3 bytes, a value of 20. */
#define RECORD_ROOM (WEIR_MAX_RECORD + WEIR_MAX_STR + 3 + WEIR_MAX_STR + 20)

/* What the options below fill in. weir owns the memory, and it stays as it is until on_destroy returns. */
struct config {
    uint64_t interval; /* ns */
    int64_t count;     /* 0: for ever */
};

/* One configured input. There may be several on the same thread: keep nothing in static variables. */
struct self {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct config *config;
    struct weir_stream *stream; /* remembers how far every output has got */
    struct weir_timer *timer;
    uint64_t sent; /* the last number */
    bool ended;
};

/* On weir's main thread, also for `weir check`: look at the configuration, take memory, open nothing. */
static int on_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                     void **ret_self)
{
    struct self *self = calloc(1, sizeof(*self));

    if (!self) {
        host->error(instance, "no memory");
        return -ENOMEM;
    }
    self->host = host;
    self->instance = instance;
    self->config = config;
    *ret_self = self;
    return 0;
}

/* Sends one record. 0, -EAGAIN: an output is full, -ENOMEM. */
static int send_one(struct self *self)
{
    struct weir_draft *draft;
    struct timespec now;
    char text[24];
    int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)self->sent + 1);
    int r = self->host->chunk_begin(self->instance, NULL, NULL, RECORD_ROOM, &draft);

    if (r < 0)
        return r;
    clock_gettime(CLOCK_REALTIME, &now);
    uint8_t *p = draft->data;
    p = weir_put_record(p, (uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, 1);
    p = weir_put_str(p, "log", 3);
    p = weir_put_str(p, text, (uint32_t)length);
    draft->size = (size_t)(p - draft->data);
    draft->records = 1;
    self->sent++;
    /* "All of the stream below this is in this chunk, or an earlier one": kept once every output has it. */
    struct weir_position position = {self->stream, self->sent, 0};
    self->host->chunk_send(draft, &position, 1);
    return 0;
}

/* After -EAGAIN nothing is lost: the number was not used up, and the timer comes again, or on_resume before.
 */
static void on_timer(void *data)
{
    struct self *self = data;

    if (self->ended)
        return;
    if (!self->config->count || self->sent < (uint64_t)self->config->count)
        send_one(self);
    if (!self->config->count || self->sent < (uint64_t)self->config->count)
        return;
    self->ended = true;
    self->host->timer_set(self->timer, 0, 0);
    self->host->ended(self->instance);
}

/* From here on everything is on the loop: a thread that other inputs share, so no callback may block. */
static int on_start(void *data)
{
    struct self *self = data;
    struct weir_stream_state state = {.struct_size = sizeof(state)};

    self->stream = self->host->stream_open(self->instance, "counter");
    self->timer = self->host->timer_add(self->host->loop(self->instance), on_timer, self);
    if (!self->stream || !self->timer) {
        if (self->stream)
            self->host->stream_close(self->stream);
        if (self->timer)
            self->host->timer_remove(self->timer);
        self->host->error(self->instance, "no memory");
        return -ENOMEM;
    }
    self->host->stream_state(self->stream, &state);
    if (state.known)
        self->sent = state.offset; /* goes on where it was */
    self->host->timer_set(self->timer, 1, self->config->interval);
    return 0;
}

/* There is room again. May come at any time. */
static void on_resume(void *data)
{
    on_timer(data);
}

/* Gives back all that it got from the host; after host->stopped only on_destroy is called. */
static void on_stop(void *data)
{
    struct self *self = data;

    self->ended = true;
    self->host->timer_remove(self->timer);
    self->host->stream_close(self->stream);
    self->host->stopped(self->instance);
}

/* Back on the main thread. Also after on_start has failed, or was never called. */
static void on_destroy(void *data)
{
    free(data);
}

static const struct weir_option options[] = {{.name = "interval",
                                              .type = WEIR_OPTION_DURATION,
                                              .offset = offsetof(struct config, interval),
                                              .def = "1s",
                                              .min = 1000000,
                                              .max = INT64_MAX,
                                              .help = "the time from one record to the next"},
                                             {.name = "count",
                                              .type = WEIR_OPTION_INT,
                                              .offset = offsetof(struct config, count),
                                              .def = "0",
                                              .min = 0,
                                              .max = INT64_MAX,
                                              .help = "it ends after so many records; 0: never"},
                                             {.name = NULL}};

/* The one thing that weir looks for in this file. */
const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "@NAME@",
    .version = "0.1",
    .summary = "counts",
    .options = options,
    .config_size = sizeof(struct config),
    .create = on_create,
    .start = on_start,
    .resume = on_resume,
    .stop = on_stop,
    .destroy = on_destroy,
};
