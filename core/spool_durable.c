/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is answered what after which sync. The system tells of a failure once, whoever asks for the sync: so it
 * is kept here, for those whose data may have been in it. Loop.
 */
#include "spool_durable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "callback.h"
#include "engine.h"
#include "input.h"
#include "log.h"
#include "spool_sync.h"

/* A call of the plugin, or positions (fn is NULL). */
struct request {
    struct request *next;
    weir_durable_fn fn;
    void *data;
    uint64_t upto; /* of positions whose sync failed: they count when every chunk below it is delivered */
    struct checkpoint_set set;
    struct checkpoint_mark marks[];
};

struct request_list {
    struct request *first, **end;
};

struct spool_durable {
    struct input *in;
    struct spool *spool;
    void (*synced)(void *data);
    void *data;
    struct spool_sync *sync;
    bool syncing, wanted;
    struct request_list requests; /* of the next sync */
    struct request_list batch;    /* those that the sync under way answers */
    struct request_list unsure;   /* positions whose sync failed */
    int failed;                   /* a sync since the last batch; the next one is told */
};

static void list_clear(struct request_list *l)
{
    *l = (struct request_list){.end = &l->first};
}

static void list_add(struct request_list *l, struct request *r)
{
    r->next = NULL;
    *l->end = r;
    l->end = &r->next;
}

static struct request *list_take(struct request_list *l)
{
    struct request *r = l->first;

    if (r)
        l->first = r->next;
    if (!l->first)
        l->end = &l->first;
    return r;
}

/* -- Asking ----------------------------------------------------------------------------------------- */

int spool_durable_ask(struct spool_durable *d, weir_durable_fn fn, void *data)
{
    struct request *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->fn = fn;
    r->data = data;
    list_add(&d->requests, r);
    return 0;
}

static void release_request(struct checkpoint_set *set)
{
    free((char *)set - offsetof(struct request, set));
}

void spool_durable_add_positions(struct spool_durable *d, const struct weir_position *positions, size_t count)
{
    struct request *r = calloc(1, sizeof(*r) + count * sizeof(struct checkpoint_mark));

    if (!r) {
        log_error(d->in->base.alias->chars,
                  "no memory for the positions of a chunk: ending at once; nothing that was not delivered "
                  "counts as read");
        abort();
    }
    for (size_t i = 0; i < count; i++)
        r->marks[i] = (struct checkpoint_mark){
            .stream = positions[i].stream, .offset = positions[i].offset, .token = positions[i].token};
    r->set = (struct checkpoint_set){.marks = r->marks, .count = count, .release = release_request};
    checkpoint_track(engine_checkpoint(d->in->base.engine), &r->set);
    list_add(&d->requests, r);
}

/* -- Answering -------------------------------------------------------------------------------------- */

static void answer_positions(struct spool_durable *d, struct request *r, int rc)
{
    if (rc == 0) {
        checkpoint_acknowledge(engine_checkpoint(d->in->base.engine), &r->set);
        return;
    }
    r->upto = spool_next(d->spool);
    list_add(&d->unsure, r);
}

static void answer_call(struct spool_durable *d, struct request *r, int rc)
{
    if (d->in->running) {
        struct callback_before before = callback_enter(d->in->base.alias, "durable");
        r->fn(r->data, rc);
        callback_leave(before);
    }
    free(r);
}

static void answer_batch(struct spool_durable *d, int rc)
{
    struct request *r;

    while ((r = list_take(&d->batch))) {
        if (r->fn)
            answer_call(d, r, rc);
        else
            answer_positions(d, r, rc);
    }
}

/* Of a sync, or where there was nothing to be synced. */
static void answer_synced(struct spool_durable *d, int rc)
{
    int before = spool_take_sync_error(d->spool);
    int told;

    rc = rc < 0 ? rc : before;
    if (rc < 0)
        log_error(d->in->base.alias->chars,
                  "its spool %s can't be synced: %s; what was sent since then may not survive a power cut",
                  spool_path(d->spool), strerror(-rc));
    told = rc < 0 ? rc : d->failed;
    if (rc < 0)
        d->failed = rc; /* what was asked for meanwhile may have been in it, and so may what is yet to be */
    else if (d->batch.first)
        d->failed = 0;
    answer_batch(d, told);
}

void spool_durable_delivered(struct spool_durable *d)
{
    while (d->unsure.first && spool_is_delivered(d->spool, d->unsure.first->upto)) {
        struct request *r = list_take(&d->unsure);
        checkpoint_acknowledge(engine_checkpoint(d->in->base.engine), &r->set);
    }
}

/* -- Syncing ---------------------------------------------------------------------------------------- */

static void on_synced(void *data, int rc)
{
    struct spool_durable *d = data;

    if (!d->syncing)
        return; /* it was stopped meanwhile */
    d->syncing = false;
    answer_synced(d, rc);
    d->synced(d->data);
}

static void move_all(struct request_list *to, struct request_list *from)
{
    struct request *r;

    while ((r = list_take(from)))
        list_add(to, r);
}

int spool_durable_sync(struct spool_durable *d, bool all)
{
    int fds[SPOOL_UNSYNCED_MAX];
    size_t count;

    d->wanted = d->wanted || all;
    if (d->syncing || (!d->requests.first && !d->wanted))
        return 0;
    if (!d->sync)
        d->sync = spool_sync_create(d->in->loop, on_synced, d);
    if (!d->sync)
        return -ENOMEM; /* or no thread */
    int rc = spool_take_unsynced(d->spool, fds, &count);
    if (rc == 0) { /* else something is left, and nobody can be told as yet */
        d->wanted = false;
        move_all(&d->batch, &d->requests);
    }
    if (count) {
        d->syncing = true;
        spool_sync_begin(d->sync, fds, count);
    } else if (rc == 0) {
        answer_synced(d, 0);
    }
    return rc;
}

/* -- Life ------------------------------------------------------------------------------------------- */

struct spool_durable *spool_durable_create(struct input *in, struct spool *spool, void (*synced)(void *),
                                           void *data)
{
    struct spool_durable *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    *d = (struct spool_durable){.in = in, .spool = spool, .synced = synced, .data = data};
    list_clear(&d->requests);
    list_clear(&d->batch);
    list_clear(&d->unsure);
    return d;
}

/* Positions that do not count are released when the checkpoint closes. */
void spool_durable_free(struct spool_durable *d)
{
    if (d)
        spool_sync_free(d->sync);
    free(d);
}

/* What is under way in the other thread, and the rest: positions count where that goes well. */
void spool_durable_stop(struct spool_durable *d, bool lost)
{
    int under_way = spool_sync_stop(d->sync);

    under_way = d->syncing ? under_way : 0; /* else it was told */
    d->syncing = false;
    move_all(&d->batch, &d->requests);
    if (lost) {
        answer_batch(d, -EIO);
        return;
    }
    int rc = spool_sync_all(d->spool);
    answer_synced(d, under_way < 0 ? under_way : rc);
    spool_durable_delivered(d);
}
