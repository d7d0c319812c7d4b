/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What metrics.c and metrics_text.c share. Ten thousand inputs have the same twenty metrics each, so a metric
 * is no more than its value, eight bytes in its holder:
 *
 *   holder   all metrics with the same first label, {input="nginx"…: one instance and those that follow on it
 *   series   a name and the labels behind the first, weir_input_records_total …,tag="web"}
 *   shape    which series the values of a holder are, in the order in which they were asked for: a chain from
 *            the newest series back to the first. Most holders have the same, so it is shared
 *   member   an owner that asked a holder for some of its metrics
 */
#ifndef WEIR_CORE_METRICS_PRIVATE_H
#define WEIR_CORE_METRICS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "metrics.h"

enum {
    VALUES_OF_BLOCK = 8,  /* of one whose holder's shape is new; else it has room for all that follow in it */
    VALUES_OF_HOLDER = 64 /* bits in asked; what comes then has another holder */
};

struct weir_metric {
    _Atomic int64_t value;
};

struct family {
    struct family *next; /* in the order of the names */
    char *name;          /* as in the text, so with _total */
    char *help;
    enum weir_metric_kind kind;
    size_t series; /* that are of it */
    size_t live;   /* metrics that an owner asked for */
};

/* A member of a hash table. */
struct link {
    struct link *next;
    uint64_t hash;
};

struct link_table {
    struct link **buckets;
    size_t mask, count; /* mask: one less than the number of buckets; 0: none */
};

struct series {
    struct link link; /* first */
    struct family *family;
    size_t references; /* of shapes */
    char more[];       /* ,tag="web" or nothing */
};

struct shape {
    struct shape *parent; /* counted */
    struct shape *child;  /* the last that was made; not counted */
    struct series *series;
    size_t references;
    unsigned index; /* the values' place */
    bool at_zero;   /* the first holder of this shape had no value there */
};

/* Values of metrics that follow one another. Where two blocks have a place for one, the first counts. */
struct block {
    struct block *next;
    unsigned first, room;
    struct weir_metric values[];
};

struct member {
    struct link link; /* first; the hash is the owner's */
    const void *owner;
    struct holder *holder;
    struct member *next; /* of the holder */
    uint64_t asked;      /* a bit for each metric */
};

struct holder {
    struct link link; /* first */
    struct member *members;
    struct member own;   /* one of them, since most have one; while it has no holder, it is none */
    struct shape *shape; /* NULL: no metric yet */
    struct block *blocks;
    struct rcstring *value; /* of its one label, whose name labels is then; or NULL */
    uint16_t number;        /* of those with the same labels */
    char labels[];          /* {input="nginx" or nothing; without the brace at the end */
};

struct metrics {
    pthread_mutex_t lock;
    struct family *families;
    struct link_table series, holders, members;
    struct shape *first; /* the last that was made of one series; not counted */
    uint64_t seed; /* names of files are among the labels: who may write a log must not choose the buckets */
};

/* The metrics of the holder that anybody asked for. */
static inline uint64_t holder_live(const struct holder *holder)
{
    uint64_t live = 0;
    for (const struct member *m = holder->members; m; m = m->next)
        live |= m->asked;
    return live;
}

/* NULL: it has no value yet, which is 0. */
static inline struct weir_metric *holder_metric(const struct holder *holder, unsigned index)
{
    for (struct block *block = holder->blocks; block; block = block->next)
        if (index - block->first < block->room) /* one before the first is far above */
            return &block->values[index - block->first];
    return NULL;
}

/* Whether it is a name for a label, or for a metric without colons. */
bool metrics_name_valid(const char *name);

/* The labels as they are written. Lies with the caller; finish it. */
struct labels {
    char *text;              /* {a="b",c="d" or nothing; without the brace at the end */
    size_t first;            /* the length of {a="b" */
    struct rcstring *shared; /* b, where it is written as it is and may be kept; or NULL */
    char *own;               /* malloc'ed */
    char small[256];
};
/* 0 or -ENOMEM. */
int labels_write(struct labels *, const struct metrics_label *, size_t count);
void labels_finish(struct labels *);

#endif
