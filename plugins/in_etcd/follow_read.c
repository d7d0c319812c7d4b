/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told is always one consistent read: all keys in one transaction. Besides, the modification
 * revisions are asked for each ping_interval and compared, since watches have lost events; and everything is
 * read again each resync_interval. Loop thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "follow_private.h"

#define HTTP_NOT_FOUND 404

void etcd_follow_forget(struct etcd_follow *f)
{
    for (size_t i = 0; i < f->known_count; i++)
        free(f->known[i].key);
    free(f->known);
    f->known = NULL;
    f->known_count = 0;
    f->known_revision = 0;
}

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
    etcd_follow_forget(f);
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

/* A cluster that was restored, or another one. Whether it is so; says so. What the watch told since the read
 * was asked for is no measure: the two come on connections of their own, and either may be late. */
static bool went_back(struct etcd_follow *f, const struct etcd_snapshot *s)
{
    bool other = f->cluster_id && f->cluster_id != s->cluster_id;
    bool back = f->cluster_id && s->revision < f->asked;

    if (other || back)
        f->host->log(f->instance, WEIR_LOG_WARN,
                     "%s: %s: it is at revision %" PRId64 ", and %" PRId64
                     " was known. It is taken at its word, since that is what a restored cluster looks like",
                     etcd_follow_endpoint(f), other ? "this is another cluster" : "etcd's revision went back",
                     s->revision, f->asked);
    f->cluster_id = s->cluster_id;
    f->revision = other || back || s->revision > f->revision ? s->revision : f->revision;
    return other || back;
}

static void begin_ping(struct etcd_follow *);

/* Of the steps that wait, the one to do now. */
void etcd_follow_next(struct etcd_follow *f)
{
    if (f->step)
        return;
    if (f->dirty)
        etcd_follow_read(f);
    else if (f->ping_due)
        begin_ping(f);
}

/* A read in the middle of a session that goes back: the watch waits for revisions that may never come. */
static void take_snapshot(struct etcd_follow *f, const struct etcd_snapshot *s)
{
    bool back = went_back(f, s);

    f->to.snapshot(f->to.data, s);
    if (remember(f, s) < 0)
        etcd_follow_fail(f, "no memory");
    else if (back && f->watch)
        etcd_follow_fail(f, "its revision went back");
    else if (!f->watch)
        etcd_follow_watch(f);
    else
        etcd_follow_next(f);
}

/* A token that ran out is no failure of the session: whether another one is asked for, and then the same. */
static bool renew(struct etcd_follow *f, const struct etcd_answer *a, void (*same)(struct etcd_follow *))
{
    if (a->error || a->code != ETCD_UNAUTHENTICATED || !f->token || f->renewed)
        return false;
    f->renewed = true;
    f->host->log(f->instance, WEIR_LOG_DEBUG, "%s: the token has run out, another one is asked for",
                 etcd_follow_endpoint(f));
    etcd_follow_authenticate(f, same);
    return true;
}

static void on_read(void *data, const struct etcd_answer *a)
{
    struct etcd_follow *f = data;
    struct etcd_snapshot snapshot = {0};
    const char *why = "no memory";

    f->step = NULL;
    if (!f->watch && !a->error && a->code == HTTP_NOT_FOUND && !strcmp(f->api, "/v3")) {
        f->api = "/v3beta";
        etcd_follow_read(f);
        return;
    }
    if (renew(f, a, etcd_follow_read) || !etcd_follow_good(f, a, "reading the keys"))
        return;
    f->renewed = false;
    if (etcd_take_read(a->body, a->size, &snapshot, &why) < 0) {
        etcd_follow_fail(f, "the answer to a read can't be used: %s", why);
        return;
    }
    take_snapshot(f, &snapshot);
    etcd_snapshot_clear(&snapshot);
}

void etcd_follow_read(struct etcd_follow *f)
{
    f->dirty = false;
    f->asked = f->revision;
    etcd_follow_step(f, "/kv/txn", etcd_body_read(f->targets, f->target_count, false), on_read);
}

static void on_ping(void *data, const struct etcd_answer *a)
{
    struct etcd_follow *f = data;
    struct etcd_snapshot snapshot = {0};
    const char *why = "no memory";

    f->step = NULL;
    if (renew(f, a, begin_ping) || !etcd_follow_good(f, a, "asking whether anything changed"))
        return;
    f->renewed = false;
    if (etcd_take_read(a->body, a->size, &snapshot, &why) < 0) {
        etcd_follow_fail(f, "the answer to a ping can't be used: %s", why);
        return;
    }
    if (snapshot.cluster_id != f->cluster_id || snapshot.revision < f->revision ||
        !same_revisions(f, &snapshot))
        f->dirty = true;
    else if (snapshot.revision > f->revision)
        f->revision = snapshot.revision;
    etcd_snapshot_clear(&snapshot);
    etcd_follow_next(f);
}

static void begin_ping(struct etcd_follow *f)
{
    f->ping_due = false;
    etcd_follow_step(f, "/kv/txn", etcd_body_read(f->targets, f->target_count, true), on_ping);
}

void etcd_follow_ping(void *data)
{
    struct etcd_follow *f = data;

    f->ping_due = true;
    etcd_follow_next(f);
}

void etcd_follow_again(struct etcd_follow *f, uint64_t ns)
{
    f->again = ns;
    if (f->watch)
        etcd_follow_arm_resync(f);
}

void etcd_follow_arm_resync(struct etcd_follow *f)
{
    uint64_t interval = f->settings->resync_interval;

    f->host->timer_set(f->resync, f->again && f->again < interval ? f->again : interval, interval);
    f->again = 0;
}

void etcd_follow_resync(void *data)
{
    struct etcd_follow *f = data;

    f->dirty = true;
    etcd_follow_next(f);
}
