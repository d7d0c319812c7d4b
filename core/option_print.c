/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An option table as a manual, and the check of a table that a plugin brought. Owns nothing. Control thread.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "option_private.h"

enum { MOST_ROWS = 1000 };

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_.-"

static void print_row(FILE *file, const struct weir_option *row)
{
    char text[512];
    fprintf(file, "  %s%s\n", row->name, row->type == WEIR_OPTION_MAP ? ".NAME" : "");
    fprintf(file, "      %s", option_type_name(row->type));
    if (row->type == WEIR_OPTION_CHOICE) {
        option_choices_text(row, text, sizeof text);
        fprintf(file, ": %s", text);
    }
    option_range_text(row, text, sizeof text);
    if (*text)
        fprintf(file, ", %s", text);
    if (row->flags & WEIR_OPTION_REQUIRED)
        fputs(", required", file);
    else if (row->def)
        fprintf(file, ", default %s", row->def);
    if (row->alias)
        fprintf(file, ", also written %s", row->alias);
    fputc('\n', file);
    if (row->help)
        fprintf(file, "      %s\n", row->help);
}

static void print_ignored(FILE *file, const struct weir_option *options, size_t row_size)
{
    bool first = true;
    for (size_t i = 0;; i++) {
        struct weir_option row = option_row(options, row_size, i);
        if (!row.name)
            return;
        if (row.type != WEIR_OPTION_IGNORED)
            continue;
        if (first)
            fputs("Accepted, with a warning, and without effect:\n", file);
        first = false;
        fprintf(file, "  %s: %s\n", row.name, row.help ? row.help : "weir does not have it");
    }
}

void option_print(FILE *file, const struct weir_option *options, size_t row_size)
{
    for (size_t i = 0; options; i++) {
        struct weir_option row = option_row(options, row_size, i);
        if (!row.name)
            break;
        if (row.type != WEIR_OPTION_IGNORED)
            print_row(file, &row);
    }
    if (options)
        print_ignored(file, options, row_size);
}

/* -- The check -- */

static bool is_name(const char *name, enum weir_option_type type)
{
    size_t length = strspn(name, NAME_LETTERS);
    if (name[0] < 'a' || name[0] > 'z')
        return false;
    return !name[length] || (type == WEIR_OPTION_IGNORED && !strcmp(name + length - 1, ".*"));
}

static bool clashes(const struct weir_option *row, const char *name)
{
    return !strcasecmp(row->name, name) || (row->alias && !strcasecmp(row->alias, name));
}

/* Whether a row before `index` has one of its names. */
static bool is_taken(const struct weir_option *options, size_t row_size, size_t index)
{
    struct weir_option row = option_row(options, row_size, index);
    for (size_t i = 0; i < index; i++) {
        struct weir_option other = option_row(options, row_size, i);
        if (clashes(&other, row.name) || (row.alias && clashes(&other, row.alias)))
            return true;
    }
    return false;
}

/* Whether a row before `index` has some of its place in the structure. */
static bool overlaps(const struct weir_option *options, size_t row_size, size_t index)
{
    struct weir_option row = option_row(options, row_size, index);
    size_t size = option_type_size(row.type);
    for (size_t i = 0; i < index; i++) {
        struct weir_option other = option_row(options, row_size, i);
        size_t other_size = option_type_size(other.type);
        if (size && other_size && row.offset < other.offset + other_size && other.offset < row.offset + size)
            return true;
    }
    return false;
}

static bool default_parses(const struct weir_option *row)
{
    union option_value value;
    switch (row->type) {
    case WEIR_OPTION_BOOL:
    case WEIR_OPTION_INT:
    case WEIR_OPTION_SIZE:
    case WEIR_OPTION_DURATION:
    case WEIR_OPTION_CHOICE:
        return !row->def || option_value_parse(row, row->def, &value) == 0;
    default:
        return true;
    }
}

/* What is wrong with a row by itself, or NULL. */
static const char *row_fault(const struct weir_option *row, size_t config_size)
{
    size_t size = option_type_size(row->type);
    if (!is_name(row->name, row->type) || (row->alias && !is_name(row->alias, row->type)))
        return "its name or alias is not of the form [a-z][a-z0-9_.-]*";
    if (!option_type_name(row->type))
        return "it has a type that this weir does not know";
    if (row->offset > config_size || size > config_size - row->offset)
        return "its offset lies outside of the configuration structure (config_size)";
    if (size && row->offset % option_type_align(row->type))
        return "its offset is not aligned for its type";
    if (row->type == WEIR_OPTION_CHOICE && (!row->choices || !row->choices[0]))
        return "it has no choices";
    if (row->min > row->max)
        return "its range is empty";
    if (!default_parses(row))
        return "its default is no value of its type and range";
    return NULL;
}

/* MOST_ROWS: it has no end. */
static size_t count_rows(const struct weir_option *options, size_t row_size)
{
    size_t count = 0;
    while (count < MOST_ROWS && option_row(options, row_size, count).name)
        count++;
    return count;
}

/* What is wrong with a row beside those before it, or NULL. */
static const char *place_fault(const struct weir_option *options, size_t row_size, size_t index)
{
    if (is_taken(options, row_size, index))
        return "its name or alias is that of an earlier option";
    if (overlaps(options, row_size, index))
        return "its place in the configuration structure is an earlier option's (offset)";
    return NULL;
}

char *option_check_table(const struct weir_option *options, size_t row_size, size_t config_size)
{
    char *text = NULL;
    size_t count = options ? count_rows(options, row_size) : 0;
    if (count == MOST_ROWS)
        return strdup("its option table does not end with a row without a name");
    for (size_t i = 0; i < count; i++) {
        struct weir_option row = option_row(options, row_size, i);
        const char *fault = row_fault(&row, config_size);
        if (!fault)
            fault = place_fault(options, row_size, i);
        if (fault)
            return asprintf(&text, "option '%s': %s", row.name, fault) < 0 ? strdup(fault) : text;
    }
    return NULL;
}
