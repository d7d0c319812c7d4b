/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value:
 * {"host":…,"version":…,"connected":…,"revision":…,"applied_revision":…,"refused":[…],"files":[{"path":…,
 * "topic":…,"lag":…}]}, with the files that lag most first. It is written when something was applied, and
 * each third of the lease's time, which is also when the lease is kept alive. One request at a time. Loop
 * thread.
 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "details.h"

#define SECOND       UINT64_C(1000000000)
#define SOON         (SECOND / 5) /* several changes in a row are told once */
#define MOST_REFUSED 100
#define MOST_FILES   500
#define SHARE        50 /* looking at the files takes at most so small a part of the time */

struct etcd_report {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct etcd_settings *settings;
    struct etcd_follow *follow;
    const struct etcd_set *set;
    struct weir_timer *timer;
    int64_t lease; /* 0: none */
    bool busy;     /* a request, or weir's status, is under way */
    bool again;    /* something changed meanwhile */
    bool failing;  /* the log says so */
    bool renewing; /* the token was refused, and another one is asked for */
    bool stopped;
    json_t *files; /* as they were last looked at */
    uint64_t asked, next_look;
};

static void grant(struct etcd_report *);
static void put(struct etcd_report *);

/* -- Steps ------------------------------------------------------------------------------------------ */

static void end_round(struct etcd_report *r)
{
    uint64_t third = r->settings->status_ttl / 3;

    r->busy = false;
    if (!r->stopped)
        r->host->timer_set(r->timer, r->again ? SOON : third, third);
    r->again = false;
}

/* A token that ran out is no failure. Whether the round is begun anew with another one. */
static bool renew(struct etcd_report *r, const struct etcd_answer *a)
{
    if (!a || a->error || a->code != ETCD_UNAUTHENTICATED || r->renewing)
        return false;
    r->renewing = r->again = true;
    etcd_follow_check(r->follow);
    end_round(r);
    return true;
}

/* The lease is asked for anew next time: it may have gone with the member or the time. */
static void give_up(struct etcd_report *r, const char *what, const struct etcd_answer *a)
{
    char message[256] = "no connection";

    if (renew(r, a))
        return;
    if (a && a->error)
        snprintf(message, sizeof(message), "%s", a->error);
    else if (a)
        etcd_take_error(a->body, a->size, message, sizeof(message));
    r->host->log(r->instance, r->failing ? WEIR_LOG_DEBUG : WEIR_LOG_WARN,
                 "status_key can't be written: %s: %s; it is tried again", what, message);
    r->failing = true;
    r->lease = 0;
    end_round(r);
}

static bool good(const struct etcd_answer *a)
{
    return !a->error && a->code == 200;
}

static void on_put(void *data, const struct etcd_answer *a)
{
    struct etcd_report *r = data;

    if (!good(a)) {
        give_up(r, "put", a);
        return;
    }
    if (r->failing)
        r->host->log(r->instance, WEIR_LOG_INFO, "status_key is written again");
    r->failing = r->renewing = false;
    end_round(r);
}

static void on_lease(void *data, const struct etcd_answer *a)
{
    struct etcd_report *r = data;
    int64_t ttl = 0;
    const char *why;

    if (!good(a) || etcd_take_lease(a->body, a->size, &r->lease, &ttl, &why) < 0) {
        give_up(r, "lease", a);
    } else if (ttl <= 0) {
        r->lease = 0; /* it ran out meanwhile */
        grant(r);
    } else {
        put(r);
    }
}

static void ask(struct etcd_report *r, const char *path, char *body, etcd_answer_fn answer, const char *what)
{
    if (!etcd_follow_ask(r->follow, path, body, answer, r))
        give_up(r, what, NULL);
}

static void grant(struct etcd_report *r)
{
    ask(r, "/lease/grant", etcd_body_grant(r->settings->status_ttl / SECOND), on_lease, "lease");
}

static char *value(const struct etcd_report *r)
{
    char host[HOST_NAME_MAX + 1] = "";
    json_t *json = etcd_details_json(r->follow, r->set, MOST_REFUSED);

    gethostname(host, sizeof(host) - 1);
    json_object_set_new(json, "host", json_string(host));
    json_object_set_new(json, "version", json_string(r->host->version));
    if (r->files)
        json_object_set(json, "files", r->files);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

static void put(struct etcd_report *r)
{
    char *text = value(r), *key = etcd_follow_resolve(r->follow, r->settings->status_key);

    ask(r, "/kv/put", text && key ? etcd_body_put(key, text, strlen(text), r->lease) : NULL, on_put, "put");
    free(text);
    free(key);
}

/* -- Files ------------------------------------------------------------------------------------------ */

struct lag {
    const json_t *file;
    const char *topic;
    json_int_t bytes;
};

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static int compare_lags(const void *a, const void *b)
{
    const struct lag *x = a, *y = b;

    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

/* The files of one input behind the others. */
static size_t add_lags(const json_t *input, struct lag *lags, size_t count)
{
    const json_t *files = json_object_get(input, "files"), *file;
    size_t i;

    json_array_foreach(files, i, file) lags[count++] =
        (struct lag){file, json_string_value(json_object_get(input, "topic")),
                     number_of(file, "size") - number_of(file, "committed")};
    return count;
}

static bool is_ours(const struct etcd_report *r, const json_t *input)
{
    const char *owner = json_string_value(json_object_get(input, "owner"));

    return owner && !strcmp(owner, r->host->alias(r->instance));
}

static json_t *lags_json(struct lag *lags, size_t count)
{
    json_t *list = json_array();

    qsort(lags, count, sizeof(*lags), compare_lags);
    for (size_t i = 0; i < count && i < MOST_FILES; i++)
        json_array_append_new(list,
                              json_pack("{s:O, s:s, s:I}", "path", json_object_get(lags[i].file, "path"),
                                        "topic", lags[i].topic ? lags[i].topic : "", "lag", lags[i].bytes));
    return list;
}

/* What weir's status says of the inputs that are ours. NULL: no memory. */
static json_t *files_of(const struct etcd_report *r, const json_t *status)
{
    const json_t *inputs = json_object_get(status, "inputs"), *input;
    size_t i, room = 0, count = 0;

    json_array_foreach(inputs, i, input) room +=
        is_ours(r, input) ? json_array_size(json_object_get(input, "files")) : 0;
    struct lag *lags = calloc(room + 1, sizeof(*lags));
    json_array_foreach(inputs, i, input) if (lags && is_ours(r, input)) count = add_lags(input, lags, count);
    json_t *list = lags ? lags_json(lags, count) : NULL;
    free(lags);
    return list;
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void write_report(struct etcd_report *r)
{
    if (r->lease)
        ask(r, "/lease/keepalive", etcd_body_keepalive(r->lease), on_lease, "lease");
    else
        grant(r);
}

static void on_status(void *data, const char *json, size_t size)
{
    struct etcd_report *r = data;
    json_t *status = json ? json_loadb(json, size, 0, NULL) : NULL;

    json_decref(r->files);
    r->files = status ? files_of(r, status) : NULL;
    json_decref(status);
    r->next_look = now() + SHARE * (now() - r->asked);
    write_report(r);
}

/* The loop is that of the files: with very many of them the report says for a while what it said before. */
static void on_timer(void *data)
{
    struct etcd_report *r = data;

    if (r->busy || !etcd_follow_connected(r->follow))
        return;
    if (r->renewing && etcd_follow_asks(r->follow)) {
        r->host->timer_set(r->timer, SOON, r->settings->status_ttl / 3);
        return;
    }
    r->busy = true;
    r->asked = now();
    if (r->files && r->asked < r->next_look)
        write_report(r);
    else if (!WEIR_HAS(r->host, status) || r->host->status(r->instance, MOST_FILES, on_status, r) < 0)
        on_status(r, NULL, 0);
}

/* -- Life ------------------------------------------------------------------------------------------- */

struct etcd_report *etcd_report_create(const struct weir_host *host, struct weir_instance *instance,
                                       const struct etcd_settings *settings, struct etcd_follow *follow,
                                       const struct etcd_set *set)
{
    struct etcd_report *r = calloc(1, sizeof(*r));

    if (r)
        *r = (struct etcd_report){
            .host = host, .instance = instance, .settings = settings, .follow = follow, .set = set};
    return r;
}

int etcd_report_start(struct etcd_report *r)
{
    r->timer = r->host->timer_add(r->host->loop(r->instance), on_timer, r);
    if (!r->timer)
        return -ENOMEM;
    r->host->timer_set(r->timer, r->settings->status_ttl / 3, r->settings->status_ttl / 3);
    return 0;
}

void etcd_report_stop(struct etcd_report *r)
{
    r->stopped = true;
    if (r->timer)
        r->host->timer_remove(r->timer);
    r->timer = NULL;
}

void etcd_report_destroy(struct etcd_report *r)
{
    if (r)
        json_decref(r->files);
    free(r);
}

void etcd_report_changed(struct etcd_report *r)
{
    if (r->busy)
        r->again = true;
    else
        r->host->timer_set(r->timer, SOON, r->settings->status_ttl / 3);
}
