/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of every wait and pause in this plugin: nanoseconds, going up, from an arbitrary beginning. */
#ifndef OUT_KAFKA_CLOCK_H
#define OUT_KAFKA_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

#endif
