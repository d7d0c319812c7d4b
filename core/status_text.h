/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces of the status, and JSON written member by member. Control thread. */
#ifndef WEIR_CORE_STATUS_TEXT_H
#define WEIR_CORE_STATUS_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/json.h>

struct engine;
struct input;
struct output;

/* JSON under way. All zero is an empty one; what lacks memory is left out and the whole fails. */
struct text_out {
    struct weir_json json;
    bool failed;
    bool comma; /* something stands before what comes next */
};

void text_reserve(struct text_out *, size_t size); /* so much is expected */
void text_open(struct text_out *, char bracket);
void text_close(struct text_out *, char bracket);
void text_key(struct text_out *, const char *name);
void text_string(struct text_out *, const char *value); /* NULL: null */
void text_number(struct text_out *, uint64_t value);
void text_raw(struct text_out *, const char *json, size_t size);
void text_member(struct text_out *, const char *name, const char *value);
void text_count(struct text_out *, const char *name, uint64_t value);
/* The whole with a NUL behind; the caller frees. NULL: no memory. */
char *text_take(struct text_out *);

/* Version, time, generation, and what is kept of inputs that are gone. */
void status_put_head(struct text_out *, const struct engine *);
/* Members that a plugin wrote; size 0: none. */
struct status_details {
    const char *text;
    size_t size;
};
void status_put_input(struct text_out *, struct input *, struct status_details);
void status_put_source(struct text_out *, struct input *, struct status_details);
void status_put_output(struct text_out *, struct output *);

#endif
