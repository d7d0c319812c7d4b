/* SPDX-License-Identifier: Apache-2.0 */
/* Lines as container runtimes write them: one line of the container, or a piece of a long one, in each. */
#ifndef TAIL_CONTAINER_H
#define TAIL_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "text.h"
#include "times.h"

enum tail_container { TAIL_DOCKER = 1, TAIL_CRI = 2 };
enum { TAIL_STDOUT, TAIL_STDERR, TAIL_STREAMS };

/* Points into the line and into the scratch. */
struct tail_piece {
    const uint8_t *text;
    size_t size;
    bool lasts; /* the text points into the line, else into the scratch */
    bool whole; /* the container's line ends here */
    int stream;
    struct tail_time time;
    const char *time_text;
    size_t time_size;
    const uint8_t *more; /* other members, as fields in msgpack */
    size_t more_size;
    uint32_t more_count;
};

/* What is kept from line to line: memory. */
struct tail_container_scratch {
    struct tail_text text, members, more;
};

/* The form of that name, or 0. */
unsigned tail_container_of(const char *name);
/* Reads a line, without its newline, of one of the forms. False: it is of none of them, or memory is short.
 */
bool tail_container_read(unsigned forms, const uint8_t *line, size_t size, struct tail_container_scratch *,
                         struct tail_piece *ret);
void tail_container_free(struct tail_container_scratch *);

#endif
