/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file: YAML, its sections, variables, service options; and each text as a value of each
 * type. */
#include "fuzz.h"

#include <fcntl.h>
#include <glob.h>
#include <unistd.h>
#include "config.h"
#include "option.h"

static void parse_values(const char *text)
{
    bool b;
    int64_t i;
    uint64_t n;
    option_parse_bool(text, &b);
    option_parse_int(text, &i);
    option_parse_size(text, &n);
    option_parse_duration(text, &n);
}

static void walk(const struct section *sections, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(section_get(&sections[i], "name"));
        for (size_t s = 0; s < sections[i].count; s++) {
            const struct setting *setting = &sections[i].settings[s];
            FUZZ_CHECK(setting->name);
            for (size_t v = 0; v < setting->count; v++) {
                parse_values(setting->values[v]);
            }
        }
    }
}

static char folder[64], path[96];

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

int __real_glob(const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *ret);
int __wrap_glob(const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *ret);

/* What a pattern includes is nothing but the file itself: others would be this machine's. */
int __wrap_glob(const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *ret)
{
    bool within = !strncmp(pattern, folder, strlen(folder)) && !strstr(pattern, "..");
    return within ? __real_glob(pattern, flags, on_error, ret) : GLOB_NOMATCH;
}

/* A folder of its own. */
static void make_folder(void)
{
    strcpy(folder, "/dev/shm/fuzz_config.XXXXXX");
    FUZZ_CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/weir.yaml", folder);
    atexit(remove_folder);
}

static void run(const uint8_t *data, size_t size)
{
    struct problems problems = {0};
    if (!*folder) {
        make_folder();
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    fuzz_tested(true);
    struct config *config = config_load(path, &problems);
    fuzz_tested(false);
    FUZZ_CHECK(config || fuzz_failed());
    /* Half of a configuration is none; but a warning may have been what there was no memory for. */
    FUZZ_CHECK(!config || !fuzz_failed() || problems.errors || problems.warnings > problems.count);
    if (config && problems.errors == 0) {
        FUZZ_CHECK(config->input_count && config->output_count);
        walk(config->inputs, config->input_count);
        walk(config->outputs, config->output_count);
    }
    for (size_t i = 0; i < problems.count; i++) {
        FUZZ_CHECK(!strpbrk(problems.items[i].text, "\n\r\033"));
    }
    if (config)
        config_free(config);
    problems_clear(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_with_failure(run, data, size);
    return 0;
}
