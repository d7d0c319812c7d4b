/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user may set, as weir fills it in from the table of options. Never changes once it is filled.
 */
#ifndef OUT_KAFKA_SETTINGS_H
#define OUT_KAFKA_SETTINGS_H

#include <weir/plugin.h>

enum kafka_format { KAFKA_JSON, KAFKA_RAW, KAFKA_MSGPACK };
/* What the timestamp of a message is: when it was handed to librdkafka, or its record's time. */
enum kafka_time { KAFKA_TIME_SENT, KAFKA_TIME_RECORD };

enum kafka_delivery { KAFKA_AT_LEAST_ONCE, KAFKA_EXACTLY_ONCE };

struct kafka_settings {
    struct weir_list brokers;
    const char *topics;
    const char *dead_letter_topic;
    int format;   /* enum kafka_format */
    int date;     /* enum weir_json_date */
    int acks;     /* index in the table's names: all, -1, 1, 0 */
    int time;     /* enum kafka_time */
    int delivery; /* enum kafka_delivery */
    const char *transactional_id;
    uint64_t transaction_interval; /* ns */
    uint64_t transaction_size;
    const char *positions_topic;
    const char *timestamp_key;
    const char *raw_log_key;
    const char *message_key;
    const char *message_key_field;
    const char *partitioner;
    const char *client_id;
    struct weir_map headers;
    struct weir_map rdkafka;
};

extern const struct weir_option kafka_options[];

/* Whether positions travel with the messages, in transactions. */
static inline bool kafka_is_exact(const struct kafka_settings *settings)
{
    return settings->delivery == KAFKA_EXACTLY_ONCE;
}

/* What every part needs to speak with weir. */
struct kafka_link {
    const struct weir_host *host;
    struct weir_instance *instance;
};

#endif
