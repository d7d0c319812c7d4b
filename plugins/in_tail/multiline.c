/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of records of several lines, and of parsers: checked, compiled, and asked line by line. Owned
 * by the instance. create and destroy on control, the rest on the loop.
 */
#include "multiline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "regex.h"
#include "traces.h"

struct tail_start {
    pcre2_code *code;
    pcre2_match_data *match;
};

static const unsigned STARTED = 1; /* the state of a record that goes on until a line begins another */

static bool given(const char *text)
{
    return text && *text;
}

static int set_parsers(struct tail_multiline *m, const struct weir_list *names, char *why, size_t why_size)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->items[i];
        if (!tail_container_of(name) && !tail_language_of(name)) {
            snprintf(why, why_size,
                     "multiline.parser: '%s' is none; docker, cri, java, python and go are, and "
                     "multiline.start_pattern takes a pattern of your own",
                     name);
            return -EINVAL;
        }
        m->forms |= tail_container_of(name);
        m->languages |= tail_language_of(name);
    }
    return 0;
}

static int set_start(struct tail_multiline *m, const char *pattern, char *why, size_t why_size)
{
    if (!given(pattern)) {
        return 0;
    }
    if (m->languages) {
        snprintf(
            why, why_size,
            "multiline.start_pattern joins all lines up to the next that matches, so java, python and go "
            "in multiline.parser would have nothing to join: leave out one of them");
        return -EINVAL;
    }
    m->start = calloc(1, sizeof(*m->start));
    if (!m->start) {
        return -ENOMEM;
    }
    int r = tail_regex_compile("multiline.start_pattern", pattern, why, why_size, &m->start->code);
    if (r == 0) {
        m->start->match = pcre2_match_data_create(1, NULL);
        r = m->start->match ? 0 : -ENOMEM;
    }
    return r;
}

static int check_keys(const struct tail_multiline *m, const struct tail_multiline_options *o, char *why,
                      size_t why_size)
{
    if (o->preserve_key && !m->parser) {
        snprintf(why, why_size, "preserve_key: is used with a parser only");
    } else if (o->parser.time_keep && !m->forms && !given(o->parser.time_key)) {
        snprintf(why, why_size,
                 "time_keep: there is no time to keep without multiline.parser docker or cri, or a time_key");
    } else {
        return 0;
    }
    return -EINVAL;
}

int tail_multiline_create(const struct tail_multiline_options *o, char *why, size_t why_size,
                          struct tail_multiline **ret)
{
    struct tail_multiline *m = calloc(1, sizeof(*m));
    *ret = NULL;
    if (!m) {
        return -ENOMEM;
    }
    int r = set_parsers(m, &o->parsers, why, why_size);
    r = r < 0 ? r : set_start(m, o->start_pattern, why, why_size);
    r = r < 0 ? r : tail_parser_create(&o->parser, why, why_size, &m->parser);
    r = r < 0 ? r : check_keys(m, o, why, why_size);
    if (r < 0 || !(m->forms || m->languages || m->start || m->parser)) {
        tail_multiline_destroy(m);
        return r;
    }
    m->timeout = o->flush_timeout;
    m->preserve_key = o->preserve_key;
    m->keep_time = o->parser.time_keep;
    *ret = m;
    return 0;
}

void tail_multiline_destroy(struct tail_multiline *m)
{
    if (!m) {
        return;
    }
    if (m->start) {
        pcre2_code_free(m->start->code);
        pcre2_match_data_free(m->start->match);
        free(m->start);
    }
    tail_parser_destroy(m->parser);
    tail_container_free(&m->scratch);
    free(m);
}

/* Where it can't be told (too much backtracking), the line begins a record: then none is joined wrongly. */
static bool starts(const struct tail_start *start, const uint8_t *line, size_t size)
{
    size -= size > 0 && line[size - 1] == '\r';
    return pcre2_match(start->code, line, size, 0, 0, start->match, NULL) != PCRE2_ERROR_NOMATCH;
}

unsigned tail_multiline_begin(const struct tail_multiline *m, const uint8_t *line, size_t size)
{
    if (m->start) {
        return STARTED; /* a first line, or one whose first line is not known */
    }
    return m->languages ? tail_trace_begin(m->languages, line, size) : 0;
}

unsigned tail_multiline_next(const struct tail_multiline *m, unsigned state, const uint8_t *line, size_t size)
{
    if (m->start) {
        return starts(m->start, line, size) ? 0 : STARTED;
    }
    return tail_trace_next(state, line, size);
}
