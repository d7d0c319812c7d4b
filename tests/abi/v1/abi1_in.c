/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An input as it was built against the first version's header: it uses what that one offered to inputs, and
 * the sizes that it knew. Numbers as records, with positions and something beside them, a timer, a
 * descriptor, posted calls. It must work in every later weir.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

_Static_assert(sizeof(struct weir_plugin) == 104, "this is not the first version's header");

struct numbers_config {
    int64_t count;
    uint64_t interval, size;
    const char *path, *text, *secret;
    struct weir_list list;
    struct weir_map map;
    int choice;
    bool on;
};

struct numbers {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct numbers_config *config;
    struct weir_stream *stream, *gone;
    struct weir_timer *timer;
    struct weir_watch *watch;
    struct weir_metric *metric;
    int fd;
    uint64_t sent;
    bool over;
};

static int numbers_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                          void **ret_self)
{
    const struct numbers_config *c = config;
    struct numbers *n = calloc(1, sizeof(*n));

    if (!n)
        return -ENOMEM;
    if (c->choice != 1 || c->list.count != 2 || strcmp(c->list.items[1], "b") != 0 || !c->on ||
        c->size != 2048) {
        host->error(instance, "the defaults are not those of the table");
        free(n);
        return -EINVAL;
    }
    *n = (struct numbers){.host = host, .instance = instance, .config = c, .fd = -1};
    n->metric = host->metric(instance, WEIR_COUNTER, "sent", "Numbers sent.", "kind", "plain");
    *ret_self = n;
    return 0;
}

static int send_one(struct numbers *n)
{
    struct weir_draft *draft;
    char text[24];
    int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)n->sent + 1);
    int r = n->host->chunk_begin(n->instance, NULL, NULL, 1, &draft);

    if (r == 0 && n->host->chunk_grow(&draft, WEIR_MAX_RECORD + 2 * WEIR_MAX_STR + 24) < 0) {
        n->host->chunk_cancel(draft);
        r = -ENOMEM;
    }
    if (r < 0)
        return r;
    uint8_t *p = weir_put_str(weir_put_record(draft->data, 1700000000, 5, 1), "log", 3);
    p = weir_put_str(p, text, (uint32_t)length);
    draft->size = (size_t)(p - draft->data);
    draft->records = 1;
    n->sent++;
    n->host->chunk_send(draft, &(struct weir_position){n->stream, n->sent, n->sent * 7}, 1);
    n->host->stream_set_meta(n->stream, &n->sent, sizeof(n->sent));
    n->host->metric_add(n->metric, 1);
    n->host->progress(n->instance, n->sent, (uint64_t)n->config->count);
    return 0;
}

/* One number, then the descriptor is made ready for the next. */
static void step(void *data)
{
    struct numbers *n = data;

    if (n->over)
        return;
    if (n->sent >= (uint64_t)n->config->count) {
        n->over = true;
        n->host->ended(n->instance);
    } else if (send_one(n) == 0) {
        eventfd_write(n->fd, 1);
    }
}

static void on_ready(void *data, int fd, uint32_t events)
{
    struct numbers *n = data;
    eventfd_t ignored;

    if (events & EPOLLIN)
        eventfd_read(fd, &ignored);
    if (n->config->interval)
        n->host->timer_set(n->timer, n->config->interval, 0);
    else
        n->host->post(n->host->loop(n->instance), step, n);
}

static int count_stream(void *data, const struct weir_stream_state *state)
{
    *(unsigned *)data += state->known;
    return 0;
}

static int numbers_start(void *self)
{
    struct numbers *n = self;
    const struct weir_host *h = n->host;
    struct weir_loop *loop = h->loop(n->instance);
    struct weir_stream_state state = {.struct_size = sizeof(state)};
    unsigned known = 0;

    n->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    n->stream = h->stream_open(n->instance, "numbers");
    n->gone = h->stream_open(n->instance, "gone");
    n->timer = h->timer_add(loop, step, n);
    n->watch = n->fd >= 0 ? h->watch_add(loop, n->fd, EPOLLIN, on_ready, n) : NULL;
    h->stream_state(n->stream, &state);
    h->stream_each(n->instance, count_stream, &known);
    if (state.known) {
        n->sent = state.offset;
        if (state.token != n->sent * 7 || state.meta_size != sizeof(n->sent) || known == 0)
            h->log(n->instance, WEIR_LOG_ERROR, "what was stored beside the position is not what came back");
    }
    h->stream_advance(n->gone, 5, 0);
    h->stream_forget(n->gone);
    h->log(n->instance, WEIR_LOG_INFO, "%s goes on at %llu, tag %s, topic '%s', weir %s",
           h->alias(n->instance), (unsigned long long)n->sent, h->tag(n->instance), h->topic(n->instance),
           h->version);
    h->timer_set(n->timer, 1, 0);
    return 0;
}

static void numbers_resume(void *self)
{
    step(self);
}

static void numbers_stop(void *self)
{
    struct numbers *n = self;

    n->over = true;
    n->host->timer_remove(n->timer);
    n->host->watch_remove(n->watch);
    n->host->stream_close(n->stream);
    n->host->stopped(n->instance);
}

static void numbers_destroy(void *self)
{
    struct numbers *n = self;

    if (n->fd >= 0)
        close(n->fd);
    free(n);
}

static const char *const choices[] = {"red", "green", NULL};

#define OPTION(key, kind, member, text)                                                            \
    {                                                                                              \
        .name = key, .type = kind, .offset = offsetof(struct numbers_config, member), .def = text, \
        .help = "of a test"                                                                        \
    }

static const struct weir_option numbers_options[] = {
    OPTION("count", WEIR_OPTION_INT, count, "100"),
    OPTION("interval", WEIR_OPTION_DURATION, interval, "0"),
    OPTION("size", WEIR_OPTION_SIZE, size, "2k"),
    OPTION("path", WEIR_OPTION_PATH, path, NULL),
    OPTION("text", WEIR_OPTION_STRING, text, "hello"),
    OPTION("secret", WEIR_OPTION_SECRET, secret, NULL),
    OPTION("list", WEIR_OPTION_LIST, list, "a,b"),
    OPTION("map", WEIR_OPTION_MAP, map, NULL),
    {.name = "choice",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct numbers_config, choice),
     .def = "green",
     .choices = choices,
     .help = "of a test"},
    OPTION("on", WEIR_OPTION_BOOL, on, "yes"),
    {.name = "once", .type = WEIR_OPTION_IGNORED, .help = "it has no effect"},
    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "abi1_in",
    .version = "1.0",
    .summary = "an input of the first version",
    .options = numbers_options,
    .config_size = sizeof(struct numbers_config),
    .create = numbers_create,
    .start = numbers_start,
    .resume = numbers_resume,
    .stop = numbers_stop,
    .destroy = numbers_destroy,
};
