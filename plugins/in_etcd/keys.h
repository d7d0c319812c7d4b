/* SPDX-License-Identifier: Apache-2.0 */
/* The keys with their last good values and the entries in them. Any thread, one at a time. */
#ifndef ETCD_KEYS_H
#define ETCD_KEYS_H

#include "entries.h"
#include "gateway.h"
#include "settings.h"

struct etcd_key {
    struct etcd_kv kv; /* the last good value; NULL: there was none */
    struct etcd_entries entries;
    char *error; /* why the newest value is not the one in force; NULL: it is */
    char *bad;   /* that value */
    size_t bad_size;
    bool seen;
};

struct etcd_keys {
    const struct etcd_settings *settings;
    const char *tag; /* of entries without one */
    struct etcd_key *list;
    size_t count, room;
    bool changed;           /* since someone set it to false */
    struct etcd_kv *values; /* borrowed from the list */
};

/* This is what etcd holds now. 0 or -ENOMEM: some of it is taken. */
int etcd_keys_take(struct etcd_keys *, const struct etcd_snapshot *);
/* The good values in force; *ret_count of them, valid until the keys change. */
const struct etcd_kv *etcd_keys_values(struct etcd_keys *, size_t *ret_count);
void etcd_keys_clear(struct etcd_keys *);

#endif
