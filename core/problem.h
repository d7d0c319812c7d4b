/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a setting was written, and a list of what is wrong with a configuration: each entry is one
 * finished line for the user, "weir.yaml:12:7: unknown option 'pth' of tail; did you mean 'path'?".
 */
#ifndef WEIR_CORE_PROBLEM_H
#define WEIR_CORE_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <weir/plugin.h>

/* file NULL: nowhere in particular. line and column from 1; 0: not known (the command line, etcd). */
struct origin {
    const char *file; /* "weir.yaml", "command line", "logAgentConf[3]" */
    unsigned line, column;
};

struct problem {
    char *text;
    size_t place; /* how much of text is the origin, "weir.yaml:12:7: "; 0: none */
    bool warning; /* worth saying, no reason to refuse */
};

/* What is kept is bounded, what is counted is not: there may be more of both than items. */
struct problems {
    struct problem *items;
    size_t count;
    size_t errors, warnings; /* how many there were */
};

/* Control characters in the finished text are escaped. Both are counted even when memory is short. */
void problem_error(struct problems *, const struct origin *, const char *fmt, ...) WEIR_PRINTF(3, 4);
void problem_warn(struct problems *, const struct origin *, const char *fmt, ...) WEIR_PRINTF(3, 4);
/* One line for each, "weir.yaml:12:7: error: unknown option …", as editors read it. */
void problems_print(const struct problems *, FILE *);
/* Adds all of `from`, and leaves that empty. */
void problems_move(struct problems *, struct problems *from);
/* Frees the texts; the structure itself is the caller's. */
void problems_clear(struct problems *);

/* The name among `count` names that is nearest to `name` (Damerau-Levenshtein, case ignored), or NULL if none
 * is near. */
const char *problem_nearest(const char *name, const char *const *names, size_t count);

#endif
