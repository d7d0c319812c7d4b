/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that syncs what a spool has written. It sleeps unless there is a batch. */
#include "spool_sync.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "spool.h"

struct spool_sync {
    struct weir_loop *loop;
    void (*done)(void *data, int rc);
    void *data;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fds[SPOOL_UNSYNCED_MAX];
    size_t count; /* 0: no batch */
    bool ending, joined;
    int rc; /* of the last batch; read on the loop after done_call was posted */
    struct loop_call done_call;
};

static int sync_batch(const int *fds, size_t count)
{
    int rc = 0;

    WEIR_KILL_POINT("spool-sync");
    for (size_t i = 0; i < count; i++) {
        if (fdatasync(fds[i]) < 0 && rc == 0)
            rc = -errno;
        close(fds[i]);
    }
    WEIR_KILL_POINT("spool-synced");
    return rc;
}

static void on_done(struct loop_call *call)
{
    struct spool_sync *s = LOOP_CALL_OF(call, struct spool_sync, done_call);

    s->done(s->data, s->rc);
}

static void *thread_main(void *data)
{
    struct spool_sync *s = data;
    int fds[SPOOL_UNSYNCED_MAX];

    pthread_setname_np(pthread_self(), "spool-sync");
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->count && !s->ending)
            pthread_cond_wait(&s->changed, &s->lock);
        size_t count = s->count;
        if (!count)
            break;
        memcpy(fds, s->fds, count * sizeof(*fds));
        s->count = 0;
        pthread_mutex_unlock(&s->lock);
        int rc = sync_batch(fds, count);
        pthread_mutex_lock(&s->lock);
        s->rc = rc;
        loop_post_call(s->loop, &s->done_call);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct spool_sync *spool_sync_create(struct weir_loop *loop, void (*done)(void *, int), void *data)
{
    struct spool_sync *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    *s = (struct spool_sync){.loop = loop, .done = done, .data = data};
    s->done_call = (struct loop_call){.fn = on_done};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (pthread_create(&s->thread, NULL, thread_main, s) != 0) {
        s->joined = true;
        spool_sync_free(s);
        return NULL;
    }
    return s;
}

int spool_sync_stop(struct spool_sync *s)
{
    if (!s)
        return 0;
    if (s->joined)
        return s->rc;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->joined = true;
    return s->rc;
}

void spool_sync_free(struct spool_sync *s)
{
    if (!s)
        return;
    spool_sync_stop(s);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void spool_sync_begin(struct spool_sync *s, const int *fds, size_t count)
{
    pthread_mutex_lock(&s->lock);
    memcpy(s->fds, fds, count * sizeof(*fds));
    s->count = count;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}
