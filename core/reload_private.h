/* SPDX-License-Identifier: Apache-2.0 */
/* A reload under way, shared by reload.c, reload_apply.c and reload_settle.c. Control thread. */
#ifndef WEIR_CORE_RELOAD_PRIVATE_H
#define WEIR_CORE_RELOAD_PRIVATE_H

#include <stdatomic.h>
#include <stdio.h>
#include "reload.h"
#include "reload_plan.h"

/* What was told to end, and does not in this time (ns), is named. */
static const uint64_t RELOAD_LAST_WAIT = 2000000000;

enum reload_state {
    RELOAD_IDLE,
    RELOAD_STARTING,  /* the new outputs start, and nothing has changed yet */
    RELOAD_GIVING_UP, /* one could not: they end again */
    RELOAD_SETTLING   /* in force: the old outputs hand over, the new inputs start */
};

/* An output that goes, and who gets what it has left. */
struct going {
    struct output *output, *successor;
    bool drained; /* no successor: it was told to write what it has */
    struct going *next;
};

/* The inputs of one loop, to be told of new rules. */
struct reroute {
    struct loop_call call;
    struct reload *reload;
    struct reroute *next;
    size_t count;
    struct input *inputs[];
};

struct old_config {
    struct config *config;
    struct old_config *next;
};

struct old_plugin {
    const struct plugin *plugin;
    struct old_plugin *next;
};

struct reload {
    struct engine *engine;
    enum reload_state state;
    struct reload_request *requests, **requests_end; /* the first is under way */
    struct loop_call begin_call;
    bool begin_posted;
    struct weir_timer *timer; /* the end of the time that outputs have to start, or to go */
    struct problems problems;
    struct plan *plan;
    struct old_config *old_configs; /* which an input that came back, or may have to, is made of */

    struct old_plugin *old_plugins; /* of inputs that sources own, until the new versions have started */

    size_t starting; /* outputs that have not answered */
    size_t coming;   /* outputs that are not in force and whose thread runs */
    bool failed;
    struct going *going;
    bool overdue; /* they were told to give up */
    struct reroute *reroutes;
    atomic_size_t reroutes_open;
    struct loop_call rerouted_call;
    bool rerouted;

    FILE *report; /* what is said to who asked */
    char *report_text;
    size_t report_size;
};

/* A line of the report, and of the log. */
void reload_say(struct reload *, int level, const char *format, ...) WEIR_PRINTF(3, 4);

/* reload.c */

/* The end of the one under way: answers who asked, and the next one begins. */
void reload_conclude(struct reload *, bool applied);
/* Goes on when a new output has answered or gone. */
void reload_after_starting(struct reload *);
/* The time for starting, or for ending what could not, is over. */
void reload_on_late_start(struct reload *);
/* Those configurations that no input is of; `all`: weir ends. */
void reload_free_old_configs(struct reload *, bool all);
void reload_free_old_plugins(struct reload *);
void reload_free_reroutes(struct reload *);

/* reload_settle.c */

void reload_on_rerouted(struct loop_call *);
void reload_on_timer(void *data); /* the time for what is waited for is over */

/* reload_apply.c */

/* Puts the plan into force; its new outputs have started. */
void reload_apply(struct reload *);
/* Lets those new outputs write that nobody who goes is in the way of. */
void reload_release(struct reload *);

#endif
