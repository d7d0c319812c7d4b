/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop. Timers are tested in a time of our own: the functions that the loop waits with are
 * replaced, and waiting moves the clock on, so that what is due when can be said to the nanosecond.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "loop.h"

#define MS UINT64_C(1000000)

static struct {
    _Atomic bool own_time, no_pwait2;
    _Atomic uint64_t now; /* the time of our own, ns */
    _Atomic int waits;    /* epoll_pwait2 and epoll_wait */
    _Atomic int wakes;    /* eventfd_write */
    _Atomic bool slept_for_ever;
} fake;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (!fake.own_time || clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, ts);
    ts->tv_sec = (time_t)(fake.now / 1000000000);
    ts->tv_nsec = (long)(fake.now % 1000000000);
    return 0;
}

static int wait_in_own_time(int epoll, struct epoll_event *events, int max, uint64_t ns)
{
    int count = (int)syscall(SYS_epoll_pwait, epoll, events, max, 0, NULL, (size_t)8);
    if (count == 0)
        fake.now += ns;
    return count;
}

int epoll_pwait2(int epoll, struct epoll_event *events, int max, const struct timespec *ts,
                 const sigset_t *mask)
{
    if (fake.no_pwait2) {
        errno = ENOSYS;
        return -1;
    }
    fake.waits++;
    fake.slept_for_ever = !ts;
    if (fake.own_time && ts)
        return wait_in_own_time(epoll, events, max,
                                (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec);
    return (int)syscall(SYS_epoll_pwait2, epoll, events, max, ts, mask, (size_t)8);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int ms)
{
    fake.waits++;
    fake.slept_for_ever = ms < 0;
    if (fake.own_time && ms >= 0)
        return wait_in_own_time(epoll, events, max, (uint64_t)ms * MS);
    return (int)syscall(SYS_epoll_pwait, epoll, events, max, ms, NULL, (size_t)8);
}

int eventfd_write(int fd, eventfd_t value)
{
    fake.wakes++;
    return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

static struct weir_loop *loop;

static void setup(void)
{
    fake.own_time = fake.no_pwait2 = fake.slept_for_ever = false;
    fake.now = 1000 * MS;
    fake.waits = fake.wakes = 0;
    loop = loop_create();
    ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
    loop_destroy(loop);
}

/* Back to real time before the test ends: Check takes the time of each test as well. */
static void run_in_own_time(void)
{
    int r = loop_run(loop);
    fake.own_time = false;
    ck_assert_int_eq(r, 0);
}

static void stop(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void count(void *data)
{
    ++*(int *)data;
}

static int signalled(void)
{
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* ---- Descriptors --------------------------------------------------------------------------------- */

static struct {
    int fd[2];
    struct weir_watch *watch[3];
    int calls, fresh_calls;
} pair;

static void fresh_ready(void *data, int fd, uint32_t events)
{
    (void)data, (void)fd, (void)events;
    pair.fresh_calls++;
}

/* Both descriptors are ready in one batch. Whichever is first takes the other away and reuses its number. */
static void remove_other(void *data, int fd, uint32_t events)
{
    int me = (int)(intptr_t)data, other = !me;
    ck_assert_int_eq(fd, pair.fd[me]);
    ck_assert_uint_eq(events, EPOLLIN);
    pair.calls++;
    loop_watch_remove(pair.watch[other]);
    int unready = eventfd(0, EFD_CLOEXEC);
    ck_assert_int_eq(dup2(unready, pair.fd[other]), pair.fd[other]);
    close(unready);
    pair.watch[2] = loop_watch_add(loop, pair.fd[other], EPOLLIN, fresh_ready, NULL);
    ck_assert_ptr_nonnull(pair.watch[2]);
    loop_watch_remove(pair.watch[me]); /* and itself */
    ck_assert_int_eq(loop_post(loop, stop, NULL), 0);
}

START_TEST(watch_removed_while_its_event_is_pending)
{
    pair.calls = pair.fresh_calls = 0;
    for (int i = 0; i < 2; i++) {
        pair.fd[i] = signalled();
        pair.watch[i] = loop_watch_add(loop, pair.fd[i], EPOLLIN, remove_other, (void *)(intptr_t)i);
        ck_assert_ptr_nonnull(pair.watch[i]);
    }
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(pair.calls, 1);
    ck_assert_int_eq(pair.fresh_calls, 0);
    loop_watch_remove(pair.watch[2]);
    close(pair.fd[0]);
    close(pair.fd[1]);
}
END_TEST

static void silence_other(void *data, int fd, uint32_t events)
{
    (void)fd, (void)events;
    pair.calls++;
    ck_assert_int_eq(loop_watch_set(pair.watch[!(intptr_t)data], 0), 0);
    loop_stop(loop);
}

START_TEST(watch_set_counts_for_pending_events)
{
    pair.calls = 0;
    for (int i = 0; i < 2; i++) {
        pair.fd[i] = signalled();
        pair.watch[i] = loop_watch_add(loop, pair.fd[i], EPOLLIN, silence_other, (void *)(intptr_t)i);
    }
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(pair.calls, 1);
    for (int i = 0; i < 2; i++) {
        loop_watch_remove(pair.watch[i]);
        close(pair.fd[i]);
    }
}
END_TEST

static void level(void *data, int fd, uint32_t events)
{
    eventfd_t value;
    (void)events;
    if (++*(int *)data < 3)
        return; /* not read: it must be told again */
    eventfd_read(fd, &value);
    loop_post(loop, stop, NULL);
}

START_TEST(watches_are_level_triggered)
{
    int calls = 0, fd = signalled();
    struct weir_watch *watch = loop_watch_add(loop, fd, EPOLLIN, level, &calls);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(calls, 3);
    loop_watch_remove(watch);
    close(fd);
}
END_TEST

START_TEST(what_epoll_refuses_is_an_error)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), event = eventfd(0, EFD_CLOEXEC);
    ck_assert_ptr_null(loop_watch_add(loop, fd, EPOLLIN, fresh_ready, NULL));
    ck_assert_int_eq(errno, EPERM);
    close(fd);
    ck_assert_ptr_null(loop_watch_add(loop, -1, EPOLLIN, fresh_ready, NULL));
    ck_assert_int_eq(errno, EBADF);
    struct weir_watch *watch = loop_watch_add(loop, event, EPOLLIN, fresh_ready, NULL);
    ck_assert_ptr_null(loop_watch_add(loop, event, EPOLLIN, fresh_ready, NULL));
    ck_assert_int_eq(errno, EEXIST);
    close(event);
    ck_assert_int_eq(loop_watch_set(watch, EPOLLOUT), -EBADF);
    loop_watch_remove(watch);
}
END_TEST

/* ---- Timers -------------------------------------------------------------------------------------- */

#define TIMERS 200

static struct model {
    struct weir_timer *timer;
    uint64_t at; /* 0: not running */
    uint64_t repeat;
} model[TIMERS];
static int fired, todo;
static unsigned seed;

static uint64_t random_below(uint64_t n)
{
    return (uint64_t)rand_r(&seed) % n;
}

static void timer_fired(void *data);

static void change_some_timer(void)
{
    struct model *m = &model[random_below(TIMERS)];
    switch (random_below(4)) {
    case 0:
        if (m->timer)
            loop_timer_remove(m->timer);
        m->timer = NULL;
        m->at = 0;
        break;
    case 1:
        if (m->timer)
            loop_timer_set(m->timer, 0, 0);
        m->at = 0;
        break;
    default:
        if (!m->timer)
            m->timer = loop_timer_add(loop, timer_fired, m);
        uint64_t first = 1 + random_below(50 * MS);
        m->repeat = random_below(3) ? 0 : 1 + random_below(20 * MS);
        m->at = fake.now + first;
        loop_timer_set(m->timer, first, m->repeat);
    }
}

/* Plain C, since each assertion of Check costs a system call. */
static bool is_due(const struct model *m)
{
    /* Late only by what the fallback rounds up. */
    uint64_t slack = fake.no_pwait2 ? MS : 1;
    if (!m->at || fake.now < m->at || fake.now >= m->at + slack)
        return false;
    for (int i = 0; i < TIMERS; i++) /* an earlier one would have had to be first */
        if (model[i].at && model[i].at < m->at)
            return false;
    return true;
}

static void timer_fired(void *data)
{
    struct model *m = data;
    if (!is_due(m))
        ck_abort_msg("a timer due at %llu ran out at %llu", (unsigned long long)m->at,
                     (unsigned long long)fake.now);
    fired++;
    m->at = m->repeat ? m->at + m->repeat * ((fake.now - m->at) / m->repeat + 1) : 0;
    for (int i = 0; i < 2; i++)
        change_some_timer();
    if (--todo == 0)
        loop_stop(loop);
}

static void run_random_timers(unsigned start)
{
    seed = start;
    fake.own_time = true;
    fired = 0;
    todo = 3000;
    for (int i = 0; i < 3 * TIMERS; i++)
        change_some_timer();
    run_in_own_time();
    ck_assert_int_ge(fired, 3000); /* those that were due in the same round as well */
    for (int i = 0; i < TIMERS; i++) {
        if (model[i].timer)
            loop_timer_remove(model[i].timer);
        model[i] = (struct model){0};
    }
}

START_TEST(timers_run_out_on_time_and_in_order)
{
    run_random_timers((unsigned)_i);
}
END_TEST

START_TEST(without_epoll_pwait2_never_early)
{
    fake.no_pwait2 = true;
    run_random_timers((unsigned)_i);
}
END_TEST

START_TEST(a_timer_costs_one_wait)
{
    int calls = 0;
    struct weir_timer *timer = loop_timer_add(loop, count, &calls);
    struct weir_timer *end = loop_timer_add(loop, stop, NULL);
    fake.own_time = true;
    fake.no_pwait2 = _i;
    loop_timer_set(timer, 1234567, 0);
    loop_timer_set(end, 50 * MS, 0);
    run_in_own_time();
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(fake.waits, 2);
    loop_timer_remove(timer);
    loop_timer_remove(end);
}
END_TEST

static uint64_t stalled_calls[8];
static int stalled;

static void stall(void *data)
{
    (void)data;
    stalled_calls[stalled++] = fake.now - 1000 * MS;
    fake.now += stalled == 2 ? 35 * MS : 3 * MS; /* every call takes its time, the second one very long */
    if (stalled == 6)
        loop_stop(loop);
}

START_TEST(repeating_neither_drifts_nor_bursts)
{
    static const uint64_t expected[] = {5, 15, 50, 55, 65, 75};
    struct weir_timer *timer = loop_timer_add(loop, stall, NULL);
    fake.own_time = true;
    stalled = 0;
    loop_timer_set(timer, 5 * MS, 10 * MS);
    run_in_own_time();
    for (int i = 0; i < 6; i++)
        ck_assert_uint_eq(stalled_calls[i], expected[i] * MS);
    loop_timer_remove(timer);
}
END_TEST

static void remove_itself(void *data)
{
    loop_timer_remove(*(struct weir_timer **)data);
    loop_stop(loop);
}

START_TEST(timer_removed_in_its_own_callback)
{
    struct weir_timer *timer = loop_timer_add(loop, remove_itself, &timer);
    fake.own_time = true;
    loop_timer_set(timer, 0, _i ? MS : 0);
    if (!_i)
        loop_timer_set(timer, 1, 0);
    run_in_own_time();
}
END_TEST

START_TEST(times_beyond_the_clock_do_not_overflow)
{
    int calls = 0;
    struct weir_timer *never = loop_timer_add(loop, count, &calls);
    struct weir_timer *end = loop_timer_add(loop, stop, NULL);
    fake.own_time = true;
    loop_timer_set(never, UINT64_MAX, UINT64_MAX);
    loop_timer_set(end, 1, UINT64_MAX);
    run_in_own_time();
    ck_assert_int_eq(calls, 0);
    loop_timer_remove(never);
    loop_timer_remove(end);
}
END_TEST

START_TEST(real_time_passes)
{
    struct weir_timer *timer = loop_timer_add(loop, stop, NULL);
    uint64_t before = loop_now();
    loop_timer_set(timer, 3 * MS + 1, 0);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_uint_gt(loop_now() - before, 3 * MS);
    loop_timer_remove(timer);
}
END_TEST

/* ---- Posted calls -------------------------------------------------------------------------------- */

#define THREADS 4
#define POSTS   5000

static struct post {
    int thread, number;
} posts[THREADS][POSTS];
static int next_number[THREADS], posts_left;

static void in_order(void *data)
{
    struct post *post = data;
    if (post->number != next_number[post->thread]++)
        ck_abort_msg("a post came out of order");
    if (--posts_left == 0)
        loop_stop(loop);
}

static void *post_many(void *data)
{
    int thread = (int)(intptr_t)data;
    for (int i = 0; i < POSTS; i++) {
        posts[thread][i] = (struct post){thread, i};
        if (loop_post(loop, in_order, &posts[thread][i]) < 0)
            abort();
    }
    return NULL;
}

START_TEST(posts_of_many_threads_all_arrive_in_order)
{
    pthread_t threads[THREADS];
    posts_left = THREADS * POSTS;
    for (int i = 0; i < THREADS; i++) {
        next_number[i] = 0;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, (void *)(intptr_t)i), 0);
    }
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(posts_left, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_le(fake.wakes, THREADS * POSTS + 1);
}
END_TEST

static bool seen;

static void see(void *data, int fd, uint32_t events)
{
    (void)data, (void)fd, (void)events;
    seen = true;
}

static void busy(void *data)
{
    int *rounds = data;
    if (++*rounds == 1)
        eventfd_write(pair.fd[0], 1);
    if (seen)
        loop_stop(loop);
    else if (*rounds < 1000)
        loop_post(loop, busy, rounds);
    else
        ck_abort_msg("the descriptor was never looked at");
}

START_TEST(a_busy_input_does_not_starve_descriptors)
{
    int rounds = 0;
    seen = false;
    pair.fd[0] = eventfd(0, EFD_CLOEXEC);
    struct weir_watch *watch = loop_watch_add(loop, pair.fd[0], EPOLLIN, see, NULL);
    loop_post(loop, busy, &rounds);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(rounds, 2);
    ck_assert_int_eq(fake.wakes, 2); /* the first post and the descriptor; none by the loop's own thread */
    loop_watch_remove(watch);
    close(pair.fd[0]);
}
END_TEST

struct own_call {
    int calls;
    struct loop_call call;
};

static void call_again(struct loop_call *call)
{
    if (++LOOP_CALL_OF(call, struct own_call, call)->calls < 3)
        loop_post_call(loop, call);
    else
        loop_stop(loop);
}

static void free_itself(struct loop_call *call)
{
    free(LOOP_CALL_OF(call, struct own_call, call));
}

START_TEST(calls_of_ones_own_memory)
{
    struct own_call again = {.call.fn = call_again}, *other = calloc(1, sizeof(*other));
    other->call.fn = free_itself;
    loop_post_call(loop, &again.call);
    loop_post_call(loop, &other->call);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(again.calls, 3);
}
END_TEST

static void post_and_stop(void *data)
{
    loop_post(loop, count, data);
    loop_stop(loop);
}

static void post_late(void *data)
{
    loop_post(loop, count, data);
}

START_TEST(what_was_posted_before_stop_is_called)
{
    int calls = 0;
    loop_post(loop, count, &calls);
    loop_post(loop, post_and_stop, &calls);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(calls, 2);

    /* What a last call posts waits for the next run, or is freed by loop_destroy (of teardown). */
    loop_post(loop, post_late, &calls);
    loop_stop(loop);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(calls, 2);
    loop_stop(loop);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(calls, 3);
    loop_post(loop, count, &calls);
}
END_TEST

static sem_t called;

static void tell(void *data)
{
    (void)data;
    sem_post(&called);
}

static void *run(void *data)
{
    (void)data;
    return (void *)(intptr_t)loop_run(loop);
}

static void wait_called(void)
{
    while (sem_wait(&called) < 0)
        ck_assert_int_eq(errno, EINTR);
}

START_TEST(idle_it_sleeps_until_it_is_called)
{
    pthread_t thread;
    void *r;
    sem_init(&called, 0, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
    for (int i = 0; i < 100; i++) {
        loop_post(loop, tell, NULL);
        wait_called();
    }
    uint64_t deadline = loop_now() + 10000 * MS;
    while (!fake.slept_for_ever && loop_now() < deadline)
        sched_yield();
    ck_assert(fake.slept_for_ever);
    /* A call costs a wake-up, and at most one more that finds nothing, if it came just before the sleep. */
    ck_assert_int_le(fake.waits, 201);
    loop_stop(loop);
    pthread_join(thread, &r);
    ck_assert_ptr_null(r);
    sem_destroy(&called);
}
END_TEST

static void leave_a_timer(void)
{
    loop_timer_add(loop, count, NULL);
    loop_destroy(loop);
}

static void leave_a_watch(void)
{
    loop_watch_add(loop, signalled(), EPOLLIN, see, NULL);
    loop_destroy(loop);
}

/* fn, in a child of ours, says that, and at most asserts: it depends on how the core was built. */
static void assert_complains(void (*fn)(void), const char *words)
{
    char text[1000];
    int status, out[2];
    size_t size = 0;
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(out[1]);
    for (ssize_t n; size < sizeof(text) - 1 && (n = read(out[0], text + size, sizeof(text) - 1 - size)) > 0;)
        size += (size_t)n;
    text[size] = 0;
    close(out[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) ? WTERMSIG(status) == SIGABRT : status == 0);
    ck_assert_msg(strstr(text, words) != NULL, "'%s' is not in: %s", words, text);
}

START_TEST(what_is_left_at_destroy_is_told)
{
    assert_complains(leave_a_timer, "watches left: 0, timers left: 1");
    assert_complains(leave_a_watch, "watches left: 1, timers left: 0");
    loop_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loop");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, watch_removed_while_its_event_is_pending);
    tcase_add_test(t, watch_set_counts_for_pending_events);
    tcase_add_test(t, watches_are_level_triggered);
    tcase_add_test(t, what_epoll_refuses_is_an_error);
    tcase_add_loop_test(t, timers_run_out_on_time_and_in_order, 0, 10);
    tcase_add_loop_test(t, without_epoll_pwait2_never_early, 0, 10);
    tcase_add_loop_test(t, a_timer_costs_one_wait, 0, 2);
    tcase_add_test(t, repeating_neither_drifts_nor_bursts);
    tcase_add_loop_test(t, timer_removed_in_its_own_callback, 0, 2);
    tcase_add_test(t, times_beyond_the_clock_do_not_overflow);
    tcase_add_test(t, real_time_passes);
    tcase_add_test(t, posts_of_many_threads_all_arrive_in_order);
    tcase_add_test(t, a_busy_input_does_not_starve_descriptors);
    tcase_add_test(t, calls_of_ones_own_memory);
    tcase_add_test(t, what_was_posted_before_stop_is_called);
    tcase_add_test(t, idle_it_sleeps_until_it_is_called);
    tcase_add_test(t, what_is_left_at_destroy_is_told);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
