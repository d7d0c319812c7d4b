/* SPDX-License-Identifier: Apache-2.0 */
/* What an input's callback series tells, as a scrape of weir's metrics asks for it. */
#include <stdlib.h>
#include <string.h>
#include "private.h"

static bool is_sound(struct weir_instance *i, enum weir_metric_kind kind, const char *name, const char *help,
                     const char *label, const char *label_value)
{
    if (!name || !help || !*help || (kind != WEIR_COUNTER && kind != WEIR_GAUGE) || !label != !label_value) {
        fake_misuse(i->host, i, "series: '%s' lacks its name, help, kind, or one of label and label_value",
                    name ? name : "");
        return false;
    }
    if (fake_has_metric(i, name)) {
        fake_misuse(i->host, i, "series: '%s' is a metric of host->metric already", name);
        return false;
    }
    return true;
}

static void put(void *data, enum weir_metric_kind kind, const char *name, const char *help, const char *label,
                const char *label_value, double value)
{
    struct weir_instance *i = data;

    if (!is_sound(i, kind, name, help, label, label_value))
        return;
    i->series = fake_must(realloc(i->series, (i->series_count + 1) * sizeof(*i->series)));
    i->series[i->series_count++] =
        (struct weir_fake_series){kind, fake_copy(name), fake_copy(label ? label : ""),
                                  fake_copy(label_value ? label_value : ""), value};
}

const struct weir_fake_series *weir_fake_series(struct weir_instance *i, size_t *ret_count)
{
    struct weir_series series = {.struct_size = sizeof(series), .put = put, .data = i};

    fake_series_finish(i);
    if (i->plugin->series) {
        const char *before = fake_enter(i->host, i, "series");
        int r = i->plugin->series(i->self, &series);
        fake_leave(i->host, i, before);
        if (r < 0)
            fake_series_finish(i);
    }
    *ret_count = i->series_count;
    return i->series;
}

void fake_series_finish(struct weir_instance *i)
{
    for (size_t k = 0; k < i->series_count; k++) {
        free(i->series[k].name);
        free(i->series[k].label);
        free(i->series[k].label_value);
    }
    free(i->series);
    i->series = NULL;
    i->series_count = 0;
}
