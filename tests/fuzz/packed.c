/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gzip file, of any bytes or of members that are made here: read as it grows, in pieces of any size and
 * with little kept, it has the content and the end that it has when it is read at once. The input begins with
 * four bytes of how: see take_plan.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include "gzip.h"

enum { CONTENT = 1 << 20, FILE_MOST = 1 << 20, LONG_PIECE = 4096, LET_GO = 300 << 10 };

static uint8_t file[FILE_MOST], content[CONTENT];

struct plan {
    bool made;     /* the bytes are content, to be compressed; else they are the file */
    bool by_limit; /* the file is there from the first, and a limit grows; else the file grows */
    bool zeros;    /* between the members */
    bool damaged;  /* one byte of the file */
    bool behind;   /* nothing is let go of for long: the window gets full */
    unsigned times, members;
    size_t piece, most;
};

static struct plan take_plan(struct fuzz_input *in)
{
    unsigned flags = fuzz_byte(in), counts = fuzz_byte(in), piece = fuzz_byte(in);
    return (struct plan){.made = flags & 1,
                         .by_limit = flags & 2,
                         .zeros = flags & 4,
                         .damaged = flags & 8,
                         .behind = flags & 32,
                         .times = (1 + (counts & 15) * (counts & 15)) * (flags & 32 ? 32 : 1),
                         .members = 1 + (counts >> 4),
                         .piece = flags & 16 ? 1 + piece * LONG_PIECE : 1 + piece,
                         .most = 1 + ((size_t)fuzz_byte(in) << 11)};
}

/* -- The file ------------------------------------------------------------------------------------------- */

static size_t pack(const uint8_t *data, size_t size, uint8_t *to, size_t room)
{
    z_stream z = {0};
    FUZZ_CHECK(deflateInit2(&z, 1, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = (uint8_t *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = to;
    z.avail_out = (uInt)room;
    FUZZ_CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    FUZZ_CHECK(deflateEnd(&z) == Z_OK);
    return room - z.avail_out;
}

/* The members, of about the same size; the last one may be short, or empty. */
static size_t make_members(const struct plan *plan, struct fuzz_input in)
{
    static uint8_t text[CONTENT];
    size_t size = 0, end = 0;
    for (unsigned i = 0; i < plan->times && size + in.size <= CONTENT / 2; i++) {
        if (in.size) {
            memcpy(text + size, in.data, in.size);
        }
        size += in.size;
    }
    for (size_t at = 0, step = size / plan->members + 1; at <= size; at += step) {
        end += pack(text + at, size - at < step ? size - at : step, file + end, FILE_MOST - end);
        if (plan->zeros) {
            memset(file + end, 0, 5);
            end += 5;
        }
    }
    return end;
}

static size_t make_file(const struct plan *plan, struct fuzz_input in)
{
    size_t size = in.size < FILE_MOST ? in.size : FILE_MOST;
    if (plan->made) {
        size = make_members(plan, in);
    } else if (size) {
        memcpy(file, in.data, size);
    }
    if (plan->damaged && size) {
        file[in.size * 31 % size] ^= 0x10;
    }
    return size;
}

/* -- Reading it ----------------------------------------------------------------------------------------- */

/* All that can be had of it. Returns how much that is. */
static size_t read_whole(int fd, enum tail_gzip_state *ret)
{
    struct tail_gzip *g = tail_gzip_create(fd);
    FUZZ_CHECK(g);
    tail_gzip_keep(g, 0, CONTENT);
    ssize_t n = tail_gzip_read(g, content, CONTENT, 0);
    FUZZ_CHECK(n >= 0 && (uint64_t)n <= tail_gzip_at(g));
    *ret = tail_gzip_state(g);
    tail_gzip_destroy(g);
    return (size_t)n;
}

/* What is kept is the content; what is not is told to be gone. */
static void look_back(struct tail_gzip *g, uint64_t from)
{
    uint8_t bytes[300];
    bool keeps = tail_gzip_keeps(g, from);
    ssize_t n = tail_gzip_read(g, bytes, sizeof(bytes), from);
    FUZZ_CHECK(n >= 0 || n == -ESPIPE);
    FUZZ_CHECK(n >= 0 ? keeps : !keeps || from < tail_gzip_at(g));
    size_t known = n <= 0 ? 0 : from + (size_t)n <= CONTENT ? (size_t)n : from < CONTENT ? CONTENT - from : 0;
    FUZZ_CHECK(known == 0 || !memcmp(bytes, content + from, known));
}

/* All there is by now, in steps; what is wanted again begins a bit behind. */
static void go_on(struct tail_gzip *g, const struct plan *plan, uint64_t limit)
{
    int r = 0;
    while (tail_gzip_at(g) < CONTENT && (r == 0 || r == 1)) {
        uint64_t at = tail_gzip_at(g), keep = at > plan->most / 2 ? at - plan->most / 2 : 0;
        keep = plan->behind && at < LET_GO ? 0 : keep;
        tail_gzip_keep(g, keep, plan->most);
        r = tail_gzip_advance(g, at + 1 + plan->piece, limit, 1 + plan->piece * 2);
        FUZZ_CHECK(tail_gzip_raw(g) <= (limit < FILE_MOST ? limit : FILE_MOST));
        if (!plan->by_limit) { /* else it might read beyond the limit */
            look_back(g, keep);
        } else if (tail_gzip_keeps(g, keep) && keep + 300 <= tail_gzip_at(g)) {
            look_back(g, keep);
        }
    }
    FUZZ_CHECK(r == 0 || r == 1 || r == -ENODATA);
}

static void read_growing(int fd, const struct plan *plan, size_t size, size_t expected,
                         enum tail_gzip_state end)
{
    struct tail_gzip *g = tail_gzip_create(fd);
    size_t have = 0, head_size;
    FUZZ_CHECK(g);
    while (have < size) {
        have = size - have < plan->piece ? size : have + plan->piece;
        FUZZ_CHECK(plan->by_limit || ftruncate(fd, (off_t)have) == 0);
        FUZZ_CHECK(plan->by_limit || pwrite(fd, file, have, 0) == (ssize_t)have);
        go_on(g, plan, plan->by_limit ? have : UINT64_MAX);
    }
    FUZZ_CHECK(tail_gzip_at(g) >= expected);
    if (expected < CONTENT && size) {
        FUZZ_CHECK(tail_gzip_at(g) == expected && tail_gzip_state(g) == end);
    }
    const uint8_t *head = tail_gzip_head(g, &head_size);
    FUZZ_CHECK(head_size == (expected < TAIL_GZIP_HEAD ? expected : TAIL_GZIP_HEAD));
    FUZZ_CHECK(!memcmp(head, content, head_size));
    tail_gzip_destroy(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct fuzz_input in = {data, size};
    struct plan plan = take_plan(&in);
    enum tail_gzip_state end;
    fd = fd < 0 ? memfd_create("packed", MFD_CLOEXEC) : fd;
    size_t file_size = make_file(&plan, in);
    if (file_size / plan.piece > 2000) {
        return 0;
    }
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, file, file_size, 0) == (ssize_t)file_size);
    size_t made = read_whole(fd, &end);
    FUZZ_CHECK(plan.by_limit || ftruncate(fd, 0) == 0);
    read_growing(fd, &plan, file_size, made, end);
    return 0;
}
