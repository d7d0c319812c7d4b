/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648, section 4) to and from a heap string. Any thread. */
#ifndef ETCD_BASE64_H
#define ETCD_BASE64_H

#include <stddef.h>

/* malloc'ed text; NULL: no memory. */
char *etcd_base64_encode(const void *data, size_t size);
/* malloc'ed bytes with a NUL behind; 0, -ENOMEM, -EBADMSG. */
int etcd_base64_decode(const char *text, size_t length, char **ret, size_t *ret_size);

#endif
