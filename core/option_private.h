/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `option` share. Included by core/option*.c only. */
#ifndef WEIR_CORE_OPTION_PRIVATE_H
#define WEIR_CORE_OPTION_PRIVATE_H

#include "arena.h"
#include "option.h"

/* A value that is one text; which member, the row's type says. */
union option_value {
    bool boolean;
    int64_t integer;
    uint64_t number; /* SIZE, DURATION */
    int choice;
};

/* BOOL, INT, SIZE, DURATION or CHOICE as the row reads it. 0, -EINVAL, -ERANGE (also outside of the row's
 * range). */
int option_value_parse(const struct weir_option *, const char *text, union option_value *ret);

/* Of the member in the configuration structure; 0: IGNORED, or a type that this weir does not know. */
size_t option_type_size(enum weir_option_type);
size_t option_type_align(enum weir_option_type);
const char *option_type_name(enum weir_option_type);

/* "between 1 and 64", "at least 1M"; "" where there is no range. */
void option_range_text(const struct weir_option *, char *out, size_t room);
/* "error, warn, info" */
void option_choices_text(const struct weir_option *, char *out, size_t room);

/* -- One section being parsed (option.c, option_set.c) -- */

/* A row of one of the tables, and what was found for it. */
struct option_slot {
    struct weir_option row;
    const struct option_table *table;
    const struct setting *seen; /* the first setting of it */
    bool has_value;
    bool was_meant; /* by an unknown name near to its own */
};

struct option_parse {
    const struct section *section;
    const char *what;
    struct arena *arena;
    struct problems *problems;
    struct option_slot *slots;
    size_t count;
    size_t errors; /* those of problems before */
};

/* Stores the row's default. */
void option_set_default(struct option_parse *, const struct option_slot *);
/* Stores a setting's value, of the form that its type wants, or adds to problems why not. */
void option_set(struct option_parse *, const struct option_slot *, const struct setting *);
/* Adds to problems that an option is given twice. */
void option_refuse_twice(struct option_parse *, const char *name, const struct setting *,
                         const struct setting *first);
/* Moves what the filled structures point to into memory of its own. NULL: no memory, and nothing has changed.
 */
struct option_memory *option_pack(const struct option_parse *);
/* How much of `name` is the option's own name where it has settings below it, or 0. */
size_t option_prefix_length(const struct weir_option *, const char *name);

#endif
