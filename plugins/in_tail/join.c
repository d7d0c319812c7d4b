/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining: pieces into lines of the container, lines into records. The two streams of a container are kept
 * apart; everything else is one stream. Text is copied only where it must outlive the block, or does not
 * stand in it in one piece. Loop thread.
 */
#include "join.h"

#include <string.h>

static const char *const stream_names[] = {"stdout", "stderr"};

/* A line with all that is known of it. */
struct line {
    const uint8_t *text;
    size_t size;
    bool lasts; /* as long as the block; else until the next line */
    bool rest;  /* of a line that was cut */
    uint64_t offset;
    const struct tail_piece *piece; /* of a container, or NULL */
    const struct tail_first *first; /* of joined pieces, or NULL */
};

struct tail_join *tail_join_create(const struct tail_format *format, struct tail_multiline *how)
{
    struct tail_join *join = calloc(1, sizeof(*join));
    if (join) {
        join->format = format;
        join->how = how;
    }
    return join;
}

static void clear(struct tail_open *o)
{
    tail_text_free(&o->text);
    tail_text_free(&o->piece);
    tail_text_free(&o->first.more);
    tail_text_free(&o->piece_first.more);
    *o = (struct tail_open){0};
}

void tail_join_clear(struct tail_join *join)
{
    for (int i = 0; i < TAIL_STREAMS; i++) {
        clear(&join->streams[i]);
    }
    join->splitting = false;
    join->orphans = false;
}

void tail_join_destroy(struct tail_join *join)
{
    if (join) {
        tail_join_clear(join);
        free(join);
    }
}

size_t tail_join_limit(const struct tail_join *join)
{
    const size_t max = join->format->max;
    return join->how->forms ? 6 * max + (64 << 10) : max;
}

bool tail_join_busy(const struct tail_join *join)
{
    bool busy = false;
    for (int i = 0; i < TAIL_STREAMS; i++) {
        const struct tail_open *o = &join->streams[i];
        busy = busy || o->open || o->piecing;
    }
    return busy;
}

struct tail_first *tail_join_first(struct tail_join *join, int stream)
{
    struct tail_open *o = &join->streams[stream];
    /* of a record whose rest is dropped nothing is to come any more */
    if (o->open && !o->dropping) {
        return &o->first;
    }
    return o->piecing ? &o->piece_first : NULL;
}

/* -- What is known of a record besides its text ------------------------------------------------------ */

static int set_first(struct tail_join *join, struct tail_first *first, const struct line *line)
{
    const struct tail_piece *piece = line->piece;
    first->more.size = 0;
    if (line->first) {
        const struct tail_first *from = line->first;
        struct tail_text more = first->more;
        if (tail_text_add(&more, from->more.bytes, from->more.size) < 0) {
            return -ENOMEM;
        }
        *first = *from;
        first->more = more;
        return 0;
    }
    first->offset = line->offset;
    first->timed = piece;
    first->time_size = 0;
    first->more_count = 0;
    if (!piece) {
        return 0;
    }
    first->time = piece->time;
    first->more_count = piece->more_count;
    if (join->how->keep_time) {
        first->time_size =
            piece->time_size < sizeof(first->time_text) ? piece->time_size : sizeof(first->time_text);
        memcpy(first->time_text, piece->time_text, first->time_size);
    }
    return tail_text_add(&first->more, piece->more, piece->more_size);
}

static const char *name_of(const struct tail_join *join, const struct tail_open *o)
{
    return stream_names[o - join->streams];
}

static struct tail_origin origin_of(const struct tail_join *join, const struct tail_open *o,
                                    const struct tail_first *first)
{
    return (struct tail_origin){
        .offset = first->offset,
        .timed = first->timed,
        .time = first->time,
        .stream = first->timed ? name_of(join, o) : NULL,
        .time_text = first->time_size ? first->time_text : NULL,
        .time_size = first->time_size,
        .more = first->more.bytes,
        .more_size = first->more.size,
        .more_count = first->more_count,
    };
}

/* A line that is a record as it is. */
static int put_line(struct tail_join *join, const struct tail_open *o, const struct line *line)
{
    const struct tail_piece *piece = line->piece;
    if (line->first) {
        struct tail_origin origin = origin_of(join, o, line->first);
        return tail_record_put(&join->out, line->text, line->size, &origin);
    }
    struct tail_origin origin = {.offset = line->offset};
    if (piece) {
        origin.timed = true;
        origin.time = piece->time;
        origin.stream = name_of(join, o);
        origin.time_text = join->how->keep_time ? piece->time_text : NULL;
        origin.time_size = join->how->keep_time ? piece->time_size : 0;
        origin.more = piece->more;
        origin.more_size = piece->more_size;
        origin.more_count = piece->more_count;
    }
    return tail_record_put(&join->out, line->text, line->size, &origin);
}

/* -- Records ------------------------------------------------------------------------------------------ */

static size_t size_of(const struct tail_open *o)
{
    return o->view ? o->view_size : o->text.size;
}

static int keep(struct tail_open *o)
{
    if (o->view) {
        o->text.size = 0;
        if (tail_text_add(&o->text, o->view, o->view_size) < 0) {
            return -ENOMEM;
        }
        o->view = NULL;
    }
    return 0;
}

static int put_open(struct tail_join *join, struct tail_open *o)
{
    struct tail_origin origin = origin_of(join, o, &o->first);
    const uint8_t *text = o->view ? o->view : tail_text_bytes(&o->text);
    return tail_record_put(&join->out, text, size_of(o), &origin);
}

static void close_record(struct tail_open *o)
{
    o->open = o->dropping = o->counted = false;
    o->view = NULL;
    tail_text_clear(&o->text);
}

/* The record is complete. */
static int finish(struct tail_join *join, struct tail_open *o)
{
    int r = o->dropping ? 0 : put_open(join, o);
    close_record(o);
    return r;
}

static int begin(struct tail_join *join, struct tail_open *o, const struct line *line, unsigned state)
{
    o->open = true;
    o->armed = false;
    o->state = state;
    o->text.size = 0;
    o->view = line->lasts ? line->text : NULL;
    o->view_size = line->size;
    if (set_first(join, &o->first, line) < 0) {
        return -ENOMEM;
    }
    return o->view ? 0 : tail_text_add(&o->text, line->text, line->size);
}

/* Adds up to `size` bytes of the line, on a line of their own. */
static int add(struct tail_open *o, const struct line *line, size_t size)
{
    if (o->view && line->lasts && o->view + o->view_size + 1 == line->text) {
        o->view_size += 1 + size; /* the newline between them is there */
        return 0;
    }
    int r = keep(o);
    r = r < 0 ? r : tail_text_add(&o->text, "\n", 1);
    return r < 0 ? r : tail_text_add(&o->text, line->text, size);
}

/* With this line, the record is longer than it may be. */
static int add_too_much(struct tail_join *join, struct tail_open *o, const struct line *line)
{
    const size_t max = join->format->max, size = size_of(o);
    unsigned state = o->state;
    int r = 0;
    join->out.tally->long_lines += !o->counted;
    if (join->format->long_lines == TAIL_SPLIT) {
        r = put_open(join, o);
        close_record(o);
        r = r < 0 ? r : begin(join, o, line, state);
        o->counted = true;
        return r;
    }
    if (join->format->long_lines == TAIL_TRUNCATE) {
        size_t room = max > size ? max - size - 1 : 0;
        r = room > 0 ? add(o, line, room < line->size ? tail_lines_cut(line->text, room) : line->size) : 0;
        r = r < 0 ? r : put_open(join, o);
    }
    close_record(o);
    o->open = o->dropping = o->counted = true;
    o->state = state;
    return r;
}

static int go_on(struct tail_join *join, struct tail_open *o, const struct line *line)
{
    o->armed = false;
    if (o->dropping) {
        return 0;
    }
    return size_of(o) + 1 + line->size > join->format->max ? add_too_much(join, o, line)
                                                           : add(o, line, line->size);
}

/* It is not joined to what was cut from it: there is no newline between them. */
static int take_rest(struct tail_join *join, struct tail_open *o, const struct line *line)
{
    unsigned state = o->open            ? o->state
                     : join->how->start ? tail_multiline_begin(join->how, line->text, line->size)
                                        : 0;
    int r = o->open ? finish(join, o) : 0;
    if (r < 0) {
        return r;
    }
    return state ? begin(join, o, line, state) : put_line(join, o, line);
}

/* A whole line of at most buffer_max_size bytes. */
static int take_line(struct tail_join *join, struct tail_open *o, const struct line *line)
{
    if (line->rest) {
        return take_rest(join, o, line);
    }
    if (o->open) {
        unsigned state = tail_multiline_next(join->how, o->state, line->text, line->size);
        if (state) {
            o->state = state;
            return go_on(join, o, line);
        }
        int r = finish(join, o);
        if (r < 0) {
            return r;
        }
    }
    unsigned state = tail_multiline_begin(join->how, line->text, line->size);
    return state ? begin(join, o, line, state) : put_line(join, o, line);
}

/* -- Lines of any length ------------------------------------------------------------------------------ */

typedef int take_fn(struct tail_join *, struct tail_open *, const struct line *);

static int put_any(struct tail_join *join, struct tail_open *o, const struct line *line)
{
    return put_line(join, o, line);
}

/* Hands a line on, of a longer one what long_lines says. */
static int take_any(struct tail_join *join, struct tail_open *o, const struct line *line, take_fn *take)
{
    const size_t max = join->format->max;
    struct line part = *line;
    if (line->size <= max) {
        return take(join, o, line);
    }
    join->out.tally->long_lines += !join->splitting;
    if (join->format->long_lines != TAIL_SPLIT) {
        part.size = tail_lines_cut(line->text, max);
        return join->format->long_lines == TAIL_TRUNCATE ? take(join, o, &part) : 0;
    }
    int r = 0;
    for (size_t at = 0; r == 0 && at < line->size; at += part.size) {
        size_t left = line->size - at;
        part.text = line->text + at;
        part.size = left > max ? tail_lines_cut(part.text, max) : left;
        part.rest = line->rest || at > 0;
        part.offset = line->offset + (line->lasts && !line->piece ? at : 0);
        r = take(join, o, &part);
    }
    return r;
}

/* -- Pieces ------------------------------------------------------------------------------------------- */

static int end_pieces(struct tail_join *join, struct tail_open *o)
{
    struct line line = {.text = tail_text_bytes(&o->piece),
                        .size = o->piece.size,
                        .rest = o->piece_counted && join->format->long_lines == TAIL_SPLIT,
                        .first = &o->piece_first};
    int r = 0;
    if (!o->piece_dropping || join->format->long_lines == TAIL_TRUNCATE) {
        r = take_line(join, o, &line);
    }
    o->piecing = o->piece_dropping = o->piece_counted = false;
    tail_text_clear(&o->piece);
    return r;
}

static int begin_pieces(struct tail_join *join, struct tail_open *o, const struct line *line)
{
    o->piecing = true;
    o->piece.size = 0;
    return set_first(join, &o->piece_first, line);
}

/* A piece, or a line that came in one, which alone is too long. */
static int take_long_piece(struct tail_join *join, struct tail_open *o, const struct line *line, bool rest)
{
    struct line part = *line;
    bool splitting = join->splitting;
    part.rest = rest;
    join->splitting = rest; /* it was counted */
    int r = take_any(join, o, &part, take_line);
    join->splitting = splitting;
    o->piecing = false;
    o->piece_counted = !line->piece->whole;
    return r;
}

/* Cut where pieces meet, so that no position lies within one. */
static int split_pieces(struct tail_join *join, struct tail_open *o, const struct line *line)
{
    bool rest = o->piece_counted || o->piece.size > 0;
    int r = o->piece.size > 0 ? end_pieces(join, o) : 0;
    if (r < 0 || line->size > join->format->max) {
        return r < 0 ? r : take_long_piece(join, o, line, rest);
    }
    r = begin_pieces(join, o, line);
    o->piece_counted = true;
    return r < 0 ? r : tail_text_add(&o->piece, line->text, line->size);
}

static int add_too_long(struct tail_join *join, struct tail_open *o, const struct line *line)
{
    const size_t left = join->format->max - o->piece.size;
    if (join->format->long_lines == TAIL_SPLIT) {
        join->out.tally->long_lines += !o->piece_counted && o->piece.size > 0;
        return split_pieces(join, o, line);
    }
    join->out.tally->long_lines++;
    o->piece_dropping = true;
    return join->format->long_lines == TAIL_TRUNCATE && left > 0
               ? tail_text_add(&o->piece, line->text,
                               left < line->size ? tail_lines_cut(line->text, left) : line->size)
               : 0;
}

static int take_piece(struct tail_join *join, struct tail_open *o, const struct line *line)
{
    int r = 0;
    o->armed = false;
    if (!o->piecing) {
        if (line->piece->whole) {
            return take_long_piece(join, o, line, o->piece_counted);
        }
        r = begin_pieces(join, o, line);
    }
    if (r == 0 && !o->piece_dropping) {
        r = o->piece.size + line->size > join->format->max ? add_too_long(join, o, line)
                                                           : tail_text_add(&o->piece, line->text, line->size);
    }
    return r == 0 && o->piecing && line->piece->whole ? end_pieces(join, o) : r;
}

/* -- What the reader calls ---------------------------------------------------------------------------- */

static int end(struct tail_join *join, struct tail_open *o)
{
    int r = o->piecing ? end_pieces(join, o) : 0;
    return r == 0 && o->open ? finish(join, o) : r;
}

int tail_join_end(struct tail_join *join, bool armed)
{
    int r = 0;
    for (int i = 0; r == 0 && i < TAIL_STREAMS; i++) {
        if (!armed || join->streams[i].armed) {
            r = end(join, &join->streams[i]);
        }
    }
    return r;
}

/* A line that no container wrote: what was before it is complete. */
static int take_foreign(struct tail_join *join, const struct line *line)
{
    if (line->offset < join->skip[0] || line->offset < join->skip[1]) {
        return 0;
    }
    join->out.tally->unparsed += !line->rest;
    int r = tail_join_end(join, false);
    return r < 0 ? r : take_any(join, &join->streams[0], line, put_any);
}

static int take_text(struct tail_join *join, struct line *line)
{
    struct tail_piece piece;
    if (!join->how->forms) {
        return line->offset < join->skip[0] ? 0 : take_any(join, &join->streams[0], line, take_line);
    }
    if (!tail_container_read(join->how->forms, line->text, line->size, &join->how->scratch, &piece)) {
        return take_foreign(join, line);
    }
    if (line->offset < join->skip[piece.stream]) {
        return 0;
    }
    line->piece = &piece;
    line->text = piece.text;
    line->size = piece.size;
    line->lasts = line->lasts && piece.lasts;
    return take_piece(join, &join->streams[piece.stream], line);
}

/* Decodes where there is something to decode. */
static int set_text(struct tail_join *join, struct line *line, const uint8_t *bytes, size_t size,
                    bool partial)
{
    struct tail_decoded d;
    line->text = bytes;
    line->size = size;
    line->lasts = true;
    if (!join->format->encoding) {
        return 0;
    }
    if (tail_encoding_decode(join->format->encoding, bytes, size, line->offset == 0, partial, &d) < 0) {
        return -ENOMEM;
    }
    join->out.tally->invalid += d.invalid;
    line->text = d.text;
    line->size = d.size;
    line->lasts = false;
    return 0;
}

int tail_join_line(struct tail_join *join, const uint8_t *bytes, size_t size, uint64_t offset)
{
    struct line line = {.offset = offset, .rest = join->splitting};
    int r = set_text(join, &line, bytes, size, false);
    r = r < 0 ? r : take_text(join, &line);
    join->splitting = false;
    return r;
}

int tail_join_part(struct tail_join *join, const uint8_t *part, size_t size, uint64_t offset)
{
    struct line line = {.offset = offset, .rest = join->splitting};
    int r = set_text(join, &line, part, size, true);
    join->out.tally->long_lines += !join->splitting;
    join->splitting = true;
    if (r == 0 && join->how->forms) {
        r = take_foreign(join, &line);
    } else if (r == 0 && offset >= join->skip[0]) {
        r = take_any(join, &join->streams[0], &line, take_line);
    }
    return r;
}

int tail_join_keep(struct tail_join *join)
{
    int r = 0;
    for (int i = 0; r == 0 && i < TAIL_STREAMS; i++) {
        r = keep(&join->streams[i]);
    }
    return r;
}
