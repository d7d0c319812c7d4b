/* SPDX-License-Identifier: Apache-2.0 */
/* Path patterns compared component by component. A pattern in the path stands for what it may match. */
#include "allow.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define COMPONENT 256            /* NAME_MAX and a NUL */
#define MOST      (PATH_MAX / 2) /* components of a path */

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

static size_t count_components(const char *path)
{
    char part[COMPONENT];
    size_t count = 0;

    while (next_component(&path, part))
        count++;
    return count;
}

/* Behind "**" all that may come: none of the path's components, or more. True: a pattern among those stands
 * for whatever is still asked for. */
static bool pass_any(const char *path, bool *reached)
{
    char have[COMPONENT];
    bool from = false;

    for (size_t i = 0; next_component(&path, have); i++) {
        from |= reached[i];
        if (from && is_magic(have))
            return true;
        reached[i + 1] |= from;
    }
    return false;
}

/* One component. True: the path has a "**" there, which stands for whatever is still asked for. */
static bool pass_one(const char *want, const char *path, bool *reached)
{
    char have[COMPONENT];
    bool from = reached[0];

    reached[0] = false;
    for (size_t i = 0; next_component(&path, have); i++) {
        bool next = reached[i + 1];
        if (from && !strcmp(have, "**"))
            return true;
        reached[i + 1] = from && (is_magic(have) || fnmatch(want, have, FNM_PERIOD) == 0);
        from = next;
    }
    return false;
}

/* reached[n]: what was looked at of the pattern stands for the first n components of the path. Each component
 * of one meets each of the other once: with several "**", trying all ways would take for ever. */
static bool matches(const char *pattern, const char *path)
{
    bool reached[MOST + 1] = {true};
    char want[COMPONENT];
    size_t count = count_components(path);

    if (count > MOST)
        return false; /* no file has such a path */
    while (next_component(&pattern, want)) {
        if (strcmp(want, "**") != 0) {
            if (pass_one(want, path, reached))
                return true;
        } else if (!pattern[strspn(pattern, "/")]) {
            return memchr(reached, 1, count) != NULL; /* it stands for one at least */
        } else if (pass_any(path, reached)) {
            return true;
        }
    }
    return reached[count];
}

bool etcd_allows(const struct weir_list *patterns, const char *path)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (matches(patterns->items[i], path))
            return true;
    return patterns->count == 0;
}
