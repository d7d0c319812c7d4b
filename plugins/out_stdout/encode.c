/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a chunk to text: json_lines, raw, or the records' own bytes. Owns one buffer, used again for
 * every piece, and one more for what a terminal is shown. Output thread.
 */
#include "encode.h"
#include <stdio.h>

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
    weir_json_finish(&encoder->shown);
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

/* DEL, or a C1 control in UTF-8: its code; 0: neither. What follows the text is a NUL or a newline. */
static unsigned control_at(const unsigned char *p, const unsigned char *end)
{
    if (*p == 0x7f)
        return 0x7f;
    return *p == 0xc2 && p + 1 < end && p[1] < 0xa0 ? p[1] : 0;
}

/*
 * JSON lets DEL and U+0080 to U+009F through, and a terminal obeys them: CSI is one of them. Strings are the
 * only place where they stand, so each can be an escape, and what was written means the same.
 */
static int show(struct encoder *encoder)
{
    const unsigned char *at = (const unsigned char *)encoder->text.data, *plain = at;
    const unsigned char *const end = at + encoder->text.size;
    int rc = 0;

    encoder->shown.size = 0;
    while (!rc && at < end) {
        unsigned code = control_at(at, end);
        char escape[8];
        if (!code) {
            at++;
            continue;
        }
        rc = weir_json_text(&encoder->shown, plain, (size_t)(at - plain));
        snprintf(escape, sizeof(escape), "\\u%04x", code);
        if (!rc)
            rc = weir_json_text(&encoder->shown, escape, strlen(escape));
        plain = at += code == 0x7f ? 1 : 2;
    }
    return rc ? rc : weir_json_text(&encoder->shown, plain, (size_t)(end - plain));
}

static int hand_out(struct encoder *encoder, struct encode_piece *ret)
{
    const struct weir_json *text = &encoder->text;

    if (encoder->to_terminal && encoder->format == ENCODE_JSON_LINES) {
        if (show(encoder))
            return -ENOMEM;
        text = &encoder->shown;
    }
    *ret = (struct encode_piece){.data = text->data, .size = text->size};
    encoder->handed_out = true;
    return text->size > 0;
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
