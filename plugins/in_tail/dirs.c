/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watched directories of an instance: those in which matching names may appear, those on the way, and
 * those that followed links lead through. An event with a name looks at that one path; whatever changes the
 * directories themselves leads to a walk through the patterns. Loop thread.
 */
#include "dirs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "file.h"
#include "packed.h"
#include "scan.h"
#include "search.h"
#include "walk.h"

static const uint32_t SELF_EVENTS = IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR;
static const uint32_t NAME_EVENTS = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB;
enum { LINKS_MAX = 16 };
/*
 * So long after a change of a polled directory another one may bear the same time stamp, which can be as
 * coarse as seconds. Measured here: the file system's clock may be another, and either may be set. ns.
 */
static const uint64_t SAME_STAMP = 2000000000;

struct tail_dir {
    struct tail_table_node node; /* hash: path */
    struct tail_instance *tail;
    struct tail_sub sub;
    struct tail_link links; /* struct link_to: followed links that lead through this directory */
    uint64_t ino, changed;  /* polled: as last seen */
    uint64_t news;          /* polled: when that was first seen, monotonic ns */
    uint64_t generation;    /* of the last walk that came through */
    const char *only;       /* the one name in it that matters, or NULL; not while: */
    bool any;               /* any name does */
    uint8_t need;
    bool polled;
    char path[];
};

/* A followed path that is a link; its target (or the next link) is `name` in the directory that holds this.
 */
struct link_to {
    struct tail_link link;
    uint64_t generation;
    char *name;
    char path[];
};

/* -- Subscribing -------------------------------------------------------------------------------------- */

static int subscribe(struct tail_instance *tail, struct tail_sub *sub, const char *path, const char *shown,
                     uint32_t events, const char *name)
{
    int error = 0;
    bool first = false;
    if (!tail->config->inotify_watcher) {
        return -EOPNOTSUPP;
    }
    struct tail_notify *notify = tail_hub_notify(tail->hub, &error, &first);
    if (!notify) {
        if (first) {
            tail_log(
                tail, WARN,
                "no inotify (%s; see fs.inotify.max_user_instances): files are looked at every poll_interval",
                strerror(error));
        }
        return -error;
    }
    int r = tail_notify_add(notify, sub, path, events, name);
    if (r == -ENOSPC && tail_hub_first_limit(tail->hub)) {
        tail_log(
            tail, WARN,
            "no more inotify watches (fs.inotify.max_user_watches): %s, and what else finds none, is looked "
            "at every poll_interval",
            shown);
    }
    return r;
}

bool tail_subscribe(struct tail_instance *tail, struct tail_sub *sub, const char *path, const char *shown,
                    uint32_t events, const char *name, int *ret_error)
{
    int r = subscribe(tail, sub, path, shown, events, name);
    *ret_error = -r;
    if (r < 0 || !tail_notify_remote(sub, path)) {
        return r == 0;
    }
    if (!tail->remote_said) {
        tail->remote_said = true;
        tail_log(
            tail, INFO,
            "%s is on a network or FUSE file system, of whose changes inotify need not tell: what is there "
            "is looked at every poll_interval",
            shown);
    }
    return false;
}

void tail_unsubscribe(struct tail_instance *tail, struct tail_sub *sub)
{
    int error;
    bool first;
    if (sub->watched) {
        tail_notify_remove(tail_hub_notify(tail->hub, &error, &first), sub);
    }
}

/* -- Directories --------------------------------------------------------------------------------------- */

static uint64_t path_hash(const char *path)
{
    return tail_hash(path, strlen(path));
}

static struct tail_dir *dir_find(const struct tail_instance *tail, const char *path)
{
    struct tail_table_node *node = tail_table_first(&tail->dirs, path_hash(path));
    for (; node; node = tail_table_next(node)) {
        struct tail_dir *dir = TAIL_OF(node, struct tail_dir, node);
        if (strcmp(dir->path, path) == 0) {
            return dir;
        }
    }
    return NULL;
}

static void link_free(struct link_to *link)
{
    tail_list_remove(&link->link);
    free(link->name);
    free(link);
}

static void dir_free(struct tail_dir *dir)
{
    while (!tail_list_empty(&dir->links)) {
        link_free(TAIL_OF(dir->links.next, struct link_to, link));
    }
    tail_unsubscribe(dir->tail, &dir->sub);
    tail_table_remove(&dir->tail->dirs, &dir->node);
    free(dir);
}

static void look_at_links(struct tail_dir *dir, const char *name, bool modified)
{
    for (struct tail_link *l = dir->links.next, *next; l != &dir->links; l = next) {
        next = l->next;
        struct link_to *link = TAIL_OF(l, struct link_to, link);
        if (strcmp(link->name, name) == 0 && !(modified && tail_file_at(dir->tail, link->path))) {
            dir->tail->rescan |= !tail_look(dir->tail, link->path);
        }
    }
}

/* What appears while the first walk goes on was not there at the first start. */
static void look_at_new(struct tail_instance *tail, const char *path, bool appeared)
{
    bool starting = tail->starting;
    tail->starting = starting && !appeared;
    tail->rescan |= !tail_look(tail, path);
    tail->starting = starting;
}

static void dir_event(struct tail_sub *sub, uint32_t events, const char *name)
{
    struct tail_dir *dir = TAIL_OF(sub, struct tail_dir, sub);
    struct tail_instance *tail = dir->tail;
    char path[PATH_MAX + NAME_MAX];
    if (!name) {
        if (events & (SELF_EVENTS | IN_ATTRIB | IN_IGNORED | IN_UNMOUNT)) {
            tail_rescan(tail);
        }
        return;
    }
    bool modified = events & IN_MODIFY;
    if (!(events & (NAME_EVENTS | IN_MODIFY)) || !(dir->need & TAIL_NEED_NAMES)) {
        return;
    }
    snprintf(path, sizeof(path), "%s/%s", strcmp(dir->path, "/") == 0 ? "" : dir->path, name);
    int match = tail_glob_match(tail->glob, path);
    if ((match & TAIL_IS_FILE) && !(modified && tail_file_at(tail, path))) { /* open: watched itself */
        look_at_new(tail, path, events & (IN_CREATE | IN_MOVED_TO));
    }
    if ((match & TAIL_IS_WAY) && (events & (IN_CREATE | IN_MOVED_TO))) {
        tail_scan_way(tail, path);
    } else if ((match & TAIL_IS_WAY) && !modified) {
        tail_rescan(tail);
    }
    look_at_links(dir, name, modified);
    if (events & IN_DELETE) {
        tail_packed_wake(tail); /* one may be what is left of this file */
    }
    /* A closed file may have been written to just before it was renamed. Not one that a link leads to still:
       that is open by now. */
    if (tail->parked_count > 0 && (events & (IN_MOVED_TO | IN_MODIFY)) && !tail_file_at(tail, path)) {
        tail_search_at(tail, path);
    }
}

static struct tail_dir *dir_create(struct tail_instance *tail, const char *path)
{
    size_t size = strlen(path) + 1;
    struct tail_dir *dir = calloc(1, sizeof(*dir) + size);
    if (!dir || tail_table_add(&tail->dirs, &dir->node, path_hash(path)) < 0) {
        free(dir);
        return NULL;
    }
    dir->tail = tail;
    dir->sub.fn = dir_event;
    tail_list_init(&dir->links);
    memcpy(dir->path, path, size);
    return dir;
}

static uint64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void dir_seen(struct tail_dir *dir)
{
    struct stat s;
    uint64_t ino = 0, changed = 0;
    if (stat(dir->path, &s) == 0) {
        ino = s.st_ino;
        changed = (uint64_t)s.st_mtim.tv_sec * 1000000000u + (uint64_t)s.st_mtim.tv_nsec;
    }
    if (ino != dir->ino || changed != dir->changed) {
        dir->news = monotonic();
    }
    dir->ino = ino;
    dir->changed = changed;
}

static void dir_watch(struct tail_dir *dir)
{
    struct tail_instance *tail = dir->tail;
    if (tail->config->exit_on_eof) {
        return;
    }
    uint32_t events = SELF_EVENTS | (dir->need & TAIL_NEED_NAMES ? NAME_EVENTS : 0);
    events |= tail_parks(tail) && (dir->need & TAIL_NEED_NAMES) ? IN_MODIFY : 0;
    int error;
    bool covered =
        tail_subscribe(tail, &dir->sub, dir->path, dir->path, events, dir->any ? NULL : dir->only, &error);
    dir->polled = !covered && error != ENOENT && error != ENOTDIR;
    if (dir->polled) {
        dir_seen(dir);
        tail_poll(tail);
    }
}

/*
 * Whether other names matter now than before. They never get fewer while the directory is watched: a walk
 * that comes to it under its second name later would miss what happens until then. A closed file may get any
 * name.
 */
static bool dir_name(struct tail_dir *dir, const char *name)
{
    if (dir->any || (name && dir->only && strcmp(name, dir->only) == 0)) {
        return false;
    }
    dir->any = !name || dir->only || tail_parks(dir->tail);
    dir->only = dir->any ? NULL : name;
    return true;
}

/* A directory on the way, or one that files are looked for in. */
static struct tail_dir *dir_need(struct tail_instance *tail, const char *path, int need, const char *name)
{
    struct tail_dir *dir = dir_find(tail, path);
    dir = dir ? dir : dir_create(tail, path);
    if (!dir) {
        tail_retry(tail);
        return NULL;
    }
    /* each walk asks anew: the path may lead to another directory than last time */
    bool first = dir->generation != tail->generation;
    int before = dir->need;
    dir->need = (uint8_t)(first ? need : before | need);
    dir->generation = tail->generation;
    bool other = (need & TAIL_NEED_NAMES) && dir_name(dir, name);
    if (first || other || (dir->need & ~before)) {
        dir_watch(dir);
    }
    return dir;
}

void tail_dirs_need(struct tail_instance *tail, const char *path, int need, const char *name)
{
    dir_need(tail, path, need, name);
}

/* -- Links ------------------------------------------------------------------------------------------------
 */

static void link_note(struct tail_instance *tail, const char *path, const char *dir_path, const char *name)
{
    struct tail_dir *dir = dir_find(tail, dir_path);
    int need = TAIL_NEED_SELF | TAIL_NEED_NAMES;
    if (!dir || dir->generation != tail->generation || (dir->need & need) != need || !dir->any) {
        dir = dir_need(tail, dir_path, need, NULL);
    }
    if (!dir) {
        return;
    }
    for (struct tail_link *l = dir->links.next; l != &dir->links; l = l->next) {
        struct link_to *known = TAIL_OF(l, struct link_to, link);
        if (strcmp(known->path, path) == 0 && strcmp(known->name, name) == 0) {
            known->generation = tail->generation;
            return;
        }
    }
    struct link_to *link = calloc(1, sizeof(*link) + strlen(path) + 1);
    char *copy = strdup(name);
    if (!link || !copy) {
        free(link);
        free(copy);
        tail_retry(tail);
        return;
    }
    link->generation = tail->generation;
    link->name = copy;
    memcpy(link->path, path, strlen(path) + 1);
    tail_list_add(&dir->links, &link->link);
}

/* Where a link at `at` points, as a path. False: it is no link, or too long. */
static bool link_target(const char *at, char ret[PATH_MAX])
{
    char target[PATH_MAX];
    ssize_t n = readlink(at, target, sizeof(target) - 1);
    if (n <= 0) {
        return false;
    }
    target[n] = 0;
    const char *slash = strrchr(at, '/');
    int length = target[0] == '/' || !slash ? 0 : (int)(slash + 1 - at);
    return snprintf(ret, PATH_MAX, "%.*s%s", length, at, target) < PATH_MAX;
}

/* A followed path that is a link changes also when something happens where it points: those directories are
 * watched. */
void tail_dirs_follow(struct tail_instance *tail, const char *path)
{
    char at[PATH_MAX], target[PATH_MAX];
    if (tail->config->exit_on_eof || snprintf(at, sizeof(at), "%s", path) >= (int)sizeof(at)) {
        return;
    }
    for (int i = 0; i < LINKS_MAX && link_target(at, target); i++) {
        char *slash = strrchr(target, '/');
        if (!slash || !slash[1]) {
            return;
        }
        memcpy(at, target, sizeof(at));
        *slash = 0;
        link_note(tail, path, slash == target ? "/" : target, slash + 1);
    }
}

static void sweep_links(struct tail_dir *dir)
{
    for (struct tail_link *l = dir->links.next, *next; l != &dir->links; l = next) {
        next = l->next;
        struct link_to *link = TAIL_OF(l, struct link_to, link);
        if (link->generation != dir->tail->generation) {
            link_free(link);
        }
    }
}

void tail_dirs_sweep(struct tail_instance *tail)
{
    for (size_t i = 0; i < tail->dirs.size; i++) {
        for (struct tail_table_node *n = tail->dirs.buckets[i], *next; n; n = next) {
            next = n->next;
            struct tail_dir *dir = TAIL_OF(n, struct tail_dir, node);
            sweep_links(dir);
            if (dir->generation != tail->generation) {
                dir_free(dir);
            }
        }
    }
}

void tail_dirs_clear(struct tail_instance *tail)
{
    struct tail_table_node *node;
    while ((node = tail_table_any(&tail->dirs))) {
        dir_free(TAIL_OF(node, struct tail_dir, node));
    }
    tail_table_clear(&tail->dirs);
}

void tail_dirs_poll(struct tail_instance *tail)
{
    uint64_t now = monotonic();
    for (size_t i = 0; i < tail->dirs.size && !tail->rescan; i++) {
        for (struct tail_table_node *n = tail->dirs.buckets[i]; n; n = n->next) {
            struct tail_dir *dir = TAIL_OF(n, struct tail_dir, node);
            uint64_t ino = dir->ino, changed = dir->changed;
            if (!dir->polled) {
                continue;
            }
            dir_seen(dir);
            bool fresh = dir->news + SAME_STAMP > now;
            if (dir->ino != ino || ((dir->need & TAIL_NEED_NAMES) && (dir->changed != changed || fresh))) {
                tail_rescan(tail);
            }
        }
    }
}
