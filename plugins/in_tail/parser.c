/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsers, with what they need from line to line: compiled expressions, and the memory that fields are
 * written to before it is known how many there are. create and destroy on control, the rest on the loop.
 */
#include "parser.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <weir/event.h>
#include "json.h"
#include "regex.h"

enum { NUMBER_MAX = 64, LAST_MAX = 64 };
enum type { TYPE_STRING, TYPE_INTEGER, TYPE_FLOAT, TYPE_BOOL };

/* A named group of the expression, in the order of their numbers. */
struct group {
    const char *name; /* within the compiled expression */
    uint32_t number;
    enum type type;
    bool time;
};

struct tail_parser {
    pcre2_code *code; /* NULL: JSON */
    pcre2_match_data *match;
    struct group *groups;
    uint32_t group_count;
    char *time_key; /* or NULL */
    bool time_keep;
    struct tail_times *times;
    struct tail_text out;
    /* The last time as text: many lines of the same second say the same. */
    char last[LAST_MAX];
    size_t last_size; /* 0: none */
    struct tail_time last_time;
};

static bool given(const char *text)
{
    return text && *text;
}

/* -- Creating ----------------------------------------------------------------------------------------- */

static int check(const struct tail_parser_options *o, char *why, size_t why_size)
{
    bool json = given(o->parser) && strcasecmp(o->parser, "json") == 0;
    bool regex = given(o->parser) && strcasecmp(o->parser, "regex") == 0;
    if (given(o->parser) && !json && !regex) {
        bool container = strcasecmp(o->parser, "docker") == 0 || strcasecmp(o->parser, "cri") == 0;
        snprintf(why, why_size, "parser: '%s' is none; json and regex are%s%s", o->parser,
                 container ? ", and lines of containers are read with multiline.parser: " : "",
                 container ? o->parser : "");
    } else if (regex && !given(o->regex)) {
        snprintf(why, why_size, "parser: regex needs an expression with named groups in the option regex");
    } else if (!regex && given(o->regex)) {
        snprintf(why, why_size, "regex: is used by parser: regex only");
    } else if (!regex && o->types->count) {
        snprintf(why, why_size, "types: is used by parser: regex only");
    } else if (!given(o->parser) && given(o->time_key)) {
        snprintf(why, why_size, "time_key: is used with a parser only");
    } else if (given(o->time_format) && !given(o->time_key)) {
        snprintf(why, why_size, "time_format: needs the name of the time's field in time_key");
    } else {
        return 0;
    }
    return -EINVAL;
}

static int set_times(struct tail_parser *parser, const struct tail_parser_options *o, char *why, size_t size)
{
    if (!given(o->time_key)) {
        return 0;
    }
    parser->time_keep = o->time_keep;
    parser->time_key = strdup(o->time_key);
    int r = parser->time_key
                ? tail_times_create(given(o->time_format) ? o->time_format : NULL, &parser->times)
                : -ENOMEM;
    if (r == -EINVAL) {
        snprintf(why, size, "time_format: '%s' has no part of a time; it is written as for strptime",
                 o->time_format);
    }
    return r;
}

static int by_number(const void *a, const void *b)
{
    const struct group *left = a, *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

/* The names of the groups, out of the table of the compiled expression. */
static int read_groups(struct tail_parser *parser, char *why, size_t size)
{
    uint32_t count = 0, step = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(parser->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(parser->code, PCRE2_INFO_NAMEENTRYSIZE, &step);
    pcre2_pattern_info(parser->code, PCRE2_INFO_NAMETABLE, &table);
    if (count == 0) {
        snprintf(why, size, "regex: has no named group, (?<name>…), so there would be no field");
        return -EINVAL;
    }
    parser->groups = calloc(count, sizeof(*parser->groups));
    if (!parser->groups) {
        return -ENOMEM;
    }
    parser->group_count = count;
    for (uint32_t i = 0; i < count; i++, table += step) {
        struct group *group = &parser->groups[i];
        group->number = (uint32_t)(table[0] << 8 | table[1]);
        group->name = (const char *)(table + 2);
        group->time = parser->time_key && strcmp(group->name, parser->time_key) == 0;
    }
    qsort(parser->groups, count, sizeof(*parser->groups), by_number);
    return 0;
}

static struct group *find_group(struct tail_parser *parser, const char *name, size_t size)
{
    for (uint32_t i = 0; i < parser->group_count; i++) {
        if (strlen(parser->groups[i].name) == size && memcmp(parser->groups[i].name, name, size) == 0) {
            return &parser->groups[i];
        }
    }
    return NULL;
}

static int set_type(struct tail_parser *parser, const char *item, char *why, size_t size)
{
    static const char *const names[] = {"string", "integer", "float", "bool"};
    const char *colon = strrchr(item, ':');
    struct group *group = colon ? find_group(parser, item, (size_t)(colon - item)) : NULL;
    for (size_t i = 0; group && i < sizeof(names) / sizeof(*names); i++) {
        if (strcasecmp(colon + 1, names[i]) == 0) {
            group->type = (enum type)i;
            return 0;
        }
    }
    snprintf(why, size, "types: '%s' %s", item,
             group ? "is of no type; string, integer, float and bool are"
                   : "is not written as group:type with a named group of regex");
    return -EINVAL;
}

static int set_regex(struct tail_parser *parser, const struct tail_parser_options *o, char *why, size_t size)
{
    int r = tail_regex_compile("regex", o->regex, why, size, &parser->code);
    r = r < 0 ? r : read_groups(parser, why, size);
    if (r == 0 && parser->time_key && !find_group(parser, parser->time_key, strlen(parser->time_key))) {
        snprintf(why, size, "time_key: '%s' is no named group of regex", parser->time_key);
        r = -EINVAL;
    }
    for (size_t i = 0; r == 0 && i < o->types->count; i++) {
        r = set_type(parser, o->types->items[i], why, size);
    }
    if (r == 0) {
        parser->match = pcre2_match_data_create_from_pattern(parser->code, NULL);
        r = parser->match ? 0 : -ENOMEM;
    }
    return r;
}

int tail_parser_create(const struct tail_parser_options *o, char *why, size_t why_size,
                       struct tail_parser **ret)
{
    int r = check(o, why, why_size);
    *ret = NULL;
    if (r < 0 || !given(o->parser)) {
        return r;
    }
    struct tail_parser *parser = calloc(1, sizeof(*parser));
    if (!parser) {
        return -ENOMEM;
    }
    r = set_times(parser, o, why, why_size);
    if (r == 0 && given(o->regex)) {
        r = set_regex(parser, o, why, why_size);
    }
    if (r < 0) {
        tail_parser_destroy(parser);
        return r;
    }
    *ret = parser;
    return 0;
}

void tail_parser_destroy(struct tail_parser *parser)
{
    if (parser) {
        pcre2_code_free(parser->code);
        pcre2_match_data_free(parser->match);
        tail_times_destroy(parser->times);
        tail_text_free(&parser->out);
        free(parser->groups);
        free(parser->time_key);
        free(parser);
    }
}

static bool read_time(struct tail_parser *parser, const char *text, size_t size, int64_t now,
                      struct tail_time *ret)
{
    if (size > 0 && size == parser->last_size && memcmp(text, parser->last, size) == 0) {
        *ret = parser->last_time;
        return true;
    }
    if (!tail_times_read(parser->times, text, size, now, ret)) {
        return false;
    }
    parser->last_size = size <= LAST_MAX ? size : 0;
    memcpy(parser->last, text, parser->last_size);
    parser->last_time = *ret;
    return true;
}

/* -- JSON --------------------------------------------------------------------------------------------- */

static bool time_of(struct tail_parser *parser, const struct weir_value *value, int64_t now,
                    struct tail_time *ret)
{
    switch (value->type) {
    case WEIR_TYPE_STR:
        return read_time(parser, (const char *)value->data, value->size, now, ret);
    case WEIR_TYPE_UINT:
        return tail_times_of_integer(parser->times, value->as.uint, ret);
    case WEIR_TYPE_DOUBLE:
        return tail_times_of_double(parser->times, value->as.number, ret);
    default:
        return false;
    }
}

static int read_json(struct tail_parser *parser, const uint8_t *line, size_t size, int64_t now,
                     struct tail_parsed *ret)
{
    struct tail_json_field field = {.name = parser->time_key,
                                    .name_size = parser->time_key ? strlen(parser->time_key) : 0};
    parser->out.size = 0;
    int r = tail_json_read(line, size, &parser->out, &ret->count, parser->time_key ? &field : NULL);
    if (r < 0) {
        return r == -EINVAL ? 0 : r;
    }
    const uint8_t *bytes = parser->out.bytes;
    ret->fields[0] = bytes;
    ret->sizes[0] = parser->out.size;
    if (field.found) {
        struct weir_value value = {0};
        weir_read_head(bytes + field.value, bytes + parser->out.size, &value);
        ret->timed = time_of(parser, &value, now, &ret->time);
        ret->bad_time = !ret->timed;
        if (ret->timed && !parser->time_keep) {
            ret->count--;
            ret->sizes[0] = field.begin;
            ret->fields[1] = bytes + field.end;
            ret->sizes[1] = parser->out.size - field.end;
        }
    }
    return 1;
}

/* -- Regular expressions ------------------------------------------------------------------------------ */

/* A number that is the whole text, or false. */
static bool put_number(struct tail_text *out, const char *text, size_t size, bool integer)
{
    char copy[NUMBER_MAX], *end = copy;
    if (size == 0 || size >= sizeof(copy) || text[0] == ' ' || text[0] == '\t') {
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = 0;
    errno = 0;
    uint8_t *p = out->bytes + out->size;
    if (integer) {
        long long n = strtoll(copy, &end, 10);
        p = weir_put_int(p, n);
    } else {
        double n = strtod(copy, &end);
        errno = isfinite(n) ? 0 : ERANGE;
        p = weir_put_double(p, n);
    }
    if (errno == ERANGE || end != copy + size) {
        return false;
    }
    out->size = (size_t)(p - out->bytes);
    return true;
}

static bool put_bool(struct tail_text *out, const char *text, size_t size)
{
    bool yes = size == 4 && strncasecmp(text, "true", 4) == 0;
    if (!yes && !(size == 5 && strncasecmp(text, "false", 5) == 0)) {
        return false;
    }
    out->size = (size_t)(weir_put_bool(out->bytes + out->size, yes) - out->bytes);
    return true;
}

/* What is not of the group's type stays a string. */
static void put_typed(struct tail_text *out, enum type type, const char *text, size_t size)
{
    if (((type == TYPE_INTEGER || type == TYPE_FLOAT) && put_number(out, text, size, type == TYPE_INTEGER)) ||
        (type == TYPE_BOOL && put_bool(out, text, size))) {
        return;
    }
    out->size = (size_t)(weir_put_str(out->bytes + out->size, text, (uint32_t)size) - out->bytes);
}

static int put_group(struct tail_parser *parser, const struct group *group, const char *text, size_t size,
                     int64_t now, struct tail_parsed *ret)
{
    size_t name_size = strlen(group->name);
    if (group->time) {
        ret->timed = read_time(parser, text, size, now, &ret->time);
        ret->bad_time = !ret->timed;
        if (ret->timed && !parser->time_keep) {
            return 0;
        }
    }
    if (tail_text_reserve(&parser->out, name_size + size + 2 * WEIR_MAX_STR + WEIR_MAX_INT) < 0) {
        return -ENOMEM;
    }
    uint8_t *p = parser->out.bytes + parser->out.size;
    parser->out.size += (size_t)(weir_put_str(p, group->name, (uint32_t)name_size) - p);
    put_typed(&parser->out, group->type, text, size);
    ret->count++;
    return 0;
}

static int read_regex(struct tail_parser *parser, const uint8_t *line, size_t size, int64_t now,
                      struct tail_parsed *ret)
{
    size -= size > 0 && line[size - 1] == '\r';
    int matched = pcre2_match(parser->code, line, size, 0, 0, parser->match, NULL), r = 0;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(parser->match);
    parser->out.size = 0;
    for (uint32_t i = 0; matched > 0 && r == 0 && i < parser->group_count; i++) {
        const struct group *group = &parser->groups[i];
        PCRE2_SIZE begin = ends[2 * group->number], end = ends[2 * group->number + 1];
        if ((int)group->number < matched && begin != PCRE2_UNSET && begin <= end) {
            r = put_group(parser, group, (const char *)line + begin, end - begin, now, ret);
        }
    }
    ret->fields[0] = parser->out.bytes;
    ret->sizes[0] = parser->out.size;
    return r < 0 ? r : matched > 0;
}

int tail_parser_read(struct tail_parser *parser, const uint8_t *line, size_t size, int64_t now,
                     struct tail_parsed *ret)
{
    *ret = (struct tail_parsed){0};
    return parser->code ? read_regex(parser, line, size, now, ret) : read_json(parser, line, size, now, ret);
}
