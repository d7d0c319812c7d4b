/* SPDX-License-Identifier: Apache-2.0 */
/* A value is read when it is another one than before; a bad one is kept beside the last good one, to be known
 * again. */
#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static void key_clear(struct etcd_key *k)
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

/* Where each of the first `count` keys stands. A hash table: number of the key, counted from 1; 0: free. */
struct index {
    uint32_t *slots;
    size_t mask, count;
};

static uint32_t *slot_of(const struct index *index, const struct etcd_keys *keys, const char *name)
{
    size_t at = (size_t)XXH3_64bits(name, strlen(name)) & index->mask;

    while (index->slots[at] && strcmp(keys->list[index->slots[at] - 1].kv.key, name) != 0)
        at = (at + 1) & index->mask;
    return &index->slots[at];
}

static int make_index(struct index *index, const struct etcd_keys *keys)
{
    index->mask = 1;
    while (index->mask < 2 * index->count)
        index->mask = 2 * index->mask + 1;
    index->slots = calloc(index->mask + 1, sizeof(*index->slots));
    for (size_t i = 0; index->slots && i < index->count; i++)
        *slot_of(index, keys, keys->list[i].kv.key) = (uint32_t)i + 1;
    return index->slots ? 0 : -ENOMEM;
}

/* Most stand where they stood; the index is only made when one does not. *ret NULL: it was not there. */
static int find_key(struct index *index, const struct etcd_keys *keys, const char *name, size_t hint,
                    struct etcd_key **ret)
{
    *ret = NULL;
    if (hint < index->count && !strcmp(keys->list[hint].kv.key, name)) {
        *ret = &keys->list[hint];
        return 0;
    }
    int rc = !index->count || index->slots ? 0 : make_index(index, keys);
    uint32_t number = index->slots ? *slot_of(index, keys, name) : 0;
    if (number)
        *ret = &keys->list[number - 1];
    return rc;
}

static struct etcd_key *add_key(struct etcd_keys *keys, const char *name)
{
    if (keys->count == keys->room) {
        size_t room = keys->room ? 2 * keys->room : 1;
        struct etcd_key *larger = reallocarray(keys->list, room, sizeof(*larger));
        if (!larger)
            return NULL;
        keys->list = larger;
        keys->room = room;
    }
    struct etcd_key *k = &keys->list[keys->count];
    *k = (struct etcd_key){.kv.key = strdup(name)};
    keys->count += k->kv.key != NULL;
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
static int keep_last(struct etcd_keys *keys, struct etcd_key *k, const struct etcd_kv *kv, char *why)
{
    char *bad = copy_bytes(kv->value, kv->size);

    free(k->error);
    free(k->bad);
    keys->changed = true;
    k->error = why;
    k->bad = bad;
    k->bad_size = bad ? kv->size : 0;
    return bad ? 0 : -ENOMEM;
}

static int read_value(const struct etcd_keys *keys, const struct etcd_key *k, const struct etcd_kv *kv,
                      struct etcd_entries *ret, char **ret_why)
{
    const struct etcd_value before = {k->kv.value, k->kv.size, &k->entries};
    const struct etcd_rules rules = {&keys->settings->allow_path, keys->tag};

    if (kv->size <= keys->settings->max_value_size)
        return etcd_entries_read(kv->key, kv->value, kv->size, &rules, &before, ret, ret_why);
    return asprintf(ret_why, "the value has %zu bytes, more than max_value_size", kv->size) < 0 ? -ENOMEM
                                                                                                : -EINVAL;
}

static int take_value(struct etcd_keys *keys, struct etcd_key *k, const struct etcd_kv *kv)
{
    struct etcd_entries entries;
    char *why = NULL;

    if (k->error && same_bytes(k->bad, k->bad_size, kv->value, kv->size))
        return 0;
    if (!same_bytes(k->kv.value, k->kv.size, kv->value, kv->size)) {
        int rc = read_value(keys, k, kv, &entries, &why);
        if (rc == -EINVAL)
            return keep_last(keys, k, kv, why);
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
        keys->changed = true;
    }
    keys->changed |= k->error != NULL;
    free(k->error);
    free(k->bad);
    k->error = k->bad = NULL;
    return 0;
}

static void drop_unseen(struct etcd_keys *keys)
{
    size_t kept = 0;

    for (size_t i = 0; i < keys->count; i++) {
        if (keys->list[i].seen)
            keys->list[kept++] = keys->list[i];
        else
            key_clear(&keys->list[i]);
    }
    keys->changed |= kept != keys->count;
    keys->count = kept;
}

int etcd_keys_take(struct etcd_keys *keys, const struct etcd_snapshot *s)
{
    struct index before = {.count = keys->count};
    int rc = 0;

    for (size_t i = 0; i < keys->count; i++)
        keys->list[i].seen = false;
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        struct etcd_key *k;
        rc = find_key(&before, keys, s->kvs[i].key, i, &k);
        if (rc == 0 && !k)
            k = add_key(keys, s->kvs[i].key);
        if (rc == 0)
            rc = k ? take_value(keys, k, &s->kvs[i]) : -ENOMEM;
        if (k)
            k->seen = true;
    }
    free(before.slots);
    if (rc == 0)
        drop_unseen(keys);
    return rc;
}

void etcd_keys_clear(struct etcd_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        key_clear(&keys->list[i]);
    free(keys->list);
    free(keys->values);
    keys->list = NULL;
    keys->values = NULL;
    keys->count = keys->room = 0;
}

const struct etcd_kv *etcd_keys_values(struct etcd_keys *keys, size_t *ret_count)
{
    struct etcd_kv *larger = reallocarray(keys->values, keys->count + 1, sizeof(*larger));

    if (larger)
        keys->values = larger;
    *ret_count = larger ? keys->count : 0;
    for (size_t i = 0; i < *ret_count; i++)
        keys->values[i] = keys->list[i].kv;
    return keys->values;
}
