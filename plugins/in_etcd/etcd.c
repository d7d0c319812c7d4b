/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_etcd: what this host follows, out of etcd. Puts the parts together: follow (etcd's newest word), set
 * (what is made of it), cache (the last good one), events and report (who wants to know). Everything between
 * start and stop runs on the input's loop.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cache.h"
#include "details.h"
#include "events.h"
#include "follow.h"
#include "report.h"
#include "set.h"
#include "settings.h"

#define MOST_KEYS  64 /* etcd takes 128 operations in a transaction */
#define SECOND     UINT64_C(1000000000)
#define CACHE_WAIT (3 * SECOND) /* for etcd, before what was kept is used */
#define SAVE_DELAY SECOND
#define AGAIN      SECOND /* after weir refused something, all is read again; then after twice that, and so on */

struct etcd_numbers {
    struct weir_metric *connected, *revision, *applied, *entries, *refused, *failures, *changes;
};

struct etcd {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct etcd_settings *settings;
    struct etcd_numbers numbers;
    struct etcd_http *http;
    struct etcd_follow *follow;
    struct etcd_set *set;
    struct etcd_events *events; /* or NULL */
    struct etcd_report *report; /* or NULL */
    char *cache, *source;       /* the file, or NULL; and what it must be for */
    struct weir_timer *wait, *save;
    uint64_t cluster_id;
    uint64_t again; /* ns; 0: weir refused nothing */
    size_t failures;
    bool heard, used_cache, to_save;
};

/* -- The kept configuration ------------------------------------------------------------------------- */

/* What was asked for: another set of keys must not be given the values of these. */
static char *source_of(const struct etcd_settings *s)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    for (size_t i = 0; f && i < s->key.count; i++)
        fprintf(f, "key %s\n", s->key.items[i]);
    if (f && s->prefix)
        fprintf(f, "prefix %s\n", s->prefix);
    if (!f || fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static void say_not_kept(const struct etcd *e, int rc)
{
    const char *why = rc == -ENOENT    ? "none was kept so far"
                      : rc == -ESTALE  ? "what was kept is for other keys"
                      : rc == -EBADMSG ? "what was kept can't be read"
                                       : strerror(-rc);

    e->host->log(
        e->instance, WEIR_LOG_WARN,
        "etcd does not answer, and there is no last configuration to go on with (%s): nothing is followed "
        "until it does",
        why);
}

static void use_cache(struct etcd *e)
{
    struct etcd_snapshot kept = {0};
    bool news;

    if (e->heard || e->used_cache)
        return;
    e->used_cache = true;
    e->host->timer_set(e->wait, 0, 0);
    int rc = e->cache ? etcd_cache_load(e->cache, e->source, &kept) : -ENOENT;
    if (rc == 0)
        rc = etcd_set_take(e->set, &kept, &news);
    if (rc == 0)
        e->host->log(
            e->instance, WEIR_LOG_WARN,
            "etcd does not answer: until it does, the last configuration is in force, of revision %" PRId64,
            kept.revision);
    else
        say_not_kept(e, rc);
    etcd_snapshot_clear(&kept);
}

static void on_wait(void *data)
{
    use_cache(data);
}

static void save_cache(struct etcd *e)
{
    struct etcd_snapshot s = {.cluster_id = e->cluster_id, .revision = etcd_set_applied(e->set)};

    if (!e->to_save || !e->cache)
        return;
    e->to_save = false;
    s.kvs = (struct etcd_kv *)etcd_set_values(e->set, &s.count);
    int rc = etcd_cache_save(e->cache, e->source, &s);
    if (rc < 0)
        e->host->log(e->instance, WEIR_LOG_WARN,
                     "%s can't be written: %s; should etcd be away at the next start, nothing newer is known",
                     e->cache, strerror(-rc));
}

static void on_save(void *data)
{
    save_cache(data);
}

/* -- What the parts tell ---------------------------------------------------------------------------- */

/* What was refused for want of memory, or for what another input has, may be taken in a moment. */
static void try_again(struct etcd *e)
{
    e->again = !e->again ? AGAIN : e->again < e->settings->resync_interval ? 2 * e->again : e->again;
    etcd_follow_again(e->follow, e->again);
}

static void on_snapshot(void *data, const struct etcd_snapshot *s)
{
    struct etcd *e = data;
    bool news;

    if (!e->heard && !s->count)
        e->host->log(e->instance, WEIR_LOG_INFO, "none of the keys is there yet, at revision %" PRId64,
                     s->revision);
    e->heard = true;
    e->cluster_id = s->cluster_id;
    e->host->timer_set(e->wait, 0, 0);
    int rc = etcd_set_take(e->set, s, &news);
    if (news)
        e->again = 0;
    if (rc < 0) {
        e->host->log(e->instance, WEIR_LOG_ERROR,
                     "no memory to take revision %" PRId64 "; what was there stays, and it is tried again",
                     s->revision);
        try_again(e);
    }
    e->host->metric_set(e->numbers.revision, etcd_follow_revision(e->follow));
    e->host->metric_set(e->numbers.applied, etcd_set_applied(e->set));
}

static void on_connection(void *data, const char *why)
{
    struct etcd *e = data;

    e->host->metric_set(e->numbers.connected, !why);
    if (!why) {
        e->host->error(e->instance, NULL);
        if (e->report)
            etcd_report_changed(e->report);
        return;
    }
    e->host->metric_add(e->numbers.failures, 1);
    e->host->error(e->instance, "%s", why);
    if (++e->failures >= e->settings->endpoints.count)
        use_cache(e);
}

static void on_change(void *data, const struct etcd_change *change)
{
    struct etcd *e = data;

    e->host->metric_add(e->numbers.changes, 1);
    if (e->events)
        etcd_events_add(e->events, change);
}

static void on_applied(void *data)
{
    struct etcd *e = data;
    size_t refused;

    etcd_set_refused(e->set, &refused);
    e->host->metric_set(e->numbers.applied, etcd_set_applied(e->set));
    e->host->metric_set(e->numbers.entries, (int64_t)etcd_set_count(e->set));
    e->host->metric_set(e->numbers.refused, (int64_t)refused);
    if (etcd_set_wants_again(e->set))
        try_again(e);
    else
        e->again = 0;
    if (e->heard && e->cache) {
        e->to_save = true;
        e->host->timer_set(e->save, SAVE_DELAY, 0);
    }
    if (e->events)
        etcd_events_send(e->events);
    if (e->report)
        etcd_report_changed(e->report);
}

/* -- Checks ----------------------------------------------------------------------------------------- */

static int check_endpoints(const struct etcd *e)
{
    const struct weir_list *list = &e->settings->endpoints;

    for (size_t i = 0; i < list->count; i++) {
        const char *url = list->items[i], *host = strstr(url, "://");
        if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
            e->host->error(e->instance,
                           "endpoints: '%s' is no address; write http://HOST:2379 or https://HOST:2379", url);
            return -EINVAL;
        }
        if (strchr(host + 3, '@')) {
            e->host->error(e->instance,
                           "endpoints: no name or password in an address; use user and password");
            return -EINVAL;
        }
    }
    return list->count ? 0 : (e->host->error(e->instance, "endpoints: at least one is needed"), -EINVAL);
}

/* What is written there would be read as a list of files, which is told there, and so on. */
static bool reports_to_itself(const struct etcd_settings *s)
{
    const size_t size = s->prefix ? strlen(s->prefix) : 0;
    bool is = s->status_key && size && !strncmp(s->status_key, s->prefix, size);

    for (size_t i = 0; s->status_key && !is && i < s->key.count; i++)
        is = !strcmp(s->status_key, s->key.items[i]);
    return is;
}

static int check(const struct etcd *e)
{
    const struct etcd_settings *s = e->settings;
    const char *wrong = NULL;

    if (!s->key.count && (!s->prefix || !*s->prefix))
        wrong = "key or prefix is needed: key: /logagent/${ip}/collect_config";
    else if (s->key.count > MOST_KEYS)
        wrong = "key: more than 64 keys";
    else if (!s->user != !s->password)
        wrong = "user and password go together";
    else if (!s->crt_file != !s->key_file)
        wrong = "tls.crt_file and tls.key_file go together";
    else if (reports_to_itself(s))
        wrong = "status_key: it is one of the keys that name files; write the state elsewhere";
    for (size_t i = 0; !wrong && i < s->allow_path.count; i++)
        if (*s->allow_path.items[i] != '/')
            wrong = "allow_path: every pattern must begin with /";
    for (size_t i = 0; !wrong && i < s->key.count; i++)
        if (!*s->key.items[i])
            wrong = "key: an empty name";
    if (wrong)
        e->host->error(e->instance, "%s", wrong);
    return wrong ? -EINVAL : check_endpoints(e);
}

/* -- Life ------------------------------------------------------------------------------------------- */

static void etcd_destroy(void *self)
{
    struct etcd *e = self;

    etcd_report_destroy(e->report);
    etcd_events_destroy(e->events);
    etcd_set_destroy(e->set);
    etcd_follow_destroy(e->follow);
    etcd_http_destroy(e->http);
    free(e->cache);
    free(e->source);
    free(e);
}

static void create_metrics(struct etcd *e)
{
    const struct weir_host *h = e->host;
    struct weir_instance *i = e->instance;

    e->numbers = (struct etcd_numbers){
        .connected = h->metric(i, WEIR_GAUGE, "connected", "Whether the watch stands: 1 or 0.", NULL, NULL),
        .revision =
            h->metric(i, WEIR_GAUGE, "revision", "The newest revision that etcd told of.", NULL, NULL),
        .applied = h->metric(i, WEIR_GAUGE, "applied_revision", "The revision that is in force.", NULL, NULL),
        .entries = h->metric(i, WEIR_GAUGE, "entries", "Inputs that exist by etcd's word.", NULL, NULL),
        .refused =
            h->metric(i, WEIR_GAUGE, "refused_entries", "Entries and keys that are refused now.", NULL, NULL),
        .failures =
            h->metric(i, WEIR_COUNTER, "failures", "Connections that failed or were lost.", NULL, NULL),
        .changes = h->metric(i, WEIR_COUNTER, "changes", "Inputs added, changed and removed.", NULL, NULL),
    };
}

static int create_parts(struct etcd *e)
{
    const struct etcd_follower follower = {on_snapshot, on_connection, e};
    const struct etcd_listener listener = {on_change, on_applied, e};

    e->source = source_of(e->settings);
    e->http = etcd_http_create(e->host, e->instance, e->settings);
    e->follow = e->http ? etcd_follow_create(e->host, e->instance, e->settings, e->http, &follower) : NULL;
    e->set = etcd_set_create(e->host, e->instance, e->settings, &listener);
    if (!e->source || !e->follow || !e->set)
        return -ENOMEM;
    if (e->settings->emit_events && !(e->events = etcd_events_create(e->host, e->instance)))
        return -ENOMEM;
    if (e->settings->status_key)
        e->report = etcd_report_create(e->host, e->instance, e->settings, e->follow, e->set);
    return e->settings->status_key && !e->report ? -ENOMEM : 0;
}

static int etcd_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                       void **ret_self)
{
    struct etcd *e = calloc(1, sizeof(*e));

    if (!e) {
        host->error(instance, "no memory");
        return -ENOMEM;
    }
    e->host = host;
    e->instance = instance;
    e->settings = config;
    create_metrics(e);
    int rc = check(e);
    if (rc == 0) {
        rc = create_parts(e);
        if (rc < 0)
            host->error(instance, "no memory");
    }
    if (rc < 0)
        etcd_destroy(e);
    else
        *ret_self = e;
    return rc;
}

static int start_parts(struct etcd *e)
{
    struct weir_loop *loop = e->host->loop(e->instance);
    const char *dir = WEIR_HAS(e->host, data_dir) ? e->host->data_dir(e->instance) : NULL;

    e->cache = dir ? etcd_cache_path(dir, e->host->alias(e->instance)) : NULL;
    e->wait = e->host->timer_add(loop, on_wait, e);
    e->save = e->host->timer_add(loop, on_save, e);
    if (!e->wait || !e->save || (dir && !e->cache) || etcd_http_start(e->http) < 0)
        return -ENOMEM;
    e->host->timer_set(e->wait, CACHE_WAIT, 0);
    if (e->report && etcd_report_start(e->report) < 0)
        return -ENOMEM;
    return etcd_follow_start(e->follow);
}

static void stop_parts(struct etcd *e)
{
    if (e->report)
        etcd_report_stop(e->report);
    etcd_follow_stop(e->follow);
    etcd_http_stop(e->http);
    if (e->wait)
        e->host->timer_remove(e->wait);
    if (e->save)
        e->host->timer_remove(e->save);
    e->wait = e->save = NULL;
}

static int etcd_start(void *self)
{
    struct etcd *e = self;
    int rc = start_parts(e);

    if (rc < 0) {
        stop_parts(e);
        e->host->error(e->instance, "%s", strerror(-rc));
    }
    return rc;
}

static void etcd_resume(void *self)
{
    struct etcd *e = self;

    if (e->events)
        etcd_events_send(e->events);
}

static void etcd_stop(void *self)
{
    struct etcd *e = self;

    save_cache(e);
    stop_parts(e);
    e->host->stopped(e->instance);
}

static int etcd_details(void *self, const struct weir_details *details)
{
    const struct etcd *e = self;

    return etcd_details_write(e->follow, e->set, details);
}

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "etcd",
    .version = WEIR_VERSION,
    .summary = "what to follow, out of etcd: files are added, changed and removed while weir runs",
    .options = etcd_options,
    .config_size = sizeof(struct etcd_settings),
    .create = etcd_create,
    .start = etcd_start,
    .resume = etcd_resume,
    .stop = etcd_stop,
    .destroy = etcd_destroy,
    .flags = WEIR_PLUGIN_SOURCE,
    .details = etcd_details,
};
