/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three lists: the keys with the entries of their last good values; the items, which is the set as it was
 * given to weir; and what was refused. One request to weir is under way at a time; what comes meanwhile is
 * merged into the next one. Loop thread.
 */
#include "set.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SHOWN 20 /* refusals in the log at a time */

struct key {
    struct etcd_kv kv; /* the last good value */
    struct etcd_entries entries;
    char *error; /* why the newest value is not the one in force */
    char *bad;   /* that value */
    size_t bad_size;
    bool seen;
};

/* One input. */
struct item {
    char *id;
    struct etcd_entry *entry;
    bool refused; /* by weir */
};

struct items {
    struct item *list;
    size_t count;
};

struct refusals {
    struct etcd_refused *list; /* both texts are owned */
    size_t count;
};

struct etcd_set {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct etcd_settings *settings;
    struct etcd_listener to;
    struct key *keys;
    size_t key_count;
    struct etcd_kv *values; /* of keys, borrowed */
    int64_t revision, applied;
    bool changed;        /* a value is another one than when the set was last given */
    struct items given;  /* sorted by id */
    struct items giving; /* under way */
    struct refusals refused, refusing;
    int64_t giving_revision;
    bool under_way, again;
};

/* -- Lists ------------------------------------------------------------------------------------------ */

static void items_clear(struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free(items->list[i].id);
        etcd_entry_unref(items->list[i].entry);
    }
    free(items->list);
    *items = (struct items){0};
}

static void refusals_clear(struct refusals *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free((char *)r->list[i].key);
        free((char *)r->list[i].error);
    }
    free(r->list);
    *r = (struct refusals){0};
}

static int refusals_add(struct refusals *r, const char *key, const char *error)
{
    struct etcd_refused *larger = reallocarray(r->list, r->count + 1, sizeof(*larger));

    if (!larger)
        return -ENOMEM;
    r->list = larger;
    r->list[r->count] = (struct etcd_refused){strdup(key), strdup(error)};
    r->count++;
    return r->list[r->count - 1].key && r->list[r->count - 1].error ? 0 : -ENOMEM;
}

static bool refusals_have(const struct refusals *r, const struct etcd_refused *one)
{
    for (size_t i = 0; i < r->count; i++)
        if (!strcmp(r->list[i].key, one->key) && !strcmp(r->list[i].error, one->error))
            return true;
    return false;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->id, ((const struct item *)b)->id);
}

static struct item *find_item(const struct items *items, const char *id)
{
    struct item wanted = {.id = (char *)id};

    return items->count ? bsearch(&wanted, items->list, items->count, sizeof(wanted), compare_items) : NULL;
}

/* -- Keys ------------------------------------------------------------------------------------------- */

static void key_clear(struct key *k)
{
    free(k->kv.key);
    free(k->kv.value);
    etcd_entries_clear(&k->entries);
    free(k->error);
    free(k->bad);
}

static bool same_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    return a && b && a_size == b_size && !memcmp(a, b, a_size);
}

static struct key *find_key(struct etcd_set *set, const char *name, size_t hint)
{
    if (hint < set->key_count && !strcmp(set->keys[hint].kv.key, name))
        return &set->keys[hint];
    for (size_t i = 0; i < set->key_count; i++)
        if (!strcmp(set->keys[i].kv.key, name))
            return &set->keys[i];
    return NULL;
}

static struct key *add_key(struct etcd_set *set, const char *name)
{
    struct key *larger = reallocarray(set->keys, set->key_count + 1, sizeof(*larger));

    if (!larger)
        return NULL;
    set->keys = larger;
    struct key *k = &set->keys[set->key_count];
    *k = (struct key){.kv.key = strdup(name)};
    set->key_count += k->kv.key != NULL;
    return k->kv.key ? k : NULL;
}

static char *copy_bytes(const char *bytes, size_t size)
{
    char *copy = malloc(size + 1);

    if (copy) {
        memcpy(copy, bytes, size);
        copy[size] = '\0';
    }
    return copy;
}

/* The value is bad: the last good one stays, if there is one. Takes `why` over. */
static int keep_last(struct etcd_set *set, struct key *k, const struct etcd_kv *kv, char *why)
{
    char *bad = copy_bytes(kv->value, kv->size);

    free(k->error);
    free(k->bad);
    set->changed = true;
    k->error = why;
    k->bad = bad;
    k->bad_size = bad ? kv->size : 0;
    return bad ? 0 : -ENOMEM;
}

static int read_value(const struct etcd_set *set, const struct etcd_kv *kv, struct etcd_entries *ret,
                      char **ret_why)
{
    const struct etcd_rules rules = {&set->settings->allow_path, set->host->tag(set->instance)};

    if (kv->size <= set->settings->max_value_size)
        return etcd_entries_read(kv->key, kv->value, kv->size, &rules, ret, ret_why);
    return asprintf(ret_why, "the value has %zu bytes, more than max_value_size", kv->size) < 0 ? -ENOMEM
                                                                                                : -EINVAL;
}

static int take_value(struct etcd_set *set, struct key *k, const struct etcd_kv *kv)
{
    struct etcd_entries entries;
    char *why = NULL;

    if (k->error && same_bytes(k->bad, k->bad_size, kv->value, kv->size))
        return 0;
    if (!same_bytes(k->kv.value, k->kv.size, kv->value, kv->size)) {
        int rc = read_value(set, kv, &entries, &why);
        if (rc == -EINVAL)
            return keep_last(set, k, kv, why);
        char *copy = rc == 0 ? copy_bytes(kv->value, kv->size) : NULL;
        if (rc == 0 && !copy)
            etcd_entries_clear(&entries);
        if (!copy)
            return -ENOMEM;
        free(k->kv.value);
        k->kv.value = copy;
        k->kv.size = kv->size;
        etcd_entries_clear(&k->entries);
        k->entries = entries;
        set->changed = true;
    }
    set->changed |= k->error != NULL;
    free(k->error);
    free(k->bad);
    k->error = k->bad = NULL;
    return 0;
}

static void drop_unseen(struct etcd_set *set)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->key_count; i++) {
        if (set->keys[i].seen)
            set->keys[kept++] = set->keys[i];
        else
            key_clear(&set->keys[i]);
    }
    set->changed |= kept != set->key_count;
    set->key_count = kept;
}

static int take_values(struct etcd_set *set, const struct etcd_snapshot *s)
{
    int rc = 0;

    for (size_t i = 0; i < set->key_count; i++)
        set->keys[i].seen = false;
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        struct key *k = find_key(set, s->kvs[i].key, i);
        k = k ? k : add_key(set, s->kvs[i].key);
        rc = k ? take_value(set, k, &s->kvs[i]) : -ENOMEM;
        if (k)
            k->seen = true;
    }
    if (rc == 0)
        drop_unseen(set);
    return rc;
}

/* -- Merging ---------------------------------------------------------------------------------------- */

/* A set while it is made. */
struct merge {
    struct etcd_set *set;
    struct items items; /* in the order of the entries */
    struct hsearch_data ids;
    struct refusals refused;
};

/* The entry that has this id, or NULL. */
static const struct etcd_entry *taken_by(struct merge *m, const char *id)
{
    ENTRY *found;

    return hsearch_r((ENTRY){.key = (char *)id}, FIND, &found, &m->ids) ? found->data : NULL;
}

/* Takes `id` over. */
static int put_item(struct merge *m, char *id, struct etcd_entry *e)
{
    ENTRY *found;

    if (!id)
        return -ENOMEM;
    m->items.list[m->items.count++] = (struct item){.id = id, .entry = etcd_entry_ref(e)};
    return hsearch_r((ENTRY){.key = id, .data = e}, ENTER, &found, &m->ids) ? 0 : -ENOMEM;
}

/* The second name of an entry without an id: of a path that goes to several topics. */
static char *id_with_topic(const struct etcd_entry *e)
{
    char *id;

    return asprintf(&id, "%s#%s", e->path, e->topic) < 0 ? NULL : id;
}

/* The id that this path and topic had last time: so it stays the same, whoever comes before it in the list.
 */
static char *id_of_before(const struct merge *m, const struct etcd_entry *e)
{
    char *id = id_with_topic(e);

    if (!id || find_item(&m->set->given, id))
        return id;
    free(id);
    const struct item *item = find_item(&m->set->given, e->path);
    return item && !item->entry->id && !strcmp(item->entry->topic, e->topic) ? strdup(e->path) : NULL;
}

/* Entries that name themselves, or were there before. */
static int put_known(struct merge *m, struct etcd_entry *e)
{
    char *id = e->id ? strdup(e->id) : id_of_before(m, e);

    if (!id)
        return e->id ? -ENOMEM : 0;
    if (!taken_by(m, id))
        return put_item(m, id, e);
    free(id);
    return e->id ? refusals_add(&m->refused, e->origin, "another entry has the same id") : 0;
}

static bool was_put(const struct merge *m, const struct etcd_entry *e)
{
    const struct item *last = m->items.count ? &m->items.list[m->items.count - 1] : NULL;

    return last && last->entry == e;
}

static int put_new(struct merge *m, struct etcd_entry *e)
{
    const struct etcd_entry *first = taken_by(m, e->path);
    bool twice = first && !strcmp(first->topic, e->topic);
    char *id = first ? id_with_topic(e) : strdup(e->path);

    if (!id || (!twice && !taken_by(m, id)))
        return put_item(m, id, e);
    free(id);
    return refusals_add(&m->refused, e->origin, "another entry has the same path and topic");
}

/* What runs under the name of a refused entry goes on as it is. */
static int put_old(struct merge *m, const struct etcd_entry *e)
{
    char *with_topic = id_with_topic(e);
    const char *const ids[] = {e->id, with_topic, e->path};
    int rc = with_topic ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < 3; i++) {
        const struct item *old = ids[i] && !taken_by(m, ids[i]) ? find_item(&m->set->given, ids[i]) : NULL;
        if (old && !old->refused) {
            rc = put_item(m, strdup(old->id), old->entry);
            break;
        }
    }
    free(with_topic);
    return rc;
}

static int merge_entries(struct merge *m, struct etcd_entry **all, size_t count)
{
    bool *done = calloc(count + 1, sizeof(*done));
    int rc = done ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (all[i]->refusal)
            rc = refusals_add(&m->refused, all[i]->origin, all[i]->refusal);
        else
            rc = put_known(m, all[i]);
        done[i] = all[i]->refusal || all[i]->id || was_put(m, all[i]);
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!done[i])
            rc = put_new(m, all[i]);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (all[i]->refusal)
            rc = put_old(m, all[i]);
    free(done);
    return rc;
}

/* The entries of all keys. NULL: no memory. */
static struct etcd_entry **gather(const struct etcd_set *set, size_t *ret_count)
{
    size_t total = 0, count = 0;

    for (size_t i = 0; i < set->key_count; i++)
        total += set->keys[i].entries.count;
    struct etcd_entry **all = calloc(total + 1, sizeof(struct etcd_entry *));
    for (size_t i = 0; all && i < set->key_count; i++)
        for (size_t k = 0; k < set->keys[i].entries.count; k++)
            all[count++] = set->keys[i].entries.items[k];
    *ret_count = count;
    return all;
}

static int refuse_rest(struct merge *m, struct etcd_entry **rest, size_t count)
{
    char why[64];
    int rc = 0;

    snprintf(why, sizeof(why), "there are more than max_entries (%" PRId64 ")",
             m->set->settings->max_entries);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = refusals_add(&m->refused, rest[i]->origin, why);
    return rc;
}

static int merge_keys(struct merge *m)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->set->key_count; i++)
        if (m->set->keys[i].error)
            rc = refusals_add(&m->refused, m->set->keys[i].kv.key, m->set->keys[i].error);
    return rc;
}

static int merge_all(struct etcd_set *set, struct items *ret_items, struct refusals *ret_refused)
{
    struct merge m = {.set = set};
    size_t total = 0, most = (size_t)set->settings->max_entries;
    int rc = merge_keys(&m);
    struct etcd_entry **all = gather(set, &total);
    size_t count = total < most ? total : most;

    m.items.list = calloc(count + 1, sizeof(*m.items.list));
    bool hashed = hcreate_r(count + count / 3 + 1, &m.ids) != 0;
    if (rc == 0)
        rc = all && m.items.list && hashed ? merge_entries(&m, all, count) : -ENOMEM;
    if (rc == 0)
        rc = refuse_rest(&m, all + count, total - count);
    if (hashed)
        hdestroy_r(&m.ids);
    free(all);
    if (rc < 0) {
        items_clear(&m.items);
        refusals_clear(&m.refused);
        return rc;
    }
    qsort(m.items.list, m.items.count, sizeof(*m.items.list), compare_items);
    *ret_items = m.items;
    *ret_refused = m.refused;
    return 0;
}

/* -- Telling what was done -------------------------------------------------------------------------- */

struct tally {
    size_t added, changed, removed;
};

static void tell(const struct etcd_set *set, const char *action, const struct item *item, size_t *number)
{
    const struct etcd_change change = {action, item->id, item->entry, set->giving_revision};

    ++*number;
    if (set->to.change)
        set->to.change(set->to.data, &change);
}

static struct tally tell_changes(const struct etcd_set *set)
{
    struct tally t = {0};

    for (size_t i = 0; i < set->given.count; i++) {
        const struct item *old = &set->given.list[i], *new = find_item(&set->giving, old->id);
        if (!old->refused && !new)
            tell(set, "remove", old, &t.removed);
    }
    for (size_t i = 0; i < set->giving.count; i++) {
        const struct item *new = &set->giving.list[i], *old = find_item(&set->given, new->id);
        if (!new->refused && (!old || old->refused))
            tell(set, "add", new, &t.added);
        else if (!new->refused && !etcd_entry_same(old->entry, new->entry))
            tell(set, "change", new, &t.changed);
    }
    return t;
}

static void log_refusals(const struct etcd_set *set)
{
    size_t shown = 0;

    for (size_t i = 0; i < set->refusing.count && shown < MOST_SHOWN; i++) {
        const struct etcd_refused *r = &set->refusing.list[i];
        if (refusals_have(&set->refused, r))
            continue;
        set->host->log(set->instance, WEIR_LOG_WARN, "%s is refused: %s", r->key, r->error);
        shown++;
    }
    if (shown == MOST_SHOWN)
        set->host->log(set->instance, WEIR_LOG_WARN, "%zu are refused in all; the status lists them",
                       set->refusing.count);
}

static size_t count_good(const struct items *items)
{
    size_t count = 0;

    for (size_t i = 0; i < items->count; i++)
        count += !items->list[i].refused;
    return count;
}

static void log_applied(const struct etcd_set *set, struct tally t)
{
    if (set->given.count && !set->giving.count)
        set->host->log(set->instance, WEIR_LOG_WARN,
                       "revision %" PRId64
                       " names no file any more: all %zu inputs are stopped, and their positions kept",
                       set->giving_revision, t.removed);
    else
        set->host->log(set->instance, WEIR_LOG_INFO,
                       "revision %" PRId64
                       " is applied: %zu inputs (%zu new, %zu changed, %zu gone), %zu refused",
                       set->giving_revision, count_good(&set->giving), t.added, t.changed, t.removed,
                       set->refusing.count);
}

/* -- Giving ----------------------------------------------------------------------------------------- */

static int give(struct etcd_set *);

/* weir puts the origin before each of its reasons, and so do we. */
static const char *without_origin(const char *reason, const char *origin)
{
    size_t size = strlen(origin);

    return !strncmp(reason, origin, size) && !strncmp(reason + size, ": ", 2) ? reason + size + 2 : reason;
}

static void note_refusals(struct etcd_set *set, const struct weir_refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct item *item = &set->giving.list[refusals[i].index];
        const struct item *old = find_item(&set->given, item->id);
        item->refused = !old || old->refused;
        refusals_add(&set->refusing, item->entry->origin,
                     without_origin(refusals[i].reason, item->entry->origin));
        if (!item->refused) { /* it goes on as it was */
            etcd_entry_unref(item->entry);
            item->entry = etcd_entry_ref(old->entry);
        }
    }
}

static void on_applied(void *data, const struct weir_refusal *refusals, size_t count)
{
    struct etcd_set *set = data;

    note_refusals(set, refusals, count);
    log_refusals(set);
    log_applied(set, tell_changes(set));
    items_clear(&set->given);
    refusals_clear(&set->refused);
    set->given = set->giving;
    set->refused = set->refusing;
    set->giving = (struct items){0};
    set->refusing = (struct refusals){0};
    set->applied = set->giving_revision;
    set->under_way = false;
    if (set->again && give(set) < 0)
        set->host->log(set->instance, WEIR_LOG_ERROR, "no memory to apply revision %" PRId64, set->revision);
    set->to.applied(set->to.data);
}

/* The settings of an item and allow_path, one behind the other in `settings`. */
static size_t fill_settings(const struct etcd_set *set, const struct etcd_entry *e,
                            struct weir_setting *settings)
{
    const struct weir_list *allow = &set->settings->allow_path;

    memcpy(settings, e->settings, e->count * sizeof(*settings));
    for (size_t i = 0; i < allow->count; i++)
        settings[e->count + i] = (struct weir_setting){"allow_path", allow->items[i]};
    return e->count + allow->count;
}

static int send_items(struct etcd_set *set, const struct items *items)
{
    size_t room = 0, used = 0;

    for (size_t i = 0; i < items->count; i++)
        room += items->list[i].entry->count + set->settings->allow_path.count;
    struct weir_input_spec *specs = calloc(items->count + 1, sizeof(*specs));
    struct weir_setting *settings = calloc(room + 1, sizeof(*settings));
    int rc = specs && settings ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < items->count; i++) {
        const struct item *item = &items->list[i];
        size_t count = fill_settings(set, item->entry, settings + used);
        specs[i] = (struct weir_input_spec){item->id, "tail", item->entry->origin, settings + used, count};
        used += count;
    }
    if (rc == 0)
        rc = set->host->set_inputs(set->instance, specs, sizeof(*specs), items->count, on_applied, set);
    free(specs);
    free(settings);
    return rc;
}

/* Hands the whole to weir. 0 or -ENOMEM. */
static int give(struct etcd_set *set)
{
    struct items items = {0};
    struct refusals refused = {0};
    int rc = merge_all(set, &items, &refused);

    if (rc == 0)
        rc = send_items(set, &items);
    if (rc < 0) {
        items_clear(&items);
        refusals_clear(&refused);
        return rc;
    }
    set->giving = items;
    set->refusing = refused;
    set->giving_revision = set->revision;
    set->under_way = true;
    set->again = set->changed = false;
    return 0;
}

int etcd_set_take(struct etcd_set *set, const struct etcd_snapshot *s)
{
    int rc = take_values(set, s);

    set->revision = s->revision;
    if (rc < 0)
        return rc;
    if (set->under_way) {
        set->again |= set->changed;
        return 0;
    }
    if (set->changed || set->refused.count || !set->applied)
        return give(set);
    set->applied = s->revision;
    return 0;
}

/* -- Life and looks --------------------------------------------------------------------------------- */

struct etcd_set *etcd_set_create(const struct weir_host *host, struct weir_instance *instance,
                                 const struct etcd_settings *settings, const struct etcd_listener *to)
{
    struct etcd_set *set = calloc(1, sizeof(*set));

    if (set)
        *set = (struct etcd_set){.host = host, .instance = instance, .settings = settings, .to = *to};
    return set;
}

void etcd_set_destroy(struct etcd_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->key_count; i++)
        key_clear(&set->keys[i]);
    free(set->keys);
    free(set->values);
    items_clear(&set->given);
    items_clear(&set->giving);
    refusals_clear(&set->refused);
    refusals_clear(&set->refusing);
    free(set);
}

int64_t etcd_set_applied(const struct etcd_set *set)
{
    return set->applied;
}

size_t etcd_set_count(const struct etcd_set *set)
{
    return count_good(&set->given);
}

const struct etcd_refused *etcd_set_refused(const struct etcd_set *set, size_t *ret_count)
{
    *ret_count = set->refused.count;
    return set->refused.list;
}

const struct etcd_kv *etcd_set_values(struct etcd_set *set, size_t *ret_count)
{
    struct etcd_kv *larger = reallocarray(set->values, set->key_count + 1, sizeof(*larger));

    if (larger)
        set->values = larger;
    *ret_count = larger ? set->key_count : 0;
    for (size_t i = 0; i < *ret_count; i++)
        set->values[i] = set->keys[i].kv;
    return set->values;
}
