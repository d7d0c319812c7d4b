/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids are what positions are kept under, so they must not depend on what else is in the set: entries that
 * name themselves, or had an id before, come first; then what is new; then what runs under the name of a
 * refused one.
 */
#include "merge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A set while it is made. */
struct merge {
    const struct etcd_keys *keys;
    const struct etcd_items *given; /* what is in force */
    struct etcd_items items;
    struct etcd_refusals refused;
};

/* The entry that has this id, or NULL. */
static const struct etcd_entry *taken_by(const struct merge *m, const char *id)
{
    const struct etcd_item *item = etcd_items_find(&m->items, id);

    return item ? item->entry : NULL;
}

/* The second name of an entry without an id: of a path that goes to several topics. */
static char *id_with_topic(const struct etcd_entry *e)
{
    char *id;

    return asprintf(&id, "%s#%s", etcd_entry_path(e), etcd_entry_topic(e)) < 0 ? NULL : id;
}

/* The id that this path and topic had last time: so it stays the same, whoever comes before it in the list.
 */
static char *id_of_before(const struct merge *m, const struct etcd_entry *e)
{
    const char *path = etcd_entry_path(e);
    const struct etcd_item *item = etcd_items_find(m->given, path);

    if (item && !etcd_entry_id(item->entry) && !strcmp(etcd_entry_topic(item->entry), etcd_entry_topic(e)))
        return strdup(path);
    char *id = m->given->count ? id_with_topic(e) : NULL;
    if (id && etcd_items_find(m->given, id))
        return id;
    free(id);
    return NULL;
}

/* Entries that name themselves, or were there before. */
static int put_known(struct merge *m, struct etcd_entry *e)
{
    const char *own = etcd_entry_id(e);
    char *id = own ? strdup(own) : id_of_before(m, e);

    if (!id)
        return own ? -ENOMEM : 0;
    if (!taken_by(m, id))
        return etcd_items_add(&m->items, id, e);
    free(id);
    return own ? etcd_refusals_add_entry(&m->refused, e, "another entry has the same id") : 0;
}

static bool was_put(const struct merge *m, const struct etcd_entry *e)
{
    const struct etcd_item *last = m->items.count ? &m->items.list[m->items.count - 1] : NULL;

    return last && last->entry == e;
}

static int put_new(struct merge *m, struct etcd_entry *e)
{
    const struct etcd_entry *first = taken_by(m, etcd_entry_path(e));
    bool twice = first && !strcmp(etcd_entry_topic(first), etcd_entry_topic(e));
    char *id = first ? id_with_topic(e) : strdup(etcd_entry_path(e));

    if (!id || (!twice && !taken_by(m, id)))
        return etcd_items_add(&m->items, id, e);
    free(id);
    return etcd_refusals_add_entry(&m->refused, e, "another entry has the same path and topic");
}

/* What runs under one of the names that this entry may have, and is not put yet; NULL: nothing. 0 or -ENOMEM.
 */
static int find_old(const struct merge *m, const struct etcd_entry *e, const struct etcd_item **ret)
{
    char *with_topic = id_with_topic(e);
    const char *const ids[] = {etcd_entry_id(e), with_topic, etcd_entry_path(e)};

    *ret = NULL;
    for (size_t i = 0; with_topic && !*ret && i < 3; i++) {
        const struct etcd_item *old =
            ids[i] && !taken_by(m, ids[i]) ? etcd_items_find(m->given, ids[i]) : NULL;
        *ret = old && !old->refused ? old : NULL;
    }
    free(with_topic);
    return with_topic ? 0 : -ENOMEM;
}

/* What runs under the name of a refused entry goes on as it is. */
static int put_old(struct merge *m, const struct etcd_entry *e)
{
    const struct etcd_item *old;
    int rc = find_old(m, e, &old);

    return rc == 0 && old ? etcd_items_add(&m->items, strdup(old->id), old->entry) : rc;
}

static int merge_entries(struct merge *m, struct etcd_entry **all, size_t count)
{
    bool *done = calloc(count + 1, sizeof(*done));
    int rc = done ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        const char *refusal = etcd_entry_refusal(all[i]);
        if (refusal)
            rc = etcd_refusals_add_entry(&m->refused, all[i], refusal);
        else
            rc = put_known(m, all[i]);
        done[i] = refusal || etcd_entry_id(all[i]) || was_put(m, all[i]);
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!done[i])
            rc = put_new(m, all[i]);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (etcd_entry_refusal(all[i]))
            rc = put_old(m, all[i]);
    free(done);
    return rc;
}

/* The entries of all keys. NULL: no memory. */
static struct etcd_entry **gather(const struct etcd_keys *keys, size_t *ret_count)
{
    size_t total = 0, count = 0;

    for (size_t i = 0; i < keys->count; i++)
        total += keys->list[i].entries.count;
    struct etcd_entry **all = calloc(total + 1, sizeof(struct etcd_entry *));
    for (size_t i = 0; all && i < keys->count; i++)
        for (size_t k = 0; k < keys->list[i].entries.count; k++)
            all[count++] = keys->list[i].entries.items[k];
    *ret_count = count;
    return all;
}

/* -- More than there may be -- */

enum { RUNS, MAY_RUN, NEW, CHOSEN };

static bool runs_as(const struct merge *m, const char *id)
{
    const struct etcd_item *item = id ? etcd_items_find(m->given, id) : NULL;

    return item && !item->refused;
}

/* Whether the entry is one of those that run, under its own name, or may be by another. */
static int rank_of(const struct merge *m, const struct etcd_entry *e, uint8_t *ret)
{
    const struct etcd_item *old = NULL;
    const char *own = etcd_entry_id(e);
    char *before = own ? NULL : id_of_before(m, e);
    bool runs = runs_as(m, own ? own : before), is_own = own && !etcd_entry_refusal(e);
    int rc = runs || is_own ? 0 : find_old(m, e, &old);

    *ret = runs ? RUNS : old ? MAY_RUN : NEW;
    free(before);
    return rc;
}

/* Puts `most` of the entries before the others: first what runs, then in their order. Both parts keep it. */
static int choose(const struct merge *m, struct etcd_entry **all, size_t total, size_t most)
{
    uint8_t *ranks = calloc(total + 1, sizeof(*ranks));
    struct etcd_entry **rest = calloc(total - most + 1, sizeof(struct etcd_entry *));
    size_t chosen = 0, count = 0;
    int rc = ranks && rest ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < total; i++)
        rc = rank_of(m, all[i], &ranks[i]);
    for (uint8_t rank = RUNS; rc == 0 && rank <= NEW; rank++)
        for (size_t i = 0; i < total && chosen < most; i++)
            if (ranks[i] == rank) {
                ranks[i] = CHOSEN;
                chosen++;
            }
    chosen = 0;
    for (size_t i = 0; rc == 0 && i < total; i++)
        *(ranks[i] == CHOSEN ? &all[chosen++] : &rest[count++]) = all[i];
    if (rc == 0)
        memcpy(all + most, rest, count * sizeof(struct etcd_entry *));
    free(ranks);
    free(rest);
    return rc;
}

static int refuse_rest(struct merge *m, struct etcd_entry **rest, size_t count)
{
    char why[64];
    int rc = 0;

    snprintf(why, sizeof(why), "there are more than max_entries (%" PRId64 ")",
             m->keys->settings->max_entries);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = etcd_refusals_add_entry(&m->refused, rest[i], why);
    return rc;
}

static int merge_keys(struct merge *m)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->keys->count; i++)
        if (m->keys->list[i].error)
            rc = etcd_refusals_add(&m->refused, m->keys->list[i].kv.key, m->keys->list[i].error);
    return rc;
}

int etcd_merge(const struct etcd_keys *keys, const struct etcd_items *given, struct etcd_items *ret_items,
               struct etcd_refusals *ret_refused)
{
    struct merge m = {.keys = keys, .given = given};
    size_t total = 0, most = (size_t)keys->settings->max_entries;
    int rc = merge_keys(&m);
    struct etcd_entry **all = gather(keys, &total);
    size_t count = total < most ? total : most;

    if (rc == 0)
        rc = !all ? -ENOMEM : total > most ? choose(&m, all, total, most) : 0;
    if (rc == 0)
        rc = etcd_items_reserve(&m.items, count);
    if (rc == 0)
        rc = merge_entries(&m, all, count);
    if (rc == 0)
        rc = refuse_rest(&m, all + count, total - count);
    free(all);
    if (rc < 0) {
        etcd_items_clear(&m.items);
        etcd_refusals_clear(&m.refused);
        return rc;
    }
    *ret_items = m.items;
    *ret_refused = m.refused;
    return 0;
}
