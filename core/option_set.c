/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores one setting, or one default, where its option's row says. Owns nothing: what strings, lists and maps
 * point to is in the parse's arena. Any thread, one section at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <strings.h>
#include "config_file.h"
#include "option_private.h"

enum { MOST_SECRET = 64 * 1024, SHOWN_VALUE = 60 };

static bool is_prefix(const char *prefix, size_t length, const char *name)
{
    return !strncasecmp(prefix, name, length) && name[length] == '.' && name[length + 1];
}

/* How much of `name` is the option's own name where it has settings below it, or 0. */
size_t option_prefix_length(const struct weir_option *row, const char *name)
{
    size_t length = strlen(row->name);
    if (row->type == WEIR_OPTION_IGNORED && length > 2 && !strcmp(row->name + length - 2, ".*"))
        return is_prefix(row->name, length - 2, name) ? length - 2 : 0;
    if (row->type != WEIR_OPTION_MAP)
        return 0;
    if (is_prefix(row->name, length, name))
        return length;
    length = row->alias ? strlen(row->alias) : 0;
    return length && is_prefix(row->alias, length, name) ? length : 0;
}

/* -- Values -- */

static void store(const struct option_slot *slot, const void *value, size_t size)
{
    const struct option_table *table = slot->table;
    if (slot->row.offset <= table->values_size && size <= table->values_size - slot->row.offset)
        memcpy((char *)table->values + slot->row.offset, value, size);
}

static void load(const struct option_slot *slot, void *ret, size_t size)
{
    const struct option_table *table = slot->table;
    memset(ret, 0, size);
    if (slot->row.offset <= table->values_size && size <= table->values_size - slot->row.offset)
        memcpy(ret, (const char *)table->values + slot->row.offset, size);
}

static void refuse_value(struct option_parse *parse, const struct option_slot *slot,
                         const struct setting *setting, int error)
{
    static const char *const wants[] = {
        [WEIR_OPTION_BOOL] = "on or off",
        [WEIR_OPTION_INT] = "a whole number",
        [WEIR_OPTION_SIZE] = "a size like 512, 32k or 5M",
        [WEIR_OPTION_DURATION] = "a duration like 5s or 100ms",
    };
    char text[512], shown[2 * SHOWN_VALUE];
    const char *value = setting->values[0];
    bool too_long = strlen(value) > SHOWN_VALUE;
    snprintf(shown, sizeof shown, "%.*s%s", SHOWN_VALUE, value, too_long ? "…" : "");
    if (error == -ERANGE) {
        option_range_text(&slot->row, text, sizeof text);
        problem_error(parse->problems, &setting->origin, "%s: option '%s' must be %s, not '%s'", parse->what,
                      slot->row.name, *text ? text : "smaller than that", shown);
    } else if (slot->row.type == WEIR_OPTION_CHOICE) {
        option_choices_text(&slot->row, text, sizeof text);
        problem_error(parse->problems, &setting->origin, "%s: option '%s' wants one of %s, not '%s'",
                      parse->what, slot->row.name, text, shown);
    } else {
        problem_error(parse->problems, &setting->origin, "%s: option '%s' wants %s, not '%s'", parse->what,
                      slot->row.name, wants[slot->row.type], shown);
    }
}

static void set_simple(struct option_parse *parse, const struct option_slot *slot,
                       const struct setting *setting)
{
    union option_value value;
    int r = option_value_parse(&slot->row, setting->values[0], &value);
    if (r < 0)
        refuse_value(parse, slot, setting, r);
    else
        store(slot, &value, option_type_size(slot->row.type));
}

static void set_text(struct option_parse *parse, const struct option_slot *slot, const char *text)
{
    const char *copy = arena_strdup(parse->arena, text);
    store(slot, &copy, sizeof copy);
}

static void warn_of_readers(struct option_parse *parse, const struct option_slot *slot,
                            const struct setting *setting, const char *path, mode_t mode)
{
    if (S_ISREG(mode) && (mode & S_IROTH))
        problem_warn(
            parse->problems, &setting->origin,
            "%s: option '%s' is a secret, and everybody may read '%s': chmod o-r, or keep it in a file of its own",
            parse->what, slot->row.name, path);
}

/* One that is written into the configuration itself. What came from a variable is somewhere else. */
static void look_at_config(struct option_parse *parse, const struct option_slot *slot,
                           const struct setting *setting)
{
    struct stat st;
    if (!setting->expanded && setting->origin.file && setting->origin.line &&
        stat(setting->origin.file, &st) == 0)
        warn_of_readers(parse, slot, setting, setting->origin.file, st.st_mode);
}

/* A secret's file: what is in it never reaches a message. */
static const char *read_secret(struct option_parse *parse, const struct option_slot *slot,
                               const struct setting *setting, const char *path)
{
    struct config_file file = {0};
    const char *secret = NULL;
    int r = path[0] == '/' ? config_file_read(path, false, &file) : -EINVAL;
    while (file.size && (file.text[file.size - 1] == '\n' || file.text[file.size - 1] == '\r'))
        file.size--;
    if (path[0] != '/')
        problem_error(parse->problems, &setting->origin,
                      "%s: option '%s' wants the whole path of a file, as in file:///run/secrets/NAME",
                      parse->what, slot->row.name);
    else if (r < 0)
        problem_error(parse->problems, &setting->origin, "%s: option '%s': can't read '%s': %s", parse->what,
                      slot->row.name, path, strerror(-r));
    else if (!file.size || file.size > MOST_SECRET || memchr(file.text, '\0', file.size))
        problem_error(parse->problems, &setting->origin,
                      "%s: option '%s': the file '%s' holds no secret: it must be text of 1 byte to 64 KiB",
                      parse->what, slot->row.name, path);
    else
        secret = arena_strndup(parse->arena, file.text, file.size);
    if (secret)
        warn_of_readers(parse, slot, setting, path, file.mode);
    config_file_free(&file);
    return secret;
}

static void set_secret(struct option_parse *parse, const struct option_slot *slot,
                       const struct setting *setting)
{
    static const char scheme[] = "file://";
    const char *value = setting->values[0];
    if (strncmp(value, scheme, strlen(scheme)) != 0) {
        look_at_config(parse, slot, setting);
        set_text(parse, slot, value);
        return;
    }
    const char *secret = read_secret(parse, slot, setting, value + strlen(scheme));
    store(slot, &secret, sizeof secret);
}

/* -- Lists and maps -- */

static void append_item(struct option_parse *parse, struct weir_list *list, const char *text, size_t length)
{
    const char **items = arena_grow(parse->arena, (void *)list->items, list->count, sizeof *items);
    const char *copy = arena_strndup(parse->arena, text, length);
    if (!items || !copy)
        return;
    items[list->count++] = copy;
    list->items = items;
}

/* The parts between commas, without the blanks around them; empty ones are left out. */
static void append_parts(struct option_parse *parse, struct weir_list *list, const char *text)
{
    static const char blanks[] = " \t\r\n";
    while (*text) {
        size_t length = strcspn(text, ",");
        const char *next = text + length + (text[length] == ',');
        size_t leading = strspn(text, blanks);
        if (leading > length)
            leading = length;
        text += leading;
        length -= leading;
        while (length && strchr(blanks, text[length - 1]))
            length--;
        if (length)
            append_item(parse, list, text, length);
        text = next;
    }
}

static void add_to_list(struct option_parse *parse, const struct option_slot *slot,
                        const struct setting *setting)
{
    struct weir_list list = {0};
    if (slot->seen) /* else what is there is the default, which goes */
        load(slot, &list, sizeof list);
    for (size_t i = 0; i < setting->count; i++) {
        if (setting->is_list)
            append_item(parse, &list, setting->values[i], strlen(setting->values[i]));
        else
            append_parts(parse, &list, setting->values[i]);
    }
    store(slot, &list, sizeof list);
}

void option_refuse_twice(struct option_parse *parse, const char *name, const struct setting *setting,
                         const struct setting *first)
{
    char where[32] = "";
    if (first->origin.line)
        snprintf(where, sizeof where, ", first in line %u", first->origin.line);
    problem_error(parse->problems, &setting->origin, "%s: option '%s' is given twice%s", parse->what, name,
                  where);
}

static void add_to_map(struct option_parse *parse, const struct option_slot *slot,
                       const struct setting *setting)
{
    struct weir_map map;
    size_t length = option_prefix_length(&slot->row, setting->name);
    if (!length) {
        problem_error(parse->problems, &setting->origin,
                      "%s: option '%s' wants settings below it, as in %s.NAME", parse->what, slot->row.name,
                      slot->row.name);
        return;
    }
    load(slot, &map, sizeof map);
    struct weir_map_entry *entries =
        arena_grow(parse->arena, (void *)map.entries, map.count, sizeof *entries);
    const char *name = arena_strdup(parse->arena, setting->name + length + 1);
    const char *value = arena_strdup(parse->arena, setting->values[0]);
    if (!entries || !name || !value)
        return;
    for (size_t i = 0; i < map.count; i++) {
        if (!strcasecmp(entries[i].name, name)) {
            option_refuse_twice(parse, setting->name, setting, setting);
            return;
        }
    }
    entries[map.count++] = (struct weir_map_entry){.name = name, .value = value};
    map.entries = entries;
    store(slot, &map, sizeof map);
}

/* -- All types -- */

void option_set(struct option_parse *parse, const struct option_slot *slot, const struct setting *setting)
{
    switch (slot->row.type) {
    case WEIR_OPTION_STRING:
    case WEIR_OPTION_PATH:
        set_text(parse, slot, setting->values[0]);
        break;
    case WEIR_OPTION_SECRET:
        set_secret(parse, slot, setting);
        break;
    case WEIR_OPTION_LIST:
        add_to_list(parse, slot, setting);
        break;
    case WEIR_OPTION_MAP:
        add_to_map(parse, slot, setting);
        break;
    default:
        set_simple(parse, slot, setting);
    }
}

void option_set_default(struct option_parse *parse, const struct option_slot *slot)
{
    union option_value value;
    struct weir_list list = {0};
    switch (slot->row.type) {
    case WEIR_OPTION_STRING:
    case WEIR_OPTION_PATH:
    case WEIR_OPTION_SECRET:
        store(slot, &slot->row.def, sizeof slot->row.def);
        break;
    case WEIR_OPTION_LIST:
        append_parts(parse, &list, slot->row.def);
        store(slot, &list, sizeof list);
        break;
    case WEIR_OPTION_MAP:
    case WEIR_OPTION_IGNORED:
        break;
    default:
        if (option_value_parse(&slot->row, slot->row.def, &value) == 0)
            store(slot, &value, option_type_size(slot->row.type));
    }
}
