/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a flight comes to whose messages did not all arrive. Any thread.
 */
#ifndef OUT_KAFKA_OUTCOME_H
#define OUT_KAFKA_OUTCOME_H

#include "flight.h"

/*
 * All reports are there. True and *ret_result; or false: somebody has taken the flight over to send dead
 * letters, and will release it again.
 */
bool outcome_settle(struct flight *, enum weir_result *ret_result);

/* Puts the failures in the order of their records and judges each. */
void outcome_judge(struct flight *);

/* Tells weir of those failures of the chunk that are refusals, and of which it was not told. By index, going
 * up. */
void outcome_reject(const struct kafka_link *, struct weir_chunk *, const struct failure *, size_t count);

/* The dead letter of that record failed, too. The flights' lock is held. */
void outcome_letter_failed(struct flight *, uint32_t index, rd_kafka_resp_err_t);

/* Finds records by their number in the chunk, going up. */
struct finder {
    struct weir_cursor cursor;
    uint32_t next; /* number of the cursor's next record */
};
void finder_init(struct finder *, const struct weir_chunk *);
/* False where the chunk has no such record. */
bool finder_go(struct finder *, uint32_t index, struct weir_record *ret);

/* Whether the error says that the broker will never take this message, for a reason of the message or its
 * topic. */
bool outcome_is_final(rd_kafka_resp_err_t);
/* Whether it says that the topic is unknown: to librdkafka, or to a broker. */
bool outcome_is_missing(rd_kafka_resp_err_t);

#endif
