/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docker: {"log":"text\n","stream":"stdout","time":"2016-10-06T00:17:09.669794202Z"}; a piece of a long line
 * has no \n. cri: 2016-10-06T00:17:09.669794202Z stdout F text; P for a piece. Docker's lines are read as
 * docker writes them, and by the reader of JSON where they differ from that. Loop thread.
 */
#include "container.h"

#include <string.h>
#include <weir/event.h>
#include "json.h"

static const char *const streams[] = {"stdout", "stderr"};

unsigned tail_container_of(const char *name)
{
    return strcmp(name, "docker") == 0 ? TAIL_DOCKER : strcmp(name, "cri") == 0 ? TAIL_CRI : 0;
}

void tail_container_free(struct tail_container_scratch *scratch)
{
    tail_text_free(&scratch->text);
    tail_text_free(&scratch->members);
    tail_text_free(&scratch->more);
}

static int stream_of(const void *name, size_t size)
{
    for (int i = 0; i < TAIL_STREAMS; i++) {
        if (size == 6 && memcmp(name, streams[i], 6) == 0) {
            return i;
        }
    }
    return -1;
}

static bool set_time(struct tail_piece *piece, const void *text, size_t size)
{
    piece->time_text = text;
    piece->time_size = size;
    return tail_rfc3339_read(text, size, &piece->time);
}

/* -- docker ------------------------------------------------------------------------------------------- */

/* The text ends with a newline, which is not part of it, where it ends the line. */
static void set_docker_text(struct tail_piece *piece, const uint8_t *text, size_t size, bool lasts)
{
    piece->whole = size > 0 && text[size - 1] == '\n';
    piece->text = text;
    piece->size = size - piece->whole;
    piece->lasts = lasts;
}

/* The content of a JSON string. Most have no escape but the one of the newline at their end. */
static bool read_text(const uint8_t *p, const uint8_t *end, bool plain, struct tail_text *scratch,
                      struct tail_piece *piece)
{
    size_t size = (size_t)(end - p);
    if (plain) {
        set_docker_text(piece, p, size, true);
        return true;
    }
    if (size >= 2 && memcmp(end - 2, "\\n", 2) == 0 && !memchr(p, '\\', size - 2)) {
        piece->text = p;
        piece->size = size - 2;
        piece->lasts = piece->whole = true;
        return true;
    }
    scratch->size = 0;
    if (tail_text_reserve(scratch, size) < 0) {
        return false;
    }
    const uint8_t *stop = tail_json_unescape(scratch->bytes, p, end);
    if (stop) {
        set_docker_text(piece, scratch->bytes, (size_t)(stop - scratch->bytes), false);
    }
    return stop;
}

/* Exactly as docker writes it. False: not so, which says nothing yet. */
static bool read_docker_usual(const uint8_t *line, size_t size, struct tail_text *scratch,
                              struct tail_piece *ret)
{
    static const char head[] = "{\"log\":\"", middle[] = "\",\"stream\":\"", last[] = "\",\"time\":\"";
    enum { HEAD = sizeof(head) - 1, MIDDLE = sizeof(middle) - 1, STREAM = 6, LAST = sizeof(last) - 1 };
    bool plain;
    if (size < HEAD || memcmp(line, head, HEAD) != 0) {
        return false;
    }
    const uint8_t *text = line + HEAD, *end = line + size;
    const uint8_t *p = tail_json_string_end(text, end, &plain);
    if (!p || end - p < MIDDLE + STREAM + LAST + 2 || memcmp(p, middle, MIDDLE) != 0 ||
        memcmp(p + MIDDLE + STREAM, last, LAST) != 0 || memcmp(end - 2, "\"}", 2) != 0) {
        return false;
    }
    ret->stream = stream_of(p + MIDDLE, STREAM);
    const uint8_t *time = p + MIDDLE + STREAM + LAST;
    return ret->stream >= 0 && set_time(ret, time, (size_t)(end - 2 - time)) &&
           read_text(text, p, plain, scratch, ret);
}

static bool is(const struct weir_value *key, const char *name)
{
    return key->size == strlen(name) && memcmp(key->data, name, key->size) == 0;
}

/* Any order, and more members than those three, which go along. */
static bool read_docker_any(const uint8_t *line, size_t size, struct tail_container_scratch *scratch,
                            struct tail_piece *ret)
{
    struct weir_value key, value, log = {0}, stream = {0}, time = {0};
    uint32_t count = 0;
    scratch->members.size = scratch->more.size = 0;
    if (size == 0 || *line != '{' || tail_json_read(line, size, &scratch->members, &count, NULL) < 0 ||
        count == 0) {
        return false;
    }
    const uint8_t *end = scratch->members.bytes + scratch->members.size;
    for (const uint8_t *p = scratch->members.bytes, *next; count > 0; count--, p = next) {
        const uint8_t *at = weir_read_value(p, end, &key);
        next = at ? weir_read_value(at, end, &value) : NULL;
        if (!next) {
            return false;
        }
        struct weir_value *known = is(&key, "log")      ? &log
                                   : is(&key, "stream") ? &stream
                                   : is(&key, "time")   ? &time
                                                        : NULL;
        if (known && value.type == WEIR_TYPE_STR) {
            *known = value;
        } else if (tail_text_add(&scratch->more, p, (size_t)(next - p)) == 0) {
            ret->more_count++;
        } else {
            return false;
        }
    }
    ret->more = scratch->more.bytes;
    ret->more_size = scratch->more.size;
    ret->stream = stream.data ? stream_of(stream.data, stream.size) : -1;
    if (!log.data || !time.data || ret->stream < 0) {
        return false;
    }
    set_docker_text(ret, log.data, log.size, false);
    return set_time(ret, time.data, time.size);
}

/* -- cri ---------------------------------------------------------------------------------------------- */

static bool read_cri(const uint8_t *line, size_t size, struct tail_piece *ret)
{
    const uint8_t *end = line + size, *p = memchr(line, ' ', size < 64 ? size : 64);
    if (!p || !set_time(ret, line, (size_t)(p - line)) || end - p < 9 || p[7] != ' ') {
        return false;
    }
    ret->stream = stream_of(p + 1, 6);
    const uint8_t *tag = p + 8, *stop = memchr(tag, ' ', (size_t)(end - tag));
    stop = stop ? stop : end;
    /* further tags follow a colon */
    if (ret->stream < 0 || (*tag != 'F' && *tag != 'P') || (stop - tag > 1 && tag[1] != ':')) {
        return false;
    }
    ret->whole = *tag == 'F';
    ret->lasts = true;
    ret->text = stop < end ? stop + 1 : end;
    ret->size = (size_t)(end - ret->text);
    return true;
}

bool tail_container_read(unsigned forms, const uint8_t *line, size_t size,
                         struct tail_container_scratch *scratch, struct tail_piece *ret)
{
    *ret = (struct tail_piece){.stream = -1};
    if ((forms & TAIL_DOCKER) && (read_docker_usual(line, size, &scratch->text, ret))) {
        return true;
    }
    *ret = (struct tail_piece){.stream = -1};
    if ((forms & TAIL_DOCKER) && read_docker_any(line, size, scratch, ret)) {
        return true;
    }
    *ret = (struct tail_piece){.stream = -1};
    return (forms & TAIL_CRI) && read_cri(line, size, ret);
}
