/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is closed for want of news keeps its watch: a watch needs no descriptor, leads to what is known
 * of the file without a look at any name, and tells of writing through other names, too. Those that have news
 * are opened in the order in which they had them. Where there are not enough watches the directories are
 * asked to tell of writing instead (dirs.c). Owns nothing. Loop thread.
 */
#include "parked.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include "allow.h"
#include "batch.h"
#include "file.h"
#include "known.h"
#include "scan.h"
#include "subscribe.h"

enum { NEAR = 4 }; /* so many at each end of the row are asked to make room */

/* -- Watches ------------------------------------------------------------------------------------------ */

/* What happens to its names the directories tell. */
static void parked_event(struct tail_sub *sub, uint32_t events, const char *name)
{
    struct tail_known *known = TAIL_OF(sub, struct tail_known, sub);
    (void)name;
    known->lost |= (events & IN_IGNORED) != 0;
    if ((events & IN_MODIFY) && tail_list_empty(&known->news)) {
        struct tail_instance *tail = known->place->tail;
        tail_list_add(&tail->news, &known->news);
        tail_wake(tail);
    }
}

void tail_parked_watch(struct tail_known *known, struct tail_file *file)
{
    struct tail_hub *hub = file->tail->hub;
    if (!tail_hub_is_sparing(hub)) {
        known->sub.fn = parked_event;
        tail_subscription_move(hub, &file->sub, &known->sub);
    }
}

void tail_parked_unwatch(struct tail_known *known, struct tail_file *file)
{
    tail_subscription_move(file->tail->hub, &known->sub, &file->sub);
    tail_list_remove(&known->news);
    file->fresh = true;
}

void tail_parked_end(struct tail_known *known)
{
    tail_unsubscribe(known->place->tail->hub, &known->sub);
    tail_list_remove(&known->news);
}

bool tail_parked_spare(struct tail_instance *tail)
{
    bool any = false;
    for (size_t i = 0; i < tail_table_size(&tail->known); i++) {
        for (struct tail_table_node *n = tail_table_bucket(&tail->known, i); n; n = n->next) {
            struct tail_known *known = TAIL_OF(n, struct tail_known, node);
            any |= known->sub.watched != NULL;
            tail_unsubscribe(tail->hub, &known->sub);
        }
    }
    if (tail_parks(tail)) {
        tail_rescan(tail); /* asks the directories, and then sees what happened meanwhile */
    }
    return any;
}

bool tail_parked_by_dirs(const struct tail_instance *tail)
{
    return tail_parks(tail) && tail_hub_is_sparing(tail->hub);
}

/* -- Opening again -------------------------------------------------------------------------------------- */

/* While an output is full, too, a file is opened that may soon be gone, but no other is closed for it. */
static bool may_open_paused(const struct tail_instance *tail)
{
    size_t max = (size_t)tail->config->max_open_files;
    return !tail->starved && !tail->limited && (max == 0 || tail->open_count < max);
}

static bool may_open(const struct tail_instance *tail)
{
    bool yields = tail->yields && tail_scan_due(tail);
    return !yields && !tail_list_empty(&tail->news) && (!tail->paused || may_open_paused(tail));
}

bool tail_parked_due(const struct tail_instance *tail)
{
    return may_open(tail) && !tail->crowded;
}

/* 0; -ESTALE: it is another file; -EAGAIN: it seems to be the same, which is to be seen from what it says. */
static int judge(struct tail_instance *tail, const struct tail_known *known, const char *path, int fd,
                 struct tail_status *ret)
{
    if (tail_status_read_again(fd, &known->identity, ret) < 0 || !S_ISREG(ret->mode) ||
        !tail_identity_equal(&known->identity, &ret->identity) || tail_file_at(tail, path) ||
        tail_file_of(tail, &ret->identity) || !tail_allowed(tail, fd, ret->system, path)) {
        return -ESTALE;
    }
    return tail_known_is_sure(known, ret) ? 0 : -EAGAIN;
}

/* One of the last descriptors only where another file is closed for it. */
static int open_at(struct tail_instance *tail, const char *path, int more)
{
    size_t max = (size_t)tail->config->max_open_files;
    return max > 0 && tail->open_count >= max ? tail_open(tail, path, more)
                                              : tail_open_if_spared(tail, path, more);
}

/*
 * The descriptor and status of what is at the path, where that surely is the file that was closed there; else
 * -errno. A name that leads elsewhere by now may be a device's, which is not to be opened: so no link is
 * followed unseen.
 */
static int open_same(struct tail_instance *tail, const struct tail_known *known, const char *path,
                     struct tail_status *ret)
{
    int fd = open_at(tail, path, O_NOFOLLOW);
    if (fd < 0 && errno == ELOOP && tail_path_leads_to(path, &known->identity)) {
        fd = open_at(tail, path, 0);
    }
    if (fd < 0) {
        return -errno;
    }
    int r = judge(tail, known, path, fd, ret);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

/* What is at the path of a closed file that has news. */
enum found {
    SAME,     /* that file, and it is open */
    UNSURE,   /* it seems to be that one, or there is no descriptor to see */
    ELSEWHERE /* another one, or none that can be opened */
};

static enum found find(struct tail_instance *tail, const struct tail_known *known, const char *path,
                       int *ret_fd, struct tail_status *ret)
{
    *ret_fd = -1;
    if (tail->limited) {
        return tail_path_leads_to(path, &known->identity) ? UNSURE : ELSEWHERE;
    }
    int fd = open_same(tail, known, path, ret);
    if (fd < 0) {
        return fd == -EAGAIN || fd == -EMFILE || fd == -ENFILE ? UNSURE : ELSEWHERE;
    }
    *ret_fd = fd;
    return SAME;
}

/*
 * Another file may go for it. Near an end of the row, since looking through all that are open for each that
 * is not would take long: those without news for longest are at its beginning, those that were just read at
 * its end.
 */
static bool park_near(struct tail_instance *tail, bool end)
{
    struct tail_link *l = end ? tail->files.prev : tail->files.next, *next;
    for (int i = 0; i < NEAR && l != &tail->files; i++, l = next) {
        next = end ? l->prev : l->next;
        if (tail_file_park(TAIL_OF(l, struct tail_file, member))) {
            return true;
        }
    }
    return false;
}

static bool has_room(struct tail_instance *tail)
{
    size_t max = (size_t)tail->config->max_open_files;
    return max == 0 || tail->open_count < max || park_near(tail, false) || park_near(tail, true) ||
           (tail_list_empty(&tail->ready) && tail_has_room(tail));
}

/*
 * Looked at as any other path is. Whatever comes of that, the file's news is dealt with: from now on it is as
 * it was only where its size and time surely tell so.
 */
static void look(struct tail_instance *tail, struct tail_known *known, const char *path)
{
    tail_list_remove(&known->news);
    known->lost |= known->racy;
    tail->rescan |= !tail_look(tail, path); /* may end it */
}

static void look_elsewhere(struct tail_instance *tail, struct tail_known *known, const char *path)
{
    known->lost = true;
    tail_unsubscribe(tail->hub, &known->sub); /* or each of its events would lead here */
    tail_scan_renamed(tail, false);
    look(tail, known, path);
}

/* Takes the descriptor over. False: there is no memory. */
static bool begin(struct tail_instance *tail, struct tail_known *known, const char *path, int fd,
                  const struct tail_status *status)
{
    tail_list_remove(&known->news);
    known->lost = true; /* should nothing come of it, whoever looks at its path tries again */
    int r = tail_file_begin(tail, path, fd, status, true);
    if (r == -ENOMEM) {
        tail->paused = tail->starved = true;
    }
    if (r < 0) {
        tail_retry_after(tail, -r);
    }
    return r != -ENOMEM;
}

/* False: it must wait until others are closed, or there is memory. */
static bool open_one(struct tail_instance *tail, struct tail_known *known)
{
    char path[PATH_MAX];
    struct tail_status status;
    int fd;
    bool goes_on = true;
    tail_known_path(known, path);
    enum found found = find(tail, known, path, &fd, &status);
    if (found == ELSEWHERE) {
        look_elsewhere(tail, known, path);
    } else if (found == SAME && !known->racy && status.size == known->size &&
               status.changed == known->changed) {
        tail_list_remove(&known->news); /* the event was of what had been read when it was closed */
    } else if (!has_room(tail)) {
        goes_on = false;
    } else if (found == UNSURE) {
        look(tail, known, path);
    } else {
        return begin(tail, known, path, fd, &status);
    }
    if (fd >= 0) {
        close(fd);
    }
    return goes_on;
}

size_t tail_parked_open(struct tail_instance *tail)
{
    size_t looked = 0;
    bool room = true;
    while (room && looked < TAIL_BATCH_FILES && may_open(tail)) {
        room = open_one(tail, TAIL_OF(tail->news.next, struct tail_known, news));
        looked++;
    }
    return looked;
}
