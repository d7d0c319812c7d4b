/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of metrics: what there is, who asked for it, when it goes. How it is laid out, and why, is in
 * metrics_private.h.
 *
 * The registry owns everything. One lock for all but a metric's value, which is an atomic of its own.
 */
#include "metrics.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "metrics_private.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

void metric_add(struct weir_metric *metric, uint64_t n)
{
    if (metric)
        atomic_fetch_add_explicit(&metric->value, (int64_t)n, memory_order_relaxed);
}

void metric_set(struct weir_metric *metric, int64_t value)
{
    if (metric)
        atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

int64_t metric_value(const struct weir_metric *metric)
{
    return metric ? atomic_load_explicit(&metric->value, memory_order_relaxed) : 0;
}

static bool name_valid(const char *name, bool colons)
{
    if (!name || !*name || (*name >= '0' && *name <= '9'))
        return false;
    for (; *name; name++) {
        bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '_';
        bool digit = *name >= '0' && *name <= '9';
        if (!letter && !digit && !(colons && *name == ':'))
            return false;
    }
    return true;
}

bool metrics_name_valid(const char *name)
{
    return name_valid(name, false);
}

/* ---- Hash tables: under the lock, as all below ----------------------------------------------------- */

/* Twice the buckets where there are more members than buckets. Without memory the chains only get longer,
 * unless there is no bucket yet: false. */
static bool table_grow(struct link_table *t)
{
    if (t->buckets && t->count <= t->mask)
        return true;
    size_t count = t->buckets ? 2 * (t->mask + 1) : 16;
    struct link **buckets = calloc(count, sizeof(struct link *));
    if (!buckets)
        return t->buckets != NULL;
    for (size_t i = 0; t->buckets && i <= t->mask; i++) {
        for (struct link *l = t->buckets[i], *next; l; l = next) {
            next = l->next;
            l->next = buckets[l->hash & (count - 1)];
            buckets[l->hash & (count - 1)] = l;
        }
    }
    free(t->buckets);
    t->buckets = buckets;
    t->mask = count - 1;
    return true;
}

static bool table_add(struct link_table *t, struct link *l, uint64_t hash)
{
    if (!table_grow(t))
        return false;
    l->hash = hash;
    l->next = t->buckets[hash & t->mask];
    t->buckets[hash & t->mask] = l;
    t->count++;
    return true;
}

static void table_remove(struct link_table *t, struct link *l)
{
    struct link **at = &t->buckets[l->hash & t->mask];
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    t->count--;
}

/* The first that may have that hash; the next is l->next. */
static struct link *table_first(const struct link_table *t, uint64_t hash)
{
    return t->buckets ? t->buckets[hash & t->mask] : NULL;
}

static uint64_t hash_of(const struct metrics *metrics, const void *bytes, size_t size, uint64_t more)
{
    return XXH3_64bits_withSeed(bytes, size, metrics->seed ^ more);
}

/* ---- Families ------------------------------------------------------------------------------------- */

static const char *suffix_of(enum weir_metric_kind kind)
{
    return kind == WEIR_COUNTER ? "_total" : "";
}

static bool is_name_of(const struct family *family, const char *name, enum weir_metric_kind kind)
{
    size_t size = strlen(name);
    return !strncmp(family->name, name, size) && !strcmp(family->name + size, suffix_of(kind));
}

/* Whether a metric in use makes that name one of the other kind: "x" as a counter is x_total in the text, and
 * all the same it is the name of a gauge "x". */
static bool name_taken(const struct metrics *metrics, const char *name, enum weir_metric_kind kind)
{
    for (const struct family *f = metrics->families; f; f = f->next)
        if (f->live && f->kind != kind &&
            (is_name_of(f, name, WEIR_COUNTER) || is_name_of(f, name, WEIR_GAUGE)))
            return true;
    return false;
}

static void family_free(struct family *family)
{
    free(family->name);
    free(family->help);
    free(family);
}

static struct family *family_create(struct metrics *metrics, enum weir_metric_kind kind, const char *name,
                                    const char *help)
{
    struct family *family = calloc(1, sizeof(*family)), **at = &metrics->families;
    if (!family)
        return NULL;
    family->kind = kind;
    family->help = help ? strdup(help) : NULL;
    if (asprintf(&family->name, "%s%s", name, suffix_of(kind)) < 0)
        family->name = NULL;
    if (!family->name || (help && !family->help)) {
        family_free(family);
        return NULL;
    }
    while (*at && strcmp((*at)->name, family->name) < 0)
        at = &(*at)->next;
    family->next = *at;
    *at = family;
    return family;
}

static struct family *family_get(struct metrics *metrics, enum weir_metric_kind kind, const char *name,
                                 const char *help)
{
    for (struct family *f = metrics->families; f; f = f->next)
        if (f->kind == kind && is_name_of(f, name, kind))
            return f;
    return family_create(metrics, kind, name, help);
}

static void family_unref(struct metrics *metrics, struct family *family)
{
    struct family **at = &metrics->families;
    if (--family->series)
        return;
    while (*at != family)
        at = &(*at)->next;
    *at = family->next;
    family_free(family);
}

/* ---- Series --------------------------------------------------------------------------------------- */

static void series_unref(struct metrics *metrics, struct series *series)
{
    if (--series->references)
        return;
    table_remove(&metrics->series, &series->link);
    family_unref(metrics, series->family);
    free(series);
}

static struct series *series_create(struct metrics *metrics, struct family *family, const char *more,
                                    uint64_t hash)
{
    size_t size = strlen(more) + 1;
    struct series *series = calloc(1, sizeof(*series) + size);
    if (series && table_add(&metrics->series, &series->link, hash)) {
        series->family = family;
        series->references = 1;
        memcpy(series->more, more, size);
        return series;
    }
    free(series);
    return NULL;
}

/* One that is there, or new; a reference is the caller's. NULL: no memory, or the name is another kind's. */
static struct series *series_get(struct metrics *metrics, enum weir_metric_kind kind, const char *name,
                                 const char *help, const char *more)
{
    uint64_t hash =
        hash_of(metrics, more, strlen(more), hash_of(metrics, name, strlen(name), (uint64_t)kind));
    for (struct link *l = table_first(&metrics->series, hash); l; l = l->next) {
        struct series *series = (struct series *)l;
        if (l->hash == hash && series->family->kind == kind && is_name_of(series->family, name, kind) &&
            !strcmp(series->more, more)) {
            if (!series->family->live && name_taken(metrics, name, kind))
                return NULL;
            series->references++;
            return series;
        }
    }
    struct family *family = name_taken(metrics, name, kind) ? NULL : family_get(metrics, kind, name, help);
    if (!family)
        return NULL;
    family->series++;
    struct series *series = series_create(metrics, family, more, hash);
    if (!series)
        family_unref(metrics, family);
    return series;
}

/* ---- Shapes --------------------------------------------------------------------------------------- */

static void shape_unref(struct metrics *metrics, struct shape *shape)
{
    while (shape && --shape->references == 0) {
        struct shape *parent = shape->parent;
        struct shape **first = parent ? &parent->child : &metrics->first;
        if (*first == shape)
            *first = NULL;
        series_unref(metrics, shape->series);
        free(shape);
        shape = parent;
    }
}

/* The shape of a holder that had `parent` (a reference to which is taken over) and gets one more. */
static struct shape *shape_with(struct metrics *metrics, struct shape *parent, struct series *series,
                                bool at_zero)
{
    struct shape **first = parent ? &parent->child : &metrics->first;
    if (*first && (*first)->series == series) {
        (*first)->references++;
        shape_unref(metrics, parent);
        return *first;
    }
    struct shape *shape = calloc(1, sizeof(*shape));
    if (!shape)
        return NULL;
    *shape = (struct shape){parent, NULL, series, 1, parent ? parent->index + 1 : 0, at_zero};
    series->references++;
    *first = shape;
    return shape;
}

/* ---- Holders -------------------------------------------------------------------------------------- */

/* Whether `text` begins that way; moves it on. */
static bool take(const char **text, const char *begin)
{
    size_t size = strlen(begin);
    if (strncmp(*text, begin, size) != 0)
        return false;
    *text += size;
    return true;
}

static bool holder_has(const struct holder *h, const char *labels, size_t size)
{
    const char *at = labels;
    if (!h->value)
        return take(&at, h->labels) && at == labels + size;
    return take(&at, "{") && take(&at, h->labels) && take(&at, "=\"") && take(&at, h->value->chars) &&
           take(&at, "\"") && at == labels + size;
}

static struct holder *holder_find(const struct metrics *metrics, const char *labels, size_t size,
                                  unsigned number, uint64_t hash)
{
    for (struct link *l = table_first(&metrics->holders, hash); l; l = l->next) {
        struct holder *h = (struct holder *)l;
        if (l->hash == hash && h->number == number && holder_has(h, labels, size))
            return h;
    }
    return NULL;
}

/* With the labels up to `size`, or only the name of the first where a reference to its value is kept. */
static struct holder *holder_create(const struct labels *labels, size_t size)
{
    struct rcstring *value = size == labels->first ? labels->shared : NULL;
    const char *from = value ? labels->text + 1 : labels->text;
    size_t length = value ? strcspn(from, "=") : size;
    size_t room = offsetof(struct holder, labels) + length + 1;
    struct holder *h = calloc(1, room > sizeof(*h) ? room : sizeof(*h));
    if (!h)
        return NULL;
    memcpy(h->labels, from, length);
    h->value = value ? rcstring_ref(value) : NULL;
    return h;
}

static void holder_free(struct holder *h)
{
    rcstring_unref(h->value);
    free(h);
}

/* The one with those labels; without members it is the caller's to give to one, or to drop. */
static struct holder *holder_get(struct metrics *metrics, const struct labels *labels, size_t size,
                                 unsigned number)
{
    uint64_t hash = hash_of(metrics, labels->text, size, number);
    struct holder *h = holder_find(metrics, labels->text, size, number, hash);
    if (h || !(h = holder_create(labels, size)))
        return h;
    if (!table_add(&metrics->holders, &h->link, hash)) {
        holder_free(h);
        return NULL;
    }
    h->number = (uint16_t)number;
    return h;
}

static void holder_drop_if_empty(struct metrics *metrics, struct holder *h)
{
    if (h->members)
        return;
    table_remove(&metrics->holders, &h->link);
    shape_unref(metrics, h->shape);
    while (h->blocks) {
        struct block *block = h->blocks;
        h->blocks = block->next;
        free(block);
    }
    holder_free(h);
}

static unsigned holder_count(const struct holder *h)
{
    return h->shape ? h->shape->index + 1 : 0;
}

/* The place of that series among the holder's metrics, or -1. */
static int holder_place(const struct holder *h, const struct series *series)
{
    for (const struct shape *s = h->shape; s; s = s->parent)
        if (s->series == series)
            return (int)s->index;
    return -1;
}

/* How many values those before it had in a row, that came as far as this holder: most likely it gets as many.
 */
static unsigned expected(const struct metrics *metrics, const struct shape *before)
{
    unsigned count = 0;
    for (const struct shape *s = before ? before->child : metrics->first; s && !s->at_zero; s = s->child)
        count++;
    return count ? count : VALUES_OF_BLOCK;
}

/* The value at that place, and room for `room` in all that follow, where there is none yet. NULL: no memory.
 */
static struct weir_metric *holder_value(struct holder *h, unsigned index, unsigned room)
{
    struct weir_metric *value = holder_metric(h, index);
    struct block **end = &h->blocks;
    if (value)
        return value;
    while (*end)
        end = &(*end)->next;
    *end = calloc(1, sizeof(**end) + room * sizeof((*end)->values[0]));
    if (!*end)
        return NULL;
    (*end)->first = index;
    (*end)->room = room;
    return (*end)->values;
}

/* The place of one more metric, which has its value unless that is 0 for now; -1: no memory. */
static int holder_add(struct metrics *metrics, struct holder *h, struct series *series, bool at_zero)
{
    if (!at_zero && !holder_value(h, holder_count(h), expected(metrics, h->shape)))
        return -1;
    struct shape *shape = shape_with(metrics, h->shape, series, at_zero);
    if (!shape)
        return -1;
    h->shape = shape;
    return (int)shape->index;
}

/* ---- Owners --------------------------------------------------------------------------------------- */

static uint64_t hash_of_owner(const struct metrics *metrics, const void *owner)
{
    return hash_of(metrics, &owner, sizeof(owner), 0);
}

static struct member *member_get(struct metrics *metrics, struct holder *h, const void *owner)
{
    struct member *m = h->members;
    while (m && m->owner != owner)
        m = m->next;
    if (m)
        return m;
    m = h->own.holder ? calloc(1, sizeof(*m)) : &h->own;
    if (!m || !table_add(&metrics->members, &m->link, hash_of_owner(metrics, owner))) {
        if (m != &h->own)
            free(m);
        return NULL;
    }
    m->owner = owner;
    m->holder = h;
    m->next = h->members;
    h->members = m;
    return m;
}

/* The metrics that are live in `before` and in no one's `now` are gone. */
static void count_gone(const struct holder *h, uint64_t before, uint64_t now)
{
    for (const struct shape *s = h->shape; s; s = s->parent)
        if ((before & ~now) >> s->index & 1)
            s->series->family->live--;
}

static void member_free(struct metrics *metrics, struct member *m)
{
    struct holder *h = m->holder;
    struct member **at = &h->members;
    uint64_t before = holder_live(h);
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    count_gone(h, before, holder_live(h));
    table_remove(&metrics->members, &m->link);
    if (m == &h->own)
        *m = (struct member){0};
    else
        free(m);
    holder_drop_if_empty(metrics, h);
}

/* ---- The registry -------------------------------------------------------------------------------- */

struct metrics *metrics_create(void)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return NULL;
    pthread_mutex_init(&metrics->lock, NULL);
    if (getrandom(&metrics->seed, sizeof(metrics->seed), GRND_NONBLOCK) < 0)
        metrics->seed = (uintptr_t)metrics;
    return metrics;
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics)
        return;
    for (size_t i = 0; metrics->members.count; i++)
        while (metrics->members.buckets[i])
            member_free(metrics, (struct member *)metrics->members.buckets[i]);
    free(metrics->series.buckets);
    free(metrics->holders.buckets);
    free(metrics->members.buckets);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

/* The owner asked for that series of the holder. NULL: no memory, or it has no value for now. */
static struct weir_metric *ask(struct metrics *metrics, struct holder *h, struct series *series,
                               const void *owner, bool at_zero)
{
    struct member *m = member_get(metrics, h, owner);
    int place = m ? holder_place(h, series) : -1;
    if (m && place < 0)
        place = holder_add(metrics, h, series, at_zero);
    if (place < 0)
        return NULL;
    struct weir_metric *metric = holder_metric(h, (unsigned)place);
    if (!metric && !at_zero && !(metric = holder_value(h, (unsigned)place, 1)))
        return NULL;
    if (!(holder_live(h) >> place & 1)) {
        series->family->live++;
        metric_set(metric, 0); /* it may have been there before */
    }
    m->asked |= UINT64_C(1) << place;
    return at_zero ? NULL : metric;
}

/* In the holder with the labels up to `size`; *ret_full: it has no place for another series. */
static struct weir_metric *get_in(struct metrics *metrics, const struct labels *labels, size_t size,
                                  unsigned number, struct series *series, const void *owner, bool at_zero,
                                  bool *ret_full)
{
    struct holder *h = holder_get(metrics, labels, size, number);
    if (!h)
        return NULL;
    *ret_full = holder_count(h) == VALUES_OF_HOLDER && holder_place(h, series) < 0;
    struct weir_metric *metric = *ret_full ? NULL : ask(metrics, h, series, owner, at_zero);
    holder_drop_if_empty(metrics, h);
    return metric;
}

/*
 * The first label says which holder, the others are the series'. Where that one is full (a metric for each of
 * thousands of files), all labels say which holder.
 */
static struct weir_metric *get(struct metrics *metrics, enum weir_metric_kind kind, const char *name,
                               const char *help, const struct labels *labels, size_t size, const void *owner)
{
    bool at_zero = kind == WEIR_COUNTER_AT_ZERO;
    struct series *series =
        series_get(metrics, at_zero ? WEIR_COUNTER : kind, name, help, labels->text + size);
    struct weir_metric *metric = NULL;
    bool full = series, whole = !labels->text[size];
    for (unsigned number = 0; full && (whole || number == 0); number++)
        metric = get_in(metrics, labels, size, number, series, owner, at_zero, &full);
    if (series)
        series_unref(metrics, series);
    return full ? get(metrics, kind, name, help, labels, strlen(labels->text), owner) : metric;
}

struct weir_metric *metrics_get(struct metrics *metrics, enum weir_metric_kind kind, const char *name,
                                const char *help, const struct metrics_label *labels, size_t count,
                                const void *owner)
{
    struct labels text;
    if (kind < WEIR_COUNTER || kind > WEIR_COUNTER_AT_ZERO || !name_valid(name, true))
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!name_valid(labels[i].name, false) || !labels[i].value)
            return NULL;
    if (labels_write(&text, labels, count) < 0)
        return NULL;
    pthread_mutex_lock(&metrics->lock);
    struct weir_metric *metric = get(metrics, kind, name, help, &text, text.first, owner);
    pthread_mutex_unlock(&metrics->lock);
    labels_finish(&text);
    return metric;
}

void metrics_drop(struct metrics *metrics, const void *owner)
{
    uint64_t hash = hash_of_owner(metrics, owner);
    pthread_mutex_lock(&metrics->lock);
    for (struct link *l = table_first(&metrics->members, hash), *next; l; l = next) {
        next = l->next;
        struct member *m = (struct member *)l;
        if (m->owner == owner)
            member_free(metrics, m);
    }
    pthread_mutex_unlock(&metrics->lock);
}
