/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition of messages without a key. One is chosen and kept for a batch's worth of bytes or some
 * milliseconds (as in KIP-480), so batches are full, and librdkafka is told the partition: its own
 * partitioner would ask the clock and take four locks for every message.
 */
#ifndef OUT_KAFKA_STICKY_H
#define OUT_KAFKA_STICKY_H

#include <librdkafka/rdkafka.h>
#include "topic.h"

struct sticky {
    long bytes;   /* so much goes to one partition */
    int64_t span; /* or so many nanoseconds' worth */
};

/*
 * Prepares the configuration of a topic whose opaque is its struct topic: librdkafka then asks us for the
 * partition of what is produced without one.
 */
void sticky_use(rd_kafka_topic_conf_t *);
/* The partition for what is sent next; RD_KAFKA_PARTITION_UA: produced so, one will be chosen. Output thread.
 */
int32_t sticky_get(const struct sticky *, struct topic *);
/* Another one is chosen for the next message. Any thread. */
void sticky_drop(struct topic *);

#endif
