/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: flags, commands, and what goes with what. Owns the configuration that it builds. Control
 * thread.
 */
#include "cli.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct flag {
    char letter;
    bool has_value;
    const char *name;
};

static const struct flag flags[] = {
    {'c', true, "--config"}, {'i', true, "--input"},    {'o', true, "--output"}, {'p', true, "--prop"},
    {'m', true, "--match"},  {'s', true, "--service"},  {'e', true, "--plugin"}, {'j', false, "--json"},
    {'h', false, "--help"},  {'V', false, "--version"},
};

enum { FLAG_COUNT = sizeof flags / sizeof *flags };

static const struct origin command_line = {.file = "command line"};

struct reader {
    int argc;
    char **argv;
    int next; /* the argument to be read next */
    struct cli *cli;
    struct problems *problems;
    bool has_command;
    bool has_parts; /* of a configuration: -i, -o, -p, -m, -s */
    bool ends;      /* --help, --version, a command with arguments of its own: nothing else counts here */
};

void cli_print_help(FILE *file)
{
    fputs(
        "weir follows log files and delivers every line.\n"
        "\n"
        "  weir -c FILE                     run with a configuration file\n"
        "  weir -i NAME [-p K=V]... -o NAME [-p K=V]... [-m MATCH]\n"
        "                                   run without a file: inputs, outputs, their options\n"
        "  weir check -c FILE               check a configuration, and open nothing\n"
        "  weir plugins [NAME]              list the plugins, or document one's options\n"
        "                                   (weir plugins service: those of the service section)\n"
        "  weir status [--json] [-c FILE]   ask a running weir (of that file: its http_listen and http_port)\n"
        "  weir reload [-c FILE]            tell it to read its configuration again, and what came of that\n"
        "  weir new-plugin NAME --input|--output DIR\n"
        "                                   begin a plugin: a small whole project\n"
        "  weir check-plugin FILE.so [--option K=V]...\n"
        "                                   whether a plugin keeps to its contract, in a process of its own\n"
        "  weir --version, weir --help\n"
        "\n"
        "  -c, --config FILE    the configuration file\n"
        "  -i, --input NAME     an input\n"
        "  -o, --output NAME    an output\n"
        "  -p, --prop K=V       an option of the last input or output\n"
        "  -m, --match MATCH    the tags that the last output takes (all, where not said)\n"
        "  -s, --service K=V    a setting of the service section\n"
        "  -e, --plugin FILE    load one more plugin file\n"
        "\n"
        "Example: weir -i tail -p path=/var/log/syslog -p read_from_head=on -o stdout -p format=raw\n"
        "\n"
        "Exit status: 0 stopped as asked, 1 configuration or usage, 2 could not start, 3 failed while running.\n",
        file);
}

/* -- Commands -- */

static void refuse(struct reader *reader, const char *what, const char *text, const char *const *names,
                   size_t count)
{
    const char *nearest = problem_nearest(text, names, count);
    if (nearest)
        problem_error(reader->problems, &command_line, "unknown %s '%s'; did you mean '%s'? See weir --help",
                      what, text, nearest);
    else
        problem_error(reader->problems, &command_line, "unknown %s '%s'; see weir --help", what, text);
}

static bool has_own_arguments(const struct cli *cli)
{
    return cli->command == CLI_NEW_PLUGIN || cli->command == CLI_CHECK_PLUGIN;
}

static void read_word(struct reader *reader, const char *word)
{
    static const char *const commands[] = {"check",  "plugins",    "status",
                                           "reload", "new-plugin", "check-plugin"};
    static const enum cli_command codes[] = {CLI_CHECK,  CLI_PLUGINS,    CLI_STATUS,
                                             CLI_RELOAD, CLI_NEW_PLUGIN, CLI_CHECK_PLUGIN};
    enum { COUNT = sizeof codes / sizeof *codes };
    size_t known = 0;
    struct cli *cli = reader->cli;
    if (reader->has_command && cli->command == CLI_PLUGINS && !cli->plugin) {
        cli->plugin = word;
    } else if (reader->has_command) {
        problem_error(reader->problems, &command_line, "'%s' is one word too many; see weir --help", word);
    } else {
        while (known < COUNT && strcmp(word, commands[known]) != 0)
            known++;
        if (known == COUNT) {
            refuse(reader, "command", word, commands, COUNT);
            return;
        }
        reader->has_command = true;
        cli->command = codes[known];
        if (has_own_arguments(cli) && reader->next > 2)
            problem_error(reader->problems, &command_line, "'%s' is the first word, or none; see weir --help",
                          word);
        reader->ends = has_own_arguments(cli);
    }
}

/* -- Flags -- */

static void set_config_path(struct reader *reader, const char *path)
{
    if (reader->cli->config_path)
        problem_error(reader->problems, &command_line,
                      "-c is given twice; one file can include others (includes:)");
    reader->cli->config_path = path;
}

static void add_file(struct reader *reader, const char *path)
{
    reader->cli->files[reader->cli->file_count++] = path; /* it has room for every argument */
}

static void apply(struct reader *reader, const struct flag *flag, const char *value)
{
    switch (flag->letter) {
    case 'c':
        set_config_path(reader, value);
        break;
    case 'e':
        add_file(reader, value);
        break;
    case 'j':
        reader->cli->json = true;
        break;
    case 'h':
    case 'V':
        reader->cli->command = flag->letter == 'h' ? CLI_HELP : CLI_VERSION;
        reader->ends = true;
        break;
    default:
        reader->has_parts = true;
        config_add(reader->cli->config, flag->letter, value, reader->problems);
    }
}

/* `value` is what stood in the same argument, or NULL; `written` is the flag as the user wrote it. */
static void read_value(struct reader *reader, const struct flag *flag, const char *written,
                       int written_length, const char *value)
{
    if (!flag->has_value && value) {
        problem_error(reader->problems, &command_line, "%.*s takes no value", written_length, written);
        return;
    }
    if (flag->has_value && !value && reader->next < reader->argc) {
        const char *following = reader->argv[reader->next];
        if (following[0] != '-' || !following[1]) {
            value = following;
            reader->next++;
        }
    }
    if (flag->has_value && (!value || !*value))
        problem_error(reader->problems, &command_line, "%.*s wants a value; see weir --help", written_length,
                      written);
    else
        apply(reader, flag, value);
}

static void read_long(struct reader *reader, const char *text)
{
    const char *names[FLAG_COUNT];
    size_t length = strcspn(text, "=");
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        names[i] = flags[i].name;
        if (strlen(flags[i].name) == length && !strncmp(flags[i].name, text, length)) {
            read_value(reader, &flags[i], text, (int)length, text[length] ? text + length + 1 : NULL);
            return;
        }
    }
    char *name = strndup(text, length);
    refuse(reader, "flag", name ? name : text, names, FLAG_COUNT);
    free(name);
}

static void read_short(struct reader *reader, const char *text)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (flags[i].letter == text[1]) {
            read_value(reader, &flags[i], text, 2, text[2] ? text + 2 : NULL);
            return;
        }
    }
    refuse(reader, "flag", text, NULL, 0);
}

static void read_argument(struct reader *reader, const char *text)
{
    if (text[0] == '-' && text[1] == '-')
        read_long(reader, text);
    else if (text[0] == '-' && text[1])
        read_short(reader, text);
    else
        read_word(reader, text);
}

/* -- What goes with what -- */

static void check(struct reader *reader)
{
    const struct cli *cli = reader->cli;
    struct problems *problems = reader->problems;
    if (problems->errors)
        return;
    if (cli->json && cli->command != CLI_STATUS)
        problem_error(problems, &command_line, "--json belongs to weir status");
    else if ((cli->command == CLI_STATUS || cli->command == CLI_RELOAD) && !cli->config_path &&
             !reader->has_parts)
        return;
    else if (cli->command == CLI_PLUGINS && (cli->config_path || reader->has_parts))
        problem_error(problems, &command_line, "weir plugins takes a plugin's name and -e only");
    else if (cli->command == CLI_PLUGINS)
        return;
    else if (cli->config_path && reader->has_parts)
        problem_error(problems, &command_line,
                      "-c names the whole configuration: write what -i, -o, -p, -m and -s say into the file");
    else if (!cli->config_path && !reader->has_parts)
        problem_error(problems, &command_line,
                      "there is nothing to %s: give -c FILE, or -i NAME and -o NAME; see weir --help",
                      cli->command == CLI_CHECK ? "check" : "run");
}

int cli_parse(int argc, char **argv, struct cli *ret, struct problems *problems)
{
    *ret = (struct cli){.argc = argc,
                        .argv = argv,
                        .config = config_new(),
                        .files = calloc((size_t)argc + 1, sizeof *ret->files)};
    struct reader reader = {.argc = argc, .argv = argv, .next = 1, .cli = ret, .problems = problems};
    if (!ret->config || !ret->files)
        return -ENOMEM;
    /* The first mistake is the one to tell: what comes after may be its consequence. */
    while (reader.next < argc && !reader.ends && !problems->errors)
        read_argument(&reader, argv[reader.next++]);
    if (!reader.ends)
        check(&reader);
    if (!reader.has_parts) {
        config_free(ret->config);
        ret->config = NULL;
    }
    return problems->errors ? -EINVAL : 0;
}

void cli_finish(struct cli *cli)
{
    config_free(cli->config);
    free(cli->files);
    *cli = (struct cli){0};
}
