/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: from a file through the hub's buffer into chunks. Each read begins a little before the offset, so
 * that the bytes there can be compared with their hash, and so are, once that is read and before it is sent,
 * the first bytes of the file, which are read along where they are near: one that was rewritten is noticed
 * whatever its size. What stands after the
 * last newline stays in the file and is read again, except that a line longer than one read is first searched
 * for its end, piece by piece. Loop thread.
 */
#include "file.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "batch.h"
#include "encoding.h"
#include "join_read.h"
#include "packed.h"

enum {
    SLICE = 1 << 20,          /* bytes after which other files have their turn */
    PACKED_SLICE = 128 << 10, /* the same, of what has to be decompressed */
    PACKED_CHUNK = 64 << 10,
    NEAR_HEAD = 4096, /* up to here it is read from its first byte: a page costs less than one more call */
    CUT_ROOM = 4      /* bytes behind a piece that are looked at to cut between characters */
};

ssize_t tail_file_pread(const struct tail_file *file, uint8_t *buffer, size_t size, uint64_t offset)
{
    ssize_t n;
    if (file->packed) {
        return tail_packed_read(file, buffer, size, offset);
    }
    do {
        n = pread(file->fd, buffer, size, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n;
}

size_t tail_file_slice(const struct tail_file *file)
{
    return file->packed ? PACKED_SLICE : SLICE;
}

size_t tail_file_chunk(const struct tail_file *file)
{
    size_t chunk = file->tail->config->buffer_chunk_size;
    return file->packed && chunk > PACKED_CHUNK ? PACKED_CHUNK : chunk;
}

int tail_file_token(const struct tail_file *file, uint64_t offset, uint64_t *ret)
{
    return file->packed ? tail_packed_token(file, offset, ret) : tail_token_read(file->fd, offset, ret);
}

/* Of an encoding whose order of bytes stands in the file. */
static void see_order(const struct tail_file *file)
{
    uint8_t mark[4] = {0};
    struct tail_encoding *encoding = file->tail->format->encoding;
    if (encoding && file->packed) {
        size_t size = tail_packed_mark(file, mark);
        tail_encoding_of_text(encoding, mark, size);
    } else if (encoding) {
        tail_encoding_of_file(encoding, file->fd);
    }
}

static enum tail_progress broken(int error)
{
    errno = error;
    return TAIL_BROKEN;
}

void tail_file_tell(const struct tail_file *file, const struct tail_tally *tally)
{
    const struct tail_instance *tail = file->tail;
    if (tally->empty) {
        tail_count(tail, TAIL_EMPTY_LINES, tally->empty);
    }
    if (tally->filtered) {
        tail_count(tail, TAIL_FILTERED_LINES, tally->filtered);
    }
    if (tally->long_lines) {
        tail_count(tail, TAIL_LONG_LINES, tally->long_lines);
    }
    if (tally->invalid) {
        tail_count(tail, TAIL_UNDECODABLE, tally->invalid);
    }
    if (tally->unparsed) {
        tail_count(tail, TAIL_UNPARSED_LINES, tally->unparsed);
    }
    if (tally->bad_times) {
        tail_count(tail, TAIL_BAD_TIMES, tally->bad_times);
    }
}

enum tail_progress tail_file_compare(const struct tail_file *file, const uint8_t *bytes, size_t size,
                                     uint64_t offset, uint64_t token)
{
    size_t span = tail_token_span(offset);
    if (size < span || tail_hash(bytes, span) != token) {
        return TAIL_CHANGED;
    }
    if (span == offset || file->packed) {
        return TAIL_MORE; /* there is nothing before that; what is decompressed does not change */
    }
    int r = tail_fingerprint_check(file->fd, &file->fingerprint);
    return r < 0 ? broken(-r) : r ? TAIL_MORE : TAIL_CHANGED;
}

enum tail_progress tail_file_compare_at(const struct tail_file *file, uint64_t offset, uint64_t token)
{
    uint8_t bytes[TAIL_TOKEN_SPAN];
    size_t span = tail_token_span(offset);
    ssize_t n = tail_file_pread(file, bytes, span, offset - span);
    return n < 0 ? TAIL_BROKEN : tail_file_compare(file, bytes, (size_t)n, offset, token);
}

static struct tail_prefix *make_prefix(const struct tail_file *file)
{
    struct timespec now;
    struct tail_prefix *prefix = tail_hub_prefix(file->tail->hub);
    clock_gettime(CLOCK_REALTIME, &now);
    return tail_prefix_make(prefix, file->tail->format, file->path, &now) == 0 ? prefix : NULL;
}

void tail_file_move_to(struct tail_file *file, uint64_t offset, uint64_t token)
{
    file->tail->host->metric_add(file->tail->numbers.bytes, offset - file->offset);
    file->tail->done += file->packed ? 0 : offset - file->offset; /* packed: counted as the file is read */
    file->offset = offset;
    file->token = token;
}

/* The draft takes the stream up to `offset`, which lies `end` bytes after the start of the buffer. */
static void send(struct tail_file *file, struct weir_draft *draft, uint64_t offset, const uint8_t *end)
{
    size_t span = tail_token_span(offset);
    struct weir_position position = {file->stream, offset, tail_hash(end - span, span)};
    tail_file_move_to(file, offset, position.token);
    tail_batch_end(file->tail, draft, &position);
}

static enum tail_progress begin(struct tail_instance *tail, size_t room, struct weir_draft **ret)
{
    int r = tail_batch_begin(tail, room, ret);
    return r == -EAGAIN ? TAIL_FULL : r < 0 ? broken(-r) : TAIL_MORE;
}

/* Packs and sends the lines in data, before which the bytes that a token covers stand. */
static enum tail_progress send_lines(struct tail_file *file, const uint8_t *data, size_t size)
{
    struct tail_instance *tail = file->tail;
    struct tail_prefix *prefix = NULL;
    size_t first;
    while ((first = tail_lines_first(tail->format, data, size)) > 0) {
        struct weir_draft *draft;
        struct tail_tally tally = {0};
        prefix = prefix ? prefix : make_prefix(file);
        if (!prefix) {
            return broken(ENOMEM);
        }
        enum tail_progress r = begin(tail, tail_lines_room(tail->format, prefix, data, size, first), &draft);
        if (r != TAIL_MORE) {
            return r;
        }
        size_t used =
            tail_lines_pack(tail->format, prefix, draft, data, size, file->offset, &file->split, &tally);
        if (used == 0) { /* what is first fits for certain: there was no memory to decode it */
            tail_batch_drop(tail, draft);
            return broken(ENOMEM);
        }
        data += used;
        size -= used;
        tail_file_tell(file, &tally);
        send(file, draft, file->offset + used, data);
        if (tally.abandoned) {
            tail_account_abandon(file, file->offset, tally.abandoned, TAIL_TOO_LONG);
        }
    }
    file->scanned = size;
    return TAIL_MORE;
}

/* So many bytes before the offset are read along. */
static size_t read_before(const struct tail_file *file)
{
    bool near = file->offset <= NEAR_HEAD && !file->packed;
    return near ? (size_t)file->offset : tail_token_span(file->offset);
}

/* As tail_file_compare, of what was read from `span` bytes before the offset on. */
static enum tail_progress compare_read(const struct tail_file *file, const uint8_t *bytes, size_t size,
                                       size_t span)
{
    const size_t skip = span - tail_token_span(file->offset);
    const struct tail_fingerprint *begins = &file->fingerprint;
    if (size < span) {
        return TAIL_CHANGED;
    }
    if (skip == 0 || begins->length > span) {
        return tail_file_compare(file, bytes + skip, size - skip, file->offset, file->token);
    }
    bool same = tail_hash(bytes + skip, span - skip) == file->token &&
                (begins->length == 0 || tail_hash(bytes, begins->length) == begins->hash);
    return same ? TAIL_MORE : TAIL_CHANGED;
}

/* One read of `want` bytes from the offset on. */
static enum tail_progress read_lines(struct tail_file *file, size_t want)
{
    size_t span = read_before(file);
    uint8_t *buffer = tail_hub_buffer(file->tail->hub, span + want);
    if (!buffer) {
        return broken(ENOMEM);
    }
    ssize_t n = tail_file_pread(file, buffer, span + want, file->offset - span);
    if (n < 0) {
        return TAIL_BROKEN;
    }
    enum tail_progress r = compare_read(file, buffer, (size_t)n, span);
    if (r != TAIL_MORE) {
        return r;
    }
    if (file->anew && file->offset == 0 && n > 0 && buffer[0] == 0) {
        /* it was written since the file was examined */
        int hole = tail_file_skip_hole(file);
        if (hole < 0 || file->offset > 0) {
            return hole < 0 ? broken(-hole) : TAIL_MORE;
        }
    }
    const bool from_head = span == file->offset;
    r = send_lines(file, buffer + span, (size_t)n - span);
    if (from_head) {
        tail_file_learn_head(file, buffer);
    }
    return r == TAIL_MORE && (size_t)n < span + want ? TAIL_END : r;
}

/* -- Lines that are longer than one read --------------------------------------------------------- */

/*
 * Looks for the end of the line at the offset behind what is known to hold none. TAIL_MORE with *ret_size =
 * its size, or 0 where the slice is used up before.
 */
static enum tail_progress find_end(struct tail_file *file, uint64_t *ret_size)
{
    const struct tail_format *format = file->tail->format;
    size_t step = tail_file_chunk(file);
    uint8_t *buffer = tail_hub_buffer(file->tail->hub, step);
    if (!buffer) {
        return broken(ENOMEM);
    }
    const size_t width = tail_lines_width(format);
    file->scanned -= file->scanned % width;
    for (size_t done = 0; done < tail_file_slice(file); done += step) {
        if (format->long_lines == TAIL_SPLIT && file->scanned > format->max) {
            *ret_size = file->scanned;
            return TAIL_MORE;
        }
        ssize_t n = tail_file_pread(file, buffer, step, file->offset + file->scanned);
        if (n < 0) {
            return TAIL_BROKEN;
        }
        const uint8_t *end = tail_lines_newline(format, buffer, (size_t)n);
        if (end) {
            *ret_size = file->scanned + (uint64_t)(end - buffer);
            return TAIL_MORE;
        }
        file->scanned += (uint64_t)n - (uint64_t)n % width;
        if ((size_t)n < step && (format->long_lines != TAIL_SPLIT || file->scanned <= format->max)) {
            enum tail_progress r = tail_file_compare_at(file, file->offset, file->token);
            return r == TAIL_MORE ? TAIL_END : r;
        }
    }
    *ret_size = 0;
    return TAIL_MORE;
}

/*
 * Sends the line of `line` bytes at the offset, or what is wanted of one that is too long, and moves to
 * `offset`, behind it.
 */
static enum tail_progress send_line(struct tail_file *file, uint64_t line, uint64_t offset)
{
    struct tail_instance *tail = file->tail;
    const struct tail_format *format = tail->format;
    const bool too_long = line > format->max, record = !too_long || format->long_lines != TAIL_SKIP;
    const uint64_t all = offset - file->offset;
    size_t size = !record ? 0 : too_long ? format->max : (size_t)line;
    const size_t span = tail_token_span(file->offset), want = span + size + (size && too_long);
    struct weir_position position = {file->stream, offset, 0};
    struct weir_draft *draft;
    struct tail_tally tally = {.long_lines = too_long};
    uint8_t *buffer = tail_hub_buffer(tail->hub, want);
    struct tail_prefix *prefix = make_prefix(file);
    if (!buffer || !prefix) {
        return broken(ENOMEM);
    }
    ssize_t n = tail_file_pread(file, buffer, want, file->offset - span);
    if (n < 0) {
        return TAIL_BROKEN;
    }
    int error = tail_file_token(file, offset, &position.token);
    enum tail_progress r = tail_file_compare(file, buffer, (size_t)n, file->offset, file->token);
    if (r == TAIL_MORE && ((size_t)n < want || error == -ENODATA)) {
        r = TAIL_CHANGED;
    } else if (r == TAIL_MORE) {
        r = error ? broken(-error) : begin(tail, tail_lines_room(format, prefix, buffer, 0, size), &draft);
    }
    if (r != TAIL_MORE) {
        return r;
    }
    if (size && too_long && !format->encoding) { /* whose decoder sees to it */
        size = tail_lines_cut(buffer + span, size);
    }
    if (record && !tail_lines_pack_rest(format, prefix, draft, buffer + span, size, file->offset, &tally)) {
        tail_batch_drop(tail, draft);
        return broken(ENOMEM);
    }
    tail_file_tell(file, &tally);
    tail_file_move_to(file, offset, position.token);
    file->scanned = 0;
    tail_batch_end(tail, draft, &position);
    if (too_long) {
        tail_account_abandon(file, offset, record ? line - size : all, TAIL_TOO_LONG);
    }
    return TAIL_MORE;
}

static enum tail_progress read_long(struct tail_file *file)
{
    const struct tail_format *format = file->tail->format;
    uint64_t size = 0;
    enum tail_progress r = find_end(file, &size);
    if (r != TAIL_MORE || size == 0) {
        return r;
    }
    if (size <= format->max) {
        r = read_lines(file, (size_t)size + tail_lines_width(format));
    } else if (format->long_lines == TAIL_SPLIT) {
        r = read_lines(file, format->max + CUT_ROOM);
    } else {
        r = send_line(file, size, file->offset + size + tail_lines_width(format));
    }
    tail_hub_trim(file->tail->hub, file->tail->config->buffer_chunk_size + TAIL_TOKEN_SPAN);
    return r;
}

enum tail_progress tail_file_read(struct tail_file *file, size_t *bytes)
{
    const size_t chunk = tail_file_chunk(file), slice = tail_file_slice(file);
    enum tail_progress r = TAIL_MORE;
    see_order(file);
    for (size_t done = 0; r == TAIL_MORE && done < slice;) {
        uint64_t before = file->offset + file->scanned;
        r = file->join               ? tail_join_read(file)
            : file->scanned >= chunk ? read_long(file)
                                     : read_lines(file, chunk);
        uint64_t after = file->offset + file->scanned;
        size_t used = after > before ? (size_t)(after - before) : 0;
        *bytes += used;
        done += used ? used : chunk;
    }
    /* some network file systems return less than there is; others claim more than there is, for ever */
    bool more = !file->packed && *bytes > 0 && file->offset + file->scanned < file->size;
    return r == TAIL_END && more ? TAIL_MORE : r;
}

enum tail_progress tail_file_flush(struct tail_file *file)
{
    see_order(file);
    if (file->join) {
        return tail_join_flush(file);
    }
    if (file->scanned == 0) {
        return TAIL_END;
    }
    enum tail_progress r = send_line(file, file->scanned, file->offset + file->scanned);
    return r == TAIL_MORE ? TAIL_END : r;
}
