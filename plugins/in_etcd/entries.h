/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key's value, [{"path": "/var/log/nginx/access.log", "topic": "web_log"}, …], made into a list of entries.
 * What was written the same way before is not read again. Any thread.
 */
#ifndef ETCD_ENTRIES_H
#define ETCD_ENTRIES_H

#include "entry.h"

struct etcd_entries {
    struct etcd_entry **items;
    size_t count;
};

/* A value and what was read from it. */
struct etcd_value {
    const char *text; /* NULL: none */
    size_t size;
    const struct etcd_entries *entries;
};

/*
 * Reads a value; `before` is the last good one of the same key, whose entries are shared where they are
 * written the same. 0 with *ret (etcd_entries_clear frees it); -EINVAL: it can't be read at all, *ret_why
 * (malloc'ed) says why; -ENOMEM.
 */
int etcd_entries_read(const char *key, const char *text, size_t size, const struct etcd_rules *,
                      const struct etcd_value *before, struct etcd_entries *ret, char **ret_why);
void etcd_entries_clear(struct etcd_entries *);

#endif
