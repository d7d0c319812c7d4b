/* SPDX-License-Identifier: Apache-2.0 */
/* A string that was taken out has in its place "\u0001" and its number, which nothing that is base64 begins
 * with. */
#include "document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include "json_read.h"

enum { LONG = 4096, PLACE = 32 /* bytes of what stands in its place, at most */ };

static int take(struct etcd_document *d, const char *text, size_t size)
{
    struct etcd_text *larger = reallocarray(d->taken, d->count + 1, sizeof(*larger));

    if (!larger)
        return -ENOMEM;
    d->taken = larger;
    d->taken[d->count++] = (struct etcd_text){text, size};
    return 0;
}

/* The document without its long strings in `out`, which has room for as much. Returns its size, or -ENOMEM.
 */
static ssize_t take_long(struct etcd_document *d, const char *bytes, size_t size, char *out)
{
    const char *at = bytes, *end = bytes + size, *from = bytes;
    char *to = out;
    bool escapes;

    while ((at = memchr(at, '"', (size_t)(end - at)))) {
        const char *quote = etcd_json_string_end(++at, end, &escapes);
        if (!quote)
            break;
        if (quote - at >= LONG && !escapes) {
            to = mempcpy(to, from, (size_t)(at - from));
            if (take(d, at, (size_t)(quote - at)) < 0)
                return -ENOMEM;
            to += snprintf(to, PLACE, "\\u0001%zu", d->count - 1);
            from = quote;
        }
        at = quote + 1;
    }
    to = mempcpy(to, from, (size_t)(end - from));
    return to - out;
}

int etcd_document_read(struct etcd_document *d, const char *bytes, size_t size)
{
    json_error_t error;
    char *text = malloc(size + 1);

    *d = (struct etcd_document){0};
    ssize_t left = text ? take_long(d, bytes, size, text) : -ENOMEM;
    if (left >= 0)
        d->root = etcd_json_read(text, (size_t)left, 0, &error);
    free(text);
    if (left < 0 || (!d->root && json_error_code(&error) == json_error_out_of_memory))
        return -ENOMEM;
    return json_is_object(d->root) ? 0 : -EBADMSG;
}

void etcd_document_finish(struct etcd_document *d)
{
    json_decref(d->root);
    free(d->taken);
    *d = (struct etcd_document){0};
}

int etcd_document_string(const struct etcd_document *d, const json_t *json, struct etcd_text *ret)
{
    const char *text = json_string_value(json);
    char *end;

    if (!text)
        return -EBADMSG;
    *ret = (struct etcd_text){text, json_string_length(json)};
    if (*text != 1)
        return 0;
    unsigned long number = strtoul(text + 1, &end, 10);
    if (end == text + 1 || *end || number >= d->count)
        return -EBADMSG;
    *ret = d->taken[number];
    return 0;
}
