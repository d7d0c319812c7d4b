/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for known files under other names. The directory tells the inode of each name, so only files
 * that are known under another name are looked at, whatever else there is. Loop thread.
 */
#include "search.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "allow.h"
#include "file.h"
#include "known.h"
#include "scan.h"

struct tail_search {
    struct tail_instance *tail;
    struct tail_place **places; /* with a reference each */
    size_t count, next;
    DIR *dir; /* of the place before `next`, or NULL */
    bool late;
};

/* -- One name --------------------------------------------------------------------------------------- */

/* Whether there is something to expect from the file: unread bytes, or a writer that may still have it. */
static bool worth_opening(const struct tail_instance *tail, const struct tail_known *known,
                          const struct stat *s, bool late)
{
    struct timespec now;
    uint64_t read = known->packing.packed ? known->packing.raw : known->offset;
    if (late || (uint64_t)s->st_size != read) {
        return (uint64_t)s->st_size != read;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t age = (uint64_t)(now.tv_sec > s->st_mtim.tv_sec ? now.tv_sec - s->st_mtim.tv_sec : 0);
    return age <= tail->config->rotate_wait / 1000000000u + 1;
}

static bool is_missed(const struct tail_instance *tail, const struct stat *s, bool late)
{
    struct tail_table_node *node = tail_table_first(&tail->known, s->st_ino);
    for (; node; node = tail_table_next(node)) {
        const struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        if (known->identity.dev == s->st_dev && worth_opening(tail, known, s, late)) {
            return true;
        }
    }
    return false;
}

/* Whether the inode may be that of a known file with another path. */
static bool may_be_moved(const struct tail_instance *tail, uint64_t ino, const char *dir, const char *name)
{
    struct tail_table_node *node = tail_table_first(&tail->known, ino);
    for (; node; node = tail_table_next(node)) {
        const struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        if (known->away || strcmp(known->name, name) != 0 || strcmp(known->place->path, dir) != 0) {
            return true;
        }
    }
    return false;
}

/* Something could not be looked at: the search is made again. */
static void again(struct tail_instance *tail, int error)
{
    tail->missed = true;
    tail_retry_after(tail, error);
}

static void found(struct tail_instance *tail, const char *path, int fd, bool late)
{
    struct tail_status status;
    if (tail_status_read(fd, &status) < 0 || !S_ISREG(status.mode) || tail_file_of(tail, &status.identity) ||
        !tail_allowed(tail, fd, status.system, path) || !tail_known_moved(tail, fd, &status, path)) {
        close(fd);
        return;
    }
    if (late) {
        tail_count(tail, TAIL_LATE_FILES, 1);
        tail_log(tail, WARN, "%s was rotated and is still written to after rotate_wait: it is read after all",
                 path);
    } else {
        tail_log(tail, INFO, "%s was renamed while nobody looked: what is left of it is read", path);
    }
    tail_calm(tail, path);
    int r = tail_file_begin(tail, path, fd, &status, false);
    if (r < 0) {
        again(tail, -r);
    }
}

static void look(struct tail_instance *tail, const char *path, bool late)
{
    struct stat s;
    if (lstat(path, &s) < 0 || !S_ISREG(s.st_mode)) {
        return;
    }
    tail_known_meet(tail, s.st_ino); /* which the directory may tell otherwise */
    if (!is_missed(tail, &s, late)) {
        return;
    }
    int fd = tail_open_somehow(tail, path, O_NOFOLLOW);
    if (fd >= 0) {
        found(tail, path, fd, late);
    } else if (tail_refused(tail, errno)) {
        tail->missed = true;
    } else if (errno != ENOENT) {
        int error = errno;
        tail_complain(tail, path, "%s was followed under another name, but can't be opened now: %s", path,
                      strerror(error));
        again(tail, error);
    }
}

/* A name in a directory. */
static void look_in(struct tail_instance *tail, const char *dir, const char *name, bool late)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) < sizeof(path)) {
        look(tail, path, late);
    }
}

void tail_search_at(struct tail_instance *tail, const char *path)
{
    struct stat s;
    if (tail_table_count(&tail->known) && lstat(path, &s) == 0 && tail_table_first(&tail->known, s.st_ino)) {
        look(tail, path, false);
    }
}

/* Names of that inode in the directory. */
static void look_for(struct tail_instance *tail, const char *path, uint64_t ino)
{
    const struct dirent *entry;
    DIR *dir = opendir(*path ? path : "/");
    if (!dir) {
        again(tail, errno);
    }
    while (dir && (entry = readdir(dir))) {
        bool its = entry->d_ino == ino && may_be_moved(tail, ino, path, entry->d_name);
        if (its || tail->loose_inodes) {
            look_in(tail, path, entry->d_name, false);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

bool tail_search_for(struct tail_instance *tail, const char *key)
{
    char dir[PATH_MAX];
    const struct tail_known *known = tail_known_find(tail, key);
    if (!known || known->gone) {
        return false;
    }
    snprintf(dir, sizeof(dir), "%s", known->place->path);
    look_for(tail, dir, known->identity.ino);
    known = tail_known_find(tail, key);
    return !known || known->gone;
}

/* -- All directories -------------------------------------------------------------------------------- */

struct tail_search *tail_search_create(struct tail_instance *tail, bool late)
{
    struct tail_search *search = calloc(1, sizeof(*search));
    struct tail_place **places = calloc(tail_table_count(&tail->places) + 1, sizeof(struct tail_place *));
    if (!search || !places) {
        free(search);
        free(places);
        return NULL;
    }
    tail->round++;
    *search = (struct tail_search){.tail = tail, .places = places, .late = late};
    for (size_t i = 0; i < tail_table_size(&tail->places); i++) {
        for (struct tail_table_node *n = tail_table_bucket(&tail->places, i); n; n = n->next) {
            struct tail_place *place = TAIL_OF(n, struct tail_place, node);
            place->references++;
            places[search->count++] = place;
        }
    }
    return search;
}

/* One name of the directory. False: it has no more. */
static bool step(struct tail_search *search)
{
    const char *path = search->places[search->next - 1]->path;
    errno = 0;
    const struct dirent *entry = readdir(search->dir);
    struct tail_instance *tail = search->tail;
    if (!entry) {
        if (errno == 0) {
            search->places[search->next - 1]->listed = tail->round;
        }
        closedir(search->dir);
        search->dir = NULL;
        return false;
    }
    tail_known_meet(tail, entry->d_ino);
    if (tail->loose_inodes || may_be_moved(tail, entry->d_ino, path, entry->d_name)) {
        look_in(tail, path, entry->d_name, search->late);
    }
    return true;
}

/* The file system of a directory, or of where it would be. */
static bool device_of(const char *path, uint64_t *ret)
{
    char above[PATH_MAX];
    struct stat s;
    snprintf(above, sizeof(above), "%s", path);
    while (stat(*above ? above : "/", &s) < 0) {
        char *slash = strrchr(above, '/');
        if ((errno != ENOENT && errno != ENOTDIR) || !slash) {
            return false;
        }
        *slash = 0;
    }
    *ret = s.st_dev;
    return true;
}

static void begin_place(struct tail_search *search, struct tail_place *place)
{
    search->dir = opendir(*place->path ? place->path : "/");
    bool gone = !search->dir && (errno == ENOENT || errno == ENOTDIR);
    if (!search->dir && !gone) {
        again(search->tail, errno);
    }
    if ((search->dir || gone) && device_of(place->path, &place->dev) && gone) {
        place->listed = search->tail->round;
    }
}

bool tail_search_step(struct tail_search *search)
{
    while (search->dir || search->next < search->count) {
        if (search->dir) {
            step(search);
        } else {
            begin_place(search, search->places[search->next++]);
        }
        if (tail_hub_enough(search->tail->hub) || search->tail->crowded) {
            return false;
        }
    }
    return true;
}

void tail_search_destroy(struct tail_search *search)
{
    if (!search) {
        return;
    }
    if (search->dir) {
        closedir(search->dir);
    }
    for (size_t i = 0; i < search->count; i++) {
        tail_place_unref(search->places[i]);
    }
    free(search->places);
    free(search);
}
