/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/json.h: records and values as JSON text. Header-only, C99, C11 or C++17. Any thread, one at a
 * time for each buffer and each style.
 *
 * What comes out is valid JSON (RFC 8259) in valid UTF-8, whatever goes in:
 *   - strings, binaries: a string. Bytes that are no UTF-8 (also surrogates, overlong forms, beyond U+10FFFF)
 *     become U+FFFD, one for each maximal subpart, as WHATWG's decoder and Python's do it
 *   - integers: as they are; doubles: with as many digits as bring the same number back, 1.0 not 1
 *   - NaN, infinities: null
 *   - ext: a string of its content in hex
 *   - map keys that are no string or binary: the string of their JSON text
 *   - nesting: WEIR_JSON_DEPTH levels; a value that is deeper is refused as a whole
 */
#ifndef WEIR_JSON_H
#define WEIR_JSON_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir/event.h>

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#define WEIR_JSON_X86 1
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_JSON_DEPTH 64

/* ---- The buffer ----------------------------------------------------------------------------------- */

/* Text that grows. All zero is an empty one; `size` may be set back to drop text from the end. */
struct weir_json {
    char *data;
    size_t size;
    size_t capacity;
};

static inline void weir_json_finish(struct weir_json *json)
{
    free(json->data);
    memset(json, 0, sizeof(*json));
}

WEIR_RARE int weir_json_grow(struct weir_json *json, size_t room)
{
    size_t capacity = json->capacity ? json->capacity : 512;
    char *data;

    if (room > SIZE_MAX / 4 - json->size)
        return -ENOMEM;
    while (capacity - json->size < room)
        capacity *= 2;
    data = (char *)realloc(json->data, capacity);
    if (!data)
        return -ENOMEM;
    json->data = data;
    json->capacity = capacity;
    return 0;
}

/* Makes room for that many bytes more. 0 or -ENOMEM, and then nothing changes. */
static inline int weir_json_reserve(struct weir_json *json, size_t room)
{
    return WEIR_LIKELY(json->capacity - json->size >= room) ? 0 : weir_json_grow(json, room);
}

/* Appends text as it is. 0 or -ENOMEM. */
static inline int weir_json_text(struct weir_json *json, const void *text, size_t size)
{
    int rc = weir_json_reserve(json, size);

    if (rc)
        return rc;
    if (size)
        memcpy(json->data + json->size, text, size);
    json->size += size;
    return 0;
}

/* ---- Strings -------------------------------------------------------------------------------------- */

/*
 * The escape functions below write what belongs between the quotes and return the end of it. They
 * store whole blocks and keep the part that needed no change, so dst must have room for
 * WEIR_JSON_ROOM(end - src) bytes. One comparison finds both what must be escaped and what is not ASCII.
 */
#define WEIR_JSON_ROOM(size) ((size)*6 + 64)

/* \uXXXX or a short form for a control character, a quote or a backslash. */
static inline char *weir_json_put_escape(char *dst, uint8_t c)
{
    static const char forms[33] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";
    static const char hex[17] = "0123456789abcdef";

    dst[0] = '\\';
    dst[1] = c < 0x20 ? forms[c] : (char)c;
    if (dst[1] != 'u')
        return dst + 2;
    dst[2] = '0';
    dst[3] = '0';
    dst[4] = hex[c >> 4];
    dst[5] = hex[c & 15];
    return dst + 6;
}

static inline bool weir_json_is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/*
 * Looks at the sequence that the byte at src (80 or above) begins. Returns how many bytes are well-formed
 * UTF-8; or 0, and *ret_bad bytes are to be replaced by one U+FFFD.
 */
static inline size_t weir_json_utf8(const uint8_t *src, const uint8_t *end, size_t *ret_bad)
{
    uint8_t lead = src[0], low = 0x80, high = 0xbf;
    size_t length, i;

    *ret_bad = 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead == 0xe0)
        low = 0xa0; /* below: overlong */
    else if (lead == 0xed)
        high = 0x9f; /* above: surrogates */
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f; /* above: beyond U+10FFFF */
    for (i = 1; i < length; i++) {
        if (src + i == end || src[i] < low || src[i] > high) {
            *ret_bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return length;
}

static inline uint64_t weir_json_load8(const void *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}

/* The top bit of each byte of x that is not plain ASCII or must be escaped; exact for every byte. */
static inline uint64_t weir_json_special8(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t low = x & ones * 0x7f;
    uint64_t plain =
        (low + ones * 0x60) & ((low ^ ones * '"') + ones * 0x7f) & ((low ^ ones * '\\') + ones * 0x7f);

    return (x | ~plain) & ones * 0x80;
}

/* The index of the first byte in memory that has its bit set. */
static inline size_t weir_json_first8(uint64_t special)
{
#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (size_t)__builtin_ctzll(special) / 8;
#else
    uint8_t bytes[8];
    size_t i = 0;
    memcpy(bytes, &special, 8);
    while (!bytes[i])
        i++;
    return i;
#endif
}

/*
 * Text that is not ASCII, from a byte of 80 or above until eight plain bytes in a row come (or a byte to be
 * escaped, or the end). Returns where it stopped.
 */
WEIR_RARE const uint8_t *weir_json_escape_wide(char **dst, const uint8_t *src, const uint8_t *end)
{
    char *out = *dst;

    while (src < end) {
        size_t bad, length;
        if (*src < 0x80) {
            if (!weir_json_is_plain(*src) ||
                (end - src >= 8 && weir_json_special8(weir_json_load8(src)) == 0))
                break;
            *out++ = (char)*src++;
        } else if (end - src >= 2 && *src >= 0xc2 && *src < 0xe0 && (src[1] & 0xc0) == 0x80) {
            memcpy(out, src, 2);
            out += 2;
            src += 2;
        } else if ((length = weir_json_utf8(src, end, &bad)) != 0) {
            memcpy(out, src, length);
            out += length;
            src += length;
        } else {
            memcpy(out, "\xef\xbf\xbd", 3);
            out += 3;
            src += bad;
        }
    }
    *dst = out;
    return src;
}

/* What is at src needs more than copying: does that, and returns where it goes on. */
static inline const uint8_t *weir_json_escape_special(char **dst, const uint8_t *src, const uint8_t *end)
{
    if (*src >= 0x80)
        return weir_json_escape_wide(dst, src, end);
    *dst = weir_json_put_escape(*dst, *src);
    return src + 1;
}

/* Fewer than eight bytes. */
static inline char *weir_json_escape_tail(char *dst, const uint8_t *src, const uint8_t *end)
{
    if (end - src >= 4) {
        uint32_t first, last;
        memcpy(&first, src, 4);
        memcpy(&last, end - 4, 4);
        if (weir_json_special8((uint64_t)last << 32 | first) == 0) {
            memcpy(dst, &first, 4);
            memcpy(dst + (end - 4 - src), &last, 4);
            return dst + (end - src);
        }
    }
    while (src < end) {
        if (weir_json_is_plain(*src))
            *dst++ = (char)*src++;
        else
            src = weir_json_escape_special(&dst, src, end);
    }
    return dst;
}

/* Eight bytes at a time, on every machine. */
static inline char *weir_json_escape_portable(char *dst, const uint8_t *src, const uint8_t *end)
{
    while (end - src >= 8) {
        uint64_t block = weir_json_load8(src);
        uint64_t special = weir_json_special8(block);
        memcpy(dst, &block, 8);
        if (!special) {
            src += 8;
            dst += 8;
        } else {
            size_t clean = weir_json_first8(special);
            dst += clean;
            src = weir_json_escape_special(&dst, src + clean, end);
        }
    }
    return weir_json_escape_tail(dst, src, end);
}

#ifdef WEIR_JSON_X86
/* A bit for each byte that is special; as signed numbers, control characters and all that is not ASCII are
 * below 20. */
static inline uint32_t weir_json_special16(__m128i x)
{
    __m128i special = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    return (uint32_t)_mm_movemask_epi8(special);
}

static inline char *weir_json_escape_sse2(char *dst, const uint8_t *src, const uint8_t *end)
{
    while (end - src >= 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)src);
        uint32_t special = weir_json_special16(block);
        _mm_storeu_si128((__m128i *)(void *)dst, block);
        if (!special) {
            src += 16;
            dst += 16;
        } else {
            size_t clean = (size_t)__builtin_ctz(special);
            dst += clean;
            src = weir_json_escape_special(&dst, src + clean, end);
        }
    }
    return weir_json_escape_portable(dst, src, end);
}

__attribute__((target("avx2"))) static inline uint32_t weir_json_special32(__m256i x)
{
    __m256i special = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), x);
    special = _mm256_or_si256(special, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('"')));
    special = _mm256_or_si256(special, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\\')));
    return (uint32_t)_mm256_movemask_epi8(special);
}

/*
 * One block of 32 bytes, of which those in `special` can't just be copied. Goes from one to the next by the
 * mask that is there already, as loading and comparing again behind each would make one wait for the other.
 * Stops behind the block, or earlier behind text that is not ASCII. Reads up to 64 bytes from src.
 */
__attribute__((target("avx2"))) static inline const uint8_t *weir_json_escape_block(char **dst,
                                                                                    const uint8_t *src,
                                                                                    const uint8_t *end,
                                                                                    uint32_t special)
{
    const uint8_t *block = src;
    char *out = *dst;

    do {
        const uint8_t *next = block + __builtin_ctz(special);
        out += next - src;
        if (*next >= 0x80) {
            *dst = out;
            return weir_json_escape_wide(dst, next, end);
        }
        out = weir_json_put_escape(out, *next);
        src = next + 1;
        _mm256_storeu_si256((__m256i *)(void *)out, _mm256_loadu_si256((const __m256i *)(const void *)src));
        special &= special - 1;
    } while (special);
    *dst = out + (block + 32 - src);
    return block + 32;
}

__attribute__((target("avx2"))) static inline char *weir_json_escape_avx2(char *dst, const uint8_t *src,
                                                                          const uint8_t *end)
{
    while (end - src >= 64) {
        __m256i block = _mm256_loadu_si256((const __m256i *)(const void *)src);
        uint32_t special = weir_json_special32(block);
        _mm256_storeu_si256((__m256i *)(void *)dst, block);
        if (!special) {
            src += 32;
            dst += 32;
        } else {
            src = weir_json_escape_block(&dst, src, end, special);
        }
    }
    while (end - src >= 32) {
        __m256i block = _mm256_loadu_si256((const __m256i *)(const void *)src);
        uint32_t special = weir_json_special32(block);
        _mm256_storeu_si256((__m256i *)(void *)dst, block);
        if (!special) {
            src += 32;
            dst += 32;
        } else {
            size_t clean = (size_t)__builtin_ctz(special);
            dst += clean;
            src = weir_json_escape_special(&dst, src + clean, end);
        }
    }
    return weir_json_escape_sse2(dst, src, end);
}
#endif

/* The fastest of them that this machine has. */
static inline char *weir_json_escape(char *dst, const uint8_t *src, const uint8_t *end)
{
#ifdef WEIR_JSON_X86
    if (end - src >= 32 && __builtin_cpu_supports("avx2"))
        return weir_json_escape_avx2(dst, src, end);
    return weir_json_escape_sse2(dst, src, end);
#else
    return weir_json_escape_portable(dst, src, end);
#endif
}

/* Where a slice of at most `most` bytes may end so that no UTF-8 sequence is torn. */
static inline const uint8_t *weir_json_slice(const uint8_t *src, const uint8_t *end, size_t most)
{
    const uint8_t *cut = src + most;
    int back;

    if ((size_t)(end - src) <= most)
        return end;
    for (back = 1; back <= 3; back++) {
        if (cut[-back] >= 0xc0)
            return cut - back;
        if (cut[-back] < 0x80)
            break;
    }
    return cut;
}

/*
 * Appends a string with its quotes. 0 or -ENOMEM. In slices, since the room for the worst case is six times
 * the size, and a line may be megabytes long.
 */
static inline int weir_json_string(struct weir_json *json, const void *data, size_t size)
{
    const uint8_t *src = (const uint8_t *)data;
    const uint8_t *end = src + size;

    if (weir_json_reserve(json, 1))
        return -ENOMEM;
    json->data[json->size++] = '"';
    while (src < end) {
        const uint8_t *stop = weir_json_slice(src, end, 16384);
        if (weir_json_reserve(json, WEIR_JSON_ROOM((size_t)(stop - src))))
            return -ENOMEM;
        json->size = (size_t)(weir_json_escape(json->data + json->size, src, stop) - json->data);
        src = stop;
    }
    return weir_json_text(json, "\"", 1);
}

/* ---- Values --------------------------------------------------------------------------------------- */

/* The decimal digits of n; returns their end. At most 20. */
static inline char *weir_json_put_digits(char *dst, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    memcpy(dst, digits + at, sizeof(digits) - at);
    return dst + (sizeof(digits) - at);
}

/* Exactly `width` digits of n, with zeros in front. */
static inline char *weir_json_put_padded(char *dst, uint32_t n, int width)
{
    int i;

    for (i = width - 1; i >= 0; i--, n /= 10)
        dst[i] = (char)('0' + n % 10);
    return dst + width;
}

static inline int weir_json_integer(struct weir_json *json, bool negative, uint64_t magnitude)
{
    char text[24], *end = text;

    if (negative)
        *end++ = '-';
    end = weir_json_put_digits(end, magnitude);
    return weir_json_text(json, text, (size_t)(end - text));
}

static inline int weir_json_double(struct weir_json *json, double n)
{
    char text[40];
    bool whole = true;
    size_t i;

    if (!(n - n == 0)) /* NaN and the infinities */
        return weir_json_text(json, "null", 4);
    snprintf(text, sizeof(text) - 2, "%.15g", n);
    if (strtod(text, NULL) != n)
        snprintf(text, sizeof(text) - 2, "%.17g", n);
    for (i = 0; text[i]; i++) {
        if (text[i] == ',') /* a locale's */
            text[i] = '.';
        if (text[i] == '.' || text[i] == 'e')
            whole = false;
    }
    if (whole) {
        text[i++] = '.';
        text[i++] = '0';
    }
    return weir_json_text(json, text, i);
}

static inline int weir_json_hex(struct weir_json *json, const uint8_t *data, size_t size)
{
    size_t i;
    char *out;

    if (size > SIZE_MAX / 8 || weir_json_reserve(json, size * 2 + 2))
        return -ENOMEM;
    out = json->data + json->size;
    *out++ = '"';
    for (i = 0; i < size; i++) {
        *out++ = "0123456789abcdef"[data[i] >> 4];
        *out++ = "0123456789abcdef"[data[i] & 15];
    }
    *out++ = '"';
    json->size = (size_t)(out - json->data);
    return 0;
}

static inline int weir_json_scalar(struct weir_json *json, const struct weir_value *value)
{
    switch (value->type) {
    case WEIR_TYPE_STR:
    case WEIR_TYPE_BIN:
        return weir_json_string(json, value->data, value->size);
    case WEIR_TYPE_BOOL:
        return value->as.boolean ? weir_json_text(json, "true", 4) : weir_json_text(json, "false", 5);
    case WEIR_TYPE_UINT:
        return weir_json_integer(json, false, value->as.uint);
    case WEIR_TYPE_INT:
        return weir_json_integer(json, true, 0 - (uint64_t)value->as.integer);
    case WEIR_TYPE_DOUBLE:
        return weir_json_double(json, value->as.number);
    case WEIR_TYPE_EXT:
        return weir_json_hex(json, value->data, value->size);
    default:
        return weir_json_text(json, "null", 4);
    }
}

/* What weir_json_nested may still do: levels to go down, and (once) turn an array or a map into a key. */
struct weir_json_limit {
    int depth;
    bool key;
};

WEIR_RARE int weir_json_nested(struct weir_json *json, const struct weir_value *value,
                               struct weir_json_limit limit);

static inline int weir_json_any(struct weir_json *json, const struct weir_value *value,
                                struct weir_json_limit limit)
{
    if (value->type == WEIR_TYPE_ARRAY || value->type == WEIR_TYPE_MAP)
        return weir_json_nested(json, value, limit);
    return weir_json_scalar(json, value);
}

/*
 * A key that is neither string nor binary. Quotes within quotes double in length at each level, so a key
 * that is an array or a map must not have such a key in itself.
 */
WEIR_RARE int weir_json_odd_key(struct weir_json *json, const struct weir_value *key,
                                struct weir_json_limit limit)
{
    struct weir_json text = {NULL, 0, 0};
    int rc;

    if (key->type == WEIR_TYPE_EXT)
        return weir_json_scalar(json, key);
    if ((key->type == WEIR_TYPE_ARRAY || key->type == WEIR_TYPE_MAP) && !limit.key)
        return -EMSGSIZE;
    limit.key = false;
    rc = weir_json_any(&text, key, limit);
    if (!rc)
        rc = weir_json_string(json, text.data, text.size);
    weir_json_finish(&text);
    return rc;
}

/* "key":value */
static inline int weir_json_pair(struct weir_json *json, const struct weir_value *key,
                                 const struct weir_value *value, struct weir_json_limit limit)
{
    bool string = key->type == WEIR_TYPE_STR || key->type == WEIR_TYPE_BIN;
    int rc = string ? weir_json_string(json, key->data, key->size) : weir_json_odd_key(json, key, limit);

    if (!rc)
        rc = weir_json_text(json, ":", 1);
    return rc ? rc : weir_json_any(json, value, limit);
}

WEIR_RARE int weir_json_nested(struct weir_json *json, const struct weir_value *value,
                               struct weir_json_limit limit)
{
    bool map = value->type == WEIR_TYPE_MAP;
    struct weir_value key, item;
    struct weir_iter iter;
    size_t first;
    int rc, got;

    if (limit.depth-- <= 0)
        return -EMSGSIZE;
    rc = weir_json_text(json, map ? "{" : "[", 1);
    first = json->size;
    weir_iter_value(&iter, value);
    while (!rc) {
        got = map ? weir_iter_field(&iter, &key, &item) : weir_iter_next(&iter, &item);
        if (got <= 0)
            return got ? -EINVAL : weir_json_text(json, map ? "}" : "]", 1);
        if (json->size != first)
            rc = weir_json_text(json, ",", 1);
        if (!rc)
            rc = map ? weir_json_pair(json, &key, &item, limit) : weir_json_any(json, &item, limit);
    }
    return rc;
}

/*
 * Appends one value. 0, -ENOMEM, -EMSGSIZE (nested too deep), -EINVAL (malformed; not if it came from a
 * cursor's record). On an error what was there before is unchanged.
 */
static inline int weir_json_value(struct weir_json *json, const struct weir_value *value)
{
    struct weir_json_limit limit = {WEIR_JSON_DEPTH, true};
    size_t before = json->size;
    int rc = weir_json_any(json, value, limit);

    if (rc)
        json->size = before;
    return rc;
}

/* ---- Records -------------------------------------------------------------------------------------- */

/* How the time of a record is written; WEIR_JSON_DATES are the names that options have for them, in this
 * order. */
enum weir_json_date {
    WEIR_JSON_DATE_DOUBLE = 0, /* 1700000000.123456 */
    WEIR_JSON_DATE_ISO8601,    /* "2023-11-14T22:13:20.123456Z" */
    WEIR_JSON_DATE_EPOCH,      /* 1700000000 */
    WEIR_JSON_DATE_EPOCH_MS,   /* 1700000000123 */
    WEIR_JSON_DATE_NONE
};
#define WEIR_JSON_DATES "double", "iso8601", "epoch", "epoch_ms", "none"

/* How records are written, and the text of the last time that was. */
struct weir_json_style {
    enum weir_json_date date;
    struct weir_json head; /* {"date":1700000000.123456 */
    size_t fixed;          /* of head, up to the time */
    int64_t sec;
    uint32_t nsec;
    bool cached;
};

static inline void weir_json_style_finish(struct weir_json_style *style)
{
    weir_json_finish(&style->head);
}

/* A key of NULL, "" or "false" is no date. 0, or -ENOMEM: then there is nothing to finish. */
static inline int weir_json_style_init(struct weir_json_style *style, const char *date_key,
                                       enum weir_json_date date)
{
    int rc;

    memset(style, 0, sizeof(*style));
    style->date = date;
    if (!date_key || !*date_key || strcmp(date_key, "false") == 0)
        style->date = WEIR_JSON_DATE_NONE;
    rc = weir_json_text(&style->head, "{", 1);
    if (!rc && style->date != WEIR_JSON_DATE_NONE) {
        rc = weir_json_string(&style->head, date_key, strlen(date_key));
        if (!rc)
            rc = weir_json_text(&style->head, ":", 1);
    }
    if (rc)
        weir_json_style_finish(style);
    style->fixed = style->head.size;
    return rc;
}

/* Year, month and day of a count of days since 1970 (H. Hinnant's algorithm), as YYYY-MM-DD. */
static inline char *weir_json_put_day(char *dst, int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    uint32_t doe = (uint32_t)(shifted - era * 146097);
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint32_t mp = (5 * doy + 2) / 153;
    uint32_t month = mp < 10 ? mp + 3 : mp - 9;

    dst = weir_json_put_padded(dst, (uint32_t)(yoe + era * 400 + (month <= 2)), 4);
    *dst++ = '-';
    dst = weir_json_put_padded(dst, month, 2);
    *dst++ = '-';
    return weir_json_put_padded(dst, doy - (153 * mp + 2) / 5 + 1, 2);
}

static inline char *weir_json_put_iso8601(char *dst, int64_t sec, uint32_t nsec)
{
    int64_t days = sec / 86400 - (sec % 86400 < 0);
    uint32_t rest = (uint32_t)(sec - days * 86400);

    *dst++ = '"';
    dst = weir_json_put_day(dst, days);
    *dst++ = 'T';
    dst = weir_json_put_padded(dst, rest / 3600, 2);
    *dst++ = ':';
    dst = weir_json_put_padded(dst, rest / 60 % 60, 2);
    *dst++ = ':';
    dst = weir_json_put_padded(dst, rest % 60, 2);
    *dst++ = '.';
    dst = weir_json_put_padded(dst, nsec / 1000, 6);
    *dst++ = 'Z';
    *dst++ = '"';
    return dst;
}

/* A record's time as JSON, at most 40 bytes; returns the end. Times before 1970 are below zero. */
static inline char *weir_json_put_date(char *dst, enum weir_json_date date, int64_t sec, uint32_t nsec)
{
    uint64_t micros;

    if (date == WEIR_JSON_DATE_ISO8601)
        return weir_json_put_iso8601(dst, sec, nsec);
    if (sec < 0) {
        *dst++ = '-';
        micros = (uint64_t)-sec * 1000000 - nsec / 1000;
    } else {
        micros = (uint64_t)sec * 1000000 + nsec / 1000;
    }
    if (date == WEIR_JSON_DATE_EPOCH_MS)
        return weir_json_put_digits(dst, micros / 1000);
    dst = weir_json_put_digits(dst, micros / 1000000);
    if (date == WEIR_JSON_DATE_EPOCH)
        return dst;
    *dst++ = '.';
    return weir_json_put_padded(dst, (uint32_t)(micros % 1000000), 6);
}

WEIR_RARE int weir_json_style_set(struct weir_json_style *style, int64_t sec, uint32_t nsec)
{
    style->head.size = style->fixed;
    if (style->date != WEIR_JSON_DATE_NONE) {
        if (weir_json_reserve(&style->head, 40))
            return -ENOMEM;
        style->head.size =
            (size_t)(weir_json_put_date(style->head.data + style->fixed, style->date, sec, nsec) -
                     style->head.data);
    }
    style->sec = sec;
    style->nsec = nsec;
    style->cached = true;
    return 0;
}

/* Appends a record of a cursor as one object, without a newline. Returns as weir_json_value. */
static inline int weir_json_record(struct weir_json *json, struct weir_json_style *style,
                                   const struct weir_record *record)
{
    struct weir_json_limit limit = {WEIR_JSON_DEPTH, true};
    size_t before = json->size, empty;
    struct weir_value key, value;
    struct weir_iter fields;
    int rc = 0;

    if (!style->cached || style->sec != record->sec || style->nsec != record->nsec)
        rc = weir_json_style_set(style, record->sec, record->nsec);
    if (!rc)
        rc = weir_json_text(json, style->head.data, style->head.size);
    empty = before + (style->date == WEIR_JSON_DATE_NONE ? 1 : 0);
    weir_iter_record(&fields, record);
    while (!rc && weir_iter_field(&fields, &key, &value) > 0) {
        if (json->size != empty)
            rc = weir_json_text(json, ",", 1);
        if (!rc)
            rc = weir_json_pair(json, &key, &value, limit);
    }
    if (!rc)
        rc = weir_json_text(json, "}", 1);
    if (rc)
        json->size = before;
    return rc;
}

#ifdef __cplusplus
}
#endif
#endif
