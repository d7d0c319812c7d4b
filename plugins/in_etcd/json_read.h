/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as libjansson reads it, but for one thing: where that has no memory to let the text of a string or
 * number grow, it goes on without some of its bytes (https://github.com/akheron/jansson/issues/362), so that
 * a path would be another one, or it reads and writes behind its memory where the last quote is lost. Any
 * thread.
 */
#ifndef ETCD_JSON_READ_H
#define ETCD_JSON_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* One value. NULL: error says why, with the code json_error_out_of_memory for want of memory. */
json_t *etcd_json_read(const char *text, size_t size, size_t flags, json_error_t *error);

/* The quote that ends the string which begins behind `at`, or NULL. *ret_escapes: whether it has any. */
const char *etcd_json_string_end(const char *at, const char *end, bool *ret_escapes);

#endif
