/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of follow share: one session at a time with one endpoint.
 *   follow.c        the session: /version, authentication, its end and the next one
 *   follow_read.c   what is read: all keys in one transaction; pings
 *   follow_watch.c  one stream for all keys
 * Loop thread.
 */
#ifndef ETCD_FOLLOW_PRIVATE_H
#define ETCD_FOLLOW_PRIVATE_H

#include "follow.h"
#include "frames.h"

struct etcd_follow {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct etcd_settings *settings;
    struct etcd_http *http;
    struct etcd_follower to;

    /* for ever */
    size_t endpoint;
    unsigned failures; /* in a row */
    uint64_t logged;   /* when the last failure was; 0: none since it went well */
    uint64_t cluster_id;
    int64_t revision;
    int64_t asked; /* the revision that was known when the read under way was asked for */
    char *ip;
    const char *api; /* "/v3" */
    struct etcd_target *targets;
    size_t target_count;
    uint64_t random;

    /* of the session */
    char *token;
    bool renewed;                       /* it was refused, and another asked for: that one must do */
    void (*then)(struct etcd_follow *); /* with the token that is asked for */
    struct etcd_request *step;          /* version, authenticate, read or ping: one at a time */
    struct etcd_request *watch;
    struct etcd_frames frames;
    struct etcd_kv *known; /* without values */
    size_t known_count;
    int64_t known_revision;
    size_t created; /* watches that are confirmed */
    bool dirty;     /* read again as soon as the step is over */
    bool ping_due;
    bool connected;
    struct weir_timer *retry, *ping, *resync, *confirm;
    uint64_t again; /* ns: the next resync is that soon; 0: as usual */
};

/* -- follow.c -- */

/* Ends the session, says why, and lets the next one begin with the next endpoint, a while later. */
void etcd_follow_fail(struct etcd_follow *, const char *format, ...) WEIR_PRINTF(2, 3);
const char *etcd_follow_endpoint(const struct etcd_follow *);
/* The body is freed. NULL: no memory. */
struct etcd_request *etcd_follow_request(struct etcd_follow *, const char *path, char *body, etcd_answer_fn,
                                         etcd_piece_fn, void *data);
/* The same as the step under way; without memory the session fails. */
void etcd_follow_step(struct etcd_follow *, const char *path, char *body, etcd_answer_fn);
/* Whether the answer is one to read on; else the session is over. */
bool etcd_follow_good(struct etcd_follow *, const struct etcd_answer *, const char *what);

/* Asks for a token where there is a user, as the step; then calls `then`. */
void etcd_follow_authenticate(struct etcd_follow *, void (*then)(struct etcd_follow *));

/* -- follow_read.c -- */

void etcd_follow_read(struct etcd_follow *); /* all keys, as the step */
/* Of what waits, begins what is to be done now. */
void etcd_follow_next(struct etcd_follow *);
void etcd_follow_forget(struct etcd_follow *); /* what was read in the session */
/* Timers. */
void etcd_follow_ping(void *follow);
void etcd_follow_resync(void *follow);
void etcd_follow_arm_resync(struct etcd_follow *);

/* -- follow_watch.c -- */

void etcd_follow_watch(struct etcd_follow *); /* from behind what was read */
void etcd_follow_unconfirmed(void *follow);   /* a timer */

#endif
