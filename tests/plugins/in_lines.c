/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_lines: an input that can't be read again. It listens on a Unix socket, each line that a client sends is
 * a record, and once lines are on disk the client is told how many of its lines that are: "42\n". It answers
 * only where it has `storage: disk`. All on the loop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

enum { BUFFER = 64 << 10 };

struct lines_config {
    const char *path;
};

struct client {
    struct lines *lines;
    struct client *next;
    int fd;
    struct weir_watch *watch;
    size_t used;
    uint64_t sent;          /* lines */
    struct answer *answers; /* that are on their way */
    bool closed;
    char buffer[BUFFER];
};

struct lines {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct lines_config *config;
    int fd;
    struct weir_watch *watch;
    struct client *clients;
};

/* An answer to give; they come in the order in which they were asked for. */
struct answer {
    struct client *client;
    struct answer *next;
    uint64_t sent;
};

static int lines_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                        void **ret_self)
{
    struct lines *self = calloc(1, sizeof(*self));

    if (!self)
        return -ENOMEM;
    *self = (struct lines){.host = host, .instance = instance, .config = config, .fd = -1};
    *ret_self = self;
    return 0;
}

static void reap(struct client *c)
{
    struct client **at = &c->lines->clients;

    if (!c->closed || c->answers)
        return;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    free(c);
}

static void hang_up(struct client *c)
{
    if (!c->closed) {
        c->lines->host->watch_remove(c->watch);
        close(c->fd);
    }
    c->closed = true;
    reap(c);
}

static void on_durable(void *data, int rc)
{
    struct answer *a = data;
    struct client *c = a->client;
    char text[32];

    int size = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)a->sent);
    if (rc == 0 && !c->closed && send(c->fd, text, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        c->lines->host->log(c->lines->instance, WEIR_LOG_WARN, "an answer was not taken");
    c->answers = a->next; /* it was the oldest */
    free(a);
    reap(c);
}

static void promise(struct client *c)
{
    struct lines *self = c->lines;
    struct answer *a = malloc(sizeof(*a));

    if (!a)
        return;
    struct answer **end = &c->answers;
    while (*end)
        end = &(*end)->next;
    *a = (struct answer){.client = c, .sent = c->sent};
    *end = a;
    if (self->host->on_durable(self->instance, on_durable, a) != 0) {
        *end = NULL;
        free(a);
    }
}

static uint8_t *put_line(uint8_t *p, const char *line, size_t size)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    p = weir_put_record(p, (uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, 1);
    p = weir_put_str(p, "log", 3);
    return weir_put_str(p, line, (uint32_t)size);
}

/* Sends the whole lines of the buffer. 0, or what chunk_begin said. */
static int send_lines(struct client *c)
{
    struct lines *self = c->lines;
    const char *at = c->buffer, *end = c->buffer + c->used, *newline;
    struct weir_draft *draft;
    size_t room = 0;

    for (const char *p = at; (newline = memchr(p, '\n', (size_t)(end - p))); p = newline + 1)
        room += (size_t)(newline - p) + WEIR_MAX_RECORD + 2 * WEIR_MAX_STR + 3;
    if (!room)
        return 0;
    int rc = self->host->chunk_begin(self->instance, NULL, NULL, room, &draft);
    if (rc)
        return rc;
    for (; (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1) {
        draft->size = (size_t)(put_line(draft->data + draft->size, at, (size_t)(newline - at)) - draft->data);
        draft->records++;
        c->sent++;
    }
    self->host->chunk_send(draft, NULL, 0);
    c->used = (size_t)(end - at);
    memmove(c->buffer, at, c->used);
    promise(c);
    return 0;
}

/* While it can't send it does not read: the client waits. */
static void on_client(void *data, int fd, uint32_t events)
{
    struct client *c = data;

    (void)events;
    ssize_t n = c->used < BUFFER ? recv(fd, c->buffer + c->used, BUFFER - c->used, MSG_DONTWAIT) : -1;
    if (n == 0 || (n < 0 && c->used < BUFFER && errno != EAGAIN)) {
        hang_up(c);
        return;
    }
    if (n > 0)
        c->used += (size_t)n;
    if (send_lines(c) != 0)
        c->lines->host->watch_set(c->watch, 0);
}

static void on_connection(void *data, int fd, uint32_t events)
{
    struct lines *self = data;
    struct client *c = calloc(1, sizeof(*c));
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (c && client >= 0) {
        c->lines = self;
        c->fd = client;
        c->watch = self->host->watch_add(self->host->loop(self->instance), client, EPOLLIN, on_client, c);
    }
    if (!c || client < 0 || !c->watch) {
        if (client >= 0)
            close(client);
        free(c);
        return;
    }
    c->next = self->clients;
    self->clients = c;
}

static void lines_resume(void *data)
{
    struct lines *self = data;

    for (struct client *c = self->clients; c; c = c->next) {
        if (c->closed)
            continue;
        if (send_lines(c) != 0)
            return;
        self->host->watch_set(c->watch, EPOLLIN);
    }
}

static int lines_start(void *data)
{
    struct lines *self = data;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!WEIR_HAS(self->host, on_durable))
        return -ENOTSUP;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", self->config->path);
    unlink(address.sun_path);
    self->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0 || bind(self->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(self->fd, 16) < 0) {
        int rc = -errno;
        self->host->error(self->instance, "can't listen on %s: %s", address.sun_path, strerror(errno));
        if (self->fd >= 0)
            close(self->fd);
        self->fd = -1;
        return rc;
    }
    self->watch =
        self->host->watch_add(self->host->loop(self->instance), self->fd, EPOLLIN, on_connection, self);
    return self->watch ? 0 : -ENOMEM;
}

static void lines_stop(void *data)
{
    struct lines *self = data;

    self->host->watch_remove(self->watch);
    for (struct client *c = self->clients, *next; c; c = next) {
        next = c->next;
        hang_up(c);
    }
    self->host->stopped(self->instance);
}

static void lines_destroy(void *data)
{
    struct lines *self = data;

    if (self->fd >= 0)
        close(self->fd);
    while (self->clients) { /* whose answers did not come any more */
        struct client *c = self->clients;
        self->clients = c->next;
        while (c->answers) {
            struct answer *a = c->answers;
            c->answers = a->next;
            free(a);
        }
        free(c);
    }
    free(self);
}

static const struct weir_option options[] = {
    {.name = "path",
     .type = WEIR_OPTION_PATH,
     .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_IDENTITY,
     .offset = offsetof(struct lines_config, path),
     .help = "the socket"},
    {0},
};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "lines",
    .version = "1",
    .summary = "lines from a Unix socket",
    .options = options,
    .config_size = sizeof(struct lines_config),
    .create = lines_create,
    .start = lines_start,
    .resume = lines_resume,
    .stop = lines_stop,
    .destroy = lines_destroy,
};
