/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host for unit tests of input plugins: everything of struct weir_host in one thread and in memory. A test
 * makes a host, adds inputs, lets the loop run until something is true, and looks at what was sent, logged
 * and counted. Misuse of the host by the plugin (a draft left open, offsets that go down, a watch never
 * removed) fails the test by assertion. Needs nothing but weir's public headers.
 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/plugin.h>

struct fake_host;

struct fake_setting {
    const char *name, *value;
};

struct fake_position {
    char *key; /* the stream's */
    uint64_t offset, token;
};

/* What was sent: a chunk, or an advance (no records, one position). */
struct fake_chunk {
    struct weir_instance *instance; /* may be gone */
    uint8_t *data;
    size_t size;
    uint32_t records;
    struct fake_position *positions;
    size_t count;
    bool advance;
};

struct fake_host *fake_create(void);
/* Every input must be gone. Asserts that it left nothing behind. */
void fake_destroy(struct fake_host *);

/*
 * Makes an input out of settings; the last has a NULL name. A list is the same name several times. NULL where
 * a setting is bad or create fails: fake_error says why.
 */
struct weir_instance *fake_input(struct fake_host *, const struct weir_plugin *, const char *alias,
                                 const struct fake_setting *settings);
int fake_start(struct weir_instance *);
/* stop, the loop until it has stopped, destroy. The streams stay in the host under the alias. */
void fake_stop(struct weir_instance *);
/* destroy only, for an input that was never started. */
void fake_drop(struct weir_instance *);
const char *fake_error(struct fake_host *); /* the last one; "" if none */

/* Runs the loop until done(data), at most `ms`. Whether it became true. */
bool fake_until(struct fake_host *, bool (*done)(void *data), void *data, unsigned ms);
/* Runs the loop as long as it has something to do at once (timers that are not due do not count). */
void fake_idle(struct fake_host *);
/* Timers run out as if so much more time had passed. */
void fake_later(struct fake_host *, uint64_t ns);

/* From now on chunk_begin of that input says -EAGAIN; or no longer, and resume is called. */
void fake_set_full(struct weir_instance *, bool full);
/* So many more chunk_begins succeed before it is full as above. */
void fake_set_room(struct weir_instance *, size_t chunks);
bool fake_is_ended(const struct weir_instance *);
void fake_progress(const struct weir_instance *, uint64_t *ret_done, uint64_t *ret_total);

/* All that was sent since the host was made. */
const struct fake_chunk *fake_chunks(const struct fake_host *, size_t *ret_count);
/* Chunks are acknowledged when sent (the default), or by fake_acknowledge only: the oldest `count`. */
void fake_acknowledge_at_once(struct fake_host *, bool);
void fake_acknowledge(struct fake_host *, size_t count);
/* As after kill -9: every stream stands where it was committed; those never committed are unknown. No input
 * may be there. */
void fake_crash(struct fake_host *);
size_t fake_stream_count(const struct fake_host *, const char *alias); /* known ones */

/* How many lines of the log contain the text. */
size_t fake_logged(const struct fake_host *, const char *text);
/* Value of a metric; label_value NULL where it has none. -1: no such metric. */
int64_t fake_metric(const struct weir_instance *, const char *name, const char *label_value);

#endif
