/* SPDX-License-Identifier: 0BSD */
/*
 * out_files: appends the lines of each tag to a file of that name in the directory `dir`.
 *
 * A tag comes from outside: from a configuration, a path, another host. So a file's name is never a tag as it
 * is. Letters, digits, '-', '_' and dots behind the first byte stay, every other byte becomes %XX; two tags
 * never share a file, none leads out of the directory, and none is a hidden file. The file is opened without
 * following a link, and only if it is a regular one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weir/event.h>
#include <weir/plugin.h>

enum { LONGEST_NAME = 200, MOST_OPEN = 32 };

struct files_config {
    const char *dir;
    const char *key;
};

struct open_file {
    char name[LONGEST_NAME + 1];
    int fd; /* -1: a free place */
    unsigned long used;
};

struct files {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct files_config *config;
    int dir;
    struct open_file open[MOST_OPEN];
    unsigned long clock;
    char *text;
    size_t size, room;
};

static int files_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                        void **ret_self)
{
    struct files *f = calloc(1, sizeof(*f));

    if (!f) {
        host->error(instance, "no memory");
        return -ENOMEM;
    }
    f->host = host;
    f->instance = instance;
    f->config = config;
    f->dir = -1;
    for (int k = 0; k < MOST_OPEN; k++)
        f->open[k].fd = -1;
    *ret_self = f;
    return 0;
}

static int files_start(void *self)
{
    struct files *f = self;

    f->dir = open(f->config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir >= 0)
        return 0;
    int error = errno;
    f->host->error(f->instance, "can't open the directory %s: %s", f->config->dir, strerror(error));
    return -error;
}

/* -- Names -- */

static int is_plain(unsigned char c, int first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || (c == '.' && !first);
}

/* The name of the tag's file. 0, or -ENAMETOOLONG. */
static int name_of(const char *tag, char name[LONGEST_NAME + 1])
{
    size_t size = 0;

    if (!*tag)
        return strcpy(name, "%"), 0;
    for (const char *p = tag; *p; p++) {
        int plain = is_plain((unsigned char)*p, p == tag);
        if (size + (plain ? 1 : 3) > LONGEST_NAME)
            return -ENAMETOOLONG;
        if (plain)
            name[size++] = *p;
        else
            size += (size_t)sprintf(name + size, "%%%02X", (unsigned char)*p);
    }
    name[size] = '\0';
    return 0;
}

/* -- Open files -- */

static int open_regular(int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return -EINVAL;
}

/* The tag's file: open already, or in the place of the one that was used longest ago. */
static struct open_file *find_file(struct files *f, const char *name, int *ret_error)
{
    struct open_file *place = &f->open[0];

    for (int k = 0; k < MOST_OPEN; k++) {
        struct open_file *o = &f->open[k];
        if (o->fd >= 0 && strcmp(o->name, name) == 0) {
            o->used = ++f->clock;
            return o;
        }
        if (o->fd < 0 || (place->fd >= 0 && o->used < place->used))
            place = o;
    }
    int fd = open_regular(f->dir, name);
    if (fd < 0) {
        *ret_error = fd;
        return NULL;
    }
    if (place->fd >= 0)
        close(place->fd);
    strcpy(place->name, name);
    place->fd = fd;
    place->used = ++f->clock;
    return place;
}

/* -- Writing -- */

static int add_line(struct files *f, const void *data, size_t size)
{
    if (f->room - f->size < size + 1) {
        size_t room = 2 * (f->size + size + 1);
        char *text = realloc(f->text, room);
        if (!text)
            return -ENOMEM;
        f->text = text;
        f->room = room;
    }
    if (size)
        memcpy(f->text + f->size, data, size);
    f->text[f->size + size] = '\n';
    f->size += size + 1;
    return 0;
}

static int collect(struct files *f, const struct weir_chunk *chunk)
{
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value;
    int r;

    f->size = 0;
    weir_cursor_init(&cursor, chunk->data, chunk->size);
    while ((r = weir_cursor_next(&cursor, &record)) > 0)
        if (weir_record_find(&record, f->config->key, strlen(f->config->key), &value) &&
            value.type == WEIR_TYPE_STR && add_line(f, value.data, value.size))
            return -ENOMEM;
    return r < 0 ? -EINVAL : 0;
}

/* All or nothing: the chunk comes again as a whole. */
static int append(int fd, const char *data, size_t size)
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

static int reject(struct files *f, struct weir_chunk *chunk, const char *reason)
{
    f->host->reject(f->instance, chunk, chunk->data, chunk->size, chunk->records, reason);
    return WEIR_DELIVERED; /* nothing of it is left to be done */
}

static int files_write(void *self, struct weir_chunk *chunk)
{
    struct files *f = self;
    char name[LONGEST_NAME + 1];
    int r = collect(f, chunk);
    struct open_file *file = NULL;

    if (r == -EINVAL)
        return reject(f, chunk, "its bytes are no records");
    if (name_of(chunk->tag, name) < 0)
        return reject(f, chunk, "its tag is too long for a file's name");
    if (r == 0)
        file = find_file(f, name, &r);
    if (file)
        r = append(file->fd, f->text, f->size);
    if (r < 0) {
        f->host->error(f->instance, "%s/%s: %s", f->config->dir, name, strerror(-r));
        return WEIR_RETRY;
    }
    f->host->error(f->instance, NULL);
    return WEIR_DELIVERED;
}

static void files_stop(void *self)
{
    struct files *f = self;

    f->host->stopped(f->instance);
}

static void files_destroy(void *self)
{
    struct files *f = self;

    for (int k = 0; k < MOST_OPEN; k++)
        if (f->open[k].fd >= 0)
            close(f->open[k].fd);
    if (f->dir >= 0)
        close(f->dir);
    free(f->text);
    free(f);
}

static const struct weir_option files_options[] = {{.name = "dir",
                                                    .type = WEIR_OPTION_PATH,
                                                    .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_WRITES,
                                                    .offset = offsetof(struct files_config, dir),
                                                    .help = "the directory of the files; it must be there"},
                                                   {.name = "key",
                                                    .type = WEIR_OPTION_STRING,
                                                    .offset = offsetof(struct files_config, key),
                                                    .def = "log",
                                                    .help = "the field of a record that is written"},
                                                   {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "files",
    .version = "1.0",
    .summary = "a file for each tag",
    .options = files_options,
    .config_size = sizeof(struct files_config),
    .create = files_create,
    .start = files_start,
    .write = files_write,
    .stop = files_stop,
    .destroy = files_destroy,
};
