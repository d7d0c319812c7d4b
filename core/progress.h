/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A progress bar on a terminal, for runs that end: bytes, rate, time left. One at a time. Any thread; the
 * log's lock keeps lines and bar apart.
 */
#ifndef WEIR_CORE_PROGRESS_H
#define WEIR_CORE_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

struct progress;

/* On the terminal `fd`. NULL where it is none, where there is a bar already, or for want of memory. */
struct progress *progress_create(int fd);
/* Cheap: draws at most ten times a second. Takes NULL. */
void progress_update(struct progress *, uint64_t done, uint64_t total);
/* Draws the last state, ends its line, and frees. Takes NULL. */
void progress_finish(struct progress *);

/*
 * The bar as text of at most `columns` characters, all ASCII. `rate` is bytes a second, 0 while it is not
 * known. Returns its length, below `room`.
 */
size_t progress_text(char *out, size_t room, unsigned columns, uint64_t done, uint64_t total, uint64_t rate);

#endif
