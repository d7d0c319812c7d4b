/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stream that watches all keys, from behind the revision that was read. An event in it is only the reason
 * to read again. Loop thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "follow_private.h"

void etcd_follow_unconfirmed(void *data)
{
    etcd_follow_fail(data, "the watch is not confirmed");
}

static void on_watching(struct etcd_follow *f)
{
    f->host->timer_set(f->confirm, 0, 0);
    f->connected = true;
    if (f->logged)
        f->host->log(f->instance, WEIR_LOG_INFO, "%s: connected again, at revision %" PRId64,
                     etcd_follow_endpoint(f), f->revision);
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
        etcd_follow_next(f);
    else if (rc == -ESTALE)
        etcd_follow_fail(f, "what the watch was to begin with is compacted; everything is read again");
    else if (rc == -ECONNRESET)
        etcd_follow_fail(f, "etcd ended the watch");
    else
        etcd_follow_fail(f, "what the watch says can't be used (%s)", strerror(-rc));
}

static void on_watch_end(void *data, const struct etcd_answer *a)
{
    struct etcd_follow *f = data;

    f->watch = NULL;
    if (etcd_follow_good(f, a, "watching"))
        etcd_follow_fail(f, "the watch ended");
}

void etcd_follow_watch(struct etcd_follow *f)
{
    f->watch =
        etcd_follow_request(f, "/watch", etcd_body_watch(f->targets, f->target_count, f->known_revision + 1),
                            on_watch_end, on_piece, f);
    if (!f->watch) {
        etcd_follow_fail(f, "no memory");
        return;
    }
    f->host->timer_set(f->confirm, f->settings->request_timeout, 0);
    f->host->timer_set(f->ping, f->settings->ping_interval, f->settings->ping_interval);
    etcd_follow_arm_resync(f);
}
