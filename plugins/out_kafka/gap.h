/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gap between two transactions. A coordinator confirms a commit before its marks are in the partitions;
 * until they are it refuses the first request of the next transaction, and librdkafka repeats that only after
 * 20 ms, in which nothing is sent. So the next one is begun a little later than it could be: just as long as
 * the marks mostly take, which is learnt. Plain values; for one thread.
 */
#ifndef OUT_KAFKA_GAP_H
#define OUT_KAFKA_GAP_H

#include <stdbool.h>
#include <stdint.h>

struct gap {
    int64_t ns; /* from a commit to the next transaction */
};

void gap_init(struct gap *);
/* How it went with one that began so long after a commit, and whether it was refused at first. */
void gap_learn(struct gap *, int64_t began_after, bool refused);

#endif
