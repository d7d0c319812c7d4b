/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of inputs and outputs. create and destroy run on the control thread, notify and error on
 * any. */
#include "instance.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "callback.h"
#include "engine.h"

/* Errors are seldom, and instances many. */
static pthread_mutex_t error_lock = PTHREAD_MUTEX_INITIALIZER;

static void deliver_events(struct loop_call *call)
{
    struct weir_instance *i = LOOP_CALL_OF(call, struct weir_instance, events_call);

    engine_on_events(i, atomic_exchange(&i->events, 0));
}

int instance_init(struct weir_instance *i, struct engine *engine, const struct plugin *plugin,
                  const struct section *section, const struct option_table *common, struct problems *problems)
{
    const struct weir_plugin *api = &plugin->api;

    i->kind = api->kind;
    i->engine = engine;
    i->plugin = plugin_ref(plugin);
    i->origin = section->origin;
    struct origin alias = section_origin(section, "alias");
    i->alias_line = alias.line;
    i->alias_column = alias.column;
    i->events_call = (struct loop_call){.fn = deliver_events};
    if (api->config_size && !(i->config = calloc(1, api->config_size)))
        return -ENOMEM;
    struct option_table tables[] = {
        *common,
        {.options = api->options,
         .row_size = api->option_size,
         .values = i->config,
         .values_size = api->config_size},
    };
    return option_parse(section, api->name, tables, api->options ? 2 : 1, &i->memory, problems);
}

struct origin instance_alias_origin(const struct weir_instance *i)
{
    return (struct origin){i->origin.file, i->alias_line, i->alias_column};
}

static bool alias_is_plain(const char *alias)
{
    size_t length = strspn(alias, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return length > 0 && length <= 128 && alias[length] == '\0';
}

int instance_set_alias(struct weir_instance *i, const char *written, const char *default_alias,
                       struct problems *problems)
{
    if (written && !alias_is_plain(written)) {
        problem_error(problems, &i->origin, "alias '%s' must be 1 to 128 letters, digits, '.', '_' or '-'",
                      written);
        return -EINVAL;
    }
    i->alias = rcstring_create(written ? written : default_alias);
    return i->alias ? 0 : -ENOMEM;
}

int instance_create(struct weir_instance *i, struct problems *problems)
{
    if (engine_is_options_only(i->engine))
        return 0;
    struct callback_before before = callback_enter(i->alias, "create");
    int rc = i->plugin->api.create(engine_host(), i, i->config, &i->self);

    callback_leave(before);
    if (rc < 0) {
        char *text = instance_error(i);
        problem_error(problems, &i->origin, "%s: %s", i->alias->chars, text ? text : strerror(-rc));
        free(text);
        i->self = NULL;
    }
    return rc;
}

void instance_drop_config(struct weir_instance *i)
{
    option_free(i->memory);
    free(i->config);
    i->memory = NULL;
    i->config = NULL;
}

void instance_finish(struct weir_instance *i)
{
    if (!i->engine) /* never came as far as instance_init */
        return;
    if (i->self) {
        struct callback_before before = callback_enter(i->alias, "destroy");
        i->plugin->api.destroy(i->self);
        callback_leave(before);
    }
    i->self = NULL;
    option_free(i->memory);
    free(i->config);
    free(i->error);
    rcstring_unref(i->alias);
    plugin_unref(i->plugin);
    i->engine = NULL;
}

char *instance_error(struct weir_instance *i)
{
    pthread_mutex_lock(&error_lock);
    char *copy = i->error ? strdup(i->error) : NULL;
    pthread_mutex_unlock(&error_lock);
    return copy;
}

void instance_set_error(struct weir_instance *i, char *text)
{
    pthread_mutex_lock(&error_lock);
    char *old = i->error;
    i->error = text;
    pthread_mutex_unlock(&error_lock);
    free(old);
}

void instance_notify(struct weir_instance *i, enum instance_event event)
{
    if (atomic_fetch_or(&i->events, event) == 0)
        loop_post_call(engine_control(i->engine), &i->events_call);
}
