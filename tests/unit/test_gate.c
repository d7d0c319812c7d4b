/* SPDX-License-Identifier: Apache-2.0 */
/* Gates: who gets in, who waits, who is woken in which order, that no wake-up is lost between threads, and
 * that nobody is woken who has left. */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>
#include "gate.h"

static int order[8], woken;

struct numbered {
    struct gate_waiter waiter; /* first */
    int number;
};

static void note(struct gate_waiter *w)
{
    order[woken++] = ((struct numbered *)w)->number;
}

START_TEST(room_and_no_room)
{
    struct gate g;
    struct numbered a = {{.wake = note}, 1}, b = {{.wake = note}, 2};

    woken = 0;
    gate_init(&g, 100);
    ck_assert(gate_enter(&g, &a.waiter));
    gate_add(&g, 99);
    ck_assert(gate_enter(&g, &a.waiter));
    gate_add(&g, 1000); /* over the limit by one chunk */
    ck_assert(!gate_enter(&g, &a.waiter));
    ck_assert(!gate_enter(&g, &b.waiter));
    gate_leave(&g, 1000);
    ck_assert_int_eq(woken, 0); /* 99 left: more than half */
    gate_leave(&g, 49);
    ck_assert_int_eq(woken, 2);
    ck_assert_int_eq(order[0], 1);
    ck_assert_int_eq(order[1], 2);
    gate_leave(&g, 50);
    ck_assert_int_eq(woken, 2);
    gate_finish(&g);
}
END_TEST

START_TEST(forgotten_waiters_are_not_woken)
{
    struct gate g;
    struct numbered w[3] = {{{.wake = note}, 0}, {{.wake = note}, 1}, {{.wake = note}, 2}};

    woken = 0;
    gate_init(&g, 10);
    gate_add(&g, 10);
    for (int i = 0; i < 3; i++)
        ck_assert(!gate_enter(&g, &w[i].waiter));
    gate_forget(&w[1].waiter);
    gate_forget(&w[1].waiter); /* again: nothing */
    gate_leave(&g, 10);
    ck_assert_int_eq(woken, 2);
    ck_assert_int_eq(order[0], 0);
    ck_assert_int_eq(order[1], 2);
    gate_finish(&g);
}
END_TEST

enum { ROUNDS = 200000 };
static struct gate shared;
static sem_t resume;

static void post(struct gate_waiter *w)
{
    (void)w;
    sem_post(&resume);
}

static void *consume(void *unused)
{
    (void)unused;
    for (int taken = 0; taken < ROUNDS;) {
        uint64_t used = atomic_load(&shared.used);
        if (used) {
            gate_leave(&shared, 1);
            taken++;
        } else {
            sched_yield(); /* where there is one processor, the producer has it now */
        }
    }
    return NULL;
}

/* A producer that sleeps whenever it is told to wait: one lost wake-up and this never ends. */
START_TEST(no_wakeup_is_lost)
{
    struct gate_waiter w = {.wake = post};
    pthread_t thread;

    gate_init(&shared, 4);
    sem_init(&resume, 0, 0);
    pthread_create(&thread, NULL, consume, NULL);
    for (int sent = 0; sent < ROUNDS;) {
        if (gate_enter(&shared, &w)) {
            gate_add(&shared, 1);
            sent++;
        } else {
            while (sem_wait(&resume) < 0)
                ;
        }
    }
    pthread_join(thread, NULL);
    ck_assert_uint_eq(atomic_load(&shared.used), 0);
    gate_finish(&shared);
    sem_destroy(&resume);
}
END_TEST

/* A thread that is away for a while between taking a waiter out of the list and having told it. */
static sem_t waking, forgetting;
static atomic_bool told;

static void wake_late(struct gate_waiter *w)
{
    (void)w;
    sem_post(&waking);
    sem_wait(&forgetting);
    usleep(20000); /* whoever does not wait for this is back long before */
    atomic_store(&told, true);
}

static void *leave(void *gate)
{
    gate_leave(gate, 10);
    return NULL;
}

START_TEST(forgetting_waits_for_a_wake_under_way)
{
    struct gate g;
    struct gate_waiter w = {.wake = wake_late};
    pthread_t thread;

    gate_init(&g, 10);
    gate_add(&g, 10);
    sem_init(&waking, 0, 0);
    sem_init(&forgetting, 0, 0);
    ck_assert(!gate_enter(&g, &w));
    pthread_create(&thread, NULL, leave, &g);
    sem_wait(&waking);
    ck_assert_ptr_null(atomic_load(&w.gate));
    sem_post(&forgetting);
    gate_forget(&w);
    ck_assert(atomic_load(&told)); /* so `w` may go now */
    pthread_join(thread, NULL);
    gate_finish(&g);
    sem_destroy(&waking);
    sem_destroy(&forgetting);
}
END_TEST

START_TEST(another_limit_wakes_those_who_wait)
{
    struct gate g;
    struct numbered a = {{.wake = note}, 1}, b = {{.wake = note}, 2};

    woken = 0;
    gate_init(&g, 10);
    gate_add(&g, 20);
    ck_assert(!gate_enter(&g, &a.waiter));
    gate_set_limit(&g, 15);
    ck_assert_int_eq(woken, 1); /* to try again, in vain */
    ck_assert(!gate_enter(&g, &a.waiter));
    ck_assert(!gate_enter(&g, &b.waiter));
    gate_set_limit(&g, UINT64_MAX);
    ck_assert_int_eq(woken, 3);
    ck_assert_int_eq(order[1], 1);
    ck_assert_int_eq(order[2], 2);
    ck_assert(gate_enter(&g, &a.waiter));
    gate_finish(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gate");
    TCase *t = tcase_create("all");

    tcase_add_test(t, room_and_no_room);
    tcase_add_test(t, forgotten_waiters_are_not_woken);
    tcase_add_test(t, another_limit_wakes_those_who_wait);
    tcase_add_test(t, no_wakeup_is_lost);
    tcase_add_test(t, forgetting_waits_for_a_wake_under_way);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
