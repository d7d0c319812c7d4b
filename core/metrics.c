/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of metrics. A family is one name with its kind and help; a metric is one set of labels of a
 * family, kept as the text that Prometheus reads. Families, metrics and owners are each found through a tree
 * (tsearch), whose order is also that of the text; ten thousand inputs have as many metrics each.
 *
 * The registry owns everything. One lock for all but a metric's value, which is an atomic of its own.
 */
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct family {
    char *name; /* as in the text, so with _total; the first member is what the tree compares */
    char *help;
    enum weir_metric_kind kind;
    void *metrics; /* tree of struct weir_metric */
    size_t count;
};

struct owner {
    const void *key;
    struct weir_metric *first; /* those that go with it */
    struct share *shares;      /* those of others that it asked for, too */
};

/* An instance that replaces another one has the same names: a metric lives as long as one who asked for it.
 */
struct share {
    struct owner *owner;
    struct weir_metric *metric;
    struct share *next_of_owner, *next_of_metric;
};

/* The metrics of an owner have the same labels as a rule: the text is kept once. */
struct labels {
    size_t references;
    char text[]; /* {a="b",c="d"}, or empty */
};

struct weir_metric {
    char *labels; /* the text of struct labels; the first member is what the tree compares */
    _Atomic int64_t value;
    struct family *family;
    struct owner *owner;
    struct weir_metric *next; /* of the same owner */
    struct share *heirs;
};

struct metrics {
    pthread_mutex_t lock;
    void *families; /* tree of struct family */
    void *owners;   /* tree of struct owner */
};

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

/* ---- Text ---------------------------------------------------------------------------------------- */

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

/* Bytes of the UTF-8 character at `text`, 0 if there is none. */
static size_t utf8_length(const unsigned char *text)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;
    if (text[0] < 0x80)
        return 1;
    if (text[0] >= 0xc2 && text[0] <= 0xdf)
        length = 2;
    else if ((text[0] & 0xf0) == 0xe0)
        length = 3;
    else if (text[0] >= 0xf0 && text[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (text[0] == 0xe0)
        low = 0xa0; /* overlong */
    if (text[0] == 0xed)
        high = 0x9f; /* surrogates */
    if (text[0] == 0xf0)
        low = 0x90;
    if (text[0] == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Prometheus refuses a whole scrape for one byte that is not UTF-8, and a file's name may hold any. */
static void write_escaped(FILE *out, const char *text, bool quotes)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t length = utf8_length(p);
        if (length == 0)
            fputs("\xef\xbf\xbd", out);
        else if (*p == '\n')
            fputs("\\n", out);
        else if (*p == '\\' || (quotes && *p == '"'))
            fprintf(out, "\\%c", *p);
        else
            fwrite(p, 1, length, out);
        p += length ? length : 1;
    }
}

static char *labels_text(const struct metrics_label *labels, size_t count)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%c%s=\"", i ? ',' : '{', labels[i].name);
        write_escaped(out, labels[i].value, true);
        fputc('"', out);
    }
    if (count)
        fputc('}', out);
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- Families, metrics, owners: under the lock ----------------------------------------------------- */

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_owner(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct owner *)a)->key, y = (uintptr_t)((const struct owner *)b)->key;
    return (x > y) - (x < y);
}

static void *tree_find(const void *item, void *const *tree, int (*compare)(const void *, const void *))
{
    void *const *node = tfind(item, tree, compare);
    return node ? *node : NULL;
}

static struct family *family_find(struct metrics *metrics, const char *name, const char *suffix)
{
    struct family wanted = {0}, *found = NULL;
    if (asprintf(&wanted.name, "%s%s", name, suffix) < 0)
        return NULL;
    found = tree_find(&wanted, &metrics->families, compare_text);
    free(wanted.name);
    return found;
}

static void family_free(struct family *family)
{
    free(family->name);
    free(family->help);
    free(family);
}

static struct family *family_create(struct metrics *metrics, enum weir_metric_kind kind, const char *name,
                                    const char *suffix, const char *help)
{
    struct family *family = calloc(1, sizeof(*family));
    if (!family)
        return NULL;
    family->kind = kind;
    family->help = help ? strdup(help) : NULL;
    if (asprintf(&family->name, "%s%s", name, suffix) < 0)
        family->name = NULL;
    if (!family->name || (help && !family->help) || !tsearch(family, &metrics->families, compare_text)) {
        family_free(family);
        return NULL;
    }
    return family;
}

static void family_drop_if_empty(struct metrics *metrics, struct family *family)
{
    if (family->count)
        return;
    tdelete(family, &metrics->families, compare_text);
    family_free(family);
}

/* The family of that name, or NULL: no memory, or the name is another kind's. */
static struct family *family_get(struct metrics *metrics, enum weir_metric_kind kind, const char *name,
                                 const char *help)
{
    const char *suffix = kind == WEIR_COUNTER ? "_total" : "";
    struct family *family = family_find(metrics, name, suffix);
    if (family)
        return family->kind == kind ? family : NULL;
    /* "x" as a counter is x_total in the text; all the same it is the name of a gauge "x". */
    struct family *other = family_find(metrics, name, kind == WEIR_COUNTER ? "" : "_total");
    if (other && other->kind != kind)
        return NULL;
    return family_create(metrics, kind, name, suffix, help);
}

static struct owner *owner_get(struct metrics *metrics, const void *key)
{
    struct owner wanted = {.key = key};
    struct owner *owner = tree_find(&wanted, &metrics->owners, compare_owner);
    if (owner)
        return owner;
    owner = calloc(1, sizeof(*owner));
    if (!owner)
        return NULL;
    owner->key = key;
    if (!tsearch(owner, &metrics->owners, compare_owner)) {
        free(owner);
        return NULL;
    }
    return owner;
}

static struct labels *labels_of(char *text)
{
    return (struct labels *)(void *)(text - offsetof(struct labels, text));
}

/* Those that a metric of the owner has, or new ones. NULL: no memory. */
static char *labels_get(struct owner *owner, const char *text)
{
    struct weir_metric *metric = owner->first;
    while (metric && strcmp(metric->labels, text) != 0)
        metric = metric->next;
    if (metric) {
        labels_of(metric->labels)->references++;
        return metric->labels;
    }
    size_t size = strlen(text) + 1;
    struct labels *labels = malloc(sizeof(*labels) + size);
    if (!labels)
        return NULL;
    labels->references = 1;
    return memcpy(labels->text, text, size);
}

static void metric_free(struct weir_metric *metric)
{
    if (metric->labels && --labels_of(metric->labels)->references == 0)
        free(labels_of(metric->labels));
    free(metric);
}

/* Whether it stays as long as that owner does; false: no memory. */
static bool metric_share(struct metrics *metrics, struct weir_metric *metric, const void *owner_key)
{
    if (metric->owner->key == owner_key)
        return true;
    for (const struct share *s = metric->heirs; s; s = s->next_of_metric)
        if (s->owner->key == owner_key)
            return true;
    struct owner *owner = owner_get(metrics, owner_key);
    struct share *share = owner ? malloc(sizeof(*share)) : NULL;
    if (!share)
        return false;
    *share = (struct share){owner, metric, owner->shares, metric->heirs};
    owner->shares = metric->heirs = share;
    return true;
}

static struct weir_metric *metric_get(struct metrics *metrics, struct family *family, char *labels,
                                      const void *owner_key)
{
    struct weir_metric wanted = {.labels = labels};
    struct weir_metric *metric = tree_find(&wanted, &family->metrics, compare_text);
    if (metric)
        return metric_share(metrics, metric, owner_key) ? metric : NULL;
    struct owner *owner = owner_get(metrics, owner_key);
    metric = owner ? calloc(1, sizeof(*metric)) : NULL;
    if (!metric)
        return NULL;
    metric->family = family;
    metric->labels = labels_get(owner, labels);
    if (!metric->labels) {
        metric_free(metric);
        return NULL;
    }
    metric->owner = owner;
    if (!tsearch(metric, &family->metrics, compare_text)) {
        metric_free(metric);
        return NULL;
    }
    metric->next = owner->first;
    owner->first = metric;
    family->count++;
    return metric;
}

/* ---- The registry -------------------------------------------------------------------------------- */

struct metrics *metrics_create(void)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics)
        pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

static void share_unlink(struct share *share)
{
    struct share **of_owner = &share->owner->shares, **of_metric = &share->metric->heirs;
    while (*of_owner != share)
        of_owner = &(*of_owner)->next_of_owner;
    *of_owner = share->next_of_owner;
    while (*of_metric != share)
        of_metric = &(*of_metric)->next_of_metric;
    *of_metric = share->next_of_metric;
}

/* To one of its heirs, which has it for its own from now on. */
static void metric_bequeath(struct weir_metric *metric)
{
    struct share *share = metric->heirs;
    share_unlink(share);
    metric->owner = share->owner;
    metric->next = share->owner->first;
    share->owner->first = metric;
    free(share);
}

static void metric_remove(struct metrics *metrics, struct weir_metric *metric)
{
    struct family *family = metric->family;
    tdelete(metric, &family->metrics, compare_text);
    metric_free(metric);
    family->count--;
    family_drop_if_empty(metrics, family);
}

static void owner_free(struct metrics *metrics, struct owner *owner)
{
    tdelete(owner, &metrics->owners, compare_owner);
    while (owner->shares) {
        struct share *share = owner->shares;
        share_unlink(share);
        free(share);
    }
    for (struct weir_metric *metric = owner->first, *next; metric; metric = next) {
        next = metric->next;
        if (metric->heirs)
            metric_bequeath(metric);
        else
            metric_remove(metrics, metric);
    }
    free(owner);
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics)
        return;
    while (metrics->owners)
        owner_free(metrics, *(struct owner **)metrics->owners);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

struct weir_metric *metrics_get(struct metrics *metrics, enum weir_metric_kind kind, const char *name,
                                const char *help, const struct metrics_label *labels, size_t count,
                                const void *owner)
{
    if ((kind != WEIR_COUNTER && kind != WEIR_GAUGE) || !name_valid(name, true))
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!name_valid(labels[i].name, false) || !labels[i].value)
            return NULL;
    char *text = labels_text(labels, count);
    if (!text)
        return NULL;

    struct weir_metric *metric = NULL;
    pthread_mutex_lock(&metrics->lock);
    struct family *family = family_get(metrics, kind, name, help);
    if (family) {
        metric = metric_get(metrics, family, text, owner);
        family_drop_if_empty(metrics, family);
    }
    pthread_mutex_unlock(&metrics->lock);
    free(text);
    return metric;
}

void metrics_drop(struct metrics *metrics, const void *owner_key)
{
    struct owner wanted = {.key = owner_key};
    pthread_mutex_lock(&metrics->lock);
    struct owner *owner = tree_find(&wanted, &metrics->owners, compare_owner);
    if (owner)
        owner_free(metrics, owner);
    pthread_mutex_unlock(&metrics->lock);
}

static void write_metric(const void *node, VISIT visit, void *data)
{
    const struct weir_metric *metric = *(struct weir_metric *const *)node;
    FILE *out = data;
    int64_t value = metric_value(metric);
    if (visit != postorder && visit != leaf)
        return;
    if (metric->family->kind == WEIR_COUNTER)
        fprintf(out, "%s%s %" PRIu64 "\n", metric->family->name, metric->labels, (uint64_t)value);
    else
        fprintf(out, "%s%s %" PRId64 "\n", metric->family->name, metric->labels, value);
}

static void write_family(const void *node, VISIT visit, void *data)
{
    const struct family *family = *(struct family *const *)node;
    FILE *out = data;
    if (visit != postorder && visit != leaf)
        return;
    if (family->help) {
        fprintf(out, "# HELP %s ", family->name);
        write_escaped(out, family->help, false);
        fputc('\n', out);
    }
    fprintf(out, "# TYPE %s %s\n", family->name, family->kind == WEIR_COUNTER ? "counter" : "gauge");
    twalk_r(family->metrics, write_metric, out);
}

int metrics_write(struct metrics *metrics, FILE *out)
{
    pthread_mutex_lock(&metrics->lock);
    errno = 0;
    twalk_r(metrics->families, write_family, out);
    int r = fflush(out) == 0 && !ferror(out) ? 0 : errno ? -errno : -EIO;
    pthread_mutex_unlock(&metrics->lock);
    return r;
}
