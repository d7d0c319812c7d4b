/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions that choose lines: PCRE2 on bytes, compiled once. Loop thread, but for create and
 * destroy. */
#include "filter.h"

#include <errno.h>
#include <stdlib.h>
#include "regex.h"

struct tail_filter {
    pcre2_code *include, *exclude;
    pcre2_match_data *data;
};

static int compile(const char *name, const char *pattern, char *why, size_t why_size, pcre2_code **ret)
{
    return pattern && *pattern ? tail_regex_compile(name, pattern, why, why_size, ret) : 0;
}

int tail_filter_create(const char *include, const char *exclude, char *why, size_t why_size,
                       struct tail_filter **ret)
{
    struct tail_filter *filter = calloc(1, sizeof(*filter));
    if (!filter) {
        return -ENOMEM;
    }
    int r = compile("include_regex", include, why, why_size, &filter->include);
    r = r < 0 ? r : compile("exclude_regex", exclude, why, why_size, &filter->exclude);
    filter->data = r < 0 ? NULL : pcre2_match_data_create(1, NULL);
    if (!filter->data) {
        tail_filter_destroy(filter);
        return r < 0 ? r : -ENOMEM;
    }
    *ret = filter;
    return 0;
}

void tail_filter_destroy(struct tail_filter *filter)
{
    if (filter) {
        pcre2_code_free(filter->include);
        pcre2_code_free(filter->exclude);
        pcre2_match_data_free(filter->data);
        free(filter);
    }
}

/* An expression that gives up (too much backtracking) says neither yes nor no: -1. */
static int matches(const struct tail_filter *filter, const pcre2_code *code, const uint8_t *line, size_t size)
{
    int r = pcre2_match(code, line, size, 0, 0, filter->data, NULL);
    return r >= 0 ? 1 : r == PCRE2_ERROR_NOMATCH ? 0 : -1;
}

bool tail_filter_wants(const struct tail_filter *filter, const uint8_t *line, size_t size)
{
    size -= size > 0 && line[size - 1] == '\r';
    /* where it can't be told, the line is delivered rather than lost */
    return (!filter->include || matches(filter, filter->include, line, size) != 0) &&
           (!filter->exclude || matches(filter, filter->exclude, line, size) <= 0);
}
