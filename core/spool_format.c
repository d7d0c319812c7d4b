/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a spool to structures and back. Trusts nothing that it reads. No state, any thread. */
#include "spool_format.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char segment_magic[8] = "WEIRSEG\n", acks_magic[8] = "WEIRACK\n", chunk_magic[4] = "wCh\n";

enum { ACKS_HEAD = 40, ACKS_ITEM = 16, SUM = 8 };

static uint8_t *put32(uint8_t *to, uint32_t value)
{
    value = htole32(value);
    return (uint8_t *)mempcpy(to, &value, sizeof(value));
}

static uint8_t *put64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    return (uint8_t *)mempcpy(to, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return le32toh(value);
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value));
    return le64toh(value);
}

/* -- Segments --------------------------------------------------------------------------------------- */

void spool_put_segment(uint8_t to[SPOOL_SEGMENT_HEAD], const struct spool_segment_head *h)
{
    uint8_t *p = mempcpy(to, segment_magic, sizeof(segment_magic));

    p = put32(p, h->version);
    p = put32(p, 0);
    p = put64(p, h->first);
    p = put64(p, h->owner);
    p = put64(p, 0);
    put64(p, XXH3_64bits(to, (size_t)(p - to)));
}

int spool_get_segment(const uint8_t *data, size_t size, struct spool_segment_head *ret)
{
    if (size < SPOOL_SEGMENT_HEAD || memcmp(data, segment_magic, sizeof(segment_magic)) != 0 ||
        get64(data + SPOOL_SEGMENT_HEAD - SUM) != XXH3_64bits(data, SPOOL_SEGMENT_HEAD - SUM))
        return -EBADMSG;
    *ret = (struct spool_segment_head){
        .version = get32(data + 8), .first = get64(data + 16), .owner = get64(data + 24)};
    return ret->version > SPOOL_VERSION ? -EPROTONOSUPPORT : 0;
}

/* -- Chunks ----------------------------------------------------------------------------------------- */

void spool_put_chunk(uint8_t to[SPOOL_CHUNK_HEAD], const struct spool_chunk_head *h)
{
    uint8_t *p = mempcpy(to, chunk_magic, sizeof(chunk_magic));

    p = put32(p, 0); /* the sum */
    p = put64(p, h->body_sum);
    p = put64(p, h->number);
    p = put64(p, h->time);
    p = put32(p, h->size);
    p = put32(p, h->records);
    p = put32(p, h->tag_size);
    put32(p, h->topic_size);
    put32(to + 4, (uint32_t)XXH3_64bits(to + 8, SPOOL_CHUNK_HEAD - 8));
}

int spool_get_chunk(const uint8_t *data, size_t size, struct spool_chunk_head *ret)
{
    if (size < SPOOL_CHUNK_HEAD || memcmp(data, chunk_magic, sizeof(chunk_magic)) != 0 ||
        get32(data + 4) != (uint32_t)XXH3_64bits(data + 8, SPOOL_CHUNK_HEAD - 8))
        return -EBADMSG;
    *ret = (struct spool_chunk_head){
        .body_sum = get64(data + 8),
        .number = get64(data + 16),
        .time = get64(data + 24),
        .size = get32(data + 32),
        .records = get32(data + 36),
        .tag_size = get32(data + 40),
        .topic_size = get32(data + 44),
    };
    return ret->records && ret->size ? 0 : -EBADMSG;
}

uint64_t spool_chunk_size(const struct spool_chunk_head *h)
{
    return SPOOL_CHUNK_HEAD + (uint64_t)h->tag_size + h->topic_size + h->size;
}

uint64_t spool_body_sum(uint64_t number, const void *tag, size_t tag_size, const void *topic,
                        size_t topic_size, const void *records, size_t size)
{
    uint64_t names = XXH3_64bits_withSeed(topic, topic_size, XXH3_64bits_withSeed(tag, tag_size, number));

    return XXH3_64bits_withSeed(records, size, names);
}

bool spool_body_is_good(const struct spool_chunk_head *h, const uint8_t *body)
{
    size_t names = (size_t)h->tag_size + h->topic_size;

    return spool_body_sum(h->number, body, h->tag_size, body + h->tag_size, h->topic_size, body + names,
                          h->size) == h->body_sum;
}

int spool_find_chunk(const uint8_t *data, size_t size, size_t at, uint64_t least,
                     struct spool_chunk_head *ret, size_t *ret_at)
{
    while (at < size) {
        const uint8_t *found = memmem(data + at, size - at, chunk_magic, sizeof(chunk_magic));
        if (!found)
            break;
        at = (size_t)(found - data);
        if (spool_get_chunk(found, size - at, ret) == 0 && ret->number >= least &&
            spool_chunk_size(ret) <= size - at) {
            *ret_at = at;
            return 0;
        }
        at++;
    }
    return -ENOENT;
}

/* -- What is acknowledged --------------------------------------------------------------------------- */

uint8_t *spool_put_acks(const struct spool_acks *a, size_t *ret_size)
{
    size_t size = ACKS_HEAD + a->count * ACKS_ITEM + a->output_count * sizeof(uint64_t) + SUM;
    uint8_t *data = malloc(size), *p = data;

    if (!data)
        return NULL;
    p = mempcpy(p, acks_magic, sizeof(acks_magic));
    p = put32(p, SPOOL_VERSION);
    p = put32(p, (uint32_t)a->count);
    p = put64(p, a->output_count);
    p = put64(p, a->low);
    p = put64(p, a->next);
    for (size_t i = 0; i < a->count; i++) {
        p = put64(p, a->items[i].number);
        p = put32(p, a->items[i].count);
        p = put32(p, a->items[i].first);
    }
    for (size_t i = 0; i < a->output_count; i++)
        p = put64(p, a->outputs[i]);
    put64(p, XXH3_64bits(data, size - SUM));
    *ret_size = size;
    return data;
}

/* Every item's outputs lie within the list, and numbers go up. */
static bool acks_are_sound(const struct spool_acks *a)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct spool_acks_item *item = &a->items[i];
        if (item->first > a->output_count || item->count > a->output_count - item->first ||
            (i && item->number <= a->items[i - 1].number))
            return false;
    }
    return a->low <= a->next;
}

static int read_acks(const uint8_t *p, struct spool_acks *a)
{
    a->items = calloc(a->count + 1, sizeof(*a->items));
    a->outputs = calloc(a->output_count + 1, sizeof(*a->outputs));
    if (!a->items || !a->outputs)
        return -ENOMEM;
    for (size_t i = 0; i < a->count; i++, p += ACKS_ITEM)
        a->items[i] = (struct spool_acks_item){get64(p), get32(p + 8), get32(p + 12)};
    for (size_t i = 0; i < a->output_count; i++, p += sizeof(uint64_t))
        a->outputs[i] = get64(p);
    return acks_are_sound(a) ? 0 : -EBADMSG;
}

int spool_get_acks(const uint8_t *data, size_t size, struct spool_acks *ret)
{
    if (size < ACKS_HEAD + SUM || memcmp(data, acks_magic, sizeof(acks_magic)) != 0 ||
        get64(data + size - SUM) != XXH3_64bits(data, size - SUM))
        return -EBADMSG;
    if (get32(data + 8) > SPOOL_VERSION)
        return -EPROTONOSUPPORT;
    struct spool_acks a = {.count = get32(data + 12),
                           .output_count = get64(data + 16),
                           .low = get64(data + 24),
                           .next = get64(data + 32)};
    size_t room = size - ACKS_HEAD - SUM;
    if (a.output_count > room / sizeof(uint64_t) ||
        room != a.count * ACKS_ITEM + a.output_count * sizeof(uint64_t))
        return -EBADMSG;
    int rc = read_acks(data + ACKS_HEAD, &a);
    if (rc < 0)
        spool_free_acks(&a);
    else
        *ret = a;
    return rc;
}

void spool_free_acks(struct spool_acks *a)
{
    free(a->items);
    free(a->outputs);
    *a = (struct spool_acks){0};
}

static int compare_item(const void *key, const void *item)
{
    uint64_t number = *(const uint64_t *)key, other = ((const struct spool_acks_item *)item)->number;

    return (number > other) - (number < other);
}

const struct spool_acks_item *spool_acks_item(const struct spool_acks *a, uint64_t number)
{
    return a->count ? bsearch(&number, a->items, a->count, sizeof(*a->items), compare_item) : NULL;
}

bool spool_acks_has(const struct spool_acks *a, uint64_t number)
{
    return number < a->low || (number < a->next && !spool_acks_item(a, number));
}

uint64_t spool_acks_open(const struct spool_acks *a, uint64_t from, uint64_t to)
{
    uint64_t count = 0;

    for (size_t i = 0; i < a->count && a->items[i].number < to; i++)
        count += a->items[i].number >= from;
    if (from < a->next)
        from = a->next;
    return to > from ? count + (to - from) : count;
}
