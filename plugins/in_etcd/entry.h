/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry of a key's value, {"path": "/var/log/nginx/access.log", "topic": "web_log"}, judged by itself.
 * There may be ten thousand, so each is one piece of memory. Any thread, one at a time.
 */
#ifndef ETCD_ENTRY_H
#define ETCD_ENTRY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>
#include "form.h"

enum { ETCD_MOST_SETTINGS = 64 };

struct etcd_entry {
    const struct etcd_form *form;
    unsigned references;
    uint32_t number;            /* its place in the key's list, counted from 1 */
    uint32_t id_at, refusal_at; /* in text; 0: none */
    char text[];                /* the path; then the id, why it is refused */
};

struct etcd_rules {
    const struct weir_list *allow_path;
    const char *tag; /* of entries without one */
};

/* What an entry is made in; used for one after the other. Zeroed: empty. */
struct etcd_draft {
    char *text;
    size_t size, room;
    uint32_t count;
    bool no_memory;
    char *refusal;
};
void etcd_draft_finish(struct etcd_draft *);

/* Good or refused, with one reference; NULL: no memory. */
struct etcd_entry *etcd_entry_read(struct etcd_draft *, const char *key, size_t number, json_t *,
                                   const struct etcd_rules *);
struct etcd_entry *etcd_entry_ref(struct etcd_entry *);
void etcd_entry_unref(struct etcd_entry *); /* takes NULL */

/* What is written as "id", or NULL. */
static inline const char *etcd_entry_id(const struct etcd_entry *e)
{
    return e->id_at ? e->text + e->id_at : NULL;
}

/* Several paths: with commas between; "" where a refused one has none. */
static inline const char *etcd_entry_path(const struct etcd_entry *e)
{
    return e->text;
}

static inline const char *etcd_entry_topic(const struct etcd_entry *e) /* may be "" */
{
    return e->form->text + e->form->topic_at;
}

/* Why not; NULL: it is good. */
static inline const char *etcd_entry_refusal(const struct etcd_entry *e)
{
    return e->refusal_at ? e->text + e->refusal_at : NULL;
}

static inline const char *etcd_entry_key(const struct etcd_entry *e)
{
    return e->form->text;
}

/* How many settings, at most ETCD_MOST_SETTINGS. */
static inline size_t etcd_entry_count(const struct etcd_entry *e)
{
    return e->form->count;
}

/* Without allow_path. Returns how many; the texts are the entry's. */
size_t etcd_entry_settings(const struct etcd_entry *, struct weir_setting *ret);
/* "logAgentConf[3]". Returns its length; ret has room for etcd_entry_origin_room. */
size_t etcd_entry_origin(const struct etcd_entry *, char *ret);
size_t etcd_entry_origin_room(const struct etcd_entry *);
/* Whether both say the same. */
bool etcd_entry_same(const struct etcd_entry *, const struct etcd_entry *);

#endif
