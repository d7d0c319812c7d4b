/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/plugin.h: the whole contract between weir and a plugin.
 *
 * A plugin is a shared object that defines one symbol, `weir_plugin_descriptor`, and includes nothing
 * of weir's but this header (and weir/event.h and weir/json.h, which are header-only helpers). It
 * calls weir only through the `struct weir_host` that it is given, so nothing is linked by name and a
 * unit test can hand it a host of its own.
 *
 * THREADS
 *   - control: weir's main thread. `create` and `destroy` run there, and no other callback of the same
 *     instance runs at the same time.
 *   - loop: an input lives on one loop, a thread that waits in epoll. Its `start`, `resume`, `stop`
 *     and all its descriptor, timer and posted callbacks run there, one at a time: an input needs no
 *     lock. A callback must not block; it holds up every other input of the loop.
 *   - output thread: each output has one of its own. Its `start`, `write` and `stop` run there, and may
 *     block as long as they watch `wait` (below).
 *   A host function may be called on the threads that its comment names, and only there.
 *
 * LIFE OF AN INSTANCE
 *   create -> start -> write... or resume... -> stop -> (plugin calls host->stopped) -> destroy.
 *   Outputs that keep positions are asked to `load` them between start and the first write. Inputs that hold
 *   what no other could read are asked to `retire` before stop.
 *   `weir check` calls create and destroy only, and so does a reload, for what turns out to be
 *   unchanged. If create fails nothing else is called; if start fails, destroy is next. Between stop and
 *   host->stopped() the instance winds down; after host->stopped() only destroy is called.
 *
 * BEING REPLACED
 *   A reload may replace an instance by one with other options, of another plugin, or of another version
 *   of the same file, while weir runs. An output starts while the one that it follows on still runs, and
 *   is given chunks only after that one's destroy; so start must not need for itself alone what the other
 *   has. An input starts after the other's destroy, or while that retires. Two versions of a file are two
 *   plugins with static data of their own. After the destroy of its last instance the code is unmapped:
 *   no thread, no thread-specific destructor and no atexit handler of the plugin may be left (or link it
 *   with -z nodelete). An input should send a draft in the callback in which it began it, or outputs that
 *   were removed meanwhile do not get it.
 *
 * VERSIONS
 *   WEIR_ABI_VERSION changes only if an old plugin can no longer be loaded; that is not planned. New
 *   members are added at the end of a structure, which is why each begins with its size: weir treats
 *   what an older plugin lacks as zero, and a plugin tests `WEIR_HAS(host, member)` before it uses a
 *   host function newer than the oldest weir that it wants to run in. Rows of an array come with the size
 *   of one (weir_option: option_size; weir_input_spec: spec_size). What has no size at all is final:
 *   weir_position, weir_refusal, weir_setting, weir_list, weir_map and weir_map_entry never change. Should
 *   one of them lack something one day, a new structure comes with a new function or type of option,
 *   beside it.
 *
 * HISTORY
 *   1: the first.
 */
#ifndef WEIR_PLUGIN_H
#define WEIR_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_ABI_VERSION 1u

#if defined(__GNUC__)
#define WEIR_EXPORT              __attribute__((visibility("default")))
#define WEIR_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define WEIR_EXPORT
#define WEIR_PRINTF(text, first)
#endif

/* Whether a structure that was handed over (host, chunk) is long enough to have `member`. */
#define WEIR_HAS(ptr, member)                                                                \
    ((size_t)((const char *)&(ptr)->member - (const char *)(ptr)) + sizeof((ptr)->member) <= \
     (ptr)->struct_size)

struct weir_instance; /* weir's handle of one configured input or output */
struct weir_loop;     /* the event loop that an input lives on */
struct weir_watch;    /* a descriptor watched on a loop */
struct weir_timer;    /* a timer on a loop */
struct weir_stream;   /* something whose position is remembered: a followed file, a partition, … */
struct weir_metric;   /* a number shown to operators */

enum weir_kind { WEIR_INPUT = 1, WEIR_OUTPUT = 2 };

enum weir_log_level {
    WEIR_LOG_ERROR = 1, /* something was given up; an operator must act */
    WEIR_LOG_WARN = 2,  /* something is wrong, and weir goes on */
    WEIR_LOG_INFO = 3,  /* what an operator wants to know of a healthy run */
    WEIR_LOG_DEBUG = 4,
    WEIR_LOG_TRACE = 5
};

/* ---- Options ------------------------------------------------------------------------------------ */

/*
 * The type of an option, with the C type of the member of the plugin's configuration structure that
 * weir fills in. The pointed-to memory belongs to weir and is valid until destroy returns.
 */
enum weir_option_type {
    WEIR_OPTION_BOOL = 1,     /* bool: on/off, true/false, yes/no */
    WEIR_OPTION_INT = 2,      /* int64_t */
    WEIR_OPTION_SIZE = 3,     /* uint64_t, bytes: 512, 32k, 5M, 1G (units of 1024) */
    WEIR_OPTION_DURATION = 4, /* uint64_t, nanoseconds: 5s, 100ms, 1h30m; a bare number is seconds */
    WEIR_OPTION_STRING = 5,   /* const char *, NULL where there is neither value nor default */
    WEIR_OPTION_PATH = 6,     /* const char *, as STRING; the value names a file or a directory */
    WEIR_OPTION_SECRET = 7,   /* const char *, as STRING; never printed; file:///… is read from that file */
    WEIR_OPTION_LIST = 8,     /* struct weir_list: a YAML list, or one string with commas */
    WEIR_OPTION_CHOICE = 9,   /* int: the value's index in `choices` */
    WEIR_OPTION_MAP =
        10, /* struct weir_map: every setting whose name begins with the option's name and a dot */
    WEIR_OPTION_IGNORED = 11 /* accepted with a warning; `help` says why it has no effect */
};

enum weir_option_flags {
    WEIR_OPTION_REQUIRED = 1 << 0,
    /*
     * Of an input: while it has no alias, the values of these options are its identity, under which its
     * positions are kept. (in_tail: path.) Two inputs without an alias that are the same in them are refused.
     * Where a value is edited, or an alias given, the new input may find the former one's streams as its own,
     * among them some that are not of what it follows: it leaves those alone.
     */
    WEIR_OPTION_IDENTITY = 1 << 1,
    /*
     * The value is a path that the plugin reads from, or makes and writes to, while it runs. Of PATH, STRING
     * and LIST (each item); of a MAP, each value that begins with a slash. With `service.sandbox: on` this is
     * how weir knows what to let through, before anything runs and for good: a directory with all below it;
     * of a path up to a component with a wildcard or a placeholder (* ? [ { $ %) what lies before that; of a
     * file, its directory. A plugin that renames or removes files says WRITES of the directory. Older weirs
     * have no sandbox, and ignore both.
     */
    WEIR_OPTION_READS = 1 << 2,
    WEIR_OPTION_WRITES = 1 << 3
};

struct weir_list {
    const char *const *items;
    size_t count;
};

struct weir_map_entry {
    const char *name; /* without the option's name and its dot */
    const char *value;
};

struct weir_map {
    const struct weir_map_entry *entries;
    size_t count;
};

/*
 * One row of a plugin's option table, which ends with a row whose name is NULL. The table is the
 * parser, the checker and the manual: `weir plugins NAME` prints it.
 */
struct weir_option {
    const char *name;  /* compared without regard to case */
    const char *alias; /* a second name for the same option, or NULL */
    enum weir_option_type type;
    uint32_t flags;             /* of enum weir_option_flags */
    size_t offset;              /* offsetof the member in the configuration structure */
    const char *def;            /* the default, written as a user would; NULL: false, 0, NULL, empty */
    int64_t min, max;           /* INT, SIZE, DURATION: the range, both ends included; both 0: any */
    const char *const *choices; /* CHOICE: the names, ending with NULL */
    const char *help;           /* one line */
};

/* ---- Records, chunks, positions ------------------------------------------------------------------ */

/*
 * A chunk as an output sees it: an immutable run of records with one tag and one topic. The bytes are
 * valid until the output has finished the chunk.
 */
struct weir_chunk {
    uint32_t struct_size;
    uint32_t records;    /* how many */
    const uint8_t *data; /* the records, one after the other, each a msgpack [EventTime, map] */
    size_t size;         /* bytes of data */
    const char *tag;     /* never NULL */
    const char *topic;   /* never NULL; "" where the input has none */
    const char *input;   /* alias of the input that it came from */
    uint64_t id;         /* unique in this process; the same chunk keeps it when it is written again */
};

/* What became of a chunk. */
enum weir_result {
    WEIR_DELIVERED = 0, /* the sink has it for good */
    WEIR_RETRY = 1,     /* not now: weir writes it again, after a pause that grows, before any later chunk */
    WEIR_REJECTED = 2,  /* never: weir counts and logs it and goes on with the next */
    WEIR_LATER = 3      /* from `write` only: the plugin will call host->finish */
};

/*
 * A chunk that an input is filling. Records are written at data + size; `size` and `records` are
 * advanced by the plugin, and neither may pass `capacity`.
 */
struct weir_draft {
    uint32_t struct_size;
    uint32_t records;
    uint8_t *data;
    size_t size;
    size_t capacity;
};

/*
 * "All of this stream below `offset` is in this chunk or an earlier one." Offsets of one stream never
 * go down: a lower one counts as the one before, so the position stands still until it is passed. `token` is
 * 64 bits of the plugin's own that are kept with the offset (in_tail: a hash of the bytes before it).
 */
struct weir_position {
    struct weir_stream *stream;
    uint64_t offset;
    uint64_t token;
};

/* Where a stream stands. The pointers are valid until the stream is changed or closed. */
struct weir_stream_state {
    uint32_t struct_size;
    bool known; /* false: nothing was ever sent, advanced or committed */
    const char *key;
    uint64_t offset;    /* sent (in this process), else committed (by an earlier one) */
    uint64_t token;     /* the token that came with that offset */
    uint64_t committed; /* every byte below is acknowledged by every output */
    const void *meta;   /* what stream_set_meta stored; NULL where nothing was */
    size_t meta_size;
    /*
     * Somebody has it open. One that this input has not is that of an input which it follows on, and which
     * retires (struct weir_plugin, retire): leave it alone, and ask again later.
     */
    bool open;
};

/* The position of a stream as an output keeps it (see host->keep_positions). Valid during the call. */
struct weir_kept {
    uint32_t struct_size;
    bool forgotten;    /* the stream is no more: what is kept of it is to be dropped */
    const char *input; /* the identity of its input, the same after every restart */
    const char *key;   /* of the stream */
    uint64_t offset;
    uint64_t token;
    const void *meta; /* NULL where there is none; at most 4 KiB */
    size_t meta_size;
};

typedef int (*weir_kept_fn)(void *data, const struct weir_kept *);

/* ---- A set of inputs, from a plugin that is a source of configuration ------------------------------ */

struct weir_setting {
    const char *name;
    const char *value; /* a list is a setting of the same name for each item, or one string with commas */
};

struct weir_input_spec {
    const char *id;     /* unique in its set; what its positions are kept under */
    const char *name;   /* the plugin: "tail" */
    const char *origin; /* for messages: "logAgentConf[3]" */
    const struct weir_setting *settings;
    size_t count;
};

struct weir_refusal {
    size_t index; /* in the set that was given */
    const char *reason;
};

/*
 * The set has been applied: every spec that is not among the refusals runs, or is being started. One that
 * can't start is made anew after a while, until it can or a later set does without it. Whoever has a spec
 * refused gives the set again: what stood in its way, an alias that another one of the same set gives up, may
 * be gone by then. On the loop of the instance that gave the set. The refusals are valid during the call.
 */
typedef void (*weir_applied_fn)(void *data, const struct weir_refusal *refusals, size_t count);

/* Valid during the call. NULL: it can't be had now. */
typedef void (*weir_status_fn)(void *data, const char *json, size_t size);

/* rc 0: what was sent is on disk; a negative errno: it may not be (the disk failed). */
typedef void (*weir_durable_fn)(void *data, int rc);

/* ---- The host ------------------------------------------------------------------------------------ */

typedef void (*weir_watch_fn)(void *data, int fd, uint32_t events); /* events: EPOLLIN, … */
typedef void (*weir_call_fn)(void *data);

enum weir_metric_kind {
    WEIR_COUNTER = 1,
    WEIR_GAUGE = 2,
    /*
     * For host->metric: a counter that is 0 and most likely stays so. It is shown, and costs no memory; what
     * is returned is NULL. When there is something to be added, ask for it as WEIR_COUNTER.
     */
    WEIR_COUNTER_AT_ZERO = 3
};

/* What a plugin may ask of weir. One table for the whole process, valid until it ends. */
struct weir_host {
    uint32_t struct_size;
    uint32_t abi_version;
    const char *version; /* weir's own, "0.1.0" */

    /* -- Words. Any thread. ------------------------------------------------------------------------ */

    /* A line in weir's log, under the instance's alias. Control characters are escaped. */
    void (*log)(struct weir_instance *, enum weir_log_level, const char *format, ...) WEIR_PRINTF(3, 4);
    /* Whether a line of that level would be written. */
    bool (*log_enabled)(struct weir_instance *, enum weir_log_level);
    /*
     * Says why `create` or `start` is about to return an error, or what is wrong with the instance right
     * now (shown in its status until it is replaced; NULL format clears it). create's text goes before
     * the user with the file and line of the instance.
     */
    void (*error)(struct weir_instance *, const char *format, ...) WEIR_PRINTF(2, 3);
    /* The instance can't go on, ever: weir logs the text, stops in order and ends with status 3. */
    void (*fail)(struct weir_instance *, const char *format, ...) WEIR_PRINTF(2, 3);

    /* -- Numbers. Any thread; add and set neither lock nor allocate. ------------------------------- */

    /*
     * A metric of this instance, `weir_<plugin>_<name>`, with the label input="alias" or
     * output="alias" and, where label is not NULL, one more. Asking again gives the same one. Valid until
     * destroy returns. NULL when memory is short, or weir_PLUGIN_NAME longer than
     * 159 characters: metric_add and metric_set take NULL.
     */
    struct weir_metric *(*metric)(struct weir_instance *, enum weir_metric_kind, const char *name,
                                  const char *help, const char *label, const char *label_value);
    void (*metric_add)(struct weir_metric *, uint64_t n);
    void (*metric_set)(struct weir_metric *, int64_t value);

    /* -- Life cycle -------------------------------------------------------------------------------- */

    /* The answer to `stop`: no more callbacks but destroy. Instance's thread; also from within stop. */
    void (*stopped)(struct weir_instance *);
    /*
     * Inputs: all there is has been sent, and no more will come. When every input has ended and all was
     * delivered, weir ends. Loop.
     */
    void (*ended)(struct weir_instance *);
    /* Inputs that will end: how many bytes are read of how many, for the progress bar. Loop. */
    void (*progress)(struct weir_instance *, uint64_t done, uint64_t total);
    /* The alias. Any thread; valid until destroy returns. */
    const char *(*alias)(struct weir_instance *);
    /*
     * Inputs: the configured tag and topic; never NULL, topic may be "". Any thread; valid until destroy
     * returns, but with WEIR_PLUGIN_COPIES_CONFIG what create is told only until it returns: ask again from
     * start on.
     */
    const char *(*tag)(struct weir_instance *);
    const char *(*topic)(struct weir_instance *);

    /* -- The loop of an input ---------------------------------------------------------------------- */

    /* The input's loop. From start on, until stopped. NULL for outputs. */
    struct weir_loop *(*loop)(struct weir_instance *);
    /*
     * Watches a descriptor, level-triggered, with epoll's event bits. NULL and errno on failure. The
     * callback may remove any watch, its own as well. Remove it before the descriptor is closed. Loop.
     */
    struct weir_watch *(*watch_add)(struct weir_loop *, int fd, uint32_t events, weir_watch_fn, void *data);
    int (*watch_set)(struct weir_watch *, uint32_t events);
    void (*watch_remove)(struct weir_watch *);
    /*
     * A timer, not running yet. timer_set lets it run out once after `first` nanoseconds and, where
     * `repeat` is not 0, every `repeat` after that; first = 0 and repeat = 0 stops it. Loop.
     */
    struct weir_timer *(*timer_add)(struct weir_loop *, weir_call_fn, void *data);
    void (*timer_set)(struct weir_timer *, uint64_t first, uint64_t repeat);
    void (*timer_remove)(struct weir_timer *);
    /*
     * Calls fn on the loop, soon, in the order of posting. ANY thread. From the loop itself: after the
     * events that are pending now, so an input with much to do does a slice and posts the rest. Returns
     * -ENOMEM on failure. What was posted before host->stopped() is called before destroy.
     */
    int (*post)(struct weir_loop *, weir_call_fn, void *data);

    /* -- Streams and positions. Loop. -------------------------------------------------------------- */

    /*
     * The stream of this input with that key (1 to 512 bytes, no control characters). It is made where
     * there is none. Held until stream_close; the memory of its position stays with weir. NULL and errno:
     * ENOMEM, or EINVAL for another key.
     */
    struct weir_stream *(*stream_open)(struct weir_instance *, const char *key);
    /* Fills *ret (struct_size set by the caller). */
    void (*stream_state)(struct weir_stream *, struct weir_stream_state *ret);
    /* Calls fn for every known stream of this input, open or not, until it returns other than 0; returns
     * that. */
    int (*stream_each)(struct weir_instance *, int (*fn)(void *data, const struct weir_stream_state *),
                       void *data);
    /* Stores up to 4 KiB beside the stream's position, from the next checkpoint on. -ENOMEM, -EMSGSIZE. */
    int (*stream_set_meta)(struct weir_stream *, const void *meta, size_t size);
    /*
     * Moves the position without records: up to `offset` there is nothing to deliver. Takes its place
     * after the chunks sent before. -ENOMEM.
     */
    int (*stream_advance)(struct weir_stream *, uint64_t offset, uint64_t token);
    /* Drops the stream from the checkpoint for ever, and closes it. Chunks under way are still delivered. */
    void (*stream_forget)(struct weir_stream *);
    void (*stream_close)(struct weir_stream *);

    /* -- Chunks, inputs. Loop. --------------------------------------------------------------------- */

    /*
     * Begins a chunk with room for at least `size` bytes. tag and topic NULL: the configured ones.
     * -EAGAIN: an output of the route is full (or no output matches): keep the data where it is;
     * `resume` is called when it is worth trying again. But before start and once stopped it is -EAGAIN, too,
     * and nothing is called. -EINVAL: the plugin has no `resume`. -ENOMEM.
     */
    int (*chunk_begin)(struct weir_instance *, const char *tag, const char *topic, size_t size,
                       struct weir_draft **ret);
    /* Makes capacity - size at least `room`. *draft may move, also its data. -ENOMEM leaves it as it was. */
    int (*chunk_grow)(struct weir_draft **draft, size_t room);
    /*
     * Hands the records and positions over to the outputs; the draft is gone. A draft without records just
     * moves the positions. No stream may be named twice.
     */
    void (*chunk_send)(struct weir_draft *, const struct weir_position *, size_t count);
    /* Throws a draft away. */
    void (*chunk_cancel)(struct weir_draft *);

    /* -- Chunks, outputs --------------------------------------------------------------------------- */

    /*
     * Ends a chunk for which `write` returned (or is about to return) WEIR_LATER. Any thread, once; the chunk
     * must not be touched after it. After a WEIR_RETRY, weir waits until every chunk under way is
     * finished, then writes those to be retried again, oldest first.
     */
    void (*finish)(struct weir_instance *, struct weir_chunk *, enum weir_result);
    /*
     * Says that `count` records of a chunk (which goes on) were refused for good: counted and logged with
     * the reason; `records` (NULL: not kept) are their `size` msgpack bytes, for the output's
     * dead_letter_file. Any thread, before the chunk is finished.
     */
    void (*reject)(struct weir_instance *, struct weir_chunk *, const void *records, size_t size,
                   uint32_t count, const char *reason);
    /*
     * Waits on the output's thread until `fd` is ready for `events` (POLLIN, POLLOUT; fd -1: for time
     * only), at most `timeout` nanoseconds (UINT64_MAX: for ever). 0: ready, -ETIMEDOUT, -ECANCELED: the
     * output must give up what it does now (return WEIR_RETRY), since weir ends without waiting for it.
     */
    int (*wait)(struct weir_instance *, int fd, short events, uint64_t timeout);

    /* -- Configuration sources. Loop. -------------------------------------------------------------- */

    /*
     * The inputs that this instance owns are now these. weir copies the specs, checks each as it checks a
     * configuration file, and compares: an unchanged one is not touched, a new one is started, a changed one
     * is replaced, a missing one drains and goes; positions stay. done (or NULL) is called when that is
     * settled. When the owner stops, its inputs stop. spec_size is sizeof(struct weir_input_spec). -ENOMEM.
     */
    int (*set_inputs)(struct weir_instance *, const struct weir_input_spec *, uint32_t spec_size,
                      size_t count, weir_applied_fn done, void *data);

    /* -- Files of a plugin's own. Any thread. -------------------------------------------------------- */

    /*
     * The folder in which this process keeps what must survive it, for files that begin with the plugin's
     * name and the alias; NULL where nothing is kept. It exists from start on. Valid until destroy returns.
     */
    const char *(*data_dir)(struct weir_instance *);

    /* -- What weir shows of itself. Loop. ------------------------------------------------------------ */

    /*
     * Asks for weir's status, as GET /api/v1/status answers it: JSON, with at most `limit` entries in each
     * long list, those first that need a look most (weir_details.worst_first). fn is called once, on the loop
     * of the asking input, unless that stops before. -ENOMEM.
     */
    int (*status)(struct weir_instance *, uint64_t limit, weir_status_fn, void *data);

    /* -- Positions that an output keeps. ------------------------------------------------------------- */

    /*
     * An output that can store the positions of a chunk in one step with its records (a transaction of the
     * sink) is their keeper: it calls this in `create`, and then
     *   - its `load` is called, and the inputs that it takes records from are only started after that;
     *   - it gets a chunk when every other output of the route is done with it, so that what it keeps is
     *     never ahead of them; a chunk whose positions it has already is not written to it;
     *   - what it gives back (WEIR_RETRY) comes again in order, but for one chunk that weir may have in hand
     *     just then and writes first: that one must be given back as well, or its positions go before the
     *     others';
     *   - what `kept` told goes before the local checkpoint, where it is further on.
     * A route has one keeper at most. 0, or -ENOTSUP: not from within create. Control.
     */
    int (*keep_positions)(struct weir_instance *);
    /*
     * A position that the sink holds; of each stream the last one. All of it is copied. From `load`, and from
     * within `write` where the sink had to be asked again. -EINVAL: it makes no sense; -ENOMEM. Output
     * thread.
     */
    int (*kept)(struct weir_instance *, const struct weir_kept *);
    /*
     * Calls fn for every position that is to be stored with a chunk that is not finished, in order, until it
     * returns other than 0; returns that. Streams that were forgotten are among them. Any thread.
     */
    int (*positions)(struct weir_instance *, struct weir_chunk *, weir_kept_fn fn, void *data);

    /* -- Inputs that can't be read again. Loop. ------------------------------------------------------ */

    /*
     * Calls fn, once, when everything that this input has sent so far is on disk (`storage: disk`), where it
     * survives a kill and a power cut until every output has it: the moment to acknowledge it to whoever it
     * came from. Never from within this call; calls are answered in their order, many with one sync. While
     * the disk is full the answer waits. Not after host->stopped(): destroy frees what `data` of an open call
     * points to. -ENOTSUP: the input keeps nothing on disk, and what was sent is only
     * in memory. -ENOMEM.
     */
    int (*on_durable)(struct weir_instance *, weir_durable_fn, void *data);
};

/* ---- What an instance shows of itself -------------------------------------------------------------- */

/* Asked for by weir's status. Valid during the call. */
struct weir_details {
    uint32_t struct_size;
    uint64_t offset,
        limit; /* of a list that may be long: leave out the first `offset`, give at most `limit` */
    /* Takes the next piece of the answer. */
    void (*write)(void *data, const char *json, size_t size);
    void *data;
    /* Not 0: of that list, what needs a look most comes first; of files, those that lag most. Look at
     * struct_size first. */
    uint32_t worst_first;
};

/* Asked for by a scrape of weir's metrics. Valid during the call. */
struct weir_series {
    uint32_t struct_size;
    /*
     * A metric with its value now: `weir_<plugin>_<name>` (a counter without _total) with the label
     * input="alias" and, where label is not NULL, one more. All is copied. For what comes and goes, or would
     * be too many to keep, such as the lag of each file: of the series of one name that have a label of their
     * own weir shows only the largest few hundred, of all inputs together.
     */
    void (*put)(void *data, enum weir_metric_kind, const char *name, const char *help, const char *label,
                const char *label_value, double value);
    void *data;
};

/* ---- The plugin ---------------------------------------------------------------------------------- */

enum weir_plugin_flags {
    /*
     * An input that is a source of configuration: it calls host->set_inputs. Its records, if it sends any,
     * tell of that, so no output need match its tag; its details stand in a list of the status named as the
     * plugin.
     */
    WEIR_PLUGIN_SOURCE = 1 << 0,
    /*
     * An input that goes on from its positions: whatever it sends can be read again, so `storage: disk` would
     * only be a copy. (in_tail.)
     */
    WEIR_PLUGIN_REREADS = 1 << 1,
    /*
     * An input that looks at its configuration, and at what that points to, within create only: weir may free
     * it then. For plugins of which there may be thousands of instances. (in_tail.)
     */
    WEIR_PLUGIN_COPIES_CONFIG = 1 << 2
};

/* The three numbers that every descriptor begins with. */
#define WEIR_ABI (uint32_t)sizeof(struct weir_plugin), WEIR_ABI_VERSION, (uint32_t)sizeof(struct weir_option)

struct weir_plugin {
    uint32_t struct_size, abi_version; /* first for ever */
    uint32_t option_size;              /* all three: WEIR_ABI */
    enum weir_kind kind;
    const char *name;    /* as in `name:`, [a-z][a-z0-9_]*, at most 32 */
    const char *version; /* the plugin's own */
    const char *summary; /* one line */
    const struct weir_option *options;
    size_t config_size; /* of the structure that the options' offsets lie in; 0 without options */

    /*
     * Mandatory. Control. Makes an instance out of its configuration, which stays valid and unchanged until
     * destroy returns (but see WEIR_PLUGIN_COPIES_CONFIG). Checks what a table can't, allocates, and opens
     * nothing outside the process: `weir check` calls it too. Returns 0 and *ret_self, or a negative errno
     * after host->error.
     */
    int (*create)(const struct weir_host *, struct weir_instance *, const void *config, void **ret_self);
    /*
     * Optional. Loop or output thread. 0 or a negative errno after host->error: weir then does not start. In
     * a reload all stays or becomes as it was, and of an input that a source asked for the others go on.
     */
    int (*start)(void *self);
    /*
     * Mandatory for outputs. Output thread. Writes one chunk; returns an enum weir_result. Chunks come in
     * order. May block if it does so in host->wait.
     */
    int (*write)(void *self, struct weir_chunk *);
    /* Mandatory for inputs that begin chunks. Loop. After -EAGAIN: try again. May be called without need. */
    void (*resume)(void *self);
    /*
     * Optional (missing: stopped at once). Loop or output thread. Begins to stop: an input sends nothing
     * after host->stopped(); an output is given nothing more to write, and finishes what it has.
     */
    void (*stop)(void *self);
    /* Mandatory. Control. Frees everything. */
    void (*destroy)(void *self);

    uint32_t flags; /* of enum weir_plugin_flags */
    /*
     * Optional. Loop; inputs only. Writes members of a JSON object (valid UTF-8, no braces around them) about
     * this instance, such as `"connected":true,"revision":41`, for the status. Never called before start has
     * returned or after stop. It must be quick. A negative errno: nothing is shown.
     */
    int (*details)(void *self, const struct weir_details *);
    /*
     * Optional. Loop; inputs only. Tells the metrics that exist only while they are asked for; no name may be
     * that of a host->metric. When it is called, and how quick it must be: as details.
     */
    int (*series)(void *self, const struct weir_series *);
    /*
     * Mandatory for outputs that call host->keep_positions, and called for those only. Output thread, after
     * start and before the first write, when the output that it follows on is gone. Tells host->kept all that
     * the sink holds. May block in host->wait for as long as it takes. A negative errno, after host->error:
     * weir does not start.
     */
    int (*load)(void *self);
    /*
     * Optional. Loop; inputs only, and not those that are a source or keep what they send on disk. Called
     * where an input that runs is to go, before stop: it gives up at once all that another input with its
     * positions can go on with, so closes those streams, and keeps what nobody could read again (in_tail:
     * deleted files that it has open). 0: there is none, and stop follows at once. 1: there is, and it goes
     * on with that: its callbacks are called as before, its status is shown, and the input that takes its
     * place runs beside it, perhaps on another loop. When it has sent all it calls host->ended, and stop
     * follows; it may come before that, where weir ends.
     */
    int (*retire)(void *self);
};

/* The one symbol. Define it as: const struct weir_plugin weir_plugin_descriptor = {WEIR_ABI, …}; */
extern WEIR_EXPORT const struct weir_plugin weir_plugin_descriptor;

#ifdef __cplusplus
}
#endif
#endif
