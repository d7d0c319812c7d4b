/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_set: a configuration source. It reads a text file each `interval`, and when it has changed tells weir
 * which inputs should exist. Each line is one: id<TAB>plugin<TAB>key=value<TAB>…; empty lines and those with
 * # are left out. A line that makes no sense is left out with an error in the log; while the file can't be
 * read the last set stays. All on the loop. Owns the text of the last set; weir copies what it is given.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/plugin.h>

#define MOST_SETTINGS 64

struct set_config {
    const char *path;
    uint64_t interval;
};

struct set {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct set_config *config;
    struct weir_timer *timer;
    char *text; /* of the last set; NULL: none was given yet */
    size_t size;
    bool unreadable; /* the log says so */
};

/* One line, cut into its parts. */
struct entry {
    char origin[32];
    struct weir_setting settings[MOST_SETTINGS];
};

/* A set while it is made out of a text. */
struct draft {
    struct weir_input_spec *specs;
    struct entry *entries; /* specs[i] points into entries[i] */
    size_t count;
};

static int set_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                      void **ret_self)
{
    struct set *set = calloc(1, sizeof(*set));

    if (!set) {
        host->error(instance, "out of memory");
        return -ENOMEM;
    }
    set->host = host;
    set->instance = instance;
    set->config = config;
    *ret_self = set;
    return 0;
}

/* The whole file with a zero at its end. 0 or a negative errno. */
static int read_file(const char *path, char **ret_text, size_t *ret_size)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    int rc = 0;

    if (!file)
        return -errno;
    do {
        char *more = realloc(text, size + 4097);
        if (!more) {
            rc = -ENOMEM;
            break;
        }
        text = more;
        size += fread(text + size, 1, 4096, file);
    } while (!feof(file) && !ferror(file));
    if (ferror(file))
        rc = -EIO;
    fclose(file);
    if (rc) {
        free(text);
        return rc;
    }
    text[size] = '\0';
    *ret_text = text;
    *ret_size = size;
    return 0;
}

/* Cuts one line, in place. 0; -EINVAL: it makes no sense. */
static int parse_line(char *line, unsigned number, struct weir_input_spec *spec, struct entry *entry)
{
    char *rest = line, *word;

    snprintf(entry->origin, sizeof(entry->origin), "line %u", number);
    *spec = (struct weir_input_spec){.origin = entry->origin, .settings = entry->settings};
    spec->id = strsep(&rest, "\t");
    spec->name = strsep(&rest, "\t");
    if (!spec->name || !*spec->name || !*spec->id)
        return -EINVAL;
    while ((word = strsep(&rest, "\t"))) {
        char *value = strchr(word, '=');
        if (!value || value == word || spec->count == MOST_SETTINGS)
            return -EINVAL;
        *value = '\0';
        entry->settings[spec->count++] = (struct weir_setting){word, value + 1};
    }
    return 0;
}

/* Fills the draft out of the text, which is cut. The draft has room for every line. */
static void parse_text(struct set *set, char *text, struct draft *draft)
{
    char *line;

    for (unsigned number = 1; (line = strsep(&text, "\n")); number++) {
        if (!*line || *line == '#')
            continue;
        if (parse_line(line, number, &draft->specs[draft->count], &draft->entries[draft->count]) == 0)
            draft->count++;
        else
            set->host->log(set->instance, WEIR_LOG_ERROR,
                           "%s:%u: left out: a line is id<TAB>plugin, then up to %d times <TAB>key=value",
                           set->config->path, number, MOST_SETTINGS);
    }
}

static size_t count_lines(const char *text)
{
    size_t count = 1;

    while ((text = strchr(text, '\n'))) {
        text++;
        count++;
    }
    return count;
}

static void set_applied(void *data, const struct weir_refusal *refusals, size_t count)
{
    struct set *set = data;

    for (size_t i = 0; i < count; i++)
        set->host->log(set->instance, WEIR_LOG_ERROR, "%s: entry %zu is refused: %s", set->config->path,
                       refusals[i].index + 1, refusals[i].reason);
    set->host->log(set->instance, WEIR_LOG_INFO, "%s: applied, %zu refused", set->config->path, count);
}

/* 0 or -ENOMEM. */
static int apply(struct set *set, const char *text)
{
    size_t lines = count_lines(text);
    char *copy = strdup(text);
    struct draft draft = {calloc(lines, sizeof(*draft.specs)), calloc(lines, sizeof(*draft.entries)), 0};
    int rc = -ENOMEM;

    if (copy && draft.specs && draft.entries) {
        parse_text(set, copy, &draft);
        rc = set->host->set_inputs(set->instance, draft.specs, sizeof(*draft.specs), draft.count, set_applied,
                                   set);
    }
    free(draft.entries);
    free(draft.specs);
    free(copy);
    return rc;
}

static void report_unreadable(struct set *set, int rc)
{
    if (!set->unreadable)
        set->host->log(set->instance, WEIR_LOG_WARN, "%s can't be read: %s; the inputs stay as they are",
                       set->config->path, strerror(-rc));
    set->unreadable = true;
}

static void set_tick(void *data)
{
    struct set *set = data;
    char *text = NULL;
    size_t size = 0;
    int rc = read_file(set->config->path, &text, &size);

    if (rc) {
        report_unreadable(set, rc);
        return;
    }
    set->unreadable = false;
    if (set->text && set->size == size && memcmp(set->text, text, size) == 0) {
        free(text);
        return;
    }
    if (apply(set, text)) {
        /* Not remembered, so it is tried again at the next tick. */
        set->host->log(set->instance, WEIR_LOG_ERROR, "out of memory; the inputs stay as they are");
        free(text);
        return;
    }
    free(set->text);
    set->text = text;
    set->size = size;
}

static int set_start(void *self)
{
    struct set *set = self;

    set->timer = set->host->timer_add(set->host->loop(set->instance), set_tick, set);
    if (!set->timer) {
        set->host->error(set->instance, "out of memory");
        return -ENOMEM;
    }
    set->host->timer_set(set->timer, 1, set->config->interval);
    return 0;
}

static void set_stop(void *self)
{
    struct set *set = self;

    set->host->timer_remove(set->timer);
    set->host->stopped(set->instance);
}

static void set_destroy(void *self)
{
    struct set *set = self;

    free(set->text);
    free(set);
}

static const struct weir_option set_options[] = {{.name = "path",
                                                  .type = WEIR_OPTION_PATH,
                                                  .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_IDENTITY,
                                                  .offset = offsetof(struct set_config, path),
                                                  .help = "the file with the set of inputs"},
                                                 {.name = "interval",
                                                  .type = WEIR_OPTION_DURATION,
                                                  .offset = offsetof(struct set_config, interval),
                                                  .def = "100ms",
                                                  .min = 1000000,
                                                  .max = INT64_MAX,
                                                  .help = "how often the file is looked at"},
                                                 {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "set",
    .version = "1.0",
    .summary = "a test source of configuration, out of a text file",
    .options = set_options,
    .config_size = sizeof(struct set_config),
    .create = set_create,
    .start = set_start,
    .stop = set_stop,
    .destroy = set_destroy,
};
