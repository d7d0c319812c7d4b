/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the fake host share. One lock guards what may be touched from other threads. */
#ifndef FAKE_HOST_PRIVATE_H
#define FAKE_HOST_PRIVATE_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <weir/fake_host.h>

struct fake_call;
struct fake_draft;
struct fake_sent;
struct fake_written;
struct fake_memory;
struct fake_line;
struct fake_refused;

/* Who drives: all inputs, which share a loop, or one output. Set on the way into a callback. */
struct fake_driver {
    pthread_t owner;
    const char *callback; /* that it is in, or NULL */
};

struct weir_loop {
    struct weir_fake *host;
    int epoll, wake;
    uint64_t skipped; /* ns that weir_fake_later has added to the clock */
    struct weir_watch *watches, *dead;
    struct weir_timer *timers;
    struct fake_call *first, **last; /* under the host's lock */
};

struct weir_instance {
    struct weir_fake *host;
    struct weir_instance *next; /* in the host, for ever: who is gone is known by it */
    atomic_bool alive;          /* asked for by threads that should be gone, too */
    uint64_t gone;              /* the number of its destroy */
    char alias[64];             /* stays when it is gone */
    const struct weir_plugin *plugin;
    char *tag, *topic;
    void *self;
    void *own_config; /* made out of settings */
    struct fake_memory *memory;
    struct weir_metric *metrics;
    uint64_t done, total;
    size_t room; /* SIZE_MAX: no limit */
    bool started, stopping, ended;
    atomic_bool stopped;

    /* outputs */
    struct fake_driver driver;
    struct fake_written **written;
    size_t written_count;
    uint32_t rejected;
    struct weir_fake_rejection *rejections;
    size_t rejection_count;
    int cancel;          /* eventfd, or -1 */
    atomic_size_t waits; /* left before host->wait is cancelled; SIZE_MAX: no limit */
    bool keeper;
    struct weir_fake_kept *kept;
    size_t kept_count;

    /* sources */
    struct fake_memory *set_memory;
    struct weir_input_spec *set;
    size_t set_count;
    unsigned sets;
    struct fake_refused *refused;
    bool set_posted;
    weir_applied_fn applied;
    void *applied_data;

    struct weir_fake_series *series;
    size_t series_count;
};

struct weir_fake {
    struct weir_host table; /* first: what a plugin gets */
    struct weir_loop loop;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct weir_instance *all, *places;
    size_t places_taken;
    size_t instances; /* alive */
    uint64_t gone;
    struct fake_driver driver; /* of the loop */
    weir_fake_callback_fn on_callback;
    void *callback_data;
    struct weir_stream *streams;
    struct fake_sent *sent;
    struct weir_fake_chunk *view;
    size_t sent_count, acknowledged;
    struct fake_draft *drafts;
    struct fake_line *lines;
    char *error, *data_dir, *status;
    uint64_t next_id;
    unsigned pause, patience; /* ms */
    bool at_once;
    weir_fake_misuse_fn misuse;
    void *misuse_data;
};

/* Memory never lacks in a test. */
void *fake_must(void *p);
void *fake_zeroed(size_t size);
char *fake_copy(const char *text); /* NULL stays NULL */
/* Keeps bytes until fake_free_memory. */
void *fake_keep(struct fake_memory **list, void *bytes);
void fake_free_memory(struct fake_memory **list);

/* Tells of misuse; may return. */
void fake_misuse(struct weir_fake *, const struct weir_instance *, const char *format, ...) WEIR_PRINTF(3, 4);
/* Whether this instance is there; tells if it is not, or on the wrong thread. */
bool fake_is_there(struct weir_instance *, const char *function);
bool fake_on_thread(struct weir_fake *, struct weir_instance *, const char *function);
/* Both, and that it has started and not stopped yet. */
bool fake_may(struct weir_instance *, const char *function);

/* Around every callback, of the instance, or (NULL) of the loop. enter returns what leave wants back. */
const char *fake_enter(struct weir_fake *, struct weir_instance *, const char *callback);
void fake_leave(struct weir_fake *, struct weir_instance *, const char *before);

uint64_t fake_now(void);

/* The parts of the table. */
void fake_words(struct weir_host *);
void fake_loop_table(struct weir_host *);
void fake_streams(struct weir_host *);
void fake_chunks(struct weir_host *);
void fake_outputs(struct weir_host *);
void fake_sources(struct weir_host *);

void fake_words_finish(struct weir_fake *);
void fake_metrics_finish(struct weir_instance *);
bool fake_has_metric(const struct weir_instance *, const char *name);
void fake_series_finish(struct weir_instance *);
void fake_loop_init(struct weir_fake *);
void fake_loop_finish(struct weir_fake *);
void fake_loop_run_posted(struct weir_loop *);
int fake_post(struct weir_loop *, weir_call_fn, void *data);
/* Once no chunk names them any more. */
void fake_streams_drop_forgotten(struct weir_fake *);
void fake_streams_finish(struct weir_fake *);
void fake_chunks_finish(struct weir_fake *);
void fake_outputs_stopped(struct weir_instance *); /* host->stopped: nothing may be under way */
void fake_outputs_finish(struct weir_instance *);
void fake_sources_finish(struct weir_instance *);

/* chunks.c for streams.c and back */
void fake_add_sent(struct weir_fake *, struct weir_instance *, const struct weir_position *, size_t count,
                   struct fake_draft *);
void fake_stream_sent(struct weir_stream *, const struct weir_position *);
void fake_stream_committed(struct weir_stream *, const struct weir_fake_position *);
const char *fake_stream_key(const struct weir_stream *);
void fake_streams_left(struct weir_instance *);
void fake_drafts_left(struct weir_instance *);

/* Fills own_config out of settings. 0 or -EINVAL after the host's error. */
int fake_configure(struct weir_instance *, const struct weir_fake_setting *);

#endif
