/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of etcd's v3 API as its JSON gateway speaks them: keys and values in base64, 64-bit numbers as
 * strings, members that have their default left out. Requests are made, answers are read; nothing is kept.
 * Any thread. Format: etcd's rpc.proto through grpc-gateway.
 */
#ifndef ETCD_GATEWAY_H
#define ETCD_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is read and watched: a key, or all that begin with it. */
struct etcd_target {
    char *key;
    bool prefix;
};

struct etcd_kv {
    char *key, *value; /* value may hold NULs, and has one at its end; both "" where there is none */
    size_t size;       /* of the value */
    int64_t mod_revision;
};

/* What etcd held at one revision. */
struct etcd_snapshot {
    uint64_t cluster_id;
    int64_t revision;
    struct etcd_kv *kvs; /* in the order of the targets, and of the keys in a prefix; each key once */
    size_t count;
};

struct etcd_watch_message {
    int64_t revision;
    size_t events;
    bool created, canceled;
    int64_t compacted; /* the watch can't begin before this revision; 0: that is not why */
    char reason[256];  /* of cancellation, or of an error; else "" */
    bool failed;       /* the stream is over, with an error */
};

/* Bodies of requests; malloc'ed, NULL: no memory. */
char *etcd_body_read(const struct etcd_target *, size_t count, bool keys_only);
/* One stream that watches all of them, from that revision on. */
char *etcd_body_watch(const struct etcd_target *, size_t count, int64_t revision);
char *etcd_body_authenticate(const char *user, const char *password);
char *etcd_body_grant(uint64_t ttl_seconds);
char *etcd_body_keepalive(int64_t lease);
char *etcd_body_put(const char *key, const char *value, size_t size, int64_t lease);

/* Answers. 0, -ENOMEM, or -EBADMSG with what is wrong with it in *why (static). */
int etcd_take_read(const char *body, size_t size, struct etcd_snapshot *ret, const char **why);
int etcd_take_watch(const char *body, size_t size, struct etcd_watch_message *ret, const char **why);
/* *ret_token is malloc'ed. */
int etcd_take_token(const char *body, size_t size, char **ret_token, const char **why);
int etcd_take_lease(const char *body, size_t size, int64_t *ret_lease, int64_t *ret_ttl, const char **why);
/* The message of an error, "etcdserver: permission denied"; else the body's first words. */
void etcd_take_error(const char *body, size_t size, char *ret, size_t room);
/* Whether /version names a server before 3.4, whose gateway is under /v3beta. */
bool etcd_is_old(const char *body, size_t size);

void etcd_snapshot_clear(struct etcd_snapshot *);

#endif
