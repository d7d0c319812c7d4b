/* SPDX-License-Identifier: Apache-2.0 */
/* Path patterns: parsing and matching. Owns the parsed patterns. Loop thread; creation on control. */
#include "glob_private.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTS_MAX = PATH_MAX }; /* of a pattern: no file has as many components */

size_t tail_component_size(const char *component)
{
    return strcspn(component, "/");
}

bool tail_component_is(const char *component, const char *name)
{
    size_t size = strlen(name);
    return !strncmp(component, name, size) && (!component[size] || component[size] == '/');
}

static bool is_wild(const char *text, size_t size)
{
    return memchr(text, '*', size) || memchr(text, '?', size) || memchr(text, '[', size);
}

/* Where the parts and their texts go; measures only while `parts` is NULL. */
struct room {
    struct tail_part *parts;
    char *texts;
    size_t part_count, text_size;
    bool deep;           /* the last part is ** */
    const char *written; /* what is split is kept as it is written, too; or NULL */
    const char *kept;    /* there */
};

/* Where the component's text is to be found; NULL while it is only measured. */
static const char *place(struct room *room, const char *text, size_t size, bool literal)
{
    if (literal && room->written) {
        return room->parts ? room->kept + (text - room->written) : NULL;
    }
    char *copy = room->parts ? room->texts + room->text_size : NULL;
    room->text_size += size + 1;
    if (copy) {
        memcpy(copy, text, size);
        copy[size] = 0;
    }
    return copy;
}

static void add_part(struct room *room, const char *text, size_t size, bool literal)
{
    bool deep = !literal && size == 2 && !memcmp(text, "**", 2);
    if (deep && room->deep) {
        return; /* says no more than one */
    }
    room->deep = deep;
    enum tail_part_kind kind = deep                              ? TAIL_PART_DEEP
                               : !literal && is_wild(text, size) ? TAIL_PART_WILD
                                                                 : TAIL_PART_LITERAL;
    const char *at = place(room, text, size, kind == TAIL_PART_LITERAL);
    if (room->parts) {
        struct tail_part *part = &room->parts[room->part_count];
        *part = (struct tail_part){(uint32_t)(at - (const char *)part), kind};
    }
    room->part_count++;
}

static void split(struct room *room, const char *path, bool literal)
{
    while (*path) {
        size_t size = strcspn(path, "/");
        bool here = size == 0 || (size == 1 && path[0] == '.');
        if (!here) {
            add_part(room, path, size, literal);
        }
        path += size + (path[size] == '/');
    }
}

/* kept: as it is written, too. 0, or -EINVAL: it names nothing. */
static int parse(struct room *room, const char *here, const char *text, bool kept)
{
    size_t before = room->part_count;
    room->deep = false;
    room->written = NULL;
    if (!*text) {
        return -EINVAL;
    }
    if (*text != '/') {
        split(room, here, true); /* the working directory is taken literally, whatever is in its name */
    }
    room->written = kept ? text : NULL;
    split(room, text, false);
    if (room->deep) {
        add_part(room, "*", 1, false);
    }
    size_t count = room->part_count - before;
    return count > PARTS_MAX ? -ENAMETOOLONG : count ? 0 : -EINVAL;
}

static bool any_relative(const struct weir_list *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        if (*paths->items[i] != '/') {
            return true;
        }
    }
    return false;
}

/* 0 or -errno. */
static int build(const struct weir_list *paths, const char *here, struct tail_glob **ret)
{
    struct room room = {0};
    int r = paths->count ? 0 : -EINVAL;
    for (size_t i = 0; r == 0 && i < paths->count; i++) {
        r = parse(&room, here, paths->items[i], i == 0);
    }
    if (r < 0) {
        return r;
    }
    size_t head = sizeof(struct tail_glob) + paths->count * sizeof(struct tail_pattern);
    size_t first = strlen(paths->items[0]) + 1;
    struct tail_glob *glob =
        malloc(head + room.part_count * sizeof(struct tail_part) + room.text_size + first);
    if (!glob) {
        return -ENOMEM;
    }
    room.parts = (void *)((char *)glob + head);
    room.kept = memcpy(room.parts + room.part_count, paths->items[0], first);
    room.texts = (char *)(room.parts + room.part_count) + first;
    room.part_count = room.text_size = 0;
    glob->count = paths->count;
    for (size_t i = 0; i < paths->count; i++) {
        size_t before = room.part_count;
        parse(&room, here, paths->items[i], i == 0);
        glob->patterns[i] = (struct tail_pattern){room.parts + before, room.part_count - before};
    }
    *ret = glob;
    return 0;
}

struct tail_glob *tail_glob_create(const struct weir_list *paths, const struct weir_list *excludes)
{
    struct tail_glob *glob = NULL;
    bool relative = any_relative(paths);
    char *here = relative ? getcwd(NULL, 0) : NULL;
    int r = relative && !here ? -errno : build(paths, here, &glob);
    free(here);
    if (r < 0) {
        errno = -r;
        return NULL;
    }
    glob->excludes = excludes;
    return glob;
}

void tail_glob_destroy(struct tail_glob *glob)
{
    free(glob);
}

const char *tail_glob_first(const struct tail_glob *glob)
{
    const struct tail_pattern *last = &glob->patterns[glob->count - 1];
    return (const char *)(last->parts + last->count);
}

bool tail_glob_is_one(const struct tail_glob *glob)
{
    return glob->count == 1;
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
    return part->kind == TAIL_PART_LITERAL ? tail_component_is(tail_part_text(part), name)
                                           : fnmatch(tail_part_text(part), name, FNM_PERIOD) == 0;
}

/* -- Matching ----------------------------------------------------------------------------------- */

/* The next component of *path, which is not at its end. False: longer than any file's name. */
static bool next_name(const char **path, char name[NAME_MAX + 1])
{
    size_t size = strcspn(*path, "/");
    if (size > NAME_MAX) {
        return false;
    }
    memcpy(name, *path, size);
    name[size] = 0;
    *path += size + ((*path)[size] == '/');
    return true;
}

/* What a pattern may have come to: the parts that may be next, each marked, all of them from `low` to `high`.
 */
struct reached {
    size_t low, high;
    bool marked[PARTS_MAX + 1];
};

/* That part may be next, and with a "**" also the one behind it. */
static void mark(struct reached *reached, const struct tail_pattern *pattern, size_t at)
{
    for (;; at++) {
        while (reached->high < at) {
            reached->marked[++reached->high] = false;
        }
        reached->marked[at] = true;
        if (at == pattern->count || pattern->parts[at].kind != TAIL_PART_DEEP) {
            return;
        }
    }
}

/* From the last one on: what it leads to lies behind it, and is not to be looked at again. */
static void step(struct reached *reached, const struct tail_pattern *pattern, const char *name)
{
    for (size_t at = reached->high + 1; at-- > reached->low;) {
        if (!reached->marked[at]) {
            continue;
        }
        reached->marked[at] = false;
        if (at == pattern->count) {
            continue;
        }
        if (pattern->parts[at].kind != TAIL_PART_DEEP) {
            if (tail_part_matches(&pattern->parts[at], name)) {
                mark(reached, pattern, at + 1);
            }
        } else if (name[0] != '.') {
            mark(reached, pattern, at);
        }
    }
    while (reached->low < reached->high && !reached->marked[reached->low]) {
        reached->low++;
    }
}

/*
 * Each component is compared once with each part that may be there: with several "**", to try all ways one by
 * one would take for ever.
 */
static int match_pattern(const struct tail_pattern *pattern, const char *path)
{
    char name[NAME_MAX + 1];
    struct reached reached;
    reached.low = reached.high = 0;
    mark(&reached, pattern, 0);
    while (*path && reached.marked[reached.low]) {
        if (!next_name(&path, name)) {
            return TAIL_NO_MATCH;
        }
        step(&reached, pattern, name);
    }
    int result = TAIL_NO_MATCH;
    for (size_t at = reached.low; at <= reached.high; at++) {
        if (reached.marked[at]) {
            result |= at == pattern->count ? TAIL_IS_FILE : TAIL_IS_WAY;
        }
    }
    return result;
}

int tail_glob_match(const struct tail_glob *glob, const char *path)
{
    int result = TAIL_NO_MATCH;
    for (size_t i = 0; i < glob->count; i++) {
        result |= match_pattern(&glob->patterns[i], path + (*path == '/'));
    }
    if ((result & TAIL_IS_FILE) && tail_glob_excludes(glob, path)) {
        result &= ~TAIL_IS_FILE;
    }
    return result;
}
