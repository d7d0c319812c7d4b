/* SPDX-License-Identifier: Apache-2.0 */
/* Subscribing to what happens to an inode, or saying why that can't be. Owns nothing. Loop thread. */
#include "subscribe.h"

#include <errno.h>
#include <string.h>

static int subscribe(struct tail_instance *tail, struct tail_sub *sub, const char *path, const char *shown,
                     uint32_t events)
{
    int error = 0;
    bool first = false;
    if (!tail->config->inotify_watcher) {
        return -EOPNOTSUPP;
    }
    struct tail_notify *notify = tail_hub_notify(tail->hub, &error, &first);
    if (!notify) {
        if (first) {
            tail_log(
                tail, WARN,
                "no inotify (%s; see fs.inotify.max_user_instances): files are looked at every poll_interval; it is "
                "asked for again every refresh_interval",
                strerror(error));
        }
        return -error;
    }
    int r = tail_notify_add(notify, sub, path, events);
    if (r == -ENOSPC && tail_hub_spare_watches(tail->hub)) {
        r = tail_notify_add(notify, sub, path, events);
    }
    if (r == -ENOSPC && tail_hub_first_limit(tail->hub)) {
        tail_log(
            tail, WARN,
            "no more inotify watches (fs.inotify.max_user_watches): %s, and what else finds none, is looked "
            "at every poll_interval; they are asked for again every refresh_interval",
            shown);
    }
    return r;
}

bool tail_subscribe(struct tail_instance *tail, struct tail_sub *sub, const char *path, const char *shown,
                    uint32_t events, uint32_t system, int *ret_error)
{
    int r = subscribe(tail, sub, path, shown, events);
    *ret_error = -r;
    if (r < 0 || !tail_notify_remote(sub, path, system)) {
        return r == 0;
    }
    if (!tail->remote_said) {
        tail->remote_said = true;
        tail_log(
            tail, INFO,
            "%s is on a network or FUSE file system, of whose changes inotify need not tell: what is there "
            "is looked at every poll_interval",
            shown);
    }
    return false;
}

void tail_subscription_move(struct tail_hub *hub, struct tail_sub *from, struct tail_sub *to)
{
    int error;
    bool first;
    if (from->watched) {
        tail_notify_move(tail_hub_notify(hub, &error, &first), from, to);
    }
}

void tail_unsubscribe(struct tail_hub *hub, struct tail_sub *sub)
{
    int error;
    bool first;
    if (sub->watched) {
        tail_notify_remove(tail_hub_notify(hub, &error, &first), sub);
    }
}
