/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests on the input's loop, by libcurl. Nothing blocks; callbacks come from the loop and may begin
 * and cancel requests. Loop thread.
 */
#ifndef ETCD_HTTP_H
#define ETCD_HTTP_H

#include "settings.h"

#define ETCD_UNAUTHENTICATED 401 /* the code of an answer: the token has run out, or is none */

struct etcd_http;
struct etcd_request;

struct etcd_answer {
    const char *error; /* NULL: there is an answer; else why not */
    long code;         /* of HTTP */
    const char *body;  /* size bytes and a NUL; of a stream: what was not taken yet */
    size_t size;
    const char *local_ip; /* this host's address on that connection, "" if not known */
};

/* Once, at the end of a request that was not cancelled. The answer is valid during the call. */
typedef void (*etcd_answer_fn)(void *data, const struct etcd_answer *);
/* More of a stream has come. */
typedef void (*etcd_piece_fn)(void *data, const char *bytes, size_t size);

struct etcd_query {
    const char *url;
    const char *body;    /* POST; NULL: GET */
    const char *token;   /* of authentication, or NULL */
    etcd_piece_fn piece; /* a stream without an end; NULL: one answer, within request_timeout */
    etcd_answer_fn answer;
    void *data;
};

/* Before start: control thread. NULL: no memory. */
struct etcd_http *etcd_http_create(const struct weir_host *, struct weir_instance *,
                                   const struct etcd_settings *);
/* From here on requests can be made. 0 or -ENOMEM. */
int etcd_http_start(struct etcd_http *);
/* Cancels everything and lets go of the loop. */
void etcd_http_stop(struct etcd_http *);
void etcd_http_destroy(struct etcd_http *); /* takes NULL */

/* Begins a request; everything in the query but data is copied. NULL: no memory. */
struct etcd_request *etcd_http_ask(struct etcd_http *, const struct etcd_query *);
/* Its callbacks will not be called. */
void etcd_http_cancel(struct etcd_request *);

#endif
