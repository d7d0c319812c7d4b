/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which topic a record goes to, and what is known of each topic that was used. The table belongs to the
 * output's thread; the atomics of a topic to every thread that gets delivery reports.
 */
#ifndef OUT_KAFKA_TOPIC_H
#define OUT_KAFKA_TOPIC_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include "template.h"

/* Kafka's own limit. */
#define TOPIC_NAME_MAX 249
/* Each costs librdkafka memory for good, and fields of records may name any number of them. */
#define TOPIC_COUNT_MAX 10000

struct topic {
    struct topic *next;         /* in its bucket */
    rd_kafka_topic_t *handle;   /* NULL: not made since the producer was (re)built */
    atomic_bool known;          /* something was delivered to it */
    atomic_llong missing_since; /* ns; a known topic that the cluster does not know any more; 0: it does */
    bool sticky;                /* messages without a key go where sticky.c says */
    atomic_int partition;       /* which is there, for now */
    long stuck_bytes;           /* what went there */
    int64_t stuck_until;        /* ns */
    size_t size;
    char name[];
};

struct topics {
    struct template template;
    size_t prefix; /* of the template: the literal text that every name begins with */
    struct weir_json name;
    struct topic **buckets;
    size_t bucket_count, count;
    bool sticky; /* so are topics that are added */
};

/* What is wrong with a template or a name that is no template; NULL: nothing. */
const char *topic_check_template(const char *source);
const char *topic_check_name(const char *name, size_t size);

/* source NULL: the record's topic, else its tag. It must have been checked, and stay. 0 or -ENOMEM. */
int topics_init(struct topics *, const char *source);
void topics_finish(struct topics *);
static inline bool topics_vary(const struct topics *topics)
{
    return topics->template.fields;
}

/*
 * The topic of a record (NULL: of all records of the chunk, where topics do not vary). 0 and *ret; -ENOMEM;
 * or -EINVAL and *ret_reason: there can be no such topic.
 */
int topics_find(struct topics *, const struct weir_chunk *, const struct weir_record *, struct topic **ret,
                const char **ret_reason);
/* The topic of that name. NULL: no memory, or too many of them. */
struct topic *topics_get(struct topics *, const char *name, size_t size);

/* Its handle in this producer. NULL where librdkafka gives none: rd_kafka_last_error. */
rd_kafka_topic_t *topic_handle(struct topic *, rd_kafka_t *);
/* Before the producer goes: drops every handle. */
void topics_release(struct topics *);

#endif
