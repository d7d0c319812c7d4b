/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration as it was written: YAML (Fluent Bit's schema, DESIGN section 5) or the command line
 * turned into sections of named settings, each with its place. Knows no option of any plugin.
 */
#ifndef WEIR_CORE_CONFIG_H
#define WEIR_CORE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include "problem.h"

/* `tag: x` has one value, `[a, b]` has two and is_list, a nested map becomes settings with dotted names. */
struct setting {
    char *name;
    char **values;
    size_t count;
    bool is_list;
    bool expanded; /* something of it is a variable's value */
    struct origin origin;
};

/* One input, one output, or the service section. */
struct section {
    struct setting *settings;
    size_t count;
    struct origin origin; /* of its `name`, or where it begins */
};

/* The settings of the whole process, out of the `service` section. */
struct service {
    int log_level;         /* of enum weir_log_level, 0 off */
    int log_format;        /* enum log_format */
    const char *log_file;  /* NULL: standard error */
    const char *data_dir;  /* NULL or "": positions are not kept */
    uint64_t grace;        /* ns */
    int64_t input_threads; /* 1 to 64 */
    const char *plugin_dir;
    uint64_t memory_limit;          /* bytes of all chunks together */
    uint64_t checkpoint_interval;   /* ns */
    uint64_t retry_base, retry_cap; /* ns: scheduler.base, scheduler.cap */
    uint64_t watchdog;              /* ns that a callback may take before the log names it; 0: any */
    bool http_server;
    const char *http_listen; /* a name, an address, or unix:PATH */
    int64_t http_port;       /* 1 to 65535 */
    const char *http_token;  /* NULL: none is asked for */
    struct weir_list http_hosts;
    const char *user, *group; /* what weir becomes; NULL: it stays what it was started as */
    struct weir_list keep_capabilities;
    bool sandbox;
    struct weir_list sandbox_read, sandbox_write;
};

struct config {
    struct service service;
    char **plugins; /* paths of third-party plugins */
    struct origin *plugin_origins;
    size_t plugin_count;
    struct section *inputs, *outputs; /* each section has a setting `name` */
    size_t input_count, output_count;
    const char **files; /* that were read, and the patterns of what was included */
    size_t file_count;
    void *arena; /* owns every string above */
};

/*
 * Reads a file with its includes. Always returns a configuration or NULL for want of memory; what is wrong
 * with it is added to `problems`, and a configuration with errors must not be run. A file that can't be
 * opened is a problem, too.
 */
struct config *config_load(const char *path, struct problems *);

/* An empty configuration for the command line: config_finish completes it. NULL: no memory. */
struct config *config_new(void);
/*
 * kind 'i' or 'o': begins a section of plugin `text`; 'p': adds "key=value" to the last one; 'm': sets the
 * match of the last one, an output; 's': a service setting "key=value"; 'e': one more plugin file. Texts are
 * copied, ${…} in them is kept.
 */
void config_add(struct config *, char kind, const char *text, struct problems *);
/*
 * Parses the service section, and says what is missing (no inputs, no outputs). An output of the command line
 * that says nothing of what it wants gets `match *`. config_load has done it.
 */
void config_finish(struct config *, struct problems *);

void config_free(struct config *); /* takes NULL */

/* Every path of a file that some setting's value is read from: file:///PATH. */
void config_each_secret_file(const struct config *, void (*fn)(void *data, const char *path), void *data);

/* The section's setting of that name (case ignored), or NULL. */
const struct setting *section_get(const struct section *, const char *name);
/* Where that setting stands, or, without it, the section. */
struct origin section_origin(const struct section *, const char *name);

/* The option table of the service section, for `weir plugins` and the documents. */
extern const struct weir_option config_service_options[];

#endif
