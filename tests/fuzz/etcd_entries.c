/* SPDX-License-Identifier: Apache-2.0 */
/* A key's value in etcd: each entry is good with a path in an allowed place, or is refused with a reason. */
#include "fuzz.h"

#include <errno.h>
#include "entries.h"

/* Where a wildcard leads is judged on the opened file, by in_tail. */
static void check_paths(const char *paths)
{
    char *copy = strdup(paths), *rest = copy, *path;
    FUZZ_CHECK(copy);
    while ((path = strsep(&rest, ","))) {
        path += strspn(path, " \t");
        FUZZ_CHECK(!*path || (*path == '/' && !strstr(path, "/../")));
        FUZZ_CHECK(!*path || strpbrk(path, "*?[") || !strncmp(path + strspn(path, "/"), "var/", 4));
    }
    free(copy);
}

static void check_entry(const struct etcd_entry *entry)
{
    struct weir_setting settings[ETCD_MOST_SETTINGS];
    char origin[64];
    FUZZ_CHECK(etcd_entry_origin_room(entry) <= sizeof origin);
    FUZZ_CHECK(etcd_entry_origin(entry, origin) == strlen(origin));
    if (etcd_entry_refusal(entry)) {
        FUZZ_CHECK(*etcd_entry_refusal(entry));
        return;
    }
    check_paths(etcd_entry_path(entry));
    FUZZ_CHECK(etcd_entry_settings(entry, settings) == etcd_entry_count(entry));
    for (size_t i = 0; i < etcd_entry_count(entry); i++) {
        FUZZ_CHECK(strcasecmp(settings[i].name, "allow_path") != 0);
    }
}

/* However the list was cut, it is what the JSON parser makes of the whole. */
static void check_whole(const char *value, size_t size, int r, const struct etcd_entries *entries)
{
    json_t *root = json_loadb(value, size, JSON_ALLOW_NUL, NULL);
    if (r == 0) {
        FUZZ_CHECK(json_is_object(root) ? entries->count == 1
                                        : json_is_array(root) && json_array_size(root) == entries->count);
    } else {
        FUZZ_CHECK(r != -EINVAL || (!json_is_object(root) && !json_is_array(root)));
    }
    json_decref(root);
}

/* The same value again gives the same entries, and does not read them anew but where two are written the
 * same. */
static void check_again(const char *value, size_t size, const struct etcd_rules *rules,
                        const struct etcd_entries *first)
{
    const struct etcd_value before = {value, size, first};
    struct etcd_entries entries;
    char *why = NULL;
    FUZZ_CHECK(etcd_entries_read("key", value, size, rules, &before, &entries, &why) == 0);
    FUZZ_CHECK(entries.count == first->count);
    for (size_t i = 0; i < entries.count; i++) {
        const struct etcd_entry *a = entries.items[i], *b = first->items[i];
        FUZZ_CHECK(etcd_entry_same(a, b) && a->number == i + 1);
        FUZZ_CHECK(!etcd_entry_refusal(a) == !etcd_entry_refusal(b));
        check_entry(a);
    }
    etcd_entries_clear(&entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const allowed[] = {"/var/log/**"};
    static const struct weir_list allow_path = {allowed, 1};
    const struct etcd_rules rules = {&allow_path, "tag"};
    struct etcd_entries entries;
    char *why = NULL;
    /* as gateway.c gives it: with a NUL behind it */
    char *value = malloc(size + 1);
    FUZZ_CHECK(value);
    if (size) {
        memcpy(value, data, size);
    }
    value[size] = 0;
    int r = etcd_entries_read("key", value, size, &rules, NULL, &entries, &why);
    check_whole(value, size, r, &entries);
    if (r == 0) {
        for (size_t i = 0; i < entries.count; i++) {
            check_entry(entries.items[i]);
        }
        check_again(value, size, &rules, &entries);
        etcd_entries_clear(&entries);
    } else {
        FUZZ_CHECK(r == -ENOMEM || (r == -EINVAL && why && *why));
    }
    free(why);
    free(value);
    return 0;
}
