/* SPDX-License-Identifier: Apache-2.0 */
/* Writing records of several fields into a draft, which grows where its room was guessed too small. Loop
 * thread. */
#include "record.h"

#include <errno.h>
#include <string.h>
#include <weir/event.h>
#include "filter.h"

static size_t length(const char *text)
{
    return text ? strlen(text) : 0;
}

static uint8_t *put_text(uint8_t *p, const char *text)
{
    return weir_put_str(p, text, (uint32_t)strlen(text));
}

static uint8_t *put_bytes(uint8_t *p, const uint8_t *bytes, size_t size)
{
    if (size > 0) {
        memcpy(p, bytes, size);
    }
    return p + size;
}

static bool wanted(const struct tail_out *out, const uint8_t *text, size_t size)
{
    const struct tail_format *format = out->format;
    if (format->skip_empty && (size == 0 || (size == 1 && *text == '\r'))) {
        out->tally->empty++;
        return false;
    }
    if (format->filter && !tail_filter_wants(format->filter, text, size)) {
        out->tally->filtered++;
        return false;
    }
    return true;
}

/* What the parser makes of it. *ret_parsed: it made fields. */
static int parse(struct tail_out *out, const uint8_t *text, size_t size, struct tail_parsed *ret,
                 bool *ret_parsed)
{
    *ret = (struct tail_parsed){0};
    *ret_parsed = false;
    if (!out->parser) {
        return 0;
    }
    int r = tail_parser_read(out->parser, text, size, out->now.tv_sec, ret);
    *ret_parsed = r > 0;
    out->tally->unparsed += r == 0;
    out->tally->bad_times += ret->bad_time;
    return r < 0 ? r : 0;
}

static uint8_t *put_head(uint8_t *p, const struct tail_out *out, const struct tail_origin *origin,
                         const struct tail_parsed *parsed, uint32_t count)
{
    if (parsed->timed) {
        return weir_put_record(p, parsed->time.sec, parsed->time.nsec, count);
    }
    if (origin->timed) {
        return weir_put_record(p, origin->time.sec, origin->time.nsec, count);
    }
    return weir_put_record(p, (uint32_t)out->now.tv_sec, (uint32_t)out->now.tv_nsec, count);
}

static uint8_t *put_place(uint8_t *p, const struct tail_out *out, uint64_t offset)
{
    if (out->format->path_key) {
        p = put_text(put_text(p, out->format->path_key), out->path);
    }
    if (out->format->offset_key) {
        p = weir_put_uint(put_text(p, out->format->offset_key), offset);
    }
    return p;
}

static uint8_t *put_origin(uint8_t *p, const struct tail_origin *origin)
{
    if (origin->stream) {
        p = put_text(put_text(p, "stream"), origin->stream);
    }
    if (origin->time_text) {
        p = weir_put_str(put_text(p, "time"), origin->time_text, (uint32_t)origin->time_size);
    }
    return put_bytes(p, origin->more, origin->more_size);
}

int tail_record_put(struct tail_out *out, const uint8_t *text, size_t size, const struct tail_origin *origin)
{
    const struct tail_format *format = out->format;
    struct tail_parsed parsed;
    bool is_parsed;
    if (!wanted(out, text, size)) {
        return 0;
    }
    int r = parse(out, text, size, &parsed, &is_parsed);
    if (r < 0) {
        return r;
    }
    bool with_text = !is_parsed || out->preserve_key;
    size_t room = WEIR_MAX_RECORD + 9 * WEIR_MAX_STR + WEIR_MAX_INT + sizeof("stream") + sizeof("stdout") +
                  sizeof("time") + length(format->key) + length(format->path_key) +
                  length(format->offset_key) + (format->path_key ? length(out->path) : 0) +
                  origin->time_size + origin->more_size + parsed.sizes[0] + parsed.sizes[1] +
                  (with_text ? size : 0);
    if (out->draft->capacity - out->draft->size < room &&
        out->host->chunk_grow(&out->draft, room + out->draft->size / 2) < 0) {
        return -ENOMEM;
    }
    uint8_t *p = out->draft->data + out->draft->size;
    uint32_t count = !!format->path_key + !!format->offset_key + parsed.count + with_text + !!origin->stream +
                     !!origin->time_text + origin->more_count;
    p = put_place(put_head(p, out, origin, &parsed, count), out, origin->offset);
    if (with_text) {
        p = weir_put_str(put_text(p, format->key), text, (uint32_t)size);
    }
    p = put_bytes(put_bytes(p, parsed.fields[0], parsed.sizes[0]), parsed.fields[1], parsed.sizes[1]);
    p = put_origin(p, origin);
    out->draft->size = (size_t)(p - out->draft->data);
    out->draft->records++;
    return 0;
}
