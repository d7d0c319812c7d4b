/* SPDX-License-Identifier: Apache-2.0 */
/* The host of fake_host.h. Owns all it hands out. One thread. */
#include "fake_host.h"

#undef NDEBUG /* a test without its checks is none */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

struct weir_watch {
    struct weir_loop *loop;
    struct weir_watch *next;
    int fd;
    weir_watch_fn fn;
    void *data;
    bool removed;
};

struct weir_timer {
    struct weir_loop *loop;
    struct weir_timer *next;
    uint64_t due, repeat; /* due 0: not running */
    weir_call_fn fn;
    void *data;
};

struct call {
    struct call *next;
    weir_call_fn fn;
    void *data;
};

struct weir_loop {
    int epoll;
    uint64_t skipped; /* ns that fake_later has added to the clock */
    struct weir_watch *watches, *dead;
    struct weir_timer *timers;
    struct call *first, **last;
};

struct weir_stream {
    struct weir_stream *next;
    char *alias, *key;
    uint64_t offset, token, committed, committed_token;
    bool sent_known, committed_known, open, forgotten;
    uint8_t *meta;
    size_t meta_size;
};

struct sent {
    struct fake_chunk chunk;
    struct weir_stream **streams;
};

struct draft {
    struct weir_draft api;
    struct weir_instance *instance;
    struct draft *next;
};

struct weir_metric {
    struct weir_metric *next;
    char *name, *label;
    int64_t value;
};

struct memory {
    struct memory *next;
    void *bytes;
};

struct weir_instance {
    struct fake_host *host;
    const struct weir_plugin *plugin;
    char *alias;
    void *self, *config;
    struct memory *memory;
    struct weir_metric *metrics;
    uint64_t done, total;
    size_t room; /* SIZE_MAX: no limit */
    bool stopped, ended;
};

struct fake_host {
    struct weir_host api; /* first: what a plugin gets */
    struct weir_loop loop;
    struct weir_stream *streams;
    struct sent *sent;
    struct fake_chunk *view;
    size_t sent_count, acknowledged, instances;
    struct draft *drafts;
    char **lines;
    size_t line_count;
    char *error;
    bool at_once;
};

static void *must(void *p)
{
    assert(p);
    return p;
}

static void *grow(void *p, size_t count, size_t size)
{
    return must(realloc(p, (count + 1) * size));
}

/* -- Words ------------------------------------------------------------------------------------------- */

static void add_line(struct fake_host *h, const char *kind, const char *format, va_list args)
{
    char *text, *line;
    assert(vasprintf(&text, format, args) >= 0);
    assert(asprintf(&line, "%s %s", kind, text) >= 0);
    free(text);
    if (getenv("FAKE_HOST_LOG")) {
        fprintf(stderr, "%s\n", line);
    }
    h->lines = grow(h->lines, h->line_count, sizeof(*h->lines));
    h->lines[h->line_count++] = line;
}

static void host_log(struct weir_instance *i, enum weir_log_level level, const char *format, ...)
{
    static const char *const names[] = {"", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
    va_list args;
    va_start(args, format);
    add_line(i->host, names[level], format, args);
    va_end(args);
}

static bool host_log_enabled(struct weir_instance *i, enum weir_log_level level)
{
    (void)i;
    (void)level;
    return true;
}

static void host_error(struct weir_instance *i, const char *format, ...)
{
    va_list args;
    free(i->host->error);
    i->host->error = NULL;
    if (format) {
        va_start(args, format);
        assert(vasprintf(&i->host->error, format, args) >= 0);
        va_end(args);
    }
}

static void host_fail(struct weir_instance *i, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(i->host, "FAIL", format, args);
    va_end(args);
}

/* -- Numbers ------------------------------------------------------------------------------------------- */

static struct weir_metric *find_metric(const struct weir_instance *i, const char *name, const char *label)
{
    struct weir_metric *m = i->metrics;
    while (m && (strcmp(m->name, name) != 0 || strcmp(m->label, label ? label : "") != 0)) {
        m = m->next;
    }
    return m;
}

static struct weir_metric *host_metric(struct weir_instance *i, enum weir_metric_kind kind, const char *name,
                                       const char *help, const char *label, const char *value)
{
    struct weir_metric *m = find_metric(i, name, value);
    assert(help && (kind == WEIR_COUNTER || kind == WEIR_GAUGE) && !label == !value);
    if (!m) {
        m = must(calloc(1, sizeof(*m)));
        m->name = must(strdup(name));
        m->label = must(strdup(value ? value : ""));
        m->next = i->metrics;
        i->metrics = m;
    }
    return m;
}

static void host_metric_add(struct weir_metric *m, uint64_t n)
{
    m->value += (int64_t)n;
}

static void host_metric_set(struct weir_metric *m, int64_t value)
{
    m->value = value;
}

int64_t fake_metric(const struct weir_instance *i, const char *name, const char *label_value)
{
    struct weir_metric *m = find_metric(i, name, label_value);
    return m ? m->value : -1;
}

/* -- Life ------------------------------------------------------------------------------------------------ */

static void host_stopped(struct weir_instance *i)
{
    assert(!i->stopped);
    i->stopped = true;
}

static void host_ended(struct weir_instance *i)
{
    assert(!i->ended);
    i->ended = true;
}

static void host_progress(struct weir_instance *i, uint64_t done, uint64_t total)
{
    i->done = done;
    i->total = total;
}

static const char *host_alias(struct weir_instance *i)
{
    return i->alias;
}

static const char *host_empty(struct weir_instance *i)
{
    (void)i;
    return "";
}

/* -- The loop -----------------------------------------------------------------------------------------------
 */

static uint64_t now(const struct weir_loop *loop)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + loop->skipped;
}

static struct weir_loop *host_loop(struct weir_instance *i)
{
    return &i->host->loop;
}

static struct weir_watch *host_watch_add(struct weir_loop *loop, int fd, uint32_t events, weir_watch_fn fn,
                                         void *data)
{
    struct weir_watch *w = must(calloc(1, sizeof(*w)));
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
        free(w);
        return NULL;
    }
    *w = (struct weir_watch){.loop = loop, .next = loop->watches, .fd = fd, .fn = fn, .data = data};
    loop->watches = w;
    return w;
}

static int host_watch_set(struct weir_watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    return epoll_ctl(w->loop->epoll, EPOLL_CTL_MOD, w->fd, &e) < 0 ? -errno : 0;
}

static void host_watch_remove(struct weir_watch *w)
{
    struct weir_watch **at = &w->loop->watches;
    while (*at != w) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = w->next;
    assert(epoll_ctl(w->loop->epoll, EPOLL_CTL_DEL, w->fd, NULL) == 0);
    w->removed = true;
    w->next = w->loop->dead; /* an event for it may be pending: freed at the end of the turn */
    w->loop->dead = w;
}

static struct weir_timer *host_timer_add(struct weir_loop *loop, weir_call_fn fn, void *data)
{
    struct weir_timer *t = must(calloc(1, sizeof(*t)));
    *t = (struct weir_timer){.loop = loop, .next = loop->timers, .fn = fn, .data = data};
    loop->timers = t;
    return t;
}

static void host_timer_set(struct weir_timer *t, uint64_t first, uint64_t repeat)
{
    t->due = first || repeat ? now(t->loop) + (first ? first : repeat) : 0;
    t->repeat = repeat;
}

static void host_timer_remove(struct weir_timer *t)
{
    struct weir_timer **at = &t->loop->timers;
    while (*at != t) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = t->next;
    free(t);
}

static int host_post(struct weir_loop *loop, weir_call_fn fn, void *data)
{
    struct call *c = must(calloc(1, sizeof(*c)));
    *c = (struct call){.fn = fn, .data = data};
    *loop->last = c;
    loop->last = &c->next;
    return 0;
}

static bool run_posted(struct weir_loop *loop)
{
    struct call *c = loop->first, *next;
    bool any = c;
    loop->first = NULL; /* what is posted meanwhile has its turn after the events */
    loop->last = &loop->first;
    for (; c; c = next) {
        next = c->next;
        c->fn(c->data);
        free(c);
    }
    return any;
}

/* The timer that is due longest, or that will be due first. */
static struct weir_timer *next_timer(struct weir_loop *loop)
{
    struct weir_timer *best = NULL;
    for (struct weir_timer *t = loop->timers; t; t = t->next) {
        if (t->due && (!best || t->due < best->due)) {
            best = t;
        }
    }
    return best;
}

static bool run_timers(struct weir_loop *loop)
{
    uint64_t until = now(loop);
    bool any = false;
    struct weir_timer *t;
    while ((t = next_timer(loop)) && t->due <= until) {
        t->due = t->repeat ? until + t->repeat : 0;
        t->fn(t->data);
        any = true;
    }
    return any;
}

static bool run_events(struct weir_loop *loop, int timeout)
{
    struct epoll_event events[16];
    int n = epoll_wait(loop->epoll, events, 16, timeout);
    for (int i = 0; i < n; i++) {
        struct weir_watch *w = events[i].data.ptr;
        if (!w->removed) {
            w->fn(w->data, w->fd, events[i].events);
        }
    }
    for (struct weir_watch *w; (w = loop->dead); free(w)) {
        loop->dead = w->next;
    }
    return n > 0;
}

static bool turn(struct weir_loop *loop, int timeout)
{
    bool any = run_posted(loop);
    any |= run_timers(loop);
    return run_events(loop, any || loop->first ? 0 : timeout) || any;
}

bool fake_until(struct fake_host *h, bool (*done)(void *data), void *data, unsigned ms)
{
    uint64_t end = now(&(struct weir_loop){0}) + ms * UINT64_C(1000000);
    while (!done(data)) {
        if (now(&(struct weir_loop){0}) > end) {
            return false;
        }
        turn(&h->loop, 5);
    }
    return true;
}

void fake_idle(struct fake_host *h)
{
    while (turn(&h->loop, 0)) {
    }
}

void fake_later(struct fake_host *h, uint64_t ns)
{
    h->loop.skipped += ns;
    fake_idle(h);
}

/* -- Streams
 * ---------------------------------------------------------------------------------------------------- */

static struct weir_stream *host_stream_open(struct weir_instance *i, const char *key)
{
    struct weir_stream *s = i->host->streams;
    assert(*key && strlen(key) <= 512);
    while (s && (s->forgotten || strcmp(s->alias, i->alias) != 0 || strcmp(s->key, key) != 0)) {
        s = s->next;
    }
    if (!s) {
        s = must(calloc(1, sizeof(*s)));
        s->alias = must(strdup(i->alias));
        s->key = must(strdup(key));
        s->next = i->host->streams;
        i->host->streams = s;
    }
    assert(!s->open);
    s->open = true;
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
    };
}

static void host_stream_state(struct weir_stream *s, struct weir_stream_state *ret)
{
    assert(s->open && ret->struct_size == sizeof(*ret));
    *ret = state_of(s);
}

static int host_stream_each(struct weir_instance *i, int (*fn)(void *, const struct weir_stream_state *),
                            void *data)
{
    int r = 0;
    for (struct weir_stream *s = i->host->streams; s && r == 0; s = s->next) {
        struct weir_stream_state state = state_of(s);
        if (state.known && !s->forgotten && strcmp(s->alias, i->alias) == 0) {
            r = fn(data, &state);
        }
    }
    return r;
}

static int host_stream_set_meta(struct weir_stream *s, const void *meta, size_t size)
{
    assert(s->open);
    if (size > 4096) {
        return -EMSGSIZE;
    }
    free(s->meta);
    s->meta = must(malloc(size ? size : 1));
    memcpy(s->meta, meta, size);
    s->meta_size = size;
    return 0;
}

static void commit_next(struct fake_host *h)
{
    struct sent *sent = &h->sent[h->acknowledged++];
    for (size_t i = 0; i < sent->chunk.count; i++) {
        struct weir_stream *s = sent->streams[i];
        s->committed = sent->chunk.positions[i].offset;
        s->committed_token = sent->chunk.positions[i].token;
        s->committed_known = true;
    }
}

static void add_sent(struct fake_host *h, struct weir_instance *i, const struct weir_position *positions,
                     size_t count, const struct weir_draft *draft)
{
    struct sent sent = {.streams = must(calloc(count ? count : 1, sizeof(struct weir_stream *)))};
    struct fake_position *copies = must(calloc(count ? count : 1, sizeof(*copies)));
    for (size_t k = 0; k < count; k++) {
        struct weir_stream *s = positions[k].stream;
        assert(s->open && (!s->sent_known || positions[k].offset >= s->offset));
        s->offset = positions[k].offset;
        s->token = positions[k].token;
        s->sent_known = true;
        sent.streams[k] = s;
        copies[k] = (struct fake_position){must(strdup(s->key)), s->offset, s->token};
    }
    sent.chunk = (struct fake_chunk){.instance = i, .positions = copies, .count = count, .advance = !draft};
    if (draft) {
        sent.chunk.data = draft->data;
        sent.chunk.size = draft->size;
        sent.chunk.records = draft->records;
    }
    h->sent = grow(h->sent, h->sent_count, sizeof(*h->sent));
    h->view = grow(h->view, h->sent_count, sizeof(*h->view));
    h->sent[h->sent_count] = sent;
    h->view[h->sent_count++] = sent.chunk;
    while (h->at_once && h->acknowledged < h->sent_count) {
        commit_next(h);
    }
}

static struct fake_host *the_host; /* stream_advance is given neither instance nor loop */

static int host_stream_advance(struct weir_stream *s, uint64_t offset, uint64_t token)
{
    struct weir_position position = {s, offset, token};
    add_sent(the_host, NULL, &position, 1, NULL);
    return 0;
}

static void host_stream_close(struct weir_stream *s)
{
    assert(s->open);
    s->open = false;
}

static void host_stream_forget(struct weir_stream *s)
{
    host_stream_close(s);
    s->forgotten = true;
}

void fake_acknowledge_at_once(struct fake_host *h, bool at_once)
{
    h->at_once = at_once;
}

void fake_acknowledge(struct fake_host *h, size_t count)
{
    while (count-- && h->acknowledged < h->sent_count) {
        commit_next(h);
    }
}

void fake_crash(struct fake_host *h)
{
    assert(h->instances == 0);
    h->acknowledged = h->sent_count; /* what was under way never comes back */
    for (struct weir_stream *s = h->streams; s; s = s->next) {
        s->sent_known = false;
    }
}

size_t fake_stream_count(const struct fake_host *h, const char *alias)
{
    size_t count = 0;
    for (const struct weir_stream *s = h->streams; s; s = s->next) {
        count += !s->forgotten && (s->sent_known || s->committed_known) && strcmp(s->alias, alias) == 0;
    }
    return count;
}

/* -- Chunks
 * -------------------------------------------------------------------------------------------------------- */

static int host_chunk_begin(struct weir_instance *i, const char *tag, const char *topic, size_t size,
                            struct weir_draft **ret)
{
    (void)tag;
    (void)topic;
    assert(!i->stopped);
    if (i->room == 0) {
        return -EAGAIN;
    }
    i->room -= i->room != SIZE_MAX;
    struct draft *d = must(calloc(1, sizeof(*d)));
    /* exactly what was asked for, so that a sanitizer sees any byte beyond */
    d->api = (struct weir_draft){.struct_size = sizeof(d->api), .data = must(malloc(size)), .capacity = size};
    d->instance = i;
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
        d->data = must(realloc(d->data, d->capacity));
    }
    return 0;
}

static struct weir_instance *take_draft(struct weir_draft *draft)
{
    struct draft *d = (struct draft *)(void *)draft;
    struct weir_instance *i = d->instance;
    struct draft **at = &i->host->drafts;
    while (*at != d) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = d->next;
    return i;
}

static void host_chunk_send(struct weir_draft *draft, const struct weir_position *positions, size_t count)
{
    struct weir_instance *i = take_draft(draft);
    assert(draft->size <= draft->capacity && !draft->size == !draft->records && !i->stopped);
    add_sent(i->host, i, positions, count, draft);
    free(draft);
}

static void host_chunk_cancel(struct weir_draft *draft)
{
    take_draft(draft);
    free(draft->data);
    free(draft);
}

const struct fake_chunk *fake_chunks(const struct fake_host *h, size_t *ret_count)
{
    *ret_count = h->sent_count;
    return h->view;
}

/* -- Options
 * ---------------------------------------------------------------------------------------------------------
 */

static void *keep(struct weir_instance *i, void *bytes)
{
    struct memory *m = must(calloc(1, sizeof(*m)));
    *m = (struct memory){i->memory, must(bytes)};
    i->memory = m;
    return bytes;
}

static int parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "on", "yes", "1"}, *const no[] = {"false", "off", "no", "0"};
    for (size_t k = 0; k < 4; k++) {
        if (strcasecmp(text, yes[k]) == 0 || strcasecmp(text, no[k]) == 0) {
            *ret = strcasecmp(text, yes[k]) == 0;
            return 0;
        }
    }
    return -EINVAL;
}

/* A number with one of the units, "" for none. */
static int parse_number(const char *text, const char *const *units, const uint64_t *factors, uint64_t *ret)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    for (size_t k = 0; end != text && units[k]; k++) {
        if (strcasecmp(end, units[k]) == 0) {
            *ret = n * factors[k];
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_size(const char *text, uint64_t *ret)
{
    static const char *const units[] = {"", "k", "m", "g", NULL};
    static const uint64_t factors[] = {1, 1 << 10, 1 << 20, 1 << 30};
    return parse_number(text, units, factors, ret);
}

static int parse_duration(const char *text, uint64_t *ret)
{
    static const char *const units[] = {"", "s", "ms", "m", "h", NULL};
    static const uint64_t factors[] = {1000000000, 1000000000, 1000000, 60000000000, 3600000000000};
    return parse_number(text, units, factors, ret);
}

static int parse_choice(const struct weir_option *o, const char *text, int *ret)
{
    for (int k = 0; o->choices[k]; k++) {
        if (strcasecmp(o->choices[k], text) == 0) {
            *ret = k;
            return 0;
        }
    }
    return -EINVAL;
}

static void list_add(struct weir_instance *i, struct weir_list *list, const char *text)
{
    const char **items = keep(i, calloc(list->count + 1, sizeof(*items)));
    if (list->count) {
        memcpy(items, list->items, list->count * sizeof(*items));
    }
    items[list->count] = keep(i, strdup(text));
    *list = (struct weir_list){items, list->count + 1};
}

static int set_option(struct weir_instance *i, const struct weir_option *o, const char *text)
{
    void *at = (char *)i->config + o->offset;
    uint64_t number = 0;
    int r;
    switch (o->type) {
    case WEIR_OPTION_BOOL:
        return parse_bool(text, at);
    case WEIR_OPTION_CHOICE:
        return parse_choice(o, text, at);
    case WEIR_OPTION_LIST:
        list_add(i, at, text);
        return 0;
    case WEIR_OPTION_STRING:
    case WEIR_OPTION_PATH:
    case WEIR_OPTION_SECRET:
        *(const char **)at = keep(i, strdup(text));
        return 0;
    case WEIR_OPTION_INT:
    case WEIR_OPTION_SIZE:
    case WEIR_OPTION_DURATION:
        r = o->type == WEIR_OPTION_DURATION ? parse_duration(text, &number) : parse_size(text, &number);
        if (r == 0 && (o->min || o->max) && ((int64_t)number < o->min || (int64_t)number > o->max)) {
            r = -ERANGE;
        }
        if (r == 0) {
            *(uint64_t *)at = number;
        }
        return r;
    case WEIR_OPTION_IGNORED:
        return 0;
    default:
        return -EINVAL;
    }
}

static const struct weir_option *find_option(const struct weir_plugin *p, const char *name)
{
    for (const struct weir_option *o = p->options; o && o->name; o++) {
        if (strcasecmp(o->name, name) == 0 || (o->alias && strcasecmp(o->alias, name) == 0)) {
            return o;
        }
    }
    return NULL;
}

static int configure(struct weir_instance *i, const struct fake_setting *settings)
{
    i->config = must(calloc(1, i->plugin->config_size ? i->plugin->config_size : 1));
    for (const struct weir_option *o = i->plugin->options; o && o->name; o++) {
        assert(!o->def || set_option(i, o, o->def) == 0);
    }
    for (; settings->name; settings++) {
        const struct weir_option *o = find_option(i->plugin, settings->name);
        if (!o || set_option(i, o, settings->value) < 0) {
            host_error(i, "bad setting %s=%s", settings->name, settings->value);
            return -EINVAL;
        }
    }
    return 0;
}

/* -- Instances
 * ---------------------------------------------------------------------------------------------------------
 */

static void instance_free(struct weir_instance *i)
{
    for (struct memory *m; (m = i->memory); free(m)) {
        i->memory = m->next;
        free(m->bytes);
    }
    for (struct weir_metric *m; (m = i->metrics); free(m)) {
        i->metrics = m->next;
        free(m->name);
        free(m->label);
    }
    i->host->instances--;
    free(i->config);
    free(i->alias);
    free(i);
}

struct weir_instance *fake_input(struct fake_host *h, const struct weir_plugin *plugin, const char *alias,
                                 const struct fake_setting *settings)
{
    struct weir_instance *i = must(calloc(1, sizeof(*i)));
    *i = (struct weir_instance){.host = h, .plugin = plugin, .alias = must(strdup(alias)), .room = SIZE_MAX};
    h->instances++;
    if (configure(i, settings) < 0 || plugin->create(&h->api, i, i->config, &i->self) < 0) {
        instance_free(i);
        return NULL;
    }
    return i;
}

int fake_start(struct weir_instance *i)
{
    return i->plugin->start ? i->plugin->start(i->self) : 0;
}

void fake_drop(struct weir_instance *i)
{
    i->plugin->destroy(i->self);
    instance_free(i);
}

static bool has_stopped(void *data)
{
    return ((struct weir_instance *)data)->stopped;
}

void fake_stop(struct weir_instance *i)
{
    if (i->plugin->stop) {
        i->plugin->stop(i->self);
        assert(fake_until(i->host, has_stopped, i, 10000));
    }
    run_posted(&i->host->loop); /* as the ABI promises */
    fake_drop(i);
}

static void resume(void *data)
{
    struct weir_instance *i = data;
    i->plugin->resume(i->self);
}

void fake_set_full(struct weir_instance *i, bool full)
{
    fake_set_room(i, full ? 0 : SIZE_MAX);
}

void fake_set_room(struct weir_instance *i, size_t chunks)
{
    bool was_full = i->room == 0;
    i->room = chunks;
    if (was_full && chunks) {
        host_post(&i->host->loop, resume, i);
    }
}

bool fake_is_ended(const struct weir_instance *i)
{
    return i->ended;
}

void fake_progress(const struct weir_instance *i, uint64_t *ret_done, uint64_t *ret_total)
{
    *ret_done = i->done;
    *ret_total = i->total;
}

const char *fake_error(struct fake_host *h)
{
    return h->error ? h->error : "";
}

size_t fake_logged(const struct fake_host *h, const char *text)
{
    size_t count = 0;
    for (size_t k = 0; k < h->line_count; k++) {
        count += strstr(h->lines[k], text) != NULL;
    }
    return count;
}

/* -- The host
 * ------------------------------------------------------------------------------------------------------------
 */

struct fake_host *fake_create(void)
{
    struct fake_host *h = must(calloc(1, sizeof(*h)));
    assert(!the_host); /* one at a time */
    the_host = h;
    h->api = (struct weir_host){
        .struct_size = sizeof(h->api),
        .abi_version = WEIR_ABI_VERSION,
        .version = "test",
        .log = host_log,
        .log_enabled = host_log_enabled,
        .error = host_error,
        .fail = host_fail,
        .metric = host_metric,
        .metric_add = host_metric_add,
        .metric_set = host_metric_set,
        .stopped = host_stopped,
        .ended = host_ended,
        .progress = host_progress,
        .alias = host_alias,
        .tag = host_alias,
        .topic = host_empty,
        .loop = host_loop,
        .watch_add = host_watch_add,
        .watch_set = host_watch_set,
        .watch_remove = host_watch_remove,
        .timer_add = host_timer_add,
        .timer_set = host_timer_set,
        .timer_remove = host_timer_remove,
        .post = host_post,
        .stream_open = host_stream_open,
        .stream_state = host_stream_state,
        .stream_each = host_stream_each,
        .stream_set_meta = host_stream_set_meta,
        .stream_advance = host_stream_advance,
        .stream_forget = host_stream_forget,
        .stream_close = host_stream_close,
        .chunk_begin = host_chunk_begin,
        .chunk_grow = host_chunk_grow,
        .chunk_send = host_chunk_send,
        .chunk_cancel = host_chunk_cancel,
    };
    h->loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    h->loop.last = &h->loop.first;
    h->at_once = true;
    assert(h->loop.epoll >= 0);
    return h;
}

static void free_sent(struct fake_host *h)
{
    for (size_t k = 0; k < h->sent_count; k++) {
        struct sent *s = &h->sent[k];
        for (size_t p = 0; p < s->chunk.count; p++) {
            free(s->chunk.positions[p].key);
        }
        free(s->chunk.positions);
        free(s->chunk.data);
        free(s->streams);
    }
    free(h->sent);
    free(h->view);
}

void fake_destroy(struct fake_host *h)
{
    run_posted(&h->loop);
    run_events(&h->loop, 0);
    assert(h->instances == 0 && !h->drafts && !h->loop.watches && !h->loop.timers && !h->loop.first);
    for (struct weir_stream *s; (s = h->streams); free(s)) {
        assert(!s->open);
        h->streams = s->next;
        free(s->alias);
        free(s->key);
        free(s->meta);
    }
    for (size_t k = 0; k < h->line_count; k++) {
        free(h->lines[k]);
    }
    free(h->lines);
    free_sent(h);
    free(h->error);
    close(h->loop.epoll);
    free(h);
    the_host = NULL;
}
