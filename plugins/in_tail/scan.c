/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for files, in slices: the walk through the patterns, the comparison with what it did not meet, the
 * search for what was renamed, and polling. Loop thread; owns what is under way.
 */
#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "clock.h"
#include "dirs.h"
#include "file.h"
#include "known.h"
#include "prune.h"
#include "search.h"
#include "walk.h"

/* A directory that appeared. */
struct way {
    struct tail_link link;
    char path[];
};

struct tail_scan {
    struct tail_walk *walk; /* under way, or NULL */
    struct tail_search *search;
    struct tail_link *sweep, *poll; /* the next of the open files to be looked at, or NULL */
    bool parked;                    /* the closed ones are to be polled */
    struct tail_link ways;          /* struct way: to be walked through */
    size_t bucket;                  /* of the closed ones, while polling */
    bool whole;                     /* the walk is through everything, so what it does not meet is gone */
    bool turn;                      /* whose it was */
    bool late, renamed;             /* searches that are due */
    struct tail_prune *prune;       /* under way, or NULL */
};

static struct tail_scan *scan_of(struct tail_instance *tail)
{
    if (!tail->scan && (tail->scan = calloc(1, sizeof(*tail->scan)))) {
        tail_list_init(&tail->scan->ways);
    }
    if (!tail->scan) {
        tail_retry(tail);
    }
    return tail->scan;
}

/* -- What is due ---------------------------------------------------------------------------------------- */

void tail_rescan(struct tail_instance *tail)
{
    tail->rescan = !tail->retired;
    tail_wake(tail);
}

void tail_scan_way(struct tail_instance *tail, const char *path)
{
    struct tail_scan *scan = scan_of(tail);
    size_t size = strlen(path) + 1;
    struct way *way = scan ? malloc(sizeof(*way) + size) : NULL;
    if (!way) {
        tail_rescan(tail);
        return;
    }
    memcpy(way->path, path, size);
    tail_list_init(&way->link);
    tail_list_add(&scan->ways, &way->link);
    tail_wake(tail);
}

void tail_scan_renamed(struct tail_instance *tail, bool late)
{
    bool any = tail_table_count(&tail->known) || tail_table_count(&tail->buried);
    struct tail_scan *scan = any && !tail->retired ? scan_of(tail) : NULL;
    if (scan) {
        *(late ? &scan->late : &scan->renamed) = true;
        tail_wake(tail);
    }
}

void tail_scan_polled(struct tail_instance *tail)
{
    struct tail_scan *scan = scan_of(tail);
    if (scan && !scan->poll) { /* else it is under way */
        tail_dirs_poll(tail);
        scan->poll = tail->files.next;
        scan->bucket = scan->parked ? scan->bucket : 0;
        scan->parked = true;
        tail_wake(tail);
    }
}

bool tail_scan_waits(const struct tail_instance *tail)
{
    return tail->rescan || tail->scan;
}

bool tail_scan_walks(const struct tail_instance *tail)
{
    const struct tail_scan *scan = tail->scan;
    return tail->rescan || (scan && (scan->walk || !tail_list_empty(&scan->ways)));
}

static void drop_ways(struct tail_scan *scan)
{
    while (!tail_list_empty(&scan->ways)) {
        struct way *way = TAIL_OF(scan->ways.next, struct way, link);
        tail_list_remove(&way->link);
        free(way);
    }
}

void tail_scan_clear(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    if (scan) {
        drop_ways(scan);
        tail_walk_destroy(scan->walk);
        tail_search_destroy(scan->search);
        tail_prune_destroy(scan->prune);
        free(scan);
    }
    tail->scan = NULL;
}

void tail_scan_pass(struct tail_instance *tail, const struct tail_link *member)
{
    struct tail_scan *scan = tail->scan;
    if (scan && scan->sweep == member) {
        scan->sweep = member->next;
    }
    if (scan && scan->poll == member) {
        scan->poll = member->next;
    }
}

/* -- The walk ------------------------------------------------------------------------------------------- */

static void walk_directory(void *data, const char *path, int need, const char *name)
{
    tail_dirs_need(data, path, need, name);
}

static bool walk_file(void *data, const char *path, uint64_t ino, unsigned char type)
{
    struct tail_instance *tail = data;
    struct tail_file *file = tail_file_at(tail, path);
    if (file && type == DT_REG && file->identity.ino == ino) {
        file->generation = tail->generation;
        return true;
    }
    if (!tail_look(tail, path)) {
        return false;
    }
    file = tail_file_at(tail, path);
    if (file) {
        file->generation = tail->generation;
        tail->loose_inodes |= type == DT_REG && file->identity.ino != ino;
    }
    return true;
}

static void walk_unreadable(void *data, const char *path, int error)
{
    struct tail_instance *tail = data;
    tail_complain(tail, path, "the directory %s can't be read: %s", path, strerror(error));
    tail_retry_after(tail, error);
}

static bool walk_enough(void *data)
{
    const struct tail_instance *tail = data;
    return tail_hub_enough(tail->hub);
}

/* NULL for `path`: everything. */
static void walk_begin(struct tail_instance *tail, const char *path)
{
    struct tail_walk_visitor visitor = {walk_directory, walk_file, walk_unreadable, walk_enough, tail};
    struct tail_scan *scan = tail->scan;
    scan->walk = tail_walk_create(tail->glob, &visitor, path);
    scan->whole = !path;
    if (!scan->walk) {
        tail_retry(tail);
    } else if (!path) {
        tail->generation++;
    }
}

static void walk_on(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    if (tail_walk_step(scan->walk)) {
        tail_walk_destroy(scan->walk);
        scan->walk = NULL;
        scan->sweep = scan->whole ? tail->files.next : NULL;
    }
}

/* Followed files whose path the walk did not meet. */
static void sweep_on(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    while (scan->sweep != &tail->files) {
        struct tail_file *file = TAIL_OF(scan->sweep, struct tail_file, member);
        scan->sweep = scan->sweep->next;
        if (file->named && file->generation != tail->generation) {
            file->generation = tail->generation;
            tail->rescan |= !tail_look(tail, file->path);
        }
        if (tail_hub_enough(tail->hub)) {
            return;
        }
    }
    scan->sweep = NULL;
    tail_dirs_sweep(tail);
    tail_calm_gone(tail);
}

/* -- Searching and polling ------------------------------------------------------------------------------ */

static void search_begin(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    bool late = !scan->renamed;
    scan->search = tail_search_create(tail, late);
    if (!scan->search) {
        tail_retry(tail);
    }
    *(late ? &scan->late : &scan->renamed) = false;
}

static void search_on(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    if (tail_search_step(scan->search)) {
        tail_search_destroy(scan->search);
        scan->search = NULL;
        scan->prune = tail_prune_begin(tail);
    }
}

static void prune_on(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    if (tail_prune_step(scan->prune)) {
        tail_prune_destroy(scan->prune);
        scan->prune = NULL;
    }
}

static void poll_file(struct tail_file *file)
{
    struct stat s;
    if (file->named && !tail_leads_to(file)) {
        file->tail->rescan |= !tail_look(file->tail, file->path);
    }
    if (fstat(file->fd, &s) == 0) {
        if ((uint64_t)s.st_size != file->size || tail_ns(s.st_mtim) != file->changed) {
            tail_file_wake(file);
        }
    }
}

static void look_at_parked(struct tail_instance *tail, const char *path, bool lost)
{
    tail->rescan |= !tail_look(tail, path);
    if (lost) {
        tail_scan_renamed(tail, false);
    }
}

static void poll_on(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    while (scan->poll != &tail->files) {
        struct tail_file *file = TAIL_OF(scan->poll, struct tail_file, member);
        scan->poll = scan->poll->next;
        if (file->polled) {
            poll_file(file);
        }
        if (tail_hub_enough(tail->hub)) {
            return;
        }
    }
    scan->poll = NULL;
}

static void poll_parked(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    while (!tail->crowded && !tail_known_poll(tail, &scan->bucket, look_at_parked)) {
        if (tail_hub_enough(tail->hub)) {
            return;
        }
    }
    scan->parked = tail->crowded;
}

/* -- What comes next ------------------------------------------------------------------------------------ */

static void way_begin(struct tail_instance *tail)
{
    struct way *way = TAIL_OF(tail->scan->ways.next, struct way, link);
    tail_list_remove(&way->link);
    walk_begin(tail, way->path);
    free(way);
}

/* False: there is nothing. */
static bool next(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    if (scan->renamed && tail->starting && tail->generation) {
        search_begin(tail); /* behind the first walk: it ends the start */
    } else if (tail->rescan) {
        tail->rescan = false;
        drop_ways(scan);
        walk_begin(tail, NULL);
    } else if (!tail_list_empty(&scan->ways)) {
        way_begin(tail);
    } else if (scan->renamed || scan->late) {
        search_begin(tail);
    } else {
        return false;
    }
    return true;
}

/* One step of what is under way, or of what is due. False: there is nothing. */
static bool look_on(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    if (scan->walk) {
        walk_on(tail);
    } else if (scan->sweep) {
        sweep_on(tail);
    } else if (scan->search) {
        search_on(tail);
    } else if (scan->prune) {
        prune_on(tail);
    } else if (next(tail)) {
        return true;
    } else if (scan->parked) {
        poll_parked(tail);
    } else {
        return false;
    }
    return true;
}

/*
 * Polling takes turns with the rest, however long either is. It goes on while files wait for room: the news
 * of the open ones makes it.
 */
static bool go_on(struct tail_instance *tail)
{
    struct tail_scan *scan = tail->scan;
    scan->turn = !scan->turn;
    if (scan->poll && (tail->crowded || scan->turn || !look_on(tail))) {
        poll_on(tail);
        return true;
    }
    return scan->poll || look_on(tail);
}

static bool can_go_on(const struct tail_instance *tail)
{
    return !tail->crowded || (tail->scan && tail->scan->poll);
}

bool tail_scan_due(const struct tail_instance *tail)
{
    return (tail->rescan || tail->scan) && can_go_on(tail);
}

bool tail_scan_step(struct tail_instance *tail)
{
    if (!scan_of(tail)) {
        return false;
    }
    while (can_go_on(tail)) {
        if (!go_on(tail)) {
            tail_scan_clear(tail);
            return false;
        }
        if (tail_hub_enough(tail->hub)) {
            return can_go_on(tail);
        }
    }
    return false;
}
