/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to msgpack in one pass, straight into the output, with no tree between: what a general JSON library
 * allocates for each value would cost several times the reading. Knows nothing of logs. Any thread.
 */
#include "json.h"

#include <math.h>
#include <weir/event.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct reader {
    const uint8_t *p, *end;
    struct tail_text *out;
    struct tail_json_field *field;
};

static int read_value(struct reader *, unsigned depth);

/* -- Strings ------------------------------------------------------------------------------------------ */

/* The next quote or backslash, or the end. */
static const uint8_t *next_special(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        int mask =
            _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        if (mask) {
            return p + __builtin_ctz((unsigned)mask);
        }
    }
#endif
    while (p < end && *p != '"' && *p != '\\') {
        p++;
    }
    return p;
}

const uint8_t *tail_json_string_end(const uint8_t *p, const uint8_t *end, bool *ret_plain)
{
    *ret_plain = true;
    while ((p = next_special(p, end)) < end && *p == '\\') {
        *ret_plain = false;
        if (end - p < 2) {
            return NULL;
        }
        p += 2;
    }
    return p < end ? p : NULL;
}

static int hex4(const uint8_t *p, const uint8_t *end, uint32_t *ret)
{
    uint32_t n = 0;
    if (end - p < 4) {
        return -EINVAL;
    }
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i], low = c | 0x20;
        uint32_t digit = c >= '0' && c <= '9'       ? (uint32_t)(c - '0')
                         : low >= 'a' && low <= 'f' ? (uint32_t)(low - 'a' + 10)
                                                    : 16;
        if (digit > 15) {
            return -EINVAL;
        }
        n = n << 4 | digit;
    }
    *ret = n;
    return 0;
}

static uint8_t *put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (uint8_t)c;
    } else if (c < 0x800) {
        *out++ = (uint8_t)(0xc0 | c >> 6);
        *out++ = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (uint8_t)(0xe0 | c >> 12);
        *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        *out++ = (uint8_t)(0xf0 | c >> 18);
        *out++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (c & 0x3f));
    }
    return out;
}

/* Behind "\u": one character, of two escapes where they are a pair. Half a pair is U+FFFD. */
static const uint8_t *unescape_unicode(const uint8_t *p, const uint8_t *end, uint8_t **out)
{
    uint32_t c, low;
    if (hex4(p, end, &c) < 0) {
        return NULL;
    }
    p += 4;
    if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
        hex4(p + 2, end, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *out = put_utf8(*out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return p;
}

uint8_t *tail_json_unescape(uint8_t *out, const uint8_t *p, const uint8_t *end)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    while (p && p < end) {
        const uint8_t *next = next_special(p, end);
        memcpy(out, p, (size_t)(next - p));
        out += next - p;
        if (next == end) {
            return out;
        }
        p = next + 2; /* what follows a backslash is there: the string was searched for its end */
        const char *name = next[1] ? strchr(names, next[1]) : NULL;
        if (name) {
            *out++ = (uint8_t)values[name - names];
        } else {
            p = next[1] == 'u' ? unescape_unicode(p, end, &out) : NULL;
        }
    }
    return p ? out : NULL;
}

/* Behind the opening quote. */
static int read_string(struct reader *r)
{
    bool plain;
    const uint8_t *begin = r->p, *end = tail_json_string_end(begin, r->end, &plain);
    size_t size = end ? (size_t)(end - begin) : 0;
    if (!end || size > UINT32_MAX) {
        return -EINVAL;
    }
    if (tail_text_reserve(r->out, size + WEIR_MAX_STR) < 0) {
        return -ENOMEM;
    }
    uint8_t *head = r->out->bytes + r->out->size, *text = weir_put_str_head(head, (uint32_t)size);
    uint8_t *stop = text + size;
    if (plain) {
        memcpy(text, begin, size);
    } else {
        stop = tail_json_unescape(text, begin, end);
        if (!stop) {
            return -EINVAL;
        }
        uint8_t *shorter = weir_put_str_head(head, (uint32_t)(stop - text));
        memmove(shorter, text, (size_t)(stop - text));
        stop -= text - shorter;
    }
    r->out->size = (size_t)(stop - r->out->bytes);
    r->p = end + 1;
    return 0;
}

/* -- Numbers and words -------------------------------------------------------------------------------- */

static const uint8_t *digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

/* Behind a number, or NULL; *ret_integer: it has neither fraction nor exponent. */
static const uint8_t *number_end(const uint8_t *p, const uint8_t *end, bool *ret_integer)
{
    p += *p == '-';
    const uint8_t *whole = p;
    p = digits(p, end);
    if (p == whole || (*whole == '0' && p - whole > 1)) {
        return NULL;
    }
    *ret_integer = true;
    if (p < end && *p == '.') {
        const uint8_t *fraction = p + 1;
        p = digits(fraction, end);
        *ret_integer = false;
        if (p == fraction) {
            return NULL;
        }
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        const uint8_t *exponent = p;
        p = digits(p, end);
        *ret_integer = false;
        if (p == exponent) {
            return NULL;
        }
    }
    return p;
}

/* False: it does not fit in 64 bits. */
static bool put_integer(struct tail_text *out, const uint8_t *p, const uint8_t *end)
{
    bool negative = *p == '-';
    uint64_t n = 0;
    for (p += negative; p < end; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (n > (UINT64_MAX - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    if (negative && n > (uint64_t)INT64_MAX + 1) {
        return false;
    }
    uint8_t *at = out->bytes + out->size;
    at = negative ? weir_put_int(at, (int64_t)(0 - n)) : weir_put_uint(at, n);
    out->size = (size_t)(at - out->bytes);
    return true;
}

static int read_number(struct reader *r)
{
    char text[TAIL_JSON_NUMBER + 1];
    bool integer;
    const uint8_t *begin = r->p, *end = number_end(begin, r->end, &integer);
    if (!end || end - begin > TAIL_JSON_NUMBER) {
        return -EINVAL;
    }
    if (tail_text_reserve(r->out, WEIR_MAX_INT) < 0) {
        return -ENOMEM;
    }
    r->p = end;
    if (integer && put_integer(r->out, begin, end)) {
        return 0;
    }
    memcpy(text, begin, (size_t)(end - begin));
    text[end - begin] = 0;
    double n = strtod(text, NULL);
    if (!isfinite(n)) {
        return -EINVAL;
    }
    r->out->size = (size_t)(weir_put_double(r->out->bytes + r->out->size, n) - r->out->bytes);
    return 0;
}

static int read_word(struct reader *r, const char *word, uint8_t value)
{
    size_t size = strlen(word);
    if ((size_t)(r->end - r->p) < size || memcmp(r->p, word, size) != 0) {
        return -EINVAL;
    }
    r->p += size;
    return tail_text_add(r->out, &value, 1);
}

/* -- Maps and arrays ---------------------------------------------------------------------------------- */

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) {
        r->p++;
    }
}

static bool take(struct reader *r, uint8_t c)
{
    skip_space(r);
    bool there = r->p < r->end && *r->p == c;
    r->p += there;
    return there;
}

/* The field that is looked for, where it is the one whose key stands at `begin` in the output. */
static struct tail_json_field *field_at(const struct reader *r, size_t begin)
{
    struct weir_value key = {0};
    const uint8_t *bytes = r->out->bytes;
    if (!r->field) {
        return NULL;
    }
    weir_read_head(bytes + begin, bytes + r->out->size, &key);
    bool it = key.size == r->field->name_size && memcmp(key.data, r->field->name, key.size) == 0;
    return it ? r->field : NULL;
}

/* A member of a map, from its key on. */
static int read_member(struct reader *r, unsigned depth)
{
    size_t begin = r->out->size;
    int rc = take(r, '"') ? read_string(r) : -EINVAL;
    if (rc < 0) {
        return rc;
    }
    struct tail_json_field *field = depth == 1 ? field_at(r, begin) : NULL;
    size_t value = r->out->size;
    rc = take(r, ':') ? read_value(r, depth) : -EINVAL;
    if (rc == 0 && field) {
        field->found = true;
        field->begin = begin;
        field->value = value;
        field->end = r->out->size;
    }
    return rc;
}

/* Behind the opening bracket: members or elements up to `close`. */
static int read_items(struct reader *r, unsigned depth, uint8_t close, uint32_t *ret_count)
{
    uint32_t count = 0;
    if (take(r, close)) {
        *ret_count = 0;
        return 0;
    }
    do {
        int rc = close == '}' ? read_member(r, depth) : read_value(r, depth);
        if (rc < 0 || count == UINT32_MAX) {
            return rc < 0 ? rc : -EINVAL;
        }
        count++;
    } while (take(r, ','));
    *ret_count = count;
    return take(r, close) ? 0 : -EINVAL;
}

/* A map or an array within the outermost one: its head is of the larger kind, since its count comes last. */
static int read_nested(struct reader *r, unsigned depth, uint8_t close)
{
    bool wide = r->end - r->p > 2 * UINT16_MAX;
    size_t head = r->out->size;
    uint32_t count = 0;
    if (depth > TAIL_JSON_DEPTH) {
        return -EINVAL;
    }
    if (tail_text_reserve(r->out, WEIR_MAX_MAP) < 0) {
        return -ENOMEM;
    }
    r->out->size += wide ? 5 : 3;
    int rc = read_items(r, depth, close, &count);
    uint8_t *p = r->out->bytes + head;
    *p = (uint8_t)((close == '}' ? 0xde : 0xdc) + wide);
    if (wide) {
        weir_put_be32(p + 1, count);
    } else {
        weir_put_be16(p + 1, (uint16_t)count);
    }
    return rc;
}

static int read_value(struct reader *r, unsigned depth)
{
    skip_space(r);
    switch (r->p < r->end ? *r->p : 0) {
    case '"':
        r->p++;
        return read_string(r);
    case '{':
        r->p++;
        return read_nested(r, depth + 1, '}');
    case '[':
        r->p++;
        return read_nested(r, depth + 1, ']');
    case 't':
        return read_word(r, "true", 0xc3);
    case 'f':
        return read_word(r, "false", 0xc2);
    case 'n':
        return read_word(r, "null", 0xc0);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_number(r);
    default:
        return -EINVAL;
    }
}

int tail_json_read(const uint8_t *json, size_t size, struct tail_text *out, uint32_t *ret_count,
                   struct tail_json_field *field)
{
    struct reader r = {json, json + size, out, field};
    const size_t before = out->size;
    uint32_t count = 0;
    if (field) {
        field->found = false;
    }
    int rc = take(&r, '{') ? read_items(&r, 1, '}', &count) : -EINVAL;
    skip_space(&r);
    if (rc == 0 && r.p < r.end) {
        rc = -EINVAL;
    }
    if (rc < 0) {
        out->size = before;
        return rc;
    }
    *ret_count = count;
    return 0;
}
