/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of the fake host: what was sent and what was committed of each. They outlive their instance. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "private.h"

enum { LONGEST_KEY = 512, LARGEST_META = 4096 };

struct weir_stream {
    struct weir_stream *next;
    struct weir_fake *host;
    struct weir_instance *user; /* who has it open */
    char *alias, *key;
    uint64_t offset, token, committed, committed_token;
    bool sent_known, committed_known, forgotten;
    uint8_t *meta;
    size_t meta_size;
};

static bool is_key(const char *key)
{
    size_t size = key ? strlen(key) : 0;

    for (size_t k = 0; k < size; k++)
        if ((unsigned char)key[k] < 32 || key[k] == 127)
            return false;
    return size >= 1 && size <= LONGEST_KEY;
}

static bool may(struct weir_stream *s, const char *function)
{
    if (!s->user) {
        fake_misuse(s->host, NULL, "%s: the stream '%s' is closed", function, s->key);
        return false;
    }
    return fake_on_thread(s->host, s->user, function);
}

static struct weir_stream *find(struct weir_instance *i, const char *key)
{
    struct weir_stream *s = i->host->streams;

    while (s && (s->forgotten || strcmp(s->alias, i->alias) != 0 || strcmp(s->key, key) != 0))
        s = s->next;
    return s;
}

static struct weir_stream *host_stream_open(struct weir_instance *i, const char *key)
{
    struct weir_stream *s;

    if (!fake_may(i, "stream_open"))
        return NULL;
    if (!is_key(key)) {
        fake_misuse(i->host, i, "stream_open: a key has 1 to %d bytes, and no control characters",
                    LONGEST_KEY);
        return NULL;
    }
    s = find(i, key);
    if (!s) {
        s = fake_zeroed(sizeof(*s));
        s->host = i->host;
        s->alias = fake_copy(i->alias);
        s->key = fake_copy(key);
        s->next = i->host->streams;
        i->host->streams = s;
    }
    if (s->user)
        fake_misuse(i->host, i, "stream_open: '%s' is open already", key);
    s->user = i;
    return s;
}

static struct weir_stream_state state_of(const struct weir_stream *s)
{
    return (struct weir_stream_state){
        .struct_size = sizeof(struct weir_stream_state),
        .known = s->sent_known || s->committed_known,
        .key = s->key,
        .offset = s->sent_known ? s->offset : s->committed,
        .token = s->sent_known ? s->token : s->committed_token,
        .committed = s->committed,
        .meta = s->meta,
        .meta_size = s->meta_size,
        .open = s->user != NULL,
    };
}

static void host_stream_state(struct weir_stream *s, struct weir_stream_state *ret)
{
    struct weir_stream_state state = state_of(s);
    uint32_t size = ret->struct_size;

    if (!may(s, "stream_state"))
        return;
    if (size < sizeof(uint32_t) || size > 4096) {
        fake_misuse(s->host, s->user, "stream_state: struct_size is not set");
        return;
    }
    memcpy(ret, &state, size < sizeof(state) ? size : sizeof(state));
    ret->struct_size = size;
}

static int host_stream_each(struct weir_instance *i, int (*fn)(void *, const struct weir_stream_state *),
                            void *data)
{
    int r = 0;

    if (!fake_may(i, "stream_each"))
        return -EPERM;
    for (struct weir_stream *s = i->host->streams; s && r == 0; s = s->next) {
        struct weir_stream_state state = state_of(s);
        if (state.known && !s->forgotten && strcmp(s->alias, i->alias) == 0)
            r = fn(data, &state);
    }
    return r;
}

static int host_stream_set_meta(struct weir_stream *s, const void *meta, size_t size)
{
    if (!may(s, "stream_set_meta"))
        return -EPERM;
    if (size > LARGEST_META)
        return -EMSGSIZE;
    free(s->meta);
    s->meta = fake_zeroed(size ? size : 1);
    if (size)
        memcpy(s->meta, meta, size);
    s->meta_size = size;
    return 0;
}

static int host_stream_advance(struct weir_stream *s, uint64_t offset, uint64_t token)
{
    struct weir_position position = {s, offset, token};

    if (!may(s, "stream_advance"))
        return -EPERM;
    fake_add_sent(s->host, NULL, &position, 1, NULL);
    return 0;
}

static void host_stream_close(struct weir_stream *s)
{
    if (may(s, "stream_close"))
        s->user = NULL;
}

static void host_stream_forget(struct weir_stream *s)
{
    if (!may(s, "stream_forget"))
        return;
    s->user = NULL;
    s->forgotten = true;
}

/* -- For the chunks that name them ---------------------------------------------------------------------- */

const char *fake_stream_key(const struct weir_stream *s)
{
    return s->key;
}

void fake_stream_sent(struct weir_stream *s, const struct weir_position *p)
{
    if (!s->user)
        fake_misuse(s->host, NULL, "chunk_send: the stream '%s' is closed", s->key);
    if (s->sent_known && p->offset < s->offset)
        fake_misuse(s->host, s->user, "chunk_send: the offset of '%s' goes down, from %llu to %llu", s->key,
                    (unsigned long long)s->offset, (unsigned long long)p->offset);
    s->offset = p->offset;
    s->token = p->token;
    s->sent_known = true;
}

void fake_stream_committed(struct weir_stream *s, const struct weir_fake_position *p)
{
    s->committed = p->offset;
    s->committed_token = p->token;
    s->committed_known = true;
}

void fake_streams_left(struct weir_instance *i)
{
    for (struct weir_stream *s = i->host->streams; s; s = s->next) {
        if (s->user != i)
            continue;
        s->user = NULL;
        fake_misuse(i->host, i, "stream_open: the stream '%s' is left open by the instance that goes",
                    s->key);
    }
}

/* -- For tests ------------------------------------------------------------------------------------------ */

void weir_fake_crash(struct weir_fake *h)
{
    if (h->instances)
        fake_misuse(h, NULL, "weir_fake_crash: an instance is there");
    h->acknowledged = h->sent_count; /* what was under way never comes back */
    for (struct weir_stream *s = h->streams; s; s = s->next)
        s->sent_known = false;
}

size_t weir_fake_stream_count(const struct weir_fake *h, const char *alias)
{
    size_t count = 0;

    for (const struct weir_stream *s = h->streams; s; s = s->next)
        count += !s->forgotten && (s->sent_known || s->committed_known) && strcmp(s->alias, alias) == 0;
    return count;
}

static void free_stream(struct weir_stream *s)
{
    free(s->alias);
    free(s->key);
    free(s->meta);
    free(s);
}

void fake_streams_drop_forgotten(struct weir_fake *h)
{
    struct weir_stream **at = &h->streams, *s;

    while ((s = *at)) {
        if (s->forgotten) {
            *at = s->next;
            free_stream(s);
        } else {
            at = &s->next;
        }
    }
}

void fake_streams_finish(struct weir_fake *h)
{
    struct weir_stream *s;

    while ((s = h->streams)) {
        h->streams = s->next;
        free_stream(s);
    }
}

void fake_streams(struct weir_host *table)
{
    table->stream_open = host_stream_open;
    table->stream_state = host_stream_state;
    table->stream_each = host_stream_each;
    table->stream_set_meta = host_stream_set_meta;
    table->stream_advance = host_stream_advance;
    table->stream_forget = host_stream_forget;
    table->stream_close = host_stream_close;
}
