/* SPDX-License-Identifier: Apache-2.0 */
/* What the tail instances of one loop share. Owns the inotify descriptor, the directories and the read
 * buffer. Loop thread. */
#include "hub.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "batch.h"
#include "clock.h"
#include "dirs.h"

enum {
    SLICE = 1 << 20 /* bytes read before the loop's other events have their turn */
};
static const uint64_t SCAN_SLICE = 500000;   /* ns */
static const uint64_t POST_AGAIN = 20000000; /* ns, when posting failed for want of memory */

/* Those who are to be refreshed at the same times. */
struct beat {
    struct beat *next;
    struct tail_hub *hub;
    struct weir_timer *timer; /* NULL: never */
    struct tail_link members; /* struct tail_worker.member */
    uint64_t interval;
};

struct tail_hub {
    const struct weir_host *host;
    struct weir_loop *loop;
    const struct tail_worker_kind *kind;
    struct tail_hub *next; /* of this thread: there is one for each loop */
    struct tail_notify *notify;
    struct tail_dirs *dirs;
    struct weir_timer *again;
    struct tail_link queue, scans;
    struct beat *beats;
    uint64_t slice_end; /* ns, monotonic */
    struct tail_prefix prefix;
    struct tail_batch batch;
    uint8_t *buffer;
    size_t buffer_size;
    int notify_error;
    bool notify_said, limit_said;
    bool sparing; /* of watches */
    bool busy;    /* run() comes at the end of what is going on now */
    bool posted, left;
};

static _Thread_local struct tail_hub *hubs;

static void hub_free(struct tail_hub *hub)
{
    free(hub->prefix.bytes);
    free(hub->buffer);
    free(hub);
}

static void run(struct tail_hub *hub);

static void run_posted(void *data)
{
    struct tail_hub *hub = data;
    hub->posted = false;
    if (hub->left) {
        hub_free(hub);
    } else {
        run(hub);
    }
}

static void run_again(void *data)
{
    run(data);
}

static void post(struct tail_hub *hub)
{
    if (hub->posted || hub->busy || (tail_list_empty(&hub->queue) && tail_list_empty(&hub->scans))) {
        return;
    }
    if (hub->host->post(hub->loop, run_posted, hub) == 0) {
        hub->posted = true;
    } else {
        hub->host->timer_set(hub->again, POST_AGAIN, 0);
    }
}

static uint64_t now(void)
{
    return tail_now(CLOCK_MONOTONIC);
}

void tail_hub_slice(struct tail_hub *hub, uint64_t length)
{
    hub->slice_end = now() + length;
}

bool tail_hub_enough(const struct tail_hub *hub)
{
    return now() >= hub->slice_end;
}

static void read_slice(struct tail_hub *hub)
{
    size_t spent = 0;
    /* members of the queue may be added while it runs; those have their turn after the others */
    while (spent < SLICE && !tail_list_empty(&hub->queue)) {
        struct tail_worker *worker = TAIL_OF(hub->queue.next, struct tail_worker, queued);
        bool more = false;
        tail_list_remove(&worker->queued);
        spent += hub->kind->work(worker, &more) + TAIL_TURN;
        if (more) {
            tail_hub_queue(hub, worker);
        }
    }
}

static void scan_slice(struct tail_hub *hub)
{
    if (tail_list_empty(&hub->scans)) {
        return;
    }
    tail_hub_slice(hub, SCAN_SLICE);
    while (!tail_list_empty(&hub->scans) && !tail_hub_enough(hub)) {
        struct tail_worker *worker = TAIL_OF(hub->scans.next, struct tail_worker, scanning);
        tail_list_remove(&worker->scanning);
        if (hub->kind->scan(worker)) {
            tail_hub_scan(hub, worker);
        }
    }
}

static void run(struct tail_hub *hub)
{
    hub->busy = true;
    read_slice(hub);
    scan_slice(hub);
    hub->busy = false;
    post(hub);
}

static void notifying(void *data)
{
    struct tail_hub *hub = data;
    hub->busy = true;
}

static void overflow(void *data)
{
    struct tail_hub *hub = data;
    if (hub->dirs) {
        tail_dirs_doubt(hub->dirs);
    }
    for (struct beat *beat = hub->beats; beat; beat = beat->next) {
        for (struct tail_link *l = beat->members.next; l != &beat->members; l = l->next) {
            struct tail_worker *worker = TAIL_OF(l, struct tail_worker, member);
            hub->kind->overflow(worker);
        }
    }
}

static void notified(void *data)
{
    run(data);
}

static void notify_open(struct tail_hub *hub)
{
    struct tail_notify_owner owner = {
        .begin = notifying, .overflow = overflow, .done = notified, .data = hub};
    int r = tail_notify_create(hub->host, hub->loop, &owner, &hub->notify);
    hub->notify_error = -r;
}

static struct tail_hub *hub_create(const struct weir_host *host, struct weir_loop *loop,
                                   const struct tail_worker_kind *kind)
{
    struct tail_hub *hub = calloc(1, sizeof(*hub));
    if (!hub) {
        return NULL;
    }
    hub->host = host;
    hub->loop = loop;
    hub->kind = kind;
    tail_list_init(&hub->queue);
    tail_list_init(&hub->scans);
    hub->again = host->timer_add(loop, run_again, hub);
    if (!hub->again) {
        free(hub);
        return NULL;
    }
    hub->next = hubs;
    hubs = hub;
    return hub;
}

/* -- Beats --------------------------------------------------------------------------------------------- */

static void on_beat(void *data)
{
    struct beat *beat = data;
    beat->hub->notify_error = 0; /* where there was none to be had, it is asked for again */
    for (struct tail_link *l = beat->members.next; l != &beat->members; l = l->next) {
        struct tail_worker *worker = TAIL_OF(l, struct tail_worker, member);
        beat->hub->kind->refresh(worker);
    }
}

/* NULL: no memory. */
static struct beat *beat_get(struct tail_hub *hub, uint64_t interval)
{
    struct beat *beat = hub->beats;
    while (beat && beat->interval != interval) {
        beat = beat->next;
    }
    if (beat || !(beat = calloc(1, sizeof(*beat)))) {
        return beat;
    }
    beat->timer = interval ? hub->host->timer_add(hub->loop, on_beat, beat) : NULL;
    if (interval && !beat->timer) {
        free(beat);
        return NULL;
    }
    if (beat->timer) { /* the grid is the clock's, so other loops have the same */
        hub->host->timer_set(beat->timer, interval - now() % interval, interval);
    }
    beat->hub = hub;
    beat->interval = interval;
    tail_list_init(&beat->members);
    beat->next = hub->beats;
    hub->beats = beat;
    return beat;
}

static void drop_empty_beats(struct tail_hub *hub)
{
    for (struct beat **at = &hub->beats, *beat; (beat = *at);) {
        if (!tail_list_empty(&beat->members)) {
            at = &beat->next;
            continue;
        }
        *at = beat->next;
        if (beat->timer) {
            hub->host->timer_remove(beat->timer);
        }
        free(beat);
    }
}

/* -- Members ------------------------------------------------------------------------------------------- */

/* Nobody is a member any more. What was posted may be yet to come. */
static void hub_finish(struct tail_hub *hub)
{
    struct tail_hub **at = &hubs;
    assert(!hub->batch.draft);
    while (*at != hub) {
        at = &(*at)->next;
    }
    *at = hub->next;
    tail_dirs_destroy(hub->dirs);
    tail_notify_destroy(hub->notify);
    hub->host->timer_remove(hub->again);
    hub->left = true;
    if (!hub->posted) {
        hub_free(hub);
    }
}

int tail_hub_join(const struct weir_host *host, struct weir_loop *loop, const struct tail_worker_kind *kind,
                  struct tail_worker *worker, uint64_t interval, struct tail_hub **ret)
{
    struct tail_hub *hub = hubs;
    while (hub && hub->loop != loop) {
        hub = hub->next;
    }
    hub = hub ? hub : hub_create(host, loop, kind);
    struct beat *beat = hub ? beat_get(hub, interval) : NULL;
    if (!beat) {
        if (hub && !hub->beats) {
            hub_finish(hub);
        }
        return -ENOMEM;
    }
    tail_list_init(&worker->queued);
    tail_list_init(&worker->scanning);
    tail_list_add(&beat->members, &worker->member);
    *ret = hub;
    return 0;
}

void tail_hub_leave(struct tail_hub *hub, struct tail_worker *worker)
{
    tail_list_remove(&worker->queued);
    tail_list_remove(&worker->scanning);
    tail_list_remove(&worker->member);
    drop_empty_beats(hub);
    if (!hub->beats) {
        hub_finish(hub);
    }
}

bool tail_hub_make_room(struct tail_hub *hub, const struct tail_worker *self)
{
    for (struct beat *beat = hub->beats; beat; beat = beat->next) {
        for (struct tail_link *l = beat->members.next; l != &beat->members; l = l->next) {
            struct tail_worker *worker = TAIL_OF(l, struct tail_worker, member);
            if (worker != self && hub->kind->give_way(worker)) {
                tail_list_remove(l);
                tail_list_add(&beat->members, l);
                return true;
            }
        }
    }
    return false;
}

/* -- Turns --------------------------------------------------------------------------------------------- */

void tail_hub_queue(struct tail_hub *hub, struct tail_worker *worker)
{
    if (tail_list_empty(&worker->queued)) {
        tail_list_add(&hub->queue, &worker->queued);
    }
    post(hub);
}

void tail_hub_scan(struct tail_hub *hub, struct tail_worker *worker)
{
    if (tail_list_empty(&worker->scanning)) {
        tail_list_add(&hub->scans, &worker->scanning);
    }
    post(hub);
}

struct tail_notify *tail_hub_notify(struct tail_hub *hub, int *ret_error, bool *ret_first)
{
    if (!hub->notify && !hub->notify_error) {
        notify_open(hub);
    }
    if (!hub->notify) {
        *ret_error = hub->notify_error;
        *ret_first = !hub->notify_said;
        hub->notify_said = true;
    }
    return hub->notify;
}

bool tail_hub_first_limit(struct tail_hub *hub)
{
    bool first = !hub->limit_said;
    hub->limit_said = true;
    return first;
}

bool tail_hub_spare_watches(struct tail_hub *hub)
{
    bool any = false;
    if (hub->sparing) {
        return false;
    }
    hub->sparing = true;
    for (struct beat *beat = hub->beats; beat; beat = beat->next) {
        for (struct tail_link *l = beat->members.next; l != &beat->members; l = l->next) {
            struct tail_worker *worker = TAIL_OF(l, struct tail_worker, member);
            any |= hub->kind->spare(worker);
        }
    }
    return any;
}

bool tail_hub_is_sparing(const struct tail_hub *hub)
{
    return hub->sparing;
}

uint8_t *tail_hub_buffer(struct tail_hub *hub, size_t size)
{
    if (size > hub->buffer_size) {
        uint8_t *buffer = malloc(size);
        if (!buffer) {
            return NULL;
        }
        free(hub->buffer);
        hub->buffer = buffer;
        hub->buffer_size = size;
    }
    return hub->buffer;
}

void tail_hub_trim(struct tail_hub *hub, size_t usual)
{
    if (hub->buffer_size > usual * 2) {
        free(hub->buffer);
        hub->buffer = NULL;
        hub->buffer_size = 0;
    }
}

struct tail_dirs *tail_hub_dirs(struct tail_hub *hub)
{
    hub->dirs = hub->dirs ? hub->dirs : tail_dirs_create();
    return hub->dirs;
}

struct tail_batch *tail_hub_batch(struct tail_hub *hub)
{
    return &hub->batch;
}

struct tail_prefix *tail_hub_prefix(struct tail_hub *hub)
{
    return &hub->prefix;
}
