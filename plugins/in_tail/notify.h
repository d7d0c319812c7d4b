/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One inotify descriptor for all who follow something on a loop. The kernel has one watch for each inode;
 * here each may have any number of subscribers, of any instance.
 */
#ifndef TAIL_NOTIFY_H
#define TAIL_NOTIFY_H

#include <stdbool.h>
#include <sys/inotify.h>
#include <weir/plugin.h>
#include "list.h"
#include "table.h"

struct tail_notify;
struct tail_watched; /* one inode */
struct tail_sub;

/*
 * Something happened to the watched inode or, where name is not NULL, to a name in the watched directory. May
 * add and remove any subscription. After IN_IGNORED nothing more will come.
 */
typedef void (*tail_event_fn)(struct tail_sub *, uint32_t events, const char *name);

/* A subscription: lies in the subscriber. Zeroed: subscribed to nothing. */
struct tail_sub {
    struct tail_link link; /* in those of the inode */
    struct tail_watched *watched;
    tail_event_fn fn;
};

struct tail_notify_owner {
    void (*begin)(void *data);    /* a batch of events is about to be given out */
    void (*overflow)(void *data); /* events were lost */
    void (*done)(void *data);     /* the batch has been given out */
    void *data;
};

/* 0 or -errno: no inotify here, or too many users of it. */
int tail_notify_create(const struct weir_host *, struct weir_loop *, const struct tail_notify_owner *,
                       struct tail_notify **ret);
/* No subscription may be left. Takes NULL. */
void tail_notify_destroy(struct tail_notify *);

/* Watches what `path` leads to; subscribed already: for more events, if that leads to the same. 0 or -errno,
 * ENOSPC where the limit of watches is reached. */
int tail_notify_add(struct tail_notify *, struct tail_sub *, const char *path, uint32_t events);
/*
 * Whether what it is subscribed to (at `path`) lies on a file system that others write to without inotify
 * here knowing. An inode stays where it is, so this is found out once, for all who subscribe. system: of
 * tail_status; 0: it is asked for.
 */
bool tail_notify_remote(const struct tail_sub *, const char *path, uint32_t system);
/* `to`, which must be subscribed to nothing, is told from now on what `from` was told, which is subscribed.
 */
void tail_notify_move(struct tail_notify *, struct tail_sub *from, struct tail_sub *to);
/* Takes one that is subscribed to nothing. */
void tail_notify_remove(struct tail_notify *, struct tail_sub *);

#endif
