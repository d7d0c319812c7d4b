/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `config` share. Included by core/config*.c and their tests only. */
#ifndef WEIR_CORE_CONFIG_PRIVATE_H
#define WEIR_CORE_CONFIG_PRIVATE_H

#include "arena.h"
#include "config.h"
#include "config_file.h"
#include "option.h"

/* A variable of the `env` section. */
struct config_variable {
    const char *name, *value;
    struct origin origin;
};

/* Behind struct config's `arena`. */
struct config_private {
    struct arena *arena;
    struct option_memory *service_memory;
    struct section service;
    struct config_variable *variables;
    size_t variable_count;
    bool command_line;
    char last; /* on the command line: 'i', 'o', or 0 before any section */
};

static inline struct config_private *config_private(const struct config *config)
{
    return config->arena;
}

/* New, empty, at the end; NULL for want of memory, which the arena remembers. */
struct section *config_append_section(struct config *, bool output);
struct setting *config_append_setting(struct config *, struct section *, const char *name,
                                      const struct origin *);
void config_append_value(struct config *, struct setting *, const char *value);
void config_append_plugin(struct config *, const char *path, const struct origin *);

/* Fills config->service out of the service section. */
void config_parse_service(struct config *, struct problems *);

/* -- YAML (config_yaml.c) -- */

enum config_node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

/* A value of a file. Aliases point to the node they name; no node contains itself. */
struct config_node {
    enum config_node_kind kind;
    bool is_null;               /* SCALAR: nothing, ~ or null without quotes */
    const char *text;           /* SCALAR */
    uint32_t hash;              /* of text */
    struct config_node **items; /* LIST; MAP: a key (a SCALAR, not null), its value, a key, … */
    size_t count;               /* of items */
    size_t weight;              /* nodes in it, aliases expanded */
    struct origin origin;
};

/*
 * The one document in `text`, all of it in the arena. `path` must live as long as the arena. NULL after an
 * error that was added to problems.
 */
struct config_node *config_yaml_parse(struct arena *, const char *path, const char *text, size_t size,
                                      struct problems *);

/* -- Loading files (config_load.c) and what stands in them (config_section.c) -- */

struct config_loader {
    struct config *config;
    struct problems *problems;
    struct config_file_id *files; /* every file that was read */
    size_t file_count;
    unsigned depth;
    const char *directory; /* of the file being read, with its slash; "" for here */
};

typedef void (*config_load_fn)(struct config_loader *, const struct config_node *key,
                               const struct config_node *value);

/* A key that a place in the file may have. */
struct config_known_key {
    const char *name;
    config_load_fn load; /* NULL: read already, or not had */
    const char *missing; /* what to say of one that weir does not have here, though Fluent Bit may */
};

/* Says "'key' ..." of what only something that changes records would need. */
extern const char config_no_changes[];

/* Calls what loads each of the map's keys; others are refused, `where` says of which place. */
void config_load_keys(struct config_loader *, const struct config_node *map, const struct config_known_key *,
                      const char *where);
bool config_expect_map(struct config_loader *, const struct config_node *key,
                       const struct config_node *value);
/* The list's items, or NULL after an error. One value alone is a list of one where `single` says so. */
const struct config_node *const *config_items_of(struct config_loader *, const struct config_node *key,
                                                 const struct config_node *const *value, bool single,
                                                 size_t *ret_count);
/* The value of a scalar with its variables replaced, or NULL after an error. */
const char *config_text_of(struct config_loader *, const struct config_node *, const char *what);

void config_load_service(struct config_loader *, const struct config_node *key,
                         const struct config_node *value);
void config_load_pipeline(struct config_loader *, const struct config_node *key,
                          const struct config_node *value);

/* -- ${NAME} (config_env.c) -- */

/* `text` with its variables replaced; in the arena. NULL after an error that was added to problems, or no
 * memory. */
const char *config_expand(const struct config *, const char *text, const struct origin *, struct problems *);

#endif
