/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of the process: memory of malloc's, descriptors. */
#include "process.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { MAP_THRESHOLD = 2 << 20, BUSY_MAP_THRESHOLD = 16 << 20 };
enum { TRIM_THRESHOLD = 4 << 20, BUSY_THRESHOLD = 48 << 20, LITTLE = 128 << 10 };

static atomic_int threshold = TRIM_THRESHOLD; /* in force, but for a moment of process_give_back_end */

/*
 * Few threads need few arenas. The thresholds are above what a library takes and drops all the time, such as
 * librdkafka's buffer of a megabyte for each request: giving that back would cost a page fault for every page
 * of it, each time. Chunks have memory of their own (pool.c).
 */
static void tune_malloc(void)
{
    mallopt(M_MMAP_THRESHOLD, MAP_THRESHOLD);
    mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
    mallopt(M_ARENA_MAX, 2);
}

/* The soft limit is 1024 by custom, for the sake of programs that use select(2). This one does not. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void process_prepare(void)
{
    tune_malloc();
    raise_descriptors();
}

void process_hold_heap(void)
{
    atomic_store(&threshold, BUSY_THRESHOLD);
    mallopt(M_TRIM_THRESHOLD, BUSY_THRESHOLD);
    mallopt(M_MMAP_THRESHOLD, BUSY_MAP_THRESHOLD);
}

/* Freeing a large piece looks at the end of its arena. */
void process_give_back_end(void)
{
    mallopt(M_TRIM_THRESHOLD, LITTLE);
    void *volatile piece = malloc(LITTLE);
    free(piece);
    mallopt(M_TRIM_THRESHOLD, atomic_load(&threshold));
}

/* malloc_trim leaves the end of an arena that is not the first one's. */
void process_give_back(void)
{
    atomic_store(&threshold, TRIM_THRESHOLD);
    mallopt(M_MMAP_THRESHOLD, MAP_THRESHOLD);
    malloc_trim(0);
    process_give_back_end();
}
