/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zlib's inflate over a file that may still grow, member after member. Owns the stream's state, the window
 * and, for lines that are longer than the window may be, the last bytes behind it. Loop thread.
 */
#include "gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum {
    INPUT = 64 << 10,
    STEP = 64 << 10, /* content that is made at once */
    BACK = 4 << 10,  /* of what is beyond the window, so much stays */
    LATE = BACK + STEP,
    GZIP_WINDOW = 16 + 15 /* zlib's way to ask for gzip's header and trailer */
};

/* Content from `base` on. */
struct stretch {
    uint8_t *bytes;
    size_t have, room;
    uint64_t base;
};

struct tail_gzip {
    z_stream z;
    int fd;
    uint64_t raw; /* read from the file */
    uint64_t at;  /* content that was made */
    uint64_t keep;
    size_t most;
    struct stretch window, late; /* late: where the window is full, the last bytes made */
    enum tail_gzip_state state;
    bool between; /* no member is begun */
    bool pending; /* there was no room for all that could be made */
    uint8_t head[TAIL_GZIP_HEAD];
    size_t head_size;
    uint8_t input[INPUT];
};

static _Thread_local uint64_t made_here;

uint64_t tail_gzip_made(void)
{
    return made_here;
}

bool tail_gzip_is(const uint8_t *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8;
}

struct tail_gzip *tail_gzip_create(int fd)
{
    struct tail_gzip *g = calloc(1, sizeof(*g));
    if (!g) {
        return NULL;
    }
    g->fd = fd;
    g->between = true;
    g->late.bytes = malloc(LATE);
    if (!g->late.bytes || inflateInit2(&g->z, GZIP_WINDOW) != Z_OK) {
        free(g->late.bytes);
        free(g);
        return NULL;
    }
    return g;
}

void tail_gzip_destroy(struct tail_gzip *g)
{
    if (g) {
        inflateEnd(&g->z);
        free(g->window.bytes);
        free(g->late.bytes);
        free(g);
    }
}

bool tail_gzip_keeps(const struct tail_gzip *g, uint64_t offset)
{
    const struct stretch *w = &g->window, *late = &g->late;
    return offset >= g->at || (w->have && offset >= w->base && offset < w->base + w->have) ||
           (late->have && offset >= late->base);
}

enum tail_gzip_state tail_gzip_state(const struct tail_gzip *g)
{
    return g->state;
}

uint64_t tail_gzip_at(const struct tail_gzip *g)
{
    return g->at;
}

uint64_t tail_gzip_raw(const struct tail_gzip *g)
{
    return g->raw - g->z.avail_in;
}

const uint8_t *tail_gzip_head(const struct tail_gzip *g, size_t *ret_size)
{
    *ret_size = g->head_size;
    return g->head;
}

/* -- The window ------------------------------------------------------------------------------------- */

static void forget_before(struct stretch *s, uint64_t keep)
{
    if (keep <= s->base) {
        return;
    }
    size_t drop = keep - s->base < s->have ? (size_t)(keep - s->base) : s->have;
    if (drop < s->have) {
        memmove(s->bytes, s->bytes + drop, s->have - drop);
    }
    s->have -= drop;
    s->base += drop;
}

void tail_gzip_keep(struct tail_gzip *g, uint64_t keep, size_t most)
{
    g->keep = keep;
    g->most = most;
}

static uint64_t end_of(const struct stretch *s)
{
    return s->base + s->have;
}

/* Room for a step at the end of the window. -ENOMEM, -ENOSPC: it is as long as it may be. */
static int make_room(struct tail_gzip *g)
{
    struct stretch *w = &g->window;
    if (w->room - w->have >= STEP) {
        return 0;
    }
    forget_before(w, g->keep);
    if (w->room - w->have >= STEP) {
        return 0;
    }
    if (w->have >= g->most) {
        return -ENOSPC;
    }
    size_t room = w->room * 2 > w->have + STEP ? w->room * 2 : w->have + 2 * STEP;
    uint8_t *bytes = realloc(w->bytes, room);
    if (!bytes) {
        return -ENOMEM;
    }
    w->bytes = bytes;
    w->room = room;
    return 0;
}

/* Where the next step goes, with room for it. NULL: no memory. */
static struct stretch *next_place(struct tail_gzip *g)
{
    struct stretch *late = &g->late;
    if (!late->have) {
        int r = make_room(g);
        if (r == 0) {
            g->window.base = g->window.have ? g->window.base : g->at;
            return &g->window;
        }
        if (r == -ENOMEM) {
            return NULL;
        }
        /* the bytes just before are looked at as one with those behind */
        size_t back = g->window.have < BACK ? g->window.have : BACK;
        memcpy(late->bytes, g->window.bytes + g->window.have - back, back);
        late->have = back;
        late->base = g->at - back;
        late->room = LATE;
    }
    if (late->room - late->have < STEP) {
        forget_before(late, end_of(late) - BACK);
    }
    return late;
}

/* Back to one stretch, where nothing before the late one is wanted any more. 0 or -ENOMEM. */
static int rejoin(struct tail_gzip *g)
{
    struct stretch *w = &g->window, *late = &g->late;
    if (!late->have || g->keep < late->base) {
        return 0;
    }
    if (w->room < late->have) {
        return -ENOMEM; /* never: the window was full */
    }
    memcpy(w->bytes, late->bytes, late->have);
    w->have = late->have;
    w->base = late->base;
    late->have = 0;
    return 0;
}

/* A long line is through: its memory is given back. */
static void trim(struct tail_gzip *g)
{
    struct stretch *w = &g->window;
    forget_before(w, g->keep);
    if (w->room > (8 * STEP) && w->have < w->room / 8) {
        uint8_t *bytes = realloc(w->bytes, w->have + 2 * STEP);
        if (bytes) {
            w->bytes = bytes;
            w->room = w->have + 2 * STEP;
        }
    }
}

/* -- Decompressing ---------------------------------------------------------------------------------- */

/* More of the file. 1, 0 at its end, -errno. */
static int fill(struct tail_gzip *g, uint64_t limit)
{
    size_t want = sizeof(g->input) - g->z.avail_in;
    if (g->z.avail_in) {
        memmove(g->input, g->z.next_in, g->z.avail_in);
        g->z.next_in = g->input;
    }
    if (limit <= g->raw) {
        return 0;
    }
    want = limit - g->raw < want ? (size_t)(limit - g->raw) : want;
    ssize_t n;
    do {
        n = pread(g->fd, g->input + g->z.avail_in, want, (off_t)g->raw);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    g->z.next_in = g->input;
    g->z.avail_in += (uInt)n;
    g->raw += (uint64_t)n;
    return n > 0;
}

/* Between two members. 1: the next one begins; 0: nothing more there is, and the state says what. -errno. */
static int begin_member(struct tail_gzip *g, uint64_t limit)
{
    bool first = g->at == 0 && tail_gzip_raw(g) == 0;
    for (;;) {
        while (!first && g->z.avail_in && *g->z.next_in == 0) { /* as tapes are filled up */
            g->z.next_in++;
            g->z.avail_in--;
        }
        if (g->z.avail_in >= 3) {
            break;
        }
        int r = fill(g, limit);
        if (r <= 0) {
            bool may_begin = g->z.avail_in && g->z.next_in[0] == 0x1f;
            g->state = first || may_begin   ? TAIL_GZIP_OPEN
                       : g->z.avail_in == 0 ? TAIL_GZIP_COMPLETE
                                            : TAIL_GZIP_TRAILING;
            return r;
        }
    }
    if (!tail_gzip_is(g->z.next_in, g->z.avail_in)) {
        g->state = first ? TAIL_GZIP_CORRUPT : TAIL_GZIP_TRAILING;
        return 0;
    }
    inflateReset(&g->z);
    g->between = false;
    return 1;
}

static void remember_head(struct tail_gzip *g, const uint8_t *bytes, size_t size)
{
    size_t room = sizeof(g->head) - g->head_size, take = size < room ? size : room;
    memcpy(g->head + g->head_size, bytes, take);
    g->head_size += take;
}

/* One step within a member. 1: something happened; 0: the file ends; -errno. */
static int inflate_step(struct tail_gzip *g, uint64_t limit)
{
    if (!g->z.avail_in && !g->pending) {
        int r = fill(g, limit);
        if (r <= 0) {
            g->state = TAIL_GZIP_OPEN;
            return r;
        }
    }
    struct stretch *to = next_place(g);
    if (!to) {
        return -ENOMEM;
    }
    g->z.next_out = to->bytes + to->have;
    g->z.avail_out = STEP;
    int code = inflate(&g->z, Z_NO_FLUSH);
    size_t made = STEP - g->z.avail_out;
    g->pending = g->z.avail_out == 0;
    remember_head(g, to->bytes + to->have, made);
    to->have += made;
    g->at += made;
    made_here += made;
    if (code == Z_MEM_ERROR) {
        return -ENOMEM;
    }
    if (code == Z_STREAM_END) {
        g->between = true;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
        g->state = TAIL_GZIP_CORRUPT;
        return 0;
    }
    return 1;
}

/* 1: something happened; 0: that is all, and the state says why; -errno. */
static int step(struct tail_gzip *g, uint64_t limit)
{
    if (g->state == TAIL_GZIP_CORRUPT || g->state == TAIL_GZIP_TRAILING) {
        return 0;
    }
    return g->between ? begin_member(g, limit) : inflate_step(g, limit);
}

int tail_gzip_advance(struct tail_gzip *g, uint64_t target, uint64_t limit, size_t budget)
{
    const uint64_t begin = g->at;
    trim(g);
    while (g->at < target) {
        if (g->at - begin >= budget) {
            return 0;
        }
        int r = step(g, limit);
        if (r <= 0) {
            return r < 0 ? r : g->at >= target ? 1 : -ENODATA;
        }
    }
    return 1;
}

/* -- Reading ---------------------------------------------------------------------------------------- */

static size_t copy_from(const struct stretch *s, uint8_t *bytes, size_t size, uint64_t offset)
{
    if (offset < s->base || offset >= end_of(s)) {
        return 0;
    }
    size_t there = (size_t)(end_of(s) - offset), n = size < there ? size : there;
    memcpy(bytes, s->bytes + (offset - s->base), n);
    return n;
}

ssize_t tail_gzip_read(struct tail_gzip *g, uint8_t *bytes, size_t size, uint64_t offset)
{
    size_t got = 0;
    int r = rejoin(g);
    if (r < 0 || !tail_gzip_keeps(g, offset)) {
        return r < 0 ? r : -ESPIPE;
    }
    while (got < size) {
        size_t n = copy_from(&g->window, bytes + got, size - got, offset + got);
        n = n ? n : copy_from(&g->late, bytes + got, size - got, offset + got);
        got += n;
        if (n) {
            continue;
        }
        if (offset + got < g->at) {
            return -ESPIPE; /* between the two stretches */
        }
        r = step(g, UINT64_MAX);
        if (r < 0) {
            return r;
        }
        if (r == 0 && offset + got >= g->at) {
            break;
        }
    }
    return (ssize_t)got;
}
