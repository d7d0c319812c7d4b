/* SPDX-License-Identifier: Apache-2.0 */
/* The loop that all inputs of a fake host live on. It turns only when the test says so. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "private.h"

struct weir_watch {
    struct weir_loop *loop;
    struct weir_watch *next;
    int fd;
    weir_watch_fn fn;
    void *data;
    bool removed;
};

struct weir_timer {
    struct weir_loop *loop;
    struct weir_timer *next;
    uint64_t due, repeat; /* due 0: not running */
    weir_call_fn fn;
    void *data;
};

struct fake_call {
    struct fake_call *next;
    weir_call_fn fn;
    void *data;
};

uint64_t fake_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now(const struct weir_loop *loop)
{
    return fake_now() + loop->skipped;
}

static bool is_wrong(struct weir_loop *loop, const char *function)
{
    if (loop->host->instances == 0)
        fake_misuse(loop->host, NULL, "%s: called when no instance is left", function);
    return !fake_on_thread(loop->host, NULL, function);
}

static struct weir_loop *host_loop(struct weir_instance *i)
{
    if (!fake_is_there(i, "loop"))
        return NULL;
    return i->plugin->kind == WEIR_INPUT && i->started ? &i->host->loop : NULL;
}

/* -- Descriptors ---------------------------------------------------------------------------------------- */

static struct weir_watch *host_watch_add(struct weir_loop *loop, int fd, uint32_t events, weir_watch_fn fn,
                                         void *data)
{
    struct weir_watch *w = fake_zeroed(sizeof(*w));
    struct epoll_event e = {.events = events, .data.ptr = w};

    if (is_wrong(loop, "watch_add") || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
        free(w);
        return NULL;
    }
    *w = (struct weir_watch){.loop = loop, .next = loop->watches, .fd = fd, .fn = fn, .data = data};
    loop->watches = w;
    return w;
}

static int host_watch_set(struct weir_watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};

    if (is_wrong(w->loop, "watch_set"))
        return -EPERM;
    return epoll_ctl(w->loop->epoll, EPOLL_CTL_MOD, w->fd, &e) < 0 ? -errno : 0;
}

static void host_watch_remove(struct weir_watch *w)
{
    struct weir_watch **at = &w->loop->watches;

    if (is_wrong(w->loop, "watch_remove"))
        return;
    while (*at && *at != w)
        at = &(*at)->next;
    if (!*at) {
        fake_misuse(w->loop->host, NULL, "watch_remove: a watch that is not there");
        return;
    }
    *at = w->next;
    if (epoll_ctl(w->loop->epoll, EPOLL_CTL_DEL, w->fd, NULL) < 0)
        fake_misuse(w->loop->host, NULL, "watch_remove: descriptor %d was closed before", w->fd);
    w->removed = true;
    w->next = w->loop->dead; /* an event for it may be pending: freed at the end of the turn */
    w->loop->dead = w;
}

/* -- Timers --------------------------------------------------------------------------------------------- */

static struct weir_timer *host_timer_add(struct weir_loop *loop, weir_call_fn fn, void *data)
{
    struct weir_timer *t;

    if (is_wrong(loop, "timer_add"))
        return NULL;
    t = fake_zeroed(sizeof(*t));
    *t = (struct weir_timer){.loop = loop, .next = loop->timers, .fn = fn, .data = data};
    loop->timers = t;
    return t;
}

static void host_timer_set(struct weir_timer *t, uint64_t first, uint64_t repeat)
{
    if (is_wrong(t->loop, "timer_set"))
        return;
    t->due = first || repeat ? now(t->loop) + (first ? first : repeat) : 0;
    t->repeat = repeat;
}

static void host_timer_remove(struct weir_timer *t)
{
    struct weir_timer **at = &t->loop->timers;

    if (is_wrong(t->loop, "timer_remove"))
        return;
    while (*at && *at != t)
        at = &(*at)->next;
    if (!*at) {
        fake_misuse(t->loop->host, NULL, "timer_remove: a timer that is not there");
        return;
    }
    *at = t->next;
    free(t);
}

/* The timer that is due longest, or that will be due first. */
static struct weir_timer *next_timer(struct weir_loop *loop)
{
    struct weir_timer *best = NULL;

    for (struct weir_timer *t = loop->timers; t; t = t->next)
        if (t->due && (!best || t->due < best->due))
            best = t;
    return best;
}

/* -- Calls ---------------------------------------------------------------------------------------------- */

int fake_post(struct weir_loop *loop, weir_call_fn fn, void *data)
{
    struct fake_call *c = fake_zeroed(sizeof(*c));

    *c = (struct fake_call){.fn = fn, .data = data};
    pthread_mutex_lock(&loop->host->lock);
    *loop->last = c;
    loop->last = &c->next;
    eventfd_write(loop->wake, 1);
    pthread_mutex_unlock(&loop->host->lock);
    return 0;
}

static int host_post(struct weir_loop *loop, weir_call_fn fn, void *data)
{
    if (loop->host->instances == 0)
        fake_misuse(loop->host, NULL, "post: called when no instance is left");
    return fake_post(loop, fn, data);
}

static struct fake_call *take_posted(struct weir_loop *loop)
{
    struct fake_call *c;

    pthread_mutex_lock(&loop->host->lock);
    c = loop->first;
    loop->first = NULL; /* what is posted meanwhile has its turn after the events */
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->host->lock);
    return c;
}

static bool run_posted(struct weir_loop *loop)
{
    struct fake_call *c = take_posted(loop), *next;
    bool any = c != NULL;
    const char *before = fake_enter(loop->host, NULL, "a posted call");

    for (; c; c = next) {
        next = c->next;
        c->fn(c->data);
        free(c);
    }
    fake_leave(loop->host, NULL, before);
    return any;
}

void fake_loop_run_posted(struct weir_loop *loop)
{
    run_posted(loop);
}

/* -- Turning -------------------------------------------------------------------------------------------- */

static bool run_timers(struct weir_loop *loop)
{
    uint64_t until = now(loop);
    bool any = false;
    struct weir_timer *t;
    const char *before = fake_enter(loop->host, NULL, "a timer");

    while ((t = next_timer(loop)) && t->due <= until) {
        t->due = t->repeat ? until + t->repeat : 0;
        t->fn(t->data);
        any = true;
    }
    fake_leave(loop->host, NULL, before);
    return any;
}

static bool run_events(struct weir_loop *loop, int timeout)
{
    struct epoll_event events[16];
    int n = epoll_wait(loop->epoll, events, 16, timeout);
    bool any = false;
    const char *before = fake_enter(loop->host, NULL, "a watch");

    for (int i = 0; i < n; i++) {
        struct weir_watch *w = events[i].data.ptr;
        eventfd_t ignored;
        if (!w)
            eventfd_read(loop->wake, &ignored);
        else if (!w->removed)
            w->fn(w->data, w->fd, events[i].events);
        any |= w != NULL;
    }
    fake_leave(loop->host, NULL, before);
    for (struct weir_watch *w; (w = loop->dead); free(w))
        loop->dead = w->next;
    return any;
}

static bool has_posted(struct weir_loop *loop)
{
    pthread_mutex_lock(&loop->host->lock);
    bool has = loop->first;
    pthread_mutex_unlock(&loop->host->lock);
    return has;
}

bool weir_fake_turn(struct weir_fake *h, int ms)
{
    bool any = run_posted(&h->loop);

    any |= run_timers(&h->loop);
    return run_events(&h->loop, any || has_posted(&h->loop) ? 0 : ms) || any;
}

bool weir_fake_until(struct weir_fake *h, bool (*done)(void *data), void *data, unsigned ms)
{
    uint64_t end = fake_now() + ms * UINT64_C(1000000);

    while (!done(data)) {
        if (fake_now() > end)
            return false;
        weir_fake_turn(h, 5);
    }
    return true;
}

void weir_fake_idle(struct weir_fake *h)
{
    while (weir_fake_turn(h, 0)) {
    }
}

void weir_fake_later(struct weir_fake *h, uint64_t ns)
{
    h->loop.skipped += ns;
    weir_fake_idle(h);
}

void fake_loop_init(struct weir_fake *h)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};

    h->loop.host = h;
    h->loop.last = &h->loop.first;
    h->loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    h->loop.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->loop.epoll < 0 || h->loop.wake < 0 ||
        epoll_ctl(h->loop.epoll, EPOLL_CTL_ADD, h->loop.wake, &e) < 0)
        fake_must(NULL);
}

/* What is left of the last instance. */
void fake_loop_finish(struct weir_fake *h)
{
    struct weir_watch *w;
    struct weir_timer *t;
    struct fake_call *c, *next;

    while ((w = h->loop.watches)) {
        fake_misuse(h, NULL, "watch_add: the watch of descriptor %d is left, and no instance is", w->fd);
        epoll_ctl(h->loop.epoll, EPOLL_CTL_DEL, w->fd, NULL);
        h->loop.watches = w->next;
        free(w);
    }
    while ((t = h->loop.timers)) {
        fake_misuse(h, NULL, "timer_add: a timer is left, and no instance is");
        h->loop.timers = t->next;
        free(t);
    }
    for (c = take_posted(&h->loop); c; c = next) {
        fake_misuse(h, NULL, "post: a call is left, and no instance is");
        next = c->next;
        free(c);
    }
}

void fake_loop_table(struct weir_host *table)
{
    table->loop = host_loop;
    table->watch_add = host_watch_add;
    table->watch_set = host_watch_set;
    table->watch_remove = host_watch_remove;
    table->timer_add = host_timer_add;
    table->timer_set = host_timer_set;
    table->timer_remove = host_timer_remove;
    table->post = host_post;
}
