/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropping the positions of files that are long gone. When a file was first missed stands beside its
 * position, so that restarts do not begin the time anew. Loop thread.
 */
#include "prune.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "hub.h"
#include "known.h"

static const uint64_t INTERVAL = 6 * 3600; /* s */
static const uint64_t SECOND = 1000000000; /* ns */

struct tail_prune {
    struct tail_instance *tail;
    uint64_t now, after; /* s */
    size_t bucket;
    bool buried; /* which table */
    uint64_t dropped;
};

struct tail_prune *tail_prune_begin(struct tail_instance *tail)
{
    const uint64_t now = tail_clock(), after = tail->config->forget_after / SECOND;
    bool due = !tail->pruned || now < tail->pruned || now - tail->pruned >= INTERVAL;
    struct tail_prune *prune = due && tail->config->forget_after ? calloc(1, sizeof(*prune)) : NULL;
    if (prune) {
        *prune = (struct tail_prune){.tail = tail, .now = now, .after = after};
        tail->pruned = now;
    }
    return prune;
}

void tail_prune_destroy(struct tail_prune *prune)
{
    free(prune);
}

static bool is_device(const struct tail_instance *tail, uint64_t was, uint64_t now)
{
    return was == now || (was == tail->dev_before && now == tail->dev_now);
}

/* Through links, too: then its inode is not in the directory. One that leads nowhere tells nothing. */
static bool may_be_at_its_path(const struct tail_known *known)
{
    struct stat s;
    char path[PATH_MAX];
    tail_known_path(known, path);
    if (stat(path, &s) == 0) {
        return s.st_ino == known->identity.ino;
    }
    return lstat(path, &s) == 0;
}

enum sight { SEEN, UNSEEN, MISSED };

static enum sight look_for(const struct tail_instance *tail, const struct tail_known *known)
{
    if (known->gone) {
        return MISSED;
    }
    if (known->met == tail->round) {
        return SEEN;
    }
    if (known->place->listed != tail->round || !is_device(tail, known->identity.dev, known->place->dev)) {
        return UNSEEN;
    }
    return may_be_at_its_path(known) ? SEEN : MISSED;
}

static void set_missing(struct tail_instance *tail, struct tail_known *known, uint64_t missing)
{
    if (known->missing != missing) {
        known->missing = missing;
        tail_known_save(tail, known);
    }
}

static void consider(struct tail_prune *prune, struct tail_known *known)
{
    if (known->held) {
        return;
    }
    enum sight sight = look_for(prune->tail, known);
    if (sight == SEEN) {
        set_missing(prune->tail, known, 0);
    } else if (sight == MISSED && (!known->missing || known->missing > prune->now)) {
        set_missing(prune->tail, known, prune->now); /* or the clock was wrong */
    } else if (sight == MISSED && prune->now - known->missing >= prune->after) {
        tail_known_forget(prune->tail, known);
        prune->dropped++;
    }
}

/* One bucket. False: there is none left. */
static bool step(struct tail_prune *prune)
{
    struct tail_table *table = prune->buried ? &prune->tail->buried : &prune->tail->known;
    if (prune->bucket >= tail_table_size(table)) {
        bool last = prune->buried;
        prune->buried = true;
        prune->bucket = 0;
        return !last;
    }
    for (struct tail_table_node *n = tail_table_bucket(table, prune->bucket++), *next; n; n = next) {
        next = n->next;
        consider(prune, TAIL_OF(n, struct tail_known, node));
    }
    return true;
}

bool tail_prune_step(struct tail_prune *prune)
{
    while (step(prune)) {
        if (tail_hub_enough(prune->tail->hub)) {
            return false;
        }
    }
    if (prune->dropped) {
        tail_log(prune->tail, INFO, "the positions of %" PRIu64 " files that are long gone were dropped",
                 prune->dropped);
    }
    return true;
}
