/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings to filled structures, by option tables. What the filled-in strings, lists and maps point to is in
 * an arena while a section is parsed, and then in a block of its own (option_pack.c). Any thread, one section
 * at a time.
 */
#include "option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "arena.h"
#include "option_private.h"

struct weir_option option_row(const struct weir_option *table, size_t row_size, size_t index)
{
    struct weir_option row = {0};
    memcpy(&row, (const char *)table + index * row_size, row_size < sizeof row ? row_size : sizeof row);
    return row;
}

size_t option_smallest_row(void)
{
    return offsetof(struct weir_option, help) + sizeof(const char *);
}

/* -- The tables' rows as one array -- */

static size_t count_rows(const struct option_table *tables, size_t count)
{
    size_t rows = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; tables[i].options && option_row(tables[i].options, tables[i].row_size, j).name;
             j++)
            rows++;
    return rows;
}

static bool make_slots(struct option_parse *parse, const struct option_table *tables, size_t count)
{
    parse->slots = calloc(count_rows(tables, count) + 1, sizeof *parse->slots);
    if (!parse->slots)
        return false;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; tables[i].options; j++) {
            struct weir_option row = option_row(tables[i].options, tables[i].row_size, j);
            if (!row.name)
                break;
            parse->slots[parse->count++] = (struct option_slot){.row = row, .table = &tables[i]};
        }
    }
    return true;
}

static struct option_slot *find_slot(struct option_parse *parse, const char *name)
{
    for (size_t i = 0; i < parse->count; i++) {
        const struct weir_option *row = &parse->slots[i].row;
        if (!strcasecmp(row->name, name) || (row->alias && !strcasecmp(row->alias, name)))
            return &parse->slots[i];
    }
    for (size_t i = 0; i < parse->count; i++)
        if (option_prefix_length(&parse->slots[i].row, name))
            return &parse->slots[i];
    return NULL;
}

/* The name that was meant, or NULL. Its option is not missed then: one mistake is one line. */
static const char *meant_name(struct option_parse *parse, const char *written)
{
    const char **names = calloc(2 * parse->count + 1, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; names && i < parse->count; i++) {
        const struct weir_option *row = &parse->slots[i].row;
        if (row->type != WEIR_OPTION_IGNORED)
            names[count++] = row->name;
        if (row->type != WEIR_OPTION_IGNORED && row->alias)
            names[count++] = row->alias;
    }
    const char *nearest = names ? problem_nearest(written, names, count) : NULL;
    free(names);
    if (nearest)
        find_slot(parse, nearest)->was_meant = true;
    return nearest;
}

static void refuse_unknown(struct option_parse *parse, const struct setting *setting)
{
    const char *nearest = meant_name(parse, setting->name);
    if (nearest)
        problem_error(parse->problems, &setting->origin, "unknown option '%s' of %s; did you mean '%s'?",
                      setting->name, parse->what, nearest);
    else
        problem_error(parse->problems, &setting->origin,
                      "unknown option '%s' of %s; weir plugins %s lists them", setting->name, parse->what,
                      parse->what);
}

/* -- A setting -- */

/* Whether the setting may be given in this form, at this place. */
static bool check_form(struct option_parse *parse, const struct option_slot *slot,
                       const struct setting *setting)
{
    enum weir_option_type type = slot->row.type;
    if (slot->seen && type != WEIR_OPTION_LIST && type != WEIR_OPTION_MAP)
        option_refuse_twice(parse, slot->row.name, setting, slot->seen);
    else if (setting->is_list && type != WEIR_OPTION_LIST)
        problem_error(parse->problems, &setting->origin, "%s: option '%s' wants one value, not a list",
                      parse->what, setting->name);
    else if (!setting->count && type != WEIR_OPTION_LIST)
        problem_error(parse->problems, &setting->origin, "%s: option '%s' needs a value", parse->what,
                      setting->name);
    else
        return true;
    return false;
}

static bool has_value(const struct setting *setting)
{
    for (size_t i = 0; i < setting->count; i++)
        if (*setting->values[i])
            return true;
    return false;
}

static void apply(struct option_parse *parse, const struct setting *setting)
{
    struct option_slot *slot = find_slot(parse, setting->name);
    if (!slot) {
        refuse_unknown(parse, setting);
        return;
    }
    if (slot->row.type == WEIR_OPTION_IGNORED) {
        problem_warn(parse->problems, &setting->origin, "%s: option '%s' has no effect: %s", parse->what,
                     setting->name, slot->row.help ? slot->row.help : "weir does not have it");
        return;
    }
    if (check_form(parse, slot, setting))
        option_set(parse, slot, setting);
    if (!slot->seen)
        slot->seen = setting;
    slot->has_value |= has_value(setting);
}

/* -- Before and after the settings -- */

static void check_required(struct option_parse *parse, const struct option_slot *slot)
{
    if (!(slot->row.flags & WEIR_OPTION_REQUIRED) || slot->has_value || slot->was_meant)
        return;
    if (slot->seen)
        problem_error(parse->problems, &slot->seen->origin, "%s: option '%s' needs a value", parse->what,
                      slot->row.name);
    else
        problem_error(parse->problems, &parse->section->origin, "%s: option '%s' is missing", parse->what,
                      slot->row.name);
}

static void run(struct option_parse *parse)
{
    for (size_t i = 0; i < parse->count; i++)
        if (parse->slots[i].row.def)
            option_set_default(parse, &parse->slots[i]);
    for (size_t i = 0; i < parse->section->count; i++)
        apply(parse, &parse->section->settings[i]);
    for (size_t i = 0; i < parse->count; i++)
        check_required(parse, &parse->slots[i]);
}

int option_parse(const struct section *section, const char *what, const struct option_table *tables,
                 size_t count, struct option_memory **ret_memory, struct problems *problems)
{
    struct option_parse parse = {
        .section = section,
        .what = what,
        .problems = problems,
        .errors = problems->errors,
        .arena = arena_create(),
    };
    if (!parse.arena || !make_slots(&parse, tables, count)) {
        arena_destroy(parse.arena);
        return -ENOMEM;
    }
    run(&parse);
    struct option_memory *memory = arena_failed(parse.arena) ? NULL : option_pack(&parse);
    free(parse.slots);
    arena_destroy(parse.arena);
    if (!memory)
        return -ENOMEM;
    *ret_memory = memory;
    return problems->errors == parse.errors ? 0 : -EINVAL;
}
