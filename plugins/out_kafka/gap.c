/* SPDX-License-Identifier: Apache-2.0 */
/* Grows by half where it was too short, and shrinks by little where it was not: so one in some thirty is. */
#include "gap.h"

#define MS 1000000

static const int64_t FIRST = 4 * MS;
/* A refusal costs librdkafka's 20 ms: to wait for longer is not worth while. */
static const int64_t LONGEST = 20 * MS;
/* One that began later than this behind the gap says nothing of it. */
static const int64_t SLACK = 2 * MS;

void gap_init(struct gap *gap)
{
    gap->ns = FIRST;
}

void gap_learn(struct gap *gap, int64_t began_after, bool refused)
{
    if (began_after > LONGEST)
        return;
    if (refused) {
        int64_t next = (began_after > gap->ns ? began_after : gap->ns) * 3 / 2 + MS / 2;
        gap->ns = next < LONGEST ? next : LONGEST;
    } else if (began_after < gap->ns + SLACK) {
        gap->ns -= gap->ns / 64;
    }
}
