/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One configured output: a bounded queue of chunks, a thread that writes them, and what happens when a write
 * doesn't succeed. Made and freed on the control thread; its plugin's start, write and stop run on its own.
 */
#ifndef WEIR_CORE_OUTPUT_H
#define WEIR_CORE_OUTPUT_H

#include <pthread.h>
#include <stdbool.h>
#include "chunk.h"
#include "gate.h"
#include "instance.h"
#include "metrics.h"

struct output_options {
    const char *name, *alias, *match, *match_regex, *match_topic, *retry_limit, *dead_letter_file;
    uint64_t queue_size;
};

/* Slots in the order in which their chunks were sent. */
struct slot_list {
    struct chunk_slot *first, *last;
};

enum output_phase {
    OUTPUT_RUNNING,
    OUTPUT_DRAINING, /* ends when everything is finished */
    OUTPUT_CANCELLED /* ends now; what is not finished stays unacknowledged */
};

struct output {
    struct weir_instance base; /* first */
    struct output_options options;
    unsigned attempts_max; /* writes of one chunk before it is rejected; 0: no limit */
    struct gate gate;      /* bytes from the queue's entry until finished */
    struct output *next;   /* engine's list; control thread */
    bool started, joined;  /* control thread */
    bool up;               /* its plugin's start has succeeded; control thread */
    pthread_t thread;
    int cancel_fd; /* eventfd: readable once cancelled, for output_wait */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    enum output_phase phase;
    bool stopped;               /* the plugin said host->stopped */
    struct slot_list queued;    /* not written yet */
    struct slot_list in_flight; /* being written, or to be finished later */
    struct slot_list retry;     /* to be written again, before anything queued */
    unsigned failures;          /* in a row */
    uint64_t not_before;        /* end of the pause after a failure; loop_now's clock */

    pthread_mutex_t dead_letter_lock;
    int dead_letter_fd;
    struct weir_metric *records, *bytes, *retries, *rejected, *queue_bytes;
};

extern const struct weir_option output_options[];

/* As input_create. Adds its rule to the engine's router. */
struct output *output_create(struct engine *, const struct plugin *, const struct section *,
                             const char *default_alias, struct problems *);
/* Its thread has ended (INSTANCE_STOPPED), or never began. Drops what is left unacknowledged. Takes NULL. */
void output_destroy(struct output *);

/* Starts its thread; INSTANCE_STARTED or INSTANCE_START_FAILED follows. 0 or a negative errno. Control
 * thread. */
int output_start(struct output *);
/* No more chunks will come: ends when all are finished. Control thread. */
void output_drain(struct output *);
/* Ends at once. Control thread. */
void output_cancel(struct output *);

/* Queues a chunk. Any thread; never blocks. */
void output_push(struct output *, struct chunk_slot *);

/* -- What the host table offers to outputs. -- */
void output_finish(struct output *, struct weir_chunk *, enum weir_result);
void output_reject(struct output *, struct weir_chunk *, const void *records, size_t size, uint32_t count,
                   const char *reason);
int output_wait(struct output *, int fd, short events, uint64_t timeout);
void output_stopped(struct output *);

#endif
