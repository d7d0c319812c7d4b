/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watched directories of a loop: those in which matching names may appear, those that followed links lead
 * through, and all on the way to them. An event with a name looks at that one path, for each instance that
 * waits for that name; whatever changes the directories themselves leads to a walk through the patterns of
 * all that need them or one below. Owns the directories and the instances' needs of them. Loop thread.
 */
#include "dirs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "clock.h"
#include "dirs_private.h"
#include "file.h"
#include "packed.h"
#include "parked.h"
#include "scan.h"
#include "search.h"
#include "subscribe.h"

static const uint32_t SELF_EVENTS = IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR;
static const uint32_t NAME_EVENTS = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB;
/*
 * So long after a change of a polled directory another one may bear the same time stamp, which can be as
 * coarse as seconds. Measured here: the file system's clock may be another, and either may be set. ns.
 */
static const uint64_t SAME_STAMP = 2000000000;
/*
 * Each walk asks the kernel anew to watch what a path leads to, since of some changes, such as a mount, no
 * event tells. Of a hundred inputs that walk to the same directory within this time one asks. ns.
 */
static const uint64_t ASKED_JUST_NOW = 50000000;
/* Internal, beside those of walk.h: the way to it matters as well. */
enum { NEED_WAY = 4 };

struct tail_dirs {
    struct tail_table paths; /* struct tail_dir */
    struct tail_table names; /* struct tail_need.named */
    uint64_t doubted;        /* when events were lost, monotonic ns */
};

struct tail_dir {
    struct tail_table_node node; /* hash: path */
    struct tail_dirs *dirs;
    struct tail_hub *hub;
    struct tail_dir *above;         /* NULL: the root, which stays where it is */
    struct tail_link below, beside; /* those right in it; its place among those right in the one above */
    struct tail_link needs;         /* struct tail_need.of_dir, but of those that must not use inotify */
    struct tail_link any;           /* struct tail_need.any */
    struct tail_sub sub;
    size_t references; /* needs, and directories right in it */
    uint64_t asked;    /* when the kernel was last asked, monotonic ns; 0: it may lead elsewhere since */
    uint32_t events;   /* that it was asked for */
    bool covered;      /* there is nothing to be polled */
    char path[];
};

struct tail_polled {
    uint64_t ino, changed;
    uint64_t news; /* when that was first seen, monotonic ns */
};

static uint64_t path_hash(const char *path)
{
    return tail_hash(path, strlen(path));
}

struct tail_dirs *tail_dirs_create(void)
{
    return calloc(1, sizeof(struct tail_dirs));
}

void tail_dirs_destroy(struct tail_dirs *dirs)
{
    if (dirs) {
        tail_table_clear(&dirs->paths);
        tail_table_clear(&dirs->names);
    }
    free(dirs);
}

void tail_dirs_doubt(struct tail_dirs *dirs)
{
    dirs->doubted = tail_now(CLOCK_MONOTONIC);
}

/* -- Directories --------------------------------------------------------------------------------------- */

static void dir_event(struct tail_sub *sub, uint32_t events, const char *name);

static struct tail_dir *dir_find(const struct tail_dirs *dirs, const char *path)
{
    struct tail_table_node *node = tail_table_first(&dirs->paths, path_hash(path));
    for (; node; node = tail_table_next(node)) {
        struct tail_dir *dir = TAIL_OF(node, struct tail_dir, node);
        if (strcmp(dir->path, path) == 0) {
            return dir;
        }
    }
    return NULL;
}

static void dir_unref(struct tail_dir *dir)
{
    while (dir && --dir->references == 0) {
        struct tail_dir *above = dir->above;
        tail_list_remove(&dir->beside);
        tail_unsubscribe(dir->hub, &dir->sub);
        tail_table_remove(&dir->dirs->paths, &dir->node);
        free(dir);
        dir = above;
    }
}

static struct tail_dir *dir_get(struct tail_hub *hub, struct tail_dirs *dirs, const char *path);

/* The directory above, with a reference; *ret_ok: false without memory. */
static struct tail_dir *dir_above(struct tail_hub *hub, struct tail_dirs *dirs, const char *path,
                                  bool *ret_ok)
{
    char above[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *ret_ok = true;
    if (!slash || slash == path || slash - path >= PATH_MAX) {
        return NULL;
    }
    memcpy(above, path, (size_t)(slash - path));
    above[slash - path] = 0;
    struct tail_dir *dir = dir_get(hub, dirs, above);
    *ret_ok = dir;
    return dir;
}

static struct tail_dir *dir_create(struct tail_hub *hub, struct tail_dirs *dirs, const char *path)
{
    bool ok;
    size_t size = strlen(path) + 1;
    struct tail_dir *above = dir_above(hub, dirs, path, &ok),
                    *dir = ok ? calloc(1, sizeof(*dir) + size) : NULL;
    if (!dir || tail_table_add(&dirs->paths, &dir->node, path_hash(path)) < 0) {
        free(dir);
        dir_unref(above);
        return NULL;
    }
    dir->hub = hub;
    dir->dirs = dirs;
    dir->above = above;
    dir->sub.fn = dir_event;
    tail_list_init(&dir->below);
    tail_list_init(&dir->beside);
    tail_list_init(&dir->needs);
    tail_list_init(&dir->any);
    if (above) {
        tail_list_add(&above->below, &dir->beside);
    }
    memcpy(dir->path, path, size);
    return dir;
}

/* With a reference. NULL: no memory. */
static struct tail_dir *dir_get(struct tail_hub *hub, struct tail_dirs *dirs, const char *path)
{
    struct tail_dir *dir = dir_find(dirs, path);
    dir = dir ? dir : dir_create(hub, dirs, path);
    if (dir) {
        dir->references++;
    }
    return dir;
}

/* The path, and those below it, may lead elsewhere now. */
static void dir_doubt(struct tail_dir *dir)
{
    dir->asked = 0;
    for (struct tail_link *l = dir->below.next; l != &dir->below; l = l->next) {
        dir_doubt(TAIL_OF(l, struct tail_dir, beside));
    }
}

/* Whether inotify covers it and, with `way`, all above it. Those are watched first: what happens to one of
 * them from then on is told. */
static bool dir_watch(struct tail_dir *dir, struct tail_instance *tail, uint32_t events, bool way,
                      uint64_t now)
{
    int error;
    bool above = !way || !dir->above || dir_watch(dir->above, tail, SELF_EVENTS, true, now);
    bool known = dir->sub.watched && dir->asked > dir->dirs->doubted && dir->asked + ASKED_JUST_NOW > now;
    if (known && !(events & ~dir->events)) {
        return above && dir->covered;
    }
    dir->events |= events;
    dir->covered = tail_subscribe(tail, &dir->sub, dir->path, dir->path, dir->events, 0, &error) ||
                   error == ENOENT || error == ENOTDIR;
    dir->asked = now;
    return above && dir->covered;
}

/* -- Needs --------------------------------------------------------------------------------------------- */

static uint64_t name_hash(const struct tail_dir *dir, const char *name)
{
    return tail_hash(name, tail_component_size(name)) ^ (uintptr_t)dir * 0x9e3779b97f4a7c15u;
}

static bool same_component(const char *a, const char *b)
{
    size_t size = tail_component_size(a);
    return size == tail_component_size(b) && !memcmp(a, b, size);
}

static struct tail_need *need_find(const struct tail_instance *tail, const char *path)
{
    struct tail_table_node *node = tail_table_first(&tail->dirs, path_hash(path));
    for (; node; node = tail_table_next(node)) {
        struct tail_need *need = TAIL_OF(node, struct tail_need, node);
        if (strcmp(need->dir->path, path) == 0) {
            return need;
        }
    }
    return NULL;
}

static void unlist(struct tail_need *need)
{
    if (need->listed && need->only) {
        tail_table_remove(&need->dir->dirs->names, &need->named);
    } else if (need->listed) {
        tail_list_remove(&need->any);
    }
    need->listed = false;
}

static void need_free(struct tail_need *need)
{
    tail_links_sweep(need, true);
    unlist(need);
    tail_list_remove(&need->of_dir);
    tail_table_remove(&need->tail->dirs, &need->node);
    dir_unref(need->dir);
    free(need->polled);
    free(need);
}

static struct tail_need *need_create(struct tail_instance *tail, const char *path)
{
    struct tail_dirs *dirs = tail_hub_dirs(tail->hub);
    struct tail_need *need = calloc(1, sizeof(*need));
    if (need && dirs) {
        need->dir = dir_get(tail->hub, dirs, path);
    }
    if (!need || !need->dir || tail_table_add(&tail->dirs, &need->node, path_hash(path)) < 0) {
        dir_unref(need ? need->dir : NULL);
        free(need);
        return NULL;
    }
    need->tail = tail;
    tail_list_init(&need->of_dir);
    if (tail->config->inotify_watcher) {
        tail_list_add(&need->dir->needs, &need->of_dir);
    }
    return need;
}

/*
 * From now on `name` is told to it, NULL: any. They never get fewer while the directory is needed: a walk
 * that comes to it under its second name later would miss what happens until then. A closed file may get any
 * name.
 */
static void list(struct tail_need *need, const char *name)
{
    struct tail_dir *dir = need->dir;
    name = tail_parks(need->tail) ? NULL : name;
    bool same = need->listed && (!need->only || (name && same_component(name, need->only)));
    if (same || !need->tail->config->inotify_watcher) {
        return;
    }
    name = need->listed ? NULL : name;
    unlist(need);
    need->only = name;
    if (!name || tail_table_add(&dir->dirs->names, &need->named, name_hash(dir, name)) < 0) {
        need->only = NULL;
        tail_list_add(&dir->any, &need->any);
    }
    need->listed = true;
}

static void look_at_dir(struct tail_need *need)
{
    struct tail_polled *polled = need->polled;
    struct stat s;
    uint64_t ino = 0, changed = 0;
    if (stat(need->dir->path, &s) == 0) {
        ino = s.st_ino;
        changed = tail_ns(s.st_mtim);
    }
    if (ino != polled->ino || changed != polled->changed) {
        polled->news = tail_now(CLOCK_MONOTONIC);
    }
    polled->ino = ino;
    polled->changed = changed;
}

static void need_poll(struct tail_need *need)
{
    need->polled = need->polled ? need->polled : calloc(1, sizeof(*need->polled));
    if (!need->polled) {
        tail_retry(need->tail);
        return;
    }
    look_at_dir(need);
    tail_poll(need->tail);
}

static void need_watch(struct tail_need *need)
{
    struct tail_instance *tail = need->tail;
    bool names = need->what & TAIL_NEED_NAMES;
    uint32_t events =
        SELF_EVENTS | (names ? NAME_EVENTS : 0) | (names && tail_parked_by_dirs(tail) ? IN_MODIFY : 0);
    bool covered = tail->config->inotify_watcher &&
                   dir_watch(need->dir, tail, events, need->what & NEED_WAY, tail_now(CLOCK_MONOTONIC));
    if (!covered) {
        need_poll(need);
    } else {
        free(need->polled);
        need->polled = NULL;
    }
}

static struct tail_need *need_get(struct tail_instance *tail, const char *path, int what, const char *name)
{
    struct tail_need *need = need_find(tail, path);
    need = need ? need : need_create(tail, path);
    if (!need) {
        tail_retry(tail);
        return NULL;
    }
    /* each walk asks anew: the path may lead to another directory than last time */
    bool first = need->generation != tail->generation;
    need->what = (uint8_t)(first ? what : need->what | what);
    need->generation = tail->generation;
    if (what & TAIL_NEED_NAMES) {
        list(need, name);
    }
    need_watch(need);
    return need;
}

void tail_dirs_need(struct tail_instance *tail, const char *path, int need, const char *name)
{
    /* The rest of the way is watched with where it leads to, which comes next. */
    if ((need & TAIL_NEED_NAMES) && !tail->config->exit_on_eof) {
        need_get(tail, path, need | NEED_WAY, name);
    }
}

struct tail_need *tail_need_any(struct tail_instance *tail, const char *path)
{
    struct tail_need *need = need_find(tail, path);
    if (need && need->generation == tail->generation && need->listed && !need->only) {
        return need;
    }
    return need_get(tail, path, TAIL_NEED_SELF | TAIL_NEED_NAMES, NULL);
}

void tail_dirs_sweep(struct tail_instance *tail)
{
    for (size_t i = 0; i < tail_table_size(&tail->dirs); i++) {
        for (struct tail_table_node *n = tail_table_bucket(&tail->dirs, i), *next; n; n = next) {
            next = n->next;
            struct tail_need *need = TAIL_OF(n, struct tail_need, node);
            tail_links_sweep(need, false);
            if (need->generation != tail->generation) {
                need_free(need);
            }
        }
    }
}

void tail_dirs_clear(struct tail_instance *tail)
{
    struct tail_table_node *node;
    while ((node = tail_table_any(&tail->dirs))) {
        need_free(TAIL_OF(node, struct tail_need, node));
    }
    tail_table_clear(&tail->dirs);
}

bool tail_dirs_polled(const struct tail_instance *tail)
{
    for (size_t i = 0; i < tail_table_size(&tail->dirs); i++) {
        for (struct tail_table_node *n = tail_table_bucket(&tail->dirs, i); n; n = n->next) {
            if (TAIL_OF(n, struct tail_need, node)->polled) {
                return true;
            }
        }
    }
    return false;
}

void tail_dirs_poll(struct tail_instance *tail)
{
    uint64_t now = tail_now(CLOCK_MONOTONIC);
    for (size_t i = 0; i < tail_table_size(&tail->dirs) && !tail->rescan; i++) {
        for (struct tail_table_node *n = tail_table_bucket(&tail->dirs, i); n; n = n->next) {
            struct tail_need *need = TAIL_OF(n, struct tail_need, node);
            if (!need->polled) {
                continue;
            }
            uint64_t ino = need->polled->ino, changed = need->polled->changed;
            look_at_dir(need);
            bool fresh = need->polled->news + SAME_STAMP > now;
            if (need->polled->ino != ino || need->polled->changed != changed || fresh) {
                tail_rescan(tail);
            }
        }
    }
}

/* -- Events -------------------------------------------------------------------------------------------- */

/* What appears while the first walk goes on was not there at the first start. */
static void look_at_new(struct tail_instance *tail, const char *path, bool appeared)
{
    bool starting = tail->starting;
    tail->starting = starting && !appeared;
    tail->rescan |= !tail_look(tail, path);
    tail->starting = starting;
}

static void look_at_way(struct tail_need *need, const char *path, uint32_t events)
{
    struct tail_dir *dir = dir_find(need->dir->dirs, path);
    if (dir) {
        dir_doubt(dir); /* it may be a link, and those below know nothing of it */
    }
    if (events & (IN_CREATE | IN_MOVED_TO)) {
        tail_scan_way(need->tail, path);
    } else {
        tail_rescan(need->tail);
    }
}

/* May add needs, and list this one for any name; removes none. */
static void need_event(struct tail_need *need, uint32_t events, const char *path, const char *name)
{
    struct tail_instance *tail = need->tail;
    bool modified = events & IN_MODIFY;
    if (!(need->what & TAIL_NEED_NAMES)) {
        return;
    }
    int match = tail_glob_match(tail->glob, path);
    if ((match & TAIL_IS_FILE) && !(modified && tail_file_at(tail, path))) { /* open: watched itself */
        look_at_new(tail, path, events & (IN_CREATE | IN_MOVED_TO));
    }
    if ((match & TAIL_IS_WAY) && !modified) {
        look_at_way(need, path, events);
    }
    tail_links_look(need, name, modified);
    if (events & IN_DELETE) {
        tail_packed_wake(tail); /* one may be what is left of this file */
    }
    /* A closed file may have been written to just before it was renamed. Not one that a link leads to still:
       that is open by now. */
    if (tail->parked_count > 0 && (events & (IN_MOVED_TO | IN_MODIFY)) && !tail_file_at(tail, path)) {
        tail_search_at(tail, path);
    }
}

/* Ten thousand who each want one name in the same directory cost nothing when another changes. */
static void name_event(struct tail_dir *dir, uint32_t events, const char *name)
{
    char path[PATH_MAX + NAME_MAX];
    snprintf(path, sizeof(path), "%s/%s", strcmp(dir->path, "/") == 0 ? "" : dir->path, name);
    for (struct tail_link *l = dir->any.next; l != &dir->any; l = l->next) {
        need_event(TAIL_OF(l, struct tail_need, any), events, path, name);
    }
    struct tail_table_node *node = tail_table_first(&dir->dirs->names, name_hash(dir, name)), *next;
    for (; node; node = next) {
        struct tail_need *need = TAIL_OF(node, struct tail_need, named);
        next = tail_table_next(node); /* it may leave this table, and nothing enters it */
        if (need->dir == dir && tail_component_is(need->only, name)) {
            need_event(need, events, path, name);
        }
    }
}

/* It, or one above it, is not what it was. */
static void self_event(struct tail_dir *dir)
{
    dir->asked = 0;
    for (struct tail_link *l = dir->needs.next; l != &dir->needs; l = l->next) {
        tail_rescan(TAIL_OF(l, struct tail_need, of_dir)->tail);
    }
    for (struct tail_link *l = dir->below.next; l != &dir->below; l = l->next) {
        self_event(TAIL_OF(l, struct tail_dir, beside));
    }
}

static void dir_event(struct tail_sub *sub, uint32_t events, const char *name)
{
    struct tail_dir *dir = TAIL_OF(sub, struct tail_dir, sub);
    if (name && (events & (NAME_EVENTS | IN_MODIFY))) {
        name_event(dir, events, name);
    } else if (!name && (events & (SELF_EVENTS | IN_ATTRIB | IN_IGNORED | IN_UNMOUNT))) {
        self_event(dir);
    }
}
