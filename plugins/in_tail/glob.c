/* SPDX-License-Identifier: Apache-2.0 */
/* Path patterns: parsing, matching, walking. Owns the parsed patterns. Loop thread; creation on control. */
#include "glob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 64 }; /* directories below one `**` */

enum part_kind { LITERAL, WILD, DEEP };

struct part {
    char *text;
    enum part_kind kind;
};

struct pattern {
    struct part *parts; /* at least one; the last is never DEEP */
    size_t count;
};

struct tail_glob {
    struct pattern *patterns;
    size_t count;
    const struct weir_list *excludes;
};

static bool is_wild(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

static int add_part(struct pattern *pattern, const char *text, size_t size)
{
    struct part *parts = realloc(pattern->parts, (pattern->count + 1) * sizeof(*parts));
    if (!parts) {
        return -ENOMEM;
    }
    pattern->parts = parts;
    char *copy = strndup(text, size);
    if (!copy) {
        return -ENOMEM;
    }
    enum part_kind kind = strcmp(copy, "**") == 0 ? DEEP : is_wild(copy) ? WILD : LITERAL;
    parts[pattern->count++] = (struct part){copy, kind};
    return 0;
}

static int split(struct pattern *pattern, const char *path)
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

static int parse(struct pattern *pattern, const char *text)
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
            pattern->parts[i].kind = LITERAL;
        }
    }
    r = r ? r : split(pattern, text);
    if (r == 0 && pattern->count && pattern->parts[pattern->count - 1].kind == DEEP) {
        r = add_part(pattern, "*", 1);
    }
    return r ? r : pattern->count ? 0 : -EINVAL;
}

struct tail_glob *tail_glob_create(const struct weir_list *paths, const struct weir_list *excludes)
{
    struct tail_glob *glob = calloc(1, sizeof(*glob));
    struct pattern *patterns = calloc(paths->count ? paths->count : 1, sizeof(*patterns));
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

static bool excluded(const struct tail_glob *glob, const char *path)
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

static bool part_matches(const struct part *part, const char *name)
{
    return part->kind == LITERAL ? strcmp(part->text, name) == 0 : fnmatch(part->text, name, FNM_PERIOD) == 0;
}

/* -- Matching ----------------------------------------------------------------------------------- */

/* `path` is what is left of it, without a slash before; parts and count what is left of the pattern. */
static int match_parts(const struct part *parts, size_t count, const char *path)
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
    if (parts[0].kind != DEEP) {
        return part_matches(&parts[0], name) ? match_parts(parts + 1, count - 1, rest) : TAIL_NO_MATCH;
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
    if ((result & TAIL_IS_FILE) && excluded(glob, path)) {
        result &= ~TAIL_IS_FILE;
    }
    return result;
}

/* -- Walking ------------------------------------------------------------------------------------- */

struct walk {
    const struct tail_glob *glob;
    const struct tail_glob_visitor *visitor;
    const struct pattern *pattern;
    char path[PATH_MAX]; /* "" is the root */
};

static void walk_from(struct walk *w, size_t length, size_t at, unsigned depth);

static const char *shown(const struct walk *w)
{
    return w->path[0] ? w->path : "/";
}

/* Appends a component; returns the new length, 0 where it does not fit. */
static size_t push(struct walk *w, size_t length, const char *name)
{
    size_t size = strlen(name);
    if (length + 1 + size >= sizeof(w->path)) {
        return 0;
    }
    w->path[length] = '/';
    memcpy(w->path + length + 1, name, size + 1);
    return length + 1 + size;
}

static void found(struct walk *w, uint64_t ino, unsigned char type)
{
    if (!excluded(w->glob, w->path)) {
        w->visitor->file(w->visitor->data, w->path, ino, type);
    }
}

static bool look(struct walk *w, struct stat *ret)
{
    return lstat(w->path, ret) == 0;
}

/* The last component, without wildcards. */
static void walk_name(struct walk *w, size_t length, const char *name)
{
    struct stat s;
    w->visitor->directory(w->visitor->data, shown(w), TAIL_NEED_SELF | TAIL_NEED_NAMES);
    if (push(w, length, name) && look(w, &s)) {
        found(w, s.st_ino, IFTODT(s.st_mode));
    }
    w->path[length] = 0;
}

/* A component on the way, without wildcards. Where it is missing or a link, its directory is watched for the
 * name. */
static void walk_way(struct walk *w, size_t length, size_t at)
{
    struct stat s;
    size_t longer = push(w, length, w->pattern->parts[at].text);
    bool there = longer && look(w, &s);
    bool watch = !there || S_ISLNK(s.st_mode);
    w->path[length] = 0;
    w->visitor->directory(w->visitor->data, shown(w), TAIL_NEED_SELF | (watch ? TAIL_NEED_NAMES : 0));
    longer = push(w, length, w->pattern->parts[at].text);
    if (longer && (there || look(w, &s))) {
        walk_from(w, longer, at + 1, 0);
    }
    w->path[length] = 0;
}

static DIR *open_here(struct walk *w)
{
    w->visitor->directory(w->visitor->data, shown(w), TAIL_NEED_SELF | TAIL_NEED_NAMES);
    DIR *dir = opendir(shown(w));
    if (!dir && errno != ENOENT && errno != ENOTDIR) {
        w->visitor->unreadable(w->visitor->data, shown(w), errno);
    }
    return dir;
}

static bool dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static bool is_real_directory(struct walk *w, unsigned char type)
{
    struct stat s;
    return type == DT_DIR || (type == DT_UNKNOWN && look(w, &s) && S_ISDIR(s.st_mode));
}

/* One name of a directory that a wildcard is compared with. */
static void walk_entry(struct walk *w, size_t longer, size_t at, unsigned depth, const struct dirent *entry)
{
    const struct part *part = &w->pattern->parts[at];
    if (part->kind == DEEP) {
        /* links are not descended into: they may lead back up */
        if (entry->d_name[0] != '.' && depth < DEPTH_MAX && is_real_directory(w, entry->d_type)) {
            walk_from(w, longer, at, depth + 1);
        }
    } else if (at + 1 == w->pattern->count) {
        found(w, entry->d_ino, entry->d_type);
    } else if (entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
        walk_from(w, longer, at + 1, 0);
    }
}

static void walk_wild(struct walk *w, size_t length, size_t at, unsigned depth)
{
    const struct part *part = &w->pattern->parts[at];
    DIR *dir = open_here(w);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (dots(entry->d_name) || (part->kind == WILD && !part_matches(part, entry->d_name))) {
            continue;
        }
        size_t longer = push(w, length, entry->d_name);
        if (longer) {
            walk_entry(w, longer, at, depth, entry);
        }
        w->path[length] = 0;
    }
    if (dir) {
        closedir(dir);
    }
}

static void walk_from(struct walk *w, size_t length, size_t at, unsigned depth)
{
    const struct part *part = &w->pattern->parts[at];
    if (part->kind == DEEP) {
        walk_from(w, length, at + 1, 0); /* no directory at all */
        walk_wild(w, length, at, depth);
    } else if (part->kind == WILD) {
        walk_wild(w, length, at, depth);
    } else if (at + 1 == w->pattern->count) {
        walk_name(w, length, part->text);
    } else {
        walk_way(w, length, at);
    }
}

void tail_glob_walk(const struct tail_glob *glob, const struct tail_glob_visitor *visitor)
{
    struct walk w = {.glob = glob, .visitor = visitor};
    for (size_t i = 0; i < glob->count; i++) {
        w.pattern = &glob->patterns[i];
        w.path[0] = 0;
        walk_from(&w, 0, 0, 0);
    }
}
