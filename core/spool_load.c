/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a spool's folder at the start: the acknowledged, then the head of each segment, and all of the last
 * one; what is torn is cut, what is damaged is set aside. And setting aside, which reading does as well.
 * Loop.
 */
#include "spool_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"

void spool_set_aside(struct spool *s, const struct segment *g, uint64_t at, const uint8_t *data, size_t size)
{
    char name[SPOOL_FILE_NAME];

    snprintf(name, sizeof(name), "damaged-%020" PRIu64 "-%" PRIu64, g->first, at);
    int rc = spool_file_keep(s->folder, name, data, size);
    if (rc == -EEXIST)
        return;
    log_error(s->who,
              "spool: %s/%020" PRIu64 ".seg: %zu bytes at %" PRIu64
              " are damaged: %s %s; what is behind them goes on",
              s->path, g->first, size, at, rc < 0 ? "they are skipped, and can't be kept as" : "kept as",
              name);
    pthread_mutex_lock(&s->lock);
    s->damaged++;
    pthread_mutex_unlock(&s->lock);
}

void spool_say_missing(struct spool *s, const struct segment *g, uint64_t at, uint64_t size)
{
    log_error(s->who,
              "spool: %s/%020" PRIu64 ".seg: %" PRIu64 " bytes at %" PRIu64
              " are damaged or gone, and can't be kept: they are skipped; what is behind them goes on",
              s->path, g->first, size, at);
    pthread_mutex_lock(&s->lock);
    s->damaged++;
    pthread_mutex_unlock(&s->lock);
}

void spool_add_segment(struct spool *s, struct segment *g)
{
    if (s->last)
        s->last->next = g;
    else
        s->first = g;
    s->last = g;
}

static void count_found(struct spool *s, struct segment *g, const struct spool_chunk_head *h)
{
    if (!g->time)
        g->time = h->time;
    s->next_number = h->number + 1;
    if (spool_acks_has(&s->restored, h->number))
        return;
    g->unread++;
    s->chunks++;
}

/* Of the last segment, whose end may be torn. The end of the last chunk that can be trusted. */
static size_t scan(struct spool *s, struct segment *g, const uint8_t *data, size_t size)
{
    struct spool_chunk_head h, next;
    size_t at = SPOOL_SEGMENT_HEAD, found, after;

    while (spool_find_chunk(data, size, at, s->next_number, &h, &found) == 0) {
        if (!spool_body_is_good(&h, data + found + SPOOL_CHUNK_HEAD) &&
            spool_find_chunk(data, size, found + spool_chunk_size(&h), h.number + 1, &next, &after) < 0)
            break; /* nothing good follows: its end was never written */
        if (found > at)
            spool_set_aside(s, g, at, data + at, found - at);
        count_found(s, g, &h);
        at = found + spool_chunk_size(&h);
    }
    return at < size ? at : size;
}

static int cut(struct spool *s, const char *name, size_t from, size_t to)
{
    int rc = spool_file_cut(s->folder, name, to);

    if (rc < 0)
        return rc;
    log_warn(s->who, "spool: %s/%s: the last %zu bytes are the torn end of a write: cut off", s->path, name,
             from - to);
    s->cut += from - to;
    return 0;
}

static int refuse(const struct spool *s, const char *name, int rc, char **ret_error)
{
    const char *why = rc == -EPROTONOSUPPORT ? "it was written by a newer weir" : strerror(-rc);

    if (asprintf(ret_error, "spool: can't read %s/%s: %s", s->path, name, why) < 0)
        *ret_error = NULL;
    return rc;
}

static int check_head(struct spool *s, struct segment *g, const uint8_t *data, size_t size)
{
    struct spool_segment_head head;
    int rc = spool_get_segment(data, size, &head);

    if (rc == -EPROTONOSUPPORT)
        return rc;
    if (rc < 0 || head.owner != s->owner || head.first != g->first)
        spool_set_aside(s, g, 0, data, size < SPOOL_SEGMENT_HEAD ? size : SPOOL_SEGMENT_HEAD);
    return 0;
}

/*
 * One that others follow: its head only, since what waits may be more than can be read while the inputs of
 * the loop wait. What is damaged in it is found when it is read. `end`: every number in it is below that.
 */
static int load_full(struct spool *s, struct segment *g, const char *name, uint64_t end)
{
    uint8_t data[SPOOL_SEGMENT_HEAD + SPOOL_CHUNK_HEAD];
    struct spool_chunk_head h;
    struct stat st;
    int fd = spool_file_open(s->folder, name);

    if (fd < 0)
        return fd;
    int rc = fstat(fd, &st) < 0 ? -errno : 0;
    g->size = rc == 0 ? (uint64_t)st.st_size : 0;
    size_t size = g->size < sizeof(data) ? (size_t)g->size : sizeof(data);
    if (rc == 0)
        rc = spool_file_get(fd, 0, data, size);
    close(fd);
    if (rc == 0)
        rc = check_head(s, g, data, size);
    if (rc < 0)
        return rc;
    if (size == sizeof(data) && spool_get_chunk(data + SPOOL_SEGMENT_HEAD, SPOOL_CHUNK_HEAD, &h) == 0)
        g->time = h.time;
    g->unread = spool_acks_open(&s->restored, g->first, end);
    s->chunks += g->unread;
    return 0;
}

/* The one that was written last: all of it. */
static int load_last(struct spool *s, struct segment *g, const char *name)
{
    uint8_t *data = NULL;
    size_t size = 0, end = 0;
    int rc = spool_file_read(s->folder, name, &data, &size);

    if (rc < 0)
        return rc;
    if (size >= SPOOL_SEGMENT_HEAD)
        rc = check_head(s, g, data, size);
    if (rc == 0 && size >= SPOOL_SEGMENT_HEAD)
        end = scan(s, g, data, size);
    if (rc == 0 && end < size)
        rc = cut(s, name, size, end);
    free(data);
    g->size = end;
    return rc;
}

/* `end`: the first number of the next one; 0: it is the last. */
static int load_segment(struct spool *s, uint64_t first, uint64_t end, char **ret_error)
{
    char name[SPOOL_FILE_NAME];
    struct segment *g = calloc(1, sizeof(*g));

    spool_segment_name(name, first);
    if (!g)
        return refuse(s, name, -ENOMEM, ret_error);
    g->first = first;
    if (first > s->next_number)
        s->next_number = first;
    int rc = end ? load_full(s, g, name, end) : load_last(s, g, name);
    s->bytes += g->size;
    spool_add_segment(s, g);
    return rc < 0 ? refuse(s, name, rc, ret_error) : 0;
}

static int load_acks(struct spool *s, char **ret_error)
{
    uint8_t *data = NULL;
    size_t size = 0;
    int rc = spool_file_read(s->folder, "acks", &data, &size);

    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = spool_get_acks(data, size, &s->restored);
    free(data);
    if (rc == -EBADMSG) {
        log_warn(s->who,
                 "spool: %s/acks is damaged: what waits in the spool is delivered again from its start",
                 s->path);
        return 0;
    }
    return rc < 0 ? refuse(s, "acks", rc, ret_error) : 0;
}

int spool_load(struct spool *s, char **ret_error)
{
    uint64_t *firsts = NULL;
    size_t count = 0;
    int rc = load_acks(s, ret_error);

    if (rc == 0 && (rc = spool_files_list(s->folder, &firsts, &count)) < 0)
        refuse(s, "", rc, ret_error);
    s->next_number = 1;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = load_segment(s, firsts[i], i + 1 < count ? firsts[i + 1] : 0, ret_error);
    free(firsts);
    /* Never a number again that counts as acknowledged. */
    if (s->next_number < s->restored.next)
        s->next_number = s->restored.next;
    s->reading = s->first;
    s->read_at = SPOOL_SEGMENT_HEAD;
    if (rc == 0)
        spool_recycle(s); /* such as one that was only begun: the next one may have its name */
    s->unread_time = s->reading && s->chunks ? s->reading->time : 0;
    return rc;
}
