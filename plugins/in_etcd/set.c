/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to weir is under way at a time; what comes meanwhile is merged into the next one. Loop thread.
 */
#include "set.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "keys.h"
#include "merge.h"

#define MOST_SHOWN 20 /* refusals in the log at a time */

struct etcd_set {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct etcd_settings *settings;
    struct etcd_listener to;
    struct etcd_keys keys;
    int64_t revision, applied;
    struct etcd_items given;  /* in force */
    struct etcd_items giving; /* under way */
    struct etcd_refusals refused, refusing;
    int64_t giving_revision;
    size_t unsettled; /* of what is refused: by weir. It may take it another time */
    bool under_way, again;
    bool news; /* under way is something else than what is in force */
    struct weir_metric *emptied;
};

/* -- Telling what was done -------------------------------------------------------------------------- */

struct tally {
    size_t added, changed, removed;
};

static void tell(const struct etcd_set *set, const char *action, const struct etcd_item *item, size_t *number)
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
        const struct etcd_item *old = &set->given.list[i], *new = etcd_items_find(&set->giving, old->id);
        if (!old->refused && !new)
            tell(set, "remove", old, &t.removed);
    }
    for (size_t i = 0; i < set->giving.count; i++) {
        const struct etcd_item *new = &set->giving.list[i], *old = etcd_items_find(&set->given, new->id);
        if (!new->refused && (!old || old->refused))
            tell(set, "add", new, &t.added);
        else if (!new->refused && !etcd_entry_same(old->entry, new->entry))
            tell(set, "change", new, &t.changed);
    }
    return t;
}

static size_t log_refusals(const struct etcd_set *set)
{
    size_t shown = 0, from = 0;

    for (size_t i = 0; i < set->refusing.count && shown < MOST_SHOWN; i++) {
        const struct etcd_refused *r = &set->refusing.list[i];
        if (etcd_refusals_have(&set->refused, r, &from))
            continue;
        set->host->log(set->instance, WEIR_LOG_WARN, "%s is refused: %s", r->key, r->error);
        shown++;
    }
    if (shown == MOST_SHOWN)
        set->host->log(set->instance, WEIR_LOG_WARN, "%zu are refused in all; the status lists them",
                       set->refusing.count);
    return shown;
}

static size_t count_good(const struct etcd_items *items)
{
    size_t count = 0;

    for (size_t i = 0; i < items->count; i++)
        count += !items->list[i].refused;
    return count;
}

static void log_applied(const struct etcd_set *set, struct tally t)
{
    if (set->given.count && !set->giving.count) {
        set->host->metric_add(set->emptied, 1);
        set->host->log(set->instance, WEIR_LOG_WARN,
                       "revision %" PRId64
                       " names no file any more: all %zu inputs are stopped, and their positions kept",
                       set->giving_revision, t.removed);
    } else {
        set->host->log(set->instance, WEIR_LOG_INFO,
                       "revision %" PRId64
                       " is applied: %zu inputs (%zu new, %zu changed, %zu gone), %zu refused",
                       set->giving_revision, count_good(&set->giving), t.added, t.changed, t.removed,
                       set->refusing.count);
    }
}

/* -- Giving ----------------------------------------------------------------------------------------- */

static int give(struct etcd_set *);

/* weir puts the origin before each of its reasons, and so do we. */
static const char *without_origin(const char *reason, const struct etcd_entry *e)
{
    char origin[512];

    if (etcd_entry_origin_room(e) > sizeof(origin))
        return reason;
    size_t size = etcd_entry_origin(e, origin);
    return !strncmp(reason, origin, size) && !strncmp(reason + size, ": ", 2) ? reason + size + 2 : reason;
}

/* Without memory for a note nobody would know of it: then all is given once more. */
static void note_refusals(struct etcd_set *set, const struct weir_refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct etcd_item *item = &set->giving.list[refusals[i].index];
        const struct etcd_item *old = etcd_items_find(&set->given, item->id);
        const char *reason = without_origin(refusals[i].reason, item->entry);
        item->refused = !old || old->refused;
        set->keys.changed |= etcd_refusals_add_entry(&set->refusing, item->entry, reason) < 0;
        if (!item->refused && etcd_item_set(item, old->entry) < 0) /* else it goes on as it was */
            item->refused = set->keys.changed = true;
    }
}

static void on_applied(void *data, const struct weir_refusal *refusals, size_t count)
{
    struct etcd_set *set = data;

    note_refusals(set, refusals, count);
    set->unsettled = count;
    size_t new_refusals = log_refusals(set);
    struct tally t = tell_changes(set);
    bool same = !set->news && set->refused.count == set->refusing.count;
    if (!same || new_refusals || t.added || t.changed || t.removed) /* else what was refused is once more */
        log_applied(set, t);
    etcd_items_clear(&set->given);
    etcd_refusals_clear(&set->refused);
    set->given = set->giving;
    set->refused = set->refusing;
    set->giving = (struct etcd_items){0};
    set->refusing = (struct etcd_refusals){0};
    set->applied = set->giving_revision;
    set->under_way = false;
    if (set->again && give(set) < 0)
        set->host->log(set->instance, WEIR_LOG_ERROR, "no memory to apply revision %" PRId64, set->revision);
    set->to.applied(set->to.data);
}

/* What weir is given; for as long as it takes to copy it. */
struct specs {
    struct weir_input_spec *list;
    struct weir_setting *settings;
    char *origins;
};

static int make_room(const struct etcd_set *set, const struct etcd_items *items, struct specs *ret)
{
    size_t settings = 0, origins = 0;

    for (size_t i = 0; i < items->count; i++) {
        settings += etcd_entry_count(items->list[i].entry) + set->settings->allow_path.count;
        origins += etcd_entry_origin_room(items->list[i].entry);
    }
    ret->list = calloc(items->count + 1, sizeof(*ret->list));
    ret->settings = calloc(settings + 1, sizeof(*ret->settings));
    ret->origins = malloc(origins + 1);
    return ret->list && ret->settings && ret->origins ? 0 : -ENOMEM;
}

static void fill_specs(const struct etcd_set *set, const struct etcd_items *items, const struct specs *specs)
{
    const struct weir_list *allow = &set->settings->allow_path;
    struct weir_setting *settings = specs->settings;
    char *origin = specs->origins;

    for (size_t i = 0; i < items->count; i++) {
        const struct etcd_item *item = &items->list[i];
        size_t count = etcd_entry_settings(item->entry, settings),
               length = etcd_entry_origin(item->entry, origin);
        for (size_t n = 0; n < allow->count; n++)
            settings[count++] = (struct weir_setting){"allow_path", allow->items[n]};
        specs->list[i] = (struct weir_input_spec){item->id, "tail", origin, settings, count};
        settings += count;
        origin += length + 1;
    }
}

static int send_items(struct etcd_set *set, const struct etcd_items *items)
{
    struct specs specs = {0};
    int rc = make_room(set, items, &specs);

    if (rc == 0) {
        fill_specs(set, items, &specs);
        rc = set->host->set_inputs(set->instance, specs.list, sizeof(*specs.list), items->count, on_applied,
                                   set);
    }
    free(specs.list);
    free(specs.settings);
    free(specs.origins);
    return rc;
}

/* Hands the whole to weir. 0 or -ENOMEM. */
static int give(struct etcd_set *set)
{
    struct etcd_items items = {0};
    struct etcd_refusals refused = {0};
    int rc = etcd_merge(&set->keys, &set->given, &items, &refused);

    if (rc == 0)
        rc = send_items(set, &items);
    if (rc < 0) {
        etcd_items_clear(&items);
        etcd_refusals_clear(&refused);
        return rc;
    }
    set->giving = items;
    set->refusing = refused;
    set->giving_revision = set->revision;
    set->under_way = true;
    set->news = set->keys.changed || !set->applied;
    set->again = set->keys.changed = false;
    return 0;
}

int etcd_set_take(struct etcd_set *set, const struct etcd_snapshot *s, bool *ret_news)
{
    bool behind = set->keys.changed;

    set->keys.changed = false;
    int rc = etcd_keys_take(&set->keys, s);
    *ret_news = set->keys.changed;
    set->keys.changed |= behind;
    set->revision = s->revision;
    if (rc < 0)
        return rc;
    if (set->under_way) {
        set->again |= set->keys.changed;
        return 0;
    }
    if (set->keys.changed || set->unsettled || !set->applied)
        return give(set);
    set->applied = s->revision;
    return 0;
}

/* -- Life and looks --------------------------------------------------------------------------------- */

struct etcd_set *etcd_set_create(const struct weir_host *host, struct weir_instance *instance,
                                 const struct etcd_settings *settings, const struct etcd_listener *to)
{
    struct etcd_set *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    *set = (struct etcd_set){.host = host,
                             .instance = instance,
                             .settings = settings,
                             .to = *to,
                             .keys = {.settings = settings, .tag = host->tag(instance)}};
    set->emptied =
        host->metric(instance, WEIR_COUNTER, "emptied",
                     "Times that etcd named no file any more, and all inputs stopped.", NULL, NULL);
    return set;
}

void etcd_set_destroy(struct etcd_set *set)
{
    if (!set)
        return;
    etcd_keys_clear(&set->keys);
    etcd_items_clear(&set->given);
    etcd_items_clear(&set->giving);
    etcd_refusals_clear(&set->refused);
    etcd_refusals_clear(&set->refusing);
    free(set);
}

bool etcd_set_wants_again(const struct etcd_set *set)
{
    return set->unsettled || (set->keys.changed && !set->under_way);
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
    return etcd_keys_values(&set->keys, ret_count);
}
