/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's own state, and what its files do for one another. Control thread. */
#ifndef WEIR_CORE_ENGINE_PRIVATE_H
#define WEIR_CORE_ENGINE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "engine.h"
#include "input.h"
#include "loop.h"
#include "output.h"
#include "progress.h"
#include "status.h"
#include "supervisor.h"
#include "trim.h"

enum engine_phase {
    ENGINE_STARTING,        /* the outputs are */
    ENGINE_RUNNING,         /* and the inputs, too */
    ENGINE_STOPPING_INPUTS, /* nothing new comes soon */
    ENGINE_DRAINING,        /* outputs deliver what there is */
    ENGINE_DONE
};

struct input_thread {
    struct weir_loop *loop;
    pthread_t thread;
    bool started;
};

/* Positions on their way into the store. */
struct engine_flush {
    struct weir_timer *timer;
    struct loop_call call; /* something has changed */
    atomic_bool posted, urgent;
    uint64_t at;      /* when it was last tried, by loop_now's clock */
    uint64_t good_at; /* and when that last went well */
    bool failing;
};

enum { IDENTITY_BUCKETS = 1024 };

struct engine {
    const struct config *config; /* in force */
    struct registry *registry;   /* of the configuration in force */
    struct config *own_config;   /* both, once they are of a reload */
    struct registry *own_registry;
    struct service service; /* in force; what needs a restart is as it was at the start */
    const char *data_dir;   /* NULL: none */
    atomic_uint_fast64_t retry_base, retry_cap;
    engine_load_fn load;
    void *load_data;
    struct reload *reload;
    struct supervisor *supervisor;
    struct file_name *file_names; /* what origins of instances point to */
    struct weir_loop *control;
    struct metrics *metrics;
    struct router *router;
    struct pool *pool;
    struct checkpoint *checkpoint;
    struct spools *spools;
    struct sandbox *sandbox; /* in force; NULL: none */
    bool options_only;       /* it was made for what its configuration says: no plugin is called */
    struct input *inputs;    /* in the order of the configuration */
    struct input *last_input;
    struct input
        *by_identity[IDENTITY_BUCKETS]; /* the same, in chains: thousands may wait for one of the same */
    struct output *outputs;

    struct input_thread *threads;
    size_t thread_count, next_thread;

    enum engine_phase phase;
    int status;           /* enum exit_status, what engine_run will return */
    bool stop_asked;      /* by a signal */
    bool hurried;         /* the grace has begun */
    bool cancelled;       /* outputs are told to give up */
    size_t starting;      /* outputs that are neither up nor failed */
    size_t outputs_alive; /* whose thread has not ended */
    size_t inputs_held;   /* inputs that wait for one of the same identity, or whose heir they are, to stop */
    size_t heirs_held;    /* those of them that are somebody's heir */

    int signal_fd;
    struct weir_watch *signal_watch;
    struct weir_timer *grace_timer, *progress_timer, *tidy_timer, *again_timer;
    uint64_t again_at; /* when again_timer is due, by loop_now's clock; 0: it is not set */
    struct engine_flush flush;
    struct trim trim;
    struct status *shown;
    struct admin *admin;
    uint64_t started_at; /* loop_now's clock */
    uint64_t generation; /* of the configuration: 1 is the one that weir was started with */
    struct progress *progress;
    uint64_t gone_done, gone_total; /* the progress of inputs that are no more */
};

/* engine.c */

/* Tells the service manager that all runs. */
void engine_tell_ready(struct engine *);

/* engine_build.c */

/* An engine without threads, and every instance of the configuration created. Problems say what is wrong.
 * NULL: no memory. */
struct engine *engine_build(const struct config *, struct registry *, struct problems *);
/* The same without calling a plugin, so that nothing can run: what every instance is configured to is known.
 */
struct engine *engine_build_options(const struct config *, struct registry *, struct problems *);
/* Nothing may be running any more. Takes NULL. */
void engine_free(struct engine *);
void engine_add_input(struct engine *, struct input *);
void engine_remove_input(struct engine *, struct input *); /* and destroys it */
/* It retires: another one may have its identity, and its source does not wait for it any more. */
void engine_vacate(struct engine *, struct input *);
/* The instance that has that alias and does not retire, or NULL. */
const struct weir_instance *engine_find_alias(const struct engine *, const char *alias);
/* A copy of a file's name that lasts as long as the engine; NULL: no memory. */
const char *engine_file_name(struct engine *, const char *name);
/* Lets the instance's origins outlive the configuration that they are of. */
void engine_keep_origin(struct engine *, struct origin *);

/* engine_inputs.c */

/* Starts an input on the next loop; one that is `held` waits until the one of the same identity has stopped.
 */
void engine_start_input(struct engine *, struct input *);
/* Tells an input to retire, and those that it owns; one that has not begun is gone at once. */
void engine_stop_input(struct engine *, struct input *);
/* All of the configuration: the outputs are up. */
void engine_start_inputs(struct engine *);
/* Those that waited for an output that keeps positions, if none does now. */
void engine_start_awaiting(struct engine *);
void engine_on_input_events(struct engine *, struct input *, unsigned events);

/* engine_outputs.c */

/* 0 or a negative errno: the first that has no thread. */
int engine_start_outputs(struct engine *);
void engine_on_output_events(struct engine *, struct output *, unsigned events);

/* engine_stop.c */

/* Begins the way to the end, once; `status` counts if it is the first that is not 0. `hurry`: bounded by
 * service.grace. */
void engine_stop(struct engine *, int status, bool hurry);
/* SIGTERM or SIGINT, the first or another one. */
void engine_terminate(struct engine *, const char *name);
/* The inputs are gone: the outputs deliver what they have. */
void engine_drain(struct engine *);
/* The outputs are gone as well. */
void engine_finish(struct engine *);
/* Something does not come back: ends the process without it, once positions are written. */
_Noreturn void engine_give_up(struct engine *);
void engine_on_grace_timer(void *engine);

/* engine_flush.c */

/* Opens the store, whose positions are written from then on. 0 or a negative errno, which is logged. */
int engine_open_checkpoint(struct engine *);
/* Writes what has changed now. */
void engine_flush(struct engine *);
void engine_on_flush_timer(void *engine);

/* engine_progress.c */

/* Shows the bar, where it has a terminal for itself. */
void engine_begin_progress(struct engine *);
void engine_end_progress(struct engine *);
void engine_on_progress_timer(void *engine);

/* engine_signals.c */

/* 0 or a negative errno. */
int engine_take_signals(struct engine *);
void engine_leave_signals(struct engine *);

/* engine_set.c */

/* No set has come for a while: what the last ones took and left is given back. */
void engine_on_tidy_timer(void *engine);

/* An owned input could not start, for want of memory or whatever else may come back: it is made anew after 1
 * s, then after twice that, and so on, until its source no longer wants it. */
void engine_start_again(struct engine *, struct input *);
void engine_on_again_timer(void *engine);
/* Makes an owned input anew, with that version of its plugin, held until the one there is has stopped. False:
 * it can't be made, which is logged. */
bool engine_renew_owned(struct engine *, struct input *, const struct plugin *);
/* The inputs that `owner` asked for retire as well. */
void engine_stop_owned(struct engine *, const struct input *owner);

#endif
