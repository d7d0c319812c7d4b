/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One session at a time with one endpoint:
 *   /version      tells this host's address and where the API lies
 *   authenticate  where there is a user
 *   read          all keys in one transaction, at revision R
 *   watch         one stream for all keys, from R+1 on
 * An event of the watch is only the reason to read again: what is told is always one consistent read.
 * Besides, the modification revisions are asked for each ping_interval and compared, since watches have lost
 * events; and everything is read again each resync_interval. Whatever goes wrong ends the session, and the
 * next one begins with the next endpoint. Loop thread.
 */
#include "follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "frames.h"
#include "names.h"

#define MS              UINT64_C(1000000)
#define SECOND          UINT64_C(1000000000)
#define FIRST_DELAY     (100 * MS)
#define LONGEST_DELAY   (5 * SECOND)
#define LOG_INTERVAL    (60 * SECOND)
#define HTTP_OK         200
#define HTTP_NOT_FOUND  404
#define UNAUTHENTICATED 401

struct etcd_follow {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct etcd_settings *settings;
    struct etcd_http *http;
    struct etcd_follower to;

    /* for ever */
    size_t endpoint;
    unsigned failures; /* in a row */
    uint64_t logged;   /* when the last failure was; 0: none since it went well */
    uint64_t cluster_id;
    int64_t revision;
    char *ip;
    const char *api; /* "/v3" */
    struct etcd_target *targets;
    size_t target_count;
    uint64_t random;

    /* of the session */
    char *token;
    struct etcd_request *step; /* version, authenticate, read or ping: one at a time */
    struct etcd_request *watch;
    struct etcd_frames frames;
    struct etcd_kv *known; /* without values */
    size_t known_count;
    int64_t known_revision;
    size_t created; /* watches that are confirmed */
    bool dirty;     /* read again as soon as the step is over */
    bool ping_due;
    bool connected;
    struct weir_timer *retry, *ping, *resync, *confirm;
};

static void begin_session(void *data);
static void fail(struct etcd_follow *, const char *format, ...) WEIR_PRINTF(2, 3);
static void read_all(struct etcd_follow *);

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static const char *endpoint_of(const struct etcd_follow *f)
{
    return f->settings->endpoints.items[f->endpoint];
}

/* -- The end of a session --------------------------------------------------------------------------- */

static void forget_known(struct etcd_follow *f)
{
    for (size_t i = 0; i < f->known_count; i++)
        free(f->known[i].key);
    free(f->known);
    f->known = NULL;
    f->known_count = 0;
    f->known_revision = 0;
}

static void end_session(struct etcd_follow *f)
{
    if (f->step)
        etcd_http_cancel(f->step);
    if (f->watch)
        etcd_http_cancel(f->watch);
    f->step = f->watch = NULL;
    etcd_frames_clear(&f->frames);
    forget_known(f);
    free(f->token);
    f->token = NULL;
    f->created = 0;
    f->dirty = f->ping_due = f->connected = false;
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

static void fail(struct etcd_follow *f, const char *format, ...)
{
    char why[512];
    va_list arguments;
    const char *endpoint = endpoint_of(f);

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
    size_t length = strlen(endpoint_of(f));

    while (length && endpoint_of(f)[length - 1] == '/')
        length--;
    if (asprintf(&url, "%.*s%s", (int)length, endpoint_of(f), path) < 0)
        return NULL;
    struct etcd_query query = {
        .url = url, .body = body, .token = f->token, .answer = answer, .piece = piece, .data = data};
    struct etcd_request *r = etcd_http_ask(f->http, &query);
    free(url);
    return r;
}

/* The body is freed. */
static struct etcd_request *ask_api(struct etcd_follow *f, const char *path, char *body,
                                    etcd_answer_fn answer, etcd_piece_fn piece, void *data)
{
    char whole[64];

    snprintf(whole, sizeof(whole), "%s%s", f->api, path);
    struct etcd_request *r = body ? ask(f, whole, body, answer, piece, data) : NULL;
    free(body);
    return r;
}

static void begin_step(struct etcd_follow *f, const char *path, char *body, etcd_answer_fn answer)
{
    f->step = ask_api(f, path, body, answer, NULL, f);
    if (!f->step)
        fail(f, "no memory");
}

/* Whether the answer is one to read on; else the session is over. */
static bool good(struct etcd_follow *f, const struct etcd_answer *a, const char *what)
{
    char message[256];

    if (a->error) {
        fail(f, "%s: %s", what, a->error);
        return false;
    }
    if (a->code == HTTP_OK)
        return true;
    etcd_take_error(a->body, a->size, message, sizeof(message));
    fail(f, "%s: refused with HTTP status %ld: %s", what, a->code, message);
    return false;
}

/* -- Reading ---------------------------------------------------------------------------------------- */

/* Whether the keys and their modification revisions are what is known. */
static bool same_revisions(const struct etcd_follow *f, const struct etcd_snapshot *s)
{
    bool same = s->count == f->known_count;

    for (size_t i = 0; same && i < s->count; i++)
        same = s->kvs[i].mod_revision == f->known[i].mod_revision && !strcmp(s->kvs[i].key, f->known[i].key);
    return same;
}

static int remember(struct etcd_follow *f, const struct etcd_snapshot *s)
{
    forget_known(f);
    f->known = calloc(s->count + 1, sizeof(*f->known));
    for (size_t i = 0; f->known && i < s->count; i++) {
        f->known[i] = (struct etcd_kv){.key = strdup(s->kvs[i].key), .mod_revision = s->kvs[i].mod_revision};
        f->known_count = i + 1;
        if (!f->known[i].key)
            return -ENOMEM;
    }
    f->known_revision = s->revision;
    return f->known ? 0 : -ENOMEM;
}

/* A cluster that was restored, or another one. Whether it is so; says so. */
static bool went_back(struct etcd_follow *f, const struct etcd_snapshot *s)
{
    bool other = f->cluster_id && f->cluster_id != s->cluster_id;
    bool back = f->cluster_id && s->revision < f->revision;

    if (other || back)
        f->host->log(f->instance, WEIR_LOG_WARN,
                     "%s: %s: it is at revision %" PRId64 ", and %" PRId64
                     " was known. It is taken at its word, since that is what a restored cluster looks like",
                     endpoint_of(f), other ? "this is another cluster" : "etcd's revision went back",
                     s->revision, f->revision);
    f->cluster_id = s->cluster_id;
    f->revision = other || back || s->revision > f->revision ? s->revision : f->revision;
    return other || back;
}

static void on_piece(void *data, const char *bytes, size_t size);
static void on_watch_end(void *data, const struct etcd_answer *);

static void begin_watch(struct etcd_follow *f)
{
    f->watch = ask_api(f, "/watch", etcd_body_watch(f->targets, f->target_count, f->known_revision + 1),
                       on_watch_end, on_piece, f);
    if (!f->watch) {
        fail(f, "no memory");
        return;
    }
    f->host->timer_set(f->confirm, f->settings->request_timeout, 0);
    f->host->timer_set(f->ping, f->settings->ping_interval, f->settings->ping_interval);
    f->host->timer_set(f->resync, f->settings->resync_interval, f->settings->resync_interval);
}

static void begin_ping(struct etcd_follow *);

/* Of the steps that wait, the one to do now. */
static void next_step(struct etcd_follow *f)
{
    if (f->step)
        return;
    if (f->dirty)
        read_all(f);
    else if (f->ping_due)
        begin_ping(f);
}

/* A read in the middle of a session that goes back: the watch waits for revisions that may never come. */
static void take_snapshot(struct etcd_follow *f, const struct etcd_snapshot *s)
{
    bool back = went_back(f, s);

    f->to.snapshot(f->to.data, s);
    if (remember(f, s) < 0)
        fail(f, "no memory");
    else if (back && f->watch)
        fail(f, "its revision went back");
    else if (!f->watch)
        begin_watch(f);
    else
        next_step(f);
}

static void on_read(void *data, const struct etcd_answer *a)
{
    struct etcd_follow *f = data;
    struct etcd_snapshot snapshot = {0};
    const char *why = "no memory";

    f->step = NULL;
    if (!f->watch && !a->error && a->code == HTTP_NOT_FOUND && !strcmp(f->api, "/v3")) {
        f->api = "/v3beta";
        read_all(f);
        return;
    }
    if (!good(f, a, "reading the keys"))
        return;
    if (etcd_take_read(a->body, a->size, &snapshot, &why) < 0) {
        fail(f, "the answer to a read can't be used: %s", why);
        return;
    }
    take_snapshot(f, &snapshot);
    etcd_snapshot_clear(&snapshot);
}

static void read_all(struct etcd_follow *f)
{
    f->dirty = false;
    begin_step(f, "/kv/txn", etcd_body_read(f->targets, f->target_count, false), on_read);
}

static void on_ping(void *data, const struct etcd_answer *a)
{
    struct etcd_follow *f = data;
    struct etcd_snapshot snapshot = {0};
    const char *why = "no memory";

    f->step = NULL;
    if (!good(f, a, "asking whether anything changed"))
        return;
    if (etcd_take_read(a->body, a->size, &snapshot, &why) < 0) {
        fail(f, "the answer to a ping can't be used: %s", why);
        return;
    }
    if (snapshot.cluster_id != f->cluster_id || snapshot.revision < f->revision ||
        !same_revisions(f, &snapshot))
        f->dirty = true;
    else if (snapshot.revision > f->revision)
        f->revision = snapshot.revision;
    etcd_snapshot_clear(&snapshot);
    next_step(f);
}

static void begin_ping(struct etcd_follow *f)
{
    f->ping_due = false;
    begin_step(f, "/kv/txn", etcd_body_read(f->targets, f->target_count, true), on_ping);
}

static void on_ping_timer(void *data)
{
    struct etcd_follow *f = data;

    f->ping_due = true;
    next_step(f);
}

static void on_resync_timer(void *data)
{
    struct etcd_follow *f = data;

    f->dirty = true;
    next_step(f);
}

/* -- Watching --------------------------------------------------------------------------------------- */

static void on_confirm_timer(void *data)
{
    fail(data, "the watch is not confirmed");
}

static void on_watching(struct etcd_follow *f)
{
    f->host->timer_set(f->confirm, 0, 0);
    f->connected = true;
    if (f->logged)
        f->host->log(f->instance, WEIR_LOG_INFO, "%s: connected again, at revision %" PRId64, endpoint_of(f),
                     f->revision);
    f->logged = 0;
    f->failures = 0;
    f->to.connection(f->to.data, NULL);
}

/* Other than 0: the stream is of no more use; fail comes when no one is inside of it any more. */
static int on_frame(void *data, const char *text, size_t size)
{
    struct etcd_follow *f = data;
    struct etcd_watch_message m;
    const char *why = "no memory";

    if (etcd_take_watch(text, size, &m, &why) < 0) {
        f->host->log(f->instance, WEIR_LOG_DEBUG, "a message of the watch can't be used: %s", why);
        return -EBADMSG;
    }
    if (m.failed || m.canceled) {
        f->host->log(f->instance, WEIR_LOG_DEBUG, "the watch ended: %s (compacted: %" PRId64 ")", m.reason,
                     m.compacted);
        return m.compacted ? -ESTALE : -ECONNRESET;
    }
    if (m.created && ++f->created == f->target_count)
        on_watching(f);
    if (m.events && m.revision > f->known_revision)
        f->dirty = true;
    if (m.revision > f->revision)
        f->revision = m.revision;
    return 0;
}

static void on_piece(void *data, const char *bytes, size_t size)
{
    struct etcd_follow *f = data;
    int rc = etcd_frames_feed(&f->frames, bytes, size, on_frame, f);

    if (rc == 0)
        next_step(f);
    else if (rc == -ESTALE)
        fail(f, "what the watch was to begin with is compacted; everything is read again");
    else if (rc == -ECONNRESET)
        fail(f, "etcd ended the watch");
    else
        fail(f, "what the watch says can't be used (%s)", strerror(-rc));
}

static void on_watch_end(void *data, const struct etcd_answer *a)
{
    struct etcd_follow *f = data;

    f->watch = NULL;
    if (good(f, a, "watching"))
        fail(f, "the watch ended");
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
    const char *why = "no memory";

    f->step = NULL;
    if (!good(f, a, "authenticating"))
        return;
    if (etcd_take_token(a->body, a->size, &f->token, &why) < 0)
        fail(f, "the answer to authentication can't be used: %s", why);
    else
        read_all(f);
}

static void authenticate(struct etcd_follow *f)
{
    const struct etcd_settings *s = f->settings;

    if (s->user)
        begin_step(f, "/auth/authenticate", etcd_body_authenticate(s->user, s->password ? s->password : ""),
                   on_token);
    else
        read_all(f);
}

/* Whatever it answers, the connection told this host's address. */
static void on_version(void *data, const struct etcd_answer *a)
{
    struct etcd_follow *f = data;
    char *ip = strdup(a->local_ip);

    f->step = NULL;
    if (a->error) {
        free(ip);
        fail(f, "%s", a->error);
        return;
    }
    if (ip && f->ip && strcmp(ip, f->ip) != 0)
        f->host->log(f->instance, WEIR_LOG_INFO,
                     "this host's address on the way to etcd is %s now, and was %s", ip, f->ip);
    free(f->ip);
    f->ip = ip;
    f->api = etcd_is_old(a->body, a->size) ? "/v3beta" : "/v3";
    if (!f->ip || resolve_targets(f) < 0)
        fail(f, "no memory");
    else
        authenticate(f);
}

static void begin_session(void *data)
{
    struct etcd_follow *f = data;

    f->step = ask(f, "/version", NULL, on_version, NULL, f);
    if (!f->step)
        fail(f, "no memory");
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
                              .frames = {.max = ETCD_ANSWER_MAX(settings)},
                              .random = (now() ^ (uintptr_t)f) | 1};
    return f;
}

int etcd_follow_start(struct etcd_follow *f)
{
    struct weir_loop *loop = f->host->loop(f->instance);

    f->retry = f->host->timer_add(loop, begin_session, f);
    f->ping = f->host->timer_add(loop, on_ping_timer, f);
    f->resync = f->host->timer_add(loop, on_resync_timer, f);
    f->confirm = f->host->timer_add(loop, on_confirm_timer, f);
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

struct etcd_request *etcd_follow_ask(struct etcd_follow *f, const char *path, char *body,
                                     etcd_answer_fn answer, void *data)
{
    if (!f->connected) {
        free(body);
        return NULL;
    }
    return ask_api(f, path, body, answer, NULL, data);
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
