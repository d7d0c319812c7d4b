/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of in_etcd's allow_path and a path, a line each, the path last: what is allowed is what a plain
 * model allows, and a path with wildcards never less than one without them that it stands for.
 */
#include "fuzz.h"

#include <fnmatch.h>
#include <stdbool.h>
#include "allow.h"

enum { PATTERNS = 4, PARTS = 24, LONGEST = 255 };

struct parts {
    char *items[PARTS];
    size_t count;
};

/* The components of a copy, or false: there are more than the model takes. */
static bool split(char *copy, struct parts *ret)
{
    char *rest = copy, *part;
    ret->count = 0;
    while ((part = strsep(&rest, "/"))) {
        if (*part && ret->count == PARTS) {
            return false;
        }
        if (*part) {
            ret->items[ret->count++] = part;
        }
        if (strlen(part) > LONGEST) {
            part[LONGEST] = 0;
        }
    }
    return true;
}

/* Of a path without wildcards: row by row, whether the pattern's first p components are the path's first q.
 */
static bool model(const struct parts *pattern, const struct parts *path)
{
    bool now[PARTS + 1] = {true}, next[PARTS + 1];
    for (size_t p = 0; p < pattern->count; p++) {
        bool any = !strcmp(pattern->items[p], "**"), last = p + 1 == pattern->count, before = false;
        for (size_t q = 0; q <= path->count; q++) {
            if (any) { /* at its end it stands for something, within a pattern also for nothing */
                next[q] = before || (now[q] && !last);
                before |= now[q];
            } else {
                next[q] = q && now[q - 1] && !fnmatch(pattern->items[p], path->items[q - 1], FNM_PERIOD);
            }
        }
        memcpy(now, next, sizeof(now));
    }
    return now[path->count];
}

static bool model_allows(char *const *patterns, size_t count, const char *path)
{
    struct parts want, have;
    char *path_copy = strdup(path);
    bool allows = false, known = path_copy && split(path_copy, &have);
    for (size_t i = 0; known && i < count; i++) {
        char *copy = strdup(patterns[i]);
        known = copy && split(copy, &want);
        allows |= known && model(&want, &have);
        free(copy);
    }
    free(path_copy);
    return known ? allows : etcd_allows(&(struct weir_list){(const char *const *)patterns, count}, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *patterns[PATTERNS], *text = fuzz_text(data, size < 300 ? size : 300), *path = text, *newline;
    size_t count = 0;
    while (count < PATTERNS && (newline = strchr(path, '\n'))) {
        *newline = 0;
        patterns[count++] = path;
        path = newline + 1;
    }
    const struct weir_list list = {(const char *const *)patterns, count};
    bool allows = etcd_allows(&list, path);
    if (count && !strpbrk(path, "*?[")) {
        FUZZ_CHECK(allows == model_allows(patterns, count, path));
        char *wild = strdup(path), *slash = wild ? strrchr(wild, '/') : NULL;
        FUZZ_CHECK(wild);
        if (slash && slash[1]) {
            slash[1] = '*';
            slash[2] = 0;
            FUZZ_CHECK(!allows || etcd_allows(&list, wild));
        }
        free(wild);
    }
    FUZZ_CHECK(count || allows);
    free(text);
    return 0;
}
