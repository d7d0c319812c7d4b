/* SPDX-License-Identifier: Apache-2.0 */
/* Path patterns compared component by component. A pattern in the path stands for what it may match. */
#include "allow.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define COMPONENT 256 /* NAME_MAX and a NUL */

static bool is_magic(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

/* The next component of *path, without slashes; false: there is none. Longer ones than files have are cut. */
static bool next_component(const char **path, char *ret)
{
    *path += strspn(*path, "/");
    size_t size = strcspn(*path, "/");

    snprintf(ret, COMPONENT, "%.*s", (int)(size < COMPONENT ? size : COMPONENT - 1), *path);
    *path += size;
    return size > 0;
}

static bool matches(const char *pattern, const char *path)
{
    char want[COMPONENT], have[COMPONENT];
    const char *rest = path;

    if (!next_component(&pattern, want))
        return !next_component(&rest, have);
    if (!strcmp(want, "**")) {
        if (!pattern[strspn(pattern, "/")])
            return next_component(&rest, have);
        /* It takes none, or one more. Behind it there is seldom much, so this is no great tree. */
        if (matches(pattern, path))
            return true;
        while (next_component(&rest, have))
            if (is_magic(have) || matches(pattern, rest))
                return true;
        return false;
    }
    if (!next_component(&rest, have))
        return false;
    if (!strcmp(have, "**"))
        return true;
    return (is_magic(have) || fnmatch(want, have, FNM_PERIOD) == 0) && matches(pattern, rest);
}

bool etcd_allows(const struct weir_list *patterns, const char *path)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (matches(patterns->items[i], path))
            return true;
    return patterns->count == 0;
}
