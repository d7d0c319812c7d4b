/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file: lines "id ID" (the one made up, if any) and "used ID TOPIC". It is replaced as a whole by rename,
 * and synced, before anything relies on it. Output thread.
 */
#include "claim.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* No file of ours is larger. */
#define FILE_MAX ((size_t)1 << 20)

static int fail(const struct claim *claim, int r, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: %s", claim->path ? claim->path : "data_dir", strerror(-r));
    return r;
}

static char *path_of(const char *dir, const char *alias)
{
    char *path = NULL;

    if (asprintf(&path, "%s/kafka-%s.transactions", dir, alias) < 0)
        return NULL;
    for (char *p = path + strlen(dir) + 1; *p; p++)
        if (*p == '/')
            *p = '_';
    return path;
}

/* The whole file with a zero behind it; NULL and 0: there is none. */
static int read_file(const char *path, char **ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t size = 0;
    ssize_t n = 0;

    *ret = NULL;
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    char *text = calloc(1, FILE_MAX + 1);
    while (text && size < FILE_MAX && (n = read(fd, text + size, FILE_MAX - size)) > 0)
        size += (size_t)n;
    int r = !text ? -ENOMEM : n < 0 ? -errno : 0;
    close(fd);
    if (r) {
        free(text);
        return r;
    }
    *ret = text;
    return 0;
}

/* On disk, with its name, when it returns. */
static int write_file(const struct claim *claim, const char *text)
{
    char *other = NULL, *slash;
    size_t size = strlen(text);
    int r, fd;

    if (asprintf(&other, "%s.new", claim->path) < 0)
        return -ENOMEM;
    fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    r = fd < 0 ? -errno : 0;
    if (!r && write(fd, text, size) != (ssize_t)size)
        r = errno ? -errno : -EIO;
    if (!r && fsync(fd) < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    if (!r && rename(other, claim->path) < 0)
        r = -errno;
    slash = strrchr(other, '/');
    *slash = '\0';
    fd = r ? -1 : open(other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        r = fsync(fd) < 0 ? -errno : 0;
        close(fd);
    }
    free(other);
    return r;
}

static char *new_id(void)
{
    uint64_t bits[2];
    char *id = NULL;

    if (getrandom(bits, sizeof(bits), 0) != sizeof(bits))
        return NULL;
    if (asprintf(&id, "weir-%016llx%016llx", (unsigned long long)bits[0], (unsigned long long)bits[1]) < 0)
        return NULL;
    return id;
}

static char *own_id(const char *text)
{
    for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n') {
        size_t size = strcspn(text, "\n");
        if (!strncmp(text, "id ", 3) && size > 3 && text[size] == '\n')
            return strndup(text + 3, size - 3);
    }
    return NULL;
}

static bool has_line(const char *text, const char *line)
{
    size_t size = strlen(line);

    for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (!strncmp(text, line, size))
            return true;
    return false;
}

/* "used ID TOPIC\n" */
static char *used_line(const struct claim *claim)
{
    char *line = NULL;

    return asprintf(&line, "used %s %s\n", claim->id, claim->topic) < 0 ? NULL : line;
}

/* The text of the file with a line more at its end. */
static int add_line(const struct claim *claim, const char *line)
{
    char *text, *next = NULL;
    int r = read_file(claim->path, &text);

    if (!r && asprintf(&next, "%s%s", text ? text : "", line) < 0)
        r = -ENOMEM;
    if (!r)
        r = write_file(claim, next);
    free(text);
    free(next);
    return r;
}

static int make_id(struct claim *claim)
{
    char *line = NULL;
    int r;

    claim->id = new_id();
    if (!claim->id || asprintf(&line, "id %s\n", claim->id) < 0)
        return -ENOMEM;
    r = add_line(claim, line);
    free(line);
    return r;
}

int claim_open(struct claim *claim, const char *dir, const char *alias, const char *id, const char *topic,
               char *why, size_t why_size)
{
    char *text = NULL, *line;
    int r;

    claim_finish(claim);
    claim->path = path_of(dir, alias);
    claim->topic = strdup(topic);
    r = claim->path && claim->topic ? read_file(claim->path, &text) : -ENOMEM;
    if (!r) {
        claim->id = id ? strdup(id) : own_id(text);
        if (!claim->id && text && *text && strncmp(text, "used ", 5) != 0)
            r = -EUCLEAN; /* not ours: a new id would be a new history */
        else if (!claim->id)
            r = make_id(claim);
    }
    line = r ? NULL : used_line(claim);
    if (!r && !line)
        r = -ENOMEM;
    if (!r)
        claim->used = has_line(text, line);
    free(line);
    free(text);
    return r ? fail(claim, r, why, why_size) : 0;
}

int claim_use(struct claim *claim, char *why, size_t why_size)
{
    char *line = claim->used ? NULL : used_line(claim);
    int r = claim->used ? 0 : line ? add_line(claim, line) : -ENOMEM;

    free(line);
    claim->used = claim->used || !r;
    return r ? fail(claim, r, why, why_size) : 0;
}

void claim_finish(struct claim *claim)
{
    free(claim->path);
    free(claim->id);
    free(claim->topic);
    *claim = (struct claim){0};
}
