/* SPDX-License-Identifier: Apache-2.0 */
/* Private to glob.c and walk.c: a parsed pattern. */
#ifndef TAIL_GLOB_PRIVATE_H
#define TAIL_GLOB_PRIVATE_H

#include "glob.h"

enum tail_part_kind { TAIL_PART_LITERAL, TAIL_PART_WILD, TAIL_PART_DEEP };

/* Small, since ten thousand inputs have half a dozen each. */
struct tail_part {
    uint32_t at : 30;  /* its text, so many bytes behind this */
    uint32_t kind : 2; /* enum tail_part_kind */
};

/* A component; that of a wildcard ends at a NUL. */
static inline const char *tail_part_text(const struct tail_part *part)
{
    return (const char *)part + part->at;
}

struct tail_pattern {
    struct tail_part *parts; /* at least one; the last is never DEEP */
    size_t count;
};

/*
 * In one piece of memory: most inputs have one, of one pattern. Behind the patterns lie the parts of all,
 * then the first pattern as it was written, then what texts of parts are not components of that.
 */
struct tail_glob {
    const struct weir_list *excludes;
    size_t count;
    struct tail_pattern patterns[];
};

bool tail_part_matches(const struct tail_part *, const char *name);
bool tail_glob_excludes(const struct tail_glob *, const char *path);

#endif
