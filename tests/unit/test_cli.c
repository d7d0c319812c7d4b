/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: every form, and the line that each mistake gets. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cli.h"

static struct cli cli;
static struct problems problems;

static void tear_down(void)
{
    cli_finish(&cli);
    problems_clear(&problems);
}

/* The arguments, separated by blanks. */
static int parse(const char *line)
{
    static char text[500];
    char *argv[32] = {(char *)"weir"};
    int argc = 1;
    tear_down();
    strcpy(text, line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = strcmp(word, "EMPTY") ? word : (char *)"";
    return cli_parse(argc, argv, &cli, &problems);
}

static void refused(const char *line, const char *message)
{
    ck_assert_int_eq(parse(line), -EINVAL);
    ck_assert_msg(problems.count == 1, "%zu for %s", problems.count, line);
    ck_assert_str_eq(problems.items[0].text, message);
}

START_TEST(commands_with_arguments_of_their_own)
{
    ck_assert_int_eq(parse("check-plugin x.so --option a=b -c y"), 0);
    ck_assert_int_eq(cli.command, CLI_CHECK_PLUGIN);
    ck_assert_int_eq(parse("new-plugin a --input b --nonsense"), 0);
    ck_assert_int_eq(cli.command, CLI_NEW_PLUGIN);
    refused("-e x.so check-plugin y.so",
            "command line: 'check-plugin' is the first word, or none; see weir --help");
}
END_TEST

START_TEST(with_a_file)
{
    static const char *const lines[] = {"-c a.yaml", "-ca.yaml", "--config a.yaml", "--config=a.yaml"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        ck_assert_int_eq(parse(lines[i]), 0);
        ck_assert_int_eq(cli.command, CLI_RUN);
        ck_assert_str_eq(cli.config_path, "a.yaml");
        ck_assert_ptr_null(cli.config);
    }
    ck_assert_int_eq(parse("check -c a.yaml"), 0);
    ck_assert_int_eq(cli.command, CLI_CHECK);
    ck_assert_int_eq(parse("-c a.yaml check -e x.so --plugin=y.so"), 0);
    ck_assert_int_eq(cli.command, CLI_CHECK);
    ck_assert_uint_eq(cli.file_count, 2);
    ck_assert_str_eq(cli.files[1], "y.so");
}
END_TEST

START_TEST(without_a_file)
{
    ck_assert_int_eq(
        parse("-i tail -p path=a.log --prop read_from_head=on -o stdout --match=a.* -s grace=1s"), 0);
    ck_assert_int_eq(cli.command, CLI_RUN);
    ck_assert_ptr_null(cli.config_path);
    ck_assert_uint_eq(cli.config->input_count, 1);
    const struct section *input = &cli.config->inputs[0];
    ck_assert_str_eq(section_get(input, "name")->values[0], "tail");
    ck_assert_str_eq(section_get(input, "path")->values[0], "a.log");
    ck_assert_str_eq(section_get(input, "read_from_head")->values[0], "on");
    ck_assert_str_eq(section_get(&cli.config->outputs[0], "match")->values[0], "a.*");
    config_finish(cli.config, &problems);
    ck_assert_uint_eq(problems.count, 0);
    ck_assert_uint_eq(cli.config->service.grace, 1000000000);
    ck_assert_int_eq(parse("check --input tail --output stdout --service grace=2"), 0);
    ck_assert_int_eq(cli.command, CLI_CHECK);
}
END_TEST

START_TEST(plugins)
{
    ck_assert_int_eq(parse("plugins"), 0);
    ck_assert_int_eq(cli.command, CLI_PLUGINS);
    ck_assert_ptr_null(cli.plugin);
    ck_assert_int_eq(parse("-e x.so plugins tail"), 0);
    ck_assert_str_eq(cli.plugin, "tail");
    refused("plugins tail more", "command line: 'more' is one word too many; see weir --help");
    refused("plugins -c a.yaml", "command line: weir plugins takes a plugin's name and -e only");
    refused("plugins -i tail", "command line: weir plugins takes a plugin's name and -e only");
}
END_TEST

START_TEST(help_and_version)
{
    ck_assert_int_eq(parse("--help"), 0);
    ck_assert_int_eq(cli.command, CLI_HELP);
    ck_assert_int_eq(parse("-h"), 0);
    ck_assert_int_eq(parse("--version"), 0);
    ck_assert_int_eq(cli.command, CLI_VERSION);
    ck_assert_int_eq(parse("plugins --help"), 0);
    ck_assert_int_eq(cli.command, CLI_HELP);
    ck_assert_int_eq(parse("-c a.yaml --help --nothing"), 0); /* what follows does not count */
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    cli_print_help(file);
    fclose(file);
    static const char *const words[] = {"-c", "-i",    "-o",      "-p",        "-m",         "-s",
                                        "-e", "check", "plugins", "--version", "Exit status"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        ck_assert_ptr_nonnull(strstr(text, words[i]));
    free(text);
}
END_TEST

START_TEST(mistakes)
{
    refused("",
            "command line: there is nothing to run: give -c FILE, or -i NAME and -o NAME; see weir --help");
    refused("check",
            "command line: there is nothing to check: give -c FILE, or -i NAME and -o NAME; see weir --help");
    refused("chek", "command line: unknown command 'chek'; did you mean 'check'? See weir --help");
    refused("nothing", "command line: unknown command 'nothing'; see weir --help");
    refused("check check", "command line: 'check' is one word too many; see weir --help");
    refused("--confg a", "command line: unknown flag '--confg'; did you mean '--config'? See weir --help");
    refused("--confg=a", "command line: unknown flag '--confg'; did you mean '--config'? See weir --help");
    refused("-x", "command line: unknown flag '-x'; see weir --help");
    refused("--", "command line: unknown flag '--'; see weir --help");
    refused("-c", "command line: -c wants a value; see weir --help");
    refused("-c EMPTY", "command line: -c wants a value; see weir --help");
    refused("--config=", "command line: --config wants a value; see weir --help");
    refused("--help=x", "command line: --help takes no value");
    refused("-c a -c b", "command line: -c is given twice; one file can include others (includes:)");
    refused(
        "-c a -i tail",
        "command line: -c names the whole configuration: write what -i, -o, -p, -m and -s say into the file");
    refused(
        "-c a -s grace=1",
        "command line: -c names the whole configuration: write what -i, -o, -p, -m and -s say into the file");
    refused("-p a=b", "command line: -p belongs after the -i or -o that it is for");
    refused("-i tail -p path", "command line: -p 'path' wants a value, as in -p KEY=VALUE");
    refused("-i tail -m x", "command line: -m belongs after the -o that it is for");
    refused("-i -o stdout", "command line: -i wants a value; see weir --help");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tcase = tcase_create("all");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, commands_with_arguments_of_their_own);
    tcase_add_test(tcase, with_a_file);
    tcase_add_test(tcase, without_a_file);
    tcase_add_test(tcase, plugins);
    tcase_add_test(tcase, help_and_version);
    tcase_add_test(tcase, mistakes);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
