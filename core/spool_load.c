/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a spool's folder at the start: the acknowledged, then each segment's heads; what is torn is cut,
 * what is damaged is set aside. And setting aside, which reading does as well. Loop.
 */
#include "spool_private.h"

#include <errno.h>
#include <fcntl.h>
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

/* From `at` on. The end of the last chunk that can be trusted; `last`: of the last segment, whose end may be
 * torn. */
static size_t scan(struct spool *s, struct segment *g, const uint8_t *data, size_t size, size_t at, bool last)
{
    struct spool_chunk_head h, next;
    size_t found, after;

    while (spool_find_chunk(data, size, at, s->next_number, &h, &found) == 0) {
        if (last && !spool_body_is_good(&h, data + found + SPOOL_CHUNK_HEAD) &&
            spool_find_chunk(data, size, found + spool_chunk_size(&h), h.number + 1, &next, &after) < 0)
            break; /* nothing good follows: its end was never written */
        if (found > at)
            spool_set_aside(s, g, at, data + at, found - at);
        count_found(s, g, &h);
        at = found + spool_chunk_size(&h);
    }
    if (at < size && !last)
        spool_set_aside(s, g, at, data + at, size - at);
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

static bool is_of(const struct spool *s, const struct segment *g, const struct spool_segment_head *head)
{
    return head->owner == s->owner && head->first == g->first;
}

static int check_head(struct spool *s, struct segment *g, const uint8_t *data, size_t size)
{
    struct spool_segment_head head;
    int rc = spool_get_segment(data, size, &head);

    if (rc == -EPROTONOSUPPORT)
        return rc;
    if (rc < 0 || !is_of(s, g, &head))
        spool_set_aside(s, g, 0, data, size < SPOOL_SEGMENT_HEAD ? size : SPOOL_SEGMENT_HEAD);
    return 0;
}

/* What was last read of a segment. */
struct window {
    int fd;
    uint64_t at, file_size;
    size_t size;
    uint8_t data[16 << 10];
};

/* Bytes that are there; NULL: they can't be read. */
static const uint8_t *look_at(struct window *w, uint64_t at, size_t size)
{
    if (at < w->at || at + size > w->at + w->size) {
        uint64_t left = w->file_size - at;
        w->at = at;
        w->size = left < sizeof(w->data) ? (size_t)left : sizeof(w->data);
        if (spool_file_get(w->fd, at, w->data, w->size) < 0)
            w->size = 0;
    }
    return w->size ? w->data + (at - w->at) : NULL;
}

/*
 * From head to head, and nothing between them is read: after a long outage that would take minutes, while the
 * inputs of the loop wait. Up to where something is wrong, or the end.
 */
static uint64_t walk(struct spool *s, struct segment *g, struct window *w)
{
    const uint8_t *data = w->file_size >= SPOOL_SEGMENT_HEAD ? look_at(w, 0, SPOOL_SEGMENT_HEAD) : NULL;
    struct spool_segment_head head;
    struct spool_chunk_head h;
    uint64_t at = SPOOL_SEGMENT_HEAD;

    if (!data || spool_get_segment(data, SPOOL_SEGMENT_HEAD, &head) < 0 || !is_of(s, g, &head))
        return 0;
    while (w->file_size - at >= SPOOL_CHUNK_HEAD && (data = look_at(w, at, SPOOL_CHUNK_HEAD))) {
        if (spool_get_chunk(data, SPOOL_CHUNK_HEAD, &h) < 0 || h.number < s->next_number ||
            spool_chunk_size(&h) > w->file_size - at)
            break;
        count_found(s, g, &h);
        at += spool_chunk_size(&h);
    }
    return at;
}

/* How far the heads of a segment lead that others follow. */
static int walk_file(struct spool *s, struct segment *g, const char *name, uint64_t *ret_at)
{
    struct window w = {.fd = spool_file_open(s->folder, name)};
    struct stat st;

    if (w.fd < 0)
        return w.fd;
    int rc = fstat(w.fd, &st) < 0 ? -errno : 0;
    if (rc == 0) {
        posix_fadvise(w.fd, 0, 0, POSIX_FADV_RANDOM);
        w.file_size = g->size = (uint64_t)st.st_size;
        *ret_at = walk(s, g, &w);
    }
    close(w.fd);
    return rc;
}

/* From `at` on, where it was not good, or 0. */
static int read_rest(struct spool *s, struct segment *g, const char *name, uint64_t at, bool last)
{
    uint8_t *data = NULL;
    size_t size = 0, end = 0;
    int rc = spool_file_read(s->folder, name, &data, &size);

    if (rc < 0)
        return rc;
    if (at == 0 && (!last || size >= SPOOL_SEGMENT_HEAD))
        rc = check_head(s, g, data, size);
    if (rc == 0 && size >= SPOOL_SEGMENT_HEAD)
        end = scan(s, g, data, size, at ? (size_t)at : SPOOL_SEGMENT_HEAD, last);
    if (rc == 0 && end < size && last)
        rc = cut(s, name, size, end);
    free(data);
    g->size = last ? end : size;
    return rc;
}

static int load_segment(struct spool *s, uint64_t first, bool last, char **ret_error)
{
    char name[SPOOL_FILE_NAME];
    struct segment *g = calloc(1, sizeof(*g));
    uint64_t at = 0;

    spool_segment_name(name, first);
    if (!g)
        return refuse(s, name, -ENOMEM, ret_error);
    g->first = first;
    if (first > s->next_number)
        s->next_number = first;
    int rc = last ? 0 : walk_file(s, g, name, &at);
    if (rc == 0 && (at == 0 || at < g->size))
        rc = read_rest(s, g, name, at, last);
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
        rc = load_segment(s, firsts[i], i + 1 == count, ret_error);
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
