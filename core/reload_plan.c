/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing a new configuration with what runs. It is built as a whole first, as weir check does, and what
 * came of that is compared by its values, not by how they were written: so a default that is spelled out, or
 * a file that was only sorted anew, changes nothing. Control thread.
 */
#include "reload_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "log.h"
#include "sandbox.h"

/* -- What is the same ------------------------------------------------------------------------------- */

static bool same_instance(const struct weir_instance *a, const struct weir_instance *b,
                          const struct weir_option *common, const void *x, const void *y)
{
    const struct weir_plugin *api = &a->plugin->api;

    return a->plugin == b->plugin && option_same(common, sizeof(*common), x, y) &&
           option_same(api->options, api->option_size, a->config, b->config);
}

static bool same_output(const struct output *a, const struct output *b)
{
    return same_instance(&a->base, &b->base, output_options, &a->options, &b->options);
}

static bool same_input(const struct input *a, const struct input *b)
{
    return same_instance(&a->base, &b->base, input_options, a->options, b->options);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool same_match(const struct output *a, const struct output *b)
{
    return same_text(a->options.match, b->options.match) &&
           same_text(a->options.match_regex, b->options.match_regex) &&
           same_text(a->options.match_topic, b->options.match_topic);
}

static bool same_plugin_name(const struct output *a, const struct output *b)
{
    return !strcmp(a->base.plugin->api.name, b->base.plugin->api.name);
}

/* -- Outputs: which one is which -------------------------------------------------------------------- */

bool plan_has_output(const struct plan *p, const struct output *o)
{
    for (size_t i = 0; i < p->output_count; i++)
        if (p->outputs[i].running == o)
            return true;
    return false;
}

/* The ways in which an output of the new configuration is one that runs, the surest first. */

static bool has_its_alias(const struct output *trial, const struct output *running)
{
    return trial->options.alias && !strcmp(trial->options.alias, running->base.alias->chars);
}

/* Without an alias, its number may have changed because of others. */
static bool says_the_same(const struct output *trial, const struct output *running)
{
    return !trial->options.alias && !running->options.alias && same_plugin_name(trial, running) &&
           option_same(output_options, sizeof(*output_options), &trial->options, &running->options) &&
           (trial->base.plugin != running->base.plugin || same_output(trial, running));
}

static bool has_its_number(const struct output *trial, const struct output *running)
{
    return !trial->options.alias && !strcmp(trial->base.alias->chars, running->base.alias->chars);
}

/* Another sink for the same records. */
static bool takes_its_records(const struct output *trial, const struct output *running)
{
    return same_match(trial, running);
}

static void pair_outputs(struct plan *p, bool (*is)(const struct output *, const struct output *))
{
    for (size_t i = 0; i < p->output_count; i++) {
        struct plan_output *item = &p->outputs[i];
        for (struct output *o = p->engine->outputs; o && !item->running; o = o->next)
            if (o->role == OUTPUT_IN_FORCE && is(item->trial, o) && !plan_has_output(p, o))
                item->running = o;
    }
}

static int plan_outputs(struct plan *p)
{
    size_t n = 0;

    p->outputs = calloc(p->config->output_count + 1, sizeof(*p->outputs));
    if (!p->outputs)
        return -ENOMEM;
    for (struct output *o = p->trial->outputs; o; o = o->next)
        p->outputs[n++].trial = o;
    p->output_count = n;
    pair_outputs(p, has_its_alias);
    pair_outputs(p, says_the_same);
    pair_outputs(p, has_its_number);
    pair_outputs(p, takes_its_records);
    for (size_t i = 0; i < n; i++)
        p->outputs[i].stays =
            p->outputs[i].running && same_output(p->outputs[i].trial, p->outputs[i].running);
    return 0;
}

/* -- Inputs: by their identity ---------------------------------------------------------------------- */

static int compare_identity(const void *a, const void *b)
{
    return strcmp((*(struct input *const *)a)->identity, (*(struct input *const *)b)->identity);
}

static bool is_configured(const struct input *in)
{
    return !in->owner && !input_leaves(in);
}

/* Those that run, sorted. */
static struct input **running_inputs(const struct engine *e, size_t *ret_count)
{
    size_t count = 0;

    for (const struct input *in = e->inputs; in; in = in->next)
        count += is_configured(in);
    struct input **list = calloc(count + 1, sizeof(struct input *));
    *ret_count = 0;
    for (struct input *in = e->inputs; list && in; in = in->next)
        if (is_configured(in))
            list[(*ret_count)++] = in;
    if (list)
        qsort(list, count, sizeof(*list), compare_identity);
    return list;
}

static int plan_inputs(struct plan *p)
{
    size_t count, n = 0;
    struct input **running = running_inputs(p->engine, &count);

    p->inputs = calloc(p->config->input_count + 1, sizeof(*p->inputs));
    if (!running || !p->inputs) {
        free(running);
        return -ENOMEM;
    }
    for (struct input *in = p->trial->inputs; in; in = in->next) {
        struct plan_input *item = &p->inputs[n++];
        struct input **found = bsearch(&in, running, count, sizeof(*running), compare_identity);
        item->trial = in;
        item->running = found ? *found : NULL;
        item->stays = found && same_input(in, *found);
        if (found && !item->stays) {
            item->former_plugin = plugin_ref((*found)->base.plugin);
            item->former_section = (*found)->section;
        }
    }
    p->input_count = n;
    free(running);
    return 0;
}

/* -- Names ------------------------------------------------------------------------------------------ */

static bool alias_taken(const struct plan *p, const char *alias)
{
    for (size_t i = 0; i < p->output_count; i++)
        if (p->outputs[i].alias && !strcmp(p->outputs[i].alias, alias))
            return true;
    for (size_t i = 0; i < p->input_count; i++)
        if (p->inputs[i].alias && !strcmp(p->inputs[i].alias, alias))
            return true;
    for (const struct input *in = p->engine->inputs; in; in = in->next)
        if (in->owner && !strcmp(in->base.alias->chars, alias))
            return true;
    return false;
}

/* The alias that an instance keeps or says; NULL: it gets a new number. */
static const char *known_alias(const struct weir_instance *trial, const char *written,
                               const struct weir_instance *running, bool running_is_numbered)
{
    if (written)
        return written;
    return running && running_is_numbered && !strcmp(running->plugin->api.name, trial->plugin->api.name)
               ? running->alias->chars
               : NULL;
}

static int take_alias(struct plan *p, const struct weir_instance *trial, const char *alias, char **ret,
                      struct problems *problems)
{
    if (alias_taken(p, alias)) {
        struct origin origin = instance_alias_origin(trial);
        problem_error(
            problems, &origin,
            "alias '%s' is what a running instance without an alias is called: give that one an alias",
            alias);
        return -EINVAL;
    }
    *ret = strdup(alias);
    return *ret ? 0 : -ENOMEM;
}

/* An instance that runs keeps its number; a new one gets the first that is free. */
static int number_alias(const struct plan *p, const struct weir_instance *trial, char **ret)
{
    char alias[64];

    snprintf(alias, sizeof(alias), "%s", trial->alias->chars);
    for (size_t n = 0; alias_taken(p, alias); n++)
        snprintf(alias, sizeof(alias), "%s.%zu", trial->plugin->api.name, n);
    *ret = strdup(alias);
    return *ret ? 0 : -ENOMEM;
}

static int name_known(struct plan *p, struct problems *problems)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < p->output_count; i++) {
        struct plan_output *o = &p->outputs[i];
        const char *alias =
            known_alias(&o->trial->base, o->trial->options.alias, o->running ? &o->running->base : NULL,
                        o->running && !o->running->options.alias);
        rc = alias ? take_alias(p, &o->trial->base, alias, &o->alias, problems) : 0;
    }
    for (size_t i = 0; rc == 0 && i < p->input_count; i++) {
        struct plan_input *in = &p->inputs[i];
        const char *alias =
            known_alias(&in->trial->base, in->trial->options->alias, in->running ? &in->running->base : NULL,
                        in->running && !in->running->options->alias);
        rc = alias ? take_alias(p, &in->trial->base, alias, &in->alias, problems) : 0;
    }
    return rc;
}

static int name_all(struct plan *p, struct problems *problems)
{
    int rc = name_known(p, problems);

    for (size_t i = 0; rc == 0 && i < p->output_count; i++)
        if (!p->outputs[i].alias)
            rc = number_alias(p, &p->outputs[i].trial->base, &p->outputs[i].alias);
    for (size_t i = 0; rc == 0 && i < p->input_count; i++)
        if (!p->inputs[i].alias)
            rc = number_alias(p, &p->inputs[i].trial->base, &p->inputs[i].alias);
    return rc;
}

/* -- Making ----------------------------------------------------------------------------------------- */

static int make_outputs(struct plan *p, struct problems *problems)
{
    for (size_t i = 0; i < p->output_count; i++) {
        struct plan_output *item = &p->outputs[i];
        const struct section *section = &p->config->outputs[i];
        struct origin origin = section_origin(section, "match_regex");
        if (!item->stays) {
            item->made = output_create(p->engine, item->trial->base.plugin, section, item->alias, problems);
            if (!item->made)
                return -EINVAL;
            item->made->role = OUTPUT_COMING;
            engine_keep_origin(p->engine, &item->made->base.origin);
            output_hold(item->made);
        }
        int rc = output_add_rule(item->stays ? item->running : item->made, p->router, &origin, problems);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int make_input(struct plan *p, struct plan_input *item, const struct section *section,
                      struct problems *problems)
{
    struct input *in = input_create(p->engine, item->trial->base.plugin, section, item->alias, problems);
    char *identity = in ? strdup(item->trial->identity) : NULL;

    item->made = in;
    if (!identity)
        return -ENOMEM;
    input_set_identity(in, identity);
    in->section = section;
    engine_keep_origin(p->engine, &in->base.origin);
    return 0;
}

static int make_inputs(struct plan *p, struct problems *problems)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < p->input_count; i++)
        if (!p->inputs[i].stays)
            rc = make_input(p, &p->inputs[i], &p->config->inputs[i], problems);
    return rc;
}

/* -- Together --------------------------------------------------------------------------------------- */

/* The plugins of inputs that sources own must be there as well. */
static void find_owned_plugins(struct plan *p, struct problems *problems)
{
    const struct plugin *last = NULL;

    for (const struct input *in = p->engine->inputs; in; in = in->next) {
        char *why = NULL;
        if (!in->owner || in->base.plugin == last)
            continue;
        last = in->base.plugin;
        if (!registry_find(p->registry, WEIR_INPUT, last->api.name, &why))
            problem_error(problems, NULL, "%s (which the inputs of %s use)", why ? why : "no memory",
                          in->owner->base.alias->chars);
        free(why);
    }
}

/* A log file that can't be written to is found out now. */
static void check_log_file(const struct plan *p, struct problems *problems)
{
    const char *path = p->config->service.log_file;
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640) : -1;

    if (path && fd < 0)
        problem_error(problems, NULL, "can't write the log to '%s': %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static int try_config(struct plan *p, struct problems *problems)
{
    p->registry = registry_renew(p->engine->registry, p->config->service.plugin_dir);
    p->trial = p->registry ? engine_build(p->config, p->registry, problems) : NULL;
    if (!p->trial)
        return -ENOMEM;
    if (!problems->errors)
        find_owned_plugins(p, problems);
    if (!problems->errors)
        check_log_file(p, problems);
    registry_settle(p->registry);
    return problems->errors ? -EINVAL : 0;
}

/* What stays is let through, or was not when it started either. */
static int check_sandbox(const struct plan *p, struct problems *problems)
{
    const struct sandbox *s = p->engine->sandbox;
    bool good = sandbox_admits_service(s, &p->config->service, problems);

    for (size_t i = 0; i < p->output_count; i++) {
        const struct output *o = p->outputs[i].trial;
        good &= p->outputs[i].stays || sandbox_admits(s, &o->base, output_options, &o->options, problems);
    }
    for (size_t i = 0; i < p->input_count; i++) {
        const struct input *in = p->inputs[i].trial;
        good &= p->inputs[i].stays || sandbox_admits(s, &in->base, input_options, in->options, problems);
    }
    return good ? 0 : -EINVAL;
}

/* Configuration, secrets and plugins that lie elsewhere could not even be looked at. */
static void explain_refusals(const struct plan *p, struct problems *problems)
{
    bool denied = false;

    for (size_t i = 0; p->engine->sandbox && i < problems->count; i++)
        denied |= strstr(problems->items[i].text, strerror(EACCES)) != NULL;
    if (denied)
        problem_warn(
            problems, NULL,
            "the sandbox lets weir read what was configured, and there, when it started: for anything else a "
            "restart is needed");
}

static int compare_and_make(struct plan *p, struct problems *problems)
{
    int rc = plan_outputs(p);

    if (rc == 0)
        rc = plan_inputs(p);
    if (rc == 0)
        rc = check_sandbox(p, problems);
    if (rc == 0)
        rc = name_all(p, problems);
    p->router = router_create();
    if (rc == 0 && !p->router)
        rc = -ENOMEM;
    if (rc == 0)
        rc = make_outputs(p, problems);
    if (rc == 0)
        rc = make_inputs(p, problems);
    return rc;
}

struct plan *plan_create(struct engine *e, struct problems *problems)
{
    struct plan *p = calloc(1, sizeof(*p));
    int rc = p ? 0 : -ENOMEM;

    if (rc == 0) {
        p->engine = e;
        p->config = e->load(e->load_data, problems);
        rc = !p->config ? -ENOMEM : problems->errors ? -EINVAL : try_config(p, problems);
    }
    if (rc == 0)
        rc = compare_and_make(p, problems);
    if (rc == 0)
        return p;
    if (p)
        explain_refusals(p, problems);
    if (!problems->errors)
        problem_error(problems, NULL, "the new configuration can't be used: %s", strerror(-rc));
    plan_destroy(p);
    return NULL;
}

void plan_destroy(struct plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->output_count; i++) {
        if (!p->in_force)
            output_destroy(p->outputs[i].made);
        free(p->outputs[i].alias);
    }
    for (size_t i = 0; i < p->input_count; i++) {
        if (!p->in_force)
            input_destroy(p->inputs[i].made);
        plugin_unref(p->inputs[i].former_plugin);
        free(p->inputs[i].alias);
    }
    free(p->outputs);
    free(p->inputs);
    engine_free(p->trial);
    router_destroy(p->router);
    registry_destroy(p->registry);
    config_free(p->config);
    free(p);
}
