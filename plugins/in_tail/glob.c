/* SPDX-License-Identifier: Apache-2.0 */
/* Path patterns: parsing and matching. Owns the parsed patterns. Loop thread; creation on control. */
#include "glob_private.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_wild(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

static int add_part(struct tail_pattern *pattern, const char *text, size_t size)
{
    struct tail_part *parts = realloc(pattern->parts, (pattern->count + 1) * sizeof(*parts));
    if (!parts) {
        return -ENOMEM;
    }
    pattern->parts = parts;
    char *copy = strndup(text, size);
    if (!copy) {
        return -ENOMEM;
    }
    enum tail_part_kind kind = strcmp(copy, "**") == 0 ? TAIL_PART_DEEP
                               : is_wild(copy)         ? TAIL_PART_WILD
                                                       : TAIL_PART_LITERAL;
    parts[pattern->count++] = (struct tail_part){copy, kind};
    return 0;
}

static int split(struct tail_pattern *pattern, const char *path)
{
    int r = 0;
    while (r == 0 && *path) {
        size_t size = strcspn(path, "/");
        bool here = size == 0 || (size == 1 && path[0] == '.');
        r = here ? 0 : add_part(pattern, path, size);
        path += size + (path[size] == '/');
    }
    return r;
}

static int parse(struct tail_pattern *pattern, const char *text)
{
    int r = 0;
    if (!*text) {
        return -EINVAL;
    }
    if (*text != '/') {
        char *here = getcwd(NULL, 0);
        r = here ? split(pattern, here) : -errno;
        free(here);
        /* the working directory is taken literally, whatever is in its name */
        for (size_t i = 0; i < pattern->count; i++) {
            pattern->parts[i].kind = TAIL_PART_LITERAL;
        }
    }
    r = r ? r : split(pattern, text);
    if (r == 0 && pattern->count && pattern->parts[pattern->count - 1].kind == TAIL_PART_DEEP) {
        r = add_part(pattern, "*", 1);
    }
    return r ? r : pattern->count ? 0 : -EINVAL;
}

struct tail_glob *tail_glob_create(const struct weir_list *paths, const struct weir_list *excludes)
{
    struct tail_glob *glob = calloc(1, sizeof(*glob));
    struct tail_pattern *patterns = calloc(paths->count ? paths->count : 1, sizeof(*patterns));
    if (!glob || !patterns) {
        free(glob);
        free(patterns);
        errno = ENOMEM;
        return NULL;
    }
    *glob = (struct tail_glob){patterns, paths->count, excludes};
    int r = paths->count ? 0 : -EINVAL;
    for (size_t i = 0; r == 0 && i < paths->count; i++) {
        r = parse(&patterns[i], paths->items[i]);
    }
    if (r < 0) {
        tail_glob_destroy(glob);
        errno = -r;
        return NULL;
    }
    return glob;
}

void tail_glob_destroy(struct tail_glob *glob)
{
    for (size_t i = 0; glob && i < glob->count; i++) {
        for (size_t j = 0; j < glob->patterns[i].count; j++) {
            free(glob->patterns[i].parts[j].text);
        }
        free(glob->patterns[i].parts);
    }
    free(glob ? glob->patterns : NULL);
    free(glob);
}

bool tail_glob_excludes(const struct tail_glob *glob, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < glob->excludes->count; i++) {
        const char *text = glob->excludes->items[i];
        if (fnmatch(text, path, 0) == 0 || (!strchr(text, '/') && fnmatch(text, name, 0) == 0)) {
            return true;
        }
    }
    return false;
}

bool tail_part_matches(const struct tail_part *part, const char *name)
{
    return part->kind == TAIL_PART_LITERAL ? strcmp(part->text, name) == 0
                                           : fnmatch(part->text, name, FNM_PERIOD) == 0;
}

/* -- Matching ----------------------------------------------------------------------------------- */

/* `path` is what is left of it, without a slash before; parts and count what is left of the pattern. */
static int match_parts(const struct tail_part *parts, size_t count, const char *path)
{
    if (!*path) {
        return count ? TAIL_IS_WAY : TAIL_IS_FILE;
    }
    if (!count) {
        return TAIL_NO_MATCH;
    }
    size_t size = strcspn(path, "/");
    char name[NAME_MAX + 1];
    if (size > NAME_MAX) {
        return TAIL_NO_MATCH;
    }
    memcpy(name, path, size);
    name[size] = 0;
    const char *rest = path + size + (path[size] == '/');
    if (parts[0].kind != TAIL_PART_DEEP) {
        return tail_part_matches(&parts[0], name) ? match_parts(parts + 1, count - 1, rest) : TAIL_NO_MATCH;
    }
    int none = match_parts(parts + 1, count - 1, path);
    return name[0] == '.' ? none : none | match_parts(parts, count, rest);
}

int tail_glob_match(const struct tail_glob *glob, const char *path)
{
    int result = TAIL_NO_MATCH;
    for (size_t i = 0; i < glob->count; i++) {
        result |= match_parts(glob->patterns[i].parts, glob->patterns[i].count, path + (*path == '/'));
    }
    if ((result & TAIL_IS_FILE) && tail_glob_excludes(glob, path)) {
        result &= ~TAIL_IS_FILE;
    }
    return result;
}
