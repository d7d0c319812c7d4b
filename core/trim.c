/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool tells when a look is worth the while. From then on there is one each second for as long as much
 * flows or blocks are left to give back, and one more when malloc's turn has come. Control thread.
 */
#include "trim.h"
#include <errno.h>
#include "process.h"

static const uint64_t SECOND = 1000000000, HEAP_PAUSE = 10000000000;

/* Any thread. */
static void tell(void *data)
{
    struct trim *t = data;

    if (!atomic_exchange(&t->posted, true))
        loop_post_call(t->loop, &t->call);
}

/* Much, and within the time: what took long is a trickle. */
static bool is_busy(uint64_t taken, uint64_t time)
{
    return taken >= POOL_MUCH && (double)time / (double)SECOND <= (double)taken / POOL_MUCH;
}

/*
 * After a standstill or a swapped sink the C library keeps what was freed, since what is still in use lies
 * between: 50 MB after some outages of a broker, a record of librdkafka's for each message. It takes
 * milliseconds, so not often; and not while much flows, which would want it again at once.
 */
static void give_back(struct trim *t, uint64_t now)
{
    uint64_t since = now - t->given_at;

    if (since < HEAP_PAUSE) {
        loop_timer_set(t->timer, HEAP_PAUSE - since, 0);
        return;
    }
    process_give_back();
    t->given_at = now;
    t->due = false;
}

static void look(struct trim *t)
{
    struct pool_look seen = pool_look(t->pool);
    uint64_t now = loop_now();
    bool busy = is_busy(seen.taken, now - t->looked_at);

    t->looked_at = now;
    t->due |= seen.dropped > 0 || seen.fell || busy;
    if (busy)
        process_hold_heap();
    if (busy || seen.more) {
        pool_tell(t->pool, NULL, NULL);
        loop_timer_set(t->timer, SECOND, 0);
        return;
    }
    if (t->due)
        give_back(t, now);
    pool_tell(t->pool, tell, t);
}

static void on_timer(void *data)
{
    look(data);
}

static void on_told(struct loop_call *call)
{
    struct trim *t = LOOP_CALL_OF(call, struct trim, call);

    atomic_store(&t->posted, false);
    look(t);
}

int trim_init(struct trim *t, struct weir_loop *loop, struct pool *pool)
{
    t->loop = loop;
    t->pool = pool;
    t->call = (struct loop_call){.fn = on_told};
    t->looked_at = loop_now();
    t->timer = loop_timer_add(loop, on_timer, t);
    if (!t->timer)
        return -ENOMEM;
    pool_tell(pool, tell, t);
    return 0;
}

void trim_soon(struct trim *t)
{
    t->due = true;
    if (t->timer)
        loop_timer_set(t->timer, SECOND, 0);
}

void trim_finish(struct trim *t)
{
    if (!t->timer)
        return;
    pool_tell(t->pool, NULL, NULL);
    loop_timer_remove(t->timer);
    t->timer = NULL;
}
