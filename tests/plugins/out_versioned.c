/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_versioned: appends lines to a file, each behind the version of the plugin that wrote it. The version is
 * text that a test changes in the built file: "v0000" and so on; one that begins with "vbad" can't start. All
 * on the output's thread.
 */
#include <stdlib.h>
#include "lines.h"

static const volatile char version[] = "version-of-this-sink:v0000";

enum { PREFIX = sizeof("version-of-this-sink:") - 1, LENGTH = 5 };

struct versioned_config {
    const char *path;
};

struct versioned {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct versioned_config *config;
    struct weir_json text;
    char version[LENGTH + 1];
    int fd;
};

static int versioned_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                            void **ret_self)
{
    struct versioned *v = calloc(1, sizeof(*v));

    if (!v) {
        host->error(instance, "out of memory");
        return -ENOMEM;
    }
    v->host = host;
    v->instance = instance;
    v->config = config;
    v->fd = -1;
    for (int i = 0; i < LENGTH; i++)
        v->version[i] = version[PREFIX + i];
    *ret_self = v;
    return 0;
}

static int versioned_start(void *self)
{
    struct versioned *v = self;

    if (!strncmp(v->version, "vbad", 4)) {
        v->host->error(v->instance, "version %s does not start", v->version);
        return -EINVAL;
    }
    v->fd = lines_open(v->host, v->instance, v->config->path);
    return v->fd < 0 ? v->fd : 0;
}

static int put_line(struct versioned *v, const struct weir_value *line)
{
    if (weir_json_text(&v->text, v->version, LENGTH) || weir_json_text(&v->text, " ", 1) ||
        weir_json_text(&v->text, line->data, line->size))
        return -ENOMEM;
    return weir_json_text(&v->text, "\n", 1);
}

static int versioned_write(void *self, struct weir_chunk *chunk)
{
    struct versioned *v = self;
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value;
    int rc = 0;

    v->text.size = 0;
    weir_cursor_init(&cursor, chunk->data, chunk->size);
    while (!rc && weir_cursor_next(&cursor, &record) > 0)
        if (weir_record_find(&record, "log", 3, &value))
            rc = put_line(v, &value);
    if (!rc)
        rc = lines_write(v->fd, v->text.data, v->text.size);
    return rc ? WEIR_RETRY : WEIR_DELIVERED;
}

static void versioned_destroy(void *self)
{
    struct versioned *v = self;

    if (v->fd >= 0)
        close(v->fd);
    weir_json_finish(&v->text);
    free(v);
}

static const struct weir_option versioned_options[] = {{.name = "path",
                                                        .type = WEIR_OPTION_PATH,
                                                        .flags = WEIR_OPTION_REQUIRED,
                                                        .offset = offsetof(struct versioned_config, path),
                                                        .help = "the file that lines are appended to"},
                                                       {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "versioned",
    .version = "1.0",
    .summary = "a test output that says which version of it wrote a line",
    .options = versioned_options,
    .config_size = sizeof(struct versioned_config),
    .create = versioned_create,
    .start = versioned_start,
    .write = versioned_write,
    .destroy = versioned_destroy,
};
