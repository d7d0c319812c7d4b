/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One session at a time with one endpoint:
 *   /version      tells this host's address and where the API lies
 *   authenticate  where there is a user
 *   read          all keys in one transaction, at revision R
 *   watch         one stream for all keys, from R+1 on
 * Whatever goes wrong ends the session, and the next one begins with the next endpoint. Loop thread.
 */
#include "follow_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "names.h"

#define MS            UINT64_C(1000000)
#define SECOND        UINT64_C(1000000000)
#define FIRST_DELAY   (100 * MS)
#define LONGEST_DELAY (5 * SECOND)
#define LOG_INTERVAL  (60 * SECOND)
#define HTTP_OK       200

static void begin_session(void *data);

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

const char *etcd_follow_endpoint(const struct etcd_follow *f)
{
    return f->settings->endpoints.items[f->endpoint];
}

/* -- The end of a session --------------------------------------------------------------------------- */

static void end_session(struct etcd_follow *f)
{
    if (f->step)
        etcd_http_cancel(f->step);
    if (f->watch)
        etcd_http_cancel(f->watch);
    f->step = f->watch = NULL;
    etcd_frames_clear(&f->frames);
    etcd_follow_forget(f);
    free(f->token);
    f->token = NULL;
    f->created = 0;
    f->dirty = f->ping_due = f->connected = f->renewed = false;
    f->host->timer_set(f->ping, 0, 0);
    f->host->timer_set(f->resync, 0, 0);
    f->host->timer_set(f->confirm, 0, 0);
}

/* xorshift64*: hosts that lost etcd together must not come back together. */
static uint64_t random_below(struct etcd_follow *f, uint64_t limit)
{
    f->random ^= f->random >> 12;
    f->random ^= f->random << 25;
    f->random ^= f->random >> 27;
    return limit ? f->random * UINT64_C(2685821657736338717) % limit : 0;
}

/* The other endpoints are tried at once, the first time. */
static uint64_t delay(struct etcd_follow *f)
{
    uint64_t wait = FIRST_DELAY;

    for (unsigned i = 0; i < f->failures / (unsigned)f->settings->endpoints.count && wait < LONGEST_DELAY;
         i++)
        wait *= 2;
    wait = wait < LONGEST_DELAY ? wait : LONGEST_DELAY;
    return wait / 2 + random_below(f, wait / 2) + 1;
}

void etcd_follow_fail(struct etcd_follow *f, const char *format, ...)
{
    char why[512];
    va_list arguments;
    const char *endpoint = etcd_follow_endpoint(f);

    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    if (!f->logged || now() - f->logged >= LOG_INTERVAL) {
        f->logged = now();
        f->host->log(f->instance, WEIR_LOG_WARN,
                     "%s: %s; the files go on being followed as they were last named, and it is tried again",
                     endpoint, why);
    } else {
        f->host->log(f->instance, WEIR_LOG_DEBUG, "%s: %s", endpoint, why);
    }
    end_session(f);
    f->host->timer_set(f->retry, delay(f), 0);
    f->failures++;
    f->endpoint = (f->endpoint + 1) % f->settings->endpoints.count;
    char text[1024];
    snprintf(text, sizeof(text), "%s: %s", endpoint, why);
    f->to.connection(f->to.data, text);
}

/* -- Requests --------------------------------------------------------------------------------------- */

static struct etcd_request *ask(struct etcd_follow *f, const char *path, const char *body,
                                etcd_answer_fn answer, etcd_piece_fn piece, void *data)
{
    char *url = NULL;
    size_t length = strlen(etcd_follow_endpoint(f));

    while (length && etcd_follow_endpoint(f)[length - 1] == '/')
        length--;
    if (asprintf(&url, "%.*s%s", (int)length, etcd_follow_endpoint(f), path) < 0)
        return NULL;
    struct etcd_query query = {
        .url = url, .body = body, .token = f->token, .answer = answer, .piece = piece, .data = data};
    struct etcd_request *r = etcd_http_ask(f->http, &query);
    free(url);
    return r;
}

/* The body is freed. */
struct etcd_request *etcd_follow_request(struct etcd_follow *f, const char *path, char *body,
                                         etcd_answer_fn answer, etcd_piece_fn piece, void *data)
{
    char whole[64];

    snprintf(whole, sizeof(whole), "%s%s", f->api, path);
    struct etcd_request *r = body ? ask(f, whole, body, answer, piece, data) : NULL;
    free(body);
    return r;
}

void etcd_follow_step(struct etcd_follow *f, const char *path, char *body, etcd_answer_fn answer)
{
    f->step = etcd_follow_request(f, path, body, answer, NULL, f);
    if (!f->step)
        etcd_follow_fail(f, "no memory");
}

/* Whether the answer is one to read on; else the session is over. */
bool etcd_follow_good(struct etcd_follow *f, const struct etcd_answer *a, const char *what)
{
    char message[256];

    if (a->error) {
        etcd_follow_fail(f, "%s: %s", what, a->error);
        return false;
    }
    if (a->code == HTTP_OK)
        return true;
    etcd_take_error(a->body, a->size, message, sizeof(message));
    etcd_follow_fail(f, "%s: refused with HTTP status %ld: %s", what, a->code, message);
    return false;
}

/* -- The beginning of a session --------------------------------------------------------------------- */

static int resolve_targets(struct etcd_follow *f)
{
    const struct etcd_settings *s = f->settings;
    const char *name;

    for (size_t i = 0; i < f->target_count; i++)
        free(f->targets[i].key);
    f->target_count = 0;
    free(f->targets);
    f->targets = calloc(s->key.count + 1, sizeof(*f->targets));
    for (size_t i = 0; f->targets && i < s->key.count + (s->prefix != NULL); i++) {
        name = i < s->key.count ? s->key.items[i] : s->prefix;
        f->targets[i] =
            (struct etcd_target){.key = etcd_name_resolve(name, f->ip), .prefix = i == s->key.count};
        f->target_count = i + 1;
        if (!f->targets[i].key)
            return -ENOMEM;
    }
    return f->targets ? 0 : -ENOMEM;
}

static void on_token(void *data, const struct etcd_answer *a)
{
    struct etcd_follow *f = data;
    char *token;
    const char *why = "no memory";

    f->step = NULL;
    if (!etcd_follow_good(f, a, "authenticating"))
        return;
    if (etcd_take_token(a->body, a->size, &token, &why) < 0) {
        etcd_follow_fail(f, "the answer to authentication can't be used: %s", why);
        return;
    }
    free(f->token);
    f->token = token;
    f->then(f);
}

void etcd_follow_authenticate(struct etcd_follow *f, void (*then)(struct etcd_follow *))
{
    const struct etcd_settings *s = f->settings;
    char *token = f->token;

    f->then = then;
    if (!s->user) {
        then(f);
        return;
    }
    f->token = NULL; /* one that has run out would be refused here, too */
    f->step = etcd_follow_request(f, "/auth/authenticate",
                                  etcd_body_authenticate(s->user, s->password ? s->password : ""), on_token,
                                  NULL, f);
    f->token = token;
    if (!f->step)
        etcd_follow_fail(f, "no memory");
}

/* Whatever it answers, the connection told this host's address. */
static void on_version(void *data, const struct etcd_answer *a)
{
    struct etcd_follow *f = data;
    char *ip = strdup(a->local_ip);

    f->step = NULL;
    if (a->error) {
        free(ip);
        etcd_follow_fail(f, "%s", a->error);
        return;
    }
    if (ip && f->ip && strcmp(ip, f->ip) != 0)
        f->host->log(f->instance, WEIR_LOG_INFO,
                     "this host's address on the way to etcd is %s now, and was %s", ip, f->ip);
    free(f->ip);
    f->ip = ip;
    f->api = etcd_is_old(a->body, a->size) ? "/v3beta" : "/v3";
    if (!f->ip || resolve_targets(f) < 0)
        etcd_follow_fail(f, "no memory");
    else
        etcd_follow_authenticate(f, etcd_follow_read);
}

static void begin_session(void *data)
{
    struct etcd_follow *f = data;

    f->step = ask(f, "/version", NULL, on_version, NULL, f);
    if (!f->step)
        etcd_follow_fail(f, "no memory");
}

/* -- Life ------------------------------------------------------------------------------------------- */

struct etcd_follow *etcd_follow_create(const struct weir_host *host, struct weir_instance *instance,
                                       const struct etcd_settings *settings, struct etcd_http *http,
                                       const struct etcd_follower *to)
{
    struct etcd_follow *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    *f = (struct etcd_follow){.host = host,
                              .instance = instance,
                              .settings = settings,
                              .http = http,
                              .to = *to,
                              .api = "/v3",
                              .frames = {.max = etcd_answer_max(settings)},
                              .random = (now() ^ (uintptr_t)f) | 1};
    return f;
}

int etcd_follow_start(struct etcd_follow *f)
{
    struct weir_loop *loop = f->host->loop(f->instance);

    f->retry = f->host->timer_add(loop, begin_session, f);
    f->ping = f->host->timer_add(loop, etcd_follow_ping, f);
    f->resync = f->host->timer_add(loop, etcd_follow_resync, f);
    f->confirm = f->host->timer_add(loop, etcd_follow_unconfirmed, f);
    if (!f->retry || !f->ping || !f->resync || !f->confirm)
        return -ENOMEM;
    begin_session(f);
    return 0;
}

static void remove_timer(struct etcd_follow *f, struct weir_timer **timer)
{
    if (*timer)
        f->host->timer_remove(*timer);
    *timer = NULL;
}

void etcd_follow_stop(struct etcd_follow *f)
{
    if (f->retry && f->ping && f->resync && f->confirm)
        end_session(f);
    remove_timer(f, &f->retry);
    remove_timer(f, &f->ping);
    remove_timer(f, &f->resync);
    remove_timer(f, &f->confirm);
}

void etcd_follow_destroy(struct etcd_follow *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->target_count; i++)
        free(f->targets[i].key);
    free(f->targets);
    free(f->ip);
    free(f);
}

bool etcd_follow_connected(const struct etcd_follow *f)
{
    return f->connected;
}

int64_t etcd_follow_revision(const struct etcd_follow *f)
{
    return f->revision;
}

void etcd_follow_check(struct etcd_follow *f)
{
    if (f->connected)
        etcd_follow_ping(f);
}

bool etcd_follow_asks(const struct etcd_follow *f)
{
    return f->step;
}

struct etcd_request *etcd_follow_ask(struct etcd_follow *f, const char *path, char *body,
                                     etcd_answer_fn answer, void *data)
{
    if (!f->connected) {
        free(body);
        return NULL;
    }
    return etcd_follow_request(f, path, body, answer, NULL, data);
}

const struct etcd_target *etcd_follow_targets(const struct etcd_follow *f, size_t *ret_count)
{
    *ret_count = f->target_count;
    return f->target_count ? f->targets : NULL;
}

char *etcd_follow_resolve(const struct etcd_follow *f, const char *name)
{
    return etcd_name_resolve(name, f->ip ? f->ip : "");
}
