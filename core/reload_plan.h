/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new configuration changes: for each of its inputs and outputs, which of those that run it is, and
 * whether it stays as it is. Control thread.
 */
#ifndef WEIR_CORE_RELOAD_PLAN_H
#define WEIR_CORE_RELOAD_PLAN_H

#include "config.h"
#include "engine_private.h"
#include "plugin.h"
#include "problem.h"

struct plan_output {
    struct output *trial;   /* of plan.trial */
    struct output *running; /* which it follows on, or is; NULL: none */
    bool stays;
    struct output *made; /* where it does not stay */
    bool answered;       /* whether it could start */
    bool released;       /* it may write */
    char *alias;
};

struct plan_input {
    struct input *trial;
    struct input *running;
    bool stays;
    struct input *made;
    char *alias;
    /* Where the running one is replaced: to bring it back if this one can't start. */
    const struct plugin *former_plugin;
    const struct section *former_section;
};

struct plan {
    struct engine *engine;
    struct config *config; /* these two are taken by who puts it into force */
    struct registry *registry;
    bool in_force;        /* then what was made is the engine's, too */
    struct engine *trial; /* the new configuration's instances, as weir check makes them */
    struct plan_output *outputs;
    size_t output_count;
    struct plan_input *inputs;
    size_t input_count;
    struct router *router; /* the new rules, once everything is made */
};

/*
 * Reads, checks and compares, and makes what is new or changed, held and not started. NULL after adding to
 * problems; then nothing has changed.
 */
struct plan *plan_create(struct engine *, struct problems *);
/* Destroys what was made, unless it is in force. Takes NULL. */
void plan_destroy(struct plan *);

/* Whether a running one is in the plan; else it goes. */
bool plan_has_output(const struct plan *, const struct output *);

#endif
