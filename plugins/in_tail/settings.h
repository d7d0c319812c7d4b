/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the options say, but for the paths to follow: thousands of inputs say the same there, and share it. On
 * control; what is in it does not change, so any thread may look.
 */
#ifndef TAIL_SETTINGS_H
#define TAIL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>
#include "glob.h"
#include "lines.h"
#include "list.h"
#include "table.h"

/* As the option table (options.c) fills it in. */
struct tail_config {
    struct weir_list path, exclude_path, allow_path, multiline_parser, types;
    const char *key, *path_key, *offset_key, *include_regex, *exclude_regex, *encoding;
    const char *start_pattern, *parser, *regex, *time_key, *time_format;
    bool time_keep, preserve_key;
    uint64_t flush_timeout;
    bool read_from_head, skip_empty_lines, skip_long_lines, exit_on_eof, inotify_watcher;
    uint64_t forget_after, refresh_interval, rotate_wait, poll_interval, ignore_older, close_inactive;
    int64_t max_open_files;
    uint64_t buffer_max_size, buffer_chunk_size;
    int long_lines;
    int compression; /* enum tail_compression */
};

enum tail_compression { TAIL_AUTO, TAIL_NONE, TAIL_GZIP };

extern const struct weir_option tail_options[];

struct tail_settings {
    struct tail_table_node node;
    size_t references;
    struct tail_config config; /* without `path` */
    struct tail_format format; /* without filter and encoding, which are not for several threads */
    struct tail_glob *allow;   /* where files may really be, or NULL: anywhere */
    size_t size;
    char said[]; /* all of it as bytes, by which it is known again; config points into it */
};

/* Those with the same options, or new ones. NULL and errno: ENOMEM, EINVAL for an empty text in allow_path.
 */
struct tail_settings *tail_settings_get(const struct tail_config *);
void tail_settings_unref(struct tail_settings *); /* takes NULL */

/* Those that a configuration is part of. */
static inline struct tail_settings *tail_settings_of(const struct tail_config *config)
{
    return TAIL_OF(config, struct tail_settings, config);
}

#endif
