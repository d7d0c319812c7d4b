/* SPDX-License-Identifier: Apache-2.0 */
/* An input with the fault that its option names: check-plugin must find each, and nothing where there is
 * none. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

enum fault {
    NONE,
    WRONG_THREAD,
    IGNORES_STOP,
    LEAVES_STREAM,
    LEAVES_TIMER,
    LEAVES_DRAFT,
    OFFSETS_GO_DOWN,
    COUNTS_WRONG,
    SENDS_NONSENSE,
    CALLS_AFTER_STOPPED,
    BAD_DETAILS,
    CRASHES_IN_TIMER,
    HANGS_IN_TIMER
};

static const char *const faults[] = {"none",
                                     "wrong_thread",
                                     "ignores_stop",
                                     "leaves_stream",
                                     "leaves_timer",
                                     "leaves_draft",
                                     "offsets_go_down",
                                     "counts_wrong",
                                     "sends_nonsense",
                                     "calls_after_stopped",
                                     "bad_details",
                                     "crashes_in_timer",
                                     "hangs_in_timer",
                                     NULL};

struct broken_config {
    int fault;
};

struct broken {
    const struct weir_host *host;
    struct weir_instance *instance;
    enum fault fault;
    struct weir_stream *stream;
    struct weir_timer *timer;
    uint64_t next;
};

static int broken_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                         void **ret_self)
{
    struct broken *b = calloc(1, sizeof(*b));

    if (!b)
        return -ENOMEM;
    *b = (struct broken){.host = host,
                         .instance = instance,
                         .fault = (enum fault)((const struct broken_config *)config)->fault};
    *ret_self = b;
    return 0;
}

static void send_one(struct broken *b)
{
    struct weir_draft *d;
    uint8_t *p;

    if (b->host->chunk_begin(b->instance, NULL, NULL, 64, &d) < 0 || b->fault == LEAVES_DRAFT)
        return;
    p = weir_put_str(weir_put_str(weir_put_record(d->data, 1, 2, 1), "log", 3), "x", 1);
    d->size = b->fault == SENDS_NONSENSE ? 3 : (size_t)(p - d->data);
    d->records = b->fault == COUNTS_WRONG ? 2 : 1;
    b->next += b->fault == OFFSETS_GO_DOWN ? (uint64_t)-1 : 1;
    b->host->chunk_send(d, &(struct weir_position){b->stream, b->next, 0}, 1);
}

static void *send_elsewhere(void *data)
{
    send_one(data);
    return NULL;
}

static void on_timer(void *data)
{
    struct broken *b = data;
    pthread_t thread;

    if (b->fault == CRASHES_IN_TIMER)
        raise(SIGSEGV);
    if (b->fault == HANGS_IN_TIMER)
        pause();
    if (b->fault != WRONG_THREAD)
        send_one(b);
    else if (pthread_create(&thread, NULL, send_elsewhere, b) == 0)
        pthread_join(thread, NULL);
}

static int broken_start(void *self)
{
    struct broken *b = self;

    b->stream = b->host->stream_open(b->instance, "s");
    b->timer = b->host->timer_add(b->host->loop(b->instance), on_timer, b);
    b->next = b->fault == OFFSETS_GO_DOWN ? 1000 : 0;
    struct weir_stream_state state = {.struct_size = sizeof(state)};
    b->host->stream_state(b->stream, &state);
    if (state.known && b->fault != OFFSETS_GO_DOWN)
        b->next = state.offset;
    b->host->timer_set(b->timer, 1, 1000000);
    return 0;
}

static void broken_resume(void *self)
{
    send_one(self);
}

static void broken_stop(void *self)
{
    struct broken *b = self;

    if (b->fault == IGNORES_STOP)
        return;
    if (b->fault != LEAVES_TIMER)
        b->host->timer_remove(b->timer);
    if (b->fault != LEAVES_STREAM)
        b->host->stream_close(b->stream);
    b->host->stopped(b->instance);
    if (b->fault == CALLS_AFTER_STOPPED)
        b->host->stream_open(b->instance, "late");
}

static void broken_destroy(void *self)
{
    free(self);
}

static int broken_details(void *self, const struct weir_details *details)
{
    const struct broken *b = self;
    const char *text = b->fault == BAD_DETAILS ? "\"next\":nothing" : "\"next\":1";

    details->write(details->data, text, strlen(text));
    return 0;
}

static const struct weir_option broken_options[] = {{.name = "fault",
                                                     .type = WEIR_OPTION_CHOICE,
                                                     .offset = offsetof(struct broken_config, fault),
                                                     .def = "none",
                                                     .choices = faults,
                                                     .help = "what it does wrong"},
                                                    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "broken",
    .version = "1.0",
    .summary = "a test input with a fault",
    .options = broken_options,
    .config_size = sizeof(struct broken_config),
    .create = broken_create,
    .start = broken_start,
    .resume = broken_resume,
    .stop = broken_stop,
    .destroy = broken_destroy,
    .details = broken_details,
};
