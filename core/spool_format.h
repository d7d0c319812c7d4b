/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a spool, and nothing but bytes: segments of chunks, and the file of what is acknowledged. All
 * numbers are little endian, all sums XXH3. No state, any thread.
 *
 * A segment is a head of 48 bytes and chunks, one after the other: a head of 48 bytes, tag, topic, records. A
 * chunk's head has a sum of its own, so that after damage the next good one can be found; it holds the
 * chunk's number, which goes up from chunk to chunk, though not always by one.
 */
#ifndef WEIR_CORE_SPOOL_FORMAT_H
#define WEIR_CORE_SPOOL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_VERSION      1u
#define SPOOL_SEGMENT_HEAD 48u
#define SPOOL_CHUNK_HEAD   48u

struct spool_segment_head {
    uint32_t version;
    uint64_t first; /* number of its first chunk */
    uint64_t owner; /* XXH3 of the input's identity */
};

struct spool_chunk_head {
    uint64_t number;
    uint64_t time;     /* when it was written: ns since 1970 */
    uint64_t body_sum; /* of tag, topic and records, each seeded with what is before it, the first with the
                          number */
    uint32_t size;     /* of the records */
    uint32_t records;
    uint32_t tag_size, topic_size;
};

void spool_put_segment(uint8_t to[SPOOL_SEGMENT_HEAD], const struct spool_segment_head *);
/* 0; -EBADMSG: too short, or damaged; -EPROTONOSUPPORT: of a newer weir. */
int spool_get_segment(const uint8_t *data, size_t size, struct spool_segment_head *ret);

void spool_put_chunk(uint8_t to[SPOOL_CHUNK_HEAD], const struct spool_chunk_head *);
/* 0 or -EBADMSG. */
int spool_get_chunk(const uint8_t *data, size_t size, struct spool_chunk_head *ret);
/* Bytes of the whole chunk. */
uint64_t spool_chunk_size(const struct spool_chunk_head *);
uint64_t spool_body_sum(uint64_t number, const void *tag, size_t tag_size, const void *topic,
                        size_t topic_size, const void *records, size_t size);
/* Whether the body, which lies in one piece, is the one that was written. */
bool spool_body_is_good(const struct spool_chunk_head *, const uint8_t *body);

/*
 * The first chunk at `at` or behind it whose head is good, whose number is at least `least`, and which lies
 * within `size` as a whole. 0 with *ret_at, or -ENOENT.
 */
int spool_find_chunk(const uint8_t *data, size_t size, size_t at, uint64_t least,
                     struct spool_chunk_head *ret, size_t *ret_at);

/*
 * What is acknowledged: every chunk below `low`; from there to below `next` those that are not listed, and of
 * the listed ones, what the outputs of those hashes were to have; from `next` on nothing.
 */
struct spool_acks_item {
    uint64_t number;
    uint32_t count, first; /* of `outputs` */
};

struct spool_acks {
    uint64_t low, next;
    struct spool_acks_item *items; /* numbers go up */
    size_t count;
    uint64_t *outputs;
    size_t output_count;
};

/* Memory of *ret_size bytes for the caller to free, or NULL. */
uint8_t *spool_put_acks(const struct spool_acks *, size_t *ret_size);
/* 0, -EBADMSG, -EPROTONOSUPPORT or -ENOMEM. */
int spool_get_acks(const uint8_t *data, size_t size, struct spool_acks *ret);
void spool_free_acks(struct spool_acks *);
/* The item of that number, or NULL. */
const struct spool_acks_item *spool_acks_item(const struct spool_acks *, uint64_t number);
bool spool_acks_has(const struct spool_acks *, uint64_t number); /* every output has it */
/* How many numbers from `from` to below `to` not every output has. */
uint64_t spool_acks_open(const struct spool_acks *, uint64_t from, uint64_t to);

#endif
