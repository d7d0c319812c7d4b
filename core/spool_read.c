/* SPDX-License-Identifier: Apache-2.0 */
/* Reading chunks back, in order, over whatever is damaged. Loop. */
#include "spool_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What was in the segment and could not be read is not waited for. */
void spool_leave_segment(struct spool *s)
{
    struct segment *g = s->reading;

    pthread_mutex_lock(&s->lock);
    s->chunks -= g->unread;
    g->unread = 0;
    s->unread_time = g->next && g->next->unread ? g->next->time : 0;
    pthread_mutex_unlock(&s->lock);
    if (s->read_fd >= 0)
        close(s->read_fd);
    s->read_fd = -1;
    s->peeked = false;
    s->reading = g->next;
    s->read_at = SPOOL_SEGMENT_HEAD;
}

void spool_pass_over(struct spool *s)
{
    s->read_at += spool_chunk_size(&s->head);
    s->peeked = false;
}

static int find_behind_damage(struct spool *s)
{
    uint8_t *data;
    size_t size, found;
    char name[SPOOL_FILE_NAME];

    spool_segment_name(name, s->reading->first);
    int rc = spool_file_read(s->folder, name, &data, &size);
    if (rc < 0)
        return rc;
    if (size > s->reading->size)
        size = s->reading->size;
    if (s->read_at < size) {
        if (spool_find_chunk(data, size, s->read_at, 0, &s->head, &found) < 0)
            found = size;
        if (found > s->read_at)
            spool_set_aside(s, s->reading, s->read_at, data + s->read_at, found - s->read_at);
        s->read_at = found;
    } else { /* somebody has cut the file */
        spool_say_missing(s, s->reading, s->read_at, s->reading->size - s->read_at);
        s->read_at = s->reading->size;
    }
    free(data);
    return 0;
}

static int open_reading(struct spool *s)
{
    char name[SPOOL_FILE_NAME];

    spool_segment_name(name, s->reading->first);
    if (s->read_fd < 0)
        s->read_fd = spool_file_open(s->folder, name);
    return s->read_fd < 0 ? s->read_fd : 0;
}

/* The head at read_at. 0; -EBADMSG: read_at has moved to where the next may be; or of the disk. */
static int read_head(struct spool *s)
{
    uint8_t head[SPOOL_CHUNK_HEAD];
    int rc = open_reading(s);

    if (rc == 0)
        rc = spool_file_get(s->read_fd, s->read_at, head, sizeof(head));
    if (rc == 0)
        rc = spool_get_chunk(head, sizeof(head), &s->head);
    if (rc == 0 && spool_chunk_size(&s->head) > s->reading->size - s->read_at)
        rc = -EBADMSG;
    if (rc != -EBADMSG)
        return rc;
    rc = find_behind_damage(s);
    return rc < 0 ? rc : -EBADMSG;
}

static int read_names(struct spool *s)
{
    size_t tag = s->head.tag_size, topic = s->head.topic_size;
    uint64_t at = s->read_at + SPOOL_CHUNK_HEAD;
    char *names = malloc(tag + topic + 2);

    if (!names)
        return -ENOMEM;
    int rc = open_reading(s);
    if (rc == 0)
        rc = spool_file_get(s->read_fd, at, (uint8_t *)names, tag);
    if (rc == 0)
        rc = spool_file_get(s->read_fd, at + tag, (uint8_t *)names + tag + 1, topic);
    if (rc < 0) {
        free(names);
        return rc;
    }
    names[tag] = names[tag + 1 + topic] = '\0';
    free(s->names);
    s->names = names;
    return 0;
}

static void skip_damaged(struct spool *s)
{
    size_t size = (size_t)spool_chunk_size(&s->head);
    uint8_t *data = malloc(size);

    if (data && spool_file_get(s->read_fd, s->read_at, data, size) == 0)
        spool_set_aside(s, s->reading, s->read_at, data, size);
    else
        spool_say_missing(s, s->reading, s->read_at, size);
    free(data);
    pthread_mutex_lock(&s->lock);
    s->reading->unread--;
    s->chunks--;
    pthread_mutex_unlock(&s->lock);
    spool_pass_over(s);
}

/* As spool_peek, of the head only. */
static int peek_head(struct spool *s)
{
    while (!s->peeked) {
        if (!s->reading)
            return 0;
        if (s->read_at >= s->reading->size) {
            if (s->reading == s->last && s->active >= 0)
                return 0;
            spool_leave_segment(s);
            continue;
        }
        int rc = read_head(s);
        if (rc == -EBADMSG)
            continue;
        if (rc == 0 && spool_acks_has(&s->restored, s->head.number)) {
            spool_pass_over(s);
            continue;
        }
        if (rc < 0)
            return rc;
        free(s->names);
        s->names = NULL;
        s->peeked = true;
    }
    return 1;
}

int spool_peek(struct spool *s, struct spool_chunk *ret)
{
    int rc;

    while ((rc = peek_head(s)) == 1 && !s->names && (rc = read_names(s)) == -EBADMSG)
        skip_damaged(s);
    if (rc < 0 || !s->peeked)
        return rc;
    *ret = (struct spool_chunk){.tag = s->names,
                                .topic = s->names + s->head.tag_size + 1,
                                .size = s->head.size,
                                .records = s->head.records};
    return 1;
}

int spool_read(struct spool *s, uint8_t *data)
{
    const struct spool_chunk_head *h = &s->head;
    size_t names = (size_t)h->tag_size + h->topic_size;
    int rc = spool_file_get(s->read_fd, s->read_at + SPOOL_CHUNK_HEAD + names, data, h->size);

    if (rc < 0 && rc != -EBADMSG)
        return rc;
    if (rc == 0 && spool_body_sum(h->number, s->names, h->tag_size, s->names + h->tag_size + 1, h->topic_size,
                                  data, h->size) == h->body_sum)
        return 0;
    skip_damaged(s);
    return -EBADMSG;
}
