/* SPDX-License-Identifier: Apache-2.0 */
/* A counted string: a chunk may outlive the input whose name it carries. Any thread. */
#ifndef WEIR_CORE_RCSTRING_H
#define WEIR_CORE_RCSTRING_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct rcstring {
    atomic_uint refs;
    char chars[];
};

/* A copy with one reference, or NULL for want of memory. */
static inline struct rcstring *rcstring_create(const char *chars)
{
    size_t size = strlen(chars) + 1;
    struct rcstring *s = malloc(sizeof(*s) + size);
    if (s) {
        atomic_init(&s->refs, 1);
        memcpy(s->chars, chars, size);
    }
    return s;
}

static inline struct rcstring *rcstring_ref(struct rcstring *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static inline void rcstring_unref(struct rcstring *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        free(s);
}

#endif
