/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks that inputs of the fake host send, and their acknowledgement. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weir/event.h>
#include "private.h"

struct fake_draft {
    struct weir_draft api; /* first */
    struct weir_fake *host;
    struct weir_instance *instance;
    char *tag, *topic;
    struct fake_draft *next;
};

struct fake_sent {
    struct weir_fake_chunk chunk;
    struct weir_stream **streams;
};

static int host_chunk_begin(struct weir_instance *i, const char *tag, const char *topic, size_t size,
                            struct weir_draft **ret)
{
    struct fake_draft *d;

    if (!fake_may(i, "chunk_begin"))
        return -EINVAL;
    if (!i->plugin->resume) {
        fake_misuse(i->host, i, "chunk_begin: an input that begins chunks must have the callback 'resume'");
        return -EINVAL;
    }
    if (i->room == 0)
        return -EAGAIN;
    i->room -= i->room != SIZE_MAX;
    d = fake_zeroed(sizeof(*d));
    /* exactly what was asked for, so that a sanitizer sees any byte beyond */
    d->api = (struct weir_draft){
        .struct_size = sizeof(d->api), .data = fake_zeroed(size ? size : 1), .capacity = size};
    d->host = i->host;
    d->instance = i;
    d->tag = fake_copy(tag ? tag : i->tag);
    d->topic = fake_copy(topic ? topic : i->topic);
    d->next = i->host->drafts;
    i->host->drafts = d;
    *ret = &d->api;
    return 0;
}

static int host_chunk_grow(struct weir_draft **draft, size_t room)
{
    struct weir_draft *d = *draft;

    if (d->capacity - d->size < room) {
        d->capacity = d->size + room;
        d->data = fake_must(realloc(d->data, d->capacity));
    }
    return 0;
}

static void unlink_draft(struct fake_draft *d)
{
    struct fake_draft **at = &d->host->drafts;

    while (*at && *at != d)
        at = &(*at)->next;
    if (*at)
        *at = d->next;
}

static void free_draft(struct fake_draft *d)
{
    unlink_draft(d);
    free(d->api.data);
    free(d->tag);
    free(d->topic);
    free(d);
}

static uint32_t count_records(const struct weir_draft *d, bool *ret_whole)
{
    struct weir_cursor cursor;
    struct weir_record record;
    uint32_t count = 0;
    int r;

    weir_cursor_init(&cursor, d->data, d->size);
    while ((r = weir_cursor_next(&cursor, &record)) > 0)
        count++;
    *ret_whole = r == 0;
    return count;
}

/* What can be wrong with a draft that is sent. */
static bool is_sound(struct fake_draft *d, const struct weir_position *positions, size_t count)
{
    bool whole = true;
    uint32_t records = d->api.size <= d->api.capacity ? count_records(&d->api, &whole) : 0;

    if (d->api.size > d->api.capacity)
        fake_misuse(d->host, d->instance, "chunk_send: %zu bytes were written, where there was room for %zu",
                    d->api.size, d->api.capacity);
    else if (!whole)
        fake_misuse(d->host, d->instance, "chunk_send: record %u of the chunk is no record", records + 1);
    else if (records != d->api.records)
        fake_misuse(d->host, d->instance, "chunk_send: the draft says %u records and has %u", d->api.records,
                    records);
    for (size_t k = 0; k < count; k++)
        for (size_t other = 0; other < k; other++)
            if (positions[k].stream == positions[other].stream)
                fake_misuse(d->host, d->instance, "chunk_send: the stream '%s' is named twice",
                            fake_stream_key(positions[k].stream));
    return d->api.size <= d->api.capacity;
}

static void host_chunk_send(struct weir_draft *draft, const struct weir_position *positions, size_t count)
{
    struct fake_draft *d = (struct fake_draft *)(void *)draft;

    if (fake_may(d->instance, "chunk_send") && is_sound(d, positions, count))
        fake_add_sent(d->host, d->instance, positions, count, d);
    free_draft(d);
}

static void host_chunk_cancel(struct weir_draft *draft)
{
    struct fake_draft *d = (struct fake_draft *)(void *)draft;

    fake_on_thread(d->host, d->instance, "chunk_cancel");
    free_draft(d);
}

void fake_drafts_left(struct weir_instance *i)
{
    struct fake_draft *d, *next;

    for (d = i->host->drafts; d; d = next) {
        next = d->next;
        if (d->instance != i)
            continue;
        fake_misuse(i->host, i,
                    "chunk_begin: a draft is neither sent nor cancelled by the instance that goes");
        free_draft(d);
    }
}

/* -- What was sent -------------------------------------------------------------------------------------- */

static void commit_next(struct weir_fake *h)
{
    struct fake_sent *sent = &h->sent[h->acknowledged++];

    for (size_t i = 0; i < sent->chunk.count; i++)
        fake_stream_committed(sent->streams[i], &sent->chunk.positions[i]);
}

static void *grow(void *p, size_t count, size_t size)
{
    return fake_must(realloc(p, (count + 1) * size));
}

/* Takes the draft's memory over. */
static void take(struct weir_fake_chunk *chunk, struct fake_draft *d)
{
    chunk->data = d->api.data;
    chunk->size = d->api.size;
    chunk->records = d->api.records;
    chunk->tag = d->tag;
    chunk->topic = d->topic;
    d->api.data = NULL;
    d->tag = d->topic = NULL;
}

void fake_add_sent(struct weir_fake *h, struct weir_instance *i, const struct weir_position *positions,
                   size_t count, struct fake_draft *draft)
{
    struct fake_sent sent = {.streams = fake_zeroed((count + 1) * sizeof(struct weir_stream *))};
    struct weir_fake_position *copies = fake_zeroed((count + 1) * sizeof(*copies));

    for (size_t k = 0; k < count; k++) {
        const struct weir_position *p = &positions[k];
        fake_stream_sent(p->stream, p);
        sent.streams[k] = p->stream;
        copies[k] = (struct weir_fake_position){fake_copy(fake_stream_key(p->stream)), p->offset, p->token};
    }
    sent.chunk =
        (struct weir_fake_chunk){.instance = i, .positions = copies, .count = count, .advance = !draft};
    if (draft)
        take(&sent.chunk, draft);
    h->sent = grow(h->sent, h->sent_count, sizeof(*h->sent));
    h->view = grow(h->view, h->sent_count, sizeof(*h->view));
    h->sent[h->sent_count] = sent;
    h->view[h->sent_count++] = sent.chunk;
    while (h->at_once && h->acknowledged < h->sent_count)
        commit_next(h);
}

void weir_fake_acknowledge_at_once(struct weir_fake *h, bool at_once)
{
    h->at_once = at_once;
}

void weir_fake_acknowledge(struct weir_fake *h, size_t count)
{
    while (count-- && h->acknowledged < h->sent_count)
        commit_next(h);
}

const struct weir_fake_chunk *weir_fake_chunks(const struct weir_fake *h, size_t *ret_count)
{
    *ret_count = h->sent_count;
    return h->view;
}

static void put_line(char **text, size_t *size, const struct weir_value *value)
{
    *text = fake_must(realloc(*text, *size + value->size + 2));
    memcpy(*text + *size, value->data, value->size);
    *size += value->size;
    (*text)[(*size)++] = '\n';
    (*text)[*size] = '\0';
}

char *weir_fake_text(const struct weir_fake *h, const char *key)
{
    char *text = fake_zeroed(1);
    size_t size = 0;

    for (size_t k = 0; k < h->sent_count; k++) {
        struct weir_cursor cursor;
        struct weir_record record;
        struct weir_value value;
        weir_cursor_init(&cursor, h->view[k].data, h->view[k].size);
        while (weir_cursor_next(&cursor, &record) > 0)
            if (weir_record_find(&record, key, strlen(key), &value) && value.type == WEIR_TYPE_STR)
                put_line(&text, &size, &value);
    }
    return text;
}

void weir_fake_forget(struct weir_fake *h)
{
    weir_fake_acknowledge(h, SIZE_MAX);
    fake_chunks_finish(h);
    fake_streams_drop_forgotten(h);
    fake_words_finish(h);
}

void fake_chunks_finish(struct weir_fake *h)
{
    for (size_t k = 0; k < h->sent_count; k++) {
        struct fake_sent *s = &h->sent[k];
        for (size_t p = 0; p < s->chunk.count; p++)
            free(s->chunk.positions[p].key);
        free(s->chunk.positions);
        free(s->chunk.data);
        free(s->chunk.tag);
        free(s->chunk.topic);
        free(s->streams);
    }
    free(h->sent);
    free(h->view);
    h->sent = NULL;
    h->view = NULL;
    h->sent_count = h->acknowledged = 0;
}

void fake_chunks(struct weir_host *table)
{
    table->chunk_begin = host_chunk_begin;
    table->chunk_grow = host_chunk_grow;
    table->chunk_send = host_chunk_send;
    table->chunk_cancel = host_chunk_cancel;
}
