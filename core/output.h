/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One configured output: a bounded queue of chunks, a thread that writes them, and what happens when a write
 * doesn't succeed. Made and closed on the control thread; its plugin's start, write and stop run on its own.
 * The structure itself is counted: routes refer to it, and a chunk of an old route may be pushed to it when
 * its plugin is long gone.
 */
#ifndef WEIR_CORE_OUTPUT_H
#define WEIR_CORE_OUTPUT_H

#include <pthread.h>
#include <stdbool.h>
#include "chunk.h"
#include "gate.h"
#include "instance.h"
#include "metrics.h"
#include "slot_list.h"

struct output_options {
    const char *name, *alias, *match, *match_regex, *match_topic, *retry_limit, *dead_letter_file;
    uint64_t queue_size;
};

enum output_phase {
    OUTPUT_RUNNING,
    OUTPUT_DRAINING, /* ends when everything is finished */
    OUTPUT_LEAVING,  /* writes nothing more: ends when what is in flight is finished */
    OUTPUT_CANCELLED /* ends now; what is not finished stays unacknowledged */
};

/* What becomes of an output in a reload; control thread. */
enum output_role {
    OUTPUT_IN_FORCE,
    OUTPUT_COMING, /* starts, and is in no route yet */
    OUTPUT_GOING   /* in no route any more */
};

struct output {
    struct weir_instance base; /* first */
    struct output_options options;
    atomic_uint refs;      /* the engine's, those of routes, and of outputs that it is the successor of */
    uint64_t hash;         /* of its alias: what a spool knows it by, also when the plugin is gone */
    unsigned attempts_max; /* writes of one chunk before it is rejected; 0: no limit */
    struct gate gate;      /* bytes from the queue's entry until finished */
    struct gate ahead;     /* of a keeper: those of them that it was not given yet */
    struct output *next;   /* engine's list; control thread */
    bool started, joined;  /* control thread */
    bool up;               /* its plugin's start (of a keeper: its load) has succeeded; control thread */
    bool keeper;           /* it keeps positions (host->keep_positions); set by create */
    enum output_role role;
    bool placed; /* while a reload puts the list in order */
    pthread_t thread;
    int cancel_fd; /* eventfd: readable once cancelled, for output_wait */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    enum output_phase phase;
    bool held;                  /* writes nothing yet: the one that it follows on is not gone */
    bool closed;                /* the plugin is gone: what comes is passed on */
    struct output *successor;   /* to which; NULL: to nobody */
    bool stopped;               /* the plugin said host->stopped */
    struct slot_list queued;    /* not written yet */
    struct slot_list in_flight; /* being written, or to be finished later */
    struct slot_list retry;     /* to be written again, before anything queued */
    uint64_t in_hand;           /* id of the chunk that was last given to write */
    bool passed;                /* since then one that goes before it has come back */
    unsigned failures;          /* in a row */
    bool pausing;               /* nothing was written again since not_before was set */
    uint64_t not_before;        /* end of the pause after a failure; loop_now's clock */

    struct weir_metric *records, *bytes, *retries, *rejected, *queue_bytes;
};

extern const struct weir_option output_options[];

/* As input_create. */
struct output *output_create(struct engine *, const struct plugin *, const struct section *,
                             const char *default_alias, struct problems *);
/* Adds the rule for what it takes. `origin`: of match_regex, for messages. 0 or a negative errno after adding
 * to problems. */
int output_add_rule(struct output *, struct router *, const struct origin *, struct problems *);
/* Its thread has ended (INSTANCE_STOPPED), or never began. Drops what is left unacknowledged. Takes NULL. */
void output_destroy(struct output *);

/* Any thread. */
void output_ref(struct output *);
void output_unref(struct output *); /* the last one frees the structure */

/* Starts its thread; INSTANCE_STARTED or INSTANCE_START_FAILED follows. 0 or a negative errno. Control
 * thread. */
int output_start(struct output *);
/* No more chunks will come: ends when all are finished. Control thread. */
void output_drain(struct output *);
/* Ends at once. Control thread. */
void output_cancel(struct output *);

/* -- Being swapped (output_swap.c). Control thread. -- */

/* Before output_start: it writes nothing before output_release. */
void output_hold(struct output *);
void output_release(struct output *);
/* It is in no route any more. It finishes what is in flight and ends; nobody waits at its gates. */
void output_leave(struct output *);
/*
 * After its thread has ended: closes its plugin, and hands what it did not finish to `successor` (which is
 * held), in front of everything there, in order; also what is pushed to it from now on. NULL: nobody has it,
 * and it does not count for acknowledgement. Returns how many chunks that were.
 */
size_t output_close(struct output *, struct output *successor);

/* Whether it keeps positions: then it gets a chunk when all others are done with it. Any thread. */
bool output_keeps(const struct output *);
/* The others of a chunk of its are done. Any thread, without a lock. */
void output_wake(struct output *);

/* Its gates, any thread. Whether there is room for a chunk; if not, the waiter waits. */
bool output_enter(struct output *, struct gate_waiter *);
/* Counts what is put into its queue. */
void output_charge(struct output *, uint64_t bytes);
/* Nobody is to wait there any more. */
void output_open_gates(struct output *);
/* Queues a chunk. Any thread; never blocks. */
void output_push(struct output *, struct chunk_slot *);

/* -- What the host table offers to outputs. -- */
void output_finish(struct output *, struct weir_chunk *, enum weir_result);
void output_reject(struct output *, struct weir_chunk *, const void *records, size_t size, uint32_t count,
                   const char *reason);
int output_keep_positions(struct output *);
int output_positions(struct output *, struct weir_chunk *, weir_kept_fn, void *data);
int output_wait(struct output *, int fd, short events, uint64_t timeout);
void output_stopped(struct output *);

#endif
