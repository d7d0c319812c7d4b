/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One configured input: its loop, its route, and the state between chunk_begin and resume. Made and
 * freed on the control thread; everything between start and stopped happens on its loop.
 */
#ifndef WEIR_CORE_INPUT_H
#define WEIR_CORE_INPUT_H

#include <stdatomic.h>
#include "chunk.h"
#include "engine_spec.h"
#include "gate.h"
#include "instance.h"
#include "metrics.h"
#include "spool.h"

enum input_state {
    INPUT_CREATED,
    INPUT_STARTING,
    INPUT_RUNNING,
    INPUT_FAILED, /* a source's that could not start, and is made anew in a while */
    INPUT_STOPPING,
    INPUT_RETIRING /* it has left its place to others, and sends what none of them could read */
};

enum input_storage { STORAGE_MEMORY, STORAGE_DISK, STORAGE_FILESYSTEM, STORAGE_MEMRB };

struct input_options {
    const char *name, *alias, *tag, *topic;
    int storage; /* enum input_storage */
    uint64_t storage_limit;
};

struct input_spool_metrics {
    struct weir_metric *bytes, *chunks, *age, *damaged, *cut;
};

struct input {
    struct weir_instance base;     /* first */
    struct input_options *options; /* NULL once its configuration is dropped */
    const char *tag, *topic;       /* or NULL */
    char *identity; /* what its positions are kept under; once started, the checkpoint's text */
    uint32_t identity_hash;
    uint16_t asking;            /* control thread: requests for the status that have no answer yet */
    uint8_t failed_starts;      /* control thread: of a source's, in a row */
    struct input *next_of_hash; /* control thread */
    struct weir_loop *loop;
    struct spool_feed *feed;                   /* NULL: what it sends is kept in memory only */
    struct input_spool_metrics *spool_metrics; /* with a feed */

    /* control thread */
    struct input *owner;          /* the source that asked for it, or NULL */
    struct heir *heir;            /* whose positions it may go on from, or NULL (heirs.h) */
    const char *id;               /* in the owner's set: the end of the identity */
    struct spec_shared *settings; /* to see whether a spec has changed */
    uint8_t state;                /* enum input_state */
    bool ended;
    bool held;     /* not to be started before one of the same identity has stopped */
    bool awaits;   /* not to be started before an output has loaded the positions it keeps */
    bool placed;   /* engine_start_input was called */
    bool wanted;   /* mark and sweep of a set */
    bool gave_set; /* an answer may still be on its way to the loop */
    bool owns;     /* it has given a set */
    bool fresh;    /* of a reload that waits for its start */
    bool late;     /* of a reload that did not wait, since a keeper of positions had not told them */
    bool failed;   /* and it could not start */
    bool gone;     /* a source that has stopped, whose inputs have not yet */
    bool lingers;  /* it has stopped, and waits for answers that are still to come */
    bool lent;     /* the identity is not its own memory */

    /* loop */
    bool running; /* between start and stopped: may send */
    bool waiting; /* told -EAGAIN, resume to come */
    bool warned_no_route;
    struct route *route; /* of the last chunk */
    struct gate_waiter waiter;
    struct loop_call stop_call, resume_call;
    struct loop_call life_call; /* start; later stopped and then, on the control loop behind every request
                                   that the input made, gone */

    /* control thread */
    const struct section *section; /* in the configuration in force; NULL for an owned input */
    struct input *prev, *next;

    /* any thread */
    atomic_uint_fast64_t progress_done, progress_total;
    struct weir_metric *records, *bytes;
};

static inline const char *input_tag(const struct input *in)
{
    return in->tag ? in->tag : in->base.alias->chars;
}

static inline const char *input_topic(const struct input *in)
{
    return in->topic ? in->topic : "";
}

/* Whether it was told to stop, or to retire: it has no place in the configuration any more. */
static inline bool input_leaves(const struct input *in)
{
    return in->state >= INPUT_STOPPING;
}

extern const struct weir_option input_options[];

/*
 * Makes an input out of its section; `plugin` has been looked up. default_alias ("tail.0") names it where the
 * section doesn't. Adds to problems, and returns NULL, where it can't. Control thread.
 */
struct input *input_create(struct engine *, const struct plugin *, const struct section *,
                           const char *default_alias, struct problems *);
/*
 * Of an owned input whose configuration nobody looks at any more: frees it where its plugin allows that. Its
 * tag and topic are its settings' then.
 */
void input_drop_config(struct input *);
/* True once INSTANCE_STOPPED was told and nothing posted to the loop for it is left; else INSTANCE_STOPPED is
 * told again when that may be. */
bool input_is_quiet(struct input *);
/* One that lingers, after its last answer: one more round through the loop, behind the answers posted to it.
 */
void input_go_round(struct input *);
/* When it is quiet, or before input_start. Takes NULL. */
void input_destroy(struct input *);

/* Takes the text over. */
void input_set_identity(struct input *, char *identity);
bool input_has_identity(const struct input *, const char *identity, uint32_t hash);
uint32_t input_identity_hash(const char *identity);
/* The identity that a configured input would have without an alias; the caller frees. NULL: no memory. */
char *input_plain_identity(const struct input *, const struct section *);

/* Control thread; the answers come as instance events. */
void input_start(struct input *, struct weir_loop *);
void input_stop(struct input *);
/* The same, but that it may first send what no other input could go on with: then INSTANCE_RETIRING is told.
 */
void input_retire(struct input *);

/* The rules of routing have changed: lets go of an old route, and tries again where no output matched. Loop.
 */
void input_reroute(struct input *);

/* The route of that tag and topic; kept until the next one is asked for. NULL: no memory. Loop. */
struct route *input_route(struct input *, const char *tag, const char *topic);
/* Whether every output of the route, and the process, has room. If not, `waiter` waits for the first that has
 * none. */
bool input_has_room(struct input *, const struct route *, struct gate_waiter *waiter);

/* Seconds since the oldest chunk that waits was written. */
uint64_t input_spool_age(const struct spool_stats *);
/* Sets the metrics of its spool, where it has one. Control thread. */
void input_show_spool(struct input *);

/* -- What the host table offers to inputs. Loop. -- */
void input_stopped(struct input *);
void input_ended(struct input *);
int input_on_durable(struct input *, weir_durable_fn, void *data);
int input_chunk_begin(struct input *, const char *tag, const char *topic, size_t size,
                      struct weir_draft **ret);
int input_chunk_grow(struct weir_draft **, size_t room);
void input_chunk_send(struct weir_draft *, const struct weir_position *, size_t count);
void input_chunk_cancel(struct weir_draft *);

#endif
