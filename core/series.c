/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics that exist only while they are asked for. See series.h; each list belongs to one thread at a time.
 */
#include "series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "metrics_private.h"

struct series_entry {
    char *name, *help; /* the name as in the text */
    char *labels;      /* with its braces */
    double value;
    enum weir_metric_kind kind;
    bool labelled; /* more than the input's label */
};

static void entry_finish(struct series_entry *e)
{
    free(e->name);
    free(e->help);
    free(e->labels);
}

static bool list_grow(struct series_list *list, size_t more)
{
    size_t room = list->room ? list->room : 16;

    while (room < list->count + more)
        room *= 2;
    if (room == list->room)
        return true;
    struct series_entry *entries = realloc(list->entries, room * sizeof(*entries));
    if (!entries)
        return false;
    list->entries = entries;
    list->room = room;
    return true;
}

/* The labels in braces; NULL: no memory. */
static char *labels_text(const char *alias, const char *label, const char *label_value)
{
    struct metrics_label labels[2] = {{.name = "input", .value = alias},
                                      {.name = label, .value = label_value}};
    struct labels text;
    char *whole = NULL;

    if (labels_write(&text, labels, label ? 2 : 1) < 0)
        return NULL;
    if (asprintf(&whole, "%s}", text.text) < 0)
        whole = NULL;
    labels_finish(&text);
    return whole;
}

void series_add(struct series_list *list, const char *plugin, const char *alias, enum weir_metric_kind kind,
                const char *name, const char *help, const char *label, const char *label_value, double value)
{
    struct series_entry e = {.kind = kind, .value = value, .labelled = label != NULL};

    if (!metrics_name_valid(name) || (label && (!metrics_name_valid(label) || !label_value)) ||
        !isfinite(value))
        return;
    if (asprintf(&e.name, "weir_%s_%s%s", plugin, name, kind == WEIR_COUNTER ? "_total" : "") < 0)
        e.name = NULL;
    e.help = strdup(help ? help : "");
    e.labels = labels_text(alias, label, label_value);
    if (!e.name || !e.help || !e.labels || !list_grow(list, 1)) {
        list->failed = true;
        entry_finish(&e);
        return;
    }
    list->entries[list->count++] = e;
}

void series_move(struct series_list *to, struct series_list *from)
{
    to->failed |= from->failed;
    if (from->count && list_grow(to, from->count)) {
        memcpy(to->entries + to->count, from->entries, from->count * sizeof(*from->entries));
        to->count += from->count;
        from->count = 0;
    }
}

/* By name, those of an input as a whole first, then the largest, then by labels. */
static int compare(const void *a, const void *b)
{
    const struct series_entry *x = a, *y = b;
    int by_name = strcmp(x->name, y->name);

    if (by_name)
        return by_name;
    if (x->labelled != y->labelled)
        return x->labelled ? 1 : -1;
    if (x->labelled && x->value != y->value)
        return x->value < y->value ? 1 : -1;
    int by_labels = strcmp(x->labels, y->labels);
    return by_labels ? by_labels : (x->value < y->value) - (x->value > y->value);
}

/* An input that retires and the one in its place may tell the same: the larger one, which came first, counts.
 */
static bool was_written(const struct series_entry *e, const struct series_entry *first)
{
    for (const struct series_entry *other = e->labelled ? first : e > first ? e - 1 : e; other < e; other++)
        if (!strcmp(other->labels, e->labels))
            return true;
    return false;
}

/* Help is a text in the program; what would break the line is left out. */
static void write_head(const struct series_entry *e, FILE *f)
{
    fprintf(f, "# HELP %s ", e->name);
    for (const char *p = e->help; *p; p++)
        if (*p != '\n' && *p != '\\')
            fputc(*p, f);
    fprintf(f, "\n# TYPE %s %s\n", e->name, e->kind == WEIR_COUNTER ? "counter" : "gauge");
}

void series_write(struct series_list *list, FILE *f)
{
    const struct series_entry *first = NULL; /* of that name */
    size_t labelled = 0;

    if (list->count)
        qsort(list->entries, list->count, sizeof(*list->entries), compare);
    for (const struct series_entry *e = list->entries; e < list->entries + list->count; e++) {
        if (!first || strcmp(first->name, e->name) != 0) {
            first = e;
            labelled = 0;
            write_head(e, f);
        }
        if (e->labelled && labelled >= SERIES_SHOWN)
            continue;
        if (was_written(e, first))
            continue;
        labelled += e->labelled;
        fprintf(f, "%s%s %.17g\n", e->name, e->labels, e->value);
    }
}

void series_finish(struct series_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        entry_finish(&list->entries[i]);
    free(list->entries);
    *list = (struct series_list){0};
}
