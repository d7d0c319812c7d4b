/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed option tables: from settings to a filled structure. The same code serves plugins, the options
 * that every input or output has, and the service section.
 */
#ifndef WEIR_CORE_OPTION_H
#define WEIR_CORE_OPTION_H

#include <stdint.h>
#include <stdio.h>
#include <weir/plugin.h>
#include "config.h"
#include "problem.h"

/* One table with the structure that it fills in. */
struct option_table {
    const struct weir_option *options;
    size_t row_size;    /* bytes from one row to the next (a plugin's may be older and shorter) */
    void *values;       /* zeroed by the caller */
    size_t values_size; /* of the structure: no option is written outside it */
};

struct option_memory; /* owns what the strings, lists and maps of a structure point to */

/*
 * Fills the tables' structures out of the section, defaults first. Every setting must belong to a table (the
 * first that has it wins); what does not, or is no value of its type, or is missing, is added to problems.
 * `what` names the section in messages: a plugin's name, "service". Returns 0, -EINVAL after at least one
 * error, or -ENOMEM. *ret_memory is set in any case but -ENOMEM. The section may be freed afterwards;
 * defaults point into the tables.
 *
 * A list may be set several times, which adds up; anything else is set once. The name of an IGNORED row may
 * end in ".*".
 */
int option_parse(const struct section *, const char *what, const struct option_table *tables, size_t count,
                 struct option_memory **ret_memory, struct problems *);

/* Whether both structures have the same value for that row; with option_same, for every row of the table. */
bool option_same_value(const struct weir_option *row, const void *a, const void *b);
bool option_same(const struct weir_option *, size_t row_size, const void *a, const void *b);

/* Copies that row's value from one structure to another; what it points to stays where it is. */
void option_take(const struct weir_option *row, void *to, const void *from);

/* Calls fn for each path among the values of rows that are WEIR_OPTION_READS or WEIR_OPTION_WRITES. */
void option_each_path(const struct weir_option *, size_t row_size, const void *values,
                      void (*fn)(void *data, const struct weir_option *row, const char *path), void *data);

/* Takes NULL. Secrets are overwritten first. */
void option_free(struct option_memory *);

/* Writes the options as a manual: name, type, default, range, help. */
void option_print(FILE *, const struct weir_option *, size_t row_size);

/*
 * Checks a plugin's table itself (names, types, offsets within config_size, defaults that parse). NULL, or
 * what is wrong, for the caller to free.
 */
char *option_check_table(const struct weir_option *, size_t row_size, size_t config_size);

/* The row size of the oldest plugins. */
size_t option_smallest_row(void);

/* A row of a table whose rows may be shorter than ours: what is lacking is zero. */
struct weir_option option_row(const struct weir_option *table, size_t row_size, size_t index);

/* The values of one text, as the table's types read it. 0, -EINVAL, -ERANGE (does not fit). */
int option_parse_bool(const char *text, bool *ret);
int option_parse_int(const char *text, int64_t *ret);
int option_parse_size(const char *text, uint64_t *ret);
int option_parse_duration(const char *text, uint64_t *ret);

#endif
