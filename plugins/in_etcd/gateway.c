/* SPDX-License-Identifier: Apache-2.0 */
/* etcd's messages, built and read with jansson. */
#include "gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base64.h"
#include "document.h"

/* -- Requests --------------------------------------------------------------------------------------- */

/* Takes the object over. */
static char *dump(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return text;
}

static json_t *base64_json(const void *data, size_t size)
{
    char *text = etcd_base64_encode(data, size);
    json_t *json = text ? json_string(text) : NULL;

    free(text);
    return json;
}

/* The first key that does not begin with the prefix any more; "\0" stands for "to the end". */
static json_t *range_end(const char *prefix)
{
    size_t size = strlen(prefix);
    char *end = strdup(prefix);

    while (end && size && (uint8_t)end[size - 1] == 0xff)
        size--;
    if (end && size)
        end[size - 1]++;
    json_t *json = !end ? NULL : size ? base64_json(end, size) : base64_json("", 1);
    free(end);
    return json;
}

/* {"key": …, "range_end": …} */
static json_t *target_json(const struct etcd_target *target)
{
    json_t *json = json_object();

    json_object_set_new(json, "key", base64_json(target->key, strlen(target->key)));
    if (target->prefix)
        json_object_set_new(json, "range_end", range_end(target->key));
    return json;
}

char *etcd_body_read(const struct etcd_target *targets, size_t count, bool keys_only)
{
    json_t *operations = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *range = target_json(&targets[i]);
        if (keys_only)
            json_object_set_new(range, "keys_only", json_true());
        json_array_append_new(operations, json_pack("{s:o}", "request_range", range));
    }
    /* A transaction reads all of them at one revision. */
    return dump(json_pack("{s:o}", "success", operations));
}

char *etcd_body_watch(const struct etcd_target *targets, size_t count, int64_t revision)
{
    char *all = NULL, start[24];
    size_t size;
    FILE *f = open_memstream(&all, &size);

    snprintf(start, sizeof(start), "%" PRId64, revision);
    for (size_t i = 0; f && i < count; i++) {
        json_t *create = target_json(&targets[i]);
        json_object_set_new(create, "start_revision", json_string(start));
        json_object_set_new(create, "progress_notify", json_true());
        char *one = dump(json_pack("{s:o}", "create_request", create));
        fprintf(f, "%s\n", one ? one : "");
        free(one);
    }
    if (!f || fclose(f) != 0) {
        free(all);
        return NULL;
    }
    return all;
}

char *etcd_body_authenticate(const char *user, const char *password)
{
    return dump(json_pack("{s:s, s:s}", "name", user, "password", password));
}

static json_t *number_json(int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, number);
    return json_string(text);
}

char *etcd_body_grant(uint64_t ttl_seconds)
{
    return dump(json_pack("{s:o}", "TTL", number_json((int64_t)ttl_seconds)));
}

char *etcd_body_keepalive(int64_t lease)
{
    return dump(json_pack("{s:o}", "ID", number_json(lease)));
}

char *etcd_body_put(const char *key, const char *value, size_t size, int64_t lease)
{
    return dump(json_pack("{s:o, s:o, s:o}", "key", base64_json(key, strlen(key)), "value",
                          base64_json(value, size), "lease", number_json(lease)));
}

/* -- Answers ---------------------------------------------------------------------------------------- */

static int refuse(const char **why, const char *text)
{
    *why = text;
    return -EBADMSG;
}

/* The whole. 0 or an error with *why; finish it in any case. */
static int load(struct etcd_document *d, const char *body, size_t size, const char **why)
{
    int rc = etcd_document_read(d, body, size);

    return rc == -EBADMSG ? refuse(why, "it is not a JSON object") : rc;
}

/* A 64-bit number: a string of digits, or a number; 0 where it is left out. */
static int take_int(const json_t *object, const char *name, int64_t *ret, const char **why)
{
    const json_t *value = json_object_get(object, name);

    *ret = 0;
    if (!value)
        return 0;
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return 0;
    }
    const char *text = json_string_value(value);
    char *end = NULL;
    errno = 0;
    long long number = text && *text ? strtoll(text, &end, 10) : 0;
    if (!end || *end || errno)
        return refuse(why, "a number in it is neither a number nor one in a string");
    *ret = number;
    return 0;
}

/* Cluster ids use all 64 bits without a sign. */
static uint64_t take_id(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? strtoull(text, NULL, 10) : 0;
}

/* Bytes in base64; none where it is left out. */
static int take_bytes(const struct etcd_document *d, const json_t *value, char **ret, size_t *ret_size,
                      const char **why)
{
    struct etcd_text text = {"", 0};

    if (value && etcd_document_string(d, value, &text) < 0)
        return refuse(why, "a key or a value in it is no string");
    int rc = etcd_base64_decode(text.text, text.size, ret, ret_size);
    return rc == -EBADMSG ? refuse(why, "a key or a value in it is not base64") : rc;
}

static int take_kv(const struct etcd_document *d, const json_t *json, struct etcd_kv *ret, const char **why)
{
    size_t key_size;

    if (!json_is_object(json))
        return refuse(why, "a pair of key and value in it is no object");
    int rc = take_bytes(d, json_object_get(json, "key"), &ret->key, &key_size, why);
    if (rc == 0 && strlen(ret->key) != key_size)
        rc = refuse(why, "a key in it holds a NUL");
    if (rc == 0)
        rc = take_bytes(d, json_object_get(json, "value"), &ret->value, &ret->size, why);
    return rc == 0 ? take_int(json, "mod_revision", &ret->mod_revision, why) : rc;
}

static bool has_key(const struct etcd_snapshot *snapshot, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(snapshot->kvs[i].key, key))
            return true;
    return false;
}

/* The pairs of one target. Those of an earlier one may be among them. */
static int take_range(const struct etcd_document *d, const json_t *range, struct etcd_snapshot *ret,
                      const char **why)
{
    const json_t *kvs = json_object_get(range, "kvs");
    size_t before = ret->count;

    if (!json_is_object(range) || (kvs && !json_is_array(kvs)))
        return refuse(why, "an answer in it has another form than a range has");
    for (size_t i = 0; i < json_array_size(kvs); i++) {
        struct etcd_kv *larger =
            ret->count & (ret->count - 1)
                ? ret->kvs
                : reallocarray(ret->kvs, ret->count ? ret->count * 2 : 1, sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        ret->kvs = larger;
        struct etcd_kv *kv = &ret->kvs[ret->count++];
        *kv = (struct etcd_kv){0};
        int rc = take_kv(d, json_array_get(kvs, i), kv, why);
        if (rc < 0)
            return rc;
        if (has_key(ret, before, kv->key)) {
            free(kv->key);
            free(kv->value);
            ret->count--;
        }
    }
    return 0;
}

static int take_header(const json_t *root, struct etcd_snapshot *ret, const char **why)
{
    const json_t *header = json_object_get(root, "header");

    if (!json_is_object(header))
        return refuse(why, "it has no header");
    ret->cluster_id = take_id(header, "cluster_id");
    return take_int(header, "revision", &ret->revision, why);
}

int etcd_take_read(const char *body, size_t size, struct etcd_snapshot *ret, const char **why)
{
    struct etcd_snapshot snapshot = {0};
    struct etcd_document d;
    int rc = load(&d, body, size, why);
    const json_t *responses = json_object_get(d.root, "responses");

    if (rc == 0)
        rc = take_header(d.root, &snapshot, why);
    if (rc == 0 && (!json_is_array(responses) || snapshot.revision <= 0))
        rc = refuse(why, "it has no revision or no responses");
    for (size_t i = 0; rc == 0 && i < json_array_size(responses); i++)
        rc = take_range(&d, json_object_get(json_array_get(responses, i), "response_range"), &snapshot, why);
    etcd_document_finish(&d);
    if (rc < 0)
        etcd_snapshot_clear(&snapshot);
    else
        *ret = snapshot;
    return rc;
}

static void take_message(const json_t *error, char *ret, size_t room)
{
    const char *text = json_is_string(error) ? json_string_value(error)
                                             : json_string_value(json_object_get(error, "message"));

    if (!text)
        text = json_string_value(json_object_get(error, "grpc_status"));
    snprintf(ret, room, "%s", text ? text : "an error without a message");
}

static int take_result(const json_t *result, struct etcd_watch_message *m, const char **why)
{
    const json_t *events = json_object_get(result, "events");
    const char *reason = json_string_value(json_object_get(result, "cancel_reason"));

    if (!json_is_object(result) || (events && !json_is_array(events)))
        return refuse(why, "it has another form than an answer of a watch");
    m->events = json_array_size(events);
    m->created = json_is_true(json_object_get(result, "created"));
    m->canceled = json_is_true(json_object_get(result, "canceled"));
    snprintf(m->reason, sizeof(m->reason), "%s", reason ? reason : "");
    int rc = take_int(result, "compact_revision", &m->compacted, why);
    return rc == 0 ? take_int(json_object_get(result, "header"), "revision", &m->revision, why) : rc;
}

int etcd_take_watch(const char *body, size_t size, struct etcd_watch_message *ret, const char **why)
{
    struct etcd_watch_message m = {0};
    struct etcd_document d;
    int rc = load(&d, body, size, why);
    const json_t *error = json_object_get(d.root, "error");

    if (rc == 0 && error) {
        m.failed = true;
        take_message(error, m.reason, sizeof(m.reason));
    } else if (rc == 0) {
        rc = take_result(json_object_get(d.root, "result"), &m, why);
    }
    etcd_document_finish(&d);
    if (rc == 0)
        *ret = m;
    return rc;
}

int etcd_take_token(const char *body, size_t size, char **ret_token, const char **why)
{
    struct etcd_document d;
    struct etcd_text token = {0};
    int rc = load(&d, body, size, why);

    if (rc == 0 && (etcd_document_string(&d, json_object_get(d.root, "token"), &token) < 0 || !token.size))
        rc = refuse(why, "it has no token");
    char *copy = rc == 0 ? strndup(token.text, token.size) : NULL;
    etcd_document_finish(&d);
    if (copy)
        *ret_token = copy;
    return copy ? 0 : rc < 0 ? rc : -ENOMEM;
}

int etcd_take_lease(const char *body, size_t size, int64_t *ret_lease, int64_t *ret_ttl, const char **why)
{
    struct etcd_document d;
    int64_t lease = 0, ttl = 0;
    int rc = load(&d, body, size, why);
    const json_t *result = json_object_get(d.root, "result"); /* of a keep-alive, which is a stream */
    const json_t *answer = result ? result : d.root;

    if (rc == 0)
        rc = take_int(answer, "ID", &lease, why);
    if (rc == 0)
        rc = take_int(answer, "TTL", &ttl, why);
    etcd_document_finish(&d);
    if (rc == 0) {
        *ret_lease = lease;
        *ret_ttl = ttl;
    }
    return rc;
}

void etcd_take_error(const char *body, size_t size, char *ret, size_t room)
{
    struct etcd_document d;

    if (etcd_document_read(&d, body, size) < 0) {
        size_t length = strcspn(body, "\r\n");
        snprintf(ret, room, "%.*s", (int)(length < 100 ? length : 100), body);
    } else {
        const json_t *error = json_object_get(d.root, "error");
        take_message(error ? error : d.root, ret, room);
    }
    etcd_document_finish(&d);
}

bool etcd_is_old(const char *body, size_t size)
{
    struct etcd_document d;
    int major = 0, minor = 0;

    etcd_document_read(&d, body, size);
    const char *version = json_string_value(json_object_get(d.root, "etcdserver"));
    bool old =
        version && sscanf(version, "%d.%d", &major, &minor) == 2 && (major < 3 || (major == 3 && minor < 4));
    etcd_document_finish(&d);
    return old;
}

void etcd_snapshot_clear(struct etcd_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        free(snapshot->kvs[i].key);
        free(snapshot->kvs[i].value);
    }
    free(snapshot->kvs);
    *snapshot = (struct etcd_snapshot){0};
}
