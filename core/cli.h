/* SPDX-License-Identifier: Apache-2.0 */
/* weir's command line, read into what is to be done. Control thread. */
#ifndef WEIR_CORE_CLI_H
#define WEIR_CORE_CLI_H

#include <stdbool.h>
#include <stdio.h>
#include "config.h"
#include "problem.h"

enum cli_command {
    CLI_RUN,
    CLI_CHECK,
    CLI_PLUGINS,
    CLI_STATUS,
    CLI_RELOAD,
    CLI_NEW_PLUGIN, /* these two read their arguments, argv[2] and on, themselves */
    CLI_CHECK_PLUGIN,
    CLI_VERSION,
    CLI_HELP
};

struct cli {
    int argc; /* as they were given */
    char **argv;
    enum cli_command command;
    const char *config_path; /* -c, or NULL */
    struct config *config;   /* of -i, -o, -p, -m, -s; not finished yet. NULL where there is a config_path */
    const char *plugin;      /* PLUGINS: the name to document, or NULL */
    bool json;               /* STATUS: as it is, no table */
    const char **files;      /* -e: more plugin files */
    size_t file_count;
};

/*
 * Reads the arguments; strings in *ret point into argv. 0, -EINVAL after adding to problems, or -ENOMEM.
 * cli_finish in any case.
 */
int cli_parse(int argc, char **argv, struct cli *ret, struct problems *);
void cli_finish(struct cli *);

void cli_print_help(FILE *);

#endif
