/* SPDX-License-Identifier: 0BSD */
/*
 * in_directory: a source of configuration. Each file NAME.conf in the directory `path` is an input; its lines
 * are `key = value`, where `name` is the plugin, and '#' begins a comment:
 *
 *     name = tail
 *     path = /var/log/nginx/access.log
 *     tag  = web.access
 *
 * Files that come, change and go are noticed by inotify, and looked for each `interval` as well, for file
 * systems without it. weir compares each set with the last one: what did not change is not touched. A file
 * that can't be read or understood is left out, with an error in the log; a directory that can't be read
 * leaves everything as it is.
 *
 * Files whose names begin with a dot are not looked at: write to one, then rename it, and nobody sees half a
 * file. All on the loop.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weir/plugin.h>

enum { MOST_FILES = 1000, MOST_SETTINGS = 32, LARGEST = 16384, LONGEST_NAME = 200 };

struct directory_config {
    const char *path;
    uint64_t interval;
};

struct entry {
    char id[LONGEST_NAME + 1]; /* the file's name: positions are kept under it */
    char text[LARGEST + 1];    /* cut into what the settings point to */
    struct weir_setting settings[MOST_SETTINGS];
    size_t count;
    const char *name;
};

struct directory {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct directory_config *config;
    int inotify;
    struct weir_watch *watch;
    struct weir_timer *timer;
    uint64_t seen; /* a hash of the last set; 0: there was none */
};

static int directory_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                            void **ret_self)
{
    struct directory *d = calloc(1, sizeof(*d));

    if (!d) {
        host->error(instance, "no memory");
        return -ENOMEM;
    }
    d->host = host;
    d->instance = instance;
    d->config = config;
    d->inotify = -1;
    *ret_self = d;
    return 0;
}

/* -- One file -- */

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        *--end = '\0';
    while (*text == ' ' || *text == '\t')
        text++;
    return text;
}

/* Cuts the text in place. NULL, or what is wrong with it. */
static const char *parse(struct entry *e)
{
    char *rest = e->text, *line;

    while ((line = strsep(&rest, "\n"))) {
        line = trim(line);
        if (!*line || *line == '#')
            continue;
        char *value = strchr(line, '=');
        if (!value)
            return "a line is not 'key = value'";
        *value = '\0';
        line = trim(line);
        value = trim(value + 1);
        if (strcmp(line, "name") == 0)
            e->name = value;
        else if (e->count == MOST_SETTINGS)
            return "it has too many settings";
        else
            e->settings[e->count++] = (struct weir_setting){line, value};
    }
    return e->name && *e->name ? NULL : "it does not say the plugin (name = …)";
}

/* NULL, or what is wrong. Only a regular file, and not through a link. */
static const char *load(int dir, struct entry *e)
{
    struct stat st;
    int fd = openat(dir, e->id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t size = -1;

    if (fd < 0)
        return strerror(errno);
    int regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (regular && st.st_size <= LARGEST)
        size = read(fd, e->text, LARGEST);
    close(fd);
    if (size < 0)
        return !regular               ? "it is no regular file"
               : st.st_size > LARGEST ? "it is too large"
                                      : "it can't be read";
    e->text[size] = '\0';
    return strlen(e->text) == (size_t)size ? parse(e) : "it has a zero byte";
}

/* -- The directory -- */

static int is_ours(const char *name)
{
    size_t length = strlen(name);

    return *name != '.' && length > 5 && length <= LONGEST_NAME && strcmp(name + length - 5, ".conf") == 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp((*(struct entry *const *)a)->id, (*(struct entry *const *)b)->id);
}

static void free_entries(struct entry **entries, size_t count)
{
    while (count)
        free(entries[--count]);
}

/* The entries, in the order of their names. Their number, or a negative errno: the directory can't be read.
 */
static int scan(struct directory *d, struct entry *entries[MOST_FILES])
{
    DIR *dir = opendir(d->config->path);
    int count = 0;

    if (!dir)
        return -errno;
    for (struct dirent *file; count < MOST_FILES && (errno = 0, file = readdir(dir));) {
        if (!is_ours(file->d_name))
            continue;
        struct entry *e = calloc(1, sizeof(*e));
        const char *fault = e ? NULL : "no memory";
        if (e) {
            strcpy(e->id, file->d_name);
            fault = load(dirfd(dir), e);
        }
        if (!fault) {
            entries[count++] = e;
            continue;
        }
        d->host->log(d->instance, WEIR_LOG_ERROR, "%s/%s is left out: %s", d->config->path, file->d_name,
                     fault);
        free(e);
    }
    closedir(dir);
    qsort(entries, (size_t)count, sizeof(*entries), compare);
    return count;
}

static uint64_t hash(uint64_t h, const char *text)
{
    do
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    while (*text++);
    return h;
}

static uint64_t hash_all(struct entry *const *entries, size_t count)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t k = 0; k < count; k++) {
        h = hash(hash(h, entries[k]->id), entries[k]->name);
        for (size_t s = 0; s < entries[k]->count; s++)
            h = hash(hash(h, entries[k]->settings[s].name), entries[k]->settings[s].value);
    }
    return h ? h : 1;
}

/* weir has compared, started and stopped. What it refused is told of, and nothing else happens to it. */
static void applied(void *data, const struct weir_refusal *refusals, size_t count)
{
    struct directory *d = data;

    for (size_t k = 0; k < count; k++)
        d->host->log(d->instance, WEIR_LOG_ERROR, "%s: entry %zu is refused: %s", d->config->path,
                     refusals[k].index + 1, refusals[k].reason);
}

static void give(struct directory *d, struct entry *const *entries, size_t count)
{
    struct weir_input_spec *specs = calloc(count + 1, sizeof(*specs));
    int r = -ENOMEM;

    for (size_t k = 0; specs && k < count; k++)
        specs[k] = (struct weir_input_spec){.id = entries[k]->id,
                                            .name = entries[k]->name,
                                            .origin = entries[k]->id,
                                            .settings = entries[k]->settings,
                                            .count = entries[k]->count};
    if (specs)
        r = d->host->set_inputs(d->instance, specs, sizeof(*specs), count, applied, d);
    free(specs); /* weir has copied all of it */
    if (r < 0)
        d->seen = 0; /* the next look gives it again */
}

static void look(void *data)
{
    struct directory *d = data;
    struct entry *entries[MOST_FILES];
    int count = scan(d, entries);

    if (count < 0) {
        d->host->error(d->instance, "can't read %s: %s; the inputs stay as they are", d->config->path,
                       strerror(-count));
        return;
    }
    d->host->error(d->instance, NULL);
    uint64_t now = hash_all(entries, (size_t)count);
    if (now != d->seen) {
        d->seen = now;
        give(d, entries, (size_t)count);
    }
    free_entries(entries, (size_t)count);
}

/* What exactly has happened does not matter: all is looked at. */
static void on_inotify(void *data, int fd, uint32_t events)
{
    struct directory *d = data;
    char buffer[4096] __attribute__((aligned(8)));

    (void)events;
    while (read(fd, buffer, sizeof(buffer)) > 0) {
    }
    look(d);
}

/* -- Life -- */

/* Without inotify, the timer does. */
static void begin_watch(struct directory *d, struct weir_loop *loop)
{
    const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;

    d->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (d->inotify >= 0 && inotify_add_watch(d->inotify, d->config->path, mask) >= 0)
        d->watch = d->host->watch_add(loop, d->inotify, EPOLLIN, on_inotify, d);
    if (!d->watch)
        d->host->log(d->instance, WEIR_LOG_WARN, "changes of %s are noticed by looking only: %s",
                     d->config->path, strerror(errno));
}

static int directory_start(void *self)
{
    struct directory *d = self;
    struct weir_loop *loop = d->host->loop(d->instance);

    d->timer = d->host->timer_add(loop, look, d);
    if (!d->timer) {
        d->host->error(d->instance, "no memory");
        return -ENOMEM;
    }
    begin_watch(d, loop);
    d->host->timer_set(d->timer, 1, d->config->interval);
    return 0;
}

/* weir stops the inputs of a source that stops. */
static void directory_stop(void *self)
{
    struct directory *d = self;

    if (d->watch)
        d->host->watch_remove(d->watch); /* before the descriptor is closed */
    d->host->timer_remove(d->timer);
    d->host->stopped(d->instance);
}

static void directory_destroy(void *self)
{
    struct directory *d = self;

    if (d->inotify >= 0)
        close(d->inotify);
    free(d);
}

static const struct weir_option directory_options[] = {
    {.name = "path",
     .type = WEIR_OPTION_PATH,
     .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_IDENTITY | WEIR_OPTION_READS,
     .offset = offsetof(struct directory_config, path),
     .help = "the directory whose *.conf files are inputs"},
    {.name = "interval",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct directory_config, interval),
     .def = "10s",
     .min = 10000000,
     .max = INT64_MAX,
     .help = "how often it is looked at without being told"},
    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "directory",
    .version = "1.0",
    .summary = "inputs out of a directory of files",
    .options = directory_options,
    .config_size = sizeof(struct directory_config),
    .create = directory_create,
    .start = directory_start,
    .stop = directory_stop,
    .destroy = directory_destroy,
    .flags = WEIR_PLUGIN_SOURCE,
};
