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
    FUZZ_CHECK(entry->origin);
    if (entry->refusal) {
        FUZZ_CHECK(*entry->refusal);
        return;
    }
    FUZZ_CHECK(entry->path && entry->topic);
    check_paths(entry->path);
    for (size_t i = 0; i < entry->count; i++) {
        FUZZ_CHECK(entry->settings[i].name && entry->settings[i].value);
        FUZZ_CHECK(strcasecmp(entry->settings[i].name, "allow_path") != 0);
    }
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
    int r = etcd_entries_read("key", value, size, &rules, &entries, &why);
    if (r == 0) {
        for (size_t i = 0; i < entries.count; i++) {
            check_entry(entries.items[i]);
        }
        etcd_entries_clear(&entries);
    } else {
        FUZZ_CHECK(r == -ENOMEM || (r == -EINVAL && why && *why));
    }
    free(why);
    free(value);
    return 0;
}
