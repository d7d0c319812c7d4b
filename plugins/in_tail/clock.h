/* SPDX-License-Identifier: Apache-2.0 */
/* Times as nanoseconds in one number. */
#ifndef TAIL_CLOCK_H
#define TAIL_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t tail_ns(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* As `clock` says: CLOCK_MONOTONIC, CLOCK_REALTIME, … */
static inline uint64_t tail_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return tail_ns(now);
}

#endif
