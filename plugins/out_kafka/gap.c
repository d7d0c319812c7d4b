/* SPDX-License-Identifier: Apache-2.0 */
/* Grows by a quarter and a little where it was too short, and shrinks by little where it was not: so one in
 * some fifty is. */
#include "gap.h"

#define MS 1000000

static const int64_t FIRST = 3 * MS / 2;
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
        int64_t next = (began_after > gap->ns ? began_after : gap->ns) * 5 / 4 + MS / 4;
        gap->ns = next < LONGEST ? next : LONGEST;
    } else if (began_after < gap->ns + SLACK) {
        gap->ns -= gap->ns / 128;
    }
}
