/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics as Prometheus reads them, text format 0.0.4: labels, and the whole of a registry. Under the
 * registry's lock. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "metrics_private.h"
#include "text.h"

/* ---- Escaping ------------------------------------------------------------------------------------ */

enum { ESCAPE_GROWTH = 3 };

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '\\' && c != '"';
}

/*
 * Prometheus refuses a whole scrape for one byte that is not UTF-8, and a file's name may hold any: U+FFFD
 * stands for those. Returns behind what was written, at most ESCAPE_GROWTH times the text.
 */
static char *escape(char *out, const char *text, bool quotes)
{
    size_t left = strlen(text);
    while (left) {
        if (is_plain(*text)) {
            *out++ = *text++;
            left--;
            continue;
        }
        size_t length = text_utf8(text, left);
        if (!length) {
            out = (char *)mempcpy(out, "\xef\xbf\xbd", 3);
        } else if (*text == '\n') {
            out = (char *)mempcpy(out, "\\n", 2);
        } else {
            if (*text == '\\' || (quotes && *text == '"'))
                *out++ = '\\';
            out = (char *)mempcpy(out, text, length);
        }
        length = length ? length : 1;
        text += length;
        left -= length;
    }
    return out;
}

/* Whether the value needed no escaping. */
static bool is_written(const char *value, const char *text, const char *end)
{
    size_t size = strlen(value);
    return (size_t)(end - text) == size && !memcmp(value, text, size);
}

int labels_write(struct labels *ret, const struct metrics_label *labels, size_t count)
{
    size_t room = 1;
    for (size_t i = 0; i < count; i++)
        room += strlen(labels[i].name) + strlen(labels[i].value) * ESCAPE_GROWTH + strlen("{=\"\"");
    ret->shared = NULL;
    ret->own = room > sizeof(ret->small) ? malloc(room) : NULL;
    if (room > sizeof(ret->small) && !ret->own)
        return -ENOMEM;
    char *out = ret->text = ret->own ? ret->own : ret->small;
    ret->first = 0;
    for (size_t i = 0; i < count; i++) {
        *out++ = i ? ',' : '{';
        char *value = out = stpcpy(stpcpy(out, labels[i].name), "=\"");
        out = escape(out, labels[i].value, true);
        if (i == 0 && labels[i].shared && is_written(labels[i].value, value, out))
            ret->shared = labels[i].shared;
        *out++ = '"';
        if (i == 0)
            ret->first = (size_t)(out - ret->text);
    }
    *out = '\0';
    return 0;
}

void labels_finish(struct labels *labels)
{
    free(labels->own);
}

/* ---- The whole ----------------------------------------------------------------------------------- */

/* Which metrics of a holder are of the family; most holders have the same shape. */
struct wanted {
    const struct shape *of;
    const struct shape *places[VALUES_OF_HOLDER]; /* in the order of their labels */
    size_t count;
};

/* As the whole text compares: a comma comes before the brace at the end. */
static bool comes_before(const char *more, const char *other)
{
    return *more && *other ? strcmp(more, other) < 0 : *more != '\0';
}

static void find_wanted(struct wanted *w, const struct holder *holder, const struct family *family)
{
    if (w->of == holder->shape)
        return;
    w->of = holder->shape;
    w->count = 0;
    for (const struct shape *s = holder->shape; s; s = s->parent) {
        size_t at = w->count;
        if (s->series->family != family)
            continue;
        for (; at && comes_before(s->series->more, w->places[at - 1]->series->more); at--)
            w->places[at] = w->places[at - 1];
        w->places[at] = s;
        w->count++;
    }
}

static void write_labels(const struct holder *holder, const char *more, FILE *out)
{
    if (holder->value)
        fprintf(out, "{%s=\"%s\"%s}", holder->labels, holder->value->chars, more);
    else
        fprintf(out, "%s%s%s", holder->labels, more, *holder->labels ? "}" : "");
}

static void write_metric(const struct holder *holder, const struct shape *place, FILE *out)
{
    const struct family *family = place->series->family;
    int64_t value = metric_value(holder_metric(holder, place->index));
    fputs(family->name, out);
    write_labels(holder, place->series->more, out);
    if (family->kind == WEIR_COUNTER)
        fprintf(out, " %" PRIu64 "\n", (uint64_t)value);
    else
        fprintf(out, " %" PRId64 "\n", value);
}

static int write_head(const struct family *family, FILE *out)
{
    if (family->help) {
        char *help = malloc(strlen(family->help) * ESCAPE_GROWTH + 1);
        if (!help)
            return -ENOMEM;
        *escape(help, family->help, false) = '\0';
        fprintf(out, "# HELP %s %s\n", family->name, help);
        free(help);
    }
    fprintf(out, "# TYPE %s %s\n", family->name, family->kind == WEIR_COUNTER ? "counter" : "gauge");
    return 0;
}

static int write_family(const struct family *family, struct holder *const *holders, size_t count, FILE *out)
{
    struct wanted wanted = {0};
    int r = write_head(family, out);
    for (size_t i = 0; r == 0 && i < count; i++) {
        find_wanted(&wanted, holders[i], family);
        uint64_t live = wanted.count ? holder_live(holders[i]) : 0;
        for (size_t n = 0; n < wanted.count; n++)
            if (live >> wanted.places[n]->index & 1)
                write_metric(holders[i], wanted.places[n], out);
    }
    return r;
}

static int compare_holders(const void *a, const void *b)
{
    const struct holder *one = *(struct holder *const *)a, *other = *(struct holder *const *)b;
    int r = strcmp(one->labels, other->labels);
    return r || !one->value || !other->value ? r : strcmp(one->value->chars, other->value->chars);
}

/* In the order of their labels. NULL: no memory. */
static struct holder **sort_holders(const struct metrics *metrics, size_t *ret_count)
{
    const struct link_table *t = &metrics->holders;
    struct holder **holders = calloc(t->count + 1, sizeof(struct holder *));
    size_t count = 0;
    if (!holders)
        return NULL;
    for (size_t i = 0; t->buckets && i <= t->mask; i++)
        for (struct link *l = t->buckets[i]; l; l = l->next)
            holders[count++] = (struct holder *)l;
    qsort(holders, count, sizeof(struct holder *), compare_holders);
    *ret_count = count;
    return holders;
}

int metrics_write(struct metrics *metrics, FILE *out)
{
    size_t count = 0;
    pthread_mutex_lock(&metrics->lock);
    struct holder **holders = sort_holders(metrics, &count);
    int r = holders ? 0 : -ENOMEM;
    errno = 0;
    for (const struct family *f = metrics->families; r == 0 && f; f = f->next)
        if (f->live)
            r = write_family(f, holders, count, out);
    pthread_mutex_unlock(&metrics->lock);
    free(holders);
    if (r == 0)
        r = fflush(out) == 0 && !ferror(out) ? 0 : errno ? -errno : -EIO;
    return r;
}
