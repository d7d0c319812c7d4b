/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ${NAME} in a value: the `env` section first, then the process environment. Owns nothing. Control thread.
 */
#include <stdlib.h>
#include <string.h>
#include "config_private.h"

enum { LONGEST_EXPANSION = 1024 * 1024 };

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"

/* What plugins replace themselves, at run time, where no variable has the name. */
static const char *const plugins_own[] = {"ip", "hostname", "tag", "topic"};

struct expansion {
    const struct config *config;
    const struct origin *origin;
    struct problems *problems;
    char *out; /* NULL: only measured */
    size_t used;
};

static void put(struct expansion *x, const char *text, size_t length)
{
    if (x->out)
        memcpy(x->out + x->used, text, length);
    x->used += length;
}

static const char *find(const struct config *config, const char *name)
{
    const struct config_private *private = config_private(config);
    for (size_t i = 0; i < private->variable_count; i++)
        if (!strcmp(private->variables[i].name, name))
            return private->variables[i].value;
    return getenv(name);
}

static bool is_plugins_own(const char *name)
{
    for (size_t i = 0; i < sizeof plugins_own / sizeof *plugins_own; i++)
        if (!strcmp(plugins_own[i], name))
            return true;
    return false;
}

/* `text` begins with "${". Returns its length, or 0 after an error. */
static size_t put_variable(struct expansion *x, const char *text)
{
    char name[256];
    size_t length = strspn(text + 2, LETTERS DIGITS);
    if (text[2 + length] != '}' || !length || length >= sizeof name || strchr(DIGITS, text[2])) {
        problem_error(
            x->problems, x->origin,
            "'${' begins the name of a variable, as in ${HOME}; write $${ for the two characters themselves");
        return 0;
    }
    memcpy(name, text + 2, length);
    name[length] = '\0';
    const char *value = find(x->config, name);
    if (value) {
        put(x, value, strlen(value));
    } else if (is_plugins_own(name)) {
        put(x, text, length + 3);
    } else {
        problem_error(x->problems, x->origin, "the environment variable '%s' is not set", name);
        return 0;
    }
    return length + 3;
}

static bool expand(struct expansion *x, const char *text)
{
    x->used = 0;
    while (*text) {
        size_t plain = strcspn(text, "$");
        put(x, text, plain);
        text += plain;
        size_t length = 1;
        if (text[0] == '$' && text[1] == '{') {
            length = put_variable(x, text);
        } else if (!strncmp(text, "$${", 3)) {
            put(x, "${", 2);
            length = 3;
        } else if (*text) {
            put(x, text, 1);
        } else {
            break;
        }
        if (!length)
            return false;
        text += length;
    }
    return true;
}

const char *config_expand(const struct config *config, const char *text, const struct origin *origin,
                          struct problems *problems)
{
    struct expansion x = {.config = config, .origin = origin, .problems = problems};
    if (!strstr(text, "${"))
        return text;
    if (!expand(&x, text))
        return NULL;
    if (x.used > LONGEST_EXPANSION) {
        problem_error(problems, origin, "the value is longer than 1 MiB once its variables are replaced");
        return NULL;
    }
    x.out = arena_alloc(config_private(config)->arena, x.used + 1);
    if (!x.out)
        return NULL;
    expand(&x, text);
    return x.out;
}
