/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to values: booleans, numbers, sizes, durations, choices, and their ranges as text. Owns nothing; any
 * thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "option_private.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},
    {"b", 1},
    {"k", UINT64_C(1) << 10},
    {"kb", UINT64_C(1) << 10},
    {"kib", UINT64_C(1) << 10},
    {"m", UINT64_C(1) << 20},
    {"mb", UINT64_C(1) << 20},
    {"mib", UINT64_C(1) << 20},
    {"g", UINT64_C(1) << 30},
    {"gb", UINT64_C(1) << 30},
    {"gib", UINT64_C(1) << 30},
    {"t", UINT64_C(1) << 40},
    {"tb", UINT64_C(1) << 40},
    {"tib", UINT64_C(1) << 40},
};

/* From large to small: the order in which they may follow each other. */
static const struct unit duration_units[] = {
    {"d", UINT64_C(86400000000000)},
    {"h", UINT64_C(3600000000000)},
    {"m", UINT64_C(60000000000)},
    {"s", UINT64_C(1000000000)},
    {"ms", UINT64_C(1000000)},
    {"us", UINT64_C(1000)},
    {"ns", UINT64_C(1)},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LETTERS      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int option_parse_bool(const char *text, bool *ret)
{
    static const char *const names[] = {"off", "on", "false", "true", "no", "yes"};
    for (size_t i = 0; i < COUNT(names); i++) {
        if (!strcasecmp(text, names[i])) {
            *ret = i % 2;
            return 0;
        }
    }
    return -EINVAL;
}

int option_parse_int(const char *text, int64_t *ret)
{
    char *end;
    const char *digits = text + (*text == '-' || *text == '+');
    if (!is_digit(*digits))
        return -EINVAL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end)
        return -EINVAL;
    if (errno)
        return -ERANGE;
    *ret = value;
    return 0;
}

/* Digits at *text, which is moved behind them. */
static int parse_digits(const char **text, uint64_t *ret)
{
    uint64_t value = 0;
    int r = 0;
    if (!is_digit(**text))
        return -EINVAL;
    for (; is_digit(**text); (*text)++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (unsigned)(**text - '0'), &value))
            r = -ERANGE; /* goes on: what follows may be no number at all, which is the better answer */
    if (!r)
        *ret = value;
    return r;
}

int option_parse_size(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    int r = parse_digits(&text, &value);
    if (r == -EINVAL)
        return r;
    for (size_t i = 0; i < COUNT(size_units); i++) {
        if (strcasecmp(text, size_units[i].name))
            continue;
        if (r || __builtin_mul_overflow(value, size_units[i].factor, &value))
            return -ERANGE;
        *ret = value;
        return 0;
    }
    return -EINVAL;
}

/* A fraction such as ".25", if there is one, in billionths. */
static int parse_fraction(const char **text, uint64_t *ret_billionths)
{
    uint64_t value = 0;
    unsigned places = 0;
    if (**text != '.')
        return 0;
    for ((*text)++; is_digit(**text); (*text)++, places++)
        if (places < 9)
            value = value * 10 + (unsigned)(**text - '0');
    if (!places)
        return -EINVAL;
    for (; places < 9; places++)
        value *= 10;
    *ret_billionths = value;
    return 0;
}

/* The unit at *text, among those after *index; nothing is seconds if it is all of the text. */
static int parse_unit(const char **text, bool alone, size_t *index, uint64_t *ret_factor)
{
    size_t length = strspn(*text, LETTERS);
    if (!length && alone && !**text) {
        *ret_factor = UINT64_C(1000000000);
        return 0;
    }
    for (; *index < COUNT(duration_units); (*index)++) {
        const struct unit *unit = &duration_units[*index];
        if (strlen(unit->name) != length || strncasecmp(*text, unit->name, length))
            continue;
        *ret_factor = unit->factor;
        *text += length;
        (*index)++;
        return 0;
    }
    return -EINVAL;
}

int option_parse_duration(const char *text, uint64_t *ret)
{
    uint64_t total = 0;
    size_t index = 0;
    bool alone = true, overflow = false;
    if (!*text)
        return -EINVAL;
    for (; *text; alone = false) {
        uint64_t whole = 0, billionths = 0, factor = 1;
        int r = parse_digits(&text, &whole);
        overflow |= r == -ERANGE;
        if (r == -EINVAL || parse_fraction(&text, &billionths) < 0 ||
            parse_unit(&text, alone, &index, &factor) < 0)
            return -EINVAL;
        /* A day in ns times a billionth passes 64 bits. */
        uint64_t part = (uint64_t)((unsigned __int128)factor * billionths / 1000000000u);
        overflow |= __builtin_mul_overflow(whole, factor, &whole) ||
                    __builtin_add_overflow(total, whole, &total) ||
                    __builtin_add_overflow(total, part, &total);
    }
    if (overflow)
        return -ERANGE;
    *ret = total;
    return 0;
}

static int parse_choice(const struct weir_option *row, const char *text, int *ret)
{
    for (int i = 0; row->choices && row->choices[i]; i++) {
        if (!strcasecmp(text, row->choices[i])) {
            *ret = i;
            return 0;
        }
    }
    return -EINVAL;
}

static bool in_signed_range(const struct weir_option *row, int64_t value)
{
    return (!row->min && !row->max) || (value >= row->min && value <= row->max);
}

static bool in_unsigned_range(const struct weir_option *row, uint64_t value)
{
    if (!row->min && !row->max)
        return true;
    return (row->min <= 0 || value >= (uint64_t)row->min) && row->max >= 0 && value <= (uint64_t)row->max;
}

int option_value_parse(const struct weir_option *row, const char *text, union option_value *ret)
{
    int r;
    switch (row->type) {
    case WEIR_OPTION_BOOL:
        return option_parse_bool(text, &ret->boolean);
    case WEIR_OPTION_INT:
        r = option_parse_int(text, &ret->integer);
        return r ? r : in_signed_range(row, ret->integer) ? 0 : -ERANGE;
    case WEIR_OPTION_SIZE:
    case WEIR_OPTION_DURATION:
        r = row->type == WEIR_OPTION_SIZE ? option_parse_size(text, &ret->number)
                                          : option_parse_duration(text, &ret->number);
        return r ? r : in_unsigned_range(row, ret->number) ? 0 : -ERANGE;
    case WEIR_OPTION_CHOICE:
        return parse_choice(row, text, &ret->choice);
    default:
        return -EINVAL;
    }
}

struct type_facts {
    const char *name;
    size_t size, align;
};

static struct type_facts facts_of(enum weir_option_type type)
{
#define FACTS(name, type)                  \
    {                                      \
        name, sizeof(type), _Alignof(type) \
    }
    static const struct type_facts facts[] = {
        [WEIR_OPTION_BOOL] = FACTS("on or off", bool),
        [WEIR_OPTION_INT] = FACTS("number", int64_t),
        [WEIR_OPTION_SIZE] = FACTS("size", uint64_t),
        [WEIR_OPTION_DURATION] = FACTS("duration", uint64_t),
        [WEIR_OPTION_STRING] = FACTS("text", const char *),
        [WEIR_OPTION_PATH] = FACTS("path", const char *),
        [WEIR_OPTION_SECRET] = FACTS("secret", const char *),
        [WEIR_OPTION_LIST] = FACTS("list", struct weir_list),
        [WEIR_OPTION_CHOICE] = FACTS("choice", int),
        [WEIR_OPTION_MAP] = FACTS("settings", struct weir_map),
        [WEIR_OPTION_IGNORED] = {"ignored", 0, 1},
    };
#undef FACTS
    if ((size_t)type >= COUNT(facts))
        return (struct type_facts){NULL, 0, 1};
    return facts[type];
}

size_t option_type_size(enum weir_option_type type)
{
    return facts_of(type).size;
}

size_t option_type_align(enum weir_option_type type)
{
    return facts_of(type).align;
}

const char *option_type_name(enum weir_option_type type)
{
    return facts_of(type).name;
}

/* A bound as a user would write it: in the largest unit that divides it. */
static void bound_text(enum weir_option_type type, int64_t bound, char *out, size_t room)
{
    static const struct unit sizes[] = {{"T", UINT64_C(1) << 40},
                                        {"G", UINT64_C(1) << 30},
                                        {"M", UINT64_C(1) << 20},
                                        {"k", UINT64_C(1) << 10}};
    const struct unit *units = type == WEIR_OPTION_SIZE ? sizes : duration_units;
    size_t count = type == WEIR_OPTION_SIZE ? COUNT(sizes) : COUNT(duration_units);
    if (type != WEIR_OPTION_SIZE && type != WEIR_OPTION_DURATION)
        count = 0;
    for (size_t i = 0; i < count && bound > 0; i++) {
        if ((uint64_t)bound % units[i].factor)
            continue;
        snprintf(out, room, "%llu%s", (unsigned long long)bound / units[i].factor, units[i].name);
        return;
    }
    snprintf(out, room, "%lld", (long long)bound);
}

void option_range_text(const struct weir_option *row, char *out, size_t room)
{
    char min[32], max[32];
    bound_text(row->type, row->min, min, sizeof min);
    bound_text(row->type, row->max, max, sizeof max);
    if (!row->min && !row->max)
        snprintf(out, room, "%s", "");
    else if (row->max == INT64_MAX)
        snprintf(out, room, "at least %s", min);
    else if (row->min == INT64_MIN || (row->min <= 0 && row->type != WEIR_OPTION_INT))
        snprintf(out, room, "at most %s", max);
    else
        snprintf(out, room, "between %s and %s", min, max);
}

void option_choices_text(const struct weir_option *row, char *out, size_t room)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; row->choices && row->choices[i] && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%s", i ? ", " : "", row->choices[i]);
}
