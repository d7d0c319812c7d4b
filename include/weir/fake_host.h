/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/fake_host.h: a host for unit tests of plugins, without weir: everything of struct weir_host, in one
 * process and in memory. Link libweir_fake_host.a (CMake: weir::fake_host; pkg-config: weir-fake-host) with
 * the plugin's own sources and a test:
 *
 *     struct weir_fake *fake = weir_fake_create();
 *     const struct weir_fake_setting settings[] = {{"path", "out.txt"}, {NULL, NULL}};
 *     struct weir_instance *i = weir_fake_new(fake, &weir_plugin_descriptor, "mine", settings);
 *     if (!i || weir_fake_start(i) < 0)
 *         …weir_fake_error(fake) says why
 *     weir_fake_write_lines(i, "some.tag", "", "first\nsecond\n");
 *     if (!weir_fake_settle(i, 5000) || weir_fake_result(i, 0) != WEIR_DELIVERED)
 *         …
 *     weir_fake_stop(i);
 *     weir_fake_destroy(fake);
 *
 * It watches the plugin meanwhile. Misuse of the host (a function called on another thread than plugin.h
 * names for it, a chunk finished twice, offsets that go down, a watch or a stream that is left when the
 * instance goes, a call after host->stopped) ends the test with a line on standard error and abort(), or
 * calls what weir_fake_on_misuse was given.
 *
 * THREADS: one thread drives an instance: whoever calls the functions here that run the plugin's callbacks
 * (new, start, write…, settle, until, idle, later, stop, drop). It may be another one from call to call.
 * Functions marked "any thread" may be called beside it. Several outputs of one host may be driven by as many
 * threads at a time, from start to settle; all inputs share a loop and with it one thread, and new, stop and
 * drop go by one thread at a time.
 *
 * Memory that is returned belongs to the fake host unless it says "the caller frees". This header is no part
 * of the plugin ABI: it and the library belong together, and both may change with weir's version.
 */
#ifndef WEIR_FAKE_HOST_H
#define WEIR_FAKE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_fake;

/* -- The host -------------------------------------------------------------------------------------------- */

struct weir_fake *weir_fake_create(void);
/* Every instance must be gone. */
void weir_fake_destroy(struct weir_fake *);

/* What a plugin is given, for a test that calls a part of it by itself. */
const struct weir_host *weir_fake_table(struct weir_fake *);

/*
 * The host is one of an older weir, whose table ends before `size` bytes: offsetof(struct weir_host,
 * data_dir) is the first version's. What lies behind is NULL. Before the first instance.
 */
void weir_fake_pretend_older(struct weir_fake *, size_t size);

/* `alias`: of the instance, "" where that is not known. `text`: what it did. Called on the thread that did
 * it. */
typedef void (*weir_fake_misuse_fn)(void *data, const char *alias, const char *text);
void weir_fake_on_misuse(struct weir_fake *, weir_fake_misuse_fn, void *data);

/* What host->data_dir gives from now on; NULL (the default): nothing is kept. */
void weir_fake_set_data_dir(struct weir_fake *, const char *path);
/* What host->status answers; NULL (the default): it can't be had now. */
void weir_fake_set_status(struct weir_fake *, const char *json);

/* -- Instances ------------------------------------------------------------------------------------------- */

struct weir_fake_setting {
    const char *name, *value;
};

/*
 * Makes an instance out of settings, the last of which has no name; a list is the same name several times.
 * For an input "tag" and "topic" are understood, as in a configuration. NULL where a setting is bad, a
 * required one is missing, or create fails: weir_fake_error says why.
 */
struct weir_instance *weir_fake_new(struct weir_fake *, const struct weir_plugin *, const char *alias,
                                    const struct weir_fake_setting *settings);
/* The same with a configuration that is filled in already and outlives the instance. */
struct weir_instance *weir_fake_new_with(struct weir_fake *, const struct weir_plugin *, const char *alias,
                                         const void *config);
/* What the plugin's start returned. */
int weir_fake_start(struct weir_instance *);
/* stop, the loop until it has stopped (10 s; more is misuse), destroy. Positions stay in the host under the
 * alias. */
void weir_fake_stop(struct weir_instance *);
/*
 * What the plugin's retire returned; 0 where it has none. 1: another instance of that alias may be started
 * beside it. weir_fake_stop is to follow in any case, once weir_fake_is_ended or before.
 */
int weir_fake_retire(struct weir_instance *);
/* destroy only, for an instance that was not started, or whose start failed. */
void weir_fake_drop(struct weir_instance *);
/* The two halves of weir_fake_stop. The second one is weir_fake_drop. */
void weir_fake_begin_stop(struct weir_instance *);
bool weir_fake_is_stopped(const struct weir_instance *); /* host->stopped was called; any thread */

/* What host->error was last given; "" if nothing, or if it was cleared. */
const char *weir_fake_error(struct weir_fake *);
/*
 * How many lines of the log contain the text. A line begins with its level ("ERROR ", "WARN ", "INFO ",
 * "DEBUG ", "TRACE "), those of host->fail with "FAIL ". Any thread.
 */
size_t weir_fake_logged(struct weir_fake *, const char *text);
/* All of these lines, a newline after each; the caller frees. Any thread. */
char *weir_fake_log(struct weir_fake *);
/* Value of a metric; label_value NULL where it has none. -1: there is no such metric. Any thread. */
int64_t weir_fake_metric(const struct weir_instance *, const char *name, const char *label_value);
/* How many metrics have that name, whatever their label. Any thread. */
size_t weir_fake_metric_count(const struct weir_instance *, const char *name);
/* What the plugin's details writes, with braces around it; the caller frees. NULL: it has none, or fails. */
char *weir_fake_details(struct weir_instance *);
/* The same as a status asks for a page of it: struct weir_details. */
char *weir_fake_details_of(struct weir_instance *, uint64_t offset, uint64_t limit, bool worst_first);

/* One line of what the plugin's series tells. */
struct weir_fake_series {
    enum weir_metric_kind kind;
    char *name, *label, *label_value; /* "" where it has no label */
    double value;
};

/* All that the plugin's series tells now, valid until it is asked again. None where it fails or has none. */
const struct weir_fake_series *weir_fake_series(struct weir_instance *, size_t *ret_count);
/* From now on fn is told which callback of the plugin begins ("write"), and which goes on when it has
 * returned (NULL: none). On the thread of the callback: on several at a time, where several outputs run. */
typedef void (*weir_fake_callback_fn)(void *data, const char *callback);
void weir_fake_on_callback(struct weir_fake *, weir_fake_callback_fn, void *data);

/* -- The loop of inputs ---------------------------------------------------------------------------------- */

/* Runs the loop until done(data), at most `ms`. Whether it became true. */
bool weir_fake_until(struct weir_fake *, bool (*done)(void *data), void *data, unsigned ms);
/* Runs the loop as long as it has something to do at once (timers that are not due do not count). */
void weir_fake_idle(struct weir_fake *);
/* One round of the loop, which waits for at most `ms`. Whether anything was called. */
bool weir_fake_turn(struct weir_fake *, int ms);
/* Timers run out as if so much more time had passed. */
void weir_fake_later(struct weir_fake *, uint64_t ns);

/* -- What inputs send ------------------------------------------------------------------------------------ */

struct weir_fake_position {
    char *key; /* the stream's */
    uint64_t offset, token;
};

/* What was sent: a chunk, or an advance (no records, one position). */
struct weir_fake_chunk {
    struct weir_instance *instance; /* may be gone; NULL for an advance */
    char *tag, *topic;              /* NULL for an advance */
    uint8_t *data;
    size_t size;
    uint32_t records;
    struct weir_fake_position *positions;
    size_t count;
    bool advance;
};

/* All that was sent since the host was made, or since weir_fake_forget_chunks, which acknowledges all of it.
 */
const struct weir_fake_chunk *weir_fake_chunks(const struct weir_fake *, size_t *ret_count);
/* Acknowledges all that was sent, and forgets it, and the log. */
void weir_fake_forget(struct weir_fake *);
/* The values of that key in all of it, where they are strings, a newline after each. The caller frees. */
char *weir_fake_text(const struct weir_fake *, const char *key);

/* From now on chunk_begin of that input says -EAGAIN; or no longer, and resume is called. */
void weir_fake_set_full(struct weir_instance *, bool full);
/* So many more chunk_begins succeed before it is full as above. */
void weir_fake_set_room(struct weir_instance *, size_t chunks);
bool weir_fake_is_ended(const struct weir_instance *);
void weir_fake_progress(const struct weir_instance *, uint64_t *ret_done, uint64_t *ret_total);

/* Chunks are acknowledged when sent (the default), or by weir_fake_acknowledge only: the oldest `count`. */
void weir_fake_acknowledge_at_once(struct weir_fake *, bool);
void weir_fake_acknowledge(struct weir_fake *, size_t count);
/* As after kill -9: every stream stands where it was committed; those never committed are unknown. No input
 * may be there. */
void weir_fake_crash(struct weir_fake *);
size_t weir_fake_stream_count(const struct weir_fake *, const char *alias); /* known ones */

/* -- What outputs write ---------------------------------------------------------------------------------- */

/*
 * Gives a chunk to the plugin's write, and returns what that returned. While chunks wait to be written again,
 * it only queues, and returns WEIR_RETRY: order is kept. A plugin must not look at a chunk that it has
 * finished: its bytes are overwritten and freed.
 */
int weir_fake_write(struct weir_instance *, const char *tag, const char *topic, const void *records,
                    size_t size, uint32_t count);
/* The same with a record {"log": line} for each line of the text. */
int weir_fake_write_lines(struct weir_instance *, const char *tag, const char *topic, const char *text);
/* As weir_fake_write, but it only queues, and returns the chunk's number: settle or write_next writes it. */
size_t weir_fake_queue(struct weir_instance *, const char *tag, const char *topic, const void *records,
                       size_t size, uint32_t count);
/*
 * Gives the oldest chunk that waits, new or to be written again, to the plugin's write, once; returns what
 * that returned. -ENOENT: none waits. -EBUSY: one to be written again waits until all that are under way are
 * finished, and others until it is.
 */
int weir_fake_write_next(struct weir_instance *);
/*
 * Until every chunk is finished, at most `ms`: writes those that are new; waits for those under way, then
 * writes those to be retried again, oldest first and one at a time, as weir does. Whether all are finished
 * for good.
 */
bool weir_fake_settle(struct weir_instance *, unsigned ms);
/* How long settle pauses before it writes a chunk again; 0 (the default): not at all. weir's pause grows. */
void weir_fake_set_pause(struct weir_fake *, unsigned ms);
/* What became of the nth chunk (from 0): WEIR_LATER as long as it is under way. */
enum weir_result weir_fake_result(const struct weir_instance *, size_t nth);
/* How often it was given to write. */
unsigned weir_fake_attempts(const struct weir_instance *, size_t nth);
size_t weir_fake_written(const struct weir_instance *); /* chunks given to it in all */
/* Records refused one by one, by host->reject. */
uint32_t weir_fake_rejected(const struct weir_instance *);

/* A call of host->reject. */
struct weir_fake_rejection {
    size_t chunk; /* its number, from 0 */
    uint32_t records;
    uint8_t *bytes; /* a copy of the records; NULL: not kept */
    size_t size;
    size_t offset; /* where in the chunk they were; SIZE_MAX: elsewhere, or not kept */
    char *reason;
};

/* All of them, valid until there is one more. */
const struct weir_fake_rejection *weir_fake_rejections(const struct weir_instance *, size_t *ret_count);

/*
 * What the plugin's load returned; for one that called host->keep_positions, after start. host->positions
 * gives one position for each chunk: input "fake", key "stream", offset the chunk's id, token and meta of it.
 */
int weir_fake_load(struct weir_instance *);
bool weir_fake_is_keeper(const struct weir_instance *);
/* The position that it told host->kept last under that key, or -1. */
int64_t weir_fake_kept(const struct weir_instance *, const char *input, const char *key);
/* From now on host->wait returns -ECANCELED, also one that waits now: weir ends without waiting for the
 * output. Any thread. */
void weir_fake_cancel(struct weir_instance *);
/* The same once host->wait has been called `waits` times more, which answer as they should. So a test has an
 * output give up at each of its waits in turn. Any thread. */
void weir_fake_cancel_after(struct weir_instance *, size_t waits);
/* Takes both back. Any thread. */
void weir_fake_uncancel(struct weir_instance *);
/* A host->wait without an end that lasts so long is misuse, and cancelled. 0 (the default): it may. */
void weir_fake_set_patience(struct weir_fake *, unsigned ms);

/* -- Sources of configuration ---------------------------------------------------------------------------- */

/* The set that it gave last, and how often it gave one. `done` is called in the next round of the loop. */
const struct weir_input_spec *weir_fake_set(const struct weir_instance *, size_t *ret_count);
unsigned weir_fake_sets(const struct weir_instance *);
/* The value of the spec's setting, or NULL. */
const char *weir_fake_spec_value(const struct weir_input_spec *, const char *name);
/* From the next `done` on, the entry with that id is refused with that reason; others as before. NULL: none
 * is. */
void weir_fake_refuse(struct weir_instance *, const char *id, const char *reason);

#ifdef __cplusplus
}
#endif
#endif
