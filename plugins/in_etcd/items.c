/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of items.h. */
#include "items.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static bool owns_id(const struct etcd_item *item)
{
    return item->id != etcd_entry_path(item->entry);
}

static void item_clear(struct etcd_item *item)
{
    if (owns_id(item))
        free((char *)item->id);
    etcd_entry_unref(item->entry);
}

int etcd_item_set(struct etcd_item *item, struct etcd_entry *e)
{
    const char *path = etcd_entry_path(e), *id = strcmp(item->id, path) ? strdup(item->id) : path;

    if (!id)
        return -ENOMEM;
    e = etcd_entry_ref(e);
    item_clear(item);
    item->id = id;
    item->entry = e;
    return 0;
}

void etcd_items_clear(struct etcd_items *items)
{
    for (size_t i = 0; i < items->count; i++)
        item_clear(&items->list[i]);
    free(items->list);
    free(items->slots);
    *items = (struct etcd_items){0};
}

void etcd_refusals_clear(struct etcd_refusals *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free((char *)r->list[i].key);
        free((char *)r->list[i].error);
    }
    free(r->list);
    *r = (struct etcd_refusals){0};
}

int etcd_refusals_add(struct etcd_refusals *r, const char *key, const char *error)
{
    struct etcd_refused *larger = r->count & (r->count - 1)
                                      ? r->list
                                      : reallocarray(r->list, r->count ? 2 * r->count : 1, sizeof(*larger));

    if (!larger)
        return -ENOMEM;
    r->list = larger;
    struct etcd_refused one = {strdup(key), strdup(error)};
    if (!one.key || !one.error) {
        free((char *)one.key);
        free((char *)one.error);
        return -ENOMEM;
    }
    r->list[r->count++] = one;
    return 0;
}

int etcd_refusals_add_entry(struct etcd_refusals *r, const struct etcd_entry *e, const char *error)
{
    char *origin = malloc(etcd_entry_origin_room(e));
    int rc = -ENOMEM;

    if (origin) {
        etcd_entry_origin(e, origin);
        rc = etcd_refusals_add(r, origin, error);
    }
    free(origin);
    return rc;
}

static bool same(const struct etcd_refused *a, const struct etcd_refused *b)
{
    return !strcmp(a->key, b->key) && !strcmp(a->error, b->error);
}

bool etcd_refusals_have(const struct etcd_refusals *r, const struct etcd_refused *one, size_t *from)
{
    for (size_t n = 0; n < r->count; n++) {
        size_t i = (*from + n) % r->count;
        if (same(&r->list[i], one)) {
            *from = i + 1;
            return true;
        }
    }
    return false;
}

/* The slot that has this id, or the free one for it. */
static uint32_t *slot_of(const struct etcd_items *items, const char *id)
{
    size_t at = (size_t)XXH3_64bits(id, strlen(id)) & items->mask;

    while (items->slots[at] && strcmp(items->list[items->slots[at] - 1].id, id) != 0)
        at = (at + 1) & items->mask;
    return &items->slots[at];
}

int etcd_items_reserve(struct etcd_items *items, size_t count)
{
    items->mask = 1;
    while (items->mask < 2 * count)
        items->mask = 2 * items->mask + 1;
    items->list = calloc(count + 1, sizeof(*items->list));
    items->slots = calloc(items->mask + 1, sizeof(*items->slots));
    return items->list && items->slots ? 0 : -ENOMEM;
}

int etcd_items_add(struct etcd_items *items, char *id, struct etcd_entry *e)
{
    const char *path = etcd_entry_path(e);

    if (!id)
        return -ENOMEM;
    bool is_path = !strcmp(id, path);
    if (is_path)
        free(id);
    uint32_t *slot = slot_of(items, is_path ? path : id);
    items->list[items->count++] = (struct etcd_item){.id = is_path ? path : id, .entry = etcd_entry_ref(e)};
    *slot = (uint32_t)items->count;
    return 0;
}

struct etcd_item *etcd_items_find(const struct etcd_items *items, const char *id)
{
    uint32_t number = items->count ? *slot_of(items, id) : 0;

    return number ? &items->list[number - 1] : NULL;
}
