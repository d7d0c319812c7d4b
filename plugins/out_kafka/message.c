/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values, keys and headers of messages. Owns the text of the time that JSON records begin with. On
 * the thread whose maker it is.
 */
#include "message.h"

static int add_headers(struct message_maker *maker, const struct weir_map *map, const char **ret_wrong)
{
    maker->headers = calloc(map->count ? map->count : 1, sizeof(*maker->headers));
    if (!maker->headers)
        return -ENOMEM;
    for (size_t i = 0; i < map->count; i++) {
        struct message_header *header = &maker->headers[i];
        int rc = template_init(&header->text, map->entries[i].value);
        if (rc) {
            *ret_wrong = map->entries[i].name;
            return rc;
        }
        header->name = map->entries[i].name;
        maker->header_count++;
    }
    return 0;
}

int message_maker_init(struct message_maker *maker, const struct kafka_settings *settings,
                       const char **ret_wrong)
{
    int rc;

    memset(maker, 0, sizeof(*maker));
    maker->format = (enum kafka_format)settings->format;
    maker->record_time = settings->time == KAFKA_TIME_RECORD;
    maker->raw_key = settings->raw_log_key ? settings->raw_log_key : "";
    maker->raw_key_size = strlen(maker->raw_key);
    maker->key = settings->message_key;
    maker->key_size = maker->key ? strlen(maker->key) : 0;
    maker->key_field = settings->message_key_field;
    maker->key_field_size = maker->key_field ? strlen(maker->key_field) : 0;
    rc = weir_json_style_init(&maker->style, settings->timestamp_key, (enum weir_json_date)settings->date);
    if (!rc)
        rc = add_headers(maker, &settings->headers, ret_wrong);
    if (rc)
        message_maker_finish(maker);
    return rc;
}

void message_maker_finish(struct message_maker *maker)
{
    for (size_t i = 0; i < maker->header_count; i++)
        template_finish(&maker->headers[i].text);
    free(maker->headers);
    weir_json_style_finish(&maker->style);
    weir_json_finish(&maker->scratch);
    memset(maker, 0, sizeof(*maker));
}

/* A field's value: as it is where it is text, else as JSON. */
static int slice_value(const struct weir_value *value, struct weir_json *text, struct slice *ret)
{
    size_t before = text->size;
    int rc;

    if (value->type == WEIR_TYPE_STR || value->type == WEIR_TYPE_BIN) {
        *ret = (struct slice){.data = value->data, .size = value->size};
        return 0;
    }
    rc = weir_json_value(text, value);
    *ret = (struct slice){.at = before, .size = text->size - before};
    return rc;
}

static int slice_json(struct message_maker *maker, const struct weir_record *record, struct weir_json *text,
                      struct slice *ret)
{
    size_t before = text->size;
    int rc = weir_json_record(text, &maker->style, record);

    *ret = (struct slice){.at = before, .size = text->size - before};
    return rc;
}

static int make_value(struct message_maker *maker, const struct weir_record *record, struct weir_json *text,
                      struct slice *ret)
{
    struct weir_value value;

    if (maker->format == KAFKA_MSGPACK) {
        *ret = (struct slice){.data = record->data, .size = record->size};
        return 0;
    }
    if (maker->format == KAFKA_JSON)
        return slice_json(maker, record, text, ret);
    if (weir_record_find(record, maker->raw_key, maker->raw_key_size, &value))
        return slice_value(&value, text, ret);
    maker->without_key++;
    return slice_json(maker, record, text, ret);
}

static int make_key(const struct message_maker *maker, const struct weir_record *record,
                    struct weir_json *text, struct message *message)
{
    struct weir_value value;

    if (maker->key_field && weir_record_find(record, maker->key_field, maker->key_field_size, &value) &&
        value.type != WEIR_TYPE_NIL) {
        message->has_key = true;
        return slice_value(&value, text, &message->key);
    }
    message->has_key = maker->key != NULL;
    message->key = (struct slice){.data = (const uint8_t *)maker->key, .size = maker->key_size};
    return 0;
}

/* A record without a time has 0 there, or nonsense from before the epoch, which no broker would take. */
static int64_t time_of(const struct weir_record *record)
{
    return record->sec > 0 ? record->sec * 1000 + record->nsec / 1000000 : 0;
}

int message_make(struct message_maker *maker, const struct weir_record *record, struct weir_json *text,
                 struct message *ret)
{
    size_t before = text->size;
    int rc = make_value(maker, record, text, &ret->value);

    if (!rc)
        rc = make_key(maker, record, text, ret);
    ret->time = maker->record_time ? time_of(record) : 0;
    if (rc)
        text->size = before;
    return rc;
}

static rd_kafka_resp_err_t add_header(struct message_maker *maker, const struct message_header *header,
                                      const struct weir_chunk *chunk, const struct weir_record *record,
                                      rd_kafka_headers_t *headers)
{
    size_t missing;

    maker->scratch.size = 0;
    if (template_render(&header->text, chunk, record, NULL, &maker->scratch, &missing))
        return RD_KAFKA_RESP_ERR__FAIL;
    /* A header that is one field only is left out where the record lacks the field. */
    if (missing && header->text.count == 1)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    return rd_kafka_header_add(headers, header->name, -1, maker->scratch.size ? maker->scratch.data : "",
                               (ssize_t)maker->scratch.size);
}

rd_kafka_headers_t *message_headers(struct message_maker *maker, const struct weir_chunk *chunk,
                                    const struct weir_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(maker->header_count);

    for (size_t i = 0; headers && i < maker->header_count; i++) {
        if (add_header(maker, &maker->headers[i], chunk, record, headers)) {
            rd_kafka_headers_destroy(headers);
            headers = NULL;
        }
    }
    return headers;
}
