/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain files, open, closed or gone, that may be what a compressed one was made from: they began with the
 * same bytes. What more it takes depends on whether the file is still there to be compared with.
 */
#ifndef TAIL_TWIN_H
#define TAIL_TWIN_H

#include "file.h"

struct tail_twin {
    char *key;              /* of its stream */
    uint64_t offset, token; /* where that stands: what is compared where the file is gone */
    bool there;             /* it is still there, so it will be read to its end itself */
    bool out;               /* it is not the same */
};

struct tail_twins {
    struct tail_twin *items; /* those that are gone first, by offset */
    size_t count;
};

/*
 * Finds all whose first bytes are those of `head`, the beginning of the file's content. 0 or -ENOMEM. Free it
 * with tail_twins_clear.
 */
int tail_twins_find(const struct tail_file *, const uint8_t *head, size_t size, struct tail_twins *ret);
/* Whether a file that is there begins with these bytes, all that the compressed one holds so far, and goes
 * on, and has a name that it may have been made from. */
bool tail_twin_goes_on(const struct tail_file *packed, const uint8_t *bytes, size_t size);
void tail_twins_clear(struct tail_twins *);
/* 1: the file that is there has, before `end`, the bytes of that token; 0: not; -ESTALE: it is there no more;
 * -errno. */
int tail_twin_compare(const struct tail_file *, const struct tail_twin *, uint64_t end, uint64_t token);
/* The open file of that stream, or NULL. */
struct tail_file *tail_twin_open(const struct tail_instance *, const char *key);
/* Whether a file of that name may be an older one of the known file, compressed: app.log.2.gz of app.log.1.
 */
bool tail_twin_names(const char *packed, const char *plain);

#endif
