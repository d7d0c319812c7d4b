/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file says, and which stream that belongs to: a known one, a new one, or a new one once more because
 * the file was truncated or rewritten in place. Loop thread.
 */
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "batch.h"
#include "clock.h"
#include "join_read.h"
#include "known.h"
#include "packed.h"
#include "parked.h"

void tail_file_save(struct tail_file *file)
{
    uint8_t bytes[TAIL_META_MAX];
    struct tail_meta meta = {.identity = file->identity,
                             .fingerprint = file->fingerprint,
                             .path = file->path,
                             .path_size = strlen(file->path),
                             .away = !file->named,
                             .anew = file->anew && file->offset == 0};
    if (file->packed) {
        meta.packing = *tail_packed_packing(file->packed);
    }
    file->tail->host->stream_set_meta(file->stream, bytes, tail_meta_encode(&meta, bytes));
}

/* What was said is looked for in compressed files, where there may be some. */
static bool keep_in_mind(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    struct weir_stream_state state = {.struct_size = sizeof(state)};
    uint8_t bytes[TAIL_META_MAX];
    struct tail_meta meta = {.identity = file->identity,
                             .fingerprint = file->fingerprint,
                             .path = file->path,
                             .path_size = strlen(file->path),
                             .gone = true};
    if (!tail->packs || file->packed || file->offset == 0 || file->fingerprint.length == 0 ||
        tail_table_count(&tail->buried) >= TAIL_BURIED_MAX) {
        return false;
    }
    meta.missing = tail_clock();
    if (tail->host->stream_set_meta(file->stream, bytes, tail_meta_encode(&meta, bytes)) < 0) {
        return false;
    }
    tail->host->stream_state(file->stream, &state);
    return tail_known_add(tail, &state, false) == 0;
}

void tail_file_bury(struct tail_file *file)
{
    if (keep_in_mind(file)) {
        file->tail->host->stream_close(file->stream);
    } else {
        file->tail->host->stream_forget(file->stream);
    }
    file->stream = NULL;
}

/* A stream that never was: the content of a file gets one of its own each time it begins anew. */
static struct weir_stream *new_stream(struct tail_instance *tail, const struct tail_identity *id)
{
    char key[128];
    uint64_t unique = 0;
    if (getrandom(&unique, sizeof(unique), 0) != sizeof(unique)) {
        unique = tail_now(CLOCK_MONOTONIC);
    }
    snprintf(key, sizeof(key), "%" PRIx64 ":%" PRIx64 ":%" PRIx64 ":%016" PRIx64, id->dev, id->ino,
             id->generation, unique);
    return tail->host->stream_open(tail->instance, key);
}

/* Gives the file a new stream that begins at `offset`, or at its start where it ends before. 0 or -errno. */
static int begin_stream(struct tail_file *file, uint64_t offset)
{
    struct tail_instance *tail = file->tail;
    uint64_t token;
    struct tail_fingerprint fingerprint;
    int r = tail_token_read(file->fd, offset, &token);
    if (r == -ENODATA) {
        offset = 0;
        r = tail_token_read(file->fd, 0, &token);
    }
    r = r < 0 ? r : tail_fingerprint_read(file->fd, tail_fingerprint_span(offset), &fingerprint);
    struct weir_stream *stream = r < 0 ? NULL : new_stream(tail, &file->identity);
    if (!stream) {
        return r < 0 ? r : -ENOMEM;
    }
    tail_batch_send(tail);
    struct tail_file before = *file;
    file->stream = stream;
    file->offset = offset;
    file->token = token;
    file->fingerprint = fingerprint;
    file->scanned = 0;
    file->split = false;
    if (file->join) {
        tail_join_start(file, token);
    }
    tail_account_reset(file);
    tail_file_save(file);
    /* known from now on: after a crash it is not taken for a file that was there at the first start */
    tail->host->stream_advance(stream, offset, token);
    /* Only now: a crash between the two must not leave a file that nobody knows. */
    if (before.stream) {
        tail_file_bury(&before);
    }
    return 0;
}

/* Goes on with a known stream. */
static int continue_stream(struct tail_file *file, struct tail_known *known, bool sure)
{
    size_t span = tail_fingerprint_span(known->offset);
    struct tail_fingerprint fingerprint = known->fingerprint;
    if (fingerprint.length > span && known->packing.packed) {
        fingerprint = (struct tail_fingerprint){.hash = tail_hash("", 0)};
    } else if (fingerprint.length > span) {
        /* kept by a weir that was killed before what it had read by then was acknowledged */
        int r = tail_fingerprint_read(file->fd, span, &fingerprint);
        if (r < 0) {
            return r;
        }
    }
    uint64_t token = known->token; /* of a compressed file compared when that is decompressed so far */
    bool compared = known->packing.packed || (sure && !file->join); /* when it is read */
    int r = compared ? 0 : tail_token_read(file->fd, known->offset, &token);
    if (r < 0) {
        return r;
    }
    if (!tail_token_is_of(known->token, token)) {
        token = ~token; /* rewritten since it was compared: the first read will find that, too */
    }
    file->stream = tail_known_open(file->tail, known);
    if (!file->stream) {
        return -ENOMEM;
    }
    file->offset = known->offset;
    file->token = token;
    file->fingerprint = fingerprint;
    if (file->join) {
        tail_join_start(file, known->token);
    }
    if (!sure || known->away || known->missing || !tail_known_is_at(known, file->path)) {
        tail_file_save(file); /* else it says that already */
    }
    return 0;
}

int tail_file_restart(struct tail_file *file, const char *what)
{
    struct tail_instance *tail = file->tail;
    const uint64_t was = file->offset;
    const bool anew = file->anew;
    tail_packed_free(file->packed);
    file->packed = NULL;
    file->unsure = tail->config->compression != TAIL_NONE;
    file->anew = true;
    int r = begin_stream(file, 0);
    if (r < 0) {
        file->anew = anew;
        return r;
    }
    tail_count(tail, TAIL_BEGAN_ANEW, 1);
    tail_log(tail, INFO,
             "%s was %s (read up to %" PRIu64 ", now %" PRIu64 " bytes): it is read from its start",
             file->path, what, was, file->size);
    return 0;
}

/* The clock of the day is asked once, when the file is first seen. */
static bool too_old(const struct tail_instance *tail, const struct tail_status *status)
{
    uint64_t limit = tail->config->ignore_older;
    return limit > 0 && tail_now(CLOCK_REALTIME) > limit + status->changed;
}

/* The file can't be begun now: the next try goes on with the same position. */
static void put_back(struct tail_file *file, struct tail_known *known)
{
    if (file->stream) {
        known->stream = file->stream;
        file->stream = NULL;
    }
    tail_known_put_back(file->tail, known);
}

int tail_file_choose(struct tail_file *file, const struct tail_status *status)
{
    struct tail_instance *tail = file->tail;
    struct tail_known *known = NULL;
    struct weir_stream *its = NULL;
    bool changed = false;
    const char *from = "its start";
    uint64_t skip = 0;
    int r = tail_known_take(tail, file->fd, status, file->path, &known, &changed);
    if (r < 0) {
        return r;
    }
    file->anew = known ? known->anew : changed;
    const bool sure = known && tail_known_is_sure(known, status);
    /* if it is by now, though it was not, it is rewritten, which is seen when it is read */
    const bool packs = !sure && tail_packed_is(tail, file->fd);
    const uint64_t end = packs ? 0 : status->size - status->size % tail_lines_width(tail->format);
    if (known) {
        r = continue_stream(file, known, sure);
        its = file->stream;
        if (r == 0 && sure) {
            tail_parked_unwatch(known, file);
        }
        from = "where it was left";
    } else if (!changed && tail->starting && tail->first_start && !tail->config->read_from_head) {
        r = begin_stream(file, end);
        skip = status->size;
        from = "its end";
    } else if (!changed && too_old(tail, status)) {
        r = begin_stream(file, end);
        skip = status->size;
        from = "its end, being older than ignore_older";
    } else {
        r = begin_stream(file, 0);
    }
    if (r == 0 && packs && known && !known->packing.packed && known->offset) {
        skip = known->offset; /* it was followed as it is, without being read as what it holds */
        r = begin_stream(file, 0);
    }
    file->unsure = tail->config->compression != TAIL_NONE && !packs && file->offset == 0;
    if (r == 0 && packs) {
        r = tail_packed_begin(file, known ? &known->packing : NULL, skip);
    }
    if (r < 0 && known && file->stream == its) {
        put_back(file, known);
        return r;
    }
    if (r == 0) {
        tail_known_bury_rewritten(tail, status->identity.ino);
    }
    file->before = known ? tail_known_path_elsewhere(known, file->path) : NULL;
    const bool again = known && known->parked;
    tail_known_free(known);
    WEIR_KILL_POINT("tail-followed");
    if (r == 0) {
        /* of those that are closed and opened again all the time, nobody wants to know */
        tail->host->log(tail->instance, again ? WEIR_LOG_DEBUG : WEIR_LOG_INFO,
                        "%s%s%s is followed from %s (byte %" PRIu64 " of %" PRIu64 ")", file->path,
                        packs ? ", which is compressed," : "",
                        changed ? ", which was truncated or rewritten meanwhile," : "", from, file->offset,
                        status->size);
    }
    return r;
}

/* So many NULs the file begins with, as far as there is something behind them; else 0. -errno. */
static int64_t leading_nuls(int fd)
{
    uint8_t bytes[4096];
    off_t at = lseek(fd, 0, SEEK_DATA); /* past the hole at once, where the file system knows of one */
    at = at < 0 ? 0 : at;
    for (;;) {
        ssize_t n = pread(fd, bytes, sizeof(bytes), at);
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i]) {
                return at + i;
            }
        }
        at += n;
    }
}

int tail_file_skip_hole(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    if (!file->anew || file->offset > 0 || file->packed) {
        return 0;
    }
    int64_t hole = leading_nuls(file->fd), width = (int64_t)tail_lines_width(tail->format);
    hole -= hole > 0 ? hole % width : 0; /* the last of them may be a character's */
    if (hole <= 0) {
        return (int)hole;
    }
    int r = begin_stream(file, (uint64_t)hole);
    if (r == 0) {
        tail_count(tail, TAIL_HOLE_BYTES, (uint64_t)hole);
        tail_account_abandon(file, (uint64_t)hole, (uint64_t)hole, TAIL_HOLE);
        tail_log(tail, WARN,
                 "%s begins with %" PRId64 " NULs, left by a writer that did not notice the truncation (it "
                 "should open the file with O_APPEND): they are skipped",
                 file->path, hole);
    }
    return r;
}

int tail_file_examine(struct tail_file *file)
{
    struct stat s;
    uint64_t unread = file->size > file->offset ? file->size - file->offset : 0;
    if (!file->fresh && fstat(file->fd, &s) < 0) {
        return -errno;
    }
    if (!file->fresh) {
        file->size = (uint64_t)s.st_size;
        file->changed = tail_ns(s.st_mtim);
    }
    file->fresh = false;
    if (file->size < file->offset) {
        tail_account_count(file->tail, TAIL_TRUNCATED, unread);
        return tail_file_restart(file, "truncated");
    }
    if (file->join && file->size < tail_join_end_of(file)) {
        return tail_file_restart(file, "truncated");
    }
    if (file->size < file->offset + file->scanned) {
        file->scanned = file->join ? tail_join_end_of(file) - file->offset : 0;
    }
    return file->size > 0 ? tail_file_skip_hole(file) : 0;
}

void tail_file_learn_head(struct tail_file *file, const uint8_t *head)
{
    size_t span = tail_fingerprint_span(file->offset);
    if (span > file->fingerprint.length && !file->packed) {
        file->fingerprint =
            (struct tail_fingerprint){.hash = tail_hash(head, span), .length = (uint32_t)span};
        tail_file_save(file);
    }
}

/* 1: before the offset it still says what was read there; 0: it does not; -errno. */
static int ends_as_read(const struct tail_file *file)
{
    uint64_t token;
    int r = tail_token_read(file->fd, file->offset, &token);
    return r == -ENODATA ? 0 : r < 0 ? r : token == file->token;
}

/*
 * No further than they were read: what is rewritten before it was read need not be noticed, and if it were,
 * it would be taken for new after it was sent.
 */
int tail_file_learn(struct tail_file *file, bool *ret_changed)
{
    struct tail_fingerprint longer;
    size_t span = tail_fingerprint_span(file->offset);
    if (span <= file->fingerprint.length) {
        return 0;
    }
    int r = tail_fingerprint_extend(file->fd, &file->fingerprint, span, &longer);
    if (r > 0) {
        r = ends_as_read(file); /* after that: what it begins with is of the content that was read */
    }
    if (r == 0) {
        *ret_changed = true;
        return tail_file_restart(file, "rewritten");
    }
    if (r < 0) {
        return r;
    }
    file->fingerprint = longer;
    tail_file_save(file);
    return 0;
}
