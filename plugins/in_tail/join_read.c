/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading for the joiner. The file is read once, onwards from where the last whole line ended, while the
 * file's offset, which is all that is ever stored, stays where what is unfinished began. The two streams of a
 * container have an end of their own each: the lesser is the offset, and by how much the other is ahead goes
 * into the upper half of its token. So a restart reads what is unfinished again and nothing twice. Loop
 * thread.
 */
#include "join_read.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include "encoding.h"
#include "join.h"

enum {
    CUT_ROOM = 4, /* bytes behind a piece that are looked at to cut between characters */
    MISC_ROOM = 512
};

/* A stream may be so far ahead of the other. */
static const uint64_t LEAD_MAX = (UINT64_C(1) << 31) - 1;
/* Before it is, what holds the other up is taken for complete. */
static const uint64_t LEAD_USUAL = UINT64_C(1) << 30;

int tail_join_open(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    if (tail->multiline) {
        file->join = tail_join_create(tail->format, tail->multiline);
    }
    return tail->multiline && !file->join ? -ENOMEM : 0;
}

void tail_join_close(struct tail_file *file)
{
    if (file->join && file->join->timer) {
        file->tail->host->timer_remove(file->join->timer);
    }
    tail_join_destroy(file->join);
    file->join = NULL;
}

uint64_t tail_join_end_of(const struct tail_file *file)
{
    return file->offset + file->join->ahead;
}

/* -- What is stored ----------------------------------------------------------------------------------- */

static uint64_t with_lead(uint64_t token, const uint64_t at[TAIL_STREAMS])
{
    bool second = at[1] > at[0];
    uint64_t lead = second ? at[1] - at[0] : at[0] - at[1];
    return token ^ (lead > LEAD_MAX ? 0 : (lead | (uint64_t)second << 31) << 32);
}

/* Whatever is unfinished in memory is forgotten: the file has it. */
static void rewind_to_sent(struct tail_file *file)
{
    struct tail_join *join = file->join;
    tail_join_clear(join);
    join->ahead = 0;
    join->token = file->token;
    file->scanned = 0;
    memcpy(join->skip, join->sent, sizeof(join->skip));
}

void tail_join_start(struct tail_file *file, uint64_t token)
{
    struct tail_join *join = file->join;
    uint32_t lead = (uint32_t)((token ^ file->token) >> 32);
    join->orphans = tail_join_busy(join);
    join->splitting = false;
    join->ahead = 0;
    join->token = file->token;
    for (int i = 0; i < TAIL_STREAMS; i++) {
        bool first = (lead >> 31) == (uint32_t)i;
        join->sent[i] = join->skip[i] = file->offset + (first ? lead & LEAD_MAX : 0);
    }
}

/* -- Sending ------------------------------------------------------------------------------------------ */

static enum tail_progress broken(int error)
{
    errno = error;
    return TAIL_BROKEN;
}

/* Begins a chunk that takes `size` bytes of lines; a draft that is too small grows. */
static enum tail_progress begin(struct tail_file *file, size_t size, struct tail_tally *tally)
{
    struct tail_instance *tail = file->tail;
    struct tail_out *out = &file->join->out;
    *out = (struct tail_out){
        .host = tail->host,
        .format = tail->format,
        .parser = tail->multiline->parser,
        .preserve_key = tail->multiline->preserve_key,
        .path = file->path,
        .tally = tally,
    };
    clock_gettime(CLOCK_REALTIME, &out->now);
    int r = tail->host->chunk_begin(tail->instance, NULL, NULL, size + size / 4 + MISC_ROOM, &out->draft);
    return r == -EAGAIN ? TAIL_FULL : r < 0 ? broken(-r) : TAIL_MORE;
}

/* Without memory in the middle of it, nothing has happened. */
static enum tail_progress give_up(struct tail_file *file)
{
    bool orphans = file->join->orphans;
    file->tail->host->chunk_cancel(file->join->out.draft);
    if (!orphans) {
        rewind_to_sent(file);
    }
    return broken(ENOMEM);
}

/* Up to where all of a stream is sent. */
static uint64_t end_of(struct tail_file *file, int stream)
{
    struct tail_join *join = file->join;
    const struct tail_first *first = tail_join_first(join, stream);
    uint64_t end = tail_join_end_of(file);
    return first ? first->offset : end > join->skip[stream] ? end : join->skip[stream];
}

/* The streams' ends, and the token of the least of them. */
static uint64_t find_ends(struct tail_file *file, uint64_t ret[TAIL_STREAMS])
{
    struct tail_join *join = file->join;
    ret[0] = end_of(file, 0);
    ret[1] = join->how->forms ? end_of(file, 1) : ret[0];
    int least = ret[1] < ret[0];
    const struct tail_first *first = tail_join_first(join, least);
    return first ? first->token : join->token;
}

/* Sends the draft with what is now complete. */
static void send(struct tail_file *file)
{
    struct tail_join *join = file->join;
    uint64_t at[TAIL_STREAMS], end = tail_join_end_of(file);
    uint64_t token = find_ends(file, at), offset = at[0] < at[1] ? at[0] : at[1];
    uint64_t scanned = file->offset + file->scanned;
    struct weir_draft *draft = join->out.draft;
    if (draft->records == 0 && memcmp(at, join->sent, sizeof(at)) == 0) {
        file->tail->host->chunk_cancel(draft);
        return;
    }
    memcpy(join->sent, at, sizeof(at));
    struct weir_position position = {file->stream, offset, with_lead(token, at)};
    tail_file_move_to(file, offset, token);
    join->ahead = end - offset;
    file->scanned = scanned > end ? scanned - offset : join->ahead;
    file->tail->host->chunk_send(draft, &position, 1);
}

/* -- Reading ------------------------------------------------------------------------------------------ */

/* Reads `size` bytes from where the last line ended, into *ret, with what a token covers in front of them. */
static enum tail_progress read_on(struct tail_file *file, size_t size, uint8_t **ret, size_t *ret_size)
{
    const uint64_t end = tail_join_end_of(file);
    const size_t span = tail_token_span(end);
    uint8_t *buffer = tail_hub_buffer(file->tail->hub, span + size);
    if (!buffer) {
        return broken(ENOMEM);
    }
    ssize_t n = tail_file_pread(file, buffer, span + size, end - span);
    if (n < 0) {
        return TAIL_BROKEN;
    }
    enum tail_progress r = tail_file_compare(file, buffer, (size_t)n, end, file->join->token);
    if (r == TAIL_MORE) {
        *ret = buffer + span;
        *ret_size = (size_t)n - span;
    }
    return r;
}

/* The first line of something unfinished lies in this block: what is before it must be known later. */
static void set_token(struct tail_first *first, const uint8_t *data, uint64_t begin)
{
    if (first->offset >= begin) {
        size_t span = tail_token_span(first->offset);
        first->token = tail_hash(data + (first->offset - begin) - span, span);
    }
}

/* `used` bytes of the block have been taken in: it may go. */
static int leave_block(struct tail_file *file, const uint8_t *data, size_t used)
{
    struct tail_join *join = file->join;
    const uint64_t begin = tail_join_end_of(file);
    for (int i = 0; i < TAIL_STREAMS; i++) {
        struct tail_open *o = &join->streams[i];
        if (o->open) {
            set_token(&o->first, data, begin);
        }
        if (o->piecing) {
            set_token(&o->piece_first, data, begin);
        }
    }
    size_t span = tail_token_span(begin + used);
    join->token = tail_hash(data + used - span, span);
    join->ahead += used;
    return tail_join_keep(join);
}

/* The last newline's end, so that it is known whether there is anything to do; 0: none. */
static bool has_line(const struct tail_format *format, const uint8_t *data, size_t size)
{
    return format->encoding ? tail_lines_newline(format, data, size) : memrchr(data, '\n', size);
}

/* Takes the block's whole lines in. */
static int take_lines(struct tail_file *file, const uint8_t *data, size_t size, size_t *ret_used)
{
    struct tail_join *join = file->join;
    const struct tail_format *format = join->format;
    const size_t width = tail_lines_width(format);
    const uint64_t begin = tail_join_end_of(file);
    const uint8_t *p = data, *end = data + size, *newline;
    int r = 0;
    while (r == 0 && (newline = tail_lines_newline(format, p, (size_t)(end - p)))) {
        r = tail_join_line(join, p, (size_t)(newline - p), begin + (uint64_t)(p - data));
        p = newline + width;
    }
    *ret_used = (size_t)(p - data);
    return r;
}

static enum tail_progress read_block(struct tail_file *file, size_t want)
{
    struct tail_join *join = file->join;
    uint8_t *data;
    size_t size, used;
    struct tail_tally tally = {0};
    enum tail_progress r = read_on(file, want, &data, &size);
    if (r != TAIL_MORE) {
        return r;
    }
    if (file->anew && tail_join_end_of(file) == 0 && size > 0 && data[0] == 0) {
        int hole = tail_file_skip_hole(file); /* it was written since the file was examined */
        if (hole < 0 || file->offset > 0) {
            return hole < 0 ? broken(-hole) : TAIL_MORE;
        }
    }
    if (!has_line(join->format, data, size)) {
        file->scanned = join->ahead + size;
        return size < want ? TAIL_END : TAIL_MORE;
    }
    r = begin(file, size, &tally);
    if (r != TAIL_MORE) {
        return r;
    }
    if (take_lines(file, data, size, &used) < 0 || leave_block(file, data, used) < 0) {
        return give_up(file);
    }
    const uint64_t end = tail_join_end_of(file);
    file->scanned = join->ahead + (size - used);
    send(file);
    if (end - used == tail_token_span(end - used)) {
        tail_file_learn_head(file, data - (end - used));
    }
    tail_file_tell(file, &tally);
    return size < want ? TAIL_END : TAIL_MORE;
}

/* -- Lines that are longer than a read, or than they may be ---------------------------------------------- */

/* Looks for the line's end behind what is known to hold none. TAIL_MORE with its size, or UINT64_MAX where
 * the slice is used up before. */
static enum tail_progress find_end(struct tail_file *file, bool enough, uint64_t *ret_size)
{
    const struct tail_format *format = file->join->format;
    const size_t step = tail_file_chunk(file), width = tail_lines_width(format);
    uint8_t *buffer = tail_hub_buffer(file->tail->hub, step);
    if (!buffer) {
        return broken(ENOMEM);
    }
    uint64_t tail = file->scanned - file->join->ahead;
    tail -= tail % width;
    *ret_size = UINT64_MAX;
    for (size_t done = 0; done < tail_file_slice(file); done += step) {
        if (enough && tail > tail_join_limit(file->join)) {
            break;
        }
        ssize_t n = tail_file_pread(file, buffer, step, tail_join_end_of(file) + tail);
        if (n < 0) {
            return TAIL_BROKEN;
        }
        const uint8_t *end = tail_lines_newline(format, buffer, (size_t)n);
        if (end) {
            *ret_size = tail + (uint64_t)(end - buffer);
            return TAIL_MORE;
        }
        tail += (uint64_t)n - (uint64_t)n % width;
        file->scanned = file->join->ahead + tail;
        if ((size_t)n < step && !(enough && tail > tail_join_limit(file->join))) {
            enum tail_progress r = tail_file_compare_at(file, tail_join_end_of(file), file->join->token);
            return r == TAIL_MORE ? TAIL_END : r;
        }
    }
    return TAIL_MORE;
}

/* So much of a line that is too long is taken at once. */
static size_t piece_of(const struct tail_file *file, const uint8_t *data, size_t size)
{
    const struct tail_format *format = file->join->format;
    const size_t at = format->max;
    if (size <= at) {
        return size;
    }
    if (format->encoding) {
        return at - at % tail_lines_width(format);
    }
    return tail_lines_cut(data, at);
}

/*
 * Takes the beginning of a line that is too long, as far as it is wanted; `length`: of the whole line with
 * its newline, which is then done with; 0: the rest goes on where this piece ends.
 */
static enum tail_progress take_long(struct tail_file *file, uint64_t length)
{
    struct tail_join *join = file->join;
    struct tail_tally tally = {0};
    uint8_t *data;
    size_t size;
    uint64_t token = 0;
    enum tail_progress r = read_on(file, join->format->max + CUT_ROOM, &data, &size);
    if (r != TAIL_MORE) {
        return r;
    }
    const size_t piece = piece_of(file, data, size), used = length ? 0 : piece;
    int error = length ? tail_file_token(file, tail_join_end_of(file) + length, &token) : 0;
    if (error < 0) {
        return error == -ENODATA ? TAIL_CHANGED : broken(-error);
    }
    r = begin(file, piece, &tally);
    if (r != TAIL_MORE) {
        return r;
    }
    bool wanted = join->format->long_lines != TAIL_SKIP;
    if ((wanted && tail_join_part(join, data, piece, tail_join_end_of(file)) < 0) ||
        leave_block(file, data, used) < 0) {
        return give_up(file);
    }
    tally.long_lines += !wanted;
    if (length) {
        join->splitting = false;
        join->ahead += length;
        join->token = token;
    }
    file->scanned = join->ahead;
    send(file);
    tail_file_tell(file, &tally);
    return TAIL_MORE;
}

static enum tail_progress read_long(struct tail_file *file)
{
    const struct tail_format *format = file->join->format;
    const size_t width = tail_lines_width(format);
    bool split = format->long_lines == TAIL_SPLIT;
    uint64_t size;
    enum tail_progress r = find_end(file, split, &size);
    if (r != TAIL_MORE) {
        return r;
    }
    if (size <= tail_join_limit(file->join)) {
        r = read_block(file, (size_t)size + width);
    } else if (split && file->scanned - file->join->ahead > format->max) {
        r = take_long(file, 0);
    } else if (size != UINT64_MAX) {
        r = take_long(file, size + width);
    }
    tail_hub_trim(file->tail->hub, file->tail->config->buffer_chunk_size + TAIL_TOKEN_SPAN);
    return r;
}

/* -- What is complete though nothing says so ----------------------------------------------------------- */

/* Ends what is unfinished, as tail_join_end does. */
static enum tail_progress end_open(struct tail_file *file, bool armed)
{
    struct tail_join *join = file->join;
    struct tail_tally tally = {0};
    enum tail_progress r = begin(file, 0, &tally);
    if (r != TAIL_MORE) {
        return r;
    }
    if (tail_join_end(join, armed) < 0) {
        return give_up(file);
    }
    join->orphans = false;
    send(file);
    tail_file_tell(file, &tally);
    return TAIL_MORE;
}

static void time_is_over(void *data)
{
    struct tail_file *file = data;
    file->join->due = true;
    file->join->waiting = false;
    tail_file_wake(file);
}

/* The timer runs from when the file's end was reached and something unfinished had nothing added. */
static void wait_for_rest(struct tail_file *file)
{
    struct tail_join *join = file->join;
    const struct weir_host *host = file->tail->host;
    bool busy = false, armed = false;
    for (int i = 0; i < TAIL_STREAMS; i++) {
        busy |= join->streams[i].open || join->streams[i].piecing;
        armed |= join->streams[i].armed;
    }
    if (!busy && join->waiting) {
        host->timer_set(join->timer, 0, 0);
        join->waiting = false;
    }
    if (!busy || (armed && join->waiting)) {
        return;
    }
    if (!join->timer) {
        join->timer = host->timer_add(host->loop(file->tail->instance), time_is_over, file);
    }
    for (int i = 0; join->timer && i < TAIL_STREAMS; i++) {
        join->streams[i].armed = join->streams[i].open || join->streams[i].piecing;
    }
    if (join->timer) {
        host->timer_set(join->timer, join->how->timeout, 0);
        join->waiting = true;
    }
}

static enum tail_progress at_end(struct tail_file *file)
{
    struct tail_join *join = file->join;
    if (join->due) {
        enum tail_progress r = end_open(file, true);
        if (r != TAIL_MORE) {
            return r;
        }
        join->due = false;
    }
    if (!file->tail->config->exit_on_eof) {
        wait_for_rest(file);
    }
    return TAIL_END;
}

/* One stream is far ahead of the other. */
static bool is_torn(const struct tail_file *file)
{
    return file->join->ahead > LEAD_USUAL;
}

enum tail_progress tail_join_read(struct tail_file *file)
{
    struct tail_join *join = file->join;
    const size_t chunk = tail_file_chunk(file);
    enum tail_progress r = TAIL_MORE;
    if (join->orphans || is_torn(file)) {
        r = end_open(file, false);
        if (r != TAIL_MORE) {
            return r;
        }
    }
    uint64_t tail = file->scanned - join->ahead;
    r = tail >= chunk || tail > tail_join_limit(join) ? read_long(file) : read_block(file, chunk);
    return r == TAIL_END ? at_end(file) : r;
}

/* What stands after the last newline is a line, too. */
static int take_rest(struct tail_file *file, const uint8_t *data, size_t size, struct tail_tally *tally)
{
    struct tail_join *join = file->join;
    const size_t piece = piece_of(file, data, size);
    bool too_long = file->scanned - join->ahead > tail_join_limit(join);
    if (too_long && join->format->long_lines == TAIL_SKIP) {
        tally->long_lines++;
        return 0;
    }
    return too_long ? tail_join_part(join, data, piece, tail_join_end_of(file))
                    : tail_join_line(join, data, size, tail_join_end_of(file));
}

enum tail_progress tail_join_flush(struct tail_file *file)
{
    struct tail_join *join = file->join;
    const uint64_t tail = file->scanned - join->ahead;
    const size_t limit = tail_join_limit(join), most = join->format->max + CUT_ROOM,
                 want = tail > limit && tail > most ? most : (size_t)tail;
    struct tail_tally tally = {0};
    uint8_t *data;
    size_t size;
    uint64_t token = 0;
    enum tail_progress r =
        join->orphans || (tail == 0 && tail_join_busy(join)) ? end_open(file, false) : TAIL_MORE;
    if (r != TAIL_MORE || tail == 0) {
        return r == TAIL_MORE ? TAIL_END : r;
    }
    r = read_on(file, want, &data, &size);
    if (r != TAIL_MORE) {
        return r;
    }
    int error = tail_file_token(file, tail_join_end_of(file) + tail, &token);
    if (size < want || error == -ENODATA) {
        return TAIL_CHANGED;
    }
    r = error < 0 ? broken(-error) : begin(file, size, &tally);
    if (r != TAIL_MORE) {
        return r;
    }
    if (take_rest(file, data, size, &tally) < 0 || leave_block(file, data, 0) < 0 ||
        tail_join_end(join, false) < 0) {
        return give_up(file);
    }
    join->splitting = join->orphans = false;
    join->ahead += tail;
    join->token = token;
    file->scanned = join->ahead;
    send(file);
    tail_file_tell(file, &tally);
    return TAIL_END;
}
