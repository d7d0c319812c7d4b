/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: what is read out of good ones, and the line that each mistake gets. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config.h"
#include "log.h"
#include "option.h"

static char folder[64];
static struct problems problems;
static struct config *config;

static void set_up(void)
{
    strcpy(folder, "/tmp/test_config.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void tear_down(void)
{
    char command[128];
    config_free(config);
    config = NULL;
    problems_clear(&problems);
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    fclose(file);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static void load_bytes(const char *text, size_t size)
{
    config_free(config);
    problems_clear(&problems);
    write_file("weir.yaml", text, size);
    config = config_load("weir.yaml", &problems);
    ck_assert_ptr_nonnull(config);
}

static void load(const char *text)
{
    load_bytes(text, strlen(text));
}

static void load_good(const char *text)
{
    load(text);
    ck_assert_msg(problems.count == 0, "%s", problems.count ? problems.items[0].text : "");
}

#define PIPELINE "pipeline:\n  inputs:\n    - name: tail\n      path: /x\n  outputs:\n    - name: stdout\n"

/* The one line that a file gets. */
static void refused(const char *text, const char *line)
{
    load(text);
    ck_assert_msg(problems.errors == 1 && problems.count == 1, "%zu errors for %s: %s", problems.errors, text,
                  problems.count ? problems.items[problems.count - 1].text : "");
    ck_assert_str_eq(problems.items[0].text, line);
}

/* A setting of the first input in PIPELINE, in line 5. */
static void input_refused(const char *setting, const char *line)
{
    char text[2000];
    snprintf(
        text, sizeof text,
        "pipeline:\n  inputs:\n    - name: tail\n      path: /x\n      %s\n  outputs:\n    - name: stdout\n",
        setting);
    refused(text, line);
}

static const char *value_of(const struct section *section, const char *name, size_t index)
{
    const struct setting *setting = section_get(section, name);
    return setting && index < setting->count ? setting->values[index] : NULL;
}

START_TEST(whole_file)
{
    load_good("service:\n"
              "  log_level: warning\n"
              "  log_format: json\n"
              "  grace: 7\n"
              "  data_dir: /tmp/d\n"
              "  Input_Threads: 4\n"
              "  scheduler:\n"
              "    base: 1s\n"
              "  scheduler.cap: 10\n"
              "plugins: [/opt/a.so, b.so]\n"
              "Pipeline:\n"
              "  inputs:\n"
              "    - Name: tail\n"
              "      path: [/a, '/b,c']\n"
              "      nested: {one: 1, two: {three: 3}}\n"
              "    - name: tail\n"
              "      path: /c\n"
              "  outputs:\n"
              "    - name: stdout\n"
              "      match: '*'\n");
    ck_assert_int_eq(config->service.log_level, WEIR_LOG_WARN);
    ck_assert_int_eq(config->service.log_format, LOG_JSON);
    ck_assert_uint_eq(config->service.grace, 7000000000);
    ck_assert_str_eq(config->service.data_dir, "/tmp/d");
    ck_assert_int_eq(config->service.input_threads, 4);
    ck_assert_uint_eq(config->service.retry_base, 1000000000);
    ck_assert_uint_eq(config->service.retry_cap, 10000000000);
    ck_assert_uint_eq(config->plugin_count, 2);
    ck_assert_str_eq(config->plugins[1], "b.so");
    ck_assert_uint_eq(config->plugin_origins[1].line, 10);
    ck_assert_uint_eq(config->input_count, 2);
    ck_assert_uint_eq(config->output_count, 1);
    const struct section *input = &config->inputs[0];
    ck_assert_str_eq(value_of(input, "NAME", 0), "tail");
    ck_assert_str_eq(value_of(input, "path", 1), "/b,c");
    ck_assert(section_get(input, "path")->is_list);
    ck_assert_str_eq(value_of(input, "nested.one", 0), "1");
    ck_assert_str_eq(value_of(input, "nested.two.three", 0), "3");
    ck_assert_ptr_null(section_get(input, "nothing"));
    ck_assert_uint_eq(input->origin.line, 13);
    ck_assert_uint_eq(input->origin.column, 7);
    ck_assert_str_eq(input->origin.file, "weir.yaml");
}
END_TEST

START_TEST(defaults)
{
    load_good(PIPELINE);
    ck_assert_int_eq(config->service.log_level, WEIR_LOG_INFO);
    ck_assert_int_eq(config->service.log_format, LOG_TEXT);
    ck_assert_ptr_null(config->service.log_file);
    ck_assert_str_eq(config->service.data_dir, "/var/lib/weir");
    ck_assert_uint_eq(config->service.grace, 5000000000);
    ck_assert_int_eq(config->service.input_threads, 1);
    ck_assert_ptr_null(config->service.plugin_dir);
    ck_assert_uint_eq(config->service.memory_limit, 256 << 20);
    ck_assert_uint_eq(config->service.checkpoint_interval, 1000000000);
    ck_assert_uint_eq(config->service.retry_base, 100000000);
    ck_assert_uint_eq(config->service.retry_cap, 30000000000);
    ck_assert_ptr_null(
        section_get(&config->outputs[0], "match")); /* said by nobody: not the file's business */
}
END_TEST

START_TEST(service_mistakes)
{
    refused("service:\n  data_dri: x\n" PIPELINE,
            "weir.yaml:2:3: unknown option 'data_dri' of service; did you mean 'data_dir'?");
    refused("service:\n  input_threads: 65\n" PIPELINE,
            "weir.yaml:2:3: service: option 'input_threads' must be between 1 and 64, not '65'");
    refused(
        "service:\n  log_level: inof\n" PIPELINE,
        "weir.yaml:2:3: service: option 'log_level' wants one of off, error, warn, info, debug, trace, warning, "
        "not 'inof'");
    refused("service:\n  grace: soon\n" PIPELINE,
            "weir.yaml:2:3: service: option 'grace' wants a duration like 5s or 100ms, not 'soon'");
    refused("service:\n  grace:\n" PIPELINE, "weir.yaml:2:3: 'grace' needs a value");
    refused("service:\n  scheduler.base: 40s\n" PIPELINE,
            "weir.yaml:2:3: service: option 'scheduler.base' is longer than 'scheduler.cap'");
    refused("service:\n  scheduler.cap: 50ms\n" PIPELINE,
            "weir.yaml:1:1: service: option 'scheduler.base' is longer than 'scheduler.cap'");
    refused("service: 7\n" PIPELINE, "weir.yaml:1:1: 'service' wants 'key: value' lines below it");
    refused("service:\n  grace: 5\n  Grace: 6\n" PIPELINE,
            "weir.yaml:3:3: service: option 'grace' is given twice, first in line 2");
}
END_TEST

START_TEST(fluent_bits_service_keys)
{
    static const char *const keys[] = {"flush",
                                       "daemon",
                                       "dns.mode",
                                       "dns.resolver",
                                       "coro_stack_size",
                                       "parsers_file",
                                       "plugins_file",
                                       "streams_file",
                                       "storage.path",
                                       "storage.sync",
                                       "hot_reload",
                                       "health_check",
                                       "hc_period",
                                       "sp.convert_from_str_to_num",
                                       "json.convert_nan_to_null",
                                       "hc_errors_count"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char text[500];
        snprintf(text, sizeof text, "service:\n  %s: 1\n" PIPELINE, keys[i]);
        load(text);
        ck_assert_msg(problems.errors == 0 && problems.count == 1, "%s", keys[i]);
        ck_assert(problems.items[0].warning);
        ck_assert_ptr_nonnull(strstr(problems.items[0].text, "weir.yaml:2:3: service: option '"));
        ck_assert_ptr_nonnull(strstr(problems.items[0].text, keys[i]));
        ck_assert_ptr_nonnull(strstr(problems.items[0].text, "' has no effect: "));
    }
}
END_TEST

START_TEST(unknown_sections)
{
    refused("pipelines:\n  x: 1\n" PIPELINE,
            "weir.yaml:1:1: unknown key 'pipelines' at the top of the file; did you mean 'pipeline'?");
    refused("qqq: 1\n" PIPELINE, "weir.yaml:1:1: unknown key 'qqq' at the top of the file");
    refused("pipeline:\n  output: []\n",
            "weir.yaml:2:3: unknown key 'output' in 'pipeline'; did you mean 'outputs'?");
    static const char *const missing[] = {"parsers",          "multiline_parsers", "processors", "customs",
                                          "upstream_servers", "stream_processor",  "filters"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        char text[500];
        snprintf(text, sizeof text, "%s:\n  - x: 1\n" PIPELINE, missing[i]);
        load(text);
        ck_assert_uint_eq(problems.errors, 1);
        ck_assert_ptr_nonnull(strstr(problems.items[0].text, "is nothing that weir has: "));
        ck_assert_ptr_nonnull(strstr(problems.items[0].text, missing[i]));
    }
    refused("pipeline:\n  filters: []\n",
            "weir.yaml:2:3: 'filters' is nothing that weir has: it delivers records as they are");
    input_refused("processors: {logs: [{name: x}]}",
                  "weir.yaml:5:7: 'processors' is nothing that weir has: it delivers records as they are");
    refused("inputs: []\n" PIPELINE, "weir.yaml:1:1: 'inputs' belongs below 'pipeline'");
}
END_TEST

START_TEST(instances)
{
    refused("pipeline:\n  inputs:\n    - path: /x\n",
            "weir.yaml:3:7: an input needs a 'name', the plugin that it is");
    refused("pipeline:\n  outputs:\n    - tail\n",
            "weir.yaml:3:7: an output is written as '- name: PLUGIN' with its options below");
    refused("pipeline:\n  inputs:\n    name: tail\n",
            "weir.yaml:2:3: 'inputs' wants a list, a line with '- ' for each entry");
    refused("pipeline:\n  inputs: 7\n",
            "weir.yaml:2:3: 'inputs' wants a list, a line with '- ' for each entry");
    refused("pipeline:\n  inputs:\n    - name: [a, b]\n",
            "weir.yaml:3:7: 'name' wants the name of one plugin");
    refused("pipeline:\n  inputs:\n    - name: ''\n", "weir.yaml:3:7: 'name' wants the name of one plugin");
    refused("pipeline:\n  inputs:\n    - name: []\n", "weir.yaml:3:7: 'name' wants the name of one plugin");
    refused("pipeline:\n  inputs:\n    - name:\n", "weir.yaml:3:7: 'name' needs a value");
    refused("pipeline: []\n", "weir.yaml:1:1: 'pipeline' wants 'key: value' lines below it");
    refused("pipeline:\n", "weir.yaml:1:1: 'pipeline' wants 'key: value' lines below it");
    input_refused("tag: ~", "weir.yaml:5:7: 'tag' needs a value");
    input_refused("tag: null", "weir.yaml:5:7: 'tag' needs a value");
    input_refused("tag: {}", "weir.yaml:5:7: 'tag' needs a value");
    input_refused("tag: [a, ~]", "weir.yaml:5:16: 'tag' needs a value");
    input_refused("tag: [a, [b]]", "weir.yaml:5:16: 'tag' wants a plain value here");
    input_refused("tag: [{a: b}]", "weir.yaml:5:13: 'tag' wants a plain value here");
}
END_TEST

START_TEST(incomplete)
{
    refused("pipeline: {}\n", "weir.yaml: there is no input: list at least one under pipeline: inputs:");
    refused("service: {}\n", "weir.yaml: there is no input: list at least one under pipeline: inputs:");
    refused("pipeline:\n  inputs:\n    - name: tail\n",
            "weir.yaml: there is no output: list at least one under pipeline: outputs:");
    refused("", "weir.yaml: the file is empty");
    refused("# nothing\n", "weir.yaml: the file is empty");
    refused("[]\n", "weir.yaml:1:1: a configuration begins with a section such as 'service:'");
    refused("words\n", "weir.yaml:1:1: a configuration begins with a section such as 'service:'");
}
END_TEST

START_TEST(broken_yaml)
{
    refused("a: 'x\n",
            "weir.yaml:2:1: broken YAML: found unexpected end of stream, while scanning a quoted scalar");
    refused(
        "pipeline:\n\tinputs: x\n",
        "weir.yaml:2:1: broken YAML: found character that cannot start any token, while scanning for the next token");
    refused("pipeline:\n  inputs: []\n outputs: []\n",
            "weir.yaml:3:2: broken YAML: did not find expected key, while parsing a block mapping");
    refused("a: [1, 2\nb: 3\n",
            "weir.yaml:2:2: broken YAML: did not find expected ',' or ']', while parsing a flow sequence");
    refused("a: *b\n", "weir.yaml:1:4: no anchor '&b' comes before this alias");
    refused("service:\n  a: 1\n  b: 2\n  a: 3\n", "weir.yaml:4:3: 'a' is given twice, first in line 2");
    refused("service: {}\n---\nservice: {}\n",
            "weir.yaml:2:1: a second document begins here; a configuration file holds one");
    refused("? [a]\n: 1\n", "weir.yaml:1:3: a key must be a plain name");
    refused("~: 1\n", "weir.yaml:1:1: a key must be a plain name");
    refused("service:\n  <<: {a: 1}\n",
            "weir.yaml:2:3: merge keys (<<) are not understood; an alias can stand for a whole value");
    refused("service:\n  log_file: \"a\\0b\"\n", "weir.yaml:2:13: the value holds a NUL character");
}
END_TEST

/* Whatever the bytes are: one error or more, each with the file's name, and no crash. */
static void any_error(const char *bytes, size_t size)
{
    load_bytes(bytes, size);
    ck_assert_uint_ge(problems.errors, 1);
    for (size_t i = 0; i < problems.count; i++)
        ck_assert_msg(!strncmp(problems.items[i].text, "weir.yaml", 9), "%s", problems.items[i].text);
}

START_TEST(hostile_bytes)
{
#define BYTES(text) text, sizeof text - 1
    any_error(BYTES("\xff\xfe\0"));
    any_error(BYTES("\0\0\0"));
    any_error(BYTES("a: b\nc: \xc3("));
    ck_assert_msg(!strncmp(problems.items[0].text, "weir.yaml:2:5: broken YAML: ", 28), "%s",
                  problems.items[0].text);
    any_error(BYTES("a: \x01"));
    any_error(BYTES("&a [*a]"));
    any_error(BYTES("service: &a\n  x: *a\n"));
    ck_assert_str_eq(problems.items[0].text,
                     "weir.yaml:2:6: the alias '*a' stands inside of what it stands for");
    any_error(BYTES("%YAML 9.9\n---\n"));
    any_error(BYTES("? ? ? ?"));
    any_error(BYTES("!!binary x: y"));
    any_error(BYTES("--- !<tag:x"));
    static const char *const deep[] = {"[", "{", "- ", "? ", "{a: "};
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        size_t length = strlen(deep[i]);
        char *text = malloc(20000 * length);
        for (size_t j = 0; j < 20000; j++)
            memcpy(text + j * length, deep[i], length);
        any_error(text, 20000 * length);
        free(text);
    }
}
END_TEST

START_TEST(truncated_anywhere)
{
    static const char text[] =
        "service: {grace: \"5\\u0073\", log_level: &l info}\nenv:\n  A: 'b'\npipeline:\n"
        "  inputs:\n    - name: tail\n      path: [/a, ${A}, *l]\n      x: |\n        y\n";
    for (size_t size = 0; size < sizeof text; size++)
        load_bytes(text, size); /* must just not crash */
    ck_assert_uint_ge(problems.errors, 1);
}
END_TEST

START_TEST(aliases)
{
    load_good("pipeline:\n  inputs:\n    - name: tail\n      path: &p [/a, /b]\n      tag: &t x\n"
              "    - name: tail\n      path: *p\n      tag: *t\n  outputs: [{name: stdout}]\n");
    ck_assert_str_eq(value_of(&config->inputs[1], "path", 1), "/b");
    ck_assert_str_eq(value_of(&config->inputs[1], "tag", 0), "x");
}
END_TEST

START_TEST(alias_bomb)
{
    char text[4000] = "service:\n  a: &a [x, x, x, x, x, x, x, x, x]\n";
    for (char c = 'b'; c < 'k'; c++)
        sprintf(text + strlen(text), "  %c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c - 1,
                c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
    load(text);
    ck_assert_uint_eq(problems.errors, 1);
    ck_assert_ptr_nonnull(strstr(problems.items[0].text, "too many values"));
}
END_TEST

START_TEST(limits)
{
    size_t room = 17 * 1024 * 1024, used = 0;
    char *text = malloc(room);
    memset(text, ' ', room);
    text[0] = '#';
    load_bytes(text, 16 * 1024 * 1024);
    ck_assert_str_eq(problems.items[0].text, "weir.yaml: the file is empty");
    load_bytes(text, 16 * 1024 * 1024 + 1);
    ck_assert_str_eq(problems.items[0].text, "can't read 'weir.yaml': it is larger than 16 MiB");
    for (int keys = 4096; keys <= 4097; keys++) {
        used = (size_t)sprintf(text, PIPELINE "env:\n");
        for (int i = 0; i < keys; i++)
            used += (size_t)sprintf(text + used, "  k%d: v\n", i);
        load_bytes(text, used);
        ck_assert_uint_eq(problems.errors, (size_t)(keys - 4096));
    }
    ck_assert_ptr_nonnull(strstr(problems.items[0].text, "too many keys"));
    used = (size_t)sprintf(text, "service:\n  x: [");
    for (int i = 0; i < 500001; i++)
        used += (size_t)sprintf(text + used, "a,");
    load_bytes(text, used);
    ck_assert_ptr_nonnull(strstr(problems.items[0].text, "too many values"));
    used = (size_t)sprintf(text, PIPELINE "env:\n  ");
    memset(text + used, 'k', 100000); /* longer than any simple key may be */
    used += 100000;
    used += (size_t)sprintf(text + used, ": v\n");
    any_error(text, used);
    free(text);
}
END_TEST

START_TEST(variables)
{
    setenv("WEIR_TEST_A", "from outside", 1);
    setenv("WEIR_TEST_B", "b", 1);
    setenv("WEIR_TEST_EMPTY", "", 1);
    unsetenv("WEIR_TEST_NOT_SET");
    unsetenv("ip");
    unsetenv("hostname");
    load_good("pipeline:\n  inputs:\n    - name: tail\n      path: '${WEIR_TEST_B}/${WEIR_TEST_A}-${C}'\n"
              "      key: /x/${ip}/${hostname}/${tag}${topic}\n      a: $x $$ $${WEIR_TEST_B} 5$\n"
              "      b: \"${WEIR_TEST_EMPTY}\"\n  outputs: [{name: stdout}]\n"
              "env:\n  WEIR_TEST_A: inside ${WEIR_TEST_B}\n  C: ${WEIR_TEST_A}!\n");
    const struct section *input = &config->inputs[0];
    ck_assert_str_eq(value_of(input, "path", 0), "b/inside b-inside b!");
    ck_assert_str_eq(value_of(input, "key", 0), "/x/${ip}/${hostname}/${tag}${topic}");
    ck_assert_str_eq(value_of(input, "a", 0), "$x $$ ${WEIR_TEST_B} 5$");
    ck_assert_str_eq(value_of(input, "b", 0), "");
    setenv("ip", "10.0.0.1", 1);
    load_good("pipeline:\n  inputs:\n    - name: x\n      key: /x/${ip}\n  outputs: [{name: stdout}]\n");
    ck_assert_str_eq(value_of(&config->inputs[0], "key", 0), "/x/10.0.0.1");
    unsetenv("ip");
}
END_TEST

START_TEST(bad_variables)
{
    static const char how[] =
        "weir.yaml:5:12: '${' begins the name of a variable, as in ${HOME}; write $${ for the two "
        "characters themselves";
    input_refused("tag: ${WEIR_TEST_NOT_SET}/x",
                  "weir.yaml:5:12: the environment variable 'WEIR_TEST_NOT_SET' is not set");
    input_refused("tag: ${IP}", "weir.yaml:5:12: the environment variable 'IP' is not set");
    input_refused("tag: x${", how);
    input_refused("tag: x${}", how);
    input_refused("tag: x${A", how);
    input_refused("tag: ${A B}", how);
    input_refused("tag: ${1A}", how);
    refused("env:\n  A: ~\n" PIPELINE, "weir.yaml:2:6: 'A' needs a value");
    refused("env: [A]\n" PIPELINE, "weir.yaml:1:1: 'env' wants 'key: value' lines below it");
    refused("env:\n  A: b\nENV:\n  A: c\n" PIPELINE,
            "weir.yaml:4:3: the variable 'A' is set already, in weir.yaml line 2");
    char text[8000] = PIPELINE "env:\n  A0: 0123456789\n";
    for (int i = 1; i < 9; i++) /* ten to the ninth */
        sprintf(text + strlen(text),
                "  A%d: '${A%d}${A%d}${A%d}${A%d}${A%d}${A%d}${A%d}${A%d}${A%d}${A%d}'\n", i, i - 1, i - 1,
                i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    load(text);
    ck_assert_uint_ge(problems.errors, 1);
    ck_assert_ptr_nonnull(strstr(problems.items[0].text, "longer than 1 MiB"));
}
END_TEST

START_TEST(includes)
{
    ck_assert_int_eq(mkdir("conf[1]", 0755), 0);      /* its name is not a pattern */
    ck_assert_int_eq(mkdir("conf[1]/none", 0755), 0); /* nothing in it is nothing wrong */
    write_text("conf[1]/b.yaml", "pipeline:\n  outputs:\n    - name: stdout\n");
    write_text("conf[1]/a.yaml", "env: {V: v}\nplugins: p.so\nservice: {grace: 9s}\nincludes: sub.yml\n");
    write_text("conf[1]/sub.yml", "pipeline:\n  inputs:\n    - name: ${V}\n");
    write_text("conf[1]/main.yaml", "includes: ['[ab].yaml', 'none/*.yaml']\nservice: {data_dir: d}\n");
    config = config_load("conf[1]/main.yaml", &problems);
    ck_assert_msg(problems.count == 0, "%s", problems.count ? problems.items[0].text : "");
    ck_assert_uint_eq(config->input_count, 1);
    ck_assert_str_eq(config->inputs[0].origin.file, "conf[1]/sub.yml");
    ck_assert_str_eq(value_of(&config->inputs[0], "name", 0), "v");
    ck_assert_uint_eq(config->output_count, 1);
    ck_assert_uint_eq(config->service.grace, 9000000000);
    ck_assert_str_eq(config->service.data_dir, "d");
    ck_assert_str_eq(config->plugins[0], "conf[1]/p.so");
}
END_TEST

START_TEST(bad_includes)
{
    refused("includes: none.yaml\n" PIPELINE,
            "weir.yaml:1:11: can't include 'none.yaml': No such file or directory");
    refused("includes: no_folder/*.yaml\n" PIPELINE,
            "weir.yaml:1:11: can't include 'no_folder/*.yaml': No such file or directory");
    refused("includes: weir.yaml\n" PIPELINE,
            "weir.yaml:1:11: 'weir.yaml' is included twice, or includes itself");
    ck_assert_int_eq(mkfifo("pipe.yaml", 0600), 0);
    refused("includes: p*.yaml\n" PIPELINE, "weir.yaml:1:11: can't read 'pipe.yaml': it is no regular file");
    write_text("a.yaml", "includes: b.yaml\n");
    write_text("b.yaml", "includes: a.yaml\n");
    refused("includes: a.yaml\n" PIPELINE, "b.yaml:1:11: 'a.yaml' is included twice, or includes itself");
    refused("includes: {a: b}\n" PIPELINE,
            "weir.yaml:1:1: 'includes' wants a list, a line with '- ' for each entry");
    refused("includes: [~]\n" PIPELINE, "weir.yaml:1:12: 'includes' needs a value");
    ck_assert_int_eq(mkdir("dir", 0755), 0);
    refused("includes: dir\n" PIPELINE, "weir.yaml:1:11: can't read 'dir': Is a directory");
    write_text("bad.yaml", "pipeline:\n  inputs:\n    - pth: x\n");
    refused("includes: bad.yaml\n" PIPELINE, "bad.yaml:3:7: an input needs a 'name', the plugin that it is");
    for (int i = 0; i < 20; i++) {
        char name[32], text[64];
        snprintf(name, sizeof name, "d%d.yaml", i);
        snprintf(text, sizeof text, i < 19 ? "includes: d%d.yaml\n" : "service: {}\n", i + 1);
        write_text(name, text);
    }
    refused("includes: d0.yaml\n" PIPELINE, "d14.yaml:1:11: files include files more than 16 deep");
}
END_TEST

START_TEST(unreadable)
{
    config = config_load("nowhere.yaml", &problems);
    ck_assert_ptr_nonnull(config);
    ck_assert_uint_eq(problems.errors, 1);
    ck_assert_str_eq(problems.items[0].text, "can't read 'nowhere.yaml': No such file or directory");
}
END_TEST

static void add(char kind, const char *text)
{
    config_add(config, kind, text, &problems);
}

START_TEST(command_line)
{
    config = config_new();
    add('s', "grace=1s");
    add('i', "tail");
    add('p', "path=a=b");
    add('p', "tag=");
    add('o', "stdout");
    add('o', "kafka");
    add('m', "web.*");
    add('o', "third");
    add('p', "match_regex=^a");
    add('e', "x.so");
    config_finish(config, &problems);
    ck_assert_msg(problems.count == 0, "%s", problems.count ? problems.items[0].text : "");
    ck_assert_uint_eq(config->service.grace, 1000000000);
    ck_assert_ptr_null(config->service.data_dir);
    ck_assert_str_eq(value_of(&config->inputs[0], "path", 0), "a=b");
    ck_assert_str_eq(value_of(&config->inputs[0], "tag", 0), "");
    ck_assert_str_eq(value_of(&config->outputs[0], "match", 0), "*");
    ck_assert_str_eq(value_of(&config->outputs[1], "match", 0), "web.*");
    ck_assert_ptr_null(section_get(&config->outputs[2], "match"));
    ck_assert_str_eq(config->plugins[0], "x.so");
    config_free(config);
    config = config_new();
    add('s', "data_dir=/d");
    add('i', "tail");
    add('o', "stdout");
    config_finish(config, &problems);
    ck_assert_str_eq(config->service.data_dir, "/d");
}
END_TEST

static void line_refused(const char *kinds, const char *const *texts, const char *line)
{
    config_free(config);
    problems_clear(&problems);
    config = config_new();
    for (size_t i = 0; kinds[i]; i++)
        add(kinds[i], texts[i]);
    config_finish(config, &problems);
    ck_assert_uint_eq(problems.errors, 1);
    ck_assert_str_eq(problems.items[0].text, line);
}

START_TEST(bad_command_line)
{
    line_refused("", NULL, "command line: there is no input: name one with -i, as in -i tail -p path=FILE");
    line_refused("i", (const char *[]){"tail"},
                 "command line: there is no output: name one with -o, as in -o stdout");
    line_refused("p", (const char *[]){"a=b"}, "command line: -p belongs after the -i or -o that it is for");
    line_refused("im", (const char *[]){"tail", "x"}, "command line: -m belongs after the -o that it is for");
    line_refused("ip", (const char *[]){"tail", "path"},
                 "command line: -p 'path' wants a value, as in -p KEY=VALUE");
    line_refused("ip", (const char *[]){"tail", "password:hunter2"},
                 "command line: -p 'password…' wants a value, as in -p KEY=VALUE");
    line_refused("ip", (const char *[]){"tail", "=x"},
                 "command line: -p '…' wants a value, as in -p KEY=VALUE");
    line_refused("s", (const char *[]){"gracee=1"},
                 "command line: unknown option 'gracee' of service; did you mean 'grace'?");
}
END_TEST

START_TEST(secrets_are_in_no_message)
{
    load(
        "pipeline:\n  inputs:\n    - name: tail\n      password: [hunter2, [hunter2]]\n      token: hunter2 ${NOPE_X}\n"
        "      token: hunter2\n");
    ck_assert_uint_ge(problems.errors, 1);
    for (size_t i = 0; i < problems.count; i++)
        ck_assert_ptr_null(strstr(problems.items[i].text, "hunter2"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("all");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, whole_file);
    tcase_add_test(tcase, defaults);
    tcase_add_test(tcase, service_mistakes);
    tcase_add_test(tcase, fluent_bits_service_keys);
    tcase_add_test(tcase, unknown_sections);
    tcase_add_test(tcase, instances);
    tcase_add_test(tcase, incomplete);
    tcase_add_test(tcase, broken_yaml);
    tcase_add_test(tcase, hostile_bytes);
    tcase_add_test(tcase, truncated_anywhere);
    tcase_add_test(tcase, aliases);
    tcase_add_test(tcase, alias_bomb);
    tcase_add_test(tcase, limits);
    tcase_add_test(tcase, variables);
    tcase_add_test(tcase, bad_variables);
    tcase_add_test(tcase, includes);
    tcase_add_test(tcase, bad_includes);
    tcase_add_test(tcase, unreadable);
    tcase_add_test(tcase, command_line);
    tcase_add_test(tcase, bad_command_line);
    tcase_add_test(tcase, secrets_are_in_no_message);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
