/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks that were taken, and the file of what is acknowledged. Any thread; the lock guards the list. */
#include "spool_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "log.h"

/* Of the number that is taken next. */
static void add_had(struct spool *s, struct spool_entry *e, const struct spool_acks_item *item)
{
    for (uint32_t i = 0; item && i < item->count; i++)
        e->outputs[e->count++] = s->restored.outputs[item->first + i];
}

struct spool_entry *spool_take(struct spool *s, size_t outputs)
{
    const struct spool_acks_item *item = spool_acks_item(&s->restored, s->head.number);
    size_t room = outputs + (item ? item->count : 0);
    struct spool_entry *e = calloc(1, sizeof(*e) + room * sizeof(uint64_t));

    if (!e)
        return NULL;
    *e = (struct spool_entry){.spool = s,
                              .segment = s->reading,
                              .number = s->head.number,
                              .time = s->head.time,
                              .room = (uint32_t)room};
    add_had(s, e, item);
    pthread_mutex_lock(&s->lock);
    e->segment->unread--;
    e->segment->taken++;
    e->prev = s->last_entry;
    if (s->last_entry)
        s->last_entry->next = e;
    else
        s->first_entry = e;
    s->last_entry = e;
    if (!e->segment->unread)
        s->unread_time = e->segment->next && e->segment->next->unread ? e->segment->next->time : 0;
    else
        s->unread_time = e->time;
    s->taken_to = s->head.number + 1;
    s->acks_changed = true;
    pthread_mutex_unlock(&s->lock);
    spool_pass_over(s);
    return e;
}

bool spool_entry_had(const struct spool_entry *e, uint64_t output)
{
    bool had = false;

    pthread_mutex_lock(&e->spool->lock);
    for (uint32_t i = 0; i < e->count; i++)
        had = had || e->outputs[i] == output;
    pthread_mutex_unlock(&e->spool->lock);
    return had;
}

void spool_entry_note(struct spool_entry *e, uint64_t output)
{
    pthread_mutex_lock(&e->spool->lock);
    if (e->count < e->room)
        e->outputs[e->count++] = output;
    e->spool->acks_changed = true;
    pthread_mutex_unlock(&e->spool->lock);
}

static void unlink_entry(struct spool *s, struct spool_entry *e)
{
    if (e->prev)
        e->prev->next = e->next;
    else
        s->first_entry = e->next;
    if (e->next)
        e->next->prev = e->prev;
    else
        s->last_entry = e->prev;
}

void spool_entry_done(struct spool_entry *e, bool all)
{
    struct spool *s = e->spool;

    pthread_mutex_lock(&s->lock);
    if (all) {
        unlink_entry(s, e);
        e->segment->taken--;
        s->chunks--;
    }
    e->kept = !all;
    s->acks_changed = true;
    if (s->changed)
        s->changed(s->changed_data);
    pthread_mutex_unlock(&s->lock);
    if (all)
        free(e);
}

/* What is known after a restart of chunks that are not taken again yet. */
static size_t first_restored(const struct spool *s)
{
    size_t i = 0;

    while (i < s->restored.count && s->restored.items[i].number < s->taken_to)
        i++;
    return i;
}

static void put_item(struct spool_acks *a, uint64_t number, const uint64_t *outputs, uint32_t count)
{
    a->items[a->count++] = (struct spool_acks_item){number, count, (uint32_t)a->output_count};
    if (count)
        memcpy(a->outputs + a->output_count, outputs, count * sizeof(uint64_t));
    a->output_count += count;
}

/* Under the lock. */
static int gather_acks(const struct spool *s, struct spool_acks *a)
{
    size_t items = s->restored.count, outputs = s->restored.output_count;

    for (const struct spool_entry *e = s->first_entry; e; e = e->next, items++)
        outputs += e->count;
    a->items = calloc(items + 1, sizeof(*a->items));
    a->outputs = calloc(outputs + 1, sizeof(*a->outputs));
    if (!a->items || !a->outputs)
        return -ENOMEM;
    for (const struct spool_entry *e = s->first_entry; e; e = e->next)
        put_item(a, e->number, e->outputs, e->count);
    for (size_t i = first_restored(s); i < s->restored.count; i++) {
        const struct spool_acks_item *item = &s->restored.items[i];
        put_item(a, item->number, s->restored.outputs + item->first, item->count);
    }
    a->next = s->taken_to > s->restored.next ? s->taken_to : s->restored.next;
    a->low = a->count ? a->items[0].number : a->next;
    return 0;
}

static int write_acks(struct spool *s)
{
    struct spool_acks a = {0};
    size_t size;

    pthread_mutex_lock(&s->lock);
    bool changed = s->acks_changed;
    int rc = changed ? gather_acks(s, &a) : 0;
    if (rc == 0)
        s->acks_changed = false;
    pthread_mutex_unlock(&s->lock);
    uint8_t *data = changed && rc == 0 ? spool_put_acks(&a, &size) : NULL;
    if (data)
        rc = spool_file_replace(s->folder, "acks", data, size);
    else if (changed && rc == 0)
        rc = -ENOMEM;
    free(data);
    spool_free_acks(&a);
    if (rc < 0) {
        pthread_mutex_lock(&s->lock);
        s->acks_changed = true;
        pthread_mutex_unlock(&s->lock);
    }
    return rc;
}

int spool_write_acks(struct spool *s)
{
    pthread_mutex_lock(&s->acks_lock);
    int rc = write_acks(s);
    if (rc < 0 && !s->acks_failing)
        log_error(s->who,
                  "spool: can't write %s/acks: %s; a kill now would deliver again what outputs have already",
                  s->path, strerror(-rc));
    else if (rc == 0 && s->acks_failing)
        log_info(s->who, "spool: %s/acks is written again", s->path);
    s->acks_failing = rc < 0;
    pthread_mutex_unlock(&s->acks_lock);
    return rc;
}
