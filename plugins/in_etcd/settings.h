/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of one etcd input, as its option table (options.c) fills them in. */
#ifndef ETCD_SETTINGS_H
#define ETCD_SETTINGS_H

#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>

struct etcd_settings {
    struct weir_list endpoints, key, allow_path;
    const char *prefix, *user, *password;
    const char *ca_file, *crt_file, *key_file;
    uint64_t connect_timeout, request_timeout; /* ns */
    uint64_t ping_interval, resync_interval;   /* ns */
    const char *status_key;
    uint64_t status_ttl; /* ns */
    bool emit_events;
    int64_t max_entries;
    uint64_t max_value_size; /* bytes of one key's value */
};

extern const struct weir_option etcd_options[];

/* Bytes that one answer of etcd, or one message of a watch, may have: all keys with their values, in base64.
 * Each value is measured by itself, against max_value_size. */
static inline size_t etcd_answer_max(const struct etcd_settings *s)
{
    const size_t least = (size_t)256 << 20, one = 2 * (size_t)s->max_value_size + (1u << 20);

    return one > least ? one : least;
}

#endif
