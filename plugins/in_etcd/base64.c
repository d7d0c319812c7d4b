/* SPDX-License-Identifier: Apache-2.0 */
/* Base64, strict: no white space, whole groups of four, padding only at the end. */
#include "base64.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *etcd_base64_encode(const void *data, size_t size)
{
    const uint8_t *in = data;
    char *text = malloc((size + 2) / 3 * 4 + 1), *out = text;

    if (!text)
        return NULL;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits =
            (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        *out++ = letters[bits >> 18];
        *out++ = letters[bits >> 12 & 63];
        *out++ = left > 1 ? letters[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? letters[bits & 63] : '=';
    }
    *out = '\0';
    return text;
}

/* What a letter stands for, plus one; 0: it is none. */
static const uint8_t values[256] = {
    ['A'] = 1, 2,  3,  4,  5,          6,  7,  8,  9,  10, 11,         12, 13, 14, 15,         16,
    17,        18, 19, 20, 21,         22, 23, 24, 25, 26, ['a'] = 27, 28, 29, 30, 31,         32,
    33,        34, 35, 36, 37,         38, 39, 40, 41, 42, 43,         44, 45, 46, 47,         48,
    49,        50, 51, 52, ['0'] = 53, 54, 55, 56, 57, 58, 59,         60, 61, 62, ['+'] = 63, ['/'] = 64};

/* Four letters, of which the last `padding` count as nothing. */
static int decode_group(const char *text, unsigned padding, uint8_t *out)
{
    uint32_t bits = 0;
    bool good = true;

    for (unsigned i = 0; i < 4; i++) {
        uint8_t value = i + padding < 4 ? values[(uint8_t)text[i]] : 1;
        good &= value != 0;
        bits = bits << 6 | (uint32_t)(value - 1);
    }
    for (unsigned i = 0; i + padding < 3; i++)
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    return good ? 0 : -EBADMSG;
}

int etcd_base64_decode(const char *text, size_t length, char **ret, size_t *ret_size)
{
    size_t size = length / 4 * 3;

    if (length % 4)
        return -EBADMSG;
    unsigned padding = !length || text[length - 1] != '=' ? 0 : text[length - 2] != '=' ? 1 : 2;
    char *data = malloc(size + 1);
    if (!data)
        return -ENOMEM;
    for (size_t i = 0; i < length; i += 4) {
        if (decode_group(text + i, i + 4 == length ? padding : 0, (uint8_t *)data + i / 4 * 3) < 0) {
            free(data);
            return -EBADMSG;
        }
    }
    size -= padding;
    data[size] = '\0';
    *ret = data;
    *ret_size = size;
    return 0;
}
