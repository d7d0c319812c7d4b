/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of loaded plugins: where they are searched for, and what is there. Owns the loaded plugins.
 * Control thread.
 */
#include "plugin.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "option.h"
#include "plugin_file.h"

struct registry {
    char **dirs;
    size_t dir_count;
    struct plugin **plugins;
    size_t plugin_count;
    struct plugin **former; /* of the registry before, while this one takes over */
    size_t former_count;
    bool failed; /* memory was short while the directories were put together */
};

/* -- Directories -- */

static void add_dir(struct registry *registry, const char *path, size_t length, const char *below)
{
    char **dirs = realloc(registry->dirs, (registry->dir_count + 1) * sizeof *dirs);
    if (dirs)
        registry->dirs = dirs;
    char *dir = plugin_message("%.*s%s", (int)length, path, below);
    if (!dirs || !dir) {
        registry->failed = true;
        free(dir);
        return;
    }
    dirs[registry->dir_count++] = dir;
}

static void add_dirs(struct registry *registry, const char *list)
{
    while (list && *list) {
        size_t length = strcspn(list, ":");
        if (length)
            add_dir(registry, list, length, "");
        list += length + (list[length] == ':');
    }
}

static void add_own_dirs(struct registry *registry)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return;
    path[length] = '\0';
    const char *directory = dirname(path);
    add_dir(registry, directory, strlen(directory), "");
    add_dir(registry, directory, strlen(directory), "/plugins");
    add_dir(registry, directory, strlen(directory), "/" WEIR_PLUGIN_RELATIVE);
}

struct registry *registry_create(const char *dirs)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return NULL;
    add_dirs(registry, secure_getenv("WEIR_PLUGIN_PATH"));
    add_dirs(registry, dirs);
    add_own_dirs(registry);
    add_dirs(registry, WEIR_PLUGIN_DIR);
    if (registry->failed) {
        registry_destroy(registry);
        return NULL;
    }
    return registry;
}

void registry_each_dir(const struct registry *registry, void (*fn)(void *data, const char *path), void *data)
{
    for (size_t i = 0; i < registry->dir_count; i++)
        fn(data, registry->dirs[i]);
}

struct registry *registry_renew(const struct registry *former, const char *dirs)
{
    struct registry *registry = registry_create(dirs);
    if (!registry)
        return NULL;
    registry->former = calloc(former->plugin_count + 1, sizeof(struct plugin *));
    if (!registry->former) {
        registry_destroy(registry);
        return NULL;
    }
    for (size_t i = 0; i < former->plugin_count; i++) {
        plugin_ref(former->plugins[i]);
        registry->former[registry->former_count++] = former->plugins[i];
    }
    return registry;
}

void registry_settle(struct registry *registry)
{
    for (size_t i = 0; i < registry->former_count; i++)
        plugin_unref(registry->former[i]);
    free(registry->former);
    registry->former = NULL;
    registry->former_count = 0;
}

void registry_clear(struct registry *registry)
{
    registry_settle(registry);
    for (size_t i = 0; i < registry->plugin_count; i++)
        plugin_unref(registry->plugins[i]);
    registry->plugin_count = 0;
}

void registry_destroy(struct registry *registry)
{
    if (!registry)
        return;
    registry_clear(registry);
    for (size_t i = 0; i < registry->dir_count; i++)
        free(registry->dirs[i]);
    free(registry->plugins);
    free(registry->dirs);
    free(registry);
}

/* -- Loading -- */

const struct plugin *registry_at(const struct registry *registry, size_t index)
{
    return index < registry->plugin_count ? registry->plugins[index] : NULL;
}

static const struct plugin *find_loaded(const struct registry *registry, enum weir_kind kind,
                                        const char *name)
{
    for (size_t i = 0; i < registry->plugin_count; i++) {
        const struct plugin *plugin = registry->plugins[i];
        if (plugin->api.kind == kind && !strcmp(plugin->api.name, name))
            return plugin;
    }
    return NULL;
}

const struct plugin *registry_load(struct registry *registry, const char *path, char **ret_error)
{
    struct plugin **plugins =
        realloc(registry->plugins, (registry->plugin_count + 1) * sizeof(struct plugin *));
    if (plugins)
        registry->plugins = plugins;
    struct plugin *plugin = plugin_file_open(path, registry->former, registry->former_count, ret_error);
    if (!plugin)
        return NULL;
    const struct plugin *other = find_loaded(registry, plugin->api.kind, plugin->api.name);
    if (!plugins || other) {
        *ret_error = !plugins
                         ? plugin_message("%s: no memory", path)
                         : plugin_message("%s: the %s '%s' is loaded already, from %s", path,
                                          plugin_kind_name(plugin->api.kind), plugin->api.name, other->path);
        plugin_unref(plugin);
        return NULL;
    }
    plugins[registry->plugin_count++] = plugin;
    return plugin;
}

static const char *prefix_of(enum weir_kind kind)
{
    return kind == WEIR_INPUT ? "in_" : "out_";
}

static const struct plugin *load_from(struct registry *registry, const char *dir, enum weir_kind kind,
                                      const char *name, char **ret_error)
{
    char *path = plugin_message("%s/%s%s.so", dir, prefix_of(kind), name);
    const struct plugin *plugin = path ? registry_load(registry, path, ret_error) : NULL;
    if (plugin && (plugin->api.kind != kind || strcmp(plugin->api.name, name) != 0)) {
        *ret_error = plugin_message("%s: holds the %s '%s', not the %s '%s'", plugin->path,
                                    plugin_kind_name(plugin->api.kind), plugin->api.name,
                                    plugin_kind_name(kind), name);
        plugin = NULL; /* it stays loaded under its own name, which does no harm */
    }
    if (!path)
        *ret_error = NULL;
    free(path);
    return plugin;
}

static bool is_there(const char *dir, enum weir_kind kind, const char *name)
{
    char *path = plugin_message("%s/%s%s.so", dir, prefix_of(kind), name);
    bool there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

/* -- Names -- */

struct names {
    char **items;
    size_t count;
};

static void add_name(struct names *names, const char *text, size_t length)
{
    char **items = realloc(names->items, (names->count + 1) * sizeof *items);
    if (!items)
        return;
    names->items = items;
    items[names->count] = strndup(text, length);
    names->count += items[names->count] != NULL;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

/* The names of the plugins of that kind that the directory holds, by its files' names. */
static void add_names_of(struct names *names, const char *dir, enum weir_kind kind)
{
    const char *prefix = prefix_of(kind);
    size_t prefix_length = strlen(prefix);
    DIR *opened = opendir(dir);
    for (struct dirent *entry; opened && (entry = readdir(opened));) {
        size_t length = strlen(entry->d_name);
        if (length <= prefix_length + 3 || strncmp(entry->d_name, prefix, prefix_length) != 0 ||
            strcmp(entry->d_name + length - 3, ".so") != 0)
            continue;
        add_name(names, entry->d_name + prefix_length, length - prefix_length - 3);
    }
    if (opened)
        closedir(opened);
}

static struct names names_of(const struct registry *registry, enum weir_kind kind)
{
    struct names names = {0};
    for (size_t i = 0; i < registry->plugin_count; i++)
        if (registry->plugins[i]->api.kind == kind)
            add_name(&names, registry->plugins[i]->api.name, strlen(registry->plugins[i]->api.name));
    for (size_t i = 0; i < registry->dir_count; i++)
        add_names_of(&names, registry->dirs[i], kind);
    if (names.count)
        qsort(names.items, names.count, sizeof *names.items, compare_names);
    return names;
}

static bool has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (!strcmp(names->items[i], name))
            return true;
    return false;
}

static char *unknown_text(const struct registry *registry, enum weir_kind kind, const char *name)
{
    enum weir_kind other = kind == WEIR_INPUT ? WEIR_OUTPUT : WEIR_INPUT;
    struct names same = names_of(registry, kind), others = names_of(registry, other);
    const char *nearest = problem_nearest(name, (const char *const *)same.items, same.count);
    char *text;
    if (has_name(&others, name))
        text = plugin_message("there is no %s '%s'; it is an %s", plugin_kind_name(kind), name,
                              plugin_kind_name(other));
    else if (nearest)
        text =
            plugin_message("there is no %s '%s'; did you mean '%s'?", plugin_kind_name(kind), name, nearest);
    else
        text = plugin_message("there is no %s '%s'; weir plugins lists what there is", plugin_kind_name(kind),
                              name);
    free_names(&same);
    free_names(&others);
    return text;
}

const struct plugin *registry_find(struct registry *registry, enum weir_kind kind, const char *name,
                                   char **ret_error)
{
    char lower[64];
    size_t length = 0;
    for (; name[length] && length < sizeof lower - 1; length++)
        lower[length] = (char)tolower((unsigned char)name[length]);
    lower[length] = '\0';
    if (!name[length] && plugin_is_name(lower)) { /* else it might be a path, of somebody else's choosing */
        const struct plugin *plugin = find_loaded(registry, kind, lower);
        if (plugin)
            return plugin;
        for (size_t i = 0; i < registry->dir_count; i++)
            if (is_there(registry->dirs[i], kind, lower))
                return load_from(registry, registry->dirs[i], kind, lower, ret_error);
    }
    *ret_error = unknown_text(registry, kind, name);
    return NULL;
}

/* -- Printing -- */

/* Loads every plugin of that kind that the directories hold; says on `file` which could not be. */
static void load_all(struct registry *registry, FILE *file, enum weir_kind kind)
{
    struct names names = names_of(registry, kind);
    for (size_t i = 0; i < names.count; i++) {
        char *error = NULL;
        if ((i && !strcmp(names.items[i], names.items[i - 1])) ||
            registry_find(registry, kind, names.items[i], &error))
            continue;
        fprintf(file, "not loaded: %s\n", error ? error : "no memory");
        free(error);
    }
    free_names(&names);
}

static void print_line(FILE *file, const struct plugin *plugin)
{
    const struct weir_plugin *api = &plugin->api;
    fprintf(file, "%-6s %-16s %-8s %s\n", plugin_kind_name(api->kind), api->name,
            api->version ? api->version : "-", api->summary ? api->summary : "");
}

static void print_manual(FILE *file, const struct plugin *plugin)
{
    const struct weir_plugin *api = &plugin->api;
    fprintf(file, "%s, %s plugin, version %s\n", api->name, plugin_kind_name(api->kind),
            api->version ? api->version : "not said");
    if (api->summary)
        fprintf(file, "%s\n", api->summary);
    fprintf(file, "%s\n\n", plugin->path);
    if (!api->options || !option_row(api->options, api->option_size, 0).name)
        fputs("It has no options of its own.\n", file);
    else
        option_print(file, api->options, api->option_size);
}

static int print_named(struct registry *registry, FILE *file, const char *name)
{
    static const enum weir_kind kinds[] = {WEIR_INPUT, WEIR_OUTPUT};
    bool found = false;
    for (size_t i = 0; i < 2; i++) {
        char *error = NULL;
        const struct plugin *plugin = registry_find(registry, kinds[i], name, &error);
        if (plugin && found)
            fputc('\n', file);
        if (plugin)
            print_manual(file, plugin);
        found |= plugin != NULL;
        free(error);
    }
    return found ? 0 : -ENOENT;
}

/* Why the first file with that name was refused, or NULL. */
static char *why_refused(struct registry *registry, const char *name)
{
    static const enum weir_kind kinds[] = {WEIR_INPUT, WEIR_OUTPUT};
    char *error = NULL;
    for (size_t i = 0; !error && i < 2 && plugin_is_name(name); i++) {
        bool there = false;
        for (size_t j = 0; !there && j < registry->dir_count; j++)
            there = is_there(registry->dirs[j], kinds[i], name);
        if (there)
            registry_find(registry, kinds[i], name, &error);
    }
    return error;
}

char *registry_why_not(struct registry *registry, const char *name)
{
    char *error = why_refused(registry, name);
    if (error)
        return error;
    struct names inputs = names_of(registry, WEIR_INPUT), outputs = names_of(registry, WEIR_OUTPUT);
    for (size_t i = 0; i < outputs.count; i++)
        add_name(&inputs, outputs.items[i], strlen(outputs.items[i]));
    const char *nearest = problem_nearest(name, (const char *const *)inputs.items, inputs.count);
    if (nearest)
        error = plugin_message("there is no plugin '%s'; did you mean '%s'?", name, nearest);
    else
        error = plugin_message("there is no plugin '%s'; weir plugins lists what there is", name);
    free_names(&inputs);
    free_names(&outputs);
    return error;
}

int registry_print(struct registry *registry, FILE *file, const char *name)
{
    static const enum weir_kind kinds[] = {WEIR_INPUT, WEIR_OUTPUT};
    if (name)
        return print_named(registry, file, name);
    for (size_t i = 0; i < 2; i++) {
        load_all(registry, file, kinds[i]);
        for (size_t j = 0; j < registry->plugin_count; j++)
            if (registry->plugins[j]->api.kind == kinds[i])
                print_line(file, registry->plugins[j]);
    }
    return 0;
}
