/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that lives and goes together: many small pieces, one free. One thread at a time. Everything
 * in it is overwritten before it is given back, since secrets pass through.
 */
#ifndef WEIR_CORE_ARENA_H
#define WEIR_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

struct arena *arena_create(void);        /* NULL: no memory */
void arena_destroy(struct arena *);      /* takes NULL */
bool arena_failed(const struct arena *); /* whether any request was ever refused */

/* Zeroed and aligned for any type. NULL: no memory. */
void *arena_alloc(struct arena *, size_t size);
char *arena_strndup(struct arena *, const char *text, size_t length);
char *arena_strdup(struct arena *, const char *text);
/*
 * An array of `count` items of `size` bytes that was grown by this function only, with room for one
 * more: `array` itself or a copy. NULL: no memory, and the old one stays.
 */
void *arena_grow(struct arena *, void *array, size_t count, size_t size);

#endif
