/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key's value, [{"path": "/var/log/nginx/access.log", "topic": "web_log"}, …], made into what weir is to
 * follow. Each entry is judged by itself. Any thread.
 */
#ifndef ETCD_ENTRIES_H
#define ETCD_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <weir/plugin.h>

struct etcd_entry {
    unsigned references;
    char *origin;                  /* "logAgentConf[3]" */
    char *id;                      /* what is written as "id", or NULL */
    char *path, *topic;            /* several paths: with commas between; topic may be "" */
    struct weir_setting *settings; /* names and values are the entry's own; without allow_path */
    size_t count;
    char *refusal; /* why not; NULL: it is good */
};

struct etcd_entries {
    struct etcd_entry **items;
    size_t count;
};

struct etcd_rules {
    const struct weir_list *allow_path;
    const char *tag; /* of entries without one */
};

/*
 * Reads a value. 0 with *ret (etcd_entries_clear frees it); -EINVAL: it can't be read at all, *ret_why
 * (malloc'ed) says why; -ENOMEM.
 */
int etcd_entries_read(const char *key, const char *value, size_t size, const struct etcd_rules *,
                      struct etcd_entries *ret, char **ret_why);
void etcd_entries_clear(struct etcd_entries *);

struct etcd_entry *etcd_entry_ref(struct etcd_entry *);
void etcd_entry_unref(struct etcd_entry *); /* takes NULL */
/* Whether both say the same. */
bool etcd_entry_same(const struct etcd_entry *, const struct etcd_entry *);

#endif
