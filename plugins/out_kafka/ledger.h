/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topic of positions in the cluster: made or checked, read up to its end, and claimed for this process.
 * Output thread, but ledger_put and ledger_owner, which are for whoever writes transactions.
 *
 * The order matters. init_transactions first: it shuts out whoever used the id before, and ends what they
 * left open. Only then how far the topic goes is asked for, with what is not committed yet; and it is read,
 * committed messages only, until the reader stands there. Its offsets have gaps (markers, what was aborted,
 * compaction), so no message is waited for, but a position.
 */
#ifndef OUT_KAFKA_LEDGER_H
#define OUT_KAFKA_LEDGER_H

#include <librdkafka/rdkafka.h>
#include "claim.h"
#include "health.h"
#include "kept.h"
#include "settings.h"

struct ledger {
    struct kafka_link link;
    const struct kafka_settings *settings;
    struct health *health;
    struct claim claim;
    char owner[40]; /* this instance, in the topic */
    bool owned;     /* it was written there */
    int partitions, partition;
    rd_kafka_topic_t *topic; /* in the producer; NULL: none yet */
    char why[768];           /* what the last call failed for */
};

void ledger_init(struct ledger *, struct kafka_link, const struct kafka_settings *, struct health *);
void ledger_finish(struct ledger *);
/* Before the producer goes. */
void ledger_release(struct ledger *);

/* Finds out the transactional.id. 0, or a negative errno and `why`. */
int ledger_open(struct ledger *, const char *data_dir, const char *alias);

/*
 * All of it, up to a producer that may begin transactions; *table is what is kept. 0;
 * -EAGAIN: not now, with this producer or another one; -EPIPE: with another one;
 * -ECANCELED: host->wait said so;
 * -ESTALE: another process owns the id (only where this one did before);
 * any other: it is not to go on, `why` tells the operator.
 */
int ledger_load(struct ledger *, rd_kafka_t *, struct kept_table *table);
/*
 * Whether the topic still says that this instance owns the id, without a transaction: where it was shut out,
 * that was a timeout and not another process. 0, -ESTALE, or as above.
 */
int ledger_is_owner(struct ledger *, rd_kafka_t *);

/* Writes a position within the transaction. */
rd_kafka_resp_err_t ledger_put(const struct ledger *, const void *key, size_t key_size, const void *value,
                               size_t value_size);

#endif
