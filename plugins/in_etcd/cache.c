/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is JSON: {"version":1,"source":…,"cluster_id":"…","revision":"…","keys":{NAME: VALUE}}. Values are
 * JSON text that was read once, so they are valid UTF-8. It is not synced: a power failure may cost it, and
 * then etcd is asked, as at the first start; the loop must not wait for a disk.
 */
#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1

char *etcd_cache_path(const char *dir, const char *alias)
{
    char *path;

    if (asprintf(&path, "%s/etcd.%s.json", dir, alias) < 0)
        return NULL;
    for (char *c = path + strlen(dir) + 1; *c; c++)
        if (*c == '/')
            *c = '_';
    return path;
}

static json_t *number(uint64_t n)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, n);
    return json_string(text);
}

/* NULL: no memory. */
static json_t *to_json(const char *source, const struct etcd_snapshot *s)
{
    json_t *keys = json_object();

    for (size_t i = 0; i < s->count; i++)
        json_object_set_new(keys, s->kvs[i].key, json_stringn(s->kvs[i].value, s->kvs[i].size));
    return json_pack("{s:i, s:s, s:o, s:o, s:o}", "version", VERSION, "source", source, "cluster_id",
                     number(s->cluster_id), "revision", number((uint64_t)s->revision), "keys", keys);
}

/* In pieces: the whole, of a key of ten thousand entries, would be megabytes more for a moment. */
static int write_file(const char *path, const json_t *root)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), error = errno;
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

    if (!f) {
        error = fd < 0 ? error : errno;
        if (fd >= 0)
            close(fd);
        return -error;
    }
    errno = EIO;
    int rc = json_dumpf(root, f, JSON_COMPACT | JSON_SORT_KEYS) < 0 ? -errno : 0;
    if (fclose(f) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

int etcd_cache_save(const char *path, const char *source, const struct etcd_snapshot *s)
{
    json_t *root = to_json(source, s);
    char *new = NULL;
    int rc = root && asprintf(&new, "%s.new", path) >= 0 ? write_file(new, root) : -ENOMEM;

    if (rc == 0 && rename(new, path) < 0)
        rc = -errno;
    if (rc < 0 && new)
        unlink(new);
    free(new);
    json_decref(root);
    return rc;
}

static int take_keys(const json_t *keys, struct etcd_snapshot *ret)
{
    const char *name;
    json_t *value;

    ret->kvs = calloc(json_object_size(keys) + 1, sizeof(*ret->kvs));
    if (!ret->kvs)
        return -ENOMEM;
    json_object_foreach((json_t *)keys, name, value)
    {
        struct etcd_kv *kv = &ret->kvs[ret->count++];
        kv->key = strdup(name);
        kv->value = json_is_string(value) ? strdup(json_string_value(value)) : NULL;
        kv->size = json_string_length(value);
        if (!kv->key || !kv->value)
            return json_is_string(value) ? -ENOMEM : -EBADMSG;
    }
    return 0;
}

static int take_root(const json_t *root, const char *source, struct etcd_snapshot *ret)
{
    const char *cluster = json_string_value(json_object_get(root, "cluster_id"));
    const char *revision = json_string_value(json_object_get(root, "revision"));
    const char *from = json_string_value(json_object_get(root, "source"));
    const json_t *keys = json_object_get(root, "keys");

    if (!cluster || !revision || !from || !json_is_object(keys) ||
        json_integer_value(json_object_get(root, "version")) != VERSION)
        return -EBADMSG;
    if (strcmp(from, source) != 0)
        return -ESTALE;
    ret->cluster_id = strtoull(cluster, NULL, 10);
    ret->revision = strtoll(revision, NULL, 10);
    return take_keys(keys, ret);
}

int etcd_cache_load(const char *path, const char *source, struct etcd_snapshot *ret)
{
    struct etcd_snapshot snapshot = {0};
    json_error_t error;

    if (access(path, F_OK) < 0)
        return -errno;
    json_t *root = json_load_file(path, 0, &error);
    int rc = root ? take_root(root, source, &snapshot) : -EBADMSG;
    json_decref(root);
    if (rc < 0)
        etcd_snapshot_clear(&snapshot);
    else
        *ret = snapshot;
    return rc;
}
