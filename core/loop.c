/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: epoll for descriptors, a binary heap of timers, a queue of posted calls.
 *
 * A round is: wait (not at all while calls are queued), descriptors, timers that ran out, then the calls that
 * were queued when their turn came. A call posted by a call runs in the next round, after descriptors were
 * polled, so an input that posts the rest of its work to itself does not starve the others.
 *
 * Owns its descriptors and what watch_add, timer_add and post allocate. Runs on the thread that called
 * loop_run; loop_post, loop_post_call and loop_stop may come from any thread.
 */
#include "loop.h"
#include "callback.h"
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX  64
#define NS_PER_SEC  UINT64_C(1000000000)
#define NS_PER_MSEC UINT64_C(1000000)
#define NOT_RUNNING SIZE_MAX
#define FOREVER     UINT64_MAX

struct weir_watch {
    struct weir_loop *loop;
    weir_watch_fn fn;
    void *data;
    int fd;
    uint32_t events;
    bool removed;
    struct weir_watch *next_dead;
    struct rcstring *owner; /* the alias of the instance that added it, with a reference; NULL: weir itself */
};

struct weir_timer {
    struct weir_loop *loop;
    weir_call_fn fn;
    void *data;
    uint64_t at, repeat;
    size_t index;           /* in the heap, or NOT_RUNNING */
    struct rcstring *owner; /* as a watch's */
};

/* What loop_post allocates. */
struct owned_call {
    struct loop_call call; /* known by its fn */
    weir_call_fn fn;
    void *data;
    struct rcstring *owner; /* as a watch's */
};

struct weir_loop {
    int epoll, wake;
    bool milliseconds; /* the kernel has no epoll_pwait2 */

    size_t watches;
    bool dispatching;        /* a batch of events still points to watches */
    struct weir_watch *dead; /* removed meanwhile: freed after the batch */

    struct weir_timer **heap;
    size_t running;          /* timers in the heap */
    size_t timers, capacity; /* all timers; the heap has room for each, so setting one can't fail */

    pthread_mutex_t lock; /* of what follows; held for a few pointer moves and the wake-up */
    struct loop_call *first, *last;
    bool stopping;
};

/* The loop that this thread is in: a call posted from there needs no wake-up. */
static _Thread_local struct weir_loop *current;

uint64_t loop_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

struct weir_loop *loop_create(void)
{
    struct weir_loop *loop = calloc(1, sizeof(*loop));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (!loop)
        return NULL;
    pthread_mutex_init(&loop->lock, NULL);
    loop->wake = -1;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        goto fail;
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake < 0)
        goto fail;
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) < 0)
        goto fail;
    return loop;

fail:;
    int error = errno;
    loop_destroy(loop);
    errno = error;
    return NULL;
}

static void free_owned(struct owned_call *owned)
{
    rcstring_unref(owned->owner);
    free(owned);
}

static void run_owned(struct loop_call *);

void loop_destroy(struct weir_loop *loop)
{
    if (!loop)
        return;
    if (loop->watches || loop->timers) {
        log_error("loop", "watches left: %zu, timers left: %zu; a plugin did not remove them when it stopped",
                  loop->watches, loop->timers);
        assert(!"the loop is empty when it ends");
    }
    for (struct loop_call *call = loop->first, *next; call; call = next) {
        next = call->next;
        if (call->fn == run_owned)
            free_owned(LOOP_CALL_OF(call, struct owned_call, call));
    }
    if (loop->wake >= 0)
        close(loop->wake);
    if (loop->epoll >= 0)
        close(loop->epoll);
    pthread_mutex_destroy(&loop->lock);
    free(loop->heap);
    free(loop);
}

/* ---- Descriptors --------------------------------------------------------------------------------- */

struct weir_watch *loop_watch_add(struct weir_loop *loop, int fd, uint32_t events, weir_watch_fn fn,
                                  void *data)
{
    struct weir_watch *watch = malloc(sizeof(*watch));
    if (!watch)
        return NULL;
    *watch = (struct weir_watch){.loop = loop, .fn = fn, .data = data, .fd = fd, .events = events};
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        int error = errno;
        free(watch);
        errno = error;
        return NULL;
    }
    watch->owner = callback_owner();
    loop->watches++;
    return watch;
}

int loop_watch_set(struct weir_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(watch->loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) < 0)
        return -errno;
    watch->events = events;
    return 0;
}

static void free_watch(struct weir_watch *watch)
{
    rcstring_unref(watch->owner);
    free(watch);
}

void loop_watch_remove(struct weir_watch *watch)
{
    struct weir_loop *loop = watch->loop;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    loop->watches--;
    if (!loop->dispatching) {
        free_watch(watch);
        return;
    }
    watch->removed = true;
    watch->next_dead = loop->dead;
    loop->dead = watch;
}

/* A watch that is removed meanwhile, and its owner, stay until the batch is over. */
static void call_watch(struct weir_watch *watch, uint32_t events)
{
    struct callback_before before = callback_enter(watch->owner, watch->owner ? "watch" : NULL);

    watch->fn(watch->data, watch->fd, events);
    callback_leave(before);
}

static void dispatch(struct weir_loop *loop, const struct epoll_event *events, int count)
{
    loop->dispatching = true;
    for (int i = 0; i < count; i++) {
        struct weir_watch *watch = events[i].data.ptr;
        if (!watch) {
            eventfd_t ignored;
            eventfd_read(loop->wake, &ignored);
            continue;
        }
        /* An earlier callback of the batch may have removed the watch, or asked for other events. */
        uint32_t wanted = events[i].events & (watch->events | EPOLLERR | EPOLLHUP);
        if (!watch->removed && wanted)
            call_watch(watch, wanted);
    }
    loop->dispatching = false;
    for (struct weir_watch *watch = loop->dead, *next; watch; watch = next) {
        next = watch->next_dead;
        free_watch(watch);
    }
    loop->dead = NULL;
}

/* ---- Timers -------------------------------------------------------------------------------------- */

static void heap_place(struct weir_loop *loop, size_t index, struct weir_timer *timer)
{
    loop->heap[index] = timer;
    timer->index = index;
}

static void heap_up(struct weir_loop *loop, size_t index, struct weir_timer *timer)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (loop->heap[parent]->at <= timer->at)
            break;
        heap_place(loop, index, loop->heap[parent]);
        index = parent;
    }
    heap_place(loop, index, timer);
}

static void heap_down(struct weir_loop *loop, size_t index, struct weir_timer *timer)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= loop->running)
            break;
        if (child + 1 < loop->running && loop->heap[child + 1]->at < loop->heap[child]->at)
            child++;
        if (timer->at <= loop->heap[child]->at)
            break;
        heap_place(loop, index, loop->heap[child]);
        index = child;
    }
    heap_place(loop, index, timer);
}

/* Puts the timer where its time belongs; it must hold the place `index`. */
static void heap_fix(struct weir_loop *loop, size_t index, struct weir_timer *timer)
{
    if (index > 0 && timer->at < loop->heap[(index - 1) / 2]->at)
        heap_up(loop, index, timer);
    else
        heap_down(loop, index, timer);
}

static void heap_remove(struct weir_timer *timer)
{
    struct weir_loop *loop = timer->loop;
    size_t index = timer->index;
    if (index == NOT_RUNNING)
        return;
    timer->index = NOT_RUNNING;
    struct weir_timer *last = loop->heap[--loop->running];
    if (last != timer)
        heap_fix(loop, index, last);
}

struct weir_timer *loop_timer_add(struct weir_loop *loop, weir_call_fn fn, void *data)
{
    if (loop->timers == loop->capacity) {
        size_t capacity = loop->capacity ? 2 * loop->capacity : 16;
        struct weir_timer **heap = reallocarray(loop->heap, capacity, sizeof(struct weir_timer *));
        if (!heap)
            return NULL;
        loop->heap = heap;
        loop->capacity = capacity;
    }
    struct weir_timer *timer = malloc(sizeof(*timer));
    if (!timer)
        return NULL;
    *timer = (struct weir_timer){
        .loop = loop, .fn = fn, .data = data, .index = NOT_RUNNING, .owner = callback_owner()};
    loop->timers++;
    return timer;
}

void loop_timer_set(struct weir_timer *timer, uint64_t first, uint64_t repeat)
{
    struct weir_loop *loop = timer->loop;
    if (first == 0 && repeat == 0) {
        heap_remove(timer);
        return;
    }
    uint64_t now = loop_now();
    timer->at = first < FOREVER - now ? now + first : FOREVER;
    timer->repeat = repeat;
    if (timer->index == NOT_RUNNING)
        heap_up(loop, loop->running++, timer);
    else
        heap_fix(loop, timer->index, timer);
}

void loop_timer_remove(struct weir_timer *timer)
{
    heap_remove(timer);
    timer->loop->timers--;
    rcstring_unref(timer->owner);
    free(timer);
}

/* The next time on the grid of `at` and `repeat` that lies after now: no drift, and no burst after a stall.
 */
static uint64_t next_time(uint64_t at, uint64_t repeat, uint64_t now)
{
    uint64_t steps = (now - at) / repeat + 1;
    return steps <= (FOREVER - at) / repeat ? at + steps * repeat : FOREVER;
}

/* Calls what an instance is behind, whose alias stays meanwhile. */
static void call_owned(weir_call_fn fn, void *data, struct rcstring *owner, const char *what)
{
    struct callback_before before;

    if (!owner) {
        fn(data);
        return;
    }
    rcstring_ref(owner);
    before = callback_enter(owner, what);
    fn(data);
    callback_leave(before);
    rcstring_unref(owner);
}

static void run_timers(struct weir_loop *loop)
{
    if (loop->running == 0)
        return;
    uint64_t now = loop_now();
    while (loop->running && loop->heap[0]->at <= now) {
        struct weir_timer *timer = loop->heap[0];
        if (timer->repeat) {
            timer->at = next_time(timer->at, timer->repeat, now);
            heap_fix(loop, 0, timer);
        } else {
            heap_remove(timer);
        }
        call_owned(timer->fn, timer->data, timer->owner, "timer"); /* may set it or remove it */
    }
}

/* ---- Posted calls -------------------------------------------------------------------------------- */

/* Under the lock, so that whoever sees the effect of a post may destroy the loop. */
static void wake(struct weir_loop *loop)
{
    if (current != loop)
        eventfd_write(loop->wake, 1);
}

static void append(struct weir_loop *loop, struct loop_call *call)
{
    call->next = NULL;
    pthread_mutex_lock(&loop->lock);
    if (loop->first) {
        loop->last->next = call;
    } else {
        loop->first = call;
        wake(loop);
    }
    loop->last = call;
    pthread_mutex_unlock(&loop->lock);
}

void loop_post_call(struct weir_loop *loop, struct loop_call *call)
{
    append(loop, call);
}

static void run_owned(struct loop_call *call)
{
    struct owned_call *owned = LOOP_CALL_OF(call, struct owned_call, call);

    call_owned(owned->fn, owned->data, owned->owner, "posted call");
    free_owned(owned);
}

int loop_post(struct weir_loop *loop, weir_call_fn fn, void *data)
{
    struct owned_call *owned = malloc(sizeof(*owned));
    if (!owned)
        return -ENOMEM;
    *owned = (struct owned_call){.call.fn = run_owned, .fn = fn, .data = data, .owner = callback_owner()};
    append(loop, &owned->call);
    return 0;
}

void loop_stop(struct weir_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->stopping = true;
    wake(loop);
    pthread_mutex_unlock(&loop->lock);
}

/* Calls what is queued now. Returns whether loop_stop was called before that was taken. */
static bool run_calls(struct weir_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct loop_call *call = loop->first;
    loop->first = NULL;
    bool stopping = loop->stopping;
    loop->stopping = false;
    pthread_mutex_unlock(&loop->lock);

    while (call) {
        struct loop_call *next = call->next;
        call->fn(call); /* may post the same call again, or free its memory */
        call = next;
    }
    return stopping;
}

/* ---- The round ----------------------------------------------------------------------------------- */

/* How long to sleep, in ns. */
static uint64_t timeout(struct weir_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    bool busy = loop->first || loop->stopping;
    pthread_mutex_unlock(&loop->lock);
    if (busy)
        return 0;
    if (loop->running == 0)
        return FOREVER;
    uint64_t now = loop_now(), at = loop->heap[0]->at;
    return at > now ? at - now : 0;
}

static int wait_milliseconds(struct weir_loop *loop, struct epoll_event *events, uint64_t ns)
{
    int ms = -1;
    if (ns != FOREVER) {
        uint64_t up = ns / NS_PER_MSEC + (ns % NS_PER_MSEC != 0);
        ms = up < INT_MAX ? (int)up : INT_MAX;
    }
    return epoll_wait(loop->epoll, events, EVENTS_MAX, ms);
}

static int wait_events(struct weir_loop *loop, struct epoll_event *events, uint64_t ns)
{
#if __GLIBC_PREREQ(2, 35)
    if (!loop->milliseconds) {
        struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_nsec = (long)(ns % NS_PER_SEC)};
        int count = epoll_pwait2(loop->epoll, events, EVENTS_MAX, ns == FOREVER ? NULL : &ts, NULL);
        /* EPERM is what some containers answer to a system call that they don't know. */
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count;
        loop->milliseconds = true;
    }
#endif
    return wait_milliseconds(loop, events, ns);
}

int loop_run(struct weir_loop *loop)
{
    struct epoll_event events[EVENTS_MAX];
    int r = 0;
    bool stopping = false;
    current = loop;
    while (!stopping) {
        int count = wait_events(loop, events, timeout(loop));
        if (count < 0 && errno != EINTR) {
            r = -errno;
            break;
        }
        dispatch(loop, events, count);
        run_timers(loop);
        stopping = run_calls(loop);
    }
    current = NULL;
    return r;
}
