/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What inputs and outputs have in common: the plugin, its options, a name, and the way in which other threads
 * tell the control thread that something happened to the instance.
 */
#ifndef WEIR_CORE_INSTANCE_H
#define WEIR_CORE_INSTANCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <weir/plugin.h>
#include "config.h"
#include "loop.h"
#include "option.h"
#include "plugin.h"
#include "problem.h"
#include "rcstring.h"

struct engine;

/* What can be told to the control thread; a set of bits. */
enum instance_event {
    INSTANCE_STARTED = 1 << 0,
    INSTANCE_START_FAILED = 1 << 1,
    INSTANCE_ENDED = 1 << 2,    /* an input has no more to send */
    INSTANCE_PROGRESS = 1 << 3, /* an input reports progress for the first time */
    INSTANCE_FAILED = 1 << 4,   /* it can't go on */
    INSTANCE_STOPPED = 1 << 5,  /* only destroy is left */
    INSTANCE_LOADED = 1 << 6,   /* an output that keeps positions has told them */
    INSTANCE_LOAD_FAILED = 1 << 7,
    INSTANCE_RETIRING = 1 << 8 /* an input sends what no other could, and is in nobody's way */
};

struct weir_instance {
    enum weir_kind kind;
    atomic_uint events;
    struct engine *engine;
    const struct plugin *plugin;
    struct rcstring *alias;
    struct origin origin;              /* of its section; the file name lives as long as the engine */
    unsigned alias_line, alias_column; /* in the same file */
    void *config;                      /* what `create` was given, until it is dropped */
    struct option_memory *memory;
    void *self;
    char *error; /* host->error's last text, or NULL; under one lock for all instances */
    struct loop_call events_call;
};

/*
 * Fills *i and parses its section: `common` is the table of the kind, whose values the caller owns. The
 * plugin is resolved already. 0 or a negative errno after adding to problems; finish it in any case.
 */
int instance_init(struct weir_instance *, struct engine *, const struct plugin *, const struct section *,
                  const struct option_table *common, struct problems *);
/* Gives it the name that the user wrote, or (NULL) the default one. 0, -EINVAL after adding to problems, or
 * -ENOMEM. */
int instance_set_alias(struct weir_instance *, const char *written, const char *default_alias,
                       struct problems *);
/* Where the alias is given, or else as origin. */
struct origin instance_alias_origin(const struct weir_instance *);
/* Calls the plugin's create; a refusal goes to problems with the place of the section. Control thread. */
int instance_create(struct weir_instance *, struct problems *);
/*
 * Frees the configuration that create was given, and what the values of the common table point to. For a
 * plugin that allows it, of an instance whose configuration is not compared. Control thread.
 */
void instance_drop_config(struct weir_instance *);
/* Calls destroy where create succeeded, and frees what instance_init took. Control thread. */
void instance_finish(struct weir_instance *);

/* Any thread. The last text of host->error, copied (caller frees), or NULL. */
char *instance_error(struct weir_instance *);
void instance_set_error(struct weir_instance *, char *text); /* takes text over; NULL clears */

/* Tells the control thread; any thread. */
void instance_notify(struct weir_instance *, enum instance_event);

#endif
