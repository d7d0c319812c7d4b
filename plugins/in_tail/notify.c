/* SPDX-License-Identifier: Apache-2.0 */
/* The inotify descriptor, its watches, and who subscribed to each. Loop thread. */
#include "notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/statfs.h>
#include <unistd.h>
#include "identity.h"

enum {
    BUFFER = 64 * 1024,
    BATCH = 4 /* buffers at most before others of the loop have their turn */
};

struct tail_watched {
    struct tail_table_node node; /* hash: wd */
    struct tail_link subs;       /* struct tail_sub.link */
    int wd;
    bool judged, remote; /* whether it was looked at; and lies where inotify need not tell of changes */
};

struct tail_notify {
    const struct weir_host *host;
    struct tail_notify_owner owner;
    struct weir_watch *watch;
    struct tail_table table;
    struct tail_watched *current; /* whose subscribers are being told */
    struct tail_link *following;  /* the next of them: moved on when it is removed */
    int fd;
    char buffer[BUFFER] __attribute__((aligned(__alignof__(struct inotify_event))));
};

static struct tail_watched *find(struct tail_notify *n, int wd)
{
    struct tail_table_node *node = tail_table_first(&n->table, (uint64_t)(unsigned)wd);
    return node ? TAIL_OF(node, struct tail_watched, node) : NULL;
}

static void forget(struct tail_notify *n, struct tail_watched *w)
{
    tail_table_remove(&n->table, &w->node);
    free(w);
}

static void drop_unused(struct tail_notify *n, struct tail_watched *w)
{
    if (tail_list_empty(&w->subs) && w != n->current) {
        inotify_rm_watch(n->fd, w->wd);
        forget(n, w);
    }
}

/* -- Subscribers --------------------------------------------------------------------------------------- */

static void detach(struct tail_notify *n, struct tail_sub *sub)
{
    if (n->following == &sub->link) {
        n->following = sub->link.next;
    }
    tail_list_remove(&sub->link);
    sub->watched = NULL;
}

/* The kernel has dropped the watch: the inode is gone or its file system unmounted. */
static void ignored(struct tail_notify *n, struct tail_watched *w)
{
    n->current = w;
    while (!tail_list_empty(&w->subs)) {
        struct tail_sub *sub = TAIL_OF(w->subs.next, struct tail_sub, link);
        detach(n, sub);
        sub->fn(sub, IN_IGNORED, NULL);
    }
    n->current = NULL;
    forget(n, w);
}

static void tell(struct tail_notify *n, const struct tail_watched *w, const struct inotify_event *event)
{
    for (struct tail_link *l = w->subs.next; l != &w->subs; l = n->following) {
        n->following = l->next;
        struct tail_sub *sub = TAIL_OF(l, struct tail_sub, link);
        sub->fn(sub, event->mask, event->len ? event->name : NULL);
    }
    n->following = NULL;
}

static void dispatch(struct tail_notify *n, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        n->owner.overflow(n->owner.data);
        return;
    }
    struct tail_watched *w = find(n, event->wd);
    if (!w) {
        return;
    }
    if (event->mask & IN_IGNORED) {
        ignored(n, w);
        return;
    }
    n->current = w;
    tell(n, w, event);
    n->current = NULL;
    drop_unused(n, w);
}

static void readable(void *data, int fd, uint32_t events)
{
    struct tail_notify *n = data;
    (void)events;
    n->owner.begin(n->owner.data);
    for (int i = 0; i < BATCH; i++) {
        ssize_t size = read(fd, n->buffer, sizeof(n->buffer));
        if (size <= 0) {
            break;
        }
        for (char *p = n->buffer; p < n->buffer + size;) {
            const struct inotify_event *event = (const void *)p;
            dispatch(n, event);
            p += sizeof(*event) + event->len;
        }
        if ((size_t)size < sizeof(n->buffer) / 2) {
            break; /* most likely all there was; epoll says so if it was not */
        }
    }
    n->owner.done(n->owner.data);
}

int tail_notify_create(const struct weir_host *host, struct weir_loop *loop,
                       const struct tail_notify_owner *owner, struct tail_notify **ret)
{
    struct tail_notify *n = calloc(1, sizeof(*n));
    if (!n) {
        return -ENOMEM;
    }
    n->host = host;
    n->owner = *owner;
    n->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (n->fd >= 0) {
        n->watch = host->watch_add(loop, n->fd, EPOLLIN, readable, n);
    }
    if (!n->watch) {
        int error = errno;
        if (n->fd >= 0) {
            close(n->fd);
        }
        free(n);
        return error ? -error : -EIO;
    }
    *ret = n;
    return 0;
}

void tail_notify_destroy(struct tail_notify *n)
{
    if (!n) {
        return;
    }
    n->host->watch_remove(n->watch);
    close(n->fd);
    tail_table_clear(&n->table);
    free(n);
}

static int watched_get(struct tail_notify *n, int wd, struct tail_watched **ret)
{
    struct tail_watched *w = find(n, wd);
    if (!w) {
        w = calloc(1, sizeof(*w));
        if (!w || tail_table_add(&n->table, &w->node, (uint64_t)(unsigned)wd) < 0) {
            free(w);
            inotify_rm_watch(n->fd, wd);
            return -ENOMEM;
        }
        w->wd = wd;
        tail_list_init(&w->subs);
    }
    *ret = w;
    return 0;
}

int tail_notify_add(struct tail_notify *n, struct tail_sub *sub, const char *path, uint32_t events)
{
    struct tail_watched *w;
    /* IN_MASK_ADD: the inode may have subscribers already, who wait for other events */
    int wd = inotify_add_watch(n->fd, path, events | IN_MASK_ADD);
    if (wd < 0) {
        return -errno;
    }
    int r = watched_get(n, wd, &w);
    if (r < 0 || sub->watched == w) {
        return r;
    }
    tail_notify_remove(n, sub);
    tail_list_add(&w->subs, &sub->link);
    sub->watched = w;
    return 0;
}

void tail_notify_remove(struct tail_notify *n, struct tail_sub *sub)
{
    struct tail_watched *w = sub->watched;
    if (!w) {
        return;
    }
    detach(n, sub);
    drop_unused(n, w);
}

void tail_notify_move(struct tail_notify *n, struct tail_sub *from, struct tail_sub *to)
{
    n->following = n->following == &from->link ? &to->link : n->following;
    tail_list_replace(&from->link, &to->link);
    to->watched = from->watched;
    from->watched = NULL;
}

/* Whether others write to this file system without inotify here knowing. */
static bool is_remote(uint32_t system)
{
    static const uint32_t kinds[] = {
        0x6969 /* nfs */,      0x517b /* smb */,        0xff534d42 /* cifs */, 0xfe534d42 /* smb2 */,
        0x65735546 /* fuse */, 0x01021997 /* 9p */,     0x00c36400 /* ceph */, 0x5346414f /* afs */,
        0x6b414653 /* kafs */, 0x0bd00bd0 /* lustre */, 0x01161970 /* gfs2 */, 0x7461636f /* ocfs2 */,
        0x73757245 /* coda */, 0x786f4256 /* vboxsf */, 0x47504653 /* gpfs */,
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (system == kinds[i]) {
            return true;
        }
    }
    return false;
}

static uint32_t system_at(const char *path)
{
    struct statfs s;
    return statfs(path, &s) < 0 ? 0 : (uint32_t)s.f_type;
}

bool tail_notify_remote(const struct tail_sub *sub, const char *path, uint32_t system)
{
    struct tail_watched *w = sub->watched;
    if (!w->judged) {
        w->remote = is_remote(system ? system : system_at(path));
        w->judged = true;
    }
    return w->remote;
}
