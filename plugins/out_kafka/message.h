/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a record to what Kafka gets: value, key and headers. What can be is a slice of the record; what has to
 * be written goes into a text. Each thread that sends has a maker of its own.
 */
#ifndef OUT_KAFKA_MESSAGE_H
#define OUT_KAFKA_MESSAGE_H

#include <librdkafka/rdkafka.h>
#include "settings.h"
#include "template.h"

/* Bytes that lie elsewhere, or, where `data` is NULL, at `at` in the text that is still being written. */
struct slice {
    const uint8_t *data;
    size_t at, size;
};

struct message {
    struct slice value;
    struct slice key;
    bool has_key;
    int64_t time; /* ms since 1970; 0: when it is sent */
};

struct message_header {
    const char *name;
    struct template text;
};

struct message_maker {
    enum kafka_format format;
    bool record_time;
    const char *raw_key, *key, *key_field;
    size_t raw_key_size, key_size, key_field_size;
    struct weir_json_style style;
    struct message_header *headers;
    size_t header_count;
    struct weir_json scratch;
    uint64_t without_key; /* format raw: records that were written as JSON */
};

/* The settings must stay. 0, -ENOMEM; -EINVAL and *ret_wrong, the header whose text is no template. */
int message_maker_init(struct message_maker *, const struct kafka_settings *, const char **ret_wrong);
void message_maker_finish(struct message_maker *);

/* Whether its messages have what a batch can't give them: they are to be sent one by one. */
static inline bool message_maker_sends_singly(const struct message_maker *maker)
{
    return maker->header_count > 0 || maker->record_time;
}
static inline bool message_maker_has_headers(const struct message_maker *maker)
{
    return maker->header_count > 0;
}

/* Where the slice lies, once the text is complete. */
static inline void *message_slice(const struct slice *slice, const char *text)
{
    return (void *)(uintptr_t)(slice->data ? slice->data : (const uint8_t *)text + slice->at);
}

/* 0, -ENOMEM, or -EMSGSIZE: it is nested too deep for JSON. */
int message_make(struct message_maker *, const struct weir_record *, struct weir_json *text,
                 struct message *ret);
/* The headers of a record's message, for the caller to destroy. NULL: no memory. */
rd_kafka_headers_t *message_headers(struct message_maker *, const struct weir_chunk *,
                                    const struct weir_record *);

#endif
