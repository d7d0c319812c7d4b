/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock that is waited for in host->wait rather than in a mutex: the holder may be stuck behind a full pipe
 * for ever, and a waiter must still be able to stop. Free, it costs one atomic exchange. Owns the eventfd
 * that the waiters watch, which exists while there are instances. Any output thread.
 */
#include "turn.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

static pthread_mutex_t members_lock = PTHREAD_MUTEX_INITIALIZER; /* members, and wake_fd's life */
static unsigned members;
static int wake_fd = -1;

static _Atomic(const void *) holder;
static _Atomic(const void *) last;   /* who had the turn before */
static _Atomic(const void *) within; /* whose line is not whole, or NULL; changed by who has the turn */
static atomic_uint waiting;

#define COURTESY 1000000 /* ns */

int turn_join(void)
{
    int rc = 0;

    pthread_mutex_lock(&members_lock);
    if (members == 0) {
        wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE);
        rc = wake_fd < 0 ? -errno : 0;
    }
    members += rc == 0;
    pthread_mutex_unlock(&members_lock);
    return rc;
}

void turn_leave(const void *self)
{
    turn_pass(self);
    pthread_mutex_lock(&members_lock);
    if (--members == 0) {
        close(wake_fd);
        wake_fd = -1;
    }
    pthread_mutex_unlock(&members_lock);
}

static bool try_take(const void *self)
{
    const void *expected = NULL;

    return atomic_compare_exchange_strong(&holder, &expected, self) || expected == self;
}

/* Waits for the end of a turn. Announced before the second try: who passes the turn after it wakes us. */
static int await_turn(const void *self, const struct weir_host *host, struct weir_instance *instance)
{
    uint64_t token;
    int rc = 0;

    atomic_fetch_add(&waiting, 1);
    if (!try_take(self))
        rc = host->wait(instance, wake_fd, POLLIN, UINT64_MAX);
    atomic_fetch_sub(&waiting, 1);
    if (rc == 0 && read(wake_fd, &token, sizeof(token)) < 0)
        return 0; /* another waiter was faster, or none was needed: the caller tries again */
    return rc;
}

int turn_take(const void *self, const struct weir_host *host, struct weir_instance *instance)
{
    int rc = 0;

    /* Who has just passed the turn would take it again before the one that it woke has run. */
    if (atomic_load(&last) == self && atomic_load(&waiting) > 0 && atomic_load(&holder) != self)
        rc = host->wait(instance, -1, 0, COURTESY);
    if (rc == -ETIMEDOUT)
        rc = 0;
    while (rc == 0 && !try_take(self))
        rc = await_turn(self, host, instance);
    return rc;
}

void turn_pass(const void *self)
{
    const uint64_t one = 1;

    if (atomic_load(&holder) != self)
        return;
    atomic_store(&last, self);
    atomic_store(&holder, NULL);
    if (atomic_load(&waiting) == 0)
        return;
    /* It can fail only when 2^64 - 2 wake-ups wait to be read: then the waiters are awake anyhow. */
    while (write(wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void turn_wrote(const void *self, bool within_line)
{
    atomic_store(&within, within_line ? self : NULL);
}

bool turn_finds_half_a_line(const void *self, bool goes_on)
{
    const void *whose = atomic_load(&within);

    return whose && !(whose == self && goes_on);
}
