/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reloading: the configuration is read anew, checked as a whole, and only what differs from what runs is
 * changed. One at a time; requests wait for the one that is being applied. Control thread.
 */
#ifndef WEIR_CORE_RELOAD_H
#define WEIR_CORE_RELOAD_H

#include <stdbool.h>

struct engine;
struct input;
struct output;
struct reload;

/* What became of a request: lines for a person, valid during the call. Never from within reload_ask. */
typedef void (*reload_fn)(void *data, bool applied, const char *text);

struct reload *reload_create(struct engine *); /* NULL: no memory */
/* Nothing may be under way (reload_stop), and the input loops have ended. Takes NULL. */
void reload_destroy(struct reload *);

/* fn NULL: the log is enough. */
void reload_ask(struct reload *, reload_fn, void *data);
/* weir ends: every request is answered, and outputs that have not come into force are told to give up. Takes
 * NULL. */
void reload_stop(struct reload *);

/* -- Events, from the engine -- */
void reload_on_running(struct reload *); /* it has started */
void reload_on_output(struct reload *, struct output *, bool started);
/* The thread of an output that was coming or going has ended. The output is closed. */
void reload_on_output_gone(struct reload *, struct output *);
void reload_on_input(struct reload *, struct input *, bool started);
/* Whether another version of its plugin, which ran before, takes the place of an owned input that can't
 * start. */
bool reload_can_bring_back(const struct reload *, const struct input *);
void reload_on_input_gone(struct reload *, struct input *);
/* Something has gone; whatever waited for that goes on. */
void reload_advance(struct reload *);

#endif
