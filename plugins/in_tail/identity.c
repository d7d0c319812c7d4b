/* SPDX-License-Identifier: Apache-2.0 */
/* Identity of files, hashes of what they say, and the bytes that keep both. No state. Loop thread. */
#include "identity.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Version 2 has META_MORE behind the path. It is only written where there is something to say in it. */
enum { META_VERSION = 2, META_HEAD = 2 + 4 * 8 + 8 + 4 + 2, META_MORE = 1 + 4 * 8 };
enum { FLAG_PACKED = 1, FLAG_SKIPPED = 2, FLAG_GONE = 4, FLAG_ANEW = 8, FLAGS = 15 };

uint64_t tail_hash(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

bool tail_path_leads_to(const char *path, const struct tail_identity *id)
{
    struct stat s;
    return stat(path, &s) == 0 && s.st_ino == id->ino && s.st_dev == id->dev;
}

static uint64_t generation_of(int fd)
{
    uint64_t room = 0; /* the kernel writes an int, though the number says long */
    return ioctl(fd, FS_IOC_GETVERSION, &room) == 0 ? room : 0;
}

static uint32_t system_of(int fd)
{
    struct statfs s;
    return fstatfs(fd, &s) == 0 ? (uint32_t)s.f_type : 0;
}

/* All but the kind of system and the generation. */
static int status_of(int fd, struct tail_status *ret)
{
    struct statx s;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &s) < 0) {
        return -errno;
    }
    bool born = s.stx_mask & STATX_BTIME;
    *ret = (struct tail_status){
        .identity = {.dev = makedev(s.stx_dev_major, s.stx_dev_minor),
                     .ino = s.stx_ino,
                     .born = born ? (uint64_t)s.stx_btime.tv_sec * 1000000000u + s.stx_btime.tv_nsec : 0},
        .size = s.stx_size,
        .links = s.stx_nlink,
        .changed = (uint64_t)s.stx_mtime.tv_sec * 1000000000u + s.stx_mtime.tv_nsec,
        .mode = s.stx_mode,
    };
    return 0;
}

static void complete(int fd, struct tail_status *ret)
{
    ret->system = S_ISREG(ret->mode) ? system_of(fd) : 0;
    if (ret->system == OVERLAYFS_SUPER_MAGIC) {
        /* a file of its lower layer keeps its numbers when it is first written to, but is copied, and so has
           another birth and generation than before */
        ret->identity.born = 0;
    } else if (S_ISREG(ret->mode)) {
        ret->identity.generation = generation_of(fd);
    }
}

int tail_status_read(int fd, struct tail_status *ret)
{
    int r = status_of(fd, ret);
    if (r == 0) {
        complete(fd, ret);
    }
    return r;
}

int tail_status_read_again(int fd, const struct tail_identity *known, struct tail_status *ret)
{
    int r = status_of(fd, ret);
    struct tail_identity *id = &ret->identity;
    if (r == 0 && id->born && id->born == known->born && id->ino == known->ino && id->dev == known->dev) {
        id->generation = known->generation;
    } else if (r == 0) {
        complete(fd, ret);
    }
    return r;
}

bool tail_identity_equal_but_device(const struct tail_identity *a, const struct tail_identity *b)
{
    return a->ino == b->ino && (!a->generation || !b->generation || a->generation == b->generation) &&
           (!a->born || !b->born || a->born == b->born);
}

bool tail_identity_equal(const struct tail_identity *a, const struct tail_identity *b)
{
    return a->dev == b->dev && tail_identity_equal_but_device(a, b);
}

/* Reads until `size` bytes are there or the file ends. */
static ssize_t read_at(int fd, uint8_t *buffer, size_t size, uint64_t offset)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = pread(fd, buffer + got, size - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    return (ssize_t)got;
}

int tail_fingerprint_read(int fd, size_t limit, struct tail_fingerprint *ret)
{
    uint8_t head[TAIL_FINGERPRINT_MAX];
    ssize_t n = read_at(fd, head, limit < sizeof(head) ? limit : sizeof(head), 0);
    if (n < 0) {
        return (int)n;
    }
    *ret = (struct tail_fingerprint){.hash = tail_hash(head, (size_t)n), .length = (uint32_t)n};
    return 0;
}

int tail_fingerprint_check(int fd, const struct tail_fingerprint *known)
{
    struct tail_fingerprint now;
    if (known->length == 0) {
        return 1;
    }
    int r = tail_fingerprint_read(fd, known->length, &now);
    return r < 0 ? r : now.length == known->length && now.hash == known->hash;
}

int tail_fingerprint_extend(int fd, const struct tail_fingerprint *known, size_t length,
                            struct tail_fingerprint *ret)
{
    uint8_t head[TAIL_FINGERPRINT_MAX];
    ssize_t n = read_at(fd, head, length, 0);
    if (n < 0) {
        return (int)n;
    }
    if ((size_t)n < length || (known->length && tail_hash(head, known->length) != known->hash)) {
        return 0;
    }
    *ret = (struct tail_fingerprint){.hash = tail_hash(head, length), .length = (uint32_t)length};
    return 1;
}

int tail_token_read(int fd, uint64_t offset, uint64_t *ret)
{
    uint8_t bytes[TAIL_TOKEN_SPAN];
    size_t span = tail_token_span(offset);
    ssize_t n = read_at(fd, bytes, span, offset - span);
    if (n < 0) {
        return (int)n;
    }
    if ((size_t)n < span) {
        return -ENODATA;
    }
    *ret = tail_hash(bytes, span);
    return 0;
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, 8);
    return p + 8;
}

static const uint8_t *get64(const uint8_t *p, uint64_t *ret)
{
    memcpy(ret, p, 8);
    *ret = le64toh(*ret);
    return p + 8;
}

size_t tail_meta_encode(const struct tail_meta *meta, uint8_t ret[TAIL_META_MAX])
{
    const size_t path_max = TAIL_META_MAX - META_HEAD - META_MORE;
    size_t path_size = meta->path_size <= path_max ? meta->path_size : 0;
    const struct tail_packing *packing = &meta->packing;
    bool more = packing->packed || meta->gone || meta->missing || meta->anew;
    uint8_t *p = ret;
    *p++ = more ? META_VERSION : 1;
    *p++ = meta->away;
    p = put64(p, meta->identity.dev);
    p = put64(p, meta->identity.ino);
    p = put64(p, meta->identity.generation);
    p = put64(p, meta->identity.born);
    p = put64(p, meta->fingerprint.hash);
    uint32_t length = htole32(meta->fingerprint.length);
    memcpy(p, &length, 4);
    uint16_t size = htole16((uint16_t)path_size);
    memcpy(p + 4, &size, 2);
    if (path_size) {
        memcpy(p + 6, meta->path, path_size);
    }
    if (!more) {
        return META_HEAD + path_size;
    }
    p += 6 + path_size;
    *p++ = (uint8_t)((packing->packed ? FLAG_PACKED : 0) | (packing->skipped ? FLAG_SKIPPED : 0) |
                     (meta->gone ? FLAG_GONE : 0) | (meta->anew ? FLAG_ANEW : 0));
    p = put64(put64(p, packing->raw), packing->trail);
    put64(put64(p, packing->end), meta->missing);
    return META_HEAD + path_size + META_MORE;
}

int tail_meta_decode(const void *bytes, size_t size, struct tail_meta *ret)
{
    const uint8_t *p = bytes;
    if (!p || size < META_HEAD || p[0] < 1 || p[0] > META_VERSION || p[1] > 1) {
        return -EINVAL;
    }
    const size_t more = p[0] > 1 ? META_MORE : 0;
    struct tail_meta meta = {0};
    meta.away = p[1];
    p = get64(p + 2, &meta.identity.dev);
    p = get64(p, &meta.identity.ino);
    p = get64(p, &meta.identity.generation);
    p = get64(p, &meta.identity.born);
    p = get64(p, &meta.fingerprint.hash);
    uint32_t length;
    uint16_t path_size;
    memcpy(&length, p, 4);
    memcpy(&path_size, p + 4, 2);
    meta.fingerprint.length = le32toh(length);
    meta.path_size = le16toh(path_size);
    meta.path = (const char *)p + 6;
    if (meta.fingerprint.length > TAIL_FINGERPRINT_MAX || meta.path_size + META_HEAD + more != size ||
        memchr(meta.path, 0, meta.path_size) || (more && meta.path[meta.path_size] & ~FLAGS)) {
        return -EINVAL;
    }
    if (more) {
        p += 6 + meta.path_size;
        meta.packing.packed = *p & FLAG_PACKED;
        meta.packing.skipped = *p & FLAG_SKIPPED;
        meta.gone = *p & FLAG_GONE;
        meta.anew = *p & FLAG_ANEW;
        p = get64(get64(p + 1, &meta.packing.raw), &meta.packing.trail);
        get64(get64(p, &meta.packing.end), &meta.missing);
    }
    *ret = meta;
    return 0;
}
