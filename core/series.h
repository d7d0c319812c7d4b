/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics that exist only while they are asked for: what inputs tell of themselves for one scrape, gathered
 * on their loops, each into a list of its own, and written together on the control thread. No state, no lock.
 */
#ifndef WEIR_CORE_SERIES_H
#define WEIR_CORE_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <weir/plugin.h>

struct series_entry;

/* All zero: empty. */
struct series_list {
    struct series_entry *entries;
    size_t count, room;
    bool failed; /* not all could be kept */
};

/*
 * Adds one: weir_<plugin>_<name>{input="alias",label="value"}. Copies everything. Invalid names are left out.
 */
void series_add(struct series_list *, const char *plugin, const char *alias, enum weir_metric_kind,
                const char *name, const char *help, const char *label, const char *label_value, double value);
/* Moves the entries of `from` to the end of `to`. */
void series_move(struct series_list *to, struct series_list *from);
/*
 * Writes them as Prometheus' text. Of the series of one name that have a label of their own only the
 * SERIES_SHOWN largest are written, so that thousands of files do not become thousands of series.
 */
enum { SERIES_SHOWN = 200 };
void series_write(struct series_list *, FILE *);
void series_finish(struct series_list *);

#endif
