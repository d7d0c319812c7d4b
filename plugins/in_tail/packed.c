/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compressed file, from its discovery to its end. Before any of it is read, it is compared with what is
 * known of plain files: one that is still there will be read itself, so the compressed one waits (HELD); one
 * that is gone, or was rotated away half read, lives on in it, and so does its stream. What is compared is
 * content, never the name alone.
 *
 * Owns the readers: few at a time, since each holds its buffers; one that has nothing to do, or whose
 * instance is paused, makes room. Decompressing goes in slices that cost no more than a slice of plain
 * reading. Loop thread.
 */
#include "packed.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "clock.h"
#include "encoding.h"
#include "gzip.h"
#include "join.h"
#include "join_read.h"
#include "known.h"
#include "scan.h"
#include "search.h"
#include "twin.h"

enum {
    SLICE = 128 << 10, /* content that is made in one turn */
    COST = 8,          /* a byte of it costs as much as reading so many */
    READERS = 8,       /* on one loop */
    AHEAD = 512 << 10, /* content that is kept besides a line of the greatest length */
    TRAIL = sizeof(uint64_t),
    PATIENCE = 10 /* times rotate_wait, for what is not enough to be compared with others */
};

enum stage {
    UNDECIDED, /* as yet to be compared with others */
    HELD,      /* another file says the same, and is still there */
    SKIPPING,  /* what was there before weir is passed over */
    READING,
    DONE /* all that it holds was sent, or is not wanted */
};

struct tail_packed {
    struct tail_file *file;
    enum stage stage;
    struct tail_packing packing;
    struct tail_gzip *reader;
    struct tail_link slot;   /* in `readers` while there is a reader */
    struct tail_twins twins; /* UNDECIDED: that are compared with */
    size_t compared;         /* so many of them were */
    bool gathered;
    char *twin;              /* HELD: the stream of the other file */
    uint64_t end, end_token; /* HELD: of the whole content */
    uint64_t counted;        /* bytes of the file that progress has counted */
    bool placed;             /* READING: the reader is where the offset is */
    bool idle;               /* the reader has nothing to do until the file grows */
    bool waits_for_scan;     /* UNDECIDED: others are still looked for */
    bool unchecked;          /* the token is one that was kept, and as yet to be compared */
    uint64_t waited_at;      /* UNDECIDED: its size when it was last waited for more, */
    unsigned waits;          /* and how often rotate_wait went by without any */
    bool told;               /* that the file is not complete */
    uint8_t mark[4];
    size_t mark_size;
};

static _Thread_local struct tail_link readers;
static _Thread_local size_t reader_count;

/* -- What is compressed ----------------------------------------------------------------------------- */

static bool may_end_packed(const char *pattern)
{
    size_t size = strlen(pattern);
    return size > 0 &&
           (strchr("*?]", pattern[size - 1]) || (size >= 2 && strcasecmp(pattern + size - 2, "gz") == 0));
}

bool tail_packed_expected(const struct tail_config *config)
{
    for (size_t i = 0; config->compression != TAIL_NONE && i < config->path.count; i++) {
        if (may_end_packed(config->path.items[i])) {
            return true;
        }
    }
    return false;
}

static ssize_t first_bytes(int fd, uint8_t ret[4])
{
    ssize_t n;
    do {
        n = pread(fd, ret, 4, 0);
    } while (n < 0 && errno == EINTR);
    return n;
}

bool tail_packed_is(const struct tail_instance *tail, int fd)
{
    uint8_t bytes[4];
    if (tail->config->compression == TAIL_NONE) {
        return false;
    }
    ssize_t n = first_bytes(fd, bytes);
    return n > 0 && tail_gzip_is(bytes, (size_t)n);
}

/* The last bytes before `raw`: of a whole gzip file, its sum and its length. */
static int read_trail(int fd, uint64_t raw, uint64_t *ret)
{
    uint64_t trail = 0;
    size_t size = raw < TRAIL ? (size_t)raw : TRAIL;
    ssize_t n = pread(fd, &trail, size, (off_t)(raw - size));
    if (n < 0) {
        return -errno;
    }
    *ret = le64toh(trail);
    return (size_t)n == size ? 0 : -ENODATA;
}

int tail_packed_same(int fd, uint64_t size, const struct tail_packing *packing)
{
    uint8_t bytes[4];
    uint64_t trail = 0;
    ssize_t n = first_bytes(fd, bytes);
    if (n < 0) {
        return -errno;
    }
    if (!tail_gzip_is(bytes, (size_t)n) || size < packing->raw) {
        return 0;
    }
    int r = read_trail(fd, packing->raw, &trail);
    return r == -ENODATA ? 0 : r < 0 ? r : trail == packing->trail;
}

/* -- Readers ---------------------------------------------------------------------------------------- */

static void drop_reader(struct tail_packed *p)
{
    if (p->reader) {
        tail_gzip_destroy(p->reader);
        p->reader = NULL;
        tail_list_remove(&p->slot);
        reader_count--;
    }
    p->placed = false;
}

/* What holds whole members, and was sent, is done with unless it grows, which is seen: where its place is
 * needed it is not kept for rotate_wait. */
static void settle(struct tail_packed *p)
{
    struct tail_file *file = p->file;
    if (p->stage == READING && p->idle && p->placed && tail_gzip_state(p->reader) == TAIL_GZIP_COMPLETE &&
        file->offset == tail_gzip_at(p->reader) && !(file->join && tail_join_busy(file->join))) {
        tail_packed_done(file);
    }
}

static bool make_room(void)
{
    for (int paused = 0; paused < 2; paused++) {
        for (struct tail_link *l = readers.next; l != &readers; l = l->next) {
            struct tail_packed *p = TAIL_OF(l, struct tail_packed, slot);
            if (paused ? p->file->tail->paused : p->idle) {
                settle(p);
                drop_reader(p);
                return true;
            }
        }
    }
    return false;
}

/* 0, -EBUSY: all readers are at work, -ENOMEM. */
static int take_reader(struct tail_packed *p)
{
    p->idle = false;
    if (p->reader) {
        return 0;
    }
    if (!readers.next) {
        tail_list_init(&readers);
    }
    if (reader_count >= READERS && !make_room()) {
        return -EBUSY;
    }
    p->reader = tail_gzip_create(p->file->fd);
    if (!p->reader) {
        return -ENOMEM;
    }
    tail_list_add(&readers, &p->slot);
    reader_count++;
    return 0;
}

/* Where one is made anew, all is to be decompressed again: the price of having gone far ahead. */
static int rewind_reader(struct tail_packed *p)
{
    drop_reader(p);
    return take_reader(p);
}

ssize_t tail_packed_read(const struct tail_file *file, uint8_t *bytes, size_t size, uint64_t offset)
{
    ssize_t n = file->packed->reader ? tail_gzip_read(file->packed->reader, bytes, size, offset) : -ESPIPE;
    if (n < 0) {
        errno = (int)-n;
        return -1;
    }
    return n;
}

static int token_at(struct tail_gzip *reader, uint64_t offset, uint64_t *ret)
{
    uint8_t bytes[TAIL_TOKEN_SPAN];
    size_t span = tail_token_span(offset);
    ssize_t n = tail_gzip_read(reader, bytes, span, offset - span);
    if (n < 0) {
        return (int)n;
    }
    if ((size_t)n < span) {
        return -ENODATA;
    }
    *ret = tail_hash(bytes, span);
    return 0;
}

int tail_packed_token(const struct tail_file *file, uint64_t offset, uint64_t *ret)
{
    return file->packed->reader ? token_at(file->packed->reader, offset, ret) : -ESPIPE;
}

size_t tail_packed_mark(const struct tail_file *file, uint8_t ret[4])
{
    memcpy(ret, file->packed->mark, sizeof(file->packed->mark));
    return file->packed->mark_size;
}

static void note_head(struct tail_packed *p)
{
    size_t size;
    const uint8_t *head = tail_gzip_head(p->reader, &size);
    p->mark_size = size < sizeof(p->mark) ? size : sizeof(p->mark);
    memcpy(p->mark, head, p->mark_size);
}

/* -- Life ------------------------------------------------------------------------------------------- */

static void set_stage(struct tail_packed *p, enum stage stage)
{
    struct tail_instance *tail = p->file->tail;
    tail->undecided -= p->stage == UNDECIDED || p->stage == HELD;
    tail->undecided += stage == UNDECIDED || stage == HELD;
    p->stage = stage;
}

static void compare_anew(struct tail_packed *p)
{
    tail_twins_clear(&p->twins);
    p->compared = 0;
    p->gathered = false;
    free(p->twin);
    p->twin = NULL;
    set_stage(p, UNDECIDED);
}

int tail_packed_begin(struct tail_file *file, const struct tail_packing *known, uint64_t skip)
{
    struct tail_packed *p = calloc(1, sizeof(*p));
    if (!p) {
        return -ENOMEM;
    }
    p->file = file;
    p->stage = DONE;
    tail_list_init(&p->slot);
    file->packed = p;
    file->unsure = false;
    if (known && known->packed) {
        p->packing = *known;
    }
    p->packing.packed = true;
    p->unchecked = file->offset > 0;
    if (skip) {
        int r = read_trail(file->fd, skip, &p->packing.trail);
        if (r < 0) {
            return r;
        }
        p->packing.raw = skip;
        p->packing.skipped = true;
    } else if (!p->packing.raw && file->offset == 0) {
        set_stage(p, UNDECIDED);
    } else if (!p->packing.raw || file->offset != p->packing.end) {
        set_stage(p, READING);
    }
    tail_file_save(file);
    return 0;
}

void tail_packed_free(struct tail_packed *p)
{
    if (p) {
        drop_reader(p);
        tail_twins_clear(&p->twins);
        set_stage(p, DONE);
        free(p->twin);
        free(p);
    }
}

const struct tail_packing *tail_packed_packing(const struct tail_packed *p)
{
    return &p->packing;
}

bool tail_packed_rests(struct tail_file *file)
{
    settle(file->packed);
    return file->packed->stage == DONE;
}

bool tail_packed_detect(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    uint8_t bytes[4];
    ssize_t n = first_bytes(file->fd, bytes);
    if (n >= 3 && tail_gzip_is(bytes, (size_t)n)) {
        if (tail_packed_begin(file, NULL, 0) < 0) {
            tail_file_give_up(file, ENOMEM);
            return false;
        }
        return true;
    }
    bool only = tail->config->compression == TAIL_GZIP;
    file->unsure = n < 3 || only;
    if (n == 0 && !only) {
        tail_file_at_end(file, false); /* what appears from now on is seen first, and not read as it is */
        return false;
    }
    if (only && n >= 3) {
        tail_complain(tail, file->path, "%s is not read: it is no gzip file, and compression is gzip",
                      file->path);
    }
    bool may_be = n > 0 && n < 3 && bytes[0] == 0x1f && (n < 2 || bytes[1] == 0x8b);
    bool waits = (only || may_be) && !(may_be && (tail->config->exit_on_eof || file->rotated));
    if (waits && (tail->config->exit_on_eof || (file->rotated && !file->named))) {
        tail_file_close(file);
    }
    return !waits;
}

void tail_packed_wake(struct tail_instance *tail)
{
    for (struct tail_link *l = tail->files.next; tail->undecided && l != &tail->files; l = l->next) {
        struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        if (file->packed && (file->packed->stage == UNDECIDED || file->packed->stage == HELD)) {
            tail_file_wake(file);
        }
    }
}

bool tail_packed_hurry(struct tail_instance *tail)
{
    bool any = false;
    for (struct tail_link *l = tail->files.next; tail->undecided && l != &tail->files; l = l->next) {
        struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        if (file->packed && file->packed->waits_for_scan) {
            file->packed->waits_for_scan = false;
            tail_file_wake(file);
            any = true;
        }
    }
    return any;
}

bool tail_packed_is_held(const struct tail_packed *p)
{
    return p->stage == HELD;
}

/* -- Whether another file has said it ------------------------------------------------------------- */

static void begin_reading(struct tail_packed *p)
{
    tail_twins_clear(&p->twins);
    set_stage(p, READING);
    tail_file_wake(p->file);
}

/* What is left of the file that is gone is read from here. 0 or -errno. */
static int adopt(struct tail_packed *p, const char *key)
{
    struct tail_file *file = p->file;
    struct tail_instance *tail = file->tail;
    struct tail_known *known = tail_known_find(tail, key);
    struct weir_stream *stream = known ? tail_known_open(tail, known) : NULL;
    char was[PATH_MAX];
    if (!stream) {
        return known ? -ENOMEM : -ENOENT;
    }
    tail_known_path(known, was);
    tail->host->stream_forget(file->stream);
    file->stream = stream;
    file->offset = known->offset;
    file->token = known->token;
    file->fingerprint = known->fingerprint;
    if (file->fingerprint.length > tail_fingerprint_span(file->offset)) {
        file->fingerprint =
            (struct tail_fingerprint){.hash = tail_hash("", 0)}; /* of more than was acknowledged */
    }
    file->scanned = 0;
    p->unchecked = true;
    p->placed = false;
    tail_known_drop(tail, known);
    tail_log(tail, INFO, "%s is what %s was, compressed: it is read on from byte %" PRIu64 " of its content",
             file->path, was, file->offset);
    tail_file_save(file);
    return 0;
}

/* Nothing more can be said now: the file is not complete, and not for good. */
static void wait_for_rest(struct tail_packed *p)
{
    struct tail_file *file = p->file;
    p->waits = file->size > p->waited_at ? 0 : p->waits + file->due;
    p->waited_at = file->size;
    p->idle = true;
    tail_file_at_end(file, true);
}

static bool is_final(const struct tail_packed *p)
{
    const struct tail_file *file = p->file;
    return tail_gzip_state(p->reader) != TAIL_GZIP_OPEN || file->tail->config->exit_on_eof || file->due ||
           (file->rotated && !file->named);
}

/*
 * What it holds so far is too little to be compared. Where it may still become what another file says, which
 * is there, that is waited for: whole members may be followed by others, and half of one is what a compressor
 * has left that is no more only if it does not grow for very long.
 */
static bool is_too_little(const struct tail_packed *p)
{
    size_t size;
    const struct tail_file *file = p->file;
    const uint8_t *head = tail_gzip_head(p->reader, &size);
    const bool open = tail_gzip_state(p->reader) == TAIL_GZIP_OPEN;
    const bool stopped = file->due && file->size == p->waited_at;
    if (file->tail->config->exit_on_eof || (file->rotated && !file->named)) {
        return false;
    }
    if ((open && size == 0) || tail_twin_goes_on(file, head, size)) {
        return !stopped || (open && p->waits < PATIENCE);
    }
    return open && !file->due;
}

/*
 * Where it could not be waited for the search for what was renamed, that is made up for here: the position is
 * all that leads to a file which goes on under another name.
 */
static bool goes_on_elsewhere(const struct tail_packed *p, const char *key)
{
    struct tail_instance *tail = p->file->tail;
    return (tail->starting || tail_scan_waits(tail)) && tail_search_for(tail, key);
}

/* All comparisons are made: the best one counts. */
static int decide(struct tail_packed *p)
{
    const struct tail_twin *best = NULL;
    for (size_t i = 0; i < p->twins.count; i++) {
        const struct tail_twin *twin = &p->twins.items[i];
        if (!twin->out && (!best || twin->there || (!best->there && twin->offset >= best->offset))) {
            best = twin;
        }
    }
    if (best && best->there) {
        p->twin = strdup(best->key);
        if (!p->twin) {
            return -ENOMEM;
        }
        tail_log(p->file->tail, INFO, "%s says what a file says that is followed already: it is left alone",
                 p->file->path);
        tail_twins_clear(&p->twins);
        drop_reader(p);
        set_stage(p, HELD);
        tail_file_wake(p->file); /* that file may be through by now */
        return 0;
    }
    if (best && goes_on_elsewhere(p, best->key)) {
        compare_anew(p);
        drop_reader(p);
        tail_file_wake(p->file);
        return 0;
    }
    int r = best ? adopt(p, best->key) : 0;
    if (r < 0 && r != -ENOENT) {
        return r;
    }
    begin_reading(p);
    return 0;
}

/* Compares with the next one. 1: done; 0: not yet; -ENODATA: what there is ends before; -errno. */
static int compare_next(struct tail_packed *p)
{
    struct tail_twin *twin = &p->twins.items[p->compared];
    uint64_t target = twin->there ? UINT64_MAX : twin->offset, token = 0;
    uint64_t at = tail_gzip_at(p->reader);
    uint64_t keep = twin->there ? at : target;
    tail_gzip_keep(p->reader, keep - tail_token_span(keep), AHEAD);
    int r = tail_gzip_advance(p->reader, target, UINT64_MAX, SLICE);
    if (r == 0 || (r < 0 && r != -ENODATA)) {
        return r;
    }
    if (r == -ENODATA && !is_final(p)) {
        return r;
    }
    at = tail_gzip_at(p->reader);
    if (twin->there) {
        r = token_at(p->reader, at, &token);
        p->end = at;
        p->end_token = token;
        r = r < 0 ? r : tail_twin_compare(p->file, twin, at, token);
        if (r == -ESTALE) { /* it went meanwhile: now what is kept of it counts */
            compare_anew(p);
            return rewind_reader(p);
        }
    } else if (r > 0) {
        r = token_at(p->reader, target, &token);
        r = r < 0 ? r : tail_token_is_of(twin->token, token);
    } else {
        r = 0; /* it ends before */
    }
    twin->out = r != 1;
    p->compared++;
    return r < 0 && r != -ENODATA ? r : 1;
}

static int compare_head(struct tail_packed *p)
{
    size_t size;
    tail_gzip_keep(p->reader, 0, AHEAD);
    int r = tail_gzip_advance(p->reader, TAIL_GZIP_HEAD, UINT64_MAX, SLICE);
    if (r == 0 || (r < 0 && (r != -ENODATA || is_too_little(p)))) {
        return r;
    }
    note_head(p);
    const uint8_t *head = tail_gzip_head(p->reader, &size);
    r = tail_twins_find(p->file, head, size, &p->twins);
    p->gathered = r == 0;
    /* the smallest offsets may be behind already */
    return r < 0 ? r : 1;
}

static int step_back(struct tail_packed *p)
{
    const struct tail_twin *twin = &p->twins.items[p->compared];
    uint64_t from = twin->there ? tail_gzip_at(p->reader) : twin->offset;
    return tail_gzip_keeps(p->reader, from - tail_token_span(from)) ? 0 : rewind_reader(p);
}

static int compare(struct tail_packed *p)
{
    struct tail_instance *tail = p->file->tail;
    if (tail_known_ask_held(tail)) { /* one of them may be what it was made from */
        if (tail->config->exit_on_eof) {
            tail_retry(tail);
        }
        return 1; /* the refresh wakes it */
    }
    p->waits_for_scan = (tail->starting || tail_scan_waits(tail)) && !tail->crowded;
    if (p->waits_for_scan) {
        return 1; /* what it may have been made from is still looked for; the end of that wakes it */
    }
    int r = take_reader(p);
    if (r == 0 && !p->gathered) {
        r = compare_head(p);
    } else if (r == 0 && p->compared < p->twins.count) {
        r = step_back(p);
        r = r < 0 ? r : compare_next(p);
    } else if (r == 0) {
        return decide(p);
    }
    if (r == -ENODATA) {
        wait_for_rest(p);
        return 0;
    }
    if (r >= 0 || r == -EBUSY) {
        tail_file_wake(p->file);
    }
    return r == -EBUSY ? 0 : r;
}

/* The other file is there no more, or never was the same. */
static int look_again(struct tail_packed *p)
{
    struct tail_file *file = p->file;
    struct tail_known *known;
    if (file->rotated && !file->named) {
        tail_file_close(file);
        return 0;
    }
    if (tail_twin_open(file->tail, p->twin)) {
        return 0;
    }
    known = tail_known_find(file->tail, p->twin);
    if (known && file->tail->config->exit_on_eof) {
        tail_file_close(file); /* that one was read to its end */
        return 0;
    }
    if (known && tail_known_is_there(known)) {
        return 0;
    }
    bool whole = known && known->offset == p->end && tail_token_is_of(known->token, p->end_token);
    if (whole && file->size > 0) {
        int r = adopt(p, p->twin);
        if (r == 0) {
            begin_reading(p);
            p->packing.raw = file->size;
            p->packing.end = file->offset;
            r = read_trail(file->fd, file->size, &p->packing.trail);
            set_stage(p, DONE);
            tail_file_save(file);
        }
        return r;
    }
    compare_anew(p);
    tail_file_wake(file);
    return 0;
}

/* -- Reading ---------------------------------------------------------------------------------------- */

static int fingerprint_matches(const struct tail_packed *p)
{
    size_t size;
    const uint8_t *head = tail_gzip_head(p->reader, &size);
    const struct tail_fingerprint *f = &p->file->fingerprint;
    return f->length <= size && tail_hash(head, f->length) == f->hash;
}

/* The content says, as far as can be seen, what it said when the position was kept. 1, 0, -errno. */
static int check(struct tail_packed *p)
{
    struct tail_file *file = p->file;
    uint64_t token, kept = file->token;
    if (!fingerprint_matches(p)) {
        return 0;
    }
    if (!p->unchecked) {
        return 1;
    }
    int r = token_at(p->reader, file->offset, &token);
    if (r < 0 || !tail_token_is_of(kept, token)) {
        return r < 0 ? r : 0;
    }
    p->unchecked = false;
    file->token = token;
    if (file->join) {
        tail_join_start(file, kept);
    }
    return 1;
}

/* From where on content is wanted: lines are joined from further on than the offset. */
static uint64_t wanted_from(const struct tail_packed *p)
{
    const struct tail_file *file = p->file;
    uint64_t at = file->join && p->placed ? tail_join_end_of(file) : file->offset;
    return at - tail_token_span(at);
}

static size_t window_of(const struct tail_file *file)
{
    size_t limit = file->join ? tail_join_limit(file->join) : file->tail->format->max;
    return TAIL_TOKEN_SPAN + limit + AHEAD;
}

/* Brings the reader to the offset. 1: it is there; 0: not yet; -ESTALE: it can't be this content; -errno. */
static int place(struct tail_packed *p)
{
    struct tail_file *file = p->file;
    int r = take_reader(p);
    if (r == 0 && !tail_gzip_keeps(p->reader, wanted_from(p))) {
        r = rewind_reader(p);
    }
    if (r < 0) {
        return r;
    }
    tail_gzip_keep(p->reader, wanted_from(p), window_of(file));
    if (p->placed) {
        return 1;
    }
    r = tail_gzip_advance(p->reader, file->offset, UINT64_MAX, SLICE);
    if (r == -ENODATA) {
        return is_final(p) ? -ESTALE : -ENODATA;
    }
    if (r == 1) {
        note_head(p);
        r = check(p);
        p->placed = r == 1;
        r = r == 0 ? -ESTALE : r;
    }
    return r;
}

static void learn(struct tail_packed *p)
{
    struct tail_file *file = p->file;
    size_t size, span = tail_fingerprint_span(file->offset);
    const uint8_t *head = tail_gzip_head(p->reader, &size);
    note_head(p);
    if (span > file->fingerprint.length && span <= size) {
        file->fingerprint =
            (struct tail_fingerprint){.hash = tail_hash(head, span), .length = (uint32_t)span};
        tail_file_save(file);
    }
}

static void count_progress(struct tail_packed *p)
{
    uint64_t raw = p->reader ? tail_gzip_raw(p->reader) : 0;
    if (raw > p->counted) {
        p->file->tail->done += raw - p->counted;
        p->counted = raw;
    }
}

/* 0 or -errno. */
static int restart(struct tail_packed *p, const char *what)
{
    struct tail_file *file = p->file;
    int r = tail_file_restart(file, what); /* and this is no more */
    tail_file_wake(file);
    return r;
}

static int read_on(struct tail_packed *p, size_t *bytes)
{
    struct tail_file *file = p->file;
    int r = place(p);
    if (r <= 0) {
        if (r == -ESTALE) {
            return restart(p, "rewritten");
        }
        if (r == -ENODATA) {
            wait_for_rest(p);
        } else if (r == 0 || r == -EBUSY) {
            tail_file_wake(file);
        }
        return r == -ENODATA || r == -EBUSY ? 0 : r;
    }
    enum tail_progress progress = tail_file_read(file, bytes);
    int error = errno;
    count_progress(p);
    if (*bytes > 0) {
        tail_file_touch(file);
    }
    if (progress == TAIL_BROKEN) {
        return -error;
    }
    if (progress == TAIL_CHANGED) {
        return restart(p, "rewritten");
    }
    learn(p);
    if (progress == TAIL_FULL) {
        file->tail->paused = true;
        tail_file_wake(file);
    } else if (progress == TAIL_MORE) {
        tail_file_wake(file);
    } else {
        p->idle = true;
        tail_file_at_end(file, *bytes > 0);
    }
    return 0;
}

/* So much of the content is not wanted. 0 or -errno. */
static int jump(struct tail_packed *p)
{
    struct tail_file *file = p->file;
    uint64_t at = tail_gzip_at(p->reader), token;
    int r = token_at(p->reader, at, &token);
    if (r < 0) {
        return r;
    }
    file->offset = at;
    file->token = token;
    if (file->join) {
        tail_join_start(file, token);
    }
    p->packing = (struct tail_packing){.packed = true};
    learn(p);
    tail_file_save(file);
    return file->tail->host->stream_advance(file->stream, at, token);
}

/* What the file held when weir came is passed over; where it is cut within a member, what could be made of it
 * then. */
static int skip_on(struct tail_packed *p)
{
    int r = take_reader(p);
    if (r == 0) {
        uint64_t at = tail_gzip_at(p->reader);
        tail_gzip_keep(p->reader, at - tail_token_span(at), AHEAD);
        r = tail_gzip_advance(p->reader, UINT64_MAX, p->packing.raw, SLICE);
    }
    if (r == -ENODATA) {
        r = jump(p);
        set_stage(p, READING);
    }
    if (r >= 0 || r == -EBUSY) {
        tail_file_wake(p->file);
    }
    return r == -EBUSY ? 0 : r;
}

enum tail_progress tail_packed_drain(struct tail_file *file)
{
    struct tail_packed *p = file->packed;
    enum tail_progress progress = TAIL_MORE;
    size_t bytes = 0;
    int r = 0;
    if (p->stage == DONE || p->stage == HELD) {
        return TAIL_END;
    }
    if (p->stage != READING) {
        errno = EAGAIN;
        return TAIL_BROKEN;
    }
    while (progress == TAIL_MORE && (r = place(p)) >= 0) {
        progress = r ? tail_file_read(file, &bytes) : TAIL_MORE;
    }
    if (r < 0) {
        errno = -r;
        return TAIL_BROKEN;
    }
    return progress;
}

/* -- The end ---------------------------------------------------------------------------------------- */

static void tell(struct tail_packed *p, enum tail_gzip_state state, bool waits)
{
    const struct tail_file *file = p->file;
    struct tail_instance *tail = file->tail;
    uint64_t raw = tail_gzip_raw(p->reader), left = file->size > raw ? file->size - raw : 0;
    if (state == TAIL_GZIP_COMPLETE || p->told) {
        return;
    }
    p->told = true;
    tail_count(tail, TAIL_DAMAGED_FILES, 1);
    if (state == TAIL_GZIP_OPEN) {
        tail_log(tail, WARN,
                 "%s is not complete (%" PRIu64 " bytes, which hold %" PRIu64 "): what it holds is read%s",
                 file->path, file->size, tail_gzip_at(p->reader),
                 waits ? ", and the rest is waited for" : "");
        return;
    }
    tail_account_count(tail, TAIL_DAMAGED, left);
    if (state == TAIL_GZIP_CORRUPT) {
        tail_log(tail, ERROR,
                 "%s is corrupt at byte %" PRIu64 ": what came before (%" PRIu64
                 " bytes) is read, the remaining %" PRIu64 " bytes are not",
                 file->path, raw, tail_gzip_at(p->reader), left);
    } else {
        tail_log(tail, WARN, "%s has %" PRIu64 " bytes behind its end that are no gzip: they are left out",
                 file->path, left);
    }
}

bool tail_packed_finish(struct tail_file *file)
{
    struct tail_packed *p = file->packed;
    if (p->stage == DONE) {
        return true;
    }
    if (p->stage != READING || !p->reader) {
        file->due = true;
        tail_file_wake(file);
        return false;
    }
    enum tail_gzip_state state = tail_gzip_state(p->reader);
    bool waits = state == TAIL_GZIP_OPEN && file->named && !file->tail->config->exit_on_eof;
    tell(p, state, waits);
    if (waits) {
        tail_file_wait_no_more(file);
    }
    return !waits;
}

void tail_packed_done(struct tail_file *file)
{
    struct tail_packed *p = file->packed;
    if (p->stage != READING || !p->reader || tail_gzip_state(p->reader) == TAIL_GZIP_OPEN) {
        return;
    }
    if (read_trail(file->fd, file->size, &p->packing.trail) == 0) {
        p->packing.raw = file->size;
        p->packing.end = file->offset;
        set_stage(p, DONE);
        tail_file_save(file);
    }
    drop_reader(p);
}

uint64_t tail_packed_size(const struct tail_file *file)
{
    const struct tail_packed *p = file->packed;
    uint64_t read = file->offset + file->scanned, at = p->reader && p->placed ? tail_gzip_at(p->reader) : 0;
    return at > read ? at : read;
}

uint64_t tail_packed_raw(const struct tail_packed *p)
{
    return p->reader ? tail_gzip_raw(p->reader) : p->packing.raw;
}

/* -- Its turn --------------------------------------------------------------------------------------- */

static int examine(struct tail_packed *p, bool *ret_anew)
{
    struct tail_file *file = p->file;
    struct stat s;
    if (fstat(file->fd, &s) < 0) {
        return -errno;
    }
    file->size = (uint64_t)s.st_size;
    file->changed = tail_ns(s.st_mtim);
    uint64_t seen = p->reader ? tail_gzip_raw(p->reader) : 0;
    seen = seen > p->packing.raw ? seen : p->packing.raw;
    *ret_anew = file->size < seen;
    return *ret_anew ? restart(p, "truncated") : 0;
}

/* All was sent. It may have grown. */
static int look_for_more(struct tail_packed *p)
{
    struct tail_file *file = p->file;
    if (file->size == p->packing.raw) {
        tail_file_at_end(file, false);
        return 0;
    }
    p->told = false;
    set_stage(p, p->packing.skipped ? SKIPPING : READING);
    tail_file_wake(file);
    return 0;
}

size_t tail_packed_work(struct tail_file *file)
{
    struct tail_packed *p = file->packed;
    size_t bytes = 0;
    bool anew = false;
    uint64_t before = tail_gzip_made();
    enum stage stage = p->stage;
    int r = examine(p, &anew);
    if (r == 0 && !anew) {
        r = stage == UNDECIDED  ? compare(p)
            : stage == HELD     ? look_again(p)
            : stage == SKIPPING ? skip_on(p)
            : stage == READING  ? read_on(p, &bytes)
                                : look_for_more(p);
    }
    if (r < 0) {
        tail_file_give_up(file, -r);
    }
    return (size_t)(tail_gzip_made() - before) * COST;
}
