/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration from files: the sections at the top, included files, variables. Owns nothing
 * that outlives config_load but the configuration. Control thread.
 */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "config_file.h"
#include "config_private.h"

enum { DEEPEST_INCLUDE = 16 };

/* -- Other files -- */

/* `path` as seen from the file being read. `quote`: what glob would understand in the directory is quoted. */
static const char *relative(struct config_loader *loader, const char *path, bool quote)
{
    if (path[0] == '/' || !*loader->directory)
        return path;
    char *text =
        arena_alloc(config_private(loader->config)->arena, 2 * strlen(loader->directory) + strlen(path) + 1);
    if (!text)
        return NULL;
    char *out = text;
    for (const char *in = loader->directory; *in; in++) {
        if (quote && strchr("*?[]\\", *in))
            *out++ = '\\';
        *out++ = *in;
    }
    strcpy(out, path);
    return text;
}

static void load_plugins(struct config_loader *loader, const struct config_node *key,
                         const struct config_node *value)
{
    size_t count;
    const struct config_node *const *items = config_items_of(loader, key, &value, true, &count);
    for (size_t i = 0; items && i < count; i++) {
        const char *text = config_text_of(loader, items[i], "plugins");
        const char *path = text ? relative(loader, text, false) : NULL;
        if (path)
            config_append_plugin(loader->config, path, &items[i]->origin);
    }
}

static void load_file(struct config_loader *loader, const char *path, const struct origin *from);

/* A reload reads it again. Without memory the arena remembers, and the configuration is refused. */
static void keep_path(struct config_loader *loader, const char *path)
{
    struct config *config = loader->config;
    struct arena *arena = config_private(config)->arena;
    const char **grown = arena_grow(arena, config->files, config->file_count, sizeof *grown);
    const char *copy = arena_strdup(arena, path);
    if (!grown || !copy)
        return;
    config->files = grown;
    grown[config->file_count++] = copy;
}

static void include(struct config_loader *loader, const char *pattern, const struct origin *from)
{
    glob_t found;
    const char *full = relative(loader, pattern, true);
    if (!full)
        return;
    keep_path(loader, full);
    int r = glob(full, GLOB_ERR, NULL, &found);
    if (r == GLOB_NOMATCH && strpbrk(pattern, "*?["))
        return; /* an empty conf.d is nothing wrong */
    if (r) {
        int error = r == GLOB_NOSPACE ? ENOMEM : r == GLOB_NOMATCH ? ENOENT : errno;
        problem_error(loader->problems, from, "can't include '%s': %s", pattern, strerror(error));
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        load_file(loader, found.gl_pathv[i], from);
    globfree(&found);
}

static void load_includes(struct config_loader *loader, const struct config_node *key,
                          const struct config_node *value)
{
    size_t count;
    const struct config_node *const *items = config_items_of(loader, key, &value, true, &count);
    for (size_t i = 0; items && i < count; i++) {
        const char *pattern = config_text_of(loader, items[i], "includes");
        if (pattern)
            include(loader, pattern, &items[i]->origin);
    }
}

/* -- Variables -- */

static void load_variable(struct config_loader *loader, const struct config_node *name,
                          const struct config_node *value)
{
    struct config_private *private = config_private(loader->config);
    for (size_t i = 0; i < private->variable_count; i++) {
        const struct config_variable *other = &private->variables[i];
        if (strcmp(other->name, name->text))
            continue;
        problem_error(loader->problems, &name->origin, "the variable '%s' is set already, in %s line %u",
                      name->text, other->origin.file, other->origin.line);
        return;
    }
    const char *text = config_text_of(loader, value, name->text);
    struct config_variable *grown =
        arena_grow(private->arena, private->variables, private->variable_count, sizeof *grown);
    if (!text || !grown)
        return;
    private->variables = grown;
    grown[private->variable_count++] = (struct config_variable){name->text, text, name->origin};
}

static void load_env(struct config_loader *loader, const struct config_node *top)
{
    for (size_t i = 0; i < top->count; i += 2) {
        const struct config_node *value = top->items[i + 1];
        if (strcasecmp(top->items[i]->text, "env") || !config_expect_map(loader, top->items[i], value))
            continue;
        for (size_t j = 0; j < value->count; j += 2)
            load_variable(loader, value->items[j], value->items[j + 1]);
    }
}

/* -- A file -- */

static const char no_upstream[] = "is nothing that weir has: the servers are set at each output";
static const char no_parsers[] = "is nothing that weir has: it delivers lines as they are";
static const char no_customs[] = "is nothing that weir has: it runs inputs and outputs only";
static const char in_pipeline[] = "belongs below 'pipeline'";

static void load_top(struct config_loader *loader, const struct config_node *top)
{
    static const struct config_known_key keys[] = {
        {"service", config_load_service, NULL},
        {"pipeline", config_load_pipeline, NULL},
        {"plugins", load_plugins, NULL},
        {"includes", load_includes, NULL},
        {"env", NULL, NULL},
        {"parsers", NULL, no_parsers},
        {"multiline_parsers", NULL, no_parsers},
        {"processors", NULL, config_no_changes},
        {"filters", NULL, config_no_changes},
        {"customs", NULL, no_customs},
        {"upstream_servers", NULL, no_upstream},
        {"stream_processor", NULL, config_no_changes},
        {"inputs", NULL, in_pipeline},
        {"outputs", NULL, in_pipeline},
        {NULL, NULL, NULL},
    };
    if (top->kind != NODE_MAP) {
        problem_error(loader->problems, &top->origin,
                      "a configuration begins with a section such as 'service:'");
        return;
    }
    load_env(loader, top); /* first: wherever it stands in the file, all of the file may use it */
    config_load_keys(loader, top, keys, "at the top of the file");
}

static const char *directory_of(struct config_loader *loader, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? arena_strndup(config_private(loader->config)->arena, path, (size_t)(slash - path) + 1)
                 : "";
}

/* Refuses a file that is there twice: in a circle, or by two patterns. */
static bool is_new(struct config_loader *loader, struct config_file_id id, const char *path,
                   const struct origin *from)
{
    for (size_t i = 0; i < loader->file_count; i++) {
        if (loader->files[i].device != id.device || loader->files[i].inode != id.inode)
            continue;
        problem_error(loader->problems, from, "'%s' is included twice, or includes itself", path);
        return false;
    }
    struct config_file_id *grown =
        arena_grow(config_private(loader->config)->arena, loader->files, loader->file_count, sizeof *grown);
    if (!grown)
        return false;
    loader->files = grown;
    grown[loader->file_count++] = id;
    return true;
}

static void parse_file(struct config_loader *loader, const char *path, const struct config_file *file)
{
    const char *name = arena_strdup(config_private(loader->config)->arena, path);
    const char *outer = loader->directory;
    loader->directory = directory_of(loader, path);
    if (name && loader->directory) {
        const struct config_node *top = config_yaml_parse(config_private(loader->config)->arena, name,
                                                          file->text, file->size, loader->problems);
        if (top)
            load_top(loader, top);
    }
    loader->directory = outer;
}

static void load_file(struct config_loader *loader, const char *path, const struct origin *from)
{
    struct config_file file = {0};
    if (loader->depth == DEEPEST_INCLUDE) {
        problem_error(loader->problems, from, "files include files more than %d deep", DEEPEST_INCLUDE);
        return;
    }
    keep_path(loader, path);
    /* What the command line names may be a pipe; a pattern must not stop at one that it meets. */
    int r = config_file_read(path, loader->depth > 0, &file);
    if (r == -EFBIG)
        problem_error(loader->problems, from, "can't read '%s': it is larger than 16 MiB", path);
    else if (r == -EOPNOTSUPP)
        problem_error(loader->problems, from, "can't read '%s': it is no regular file", path);
    else if (r < 0)
        problem_error(loader->problems, from, "can't read '%s': %s", path, strerror(-r));
    loader->depth++;
    if (!r && is_new(loader, file.id, path, from))
        parse_file(loader, path, &file);
    loader->depth--;
    config_file_free(&file);
}

struct config *config_load(const char *path, struct problems *problems)
{
    struct config *config = config_new();
    if (!config)
        return NULL;
    struct config_private *private = config_private(config);
    private->command_line = false;
    private->service.origin = (struct origin){.file = arena_strdup(private->arena, path)};
    struct config_loader loader = {.config = config, .problems = problems, .directory = ""};
    load_file(&loader, path, NULL);
    config_finish(config, problems);
    return config;
}
