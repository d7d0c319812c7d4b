/* SPDX-License-Identifier: Apache-2.0 */
/* The places that a sandbox lets through: from what options say to real directories. Control thread. */
#ifndef WEIR_CORE_SANDBOX_PLACES_H
#define WEIR_CORE_SANDBOX_PLACES_H

#include <stdbool.h>
#include <stddef.h>

struct place {
    char *path;      /* without links, as far as it was there */
    unsigned access; /* of enum sandbox_access */
    bool missing;    /* it was not there: nothing can be said to the kernel about it */
    bool system;     /* of every weir, whatever its configuration */
};

struct places {
    struct place *items;
    size_t count;
    bool failed; /* memory was short */
};

/* What one value of an option stands for. */
struct wish {
    char *path; /* real; for the caller to free */
    unsigned access;
    bool missing;
    bool alone; /* a file in a directory that holds too much else to be let through */
};

/* See WEIR_OPTION_READS. 0 or -ENOMEM. */
int wish_make(const char *value, bool write, struct wish *ret);
/* Of a directory or file that is named as such. */
int wish_make_exact(const char *path, unsigned access, struct wish *ret);

/* Takes the wish's path over. */
void places_add(struct places *, const struct wish *, bool system);
/* Whether what was there lets all of it through. */
bool places_cover(const struct places *, const struct wish *);
void places_clear(struct places *);

/* What the C library, and those that plugins use, read while they run. */
void places_add_system(struct places *);

#endif
