/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a file this file: its inode, and what it says. Names change and inode numbers are used again,
 * so a file that is found after a restart is the known one only if inode, first bytes and the bytes before
 * the position all agree.
 */
#ifndef TAIL_IDENTITY_H
#define TAIL_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TAIL_FINGERPRINT_MAX = 1024, /* bytes at the start of a file that its fingerprint covers */
    TAIL_TOKEN_SPAN = 256,       /* bytes before a position that its token covers */
    TAIL_META_MAX = 4096
};

struct tail_identity {
    uint64_t dev, ino;
    uint64_t generation; /* 0: the file system has none */
    uint64_t born;       /* ns since 1970; 0: the file system does not say */
};

/* The hash of the first `length` bytes. */
struct tail_fingerprint {
    uint64_t hash;
    uint32_t length;
};

/* Of a compressed file. Its positions are bytes of what it contains. */
struct tail_packing {
    bool packed;
    bool skipped;   /* what its first `raw` bytes contain was there before weir, and is not wanted */
    uint64_t raw;   /* read to its end when it had so many bytes; 0: not yet */
    uint64_t trail; /* the last 8 of them */
    uint64_t end;   /* what they contain; of one that is skipped not known, and 0 */
};

/* What is kept beside a stream's position. */
struct tail_meta {
    struct tail_identity identity;
    struct tail_fingerprint fingerprint;
    const char *path; /* not terminated after tail_meta_decode: it points into the bytes given */
    size_t path_size;
    bool away; /* the path is one that the file was moved to, out of the patterns */
    bool gone; /* there is no such file any more: what it said is remembered in case it is found compressed */
    struct tail_packing packing;
    uint64_t missing; /* when it was first not found, s since 1970; 0: it is there, as far as is known */
    bool
        anew; /* begun because it was truncated or rewritten, and nothing of it is read: it may have a hole */
};

uint64_t tail_hash(const void *bytes, size_t size);

/* What statx says of an open file, with its inode's generation. 0 or -errno. */
struct tail_status {
    struct tail_identity identity;
    uint64_t size, links, changed; /* changed: modification time, ns */
    uint32_t mode;
    uint32_t system; /* the kind of file system a regular file lies on, as statfs numbers it; 0: not known */
};
int tail_status_read(int fd, struct tail_status *ret);
/* The same of one that most likely is a known one: then what can't have changed is not asked for again, and
 * the system is not known. */
int tail_status_read_again(int fd, const struct tail_identity *known, struct tail_status *ret);

/* Whether what is at the path, be it through a link, has that inode now. */
bool tail_path_leads_to(const char *path, const struct tail_identity *);

/* Whether both are the same inode and, as far as both file systems say, the same use of it. */
bool tail_identity_equal(const struct tail_identity *, const struct tail_identity *);
/* As above, with the device left out: its number may change when a host boots. */
bool tail_identity_equal_but_device(const struct tail_identity *, const struct tail_identity *);

/* Whether the file system tells one use of an inode from the next. */
static inline bool tail_identity_is_certain(const struct tail_identity *id)
{
    return id->generation || id->born;
}

/* The fingerprint of the first bytes, at most `limit`. 0 or -errno. */
int tail_fingerprint_read(int fd, size_t limit, struct tail_fingerprint *ret);
/* 1: the file still begins that way; 0: it does not; -errno. */
int tail_fingerprint_check(int fd, const struct tail_fingerprint *);
/* 1, and the fingerprint of the first `length` bytes, if the file has so many and still begins that way; 0;
 * -errno. */
int tail_fingerprint_extend(int fd, const struct tail_fingerprint *, size_t length,
                            struct tail_fingerprint *ret);
/* The hash of the up to TAIL_TOKEN_SPAN bytes before `offset`. 0, -ENODATA where the file ends before,
 * -errno. */
int tail_token_read(int fd, uint64_t offset, uint64_t *ret);

/* Whether a token is that of bytes with this hash. The upper half of a token may carry more than the hash. */
static inline bool tail_token_is_of(uint64_t token, uint64_t hash)
{
    return (uint32_t)token == (uint32_t)hash;
}

/* So much of a file read up to `offset` its fingerprint covers. */
static inline size_t tail_fingerprint_span(uint64_t offset)
{
    return offset < TAIL_FINGERPRINT_MAX ? (size_t)offset : TAIL_FINGERPRINT_MAX;
}

static inline size_t tail_token_span(uint64_t offset)
{
    return offset < TAIL_TOKEN_SPAN ? (size_t)offset : TAIL_TOKEN_SPAN;
}

/* Returns the size. A path that does not fit is left out. */
size_t tail_meta_encode(const struct tail_meta *, uint8_t ret[TAIL_META_MAX]);
/* 0, or -EINVAL for bytes that no known version wrote. */
int tail_meta_decode(const void *bytes, size_t size, struct tail_meta *ret);

#endif
