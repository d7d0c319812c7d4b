/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number of a topic's partitions is known to librdkafka alone, and told to a partitioner only. So the
 * first message of a run is produced without a partition; librdkafka then calls the partitioner here, which
 * chooses (on whichever thread: when a topic becomes known, it is librdkafka's), and what follows goes there
 * directly. As long as the topic is not known, everything is produced without a partition and waits in one
 * queue.
 */
#include "sticky.h"
#include "clock.h"

static int32_t choose(const rd_kafka_topic_t *handle, const void *key, size_t key_size, int32_t count,
                      void *opaque, void *message)
{
    struct topic *topic = opaque;
    int32_t partition = atomic_load_explicit(&topic->partition, memory_order_relaxed);

    if (partition >= 0 && partition < count)
        return partition;
    partition = rd_kafka_msg_partitioner_random(handle, key, key_size, count, opaque, message);
    atomic_store_explicit(&topic->partition, partition, memory_order_relaxed);
    return partition;
}

void sticky_use(rd_kafka_topic_conf_t *conf)
{
    rd_kafka_topic_conf_set_partitioner_cb(conf, choose);
}

void sticky_drop(struct topic *topic)
{
    atomic_store_explicit(&topic->partition, RD_KAFKA_PARTITION_UA, memory_order_relaxed);
}

int32_t sticky_get(const struct sticky *sticky, struct topic *topic)
{
    int64_t t;

    if (!topic->sticky)
        return RD_KAFKA_PARTITION_UA;
    t = clock_ns();
    if (topic->stuck_bytes >= sticky->bytes || t >= topic->stuck_until) {
        topic->stuck_bytes = 0;
        topic->stuck_until = t + sticky->span;
        sticky_drop(topic);
    }
    return atomic_load_explicit(&topic->partition, memory_order_relaxed);
}
