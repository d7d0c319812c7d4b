/* SPDX-License-Identifier: Apache-2.0 */
/* What exceptions look like when Java (and its kin), Python and Go print them: which lines belong together.
 */
#ifndef TAIL_TRACES_H
#define TAIL_TRACES_H

#include <stddef.h>
#include <stdint.h>

enum tail_language { TAIL_JAVA = 1, TAIL_PYTHON = 2, TAIL_GO = 4 };

/* The language of that name, or 0. */
unsigned tail_language_of(const char *name);

/*
 * Lines are without their newline; a CR at the end is left aside. A state is a number that only these two
 * functions understand.
 */

/* The state behind a line that begins a trace in one of the languages; 0: it begins none. */
unsigned tail_trace_begin(unsigned languages, const uint8_t *line, size_t size);
/* The state behind a line that goes on with the trace; 0: it does not belong to it. */
unsigned tail_trace_next(unsigned state, const uint8_t *line, size_t size);

#endif
