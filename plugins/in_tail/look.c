/* SPDX-License-Identifier: Apache-2.0 */
/* One path, compared with what is followed there. Loop thread. */
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "allow.h"
#include "dirs.h"
#include "file.h"
#include "known.h"
#include "packed.h"

enum { KEPT_DESCRIPTORS = 192 };

/*
 * Descriptors have the lowest free number, so a high one says that there are hardly any left. Those are for
 * others: whoever asks how weir is, connections of outputs, the positions.
 */
static bool is_last(int fd)
{
    struct rlimit limit; /* asked for each time: it may be lowered while weir runs */
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return false;
    }
    rlim_t kept = limit.rlim_cur / 4 < KEPT_DESCRIPTORS ? limit.rlim_cur / 4 : KEPT_DESCRIPTORS;
    return (rlim_t)fd >= limit.rlim_cur - kept;
}

/*
 * That a file was read is not noted in it, which would write its inode after each time that it was appended
 * to; only its owner may ask for that.
 */
int tail_open(struct tail_instance *tail, const char *path, int more)
{
    const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | more;
    int fd = open(path, tail->noted ? flags : flags | O_NOATIME);
    if (fd < 0 && errno == EPERM && !tail->noted) {
        tail->noted = true;
        fd = open(path, flags);
    }
    return fd;
}

int tail_open_if_spared(struct tail_instance *tail, const char *path, int more)
{
    int fd = tail_open(tail, path, more);
    if (fd >= 0 && is_last(fd)) {
        close(fd);
        errno = EMFILE;
        return -1;
    }
    return fd;
}

int tail_open_somehow(struct tail_instance *tail, const char *path, int more)
{
    int fd = tail->spare ? tail_open(tail, path, more) : tail_open_if_spared(tail, path, more), error = errno;
    tail->spare = false;
    if (fd >= 0 || (error != EMFILE && error != ENFILE) || tail->config->exit_on_eof) {
        return fd;
    }
    if (!tail->limited) {
        tail_log(
            tail, WARN,
            "no more files can be opened (%s): until weir starts again those that have nothing new may be "
            "closed until they change, as with max_open_files; raise LimitNOFILE or ulimit -n",
            strerror(error));
        tail_limit(tail);
    }
    /* one for one, and be it one of the last; and one file may always be open, or nothing would go on */
    if (tail_park_one(tail) || tail_hub_make_room(tail->hub, &tail->worker) || tail_files_open() == 0) {
        return tail_open(tail, path, more);
    }
    errno = error;
    return -1;
}

bool tail_refused(struct tail_instance *tail, int error)
{
    if (error != EMFILE && error != ENFILE) {
        return false;
    }
    tail_complain(tail, "",
                  "no more files can be opened (%s), and none has nothing new: the rest waits; raise "
                  "LimitNOFILE or ulimit -n",
                  strerror(error));
    tail->crowded = true;
    tail_retry(tail);
    return true;
}

/* False: there are no descriptors. */
static bool refused(struct tail_instance *tail, const char *path, int error)
{
    if (tail_refused(tail, error)) {
        return false;
    }
    if (error == ENOENT || error == ENOTDIR) {
        tail_calm(tail, path);
    } else if (error != ENXIO) {
        tail_complain(tail, path, "%s can't be opened: %s; it is tried again when that changes", path,
                      strerror(error));
        tail_retry_after(tail, error);
    }
    return true;
}

bool tail_has_room(struct tail_instance *tail)
{
    size_t max = (size_t)tail->config->max_open_files;
    if (max == 0 && tail->limited && tail->crowded) {
        return false;
    }
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
        counted -= file->rotated || (file->packed && tail_packed_is_held(file->packed));
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

/* What came after the start is no file that was there at the first start, whenever it is found. */
static int begin_new(struct tail_instance *tail, const char *path, int fd, const struct tail_status *status)
{
    bool starting = tail->starting;
    tail->starting = starting && status->identity.born <= tail->started;
    int r = tail_file_begin(tail, path, fd, status, true);
    tail->starting = starting;
    return r;
}

/* Opens a path that is not followed yet. False: there are no descriptors. */
static bool begin(struct tail_instance *tail, const char *path)
{
    struct tail_status status;
    int fd = tail_open_somehow(tail, path, 0);
    if (fd < 0) {
        return refused(tail, path, errno);
    }
    int r = tail_status_read(fd, &status);
    if (r < 0 || !S_ISREG(status.mode)) {
        close(fd);
        return true; /* changed since it was looked at: an event will tell */
    }
    if (!tail_allowed(tail, fd, status.system, path)) {
        close(fd);
        return true;
    }
    tail_calm(tail, path);
    struct tail_file *other = tail_file_of(tail, &status.identity);
    if (!other) {
        r = begin_new(tail, path, fd, &status);
        if (r < 0) {
            tail_retry_after(tail, -r);
        }
        return true;
    }
    close(fd);
    if (!other->named && tail_file_rename(other, path) < 0) {
        tail_retry(tail);
    } else if (strcmp(other->path, path) != 0) {
        tail_log(tail, DEBUG, "%s is %s under another name: read once", path, other->path);
    }
    return true;
}

/* Whether the path of a followed file still leads to it. */
bool tail_leads_to(const struct tail_file *file)
{
    return file->named && tail_path_leads_to(file->path, &file->identity);
}

/* The inode is followed already, under another path. Does that still hold? */
static bool followed_elsewhere(struct tail_instance *tail, const struct stat *s)
{
    struct tail_identity id = {.dev = s->st_dev, .ino = s->st_ino};
    struct tail_file *other = tail_file_of(tail, &id);
    if (other && other->named && !tail_leads_to(other)) {
        tail_file_lost(other);
    }
    return other && other->named;
}

/* Nothing is there, or nothing that can be looked at. */
static bool missing(struct tail_instance *tail, struct tail_file *file, const char *path, int error)
{
    if (file && (error == ENOENT || error == ENOTDIR || error == ELOOP)) {
        tail_file_lost(file);
    }
    return file || refused(tail, path, error);
}

static int status_of(struct tail_instance *tail, const char *path, struct stat *ret)
{
    int r = lstat(path, ret);
    if (r == 0 && S_ISLNK(ret->st_mode)) {
        tail_dirs_follow(tail, path);
        r = stat(path, ret);
    }
    return r < 0 ? errno : 0;
}

bool tail_look(struct tail_instance *tail, const char *path)
{
    struct stat s;
    char kept[PATH_MAX];
    struct tail_file *file = tail_file_at(tail, path);
    if (file && path == file->path) { /* which goes when the file is found under another one */
        snprintf(kept, sizeof(kept), "%s", path);
        path = kept;
    }
    int error = status_of(tail, path, &s);
    if (error) {
        return missing(tail, file, path, error);
    }
    if (file && s.st_ino == file->identity.ino && s.st_dev == file->identity.dev) {
        return true;
    }
    if (file) {
        tail_file_lost(file);
    }
    if (!S_ISREG(s.st_mode)) {
        if (!S_ISDIR(s.st_mode)) {
            tail_complain(tail, path, "%s is not a regular file: it is not read", path);
        }
        return true;
    }
    if (followed_elsewhere(tail, &s) || tail_known_finished(tail, s.st_dev, s.st_ino) ||
        tail_known_unchanged(tail, path, &s)) {
        return true;
    }
    return tail_has_room(tail) && begin(tail, path);
}
