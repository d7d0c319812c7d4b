/* SPDX-License-Identifier: Apache-2.0 */
/* Private to glob.c and walk.c: a parsed pattern. */
#ifndef TAIL_GLOB_PRIVATE_H
#define TAIL_GLOB_PRIVATE_H

#include "glob.h"

enum tail_part_kind { TAIL_PART_LITERAL, TAIL_PART_WILD, TAIL_PART_DEEP };

struct tail_part {
    const char *text;
    enum tail_part_kind kind;
};

struct tail_pattern {
    struct tail_part *parts; /* at least one; the last is never DEEP */
    size_t count;
};

/* In one piece of memory with its parts and their texts: most inputs have one, of one pattern. */
struct tail_glob {
    const struct weir_list *excludes;
    size_t count;
    struct tail_pattern patterns[];
};

bool tail_part_matches(const struct tail_part *, const char *name);
bool tail_glob_excludes(const struct tail_glob *, const char *path);

#endif
