/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Followed paths that are links: they change also when something happens where they lead, so those
 * directories are needed, too. Owns what it notes of them. Loop thread.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "dirs_private.h"
#include "file.h"
#include "scan.h"

enum { LINKS_MAX = 16 };

/* A followed path that is a link; its target (or the next link) is `name` in the directory of the need. */
struct tail_link_to {
    struct tail_link_to *next;
    uint32_t generation;
    char *name;
    char path[];
};

void tail_links_look(struct tail_need *need, const char *name, bool modified)
{
    struct tail_instance *tail = need->tail;
    for (struct tail_link_to *link = need->links, *next; link; link = next) {
        next = link->next;
        if (strcmp(link->name, name) == 0 && !(modified && tail_file_at(tail, link->path))) {
            tail->rescan |= !tail_look(tail, link->path);
        }
    }
}

void tail_links_sweep(struct tail_need *need, bool all)
{
    for (struct tail_link_to **at = &need->links, *link; (link = *at);) {
        if (!all && link->generation == need->tail->generation) {
            at = &link->next;
            continue;
        }
        *at = link->next;
        free(link->name);
        free(link);
    }
}

static void note(struct tail_instance *tail, const char *path, const char *dir, const char *name)
{
    struct tail_need *need = tail_need_any(tail, dir);
    struct tail_link_to **at = need ? &need->links : NULL;
    if (!need) {
        return;
    }
    for (; *at; at = &(*at)->next) {
        if (strcmp((*at)->path, path) == 0 && strcmp((*at)->name, name) == 0) {
            (*at)->generation = tail->generation;
            return;
        }
    }
    struct tail_link_to *link = calloc(1, sizeof(*link) + strlen(path) + 1);
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
    *at = link;
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
        note(tail, path, slash == target ? "/" : target, slash + 1);
    }
}
