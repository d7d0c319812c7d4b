/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a chunk to text: json_lines, raw, or the records' own bytes. Owns one buffer, used again for
 * every piece. Output thread.
 */
#include "encode.h"

int encode_init(struct encoder *encoder, const struct encode_settings *settings)
{
    memset(encoder, 0, sizeof(*encoder));
    encoder->format = settings->format;
    encoder->key = settings->message_key;
    encoder->key_size = strlen(settings->message_key);
    return weir_json_style_init(&encoder->style, settings->date_key, settings->date);
}

void encode_finish(struct encoder *encoder)
{
    weir_json_style_finish(&encoder->style);
    weir_json_finish(&encoder->text);
}

void encode_begin(struct encoder *encoder, const struct weir_chunk *chunk)
{
    weir_cursor_init(&encoder->cursor, chunk->data, chunk->size);
    encoder->left = chunk->records;
    encoder->without_key = 0;
    encoder->text.size = 0;
    encoder->handed_out = false;
}

static int put_json_line(struct encoder *encoder, const struct weir_record *record)
{
    int rc = weir_json_record(&encoder->text, &encoder->style, record);

    return rc ? rc : weir_json_text(&encoder->text, "\n", 1);
}

static int put_bytes_line(struct weir_json *text, const uint8_t *data, size_t size)
{
    if (weir_json_reserve(text, size + 1))
        return -ENOMEM;
    if (size)
        memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size++] = '\n';
    return 0;
}

static int put_raw_line(struct encoder *encoder, const struct weir_record *record)
{
    struct weir_value value;
    int rc;

    if (!weir_record_find(record, encoder->key, encoder->key_size, &value)) {
        encoder->without_key++;
        return put_json_line(encoder, record);
    }
    if (value.type == WEIR_TYPE_STR || value.type == WEIR_TYPE_BIN)
        return put_bytes_line(&encoder->text, value.data, value.size);
    rc = weir_json_value(&encoder->text, &value);
    return rc ? rc : weir_json_text(&encoder->text, "\n", 1);
}

/* The rest of the chunk is no msgpack: nothing can be found in it any more. */
static int give_up_rest(struct encoder *encoder, struct encode_piece *ret)
{
    ret->data = encoder->cursor.next;
    ret->size = (size_t)(encoder->cursor.end - encoder->cursor.next);
    ret->records = encoder->left ? encoder->left : 1;
    ret->reason = "the chunk holds what is no record";
    encoder->cursor.next = encoder->cursor.end;
    return 1;
}

static int refuse(const struct weir_record *record, struct encode_piece *ret)
{
    ret->data = record->data;
    ret->size = record->size;
    ret->records = 1;
    ret->reason = "it is nested too deep to be written as JSON";
    return 1;
}

static int hand_out(struct encoder *encoder, struct encode_piece *ret)
{
    ret->data = encoder->text.data;
    ret->size = encoder->text.size;
    ret->records = 0;
    ret->reason = NULL;
    encoder->handed_out = true;
    return encoder->text.size > 0;
}

static int hand_out_chunk(struct encoder *encoder, struct encode_piece *ret)
{
    ret->data = encoder->cursor.next;
    ret->size = (size_t)(encoder->cursor.end - encoder->cursor.next);
    ret->records = 0;
    ret->reason = NULL;
    encoder->cursor.next = encoder->cursor.end;
    return ret->size > 0;
}

int encode_next(struct encoder *encoder, struct encode_piece *ret)
{
    struct weir_record record;
    int got, rc;

    if (encoder->format == ENCODE_MSGPACK)
        return hand_out_chunk(encoder, ret);
    if (encoder->handed_out)
        encoder->text.size = 0;
    encoder->handed_out = false;
    while (encoder->text.size < ENCODE_PIECE) {
        got = weir_cursor_next(&encoder->cursor, &record);
        if (got == 0)
            break;
        if (got < 0)
            return give_up_rest(encoder, ret);
        encoder->left -= encoder->left > 0;
        rc = encoder->format == ENCODE_RAW ? put_raw_line(encoder, &record) : put_json_line(encoder, &record);
        if (rc == -ENOMEM)
            return rc;
        if (rc)
            return refuse(&record, ret);
    }
    return hand_out(encoder, ret);
}
