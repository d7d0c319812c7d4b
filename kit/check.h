/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of check-plugin share. The plugin runs in a child process; what is found there lies in
 * memory that both have, so that it outlives the child's crash.
 */
#ifndef WEIR_KIT_CHECK_H
#define WEIR_KIT_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <weir/plugin.h>

enum { MOST_FINDINGS = 48, FINDING_ROOM = 480 };

struct finding {
    char text[FINDING_ROOM];
    unsigned times, cycle; /* the first one's; 0: none */
};

/* In shared memory. The child writes, under a lock of its own; the parent reads when the child is gone, but
 * for the atomics. */
struct report {
    struct finding findings[MOST_FINDINGS];
    atomic_uint count;
    atomic_uint cycle;   /* now; from 1 */
    char callback[40];   /* of the plugin, that runs now or ran last */
    atomic_ullong since; /* loop_now when it began; 0: none runs */
    atomic_bool done;
    char name[96]; /* "the output 'mine', version 1" */
    unsigned options, started, chunks, delivered, sent, sets;
    char note[3][256];
    char data_dir[64]; /* made and removed by the parent */
};

struct check {
    const char *path;
    char **options; /* K=V */
    unsigned option_count, cycles;
    uint64_t limit; /* ns for a callback, and for a stop */
    bool verbose;
    struct report *report;
};

/* In words; the same text again is counted. Any thread of the child, or the parent when that is gone. */
void check_found(struct report *, const char *format, ...) WEIR_PRINTF(2, 3);

/* What the loader does not look at: help, words, names that weir takes for itself. */
void check_table(struct report *, const struct weir_plugin *);

/* The life cycles, with everything that is watched meanwhile. `config` is filled in. */
void check_life(const struct check *, const struct weir_plugin *, const void *config);

/* Descriptors, threads and memory of this process. */
struct resources {
    unsigned descriptors, threads;
    uint64_t heap; /* bytes */
};
enum { SAMPLES = 5 };
struct resources check_resources(void);
/* What grew from sample to sample, over that many cycles. */
void check_growth(struct report *, const struct resources *samples, unsigned cycles);
/* What create opened, if that leads outside of the process. `before`: a bit for each descriptor that was
 * there. */
void check_opened(struct report *, const uint64_t before[16]);
void check_note_descriptors(uint64_t ret[16]);

#endif
