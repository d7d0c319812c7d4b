/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of items.h. */
#include "items.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void etcd_items_clear(struct etcd_items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free(items->list[i].id);
        etcd_entry_unref(items->list[i].entry);
    }
    free(items->list);
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
    struct etcd_refused *larger = reallocarray(r->list, r->count + 1, sizeof(*larger));

    if (!larger)
        return -ENOMEM;
    r->list = larger;
    r->list[r->count] = (struct etcd_refused){strdup(key), strdup(error)};
    r->count++;
    return r->list[r->count - 1].key && r->list[r->count - 1].error ? 0 : -ENOMEM;
}

static bool same(const struct etcd_refused *a, const struct etcd_refused *b)
{
    return !strcmp(a->key, b->key) && !strcmp(a->error, b->error);
}

bool etcd_refusals_have(const struct etcd_refusals *r, const struct etcd_refused *one, size_t hint)
{
    bool found = hint < r->count && same(&r->list[hint], one);

    for (size_t i = 0; !found && i < r->count; i++)
        found = same(&r->list[i], one);
    return found;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const struct etcd_item *)a)->id, ((const struct etcd_item *)b)->id);
}

struct etcd_item *etcd_items_find(const struct etcd_items *items, const char *id)
{
    struct etcd_item wanted = {.id = (char *)id};

    return items->count ? bsearch(&wanted, items->list, items->count, sizeof(wanted), compare_items) : NULL;
}

void etcd_items_sort(struct etcd_items *items)
{
    qsort(items->list, items->count, sizeof(*items->list), compare_items);
}
