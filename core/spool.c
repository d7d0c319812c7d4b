/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments, the place up to which chunks were taken, and the entries of those that were. A segment is only
 * written by the process that made it: after a start a new one begins, so that nothing is ever appended
 * behind something torn. See the header for threads.
 */
#include "spool_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "log.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t spool_output_hash(const char *alias)
{
    return XXH3_64bits(alias, strlen(alias));
}

char *spool_name(const char *identity)
{
    char *name, plain[49];
    size_t n = 0;

    for (; identity[n] && n < sizeof(plain) - 1; n++) {
        unsigned char c = (unsigned char)identity[n];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (n && (c == '.' || c == '-'));
        plain[n] = good ? (char)c : '_';
    }
    plain[n] = '\0';
    return asprintf(&name, "%s-%016" PRIx64, plain, (uint64_t)XXH3_64bits(identity, strlen(identity))) < 0
               ? NULL
               : name;
}

const char *spool_identity(const struct spool *s)
{
    return s->identity;
}

const char *spool_path(const struct spool *s)
{
    return s->path;
}

static void spool_free(struct spool *s)
{
    for (struct segment *g = s->first, *next; g; g = next) {
        next = g->next;
        free(g);
    }
    for (struct spool_entry *e = s->first_entry, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    for (size_t i = 0; i < s->unsynced_count; i++)
        close(s->unsynced[i]);
    if (s->active >= 0)
        close(s->active);
    if (s->read_fd >= 0)
        close(s->read_fd);
    if (s->folder >= 0)
        close(s->folder);
    spool_free_acks(&s->restored);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->acks_lock);
    free(s->names);
    free(s->path);
    free(s->identity);
    free(s->who);
    free(s);
}

static int open_folder(struct spool *s, const char *data_dir, char **ret_error)
{
    char *name = spool_name(s->identity);
    int rc = name && asprintf(&s->path, "%s/spool/%s", data_dir, name) >= 0 ? 0 : -ENOMEM;

    free(name);
    if (rc == 0)
        s->folder = spool_folder_open(s->path);
    if (rc == 0 && s->folder < 0)
        rc = s->folder;
    if (rc < 0 &&
        asprintf(ret_error, "spool: can't open the folder %s: %s", s->path ? s->path : "", strerror(-rc)) < 0)
        *ret_error = NULL;
    return rc;
}

int spool_open(const struct spool_settings *settings, struct spool **ret, char **ret_error)
{
    struct spool *s = calloc(1, sizeof(*s));

    *ret_error = NULL;
    if (!s)
        return -ENOMEM;
    s->folder = s->active = s->read_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->acks_lock, NULL);
    s->identity = strdup(settings->identity);
    int rc = s->identity ? 0 : -ENOMEM;
    if (rc == 0) {
        s->owner = XXH3_64bits(s->identity, strlen(s->identity));
        spool_set(s, settings->who, settings->limit);
        rc = open_folder(s, settings->data_dir, ret_error);
    }
    if (rc == 0)
        rc = spool_load(s, ret_error);
    if (rc < 0) {
        spool_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void spool_set(struct spool *s, const char *who, uint64_t limit)
{
    char *copy = strdup(who);

    if (copy) {
        free(s->who);
        s->who = copy;
    }
    uint64_t size = limit / SEGMENTS_IN_LIMIT;
    s->limit = limit;
    s->segment_max = size > SEGMENT_MAX ? SEGMENT_MAX : size < SEGMENT_MIN ? SEGMENT_MIN : size;
}

void spool_on_change(struct spool *s, void (*changed)(void *), void *data)
{
    pthread_mutex_lock(&s->lock);
    s->changed = changed;
    s->changed_data = data;
    pthread_mutex_unlock(&s->lock);
}

/* -- Writing ---------------------------------------------------------------------------------------- */

bool spool_has_room(const struct spool *s)
{
    return s->bytes < s->limit;
}

/* The one that is full is left to whoever syncs. */
static void retire(struct spool *s)
{
    if (s->active_unsynced && s->unsynced_count < FULL_UNSYNCED_MAX) {
        s->unsynced[s->unsynced_count++] = s->active;
    } else {
        if (s->active_unsynced && fdatasync(s->active) < 0) /* nobody has asked for a long time */
            s->sync_error = -errno;
        close(s->active);
    }
    s->active = -1;
    s->active_unsynced = false;
}

static int begin_segment(struct spool *s)
{
    uint8_t head[SPOOL_SEGMENT_HEAD];
    char name[SPOOL_FILE_NAME];
    struct segment *g = calloc(1, sizeof(*g));

    if (!g)
        return -ENOMEM;
    spool_put_segment(head, &(struct spool_segment_head){SPOOL_VERSION, s->next_number, s->owner});
    spool_segment_name(name, s->next_number);
    int fd = spool_file_create(s->folder, name, head, sizeof(head));
    if (fd < 0) {
        free(g);
        return fd;
    }
    *g = (struct segment){.first = s->next_number, .size = SPOOL_SEGMENT_HEAD};
    WEIR_KILL_POINT("spool-segment");
    s->active = fd;
    s->folder_unsynced = s->active_unsynced = true;
    spool_add_segment(s, g);
    pthread_mutex_lock(&s->lock);
    s->bytes += g->size;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* Whether the chunk at the end of `g`, where one is about to be, is the next one to be taken. */
static bool is_next(struct spool *s, struct segment *g)
{
    while (!s->peeked && s->reading && s->reading != g && s->read_at >= s->reading->size)
        spool_leave_segment(s);
    if (!s->reading) {
        s->reading = g;
        s->read_at = g->size;
    }
    return !s->peeked && s->reading == g && s->read_at == g->size;
}

static void count_written(struct spool *s, struct segment *g, const struct spool_chunk_head *h)
{
    if (is_next(s, g)) {
        s->head = *h;
        s->peeked = true;
        free(s->names); /* to be read, should it not be taken at once */
        s->names = NULL;
    }
    if (!g->time)
        g->time = h->time;
    pthread_mutex_lock(&s->lock);
    g->size += spool_chunk_size(h);
    g->unread++;
    s->chunks++;
    s->bytes += spool_chunk_size(h);
    if (!s->unread_time)
        s->unread_time = h->time;
    pthread_mutex_unlock(&s->lock);
    s->next_number++;
    s->active_unsynced = true;
}

/*
 * Of the segment of which an append has failed: if it could not be cut back, nothing may come behind that.
 * Without a chunk it goes at once, as the next one will have its name.
 */
static void leave_failed(struct spool *s)
{
    retire(s);
    spool_recycle(s);
}

int spool_append(struct spool *s, const struct spool_chunk *c, bool *ret_next)
{
    size_t tag_size = strlen(c->tag), topic_size = strlen(c->topic);
    uint8_t head[SPOOL_CHUNK_HEAD];

    if (c->size > UINT32_MAX || tag_size > UINT32_MAX || topic_size > UINT32_MAX)
        return -EFBIG;
    if (s->active >= 0 && s->last->size >= s->segment_max)
        retire(s);
    int rc = s->active < 0 ? begin_segment(s) : 0;
    if (rc < 0)
        return rc;
    struct spool_chunk_head h = {
        .number = s->next_number,
        .time = now_ns(),
        .body_sum = spool_body_sum(s->next_number, c->tag, tag_size, c->topic, topic_size, c->data, c->size),
        .size = (uint32_t)c->size,
        .records = c->records,
        .tag_size = (uint32_t)tag_size,
        .topic_size = (uint32_t)topic_size,
    };
    spool_put_chunk(head, &h);
    struct iovec parts[] = {{head, sizeof(head)},
                            {(void *)c->tag, tag_size},
                            {(void *)c->topic, topic_size},
                            {(void *)c->data, c->size}};
    rc = spool_file_append(s->active, s->last->size, parts, 4);
    WEIR_KILL_POINT("spool-append");
    if (rc < 0)
        leave_failed(s);
    else
        count_written(s, s->last, &h);
    *ret_next = rc == 0 && s->peeked && s->head.number == h.number;
    return rc;
}

/* A descriptor of its own for whoever syncs. */
static int take_copy(int fd, bool *unsynced, int *fds, size_t *count)
{
    if (!*unsynced)
        return 0;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -errno;
    fds[(*count)++] = copy;
    *unsynced = false;
    return 0;
}

int spool_take_unsynced(struct spool *s, int fds[SPOOL_UNSYNCED_MAX], size_t *ret_count)
{
    *ret_count = 0;
    while (s->unsynced_count)
        fds[(*ret_count)++] = s->unsynced[--s->unsynced_count];
    int rc = take_copy(s->active, &s->active_unsynced, fds, ret_count);
    return rc < 0 ? rc : take_copy(s->folder, &s->folder_unsynced, fds, ret_count);
}

static void sync_fd(int fd, int *rc)
{
    if (fdatasync(fd) < 0 && *rc == 0)
        *rc = -errno;
}

int spool_sync_all(struct spool *s)
{
    int rc = 0;

    WEIR_KILL_POINT("spool-sync-all");
    while (s->unsynced_count) {
        int fd = s->unsynced[--s->unsynced_count];
        sync_fd(fd, &rc);
        close(fd);
    }
    if (s->active_unsynced)
        sync_fd(s->active, &rc);
    if (s->folder_unsynced)
        sync_fd(s->folder, &rc);
    s->active_unsynced = s->folder_unsynced = false;
    WEIR_KILL_POINT("spool-synced-all");
    return rc;
}

int spool_take_sync_error(struct spool *s)
{
    int error = s->sync_error;

    s->sync_error = 0;
    return error;
}

/* -- Keeping house ---------------------------------------------------------------------------------- */

/* Takes out of the list those of which nobody needs anything; `all`: also the one that is written. */
static struct segment *take_empty(struct spool *s, bool all)
{
    struct segment *empty = NULL, **at = &s->first, *last = NULL;

    pthread_mutex_lock(&s->lock);
    while (*at) {
        struct segment *g = *at;
        bool busy = g->unread || g->taken || (!all && (g == s->reading || (g == s->last && s->active >= 0)));
        if (busy) {
            last = g;
            at = &g->next;
            continue;
        }
        *at = g->next;
        s->bytes -= g->size;
        g->next = empty;
        empty = g;
    }
    s->last = last;
    pthread_mutex_unlock(&s->lock);
    return empty;
}

/* Whether there were any. */
static bool remove_empty(struct spool *s, bool all)
{
    struct segment *empty = take_empty(s, all);
    bool any = empty;
    char name[SPOOL_FILE_NAME];

    while (empty) {
        struct segment *g = empty;
        empty = g->next;
        spool_segment_name(name, g->first);
        if (unlinkat(s->folder, name, 0) < 0 && errno != ENOENT)
            log_warn(s->who, "spool: can't remove %s/%s: %s", s->path, name, strerror(errno));
        WEIR_KILL_POINT("spool-remove");
        free(g);
    }
    return any;
}

/* Of those that were read. Whether there were any. */
static bool remove_read(struct spool *s)
{
    while (!s->peeked && s->reading && s->reading->unread == 0 && !(s->reading == s->last && s->active >= 0))
        spool_leave_segment(s);
    return remove_empty(s, false);
}

static bool active_is_empty(struct spool *s)
{
    pthread_mutex_lock(&s->lock);
    bool empty = s->active >= 0 && !s->last->unread && !s->last->taken;
    pthread_mutex_unlock(&s->lock);
    return empty;
}

bool spool_recycle(struct spool *s)
{
    bool any = remove_read(s);

    if (spool_has_room(s) || !active_is_empty(s))
        return any;
    retire(s); /* a chunk may be as large as all the room that there is */
    return remove_read(s) || any;
}

void spool_look(struct spool *s, struct spool_stats *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = (struct spool_stats){.bytes = s->bytes, .chunks = s->chunks, .damaged = s->damaged, .cut = s->cut};
    if (s->chunks)
        ret->oldest = s->first_entry ? s->first_entry->time : s->unread_time;
    pthread_mutex_unlock(&s->lock);
}

uint64_t spool_next(const struct spool *s)
{
    return s->next_number;
}

bool spool_is_delivered(struct spool *s, uint64_t number)
{
    pthread_mutex_lock(&s->lock);
    bool all = !s->chunks || (s->first_entry ? s->first_entry->number : s->taken_to) >= number;
    pthread_mutex_unlock(&s->lock);
    return all;
}

void spool_close(struct spool *s)
{
    if (s->chunks)
        spool_sync_all(s);
    else
        remove_empty(s, true);
    spool_write_acks(s);
    spool_free(s);
}
