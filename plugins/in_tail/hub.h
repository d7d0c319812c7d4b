/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all tail instances of one loop share: the inotify descriptor, the watched directories, the read
 * buffer, and the turn of those that have work. Made by the first instance that starts on the loop, gone with
 * the last that stops.
 */
#ifndef TAIL_HUB_H
#define TAIL_HUB_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/plugin.h>
#include "lines.h"
#include "list.h"
#include "notify.h"

struct tail_hub;
struct tail_dirs;
struct tail_batch;

enum { TAIL_TURN = 8 << 10 }; /* a turn is never free, and costs as much as reading so many bytes */

/* One that takes turns; lies in the instance. */
struct tail_worker {
    struct tail_link queued;   /* in the hub's queue, or in no list */
    struct tail_link scanning; /* in the hub's list of those with something to look for */
    struct tail_link member;   /* of those with the same interval */
};

/* What all of them do. */
struct tail_worker_kind {
    /* Does a slice of the work and returns what it cost in bytes; *ret_more: whether some is left. */
    size_t (*work)(struct tail_worker *, bool *ret_more);
    /* Looks for files until tail_hub_enough. Returns whether it is to go on. */
    bool (*scan)(struct tail_worker *);
    /* Events were lost: everything must be looked at. */
    void (*overflow)(struct tail_worker *);
    /* The interval has gone by again. Must not leave the hub. */
    void (*refresh)(struct tail_worker *);
    /* Another has no descriptor for a file: closes one that has nothing new. False: there is none. */
    bool (*give_way)(struct tail_worker *);
    /* There are no more watches: gives up those that it can do without. False: there is none. */
    bool (*spare)(struct tail_worker *);
};

/*
 * Joins the loop's hub. Every `interval` ns, on a grid, `refresh` is called, for all who have the same one by
 * one timer: weir wakes once. 0: never. 0 or -ENOMEM.
 */
int tail_hub_join(const struct weir_host *, struct weir_loop *, const struct tail_worker_kind *,
                  struct tail_worker *, uint64_t interval, struct tail_hub **ret);
/* What is posted for the hub may come later than this; its memory waits for that. */
void tail_hub_leave(struct tail_hub *, struct tail_worker *);

/* Gives the worker a turn, soon. Queued already: nothing. */
void tail_hub_queue(struct tail_hub *, struct tail_worker *);
/* The same for looking, which is done in slices of half a millisecond, when those that read had their turn.
 */
void tail_hub_scan(struct tail_hub *, struct tail_worker *);
/* One of the others gives way, in turn. False: none can. */
bool tail_hub_make_room(struct tail_hub *, const struct tail_worker *);
/* Begins a slice of so many nanoseconds. */
void tail_hub_slice(struct tail_hub *, uint64_t length);
/* Whether the slice is over: the rest waits, so that nobody on the loop is held up. */
bool tail_hub_enough(const struct tail_hub *);

/* NULL and *ret_error (an errno) where this loop has no inotify, until the next refresh; *ret_first: the
 * first who asked in that case. */
struct tail_notify *tail_hub_notify(struct tail_hub *, int *ret_error, bool *ret_first);
/* Whether this is the first time that the watch limit is met on this loop: one warning is enough. */
bool tail_hub_first_limit(struct tail_hub *);

/* No watch is left. The first time: all give up those that they can do without. False: nothing came of it. */
bool tail_hub_spare_watches(struct tail_hub *);
/* Whether that is so: only what is needed may be watched. */
bool tail_hub_is_sparing(const struct tail_hub *);

/* The read buffer, at least `size` bytes. Its content is lost by the next call. NULL: no memory. */
uint8_t *tail_hub_buffer(struct tail_hub *, size_t size);
/* Gives back what is far above `usual`. */
void tail_hub_trim(struct tail_hub *, size_t usual);
/* The watched directories of the loop. NULL: no memory. */
struct tail_dirs *tail_hub_dirs(struct tail_hub *);
/* The chunk that files share, of the instance that has its turn. */
struct tail_batch *tail_hub_batch(struct tail_hub *);
/* Scratch for the prefix of the records of one read. */
struct tail_prefix *tail_hub_prefix(struct tail_hub *);

#endif
