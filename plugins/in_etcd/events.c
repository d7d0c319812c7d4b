/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record: {"action": "add", "id": …, "origin": …, "revision": N, "settings": {…}}. What the outputs do not
 * take yet waits here, up to a bound: the history is worth keeping, and must not cost the memory of the
 * files.
 */
#include "events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weir/event.h>

#define MOST_BYTES (4u << 20)

struct etcd_events {
    const struct weir_host *host;
    struct weir_instance *instance;
    struct weir_metric *lost;
    uint8_t *data; /* whole records */
    size_t size, room;
    uint32_t count;
    bool full; /* the log says so */
};

struct etcd_events *etcd_events_create(const struct weir_host *host, struct weir_instance *instance)
{
    struct etcd_events *events = calloc(1, sizeof(*events));

    if (events)
        *events = (struct etcd_events){.host = host,
                                       .instance = instance,
                                       .lost = host->metric(instance, WEIR_COUNTER, "events_lost",
                                                            "Changes that could not be told as records.",
                                                            NULL, NULL)};
    return events;
}

void etcd_events_destroy(struct etcd_events *events)
{
    if (events)
        free(events->data);
    free(events);
}

static uint8_t *put_text(uint8_t *p, const char *text)
{
    return weir_put_str(p, text, (uint32_t)strlen(text));
}

static uint8_t *put_pair(uint8_t *p, const char *name, const char *text)
{
    return put_text(put_text(p, name), text);
}

static size_t most_bytes(const struct etcd_change *change)
{
    const struct etcd_entry *e = change->entry;
    struct weir_setting settings[ETCD_MOST_SETTINGS];
    size_t size = 256 + strlen(change->id) + etcd_entry_origin_room(e);

    etcd_entry_settings(e, settings);
    for (size_t i = 0; i < etcd_entry_count(e); i++)
        size += 2 * WEIR_MAX_STR + strlen(settings[i].name) + strlen(settings[i].value);
    return size;
}

static bool repeats(const struct weir_setting *settings, size_t i)
{
    return i && !strcmp(settings[i].name, settings[i - 1].name);
}

/* A list is several settings of one name, which stand together. */
static uint8_t *put_settings(uint8_t *p, const struct etcd_entry *e)
{
    struct weir_setting settings[ETCD_MOST_SETTINGS];
    size_t count = etcd_entry_settings(e, settings);
    uint32_t names = 0;

    for (size_t i = 0; i < count; i++)
        names += !repeats(settings, i);
    p = weir_put_map(p, names);
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && repeats(settings, end))
            end++;
        p = put_text(p, settings[i].name);
        if (end - i > 1)
            p = weir_put_array(p, (uint32_t)(end - i));
        for (; i < end; i++)
            p = put_text(p, settings[i].value);
    }
    return p;
}

/* "logAgentConf[3]", its length first. */
static uint8_t *put_origin(uint8_t *p, const struct etcd_entry *e)
{
    char number[24];
    const char *key = etcd_entry_key(e);
    size_t size = (size_t)snprintf(number, sizeof(number), "[%" PRIu32 "]", e->number), length = strlen(key);

    p = weir_put_str_head(p, (uint32_t)(length + size));
    return mempcpy(mempcpy(p, key, length), number, size);
}

static uint8_t *put_change(uint8_t *p, const struct etcd_change *change)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    p = weir_put_record(p, (uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, 5);
    p = put_pair(p, "action", change->action);
    p = put_pair(p, "id", change->id);
    p = put_origin(put_text(p, "origin"), change->entry);
    p = weir_put_int(put_text(p, "revision"), change->revision);
    return put_settings(put_text(p, "settings"), change->entry);
}

static void lose(struct etcd_events *events)
{
    events->host->metric_add(events->lost, 1);
    if (!events->full)
        events->host->log(
            events->instance, WEIR_LOG_WARN,
            "changes are not told as records any more, since no output takes them; does one match the "
            "tag '%s'?",
            events->host->tag(events->instance));
    events->full = true;
}

void etcd_events_add(struct etcd_events *events, const struct etcd_change *change)
{
    size_t need = most_bytes(change);

    if (events->size + need > MOST_BYTES) {
        lose(events);
        return;
    }
    if (events->room - events->size < need) {
        size_t room = (events->size + need) * 2;
        uint8_t *larger = realloc(events->data, room);
        if (!larger) {
            lose(events);
            return;
        }
        events->data = larger;
        events->room = room;
    }
    events->size = (size_t)(put_change(events->data + events->size, change) - events->data);
    events->count++;
}

void etcd_events_send(struct etcd_events *events)
{
    struct weir_draft *draft;

    if (!events->count || events->host->chunk_begin(events->instance, NULL, NULL, events->size, &draft) < 0)
        return;
    memcpy(draft->data + draft->size, events->data, events->size);
    draft->size += events->size;
    draft->records += events->count;
    events->host->chunk_send(draft, NULL, 0);
    free(events->data);
    events->data = NULL;
    events->size = events->room = 0;
    events->count = 0;
    events->full = false;
}
