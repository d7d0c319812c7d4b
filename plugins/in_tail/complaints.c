/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not read, and why: said once in the log, and shown in the status until it is well again. Owns the
 * texts. Loop thread.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <weir/json.h>
#include "details.h"
#include "tail.h"

#define MOST_SHOWN 20

struct complaint {
    struct tail_table_node node;
    char *path, *text;
};

static struct complaint *find(const struct tail_instance *tail, const char *path)
{
    struct tail_table_node *node = tail_table_first(&tail->complaints, tail_hash(path, strlen(path)));

    while (node && strcmp(TAIL_OF(node, struct complaint, node)->path, path) != 0)
        node = tail_table_next(node);
    return node ? TAIL_OF(node, struct complaint, node) : NULL;
}

static void forget(struct tail_instance *tail, struct complaint *c)
{
    tail_table_remove(&tail->complaints, &c->node);
    free(c->path);
    free(c->text);
    free(c);
}

/* Where there is no memory for it, it is said again next time. */
static void keep(struct tail_instance *tail, const char *path, const char *text)
{
    struct complaint *c = calloc(1, sizeof(*c));

    if (!c)
        return;
    c->path = strdup(path);
    c->text = strdup(text);
    if (c->path && c->text && tail_table_add(&tail->complaints, &c->node, tail_hash(path, strlen(path))) == 0)
        return;
    free(c->path);
    free(c->text);
    free(c);
}

void tail_complain(struct tail_instance *tail, const char *path, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (find(tail, path))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    keep(tail, path, text);
    tail_log(tail, WARN, "%s", text);
}

void tail_calm(struct tail_instance *tail, const char *path)
{
    struct complaint *c = tail_table_count(&tail->complaints) ? find(tail, path) : NULL;

    if (c)
        forget(tail, c);
}

/* Or a directory that can be read now. */
static bool is_gone(const char *path)
{
    struct stat s;

    if (lstat(path, &s) < 0)
        return errno == ENOENT || errno == ENOTDIR;
    DIR *dir = opendir(path);
    if (dir)
        closedir(dir);
    return dir != NULL;
}

void tail_calm_gone(struct tail_instance *tail)
{
    for (size_t i = 0; i < tail_table_size(&tail->complaints); i++) {
        struct tail_table_node *next;
        for (struct tail_table_node *n = tail_table_bucket(&tail->complaints, i); n; n = next) {
            struct complaint *c = TAIL_OF(n, struct complaint, node);
            next = n->next;
            if (*c->path && is_gone(c->path))
                forget(tail, c);
        }
    }
}

void tail_calm_all(struct tail_instance *tail)
{
    struct tail_table_node *node;

    while ((node = tail_table_any(&tail->complaints)))
        forget(tail, TAIL_OF(node, struct complaint, node));
    tail_table_clear(&tail->complaints);
}

int tail_complaints_write(const struct tail_instance *tail, struct weir_json *json)
{
    size_t shown = 0;
    int rc = 0;

    for (size_t i = 0; i < tail_table_size(&tail->complaints); i++) {
        for (const struct tail_table_node *n = tail_table_bucket(&tail->complaints, i);
             n && shown < MOST_SHOWN; n = n->next) {
            const struct complaint *c = TAIL_OF(n, struct complaint, node);
            if (rc == 0 && shown++)
                rc = weir_json_text(json, ",", 1);
            if (rc == 0)
                rc = weir_json_string(json, c->text, strlen(c->text));
        }
    }
    return rc;
}
