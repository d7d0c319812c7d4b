/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An etcd in a thread of its own, for tests of in_etcd in the fake host: it answers what a session asks, and
 * does as it is told. Its members are for whoever holds the lock.
 */
#ifndef WEIR_TESTS_ETCD_FIXTURE_H
#define WEIR_TESTS_ETCD_FIXTURE_H

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/fake_host.h>
#include "base64.h"

extern const struct weir_plugin weir_plugin_descriptor;

enum { MOST_CONNECTIONS = 32, REQUEST_ROOM = 1 << 16 };

struct etcd_connection {
    int fd;
    size_t size;
    char bytes[REQUEST_ROOM];
};

struct etcd_server {
    pthread_mutex_t lock;
    /* what it is told */
    char *kvs; /* of every read, as JSON without the brackets */
    size_t kvs_size;
    FILE *kvs_file;
    int64_t revision;    /* goes up with every read, as if others wrote */
    int token;           /* the one that is good; 0: none is asked for */
    bool refuses_tokens; /* all of them */
    bool holds_tokens;   /* who asks for one has no answer until etcd_server_release */
    /* what it was asked */
    unsigned reads, pings, tokens, puts;
    char put[REQUEST_ROOM]; /* the value of the last one */

    int held; /* who asks for one */
    int listener, pipe[2];
    char url[64];
    pthread_t thread;
    struct etcd_connection connections[MOST_CONNECTIONS];
};

/* A key of its, before it is asked for the first time. */
static inline void etcd_server_add(struct etcd_server *s, const char *key, const char *value)
{
    char *key64 = etcd_base64_encode(key, strlen(key)), *value64 = etcd_base64_encode(value, strlen(value));
    FILE *f = s->kvs_file ? s->kvs_file : open_memstream(&s->kvs, &s->kvs_size);

    fprintf(f, "%s{\"key\":\"%s\",\"value\":\"%s\",\"mod_revision\":\"1\"}", s->kvs_file ? "," : "", key64,
            value64);
    fflush(f);
    s->kvs_file = f;
    free(key64);
    free(value64);
}

static inline void etcd_server_send(int fd, const char *bytes, size_t size, int flags)
{
    while (size) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL | flags);
        if (n <= 0)
            return; /* who asked has hung up */
        bytes += n;
        size -= (size_t)n;
    }
}

static inline void etcd_server_answer(int fd, int code, const char *body)
{
    char head[128];
    int size =
        snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n", code, strlen(body));

    etcd_server_send(fd, head, (size_t)size, MSG_MORE);
    etcd_server_send(fd, body, strlen(body), 0);
}

static inline bool etcd_server_knows(const struct etcd_server *s, const char *request)
{
    const char *token = strstr(request, "\r\nAuthorization: t");

    return !s->token || (!s->refuses_tokens && token && atoi(token + 18) == s->token);
}

static inline void etcd_server_read(struct etcd_server *s, int fd, const char *request)
{
    char *body;
    bool is_ping = strstr(request, "keys_only");

    *(is_ping ? &s->pings : &s->reads) += 1;
    s->revision += !is_ping;
    ck_assert_int_ge(asprintf(&body,
                              "{\"header\":{\"cluster_id\":\"1\",\"revision\":\"%lld\"},\"responses\":"
                              "[{\"response_range\":{\"kvs\":[%s]}}]}",
                              (long long)s->revision, s->kvs ? s->kvs : ""),
                     0);
    etcd_server_answer(fd, 200, body);
    free(body);
}

static inline void etcd_server_watch(const struct etcd_server *s, int fd)
{
    char text[256], all[512];
    int size =
        snprintf(text, sizeof(text), "{\"result\":{\"header\":{\"revision\":\"%lld\"},\"created\":true}}\n",
                 (long long)s->revision);

    size = snprintf(all, sizeof(all), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n",
                    size, text);
    etcd_server_send(fd, all, (size_t)size, 0);
}

static inline void etcd_server_keep(struct etcd_server *s, const char *value)
{
    char *decoded;
    size_t size;

    ck_assert_ptr_nonnull(value);
    value += strlen("\"value\":\"");
    ck_assert_int_eq(etcd_base64_decode(value, strcspn(value, "\""), &decoded, &size), 0);
    snprintf(s->put, sizeof(s->put), "%s", decoded);
    free(decoded);
    s->puts++;
}

static inline void etcd_server_serve(struct etcd_server *s, int fd, const char *request)
{
    char body[64];

    if (!strncmp(request, "GET /version ", 13)) {
        etcd_server_answer(fd, 200, "{\"etcdserver\":\"3.5.0\"}");
    } else if (!strncmp(request, "POST /v3/auth/authenticate ", 27) && !strstr(request, "Authorization")) {
        snprintf(body, sizeof(body), "{\"token\":\"t%d\"}", s->token);
        s->tokens++;
        s->held = fd;
        if (!s->holds_tokens)
            etcd_server_answer(fd, 200, body);
    } else if (!etcd_server_knows(s, request)) {
        etcd_server_answer(fd, 401, "{\"error\":\"etcdserver: invalid auth token\",\"code\":16}");
    } else if (!strncmp(request, "POST /v3/kv/txn ", 16)) {
        etcd_server_read(s, fd, request);
    } else if (!strncmp(request, "POST /v3/watch ", 15)) {
        etcd_server_watch(s, fd);
    } else if (!strncmp(request, "POST /v3/kv/put ", 16)) {
        etcd_server_keep(s, strstr(request, "\"value\":\""));
        etcd_server_answer(fd, 200, "{}");
    } else if (!strncmp(request, "POST /v3/lease/", 15)) {
        etcd_server_answer(fd, 200, "{\"ID\":\"7\",\"TTL\":\"60\"}");
    } else {
        etcd_server_answer(fd, 404, "{}");
    }
}

/* Serves what is whole. False: the connection is over. */
static inline bool etcd_server_take(struct etcd_server *s, struct etcd_connection *c)
{
    ssize_t n = recv(c->fd, c->bytes + c->size, REQUEST_ROOM - 1 - c->size, 0);

    if (n <= 0)
        return false;
    c->size += (size_t)n;
    c->bytes[c->size] = '\0';
    const char *head = strstr(c->bytes, "\r\n\r\n"), *length = strstr(c->bytes, "\r\nContent-Length: ");
    size_t whole = head ? (size_t)(head + 4 - c->bytes) : SIZE_MAX;
    if (head && length && length < head)
        whole += strtoul(length + 18, NULL, 10);
    if (c->size < whole)
        return true;
    pthread_mutex_lock(&s->lock);
    etcd_server_serve(s, c->fd, c->bytes);
    pthread_mutex_unlock(&s->lock);
    c->size = 0;
    return true;
}

static inline void *etcd_server_run(void *data)
{
    struct etcd_server *s = data;
    struct pollfd fds[MOST_CONNECTIONS + 2] = {{s->pipe[0], POLLIN, 0}, {s->listener, POLLIN, 0}};
    nfds_t count = 2;

    for (;;) {
        ck_assert_int_gt(poll(fds, count, -1), 0);
        if (fds[0].revents)
            break;
        for (nfds_t i = 2; i < count; i++)
            if (fds[i].revents && !etcd_server_take(s, &s->connections[i - 2])) {
                close(fds[i].fd);
                fds[i].fd = -1; /* poll leaves it out */
            }
        if (fds[1].revents) {
            ck_assert_uint_lt(count, MOST_CONNECTIONS + 2);
            fds[count] = (struct pollfd){accept(s->listener, NULL, NULL), POLLIN, 0};
            s->connections[count - 2].fd = fds[count].fd;
            count++;
        }
    }
    for (nfds_t i = 2; i < count; i++)
        if (fds[i].fd >= 0)
            close(fds[i].fd);
    return NULL;
}

static inline struct etcd_server *etcd_server_start(void)
{
    struct etcd_server *s = calloc(1, sizeof(*s));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);

    pthread_mutex_init(&s->lock, NULL);
    s->revision = 1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(s->listener >= 0 && bind(s->listener, (struct sockaddr *)&at, size) == 0 &&
              listen(s->listener, 16) == 0 && getsockname(s->listener, (struct sockaddr *)&at, &size) == 0 &&
              pipe(s->pipe) == 0);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", ntohs(at.sin_port));
    ck_assert_int_eq(pthread_create(&s->thread, NULL, etcd_server_run, s), 0);
    return s;
}

static inline void etcd_server_end(struct etcd_server *s)
{
    ck_assert_int_eq(write(s->pipe[1], "", 1), 1);
    pthread_join(s->thread, NULL);
    close(s->pipe[0]);
    close(s->pipe[1]);
    close(s->listener);
    pthread_mutex_destroy(&s->lock);
    if (s->kvs_file)
        fclose(s->kvs_file);
    free(s->kvs);
    free(s);
}

static inline void etcd_server_release(struct etcd_server *s)
{
    char body[64];

    pthread_mutex_lock(&s->lock);
    s->holds_tokens = false;
    snprintf(body, sizeof(body), "{\"token\":\"t%d\"}", s->token);
    etcd_server_answer(s->held, 200, body);
    pthread_mutex_unlock(&s->lock);
}

/* One of its counters now. */
static inline unsigned etcd_server_count(struct etcd_server *s, const unsigned *counter)
{
    pthread_mutex_lock(&s->lock);
    unsigned count = *counter;
    pthread_mutex_unlock(&s->lock);
    return count;
}

#endif
