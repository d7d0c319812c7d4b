/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files there are to follow: one path compared with what is followed there, the walk through the
 * patterns, the search after a restart, and polling. Loop thread.
 */
#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "allow.h"
#include "dirs.h"
#include "file.h"
#include "known.h"

/* -- One path
 * ------------------------------------------------------------------------------------------------ */

static void refused(struct tail_instance *tail, const char *path, int error)
{
    if (error == EMFILE || error == ENFILE) {
        tail_complain(tail, "",
                      "no more files can be opened (%s): the rest waits; raise LimitNOFILE or ulimit -n",
                      strerror(error));
        tail_retry(tail);
    } else if (error != ENOENT && error != ENOTDIR && error != ENXIO) {
        tail_complain(tail, path, "%s can't be opened: %s; it is tried again when that changes", path,
                      strerror(error));
        if (error != EACCES && error != EPERM) {
            tail_retry(tail); /* of permissions an event tells */
        }
    }
}

/*
 * Whether one more file may be open. Where max_open_files is reached, one that has nothing new makes room;
 * where all have, this one waits until those are through. Rotated ones are kept beyond the limit.
 */
static bool has_room(struct tail_instance *tail)
{
    size_t max = (size_t)tail->config->max_open_files;
    if (max == 0 || tail->open_count < max || tail->config->exit_on_eof) {
        return true;
    }
    if (tail->crowded) {
        return false; /* known already; looking through all that are open for each that is not would take long
                       */
    }
    size_t counted = tail->open_count;
    for (struct tail_link *l = tail->files.next, *next; l != &tail->files; l = next) {
        struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        next = l->next;
        counted -= file->rotated;
        if (counted < max || tail_file_park(file)) {
            return true;
        }
    }
    tail->crowded = true;
    if (tail_list_empty(&tail->ready)) {
        tail_retry(tail); /* all have just changed: their events are about to come */
    }
    return false;
}

/* Opens a path that is not followed yet. */
static void begin(struct tail_instance *tail, const char *path)
{
    struct tail_status status;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        refused(tail, path, errno);
        return;
    }
    int r = tail_status_read(fd, &status);
    if (r < 0 || !S_ISREG(status.mode)) {
        close(fd);
        return; /* changed since it was looked at: an event will tell */
    }
    if (!tail_allowed(tail, fd, path)) {
        close(fd);
        return;
    }
    tail_calm(tail, path);
    struct tail_file *other = tail_file_of(tail, &status.identity);
    if (!other) {
        if (tail_file_begin(tail, path, fd, &status, true) < 0) {
            tail_retry(tail);
        }
        return;
    }
    close(fd);
    if (!other->named && tail_file_rename(other, path) < 0) {
        tail_retry(tail);
    } else if (strcmp(other->path, path) != 0) {
        tail_log(tail, DEBUG, "%s is %s under another name: read once", path, other->path);
    }
}

/* Whether the path of a followed file still leads to it. */
static bool leads_to(const struct tail_file *file)
{
    struct stat s;
    return file->named && stat(file->path, &s) == 0 && s.st_ino == file->identity.ino &&
           s.st_dev == file->identity.dev;
}

/* The inode is followed already, under another path. Does that still hold? */
static bool followed_elsewhere(struct tail_instance *tail, const struct stat *s)
{
    struct tail_identity id = {.dev = s->st_dev, .ino = s->st_ino};
    struct tail_file *other = tail_file_of(tail, &id);
    if (other && other->named && !leads_to(other)) {
        tail_file_lost(other);
    }
    return other && other->named;
}

void tail_look(struct tail_instance *tail, const char *path)
{
    struct stat s, l;
    struct tail_file *file = tail_file_at(tail, path);
    if (lstat(path, &l) == 0 && S_ISLNK(l.st_mode)) {
        tail_dirs_follow(tail, path);
    }
    if (stat(path, &s) < 0) {
        int error = errno;
        if (file && (error == ENOENT || error == ENOTDIR || error == ELOOP)) {
            tail_file_lost(file);
        } else if (!file) {
            refused(tail, path, error);
        }
        return;
    }
    if (file && s.st_ino == file->identity.ino && s.st_dev == file->identity.dev) {
        return;
    }
    if (file) {
        tail_file_lost(file);
    }
    if (!S_ISREG(s.st_mode)) {
        if (!S_ISDIR(s.st_mode)) {
            tail_complain(tail, path, "%s is not a regular file: it is not read", path);
        }
    } else if (!followed_elsewhere(tail, &s) && !tail_known_finished(tail, s.st_dev, s.st_ino) &&
               !tail_known_unchanged(tail, path, &s) && has_room(tail)) {
        begin(tail, path);
    }
}

/* -- The walk -----------------------------------------------------------------------------------------------
 */

static void walk_directory(void *data, const char *path, int need)
{
    tail_dirs_need(data, path, need);
}

static void walk_file(void *data, const char *path, uint64_t ino, unsigned char type)
{
    struct tail_instance *tail = data;
    struct tail_file *file = tail_file_at(tail, path);
    if (file) {
        file->generation = tail->generation;
    }
    if (!file || type != DT_REG || file->identity.ino != ino) {
        tail_look(tail, path);
    }
}

static void walk_unreadable(void *data, const char *path, int error)
{
    struct tail_instance *tail = data;
    tail_complain(tail, path, "the directory %s can't be read: %s", path, strerror(error));
    if (error != EACCES && error != EPERM) {
        tail_retry(tail);
    }
}

static void sweep_files(struct tail_instance *tail)
{
    for (struct tail_link *l = tail->files.next; l != &tail->files; l = l->next) {
        struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        if (file->named && file->generation != tail->generation) {
            file->generation = tail->generation;
            tail_look(tail, file->path);
        }
    }
}

void tail_walk(struct tail_instance *tail)
{
    struct tail_glob_visitor visitor = {walk_directory, walk_file, walk_unreadable, tail};
    tail->rescan = false;
    tail->generation++;
    tail_glob_walk(tail->glob, &visitor);
    sweep_files(tail);
    tail_dirs_sweep(tail);
}

/* -- After a restart
 * ------------------------------------------------------------------------------------------ */

static void search_found(struct tail_instance *tail, const char *path, int fd)
{
    struct tail_status status;
    if (tail_status_read(fd, &status) < 0 || !S_ISREG(status.mode) || tail_file_of(tail, &status.identity)) {
        close(fd);
        return;
    }
    if (tail_known_moved(tail, fd, &status, path)) {
        if (tail->searching_late) {
            tail->host->metric_add(tail->numbers.late, 1);
            tail_log(tail, WARN,
                     "%s was rotated and is still written to after rotate_wait: it is read after all", path);
        } else {
            tail_log(tail, INFO, "%s was renamed while nobody looked: what is left of it is read", path);
        }
        tail_file_begin(tail, path, fd, &status, false);
    } else {
        close(fd);
    }
}

void tail_search(struct tail_instance *tail, bool late)
{
    tail->searching_late = late;
    tail_known_search(tail, search_found);
}

/* -- Polling
 * ---------------------------------------------------------------------------------------------------- */

static void poll_file(struct tail_file *file)
{
    struct stat s;
    if (file->named && !leads_to(file)) {
        tail_look(file->tail, file->path);
    }
    if (fstat(file->fd, &s) == 0) {
        uint64_t changed = (uint64_t)s.st_mtim.tv_sec * 1000000000u + (uint64_t)s.st_mtim.tv_nsec;
        if ((uint64_t)s.st_size != file->size || changed != file->changed) {
            tail_file_wake(file);
        }
    }
}

static void look_at_parked(struct tail_instance *tail, const char *path)
{
    tail_look(tail, path);
    tail->research = true;
    tail_wake(tail);
}

void tail_poll_all(struct tail_instance *tail)
{
    tail_dirs_poll(tail);
    tail_known_poll(tail, look_at_parked);
    for (struct tail_link *l = tail->files.next; l != &tail->files; l = l->next) {
        struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        if (file->polled) {
            poll_file(file);
        }
    }
}
