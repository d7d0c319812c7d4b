/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/event.h: writing and reading records, the msgpack inside a chunk. Header-only, standard C99,
 * C11 or C++17, no state: any thread.
 *
 * A record is `[EventTime, {key: value, …}]`, as in the Fluentd Forward protocol:
 *     92                          an array of two
 *     d7 00 ssssssss nnnnnnnn     EventTime: ext type 0, seconds and nanoseconds, big endian
 *     8x …                        the map
 *
 * WRITERS do not check bounds: they take where to write and return where the next byte goes, and say
 * how many bytes they need at most. Reserve the sum once for each record (weir_draft's capacity), then write.
 *     uint8_t *p = draft->data + draft->size;
 *     p = weir_put_record(p, sec, nsec, 1);
 *     p = weir_put_str(p, "log", 3);
 *     p = weir_put_str(p, line, length);
 *
 * READERS check everything: no byte outside of [data, data + size) is touched whatever the bytes say,
 * nothing is allocated, and nesting costs no stack. What they return points into the data.
 *     struct weir_cursor cursor;
 *     struct weir_record record;
 *     weir_cursor_init(&cursor, chunk->data, chunk->size);
 *     while (weir_cursor_next(&cursor, &record) > 0) {
 *         struct weir_iter fields;
 *         struct weir_value key, value;
 *         weir_iter_record(&fields, &record);
 *         while (weir_iter_field(&fields, &key, &value) > 0)
 *             …
 *     }
 */
#ifndef WEIR_EVENT_H
#define WEIR_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEIR_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEIR_RARE      __attribute__((unused, noinline, cold)) static
#else
#define WEIR_LIKELY(x) (x)
#define WEIR_RARE      static inline
#endif

/* ---- Writers -------------------------------------------------------------------------------------- */

/* The most bytes that each writer needs; those of strings and binaries without their content. */
#define WEIR_MAX_ARRAY  5
#define WEIR_MAX_MAP    5
#define WEIR_MAX_STR    5
#define WEIR_MAX_BIN    5
#define WEIR_MAX_INT    9
#define WEIR_MAX_DOUBLE 9
#define WEIR_MAX_BOOL   1
#define WEIR_MAX_NIL    1
#define WEIR_MAX_TIME   10
#define WEIR_MAX_RECORD (1 + WEIR_MAX_TIME + WEIR_MAX_MAP)

static inline uint8_t *weir_put_be16(uint8_t *p, uint16_t n)
{
    p[0] = (uint8_t)(n >> 8);
    p[1] = (uint8_t)n;
    return p + 2;
}

static inline uint8_t *weir_put_be32(uint8_t *p, uint32_t n)
{
    p[0] = (uint8_t)(n >> 24);
    p[1] = (uint8_t)(n >> 16);
    p[2] = (uint8_t)(n >> 8);
    p[3] = (uint8_t)n;
    return p + 4;
}

static inline uint8_t *weir_put_be64(uint8_t *p, uint64_t n)
{
    return weir_put_be32(weir_put_be32(p, (uint32_t)(n >> 32)), (uint32_t)n);
}

/* An array of count values, which follow. At most WEIR_MAX_ARRAY. */
static inline uint8_t *weir_put_array(uint8_t *p, uint32_t count)
{
    if (count < 16) {
        *p = (uint8_t)(0x90 | count);
        return p + 1;
    }
    if (count < 0x10000) {
        *p = 0xdc;
        return weir_put_be16(p + 1, (uint16_t)count);
    }
    *p = 0xdd;
    return weir_put_be32(p + 1, count);
}

/* A map of count keys, each followed by its value. At most WEIR_MAX_MAP. */
static inline uint8_t *weir_put_map(uint8_t *p, uint32_t count)
{
    if (count < 16) {
        *p = (uint8_t)(0x80 | count);
        return p + 1;
    }
    if (count < 0x10000) {
        *p = 0xde;
        return weir_put_be16(p + 1, (uint16_t)count);
    }
    *p = 0xdf;
    return weir_put_be32(p + 1, count);
}

/* What stands before a string of `size` bytes. At most WEIR_MAX_STR. */
static inline uint8_t *weir_put_str_head(uint8_t *p, uint32_t size)
{
    if (size < 32) {
        *p = (uint8_t)(0xa0 | size);
        return p + 1;
    }
    if (size < 0x100) {
        p[0] = 0xd9;
        p[1] = (uint8_t)size;
        return p + 2;
    }
    if (size < 0x10000) {
        *p = 0xda;
        return weir_put_be16(p + 1, (uint16_t)size);
    }
    *p = 0xdb;
    return weir_put_be32(p + 1, size);
}

/* A string, any bytes. At most WEIR_MAX_STR + size. */
static inline uint8_t *weir_put_str(uint8_t *p, const void *data, uint32_t size)
{
    p = weir_put_str_head(p, size);
    if (size)
        memcpy(p, data, size);
    return p + size;
}

/* What stands before a binary of `size` bytes. At most WEIR_MAX_BIN. */
static inline uint8_t *weir_put_bin_head(uint8_t *p, uint32_t size)
{
    if (size < 0x100) {
        p[0] = 0xc4;
        p[1] = (uint8_t)size;
        return p + 2;
    }
    if (size < 0x10000) {
        *p = 0xc5;
        return weir_put_be16(p + 1, (uint16_t)size);
    }
    *p = 0xc6;
    return weir_put_be32(p + 1, size);
}

/* A binary. At most WEIR_MAX_BIN + size. */
static inline uint8_t *weir_put_bin(uint8_t *p, const void *data, uint32_t size)
{
    p = weir_put_bin_head(p, size);
    if (size)
        memcpy(p, data, size);
    return p + size;
}

/* At most WEIR_MAX_INT. */
static inline uint8_t *weir_put_uint(uint8_t *p, uint64_t n)
{
    if (n < 0x80) {
        *p = (uint8_t)n;
        return p + 1;
    }
    if (n < 0x100) {
        p[0] = 0xcc;
        p[1] = (uint8_t)n;
        return p + 2;
    }
    if (n < 0x10000) {
        *p = 0xcd;
        return weir_put_be16(p + 1, (uint16_t)n);
    }
    if (n <= UINT32_MAX) {
        *p = 0xce;
        return weir_put_be32(p + 1, (uint32_t)n);
    }
    *p = 0xcf;
    return weir_put_be64(p + 1, n);
}

/* At most WEIR_MAX_INT. */
static inline uint8_t *weir_put_int(uint8_t *p, int64_t n)
{
    if (n >= 0)
        return weir_put_uint(p, (uint64_t)n);
    if (n >= -32) {
        *p = (uint8_t)n;
        return p + 1;
    }
    if (n >= INT8_MIN) {
        p[0] = 0xd0;
        p[1] = (uint8_t)n;
        return p + 2;
    }
    if (n >= INT16_MIN) {
        *p = 0xd1;
        return weir_put_be16(p + 1, (uint16_t)n);
    }
    if (n >= INT32_MIN) {
        *p = 0xd2;
        return weir_put_be32(p + 1, (uint32_t)n);
    }
    *p = 0xd3;
    return weir_put_be64(p + 1, (uint64_t)n);
}

/* WEIR_MAX_DOUBLE. */
static inline uint8_t *weir_put_double(uint8_t *p, double n)
{
    uint64_t bits;

    memcpy(&bits, &n, sizeof(bits));
    *p = 0xcb;
    return weir_put_be64(p + 1, bits);
}

/* WEIR_MAX_BOOL. */
static inline uint8_t *weir_put_bool(uint8_t *p, bool b)
{
    *p = b ? 0xc3 : 0xc2;
    return p + 1;
}

/* WEIR_MAX_NIL. */
static inline uint8_t *weir_put_nil(uint8_t *p)
{
    *p = 0xc0;
    return p + 1;
}

/* An EventTime: seconds since 1970 and nanoseconds (below 1000000000). WEIR_MAX_TIME. */
static inline uint8_t *weir_put_time(uint8_t *p, uint32_t sec, uint32_t nsec)
{
    p[0] = 0xd7;
    p[1] = 0;
    return weir_put_be32(weir_put_be32(p + 2, sec), nsec);
}

/* The beginning of a record: `fields` keys, each with its value, are to follow. At most WEIR_MAX_RECORD. */
static inline uint8_t *weir_put_record(uint8_t *p, uint32_t sec, uint32_t nsec, uint32_t fields)
{
    *p = 0x92;
    return weir_put_map(weir_put_time(p + 1, sec, nsec), fields);
}

/* ---- Reading values ------------------------------------------------------------------------------- */

enum weir_type {
    WEIR_TYPE_NIL = 0,
    WEIR_TYPE_BOOL,
    WEIR_TYPE_UINT,   /* every integer that is not negative, however it was written */
    WEIR_TYPE_INT,    /* negative */
    WEIR_TYPE_DOUBLE, /* also a 32-bit float */
    WEIR_TYPE_STR,
    WEIR_TYPE_BIN,
    WEIR_TYPE_ARRAY,
    WEIR_TYPE_MAP,
    WEIR_TYPE_EXT
};

/* One value, pointing into the data that it was read from. */
struct weir_value {
    enum weir_type type;
    int8_t ext_type; /* EXT */
    uint32_t count;  /* ARRAY: values, MAP: pairs */
    union {
        bool boolean;
        uint64_t uint;
        int64_t integer;
        double number;
    } as;
    const uint8_t *data; /* STR, BIN, EXT: the content; ARRAY, MAP: the first value in it */
    size_t size;         /* of data, in bytes */
    const uint8_t *raw;  /* the whole value as msgpack */
    size_t raw_size;
};

static inline uint16_t weir_get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t weir_get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t weir_get_be64(const uint8_t *p)
{
    return (uint64_t)weir_get_be32(p) << 32 | weir_get_be32(p + 4);
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static inline uint64_t weir_get_be(const uint8_t *p, size_t width)
{
    switch (width) {
    case 1:
        return *p;
    case 2:
        return weir_get_be16(p);
    case 4:
        return weir_get_be32(p);
    default:
        return weir_get_be64(p);
    }
}

/* The same with its sign carried on. */
static inline int64_t weir_get_signed(const uint8_t *p, size_t width)
{
    switch (width) {
    case 1:
        return (int8_t)*p;
    case 2:
        return (int16_t)weir_get_be16(p);
    case 4:
        return (int32_t)weir_get_be32(p);
    default:
        return (int64_t)weir_get_be64(p);
    }
}

/* `width` bytes of length at p, then a type byte if EXT, then the content. NULL where it does not fit. */
static inline const uint8_t *weir_read_sized(const uint8_t *p, const uint8_t *end, size_t width,
                                             struct weir_value *ret)
{
    size_t lead = width + (ret->type == WEIR_TYPE_EXT);
    uint64_t size;

    if ((size_t)(end - p) < lead)
        return NULL;
    size = weir_get_be(p, width);
    if (ret->type == WEIR_TYPE_EXT)
        ret->ext_type = (int8_t)p[width];
    p += lead;
    if (size > (size_t)(end - p))
        return NULL;
    ret->data = p;
    ret->size = (size_t)size;
    return p + size;
}

/* The content of an ext whose size is known, after its first byte. */
static inline const uint8_t *weir_read_fixext(const uint8_t *p, const uint8_t *end, size_t size,
                                              struct weir_value *ret)
{
    if ((size_t)(end - p) < 1 + size)
        return NULL;
    ret->type = WEIR_TYPE_EXT;
    ret->ext_type = (int8_t)*p;
    ret->data = p + 1;
    ret->size = size;
    return p + 1 + size;
}

/* A number of `width` bytes behind the first byte `head`, which is one of ca to d3. */
static inline const uint8_t *weir_read_number(const uint8_t *p, const uint8_t *end, uint8_t head,
                                              struct weir_value *ret)
{
    size_t width = head < 0xcc ? (head == 0xca ? 4 : 8) : (size_t)1 << (head & 3);

    if ((size_t)(end - p) < width)
        return NULL;
    if (head == 0xca) {
        uint32_t bits = weir_get_be32(p);
        float number;
        memcpy(&number, &bits, sizeof(number));
        ret->type = WEIR_TYPE_DOUBLE;
        ret->as.number = (double)number;
    } else if (head == 0xcb) {
        uint64_t bits = weir_get_be64(p);
        ret->type = WEIR_TYPE_DOUBLE;
        memcpy(&ret->as.number, &bits, sizeof(bits));
    } else if (head < 0xd0 || (*p & 0x80) == 0) {
        ret->type = WEIR_TYPE_UINT;
        ret->as.uint = weir_get_be(p, width);
    } else {
        ret->type = WEIR_TYPE_INT;
        ret->as.integer = weir_get_signed(p, width);
    }
    return p + width;
}

static inline const uint8_t *weir_read_container(const uint8_t *p, const uint8_t *end, size_t width,
                                                 struct weir_value *ret)
{
    if ((size_t)(end - p) < width)
        return NULL;
    ret->count = (uint32_t)weir_get_be(p, width);
    return p + width;
}

/* The values whose first byte is c0 to df, read from behind that byte. */
static inline const uint8_t *weir_read_long_head(const uint8_t *p, const uint8_t *end, uint8_t head,
                                                 struct weir_value *ret)
{
    switch (head) {
    case 0xc0:
        ret->type = WEIR_TYPE_NIL;
        return p;
    case 0xc2:
    case 0xc3:
        ret->type = WEIR_TYPE_BOOL;
        ret->as.boolean = head == 0xc3;
        return p;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        ret->type = WEIR_TYPE_BIN;
        return weir_read_sized(p, end, (size_t)1 << (head - 0xc4), ret);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        ret->type = WEIR_TYPE_EXT;
        return weir_read_sized(p, end, (size_t)1 << (head - 0xc7), ret);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return weir_read_fixext(p, end, (size_t)1 << (head - 0xd4), ret);
    case 0xd9:
    case 0xda:
    case 0xdb:
        ret->type = WEIR_TYPE_STR;
        return weir_read_sized(p, end, (size_t)1 << (head - 0xd9), ret);
    case 0xdc:
    case 0xdd:
        ret->type = WEIR_TYPE_ARRAY;
        return weir_read_container(p, end, head == 0xdc ? 2 : 4, ret);
    case 0xde:
    case 0xdf:
        ret->type = WEIR_TYPE_MAP;
        return weir_read_container(p, end, head == 0xde ? 2 : 4, ret);
    case 0xc1: /* never used by msgpack */
        return NULL;
    default:
        return weir_read_number(p, end, head, ret);
    }
}

/*
 * Reads one value, of an array or a map the head only: returns where its first value stands (else what
 * comes after the value), or NULL where the bytes are cut short or no msgpack. Of *ret, type and what
 * belongs to the type is set; data and size not for ARRAY and MAP, raw and raw_size never.
 */
static inline const uint8_t *weir_read_head(const uint8_t *p, const uint8_t *end, struct weir_value *ret)
{
    uint8_t head;

    if (p >= end)
        return NULL;
    head = *p++;
    if ((head & 0xe0) == 0xa0) {
        size_t size = head & 31;
        ret->type = WEIR_TYPE_STR;
        ret->data = p;
        ret->size = size;
        return size <= (size_t)(end - p) ? p + size : NULL;
    }
    if (head < 0x80) {
        ret->type = WEIR_TYPE_UINT;
        ret->as.uint = head;
        return p;
    }
    if (head >= 0xe0) {
        ret->type = WEIR_TYPE_INT;
        ret->as.integer = (int8_t)head;
        return p;
    }
    if (head < 0xa0) {
        ret->type = head < 0x90 ? WEIR_TYPE_MAP : WEIR_TYPE_ARRAY;
        ret->count = head & 15;
        return p;
    }
    return weir_read_long_head(p, end, head, ret);
}

/* How many values stand directly in an array or a map (keys are values); 0 for all others. */
static inline uint64_t weir_value_children(const struct weir_value *value)
{
    if (value->type == WEIR_TYPE_MAP)
        return (uint64_t)value->count * 2;
    return value->type == WEIR_TYPE_ARRAY ? value->count : 0;
}

/*
 * Behind `count` values with all that is in them, or NULL. A count of what is still to come is all that it
 * keeps, so no depth of nesting can hurt it; every value has a byte at least, so no count makes it
 * run longer than there are bytes.
 */
static inline const uint8_t *weir_skip_values(const uint8_t *p, const uint8_t *end, uint64_t count)
{
    struct weir_value value;

    for (; count; count--) {
        if (count > (uint64_t)(end - p))
            return NULL;
        p = weir_read_head(p, end, &value);
        if (!p)
            return NULL;
        count += weir_value_children(&value);
    }
    return p;
}

/* Behind one whole value, or NULL where it is cut short or no msgpack. */
static inline const uint8_t *weir_skip_value(const uint8_t *p, const uint8_t *end)
{
    return weir_skip_values(p, end, 1);
}

/* Reads one whole value with every member of *ret; returns what comes after it, or NULL. */
static inline const uint8_t *weir_read_value(const uint8_t *p, const uint8_t *end, struct weir_value *ret)
{
    const uint8_t *next = weir_read_head(p, end, ret);

    if (!next)
        return NULL;
    if (ret->type == WEIR_TYPE_ARRAY || ret->type == WEIR_TYPE_MAP) {
        ret->data = next;
        next = weir_skip_values(next, end, weir_value_children(ret));
        if (!next)
            return NULL;
        ret->size = (size_t)(next - ret->data);
    }
    ret->raw = p;
    ret->raw_size = (size_t)(next - p);
    return next;
}

/* ---- Reading records ------------------------------------------------------------------------------ */

/* The years 1 to 9999. A time outside of it, or not a number, is read as 0. */
#define WEIR_TIME_MIN (-62135596800)
#define WEIR_TIME_MAX 253402300799

struct weir_record {
    int64_t sec;         /* since 1970, from WEIR_TIME_MIN to WEIR_TIME_MAX */
    uint32_t nsec;       /* always below 1000000000 */
    uint32_t count;      /* pairs in the map */
    const uint8_t *data; /* the whole record */
    size_t size;
    const uint8_t *body; /* the first key; the pairs end where the record does */
};

struct weir_cursor {
    const uint8_t *next; /* the record that is read next; after a -1 the one that is malformed */
    const uint8_t *end;
};

static inline void weir_cursor_init(struct weir_cursor *cursor, const void *data, size_t size)
{
    cursor->next = (const uint8_t *)data;
    cursor->end = cursor->next + size;
}

/* Seconds with a fraction, as some peers send them. */
static inline void weir_time_from_double(double time, struct weir_record *ret)
{
    ret->sec = 0;
    ret->nsec = 0;
    if (!(time >= WEIR_TIME_MIN && time < WEIR_TIME_MAX))
        return;
    ret->sec = (int64_t)time;
    if ((double)ret->sec > time)
        ret->sec--;
    ret->nsec = (uint32_t)((time - (double)ret->sec) * 1e9);
    if (ret->nsec > 999999999)
        ret->nsec = 999999999;
}

/* The time of a record in any of the forms in use; false where it is no time. */
static inline bool weir_time_from_value(const struct weir_value *value, struct weir_record *ret)
{
    ret->nsec = 0;
    switch (value->type) {
    case WEIR_TYPE_EXT:
        if (value->ext_type != 0 || value->size != 8)
            return false;
        ret->sec = weir_get_be32(value->data);
        ret->nsec = weir_get_be32(value->data + 4);
        if (ret->nsec > 999999999)
            ret->nsec = 999999999;
        return true;
    case WEIR_TYPE_UINT:
        ret->sec = value->as.uint > (uint64_t)WEIR_TIME_MAX ? 0 : (int64_t)value->as.uint;
        return true;
    case WEIR_TYPE_INT:
        ret->sec = value->as.integer < WEIR_TIME_MIN ? 0 : value->as.integer;
        return true;
    case WEIR_TYPE_DOUBLE:
        weir_time_from_double(value->as.number, ret);
        return true;
    default:
        return false;
    }
}

/* Reads a record of any layout: [time, map] or [[time, metadata], map]. NULL where it is malformed. */
WEIR_RARE const uint8_t *weir_read_record(const uint8_t *p, const uint8_t *end, struct weir_record *ret)
{
    struct weir_value value;
    const uint8_t *start = p;
    bool metadata = false;

    p = weir_read_head(p, end, &value);
    if (!p || value.type != WEIR_TYPE_ARRAY || value.count != 2)
        return NULL;
    p = weir_read_head(p, end, &value);
    if (p && value.type == WEIR_TYPE_ARRAY && value.count == 2) {
        metadata = true;
        p = weir_read_head(p, end, &value);
    }
    if (!p || !weir_time_from_value(&value, ret))
        return NULL;
    if (metadata)
        p = weir_skip_value(p, end);
    if (p)
        p = weir_read_head(p, end, &value);
    if (!p || value.type != WEIR_TYPE_MAP)
        return NULL;
    ret->count = value.count;
    ret->data = start;
    ret->body = p;
    p = weir_skip_values(p, end, weir_value_children(&value));
    if (p)
        ret->size = (size_t)(p - start);
    return p;
}

/*
 * The usual record, EventTime and one pair of short key and string, without the general reader's
 * decisions. NULL where it is another.
 */
static inline const uint8_t *weir_read_plain_record(const uint8_t *p, const uint8_t *end,
                                                    struct weir_record *ret)
{
    const uint8_t *value;
    size_t size;

    /* The longest head: 12 bytes of record, a key of 32, the value's 5. */
    if (end - p < 12 + 32 + 5 || (weir_get_be32(p) & 0xffffff00) != 0x92d70000 || p[11] != 0x81 ||
        (p[12] & 0xe0) != 0xa0)
        return NULL;
    value = p + 13 + (p[12] & 31);
    if (*value == 0xd9) {
        size = value[1];
        value += 2;
    } else if (*value == 0xda) {
        size = weir_get_be16(value + 1);
        value += 3;
    } else if ((*value & 0xe0) == 0xa0) {
        size = *value & 31;
        value += 1;
    } else if (*value == 0xdb) {
        size = weir_get_be32(value + 1);
        value += 5;
    } else {
        return NULL;
    }
    if (size > (size_t)(end - value))
        return NULL;
    ret->sec = weir_get_be32(p + 3);
    ret->nsec = weir_get_be32(p + 7);
    ret->nsec = ret->nsec > 999999999 ? 999999999 : ret->nsec;
    ret->count = 1;
    ret->data = p;
    ret->body = p + 12;
    ret->size = (size_t)(value + size - p);
    return value + size;
}

/*
 * 1 and the next record in *ret, 0 at the end, -1 where the bytes are cut short or no record: the cursor
 * then stays where it is. What is in a record that was returned is well-formed to its last byte.
 */
static inline int weir_cursor_next(struct weir_cursor *cursor, struct weir_record *ret)
{
    const uint8_t *next;

    if (cursor->next == cursor->end)
        return 0;
    next = weir_read_plain_record(cursor->next, cursor->end, ret);
    if (!WEIR_LIKELY(next)) {
        next = weir_read_record(cursor->next, cursor->end, ret);
        if (!next)
            return -1;
    }
    cursor->next = next;
    return 1;
}

/* ---- What is in a record, an array or a map ------------------------------------------------------- */

struct weir_iter {
    const uint8_t *next;
    const uint8_t *end;
    uint64_t left; /* values to come */
};

static inline void weir_iter_record(struct weir_iter *iter, const struct weir_record *record)
{
    iter->next = record->body;
    iter->end = record->data + record->size;
    iter->left = (uint64_t)record->count * 2;
}

/* Of an ARRAY or a MAP that weir_read_value or an iteration returned; of all others: empty. */
static inline void weir_iter_value(struct weir_iter *iter, const struct weir_value *value)
{
    iter->left = weir_value_children(value);
    iter->next = iter->left ? value->data : NULL;
    iter->end = iter->left ? value->data + value->size : NULL;
}

/* 1 and the next value, 0 at the end, -1 where it is malformed (not in a record from a cursor). */
static inline int weir_iter_next(struct weir_iter *iter, struct weir_value *ret)
{
    const uint8_t *next;

    if (!iter->left)
        return 0;
    next = weir_read_value(iter->next, iter->end, ret);
    if (!next)
        return -1;
    iter->next = next;
    iter->left--;
    return 1;
}

/* The next pair of a record or a map, as weir_iter_next. A key need not be a string. */
static inline int weir_iter_field(struct weir_iter *iter, struct weir_value *ret_key,
                                  struct weir_value *ret_value)
{
    int got = weir_iter_next(iter, ret_key);

    if (got <= 0)
        return got;
    return weir_iter_next(iter, ret_value) > 0 ? 1 : -1;
}

/* The value of the record's first field of that name; false where it has none. */
static inline bool weir_record_find(const struct weir_record *record, const char *name, size_t size,
                                    struct weir_value *ret)
{
    const uint8_t *p = record->body, *end = record->data + record->size;
    struct weir_value key;
    uint32_t left;

    for (left = record->count; p && left; left--) {
        p = weir_read_head(p, end, &key);
        if (!p)
            break;
        if (key.type == WEIR_TYPE_STR && key.size == size && memcmp(key.data, name, size) == 0)
            return weir_read_value(p, end, ret) != NULL;
        /* The rest of the key, where it is no scalar, and the value. */
        p = weir_skip_values(p, end, weir_value_children(&key) + 1);
    }
    return false;
}

#ifdef __cplusplus
}
#endif
#endif
