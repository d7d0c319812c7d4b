/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From chunks to librdkafka. Messages go in batches (one call, and nothing copied but the key); those with
 * headers or a time of their own one by one. Output thread.
 */
#include "send.h"
#include "outcome.h"

/* Waiting for a topic's metadata must not hold up a stop. */
#define REFRESH_MS 500
#define FULL_MS    20
/* The input's thread has written the chunk: its records are fetched from that core's cache before they are
 * read. */
#define AHEAD 1024

int sender_init(struct sender *sender, struct kafka_link link, const struct kafka_settings *settings,
                struct flights *flights, struct topics *topics, const char **ret_wrong)
{
    memset(sender, 0, sizeof(*sender));
    sender->link = link;
    sender->flights = flights;
    sender->topics = topics;
    sender->without_key = link.host->metric(link.instance, WEIR_COUNTER, "records_without_key",
                                            "Records sent as JSON because they lack raw_log_key", NULL, NULL);
    return message_maker_init(&sender->maker, settings, ret_wrong);
}

void sender_finish(struct sender *sender)
{
    message_maker_finish(&sender->maker);
}

/* -- One batch -- */

static void fail(struct sender *sender, unsigned i, rd_kafka_resp_err_t error)
{
    const rd_kafka_message_t *message = &sender->messages[i];
    const uint32_t *mark = message->_private;

    flight_fail(
        sender->flight,
        &(struct failure){
            .index = *mark, .error = error, .local = true, .size = message->len, .topic = sender->topic});
    sender->closed++;
}

rd_kafka_resp_err_t send_one(rd_kafka_t *rk, rd_kafka_topic_t *handle, const rd_kafka_message_t *message,
                             int64_t time, rd_kafka_headers_t *headers)
{
    rd_kafka_vu_t vus[6] = {{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = handle},
                            {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {message->payload, message->len}},
                            {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {message->key, message->key_len}},
                            {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = message->_private},
                            {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = time},
                            {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers}};
    rd_kafka_resp_err_t code;
    rd_kafka_error_t *error;

    error = rd_kafka_produceva(rk, vus, headers ? 6 : 5);
    code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_destroy(error);
    return code;
}

static void produce_each(struct sender *sender, rd_kafka_topic_t *handle, unsigned from)
{
    rd_kafka_resp_err_t missing = RD_KAFKA_RESP_ERR_NO_ERROR;

    sticky_get(&sender->sticky, sender->topic); /* perhaps it is another one's turn */
    for (unsigned i = from; i < sender->count; i++) {
        rd_kafka_message_t *message = &sender->messages[i];
        message->err = missing;
        if (!missing)
            message->err = send_one(sender->rk, handle, message, sender->made[i].time, sender->headers[i]);
        if (outcome_is_missing(message->err))
            missing = message->err;
        if (message->err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return;
        if (message->err && sender->headers[i])
            rd_kafka_headers_destroy(sender->headers[i]);
        sender->headers[i] = NULL;
    }
}

/* The first message may be needed to find the partition for the others. */
static void produce_batch(struct sender *sender, rd_kafka_topic_t *handle, unsigned from)
{
    int32_t partition = sticky_get(&sender->sticky, sender->topic);
    unsigned count = sender->count - from;

    if (sender->topic->sticky && partition == RD_KAFKA_PARTITION_UA && count > 1) {
        rd_kafka_produce_batch(handle, partition, 0, &sender->messages[from], 1);
        if (sender->messages[from].err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return;
        if (outcome_is_missing(sender->messages[from].err)) {
            for (unsigned i = from + 1; i < sender->count; i++)
                sender->messages[i].err = sender->messages[from].err;
            return;
        }
        partition = atomic_load_explicit(&sender->topic->partition, memory_order_relaxed);
        from++;
        count--;
    }
    rd_kafka_produce_batch(handle, partition, 0, &sender->messages[from], (int)count);
}

/*
 * A topic that has vanished may be back in the midst of a batch: librdkafka would refuse some and take those
 * behind them. One by one it ends with the first that is refused.
 */
static bool sends_singly(const struct sender *sender)
{
    return message_maker_sends_singly(&sender->maker) || atomic_load(&sender->topic->missing_since) != 0;
}

/* Sends from one message on, until librdkafka is full. Returns which is next. */
static unsigned produce(struct sender *sender, rd_kafka_topic_t *handle, unsigned from)
{
    unsigned i;

    if (sends_singly(sender))
        produce_each(sender, handle, from);
    else
        produce_batch(sender, handle, from);
    for (i = from; i < sender->count && sender->messages[i].err != RD_KAFKA_RESP_ERR__QUEUE_FULL; i++) {
        sender->topic->stuck_bytes += (long)sender->messages[i].len;
        if (!sender->messages[i].err)
            continue;
        sender->halted = sender->halted || sender->messages[i].err == RD_KAFKA_RESP_ERR__FATAL;
        fail(sender, i, sender->messages[i].err);
    }
    return i;
}

static void resolve(struct sender *sender)
{
    const char *text = sender->text ? sender->text->data : NULL;

    for (unsigned i = 0; i < sender->count; i++) {
        const struct message *made = &sender->made[i];
        rd_kafka_message_t *message = &sender->messages[i];
        message->payload = message_slice(&made->value, text);
        message->len = made->value.size;
        message->key = NULL;
        message->key_len = made->has_key ? made->key.size : 0;
        if (made->has_key)
            message->key = message_slice(&made->key, text);
    }
}

/* Asks for a topic that has vanished: librdkafka itself would for five minutes refuse what is for it. */
static void refresh(struct sender *sender, rd_kafka_topic_t *handle)
{
    const struct rd_kafka_metadata *metadata;

    if (atomic_load(&sender->topic->missing_since) == 0)
        return;
    if (!rd_kafka_metadata(sender->rk, 0, handle, &metadata, REFRESH_MS))
        rd_kafka_metadata_destroy(metadata);
}

static void drop_headers(struct sender *sender, unsigned i)
{
    if (sender->headers[i])
        rd_kafka_headers_destroy(sender->headers[i]);
    sender->headers[i] = NULL;
}

/* What is for the batch's topic has failed since that is unknown. It may be known by now. */
static bool is_missing(const struct sender *sender)
{
    return atomic_load(&sender->flight->missing) == sender->topic;
}

/* Sends the batch. Whatever can't be sent now fails, to be sent again. */
static void flush(struct sender *sender)
{
    rd_kafka_topic_t *handle = NULL;
    unsigned next = 0;

    if (sender->count == 0)
        return;
    resolve(sender);
    if (!sender->halted)
        handle = topic_handle(sender->topic, sender->rk);
    if (!handle)
        sender->halted = true;
    else if (!is_missing(sender))
        refresh(sender, handle);
    while (next < sender->count && !sender->halted && !is_missing(sender)) {
        next = produce(sender, handle, next);
        if (next < sender->count && !sender->halted)
            sender->halted = flights_pause(sender->flights, FULL_MS) != 0;
    }
    for (; next < sender->count; next++) {
        fail(sender, next,
             sender->halted ? RD_KAFKA_RESP_ERR__PURGE_QUEUE : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC);
        drop_headers(sender, next);
    }
    sender->count = 0;
    sender->text = NULL;
}

/* -- One record -- */

static void give_up(struct sender *sender, uint32_t index)
{
    flight_fail(sender->flight,
                &(struct failure){.index = index, .error = RD_KAFKA_RESP_ERR__PURGE_QUEUE, .local = true});
    sender->closed++;
}

static void reject(struct sender *sender, const struct weir_record *record, const char *reason)
{
    if (!sender->repeated)
        sender->link.host->reject(sender->link.instance, sender->flight->chunk, record->data, record->size, 1,
                                  reason);
    sender->closed++;
}

/* Puts a message at the end of the batch. 0, -ENOMEM, -EMSGSIZE. */
static int add(struct sender *sender, const struct weir_record *record, uint32_t index)
{
    unsigned i = sender->count;
    int rc;

    if (!sender->text)
        sender->text = flight_text(sender->flight);
    if (!sender->text)
        return -ENOMEM;
    rc = message_make(&sender->maker, record, sender->text, &sender->made[i]);
    if (!rc && message_maker_has_headers(&sender->maker)) {
        sender->headers[i] = message_headers(&sender->maker, sender->flight->chunk, record);
        rc = sender->headers[i] ? 0 : -ENOMEM;
    }
    if (!rc) {
        sender->messages[i]._private = flight_mark(sender->flight, index);
        sender->messages[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
        sender->count++;
    }
    return rc;
}

static int choose_topic(struct sender *sender, const struct weir_record *record, const char **ret_reason)
{
    struct topic *topic;
    int rc = topics_find(sender->topics, sender->flight->chunk, record, &topic, ret_reason);

    if (rc)
        return rc;
    if (topic != sender->topic)
        flush(sender);
    sender->topic = topic;
    return 0;
}

static void send_record(struct sender *sender, const struct weir_record *record, uint32_t index)
{
    const char *reason = "it is nested too deep to be written as JSON";
    int rc = 0;

    if (!sender->topic || topics_vary(sender->topics))
        rc = choose_topic(sender, record, &reason);
    if (!rc)
        rc = add(sender, record, index);
    if (rc == -ENOMEM) {
        sender->halted = true;
        give_up(sender, index);
    } else if (rc) {
        reject(sender, record, reason);
    }
    if (sender->count == SEND_BATCH)
        flush(sender);
}

/* -- The chunk -- */

/* The rest of the chunk is no msgpack: nothing can be found in it any more. */
static void reject_rest(struct sender *sender, const struct weir_cursor *cursor, uint32_t records)
{
    if (!sender->repeated)
        sender->link.host->reject(sender->link.instance, sender->flight->chunk, cursor->next,
                                  (size_t)(cursor->end - cursor->next), records ? records : 1,
                                  "the chunk holds what is no record");
    sender->closed += records;
}

static void send_all(struct sender *sender)
{
    const struct weir_chunk *chunk = sender->flight->chunk;
    struct weir_cursor cursor;
    struct weir_record record;
    uint32_t index = 0;

    weir_cursor_init(&cursor, chunk->data, chunk->size);
    while (index < chunk->records && weir_cursor_next(&cursor, &record) > 0) {
        __builtin_prefetch(cursor.next + AHEAD);
        if (sender->halted)
            give_up(sender, index);
        else
            send_record(sender, &record, index);
        index++;
    }
    if (index < chunk->records || cursor.next != cursor.end)
        reject_rest(sender, &cursor, chunk->records - index);
}

static void send_remainder(struct sender *sender, const struct remainder *remainder)
{
    struct weir_cursor cursor;
    struct weir_record record;
    uint32_t index = 0;
    size_t at = 0;

    weir_cursor_init(&cursor, sender->flight->chunk->data, sender->flight->chunk->size);
    for (; at < remainder->count && weir_cursor_next(&cursor, &record) > 0; index++) {
        if (index != remainder->indices[at])
            continue;
        if (sender->halted)
            give_up(sender, index);
        else
            send_record(sender, &record, index);
        at++;
    }
}

int send_chunk(struct sender *sender, rd_kafka_t *rk, struct weir_chunk *chunk,
               const struct remainder *remainder)
{
    uint32_t messages = remainder ? (uint32_t)remainder->count : chunk->records;

    sender->flight = flights_begin(sender->flights, chunk, messages);
    if (!sender->flight)
        return WEIR_RETRY;
    sender->rk = rk;
    sender->closed = 0;
    sender->halted = false;
    sender->topic = NULL;
    sender->text = NULL;
    sender->maker.without_key = 0;
    if (remainder)
        send_remainder(sender, remainder);
    else
        send_all(sender);
    flush(sender);
    pace_sent(sender->pace);
    if (sender->maker.without_key)
        sender->link.host->metric_add(sender->without_key, sender->maker.without_key);
    flight_release(sender->flight, sender->closed + 1);
    sender->flight = NULL;
    return WEIR_LATER;
}
