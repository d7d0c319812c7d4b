/* SPDX-License-Identifier: Apache-2.0 */
/* The state as JSON. Texts that are refused may come from anywhere, so what is no UTF-8 is replaced. */
#include "details.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weir/json.h>

/* Any bytes as a JSON string. */
static json_t *any_string(const char *text)
{
    struct weir_json json = {0};
    json_t *value = json_string(text);

    if (!value && weir_json_string(&json, text, strlen(text)) == 0)
        value = json_loadb(json.data, json.size, JSON_DECODE_ANY, NULL);
    weir_json_finish(&json);
    return value;
}

/* "key[3]" is shown as the key and the entry's number, a key alone as the key. */
static json_t *refused_json(const struct etcd_refused *r)
{
    const char *bracket = strrchr(r->key, '[');
    json_t *json = json_object();

    if (bracket) {
        json_object_set_new(json, "key", json_stringn(r->key, (size_t)(bracket - r->key)));
        json_object_set_new(json, "entry", json_integer(strtoll(bracket + 1, NULL, 10)));
    } else {
        json_object_set_new(json, "key", any_string(r->key));
    }
    json_object_set_new(json, "error", any_string(r->error));
    return json;
}

json_t *etcd_details_json(const struct etcd_follow *follow, const struct etcd_set *set, uint64_t limit)
{
    size_t count;
    const struct etcd_refused *refused = etcd_set_refused(set, &count);
    json_t *list = json_array();

    for (size_t i = 0; i < count && i < limit; i++)
        json_array_append_new(list, refused_json(&refused[i]));
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:o}", "connected", etcd_follow_connected(follow), "revision",
                     (json_int_t)etcd_follow_revision(follow), "applied_revision",
                     (json_int_t)etcd_set_applied(set), "entries", (json_int_t)etcd_set_count(set),
                     "refused_entries", (json_int_t)count, "refused", list);
}

int etcd_details_write(const struct etcd_follow *follow, const struct etcd_set *set,
                       const struct weir_details *d)
{
    json_t *json = etcd_details_json(follow, set, d->limit);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    if (text)
        d->write(d->data, text + 1, strlen(text) - 2);
    json_decref(json);
    free(text);
    return text ? 0 : -ENOMEM;
}
