/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of an open file: found again under another one, lost, rotated. Owns the table of paths. Loop
 * thread.
 */
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "scan.h"

static uint64_t path_hash(const char *path)
{
    return tail_hash(path, strlen(path));
}

struct tail_file *tail_file_at(const struct tail_instance *tail, const char *path)
{
    struct tail_table_node *node = tail_table_first(&tail->by_path, path_hash(path));
    for (; node; node = tail_table_next(node)) {
        struct tail_file *file = TAIL_OF(node, struct tail_file, by_path);
        if (strcmp(file->path, path) == 0) {
            return file;
        }
    }
    return NULL;
}

void tail_file_free_path(struct tail_file *file)
{
    if (file->own_path) {
        free((char *)file->path);
    }
    file->path = NULL;
    file->own_path = false;
}

int tail_file_set_path(struct tail_file *file, const char *path, bool named)
{
    struct tail_instance *tail = file->tail;
    char *copy = NULL;
    if (tail_glob_is_one(tail->glob) && strcmp(path, tail_glob_first(tail->glob)) == 0) {
        path = tail_glob_first(tail->glob); /* most often, where there are thousands of inputs */
    } else if (!(path = copy = strdup(path))) {
        return -ENOMEM;
    }
    if (file->named) {
        tail_table_remove(&tail->by_path, &file->by_path);
        file->named = false;
    }
    tail_file_free_path(file);
    file->own_path = copy != NULL;
    file->path = path;
    if (named && tail_table_add(&tail->by_path, &file->by_path, path_hash(path)) < 0) {
        return -ENOMEM;
    }
    file->named = named;
    return 0;
}

static void rotate(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    if (!file->rotated) {
        file->rotated = true;
        tail_count(tail, TAIL_ROTATED, 1);
        WEIR_KILL_POINT("tail-rotated");
    }
    tail_file_wait_no_more(file);
    tail_file_wake(file);
}

/* The name that the kernel knows for the open file now. False: it has none any more (or it can't be told). */
static bool current_name(const struct tail_file *file, char *ret, size_t size)
{
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file->fd);
    ssize_t n = readlink(link, ret, size - 1);
    if (n <= 0) {
        return false;
    }
    ret[n] = 0;
    static const char deleted[] = " (deleted)";
    const size_t tail_size = sizeof(deleted) - 1;
    return ret[0] == '/' && ((size_t)n < tail_size || strcmp(ret + n - tail_size, deleted) != 0);
}

/* The kernel says that the file, which no followed path leads to, has this name. */
static void moved_to(struct tail_file *file, const char *path)
{
    if (tail_glob_match(file->tail->glob, path) & TAIL_IS_FILE) {
        file->tail->rescan |= !tail_look(file->tail, path);
    } else if (tail_file_set_path(file, path, false) == 0) {
        tail_file_save(file);
    }
}

/* It may have names that nobody told of, besides `known` ones: hard links, under which it is no rotated file.
 */
static void look_for_names(struct tail_file *file, uint64_t known)
{
    struct tail_status status;
    file->linked = tail_status_read(file->fd, &status) == 0 && status.links > known;
    if (file->linked) {
        tail_rescan(file->tail);
    }
}

void tail_file_lost(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    char now[PATH_MAX + 16], was[PATH_MAX];
    if (!file->named) {
        return;
    }
    snprintf(was, sizeof(was), "%s", file->path);
    free(file->before);
    file->before = strdup(was);
    tail_table_remove(&tail->by_path, &file->by_path);
    file->named = false;
    rotate(file);
    if (!current_name(file, now, sizeof(now))) {
        tail_log(tail, INFO, "%s was removed: it is read to its end", was);
        look_for_names(file, 0);
        return;
    }
    file->linked = false;
    if (strcmp(now, was) == 0) {
        tail_log(tail, INFO, "%s is no longer to be reached: it is read to its end", was);
    } else {
        tail_log(tail, INFO, "%s is now %s: it is read to its end", was, now);
        look_for_names(file, 1);
        moved_to(file, now);
    }
}

void tail_file_look(struct tail_file *file)
{
    char now[PATH_MAX + 16];
    if (file->named) {
        file->tail->rescan |= !tail_look(file->tail, file->path);
    } else if (current_name(file, now, sizeof(now)) && strcmp(now, file->path) != 0) {
        moved_to(file, now);
    }
}

void tail_file_note_name(struct tail_file *file)
{
    char now[PATH_MAX + 16];
    if (!current_name(file, now, sizeof(now)) || strcmp(now, file->path) == 0) {
        return;
    }
    if (!tail_leads_to(file) && tail_file_set_path(file, now, false) == 0) {
        tail_file_save(file);
    }
}

int tail_file_rename(struct tail_file *file, const char *path)
{
    struct tail_instance *tail = file->tail;
    /* A link's target that was found under its real name first was never rotated. */
    bool back =
        !file->named && (strcmp(file->path, path) == 0 || (file->before && strcmp(file->before, path) == 0));
    if (!back) {
        tail_log(tail, INFO, "%s is now %s: it is followed under that name", file->path, path);
    }
    int r = tail_file_set_path(file, path, true);
    if (r < 0) {
        return r;
    }
    tail_file_save(file);
    if (back || file->linked) {
        file->rotated = false;
        tail_file_wait_no_more(file);
    } else {
        rotate(file);
    }
    return 0;
}
