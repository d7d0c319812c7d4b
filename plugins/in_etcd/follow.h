/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows a few keys of etcd and tells what they hold, each time that changes, for as long as it takes: reads
 * all at one revision, watches from the next one on, and trusts neither the watch nor the member that it
 * talks to. Values may be told more than once. Loop thread.
 */
#ifndef ETCD_FOLLOW_H
#define ETCD_FOLLOW_H

#include "gateway.h"
#include "http.h"

struct etcd_follow;

struct etcd_follower {
    /* The newest that is known. It may be older than the last one, where etcd went back. */
    void (*snapshot)(void *data, const struct etcd_snapshot *);
    /* The connection was made (why NULL), or lost, or could not be made: every endpoint's failure is told. */
    void (*connection)(void *data, const char *why);
    void *data;
};

/* NULL: no memory. */
struct etcd_follow *etcd_follow_create(const struct weir_host *, struct weir_instance *,
                                       const struct etcd_settings *, struct etcd_http *,
                                       const struct etcd_follower *);
/* 0 or -ENOMEM. */
int etcd_follow_start(struct etcd_follow *);
void etcd_follow_stop(struct etcd_follow *);
void etcd_follow_destroy(struct etcd_follow *); /* takes NULL */

/* All of the newest revision was read and the watch stands. */
bool etcd_follow_connected(const struct etcd_follow *);
/* The newest revision that etcd was heard of; 0: none yet. */
int64_t etcd_follow_revision(const struct etcd_follow *);

/* Reads everything again after that time, where that is sooner than resync_interval: what could not be used
 * now may be then. */
void etcd_follow_again(struct etcd_follow *, uint64_t ns);

/* Asks at once what is asked each ping_interval: which also gets a new token, where this one has run out. */
void etcd_follow_check(struct etcd_follow *);
/* Whether it waits for an answer, other than the watch's: behind that there may be another token. */
bool etcd_follow_asks(const struct etcd_follow *);

/*
 * Another request to the same endpoint with the same token; `path` as in "/kv/put", the body is freed. NULL
 * while there is no connection or no memory. It may outlive the session, and is cancelled at etcd_http_stop
 * only.
 */
struct etcd_request *etcd_follow_ask(struct etcd_follow *, const char *path, char *body, etcd_answer_fn,
                                     void *data);
/* The names of the keys with ${ip} and ${hostname} replaced; NULL before the first connection. */
const struct etcd_target *etcd_follow_targets(const struct etcd_follow *, size_t *ret_count);
/* `name` with the same replaced; malloc'ed. NULL: no memory. */
char *etcd_follow_resolve(const struct etcd_follow *, const char *name);

#endif
