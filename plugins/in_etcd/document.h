/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON documents of etcd. A key's value is one string of up to megabytes, which the JSON parser would copy
 * character by character: long strings without escapes are taken out before, and stay where they are. Any
 * thread.
 */
#ifndef ETCD_DOCUMENT_H
#define ETCD_DOCUMENT_H

#include <jansson.h>
#include <stddef.h>

struct etcd_text {
    const char *text; /* not terminated */
    size_t size;
};

struct etcd_document {
    json_t *root; /* an object */
    struct etcd_text *taken;
    size_t count;
};

/* 0 or -ENOMEM or -EBADMSG: it is not a JSON object. The bytes must stay; finish it in any case. */
int etcd_document_read(struct etcd_document *, const char *bytes, size_t size);
void etcd_document_finish(struct etcd_document *);
/* The string: 0, or -EBADMSG where that is none. Long ones were not checked for being UTF-8. */
int etcd_document_string(const struct etcd_document *, const json_t *, struct etcd_text *ret);

#endif
