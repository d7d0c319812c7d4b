/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir: reads the command line and the configuration, sets up the log, and hands over to the engine. Control
 * thread. What is wrong before the engine runs is printed on standard error, a line each.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "ask.h"
#include "cli.h"
#include "config.h"
#include "engine.h"
#include "input.h"
#include "kit.h"
#include "log.h"
#include "option.h"
#include "output.h"
#include "plugin.h"
#include "privileges.h"
#include "problem.h"
#include "signals.h"

/*
 * A standard descriptor that is closed would be given to the next file that is opened, and be written to by
 * mistake. Output still fails on what is put in its place, since nothing must be lost in silence.
 */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
}

static int no_memory(void)
{
    fputs("error: not enough memory\n", stderr);
    return EXIT_START;
}

/* Standard output may be full or closed: then what was asked for was not given. */
static int end_of_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "error: can't write to standard output: %s\n", strerror(errno));
    return EXIT_FAILED;
}

/* -- weir plugins -- */

static int load_files(const struct cli *cli, struct registry *registry)
{
    for (size_t i = 0; i < cli->file_count; i++) {
        char *error = NULL;
        if (registry_load(registry, cli->files[i], &error))
            continue;
        fprintf(stderr, "error: %s\n", error ? error : "not enough memory");
        free(error);
        return EXIT_CONFIG;
    }
    return EXIT_STOPPED;
}

/* The options that are no plugin's: they have a name here, too. */
static const struct {
    const char *name, *summary;
    const struct weir_option *options;
} common_tables[] = {
    {"service", "the section for the whole process", config_service_options},
    {"input", "the options that every input has, whatever its plugin", input_options},
    {"output", "the options that every output has, whatever its plugin", output_options},
};

static bool print_common(const char *name)
{
    for (size_t i = 0; i < sizeof(common_tables) / sizeof(*common_tables); i++) {
        if (strcasecmp(name, common_tables[i].name) != 0)
            continue;
        printf("%s, %s\n\n", common_tables[i].name, common_tables[i].summary);
        option_print(stdout, common_tables[i].options, sizeof(struct weir_option));
        return true;
    }
    return false;
}

static void print_hint(void)
{
    puts(
        "\n`weir plugins NAME` documents one; so do `weir plugins input`, `output` and `service` for what is common.");
}

static int print_plugins(struct registry *registry, const char *name)
{
    if (name && print_common(name))
        return EXIT_STOPPED;
    if (registry_print(registry, stdout, name) == 0) {
        if (!name)
            print_hint();
        return EXIT_STOPPED;
    }
    struct problems problems = {0};
    char *error = registry_why_not(registry, name);
    problem_error(&problems, NULL, "%s", error ? error : "not enough memory");
    problems_print(&problems, stderr);
    problems_clear(&problems);
    free(error);
    return EXIT_CONFIG;
}

static int run_plugins(const struct cli *cli)
{
    struct registry *registry = registry_create(NULL);
    if (!registry)
        return no_memory();
    int status = load_files(cli, registry);
    if (status == EXIT_STOPPED)
        status = print_plugins(registry, cli->plugin);
    registry_destroy(registry);
    return end_of_output(status);
}

/* -- weir check -- */

static int check_config(const struct cli *cli, const struct config *config, struct registry *registry,
                        struct problems *problems)
{
    if (engine_check(config, registry, problems) < 0)
        return EXIT_CONFIG;
    printf("%s: ok, %zu input%s and %zu output%s\n", cli->config_path ? cli->config_path : "command line",
           config->input_count, config->input_count == 1 ? "" : "s", config->output_count,
           config->output_count == 1 ? "" : "s");
    return end_of_output(EXIT_STOPPED);
}

/* -- Running -- */

static int set_up_log(const struct service *service)
{
    log_setup(service->log_level, (enum log_format)service->log_format);
    int r = log_open(service->log_file);
    if (r < 0)
        fprintf(stderr, "error: can't write the log to '%s': %s\n", service->log_file, strerror(-r));
    return r;
}

/* Before anything is opened that weir wants to open again later. */
static int drop_privileges(const struct service *service)
{
    char *error = NULL;
    int r = privileges_drop(service, &error);
    if (r < 0)
        fprintf(stderr, "error: %s\n", error ? error : strerror(-r));
    free(error);
    return r;
}

/* Found out now, and not by the first reload. */
static void look_at_config(const struct cli *cli, const struct service *service)
{
    if (service->user && cli->config_path && faccessat(AT_FDCWD, cli->config_path, R_OK, AT_EACCESS) < 0)
        log_warn("engine", "user %s can't read %s: %s; weir runs, but can't reload", service->user,
                 cli->config_path, strerror(errno));
}

static struct config *load_again(void *data, struct problems *problems);

static int run_config(const struct cli *cli, const struct config *config, struct registry *registry,
                      struct problems *problems)
{
    problems_print(problems, stderr); /* warnings: the engine is going to run for long */
    problems_clear(problems);
    if (drop_privileges(&config->service) < 0 || set_up_log(&config->service) < 0)
        return EXIT_START;
    look_at_config(cli, &config->service);
    int status = engine_run(config, registry, load_again, (void *)cli, problems);
    log_open(NULL);
    return status;
}

static int with_registry(const struct cli *cli, const struct config *config, struct problems *problems)
{
    struct registry *registry = registry_create(config->service.plugin_dir);
    if (!registry)
        return no_memory();
    int status = cli->command == CLI_CHECK ? check_config(cli, config, registry, problems)
                                           : run_config(cli, config, registry, problems);
    registry_destroy(registry);
    return status;
}

/* The configuration that the command line names or is; false: no memory. */
static bool load_config(struct cli *cli, struct problems *problems)
{
    struct config *config = cli->config ? cli->config : cli->config_path ? NULL : config_new();
    if (cli->config_path)
        config = config_load(cli->config_path, problems);
    else if (config)
        config_finish(config, problems);
    cli->config = config; /* which cli_finish frees */
    return config;
}

/* Only the service section counts here, and what is wrong with the rest is not asked for. */
static int run_asking(struct cli *cli, struct problems *problems)
{
    if (!load_config(cli, problems))
        return no_memory();
    if (cli->config_path && problems->errors)
        return EXIT_CONFIG;
    problems_clear(problems);
    const struct service *service = &cli->config->service;
    return end_of_output(cli->command == CLI_RELOAD ? ask_reload(service) : ask_status(service, cli->json));
}

/* What -e names belongs to the configuration. */
static void add_files(const struct cli *cli, struct config *config, struct problems *problems)
{
    for (size_t i = 0; i < cli->file_count; i++)
        config_add(config, 'e', cli->files[i], problems);
}

/*
 * The configuration as it is now. What the command line said is the same as ever, but the files of plugins,
 * and those that secrets are read from, may be others.
 */
static struct config *load_again(void *data, struct problems *problems)
{
    const struct cli *old = data;
    struct cli cli;
    struct config *config = NULL;
    int r = cli_parse(old->argc, old->argv, &cli, problems);
    if (r == 0 && load_config(&cli, problems)) {
        config = cli.config;
        cli.config = NULL;
        add_files(&cli, config, problems);
    }
    cli_finish(&cli);
    return config;
}

static int with_config(struct cli *cli, struct problems *problems)
{
    bool runs = cli->command == CLI_RUN;
    if (runs)
        signals_hold();
    if (!load_config(cli, problems))
        return no_memory();
    struct config *config = cli->config;
    if (runs)
        signals_block(); /* a plugin's file may make threads when it is loaded */
    add_files(cli, config, problems);
    return problems->errors ? EXIT_CONFIG : with_registry(cli, config, problems);
}

static int run(struct cli *cli, struct problems *problems)
{
    switch (cli->command) {
    case CLI_HELP:
        cli_print_help(stdout);
        return end_of_output(EXIT_STOPPED);
    case CLI_VERSION:
        puts("weir " WEIR_VERSION);
        return end_of_output(EXIT_STOPPED);
    case CLI_PLUGINS:
        return run_plugins(cli);
    case CLI_NEW_PLUGIN:
        return end_of_output(new_plugin(cli->argc - 2, cli->argv + 2));
    case CLI_CHECK_PLUGIN:
        return end_of_output(check_plugin(cli->argc - 2, cli->argv + 2));
    case CLI_STATUS:
    case CLI_RELOAD:
        return run_asking(cli, problems);
    default:
        return with_config(cli, problems);
    }
}

int main(int argc, char **argv)
{
    struct cli cli;
    struct problems problems = {0};
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its size limit is an error of that file, as a full disk is */
    int r = cli_parse(argc, argv, &cli, &problems);
    int status = r == -ENOMEM ? no_memory() : r < 0 ? EXIT_CONFIG : run(&cli, &problems);
    problems_print(&problems, stderr);
    problems_clear(&problems);
    cli_finish(&cli);
    return status;
}
