/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of chunks that come again. On any thread, under the lock of who owns it. */
#include "refused.h"
#include <errno.h>
#include <stdlib.h>

static void free_refused(struct refused *r)
{
    free(r->items);
    free(r);
}

void refusals_finish(struct refusals *refusals)
{
    struct refused *r;

    while ((r = refusals->first)) {
        refusals->first = r->next;
        free_refused(r);
    }
}

static struct refused **place_of(struct refusals *refusals, uint64_t chunk)
{
    struct refused **at = &refusals->first;

    while (*at && (*at)->chunk < chunk)
        at = &(*at)->next;
    return at;
}

struct refused *refusals_of(const struct refusals *refusals, uint64_t chunk)
{
    struct refused *r = refusals->first;

    while (r && r->chunk < chunk)
        r = r->next;
    return r && r->chunk == chunk ? r : NULL;
}

void refusals_forget(struct refusals *refusals, uint64_t chunk)
{
    struct refused *r;

    while ((r = refusals->first) && r->chunk <= chunk) {
        refusals->first = r->next;
        free_refused(r);
    }
}

static struct refused *make(struct refused **at, uint64_t chunk)
{
    struct refused *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->chunk = chunk;
    r->next = *at;
    *at = r;
    return r;
}

static bool has_room(struct refused *r)
{
    size_t capacity = r->capacity ? r->capacity * 2 : 16;
    struct failure *items;

    if (r->count < r->capacity)
        return true;
    items = realloc(r->items, capacity * sizeof(*items));
    if (!items)
        return false;
    r->items = items;
    r->capacity = capacity;
    return true;
}

void refusals_add(struct refusals *refusals, uint64_t chunk, const struct failure *failure)
{
    struct refused **at = place_of(refusals, chunk), *r = *at;
    size_t i;

    if (!r || r->chunk != chunk)
        r = make(at, chunk);
    if (!r || !has_room(r))
        return;
    for (i = r->count++; i > 0 && r->items[i - 1].index > failure->index; i--)
        r->items[i] = r->items[i - 1];
    r->items[i] = *failure;
}

void refusals_tell(struct refusals *refusals, uint64_t chunk)
{
    struct refused **at = place_of(refusals, chunk), *r = *at;

    if (!r || r->chunk != chunk)
        r = make(at, chunk);
    if (r)
        r->told = true;
}

bool refusals_are_told(const struct refusals *refusals, uint64_t chunk)
{
    const struct refused *r = refusals_of(refusals, chunk);

    return r && r->told;
}

int refusals_rest(const struct refusals *refusals, const struct weir_chunk *chunk, struct remainder **ret)
{
    const struct refused *r = refusals_of(refusals, chunk->id);
    struct remainder *rest;
    size_t at = 0;

    *ret = NULL;
    if (!r || !r->count)
        return 0;
    rest = malloc(sizeof(*rest) + chunk->records * sizeof(uint32_t));
    if (!rest)
        return -ENOMEM;
    *rest = (struct remainder){.chunk = chunk->id};
    for (uint32_t i = 0; i < chunk->records; i++) {
        if (at < r->count && r->items[at].index == i)
            at++;
        else
            rest->indices[rest->count++] = i;
    }
    *ret = rest;
    return 0;
}
