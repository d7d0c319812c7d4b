/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk through the patterns. What would be a recursion is a stack of frames, one for each directory that
 * is being read, so that it can stop anywhere. Owns the frames and their descriptors. Loop thread.
 */
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "glob_private.h"

enum { DEPTH_MAX = 64 }; /* directories below one `**` */

/* A component that is compared with the names of a directory, or the last one. */
struct frame {
    struct frame *below;
    DIR *dir;      /* not open yet: NULL */
    size_t length; /* of the directory's path */
    size_t at;     /* the component */
    unsigned depth;
};

struct tail_walk {
    const struct tail_glob *glob;
    struct tail_walk_visitor visitor;
    size_t next; /* pattern */
    const struct tail_pattern *pattern;
    struct frame *top;
    bool offered; /* path is one that the visitor has not taken yet, with: */
    unsigned char type;
    uint64_t ino;
    size_t start;        /* length of the directory to begin in, or 0 */
    char path[PATH_MAX]; /* "" is the root */
};

static const char *shown(const struct tail_walk *w)
{
    return w->path[0] ? w->path : "/";
}

/* Appends a component; returns the new length, 0 where it does not fit. */
static size_t append(struct tail_walk *w, size_t length, const char *component)
{
    size_t size = tail_component_size(component);
    if (length + 1 + size >= sizeof(w->path)) {
        return 0;
    }
    w->path[length] = '/';
    memcpy(w->path + length + 1, component, size);
    w->path[length + 1 + size] = 0;
    return length + 1 + size;
}

static bool look(struct tail_walk *w, struct stat *ret)
{
    return lstat(w->path, ret) == 0;
}

static void directory(struct tail_walk *w, int need, const char *name)
{
    w->visitor.directory(w->visitor.data, shown(w), need, name);
}

static void found(struct tail_walk *w, uint64_t ino, unsigned char type)
{
    if (!tail_glob_excludes(w->glob, w->path)) {
        w->offered = true;
        w->ino = ino;
        w->type = type;
    }
}

/* -- Frames --------------------------------------------------------------------------------------------- */

static void push(struct tail_walk *w, size_t length, size_t at, unsigned depth)
{
    struct frame *frame = malloc(sizeof(*frame));
    if (!frame) {
        w->visitor.unreadable(w->visitor.data, shown(w), ENOMEM);
        return;
    }
    *frame = (struct frame){.below = w->top, .length = length, .at = at, .depth = depth};
    w->top = frame;
}

static void pop(struct tail_walk *w)
{
    struct frame *frame = w->top;
    w->top = frame->below;
    if (frame->dir) {
        closedir(frame->dir);
    }
    free(frame);
}

/*
 * A component on the way, without wildcards. Where it is missing or a link, its directory is watched for the
 * name. Returns the length with it, 0 where it is not there.
 */
static size_t pass(struct tail_walk *w, size_t length, const char *name)
{
    struct stat s;
    size_t longer = append(w, length, name);
    bool there = longer && look(w, &s);
    bool watch = !there || S_ISLNK(s.st_mode);
    w->path[length] = 0;
    if (length || watch) { /* the root itself stays where it is */
        directory(w, TAIL_NEED_SELF | (watch ? TAIL_NEED_NAMES : 0), name);
    }
    longer = append(w, length, name);
    if (longer && !there) {
        there = look(w, &s); /* it came before the watch did */
    }
    return there ? longer : 0;
}

/* Follows the components from `at` on up to one that must be compared with names. */
static void enter(struct tail_walk *w, size_t length, size_t at, unsigned depth)
{
    const struct tail_part *parts = w->pattern->parts;
    for (;; at++, depth = 0) {
        if (parts[at].kind == TAIL_PART_DEEP) {
            push(w, length, at, depth); /* its turn comes after that of no directory at all */
        } else if (parts[at].kind == TAIL_PART_WILD || at + 1 == w->pattern->count) {
            push(w, length, at, depth);
            return;
        } else {
            size_t longer = pass(w, length, tail_part_text(&parts[at]));
            if (!longer) {
                return;
            }
            length = longer;
        }
    }
}

/* The last component, without wildcards. */
static void last_name(struct tail_walk *w, size_t length, const char *name)
{
    struct stat s;
    directory(w, TAIL_NEED_SELF | TAIL_NEED_NAMES, name);
    if (append(w, length, name) && look(w, &s)) {
        found(w, s.st_ino, IFTODT(s.st_mode));
    }
}

static bool dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static bool is_real_directory(struct tail_walk *w, unsigned char type)
{
    struct stat s;
    return type == DT_DIR || (type == DT_UNKNOWN && look(w, &s) && S_ISDIR(s.st_mode));
}

/* One name of a directory that a wildcard is compared with. */
static void entry_of(struct tail_walk *w, const struct frame *frame, const struct dirent *entry)
{
    const struct tail_part *part = &w->pattern->parts[frame->at];
    bool deep = part->kind == TAIL_PART_DEEP;
    if (dots(entry->d_name) || (!deep && !tail_part_matches(part, entry->d_name))) {
        return;
    }
    size_t longer = append(w, frame->length, entry->d_name);
    if (!longer) {
        return;
    }
    if (deep) {
        /* links are not descended into: they may lead back up */
        if (entry->d_name[0] != '.' && frame->depth < DEPTH_MAX && is_real_directory(w, entry->d_type)) {
            enter(w, longer, frame->at, frame->depth + 1);
        }
    } else if (frame->at + 1 == w->pattern->count) {
        found(w, entry->d_ino, entry->d_type);
    } else if (entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
        enter(w, longer, frame->at + 1, 0);
    }
}

static bool open_here(struct tail_walk *w, struct frame *frame)
{
    directory(w, TAIL_NEED_SELF | TAIL_NEED_NAMES, NULL);
    frame->dir = opendir(shown(w));
    if (!frame->dir && errno != ENOENT && errno != ENOTDIR) {
        w->visitor.unreadable(w->visitor.data, shown(w), errno);
    }
    return frame->dir != NULL;
}

/* One step of the topmost frame. */
static void advance(struct tail_walk *w)
{
    struct frame *frame = w->top;
    const struct tail_part *part = &w->pattern->parts[frame->at];
    struct dirent *entry = NULL;
    w->path[frame->length] = 0;
    if (part->kind == TAIL_PART_LITERAL) {
        size_t length = frame->length;
        pop(w);
        last_name(w, length, tail_part_text(part));
        return;
    }
    if (frame->dir || open_here(w, frame)) {
        entry = readdir(frame->dir);
    }
    if (entry) {
        entry_of(w, frame, entry);
    } else {
        pop(w);
    }
}

/* -- Where it begins ------------------------------------------------------------------------------------ */

/* Enters the directory at w->path wherever the pattern, from `at` on, can come to it; `rest` is what of its
 * path the components before do not cover. */
static void enter_where(struct tail_walk *w, size_t at, const char *rest, unsigned depth)
{
    const struct tail_part *part = &w->pattern->parts[at];
    char name[NAME_MAX + 1];
    if (!*rest) {
        if (at < w->pattern->count) {
            w->path[w->start] = 0;
            enter(w, w->start, at, depth);
        }
        return;
    }
    size_t size = strcspn(rest, "/");
    if (at >= w->pattern->count || size > NAME_MAX) {
        return;
    }
    memcpy(name, rest, size);
    name[size] = 0;
    const char *next = rest + size + (rest[size] == '/');
    if (part->kind != TAIL_PART_DEEP) {
        if (tail_part_matches(part, name)) {
            enter_where(w, at + 1, next, 0);
        }
        return;
    }
    enter_where(w, at + 1, rest, 0);
    if (name[0] != '.' && depth < DEPTH_MAX) {
        enter_where(w, at, next, depth + 1);
    }
}

static void begin_pattern(struct tail_walk *w)
{
    char rest[PATH_MAX];
    w->pattern = &w->glob->patterns[w->next++];
    w->path[w->start] = 0;
    if (!w->start) {
        enter(w, 0, 0, 0);
        return;
    }
    memcpy(rest, w->path + 1, w->start); /* with the end; walking changes what is behind it */
    enter_where(w, 0, rest, 0);
}

struct tail_walk *tail_walk_create(const struct tail_glob *glob, const struct tail_walk_visitor *visitor,
                                   const char *path)
{
    struct tail_walk *w = malloc(sizeof(*w));
    if (!w) {
        return NULL;
    }
    w->glob = glob;
    w->visitor = *visitor;
    w->next = 0;
    w->pattern = NULL;
    w->top = NULL;
    w->offered = false;
    w->start = path ? strlen(path) : 0;
    if (w->start <= 1 || w->start >= sizeof(w->path)) {
        w->start = 0;
    } else {
        memcpy(w->path, path, w->start);
    }
    w->path[w->start] = 0;
    return w;
}

bool tail_walk_step(struct tail_walk *w)
{
    while (w->offered || w->top || w->next < w->glob->count) {
        if (w->offered) {
            if (!w->visitor.file(w->visitor.data, w->path, w->ino, w->type)) {
                return false;
            }
            w->offered = false;
        } else if (w->top) {
            advance(w);
        } else {
            begin_pattern(w);
        }
        if (w->visitor.enough(w->visitor.data)) {
            return false;
        }
    }
    return true;
}

void tail_walk_destroy(struct tail_walk *w)
{
    while (w && w->top) {
        pop(w);
    }
    free(w);
}
