/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host is to follow: the values of its keys, read, merged and handed to weir, and what weir and we
 * refused. A key that can't be read keeps its last good value; an entry that is refused keeps what runs under
 * its id. Loop thread.
 */
#ifndef ETCD_SET_H
#define ETCD_SET_H

#include "entries.h"
#include "gateway.h"
#include "items.h"
#include "settings.h"

struct etcd_set;

struct etcd_change {
    const char *action; /* "add", "change", "remove" */
    const char *id;
    const struct etcd_entry *entry; /* of a removed one: as it was */
    int64_t revision;
};

struct etcd_listener {
    /* One for each difference, once weir has applied it. Or NULL. */
    void (*change)(void *data, const struct etcd_change *);
    /* All of a revision is applied. */
    void (*applied)(void *data);
    void *data;
};

/* NULL: no memory. */
struct etcd_set *etcd_set_create(const struct weir_host *, struct weir_instance *,
                                 const struct etcd_settings *, const struct etcd_listener *);
void etcd_set_destroy(struct etcd_set *); /* takes NULL */

/* This is what etcd holds now. Copied. *ret_news: it is not what was taken before. 0 or -ENOMEM: it stays as
 * it was. */
int etcd_set_take(struct etcd_set *, const struct etcd_snapshot *, bool *ret_news);

/* Whether some of what was taken is to be given to weir once more, by the next etcd_set_take: weir refused
 * it, for what may change by itself, or there was no memory for it. */
bool etcd_set_wants_again(const struct etcd_set *);
/* The last revision that was applied; 0: none. */
int64_t etcd_set_applied(const struct etcd_set *);
/* How many inputs are wanted and not refused. */
size_t etcd_set_count(const struct etcd_set *);
/* All that is refused; valid until the set is given something, or the loop is returned to. */
const struct etcd_refused *etcd_set_refused(const struct etcd_set *, size_t *ret_count);
/* The good values in force, for keeping: key, value, size. Returns the number; *ret is valid as above. */
const struct etcd_kv *etcd_set_values(struct etcd_set *, size_t *ret_count);

#endif
