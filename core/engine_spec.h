/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inputs that a source asks for, copied, and the settings of one as a section of a configuration file
 * would have them. Ten thousand come at once and nearly all are there already, so a copy is one piece of
 * memory for all, and a section is made only for what is new. Any thread, one at a time, unless it says so.
 */
#ifndef WEIR_CORE_ENGINE_SPEC_H
#define WEIR_CORE_ENGINE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <weir/plugin.h>
#include "config.h"

/* Names and values, each with its NUL, one behind the other; the first is "name" and the plugin. */
struct spec_text {
    const char *bytes;
    size_t size;
};

/*
 * The settings of an input that is there. Those of thousands are the same but for one value, which is the id:
 * so they share one text, in which that is left out. Control thread.
 */
struct spec_shared;
struct spec_shared *spec_share(const struct spec_text *, const char *id); /* NULL: no memory */
void spec_unshare(struct spec_shared *);                                  /* takes NULL */
bool spec_shared_is(const struct spec_shared *, const char *id, const struct spec_text *);
/* The value of that setting (case ignored), as long as what is shared, or `id`; NULL: it is not set. */
const char *spec_shared_value(const struct spec_shared *, const char *id, const char *name);
/* The settings as they were; the caller frees ret->bytes. 0 or -ENOMEM. */
int spec_shared_text(const struct spec_shared *, const char *id, struct spec_text *ret);

struct spec {
    const char *id, *origin;
    struct spec_text settings;
    const char *refusal; /* NULL: applied; by spec_refuse */
};

struct specs {
    struct spec *list;
    size_t count;
    char *texts;
};

/* 0 or -ENOMEM; specs_clear it in any case. */
int specs_copy(struct specs *, const struct weir_input_spec *, uint32_t spec_size, size_t count);
void specs_clear(struct specs *);
/* Takes the reason over; NULL: there was no memory. */
void spec_refuse(struct spec *, char *reason);
/* Refuses those without an id, or with one that was there before in the same set. 0 or -ENOMEM. */
int specs_check_ids(struct specs *);

/* A section with these settings, whose places are `origin`; both must outlive it. NULL: no memory. */
struct section *spec_section(const struct spec_text *, const char *origin);
void spec_section_free(struct section *); /* takes NULL */

#endif
