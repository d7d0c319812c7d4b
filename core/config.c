/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration in memory and the one that the command line builds. Owns everything through its arena.
 * Control thread.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "config_private.h"

static const struct origin command_line = {.file = "command line"};

struct config *config_new(void)
{
    struct arena *arena = arena_create();
    struct config *config = calloc(1, sizeof *config);
    struct config_private *private = arena ? arena_alloc(arena, sizeof *private) : NULL;
    if (!config || !private) {
        free(config);
        arena_destroy(arena);
        return NULL;
    }
    private->arena = arena;
    private->command_line = true;
    private->service.origin = command_line;
    config->arena = private;
    return config;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    option_free(config_private(config)->service_memory);
    arena_destroy(config_private(config)->arena);
    free(config);
}

struct section *config_append_section(struct config *config, bool output)
{
    struct section **list = output ? &config->outputs : &config->inputs;
    size_t *count = output ? &config->output_count : &config->input_count;
    struct section *grown = arena_grow(config_private(config)->arena, *list, *count, sizeof **list);
    if (!grown)
        return NULL;
    *list = grown;
    grown[*count] = (struct section){0};
    return &grown[(*count)++];
}

struct setting *config_append_setting(struct config *config, struct section *section, const char *name,
                                      const struct origin *origin)
{
    struct arena *arena = config_private(config)->arena;
    struct setting *grown = arena_grow(arena, section->settings, section->count, sizeof *grown);
    char *copy = arena_strdup(arena, name);
    if (!grown || !copy)
        return NULL;
    section->settings = grown;
    grown[section->count] = (struct setting){.name = copy, .origin = *origin};
    return &grown[section->count++];
}

void config_append_value(struct config *config, struct setting *setting, const char *value)
{
    struct arena *arena = config_private(config)->arena;
    char **grown = arena_grow(arena, setting->values, setting->count, sizeof *grown);
    char *copy = arena_strdup(arena, value);
    if (!grown || !copy)
        return;
    setting->values = grown;
    grown[setting->count++] = copy;
}

void config_append_plugin(struct config *config, const char *path, const struct origin *origin)
{
    struct arena *arena = config_private(config)->arena;
    size_t count = config->plugin_count;
    char **paths = arena_grow(arena, config->plugins, count, sizeof *paths);
    struct origin *origins = arena_grow(arena, config->plugin_origins, count, sizeof *origins);
    char *copy = arena_strdup(arena, path);
    if (paths)
        config->plugins = paths;
    if (origins)
        config->plugin_origins = origins;
    if (!paths || !origins || !copy)
        return;
    paths[count] = copy;
    origins[count] = *origin;
    config->plugin_count++;
}

const struct setting *section_get(const struct section *section, const char *name)
{
    for (size_t i = 0; i < section->count; i++)
        if (!strcasecmp(section->settings[i].name, name))
            return &section->settings[i];
    return NULL;
}

struct origin section_origin(const struct section *section, const char *name)
{
    const struct setting *setting = section_get(section, name);
    return setting ? setting->origin : section->origin;
}

/* -- The command line -- */

static void add_setting(struct config *config, struct section *section, const char *name, const char *value)
{
    struct setting *setting = config_append_setting(config, section, name, &command_line);
    if (setting)
        config_append_value(config, setting, value);
}

/* "key=value" into `section`; `flag` names it in messages. The value may be a secret: it is never shown. */
static void add_pair(struct config *config, struct section *section, const char *flag, const char *text,
                     struct problems *problems)
{
    size_t name_length = strcspn(text, "=");
    if (!name_length || !text[name_length]) {
        size_t shown = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
        problem_error(problems, &command_line, "%s '%.*s%s' wants a value, as in %s KEY=VALUE", flag,
                      (int)shown, text, text[shown] ? "…" : "", flag);
        return;
    }
    char *name = arena_strndup(config_private(config)->arena, text, name_length);
    if (name)
        add_setting(config, section, name, text + name_length + 1);
}

static struct section *last_section(struct config *config)
{
    switch (config_private(config)->last) {
    case 'i':
        return &config->inputs[config->input_count - 1];
    case 'o':
        return &config->outputs[config->output_count - 1];
    default:
        return NULL;
    }
}

static void begin_section(struct config *config, char kind, const char *name)
{
    struct section *section = config_append_section(config, kind == 'o');
    if (!section)
        return;
    section->origin = command_line;
    config_private(config)->last = kind;
    add_setting(config, section, "name", name);
}

static void add_property(struct config *config, const char *text, struct problems *problems)
{
    struct section *section = last_section(config);
    if (section)
        add_pair(config, section, "-p", text, problems);
    else
        problem_error(problems, &command_line, "-p belongs after the -i or -o that it is for");
}

static void add_match(struct config *config, const char *text, struct problems *problems)
{
    if (config_private(config)->last == 'o')
        add_setting(config, last_section(config), "match", text);
    else
        problem_error(problems, &command_line, "-m belongs after the -o that it is for");
}

void config_add(struct config *config, char kind, const char *text, struct problems *problems)
{
    switch (kind) {
    case 'i':
    case 'o':
        begin_section(config, kind, text);
        break;
    case 'p':
        add_property(config, text, problems);
        break;
    case 'm':
        add_match(config, text, problems);
        break;
    case 's':
        add_pair(config, &config_private(config)->service, "-s", text, problems);
        break;
    case 'e':
        config_append_plugin(config, text, &command_line);
        break;
    default:
        problem_error(problems, &command_line, "no kind of setting is called '%c'", kind);
    }
}

static bool says_what_it_wants(const struct section *output)
{
    return section_get(output, "match") || section_get(output, "match_regex") ||
           section_get(output, "match_topic");
}

/* What is missing is only worth a word when nothing else is wrong: else it is most likely the consequence. */
static void check_complete(const struct config *config, const struct origin *whole, struct problems *problems)
{
    bool cli = config_private(config)->command_line;
    if (problems->errors)
        return;
    if (!config->input_count)
        problem_error(problems, whole,
                      cli ? "there is no input: name one with -i, as in -i tail -p path=FILE"
                          : "there is no input: list at least one under pipeline: inputs:");
    else if (!config->output_count)
        problem_error(problems, whole,
                      cli ? "there is no output: name one with -o, as in -o stdout"
                          : "there is no output: list at least one under pipeline: outputs:");
}

static void each_secret_file(const struct section *section, void (*fn)(void *data, const char *path),
                             void *data)
{
    static const char scheme[] = "file:///";
    for (size_t i = 0; i < section->count; i++)
        for (size_t j = 0; j < section->settings[i].count; j++)
            if (!strncmp(section->settings[i].values[j], scheme, sizeof scheme - 1))
                fn(data, section->settings[i].values[j] + sizeof scheme - 2);
}

void config_each_secret_file(const struct config *config, void (*fn)(void *data, const char *path),
                             void *data)
{
    each_secret_file(&config_private(config)->service, fn, data);
    for (size_t i = 0; i < config->input_count; i++)
        each_secret_file(&config->inputs[i], fn, data);
    for (size_t i = 0; i < config->output_count; i++)
        each_secret_file(&config->outputs[i], fn, data);
}

void config_finish(struct config *config, struct problems *problems)
{
    struct config_private *private = config_private(config);
    const struct origin whole = {.file = private->service.origin.file};
    for (size_t i = 0; private->command_line && i < config->output_count; i++)
        if (!says_what_it_wants(&config->outputs[i]))
            add_setting(config, &config->outputs[i], "match", "*");
    config_parse_service(config, problems);
    check_complete(config, &whole, problems);
    if (arena_failed(private->arena))
        problem_error(problems, NULL, "not enough memory for the configuration");
}
