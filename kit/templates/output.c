/*
 * out_@NAME@: an output for weir. It appends the field `key` of each record to a file, a line each.
 *
 * This file is yours: keep what you need, change what you like, under whatever licence you like.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

/* What the options below fill in. weir owns the memory, and it stays as it is until on_destroy returns. */
struct config {
    const char *path;
    const char *key;
};

/* One configured output. There may be several, each on a thread of its own: keep nothing in static variables.
 */
struct self {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct config *config;
    struct weir_metric *lines;
    int fd;     /* -1: not open */
    char *text; /* the lines of one chunk */
    size_t size, room;
};

/* On weir's main thread, also for `weir check`: look at the configuration, take memory, open nothing. */
static int on_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                     void **ret_self)
{
    const struct config *c = config;
    struct self *self;

    if (!*c->key) {
        host->error(instance, "'key' must not be empty");
        return -EINVAL;
    }
    self = calloc(1, sizeof(*self));
    if (!self) {
        host->error(instance, "no memory");
        return -ENOMEM;
    }
    self->host = host;
    self->instance = instance;
    self->config = c;
    self->fd = -1;
    self->lines = host->metric(instance, WEIR_COUNTER, "lines", "Lines that were written.", NULL, NULL);
    *ret_self = self;
    return 0;
}

/* From here on everything is on this output's own thread. */
static int on_start(void *data)
{
    struct self *self = data;

    self->fd = open(self->config->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (self->fd >= 0)
        return 0;
    int error = errno;
    self->host->error(self->instance, "can't open %s: %s", self->config->path, strerror(error));
    return -error;
}

/* Adds one line to the text. */
static int add_line(struct self *self, const void *data, size_t size)
{
    if (self->room - self->size < size + 1) {
        size_t room = 2 * (self->size + size + 1);
        char *text = realloc(self->text, room);
        if (!text)
            return -ENOMEM;
        self->text = text;
        self->room = room;
    }
    if (size)
        memcpy(self->text + self->size, data, size);
    self->text[self->size + size] = '\n';
    self->size += size + 1;
    return 0;
}

/* Turns the chunk into text. 0, -ENOMEM, or -EINVAL: its bytes are no records. */
static int collect(struct self *self, const struct weir_chunk *chunk)
{
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value;
    int r;

    self->size = 0;
    weir_cursor_init(&cursor, chunk->data, chunk->size);
    while ((r = weir_cursor_next(&cursor, &record)) > 0) {
        if (!weir_record_find(&record, self->config->key, strlen(self->config->key), &value) ||
            value.type != WEIR_TYPE_STR)
            continue; /* a record without it has nothing to write */
        if (add_line(self, value.data, value.size))
            return -ENOMEM;
    }
    return r < 0 ? -EINVAL : 0;
}

/* All of it or nothing: what a write that failed has left behind is cut off, since the chunk will come again.
 */
static int write_all(int fd, const char *data, size_t size)
{
    off_t before = lseek(fd, 0, SEEK_END);
    size_t done = 0;

    while (done < size) {
        ssize_t n = write(fd, data + done, size - done);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR) {
            int error = errno;
            if (done && before >= 0 && ftruncate(fd, before) < 0)
                return -EIO;
            return -error;
        }
    }
    return 0;
}

/* One chunk: delivered for good, to be given again later, or refused for ever. */
static int on_write(void *data, struct weir_chunk *chunk)
{
    struct self *self = data;
    int r = collect(self, chunk);

    if (r == -EINVAL)
        return WEIR_REJECTED;
    if (r == 0)
        r = write_all(self->fd, self->text, self->size);
    if (r < 0) {
        /* Shown in `weir status` as long as it lasts. The chunk comes again after a pause. */
        self->host->error(self->instance, "can't write to %s: %s", self->config->path, strerror(-r));
        return WEIR_RETRY;
    }
    self->host->error(self->instance, NULL);
    self->host->metric_add(self->lines, chunk->records);
    return WEIR_DELIVERED;
}

/* Nothing more will be written. Whoever finishes chunks later does so before host->stopped. */
static void on_stop(void *data)
{
    struct self *self = data;

    self->host->stopped(self->instance);
}

/* Back on the main thread. Also after on_start has failed, or was never called. */
static void on_destroy(void *data)
{
    struct self *self = data;

    if (self->fd >= 0)
        close(self->fd);
    free(self->text);
    free(self);
}

static const struct weir_option options[] = {{.name = "path",
                                              .type = WEIR_OPTION_PATH,
                                              .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_WRITES,
                                              .offset = offsetof(struct config, path),
                                              .help = "the file that lines are appended to"},
                                             {.name = "key",
                                              .type = WEIR_OPTION_STRING,
                                              .offset = offsetof(struct config, key),
                                              .def = "log",
                                              .help = "the field of a record that is written"},
                                             {.name = NULL}};

/* The one thing that weir looks for in this file. */
const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "@NAME@",
    .version = "0.1",
    .summary = "appends lines to a file",
    .options = options,
    .config_size = sizeof(struct config),
    .create = on_create,
    .start = on_start,
    .write = on_write,
    .stop = on_stop,
    .destroy = on_destroy,
};
