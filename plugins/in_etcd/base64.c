/* SPDX-License-Identifier: Apache-2.0 */
/* Base64, strict: no white space, whole groups of four, padding only at the end. */
#include "base64.h"

#include <errno.h>
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

/* 0 to 63, or -1. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four letters, of which the last `padding` count as nothing. */
static int decode_group(const char *text, unsigned padding, uint8_t *out)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < 4; i++) {
        int value = i + padding < 4 ? value_of(text[i]) : 0;
        if (value < 0)
            return -EBADMSG;
        bits = bits << 6 | (uint32_t)value;
    }
    for (unsigned i = 0; i + padding < 3; i++)
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    return 0;
}

int etcd_base64_decode(const char *text, char **ret, size_t *ret_size)
{
    size_t length = strlen(text), size = length / 4 * 3;

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
