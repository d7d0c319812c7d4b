/* SPDX-License-Identifier: Apache-2.0 */
/* A value is read when it is another one than before; a bad one is kept beside the last good one, to be known
 * again. */
#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static struct etcd_key *find_key(struct etcd_keys *keys, const char *name, size_t hint)
{
    if (hint < keys->count && !strcmp(keys->list[hint].kv.key, name))
        return &keys->list[hint];
    for (size_t i = 0; i < keys->count; i++)
        if (!strcmp(keys->list[i].kv.key, name))
            return &keys->list[i];
    return NULL;
}

static struct etcd_key *add_key(struct etcd_keys *keys, const char *name)
{
    struct etcd_key *larger = reallocarray(keys->list, keys->count + 1, sizeof(*larger));

    if (!larger)
        return NULL;
    keys->list = larger;
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
    int rc = 0;

    for (size_t i = 0; i < keys->count; i++)
        keys->list[i].seen = false;
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        struct etcd_key *k = find_key(keys, s->kvs[i].key, i);
        k = k ? k : add_key(keys, s->kvs[i].key);
        rc = k ? take_value(keys, k, &s->kvs[i]) : -ENOMEM;
        if (k)
            k->seen = true;
    }
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
    keys->count = 0;
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
