/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that outputs of the fake host are given, and what they answer. finish and reject come from any
 * thread: a chunk is looked for by its address among those of the instance, and touched only if it is there.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <weir/event.h>
#include "private.h"

enum state { WAITING, WRITING, UNDER_WAY, FINISHED };

struct fake_written {
    struct weir_chunk api;
    uint8_t *bytes; /* of api.data; NULL once it is finished for good */
    char *tag, *topic;
    enum state state;
    enum weir_result result; /* the last one */
    unsigned attempts;
};

enum { MS = 1000000 /* ns */ };

/* -- Answers -------------------------------------------------------------------------------------------- */

/* Its number, or written_count. With the lock. */
static size_t find_number(const struct weir_instance *i, const struct weir_chunk *chunk)
{
    for (size_t k = i->written_count; k--;)
        if (&i->written[k]->api == chunk)
            return k;
    return i->written_count;
}

static struct fake_written *find(struct weir_instance *i, const struct weir_chunk *chunk)
{
    size_t k = find_number(i, chunk);

    return k < i->written_count ? i->written[k] : NULL;
}

/* The plugin must not look at it again: what it might see is made to be noticed. */
static void free_bytes(struct fake_written *w)
{
    memset(w->bytes, 0xdd, w->api.size);
    free(w->bytes);
    w->bytes = NULL;
    w->api.data = NULL;
}

static bool is_result(int result, bool may_be_later)
{
    return result == WEIR_DELIVERED || result == WEIR_RETRY || result == WEIR_REJECTED ||
           (may_be_later && result == WEIR_LATER);
}

/* With the lock. */
static void finish(struct weir_instance *i, struct fake_written *w, int result)
{
    w->result = (enum weir_result)result;
    w->state = result == WEIR_RETRY ? WAITING : FINISHED;
    if (w->state == FINISHED)
        free_bytes(w);
    pthread_cond_broadcast(&i->host->changed);
}

/* NULL, or what is wrong with finishing it. With the lock. */
static const char *why_not(const struct weir_instance *i, const struct fake_written *w, int result)
{
    if (!w)
        return "a chunk that this instance was not given";
    if (!is_result(result, false))
        return "the result is none of delivered, retry and rejected";
    if (atomic_load(&i->stopped))
        return "called after host->stopped";
    if (w->state == FINISHED)
        return "a chunk is finished twice";
    return w->state == WAITING ? "a chunk is finished that is to be written again" : NULL;
}

static void host_finish(struct weir_instance *i, struct weir_chunk *chunk, enum weir_result result)
{
    struct fake_written *w;
    const char *fault;

    if (!fake_is_there(i, "finish"))
        return;
    pthread_mutex_lock(&i->host->lock);
    w = find(i, chunk);
    fault = why_not(i, w, (int)result);
    if (!fault)
        finish(i, w, (int)result);
    pthread_mutex_unlock(&i->host->lock);
    if (fault)
        fake_misuse(i->host, i, "finish: %s", fault);
}

/* Where in the chunk's bytes the records are. */
static size_t offset_of(const struct fake_written *w, const void *records, size_t size)
{
    uintptr_t begin = (uintptr_t)w->bytes, at = (uintptr_t)records;

    if (!records || at < begin || at - begin > w->api.size || size > w->api.size - (at - begin))
        return SIZE_MAX;
    return at - begin;
}

/* With the lock. */
static void keep_rejection(struct weir_instance *i, size_t chunk, const void *records, size_t size,
                           uint32_t count, const char *reason)
{
    struct weir_fake_rejection *r =
        fake_must(realloc(i->rejections, (i->rejection_count + 1) * sizeof(*i->rejections)));

    i->rejections = r;
    r += i->rejection_count++;
    *r = (struct weir_fake_rejection){.chunk = chunk,
                                      .records = count,
                                      .size = size,
                                      .offset = offset_of(i->written[chunk], records, size),
                                      .reason = fake_copy(reason ? reason : "")};
    if (!records)
        return;
    r->bytes = fake_zeroed(size ? size : 1);
    memcpy(r->bytes, records, size);
}

static void host_reject(struct weir_instance *i, struct weir_chunk *chunk, const void *records, size_t size,
                        uint32_t count, const char *reason)
{
    struct fake_written *w;
    bool under_way;

    if (!fake_is_there(i, "reject"))
        return;
    pthread_mutex_lock(&i->host->lock);
    w = find(i, chunk);
    under_way = w && w->state != FINISHED && w->state != WAITING;
    i->rejected += under_way ? count : 0;
    if (under_way)
        keep_rejection(i, find_number(i, chunk), records, size, count, reason);
    pthread_mutex_unlock(&i->host->lock);
    if (!under_way)
        fake_misuse(i->host, i, "reject: the chunk is finished already, or none of this instance");
    else if (!reason || !*reason || (size && !records) || count > w->api.records)
        fake_misuse(i->host, i, "reject: no reason, no bytes, or more records than the chunk has");
}

/* 0, -ETIMEDOUT, -ECANCELED or what poll failed with. */
static int wait_for(const struct weir_instance *i, int fd, short events, uint64_t timeout)
{
    struct pollfd fds[2] = {{.fd = i->cancel, .events = POLLIN}, {.fd = fd, .events = events}};
    struct timespec ts = {.tv_sec = (time_t)(timeout / 1000000000u),
                          .tv_nsec = (long)(timeout % 1000000000u)};
    int n;

    do
        n = ppoll(fds, fd < 0 ? 1 : 2, timeout == UINT64_MAX ? NULL : &ts, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (fds[0].revents)
        return -ECANCELED;
    return n == 0 ? -ETIMEDOUT : 0;
}

/* One of the waits that are left. */
static bool take_wait(struct weir_instance *i)
{
    size_t left = atomic_load(&i->waits);

    while (left != SIZE_MAX && left != 0 && !atomic_compare_exchange_weak(&i->waits, &left, left - 1))
        ;
    return left != 0;
}

static int host_wait(struct weir_instance *i, int fd, short events, uint64_t timeout)
{
    unsigned patience = i->host->patience;
    int r;

    if (!fake_may(i, "wait"))
        return -ECANCELED;
    if (i->cancel < 0) {
        fake_misuse(i->host, i, "wait: is for outputs; an input must not block its loop");
        return -EINVAL;
    }
    if (!take_wait(i))
        return -ECANCELED;
    if (timeout != UINT64_MAX || patience == 0)
        return wait_for(i, fd, events, timeout);
    r = wait_for(i, fd, events, patience * (uint64_t)MS);
    if (r != -ETIMEDOUT)
        return r;
    fake_misuse(i->host, i, "wait: nothing has come for %u ms, and it would wait for ever", patience);
    return -ECANCELED;
}

/* -- Positions that it keeps ---------------------------------------------------------------------------- */

struct weir_fake_kept {
    char *input, *key;
    uint64_t offset;
};

static int host_keep_positions(struct weir_instance *i)
{
    if (!fake_is_there(i, "keep_positions"))
        return -EINVAL;
    if (i->self || i->started || i->plugin->kind != WEIR_OUTPUT) {
        fake_misuse(i->host, i, "keep_positions: is for the create of an output");
        return -ENOTSUP;
    }
    i->keeper = true;
    return 0;
}

static int host_kept(struct weir_instance *i, const struct weir_kept *kept)
{
    if (!fake_may(i, "kept"))
        return -EINVAL;
    if (!i->keeper || !kept->input || !kept->key || kept->forgotten) {
        fake_misuse(i->host, i, "kept: not by a keeper of positions, or no position");
        return -EINVAL;
    }
    i->kept = fake_must(realloc(i->kept, (i->kept_count + 1) * sizeof(*i->kept)));
    i->kept[i->kept_count++] =
        (struct weir_fake_kept){fake_copy(kept->input), fake_copy(kept->key), kept->offset};
    return 0;
}

static int host_positions(struct weir_instance *i, struct weir_chunk *chunk, weir_kept_fn fn, void *data)
{
    struct weir_kept kept = {.struct_size = sizeof(kept), .input = "fake", .key = "stream", .meta = "meta"};

    if (!fake_is_there(i, "positions"))
        return -EINVAL;
    pthread_mutex_lock(&i->host->lock);
    bool there = find(i, chunk) && find(i, chunk)->state != FINISHED;
    pthread_mutex_unlock(&i->host->lock);
    if (!there) {
        fake_misuse(i->host, i, "positions: the chunk is finished already, or none of this instance");
        return -EINVAL;
    }
    kept.offset = kept.token = chunk->id;
    kept.meta_size = 4;
    return fn(data, &kept);
}

int weir_fake_load(struct weir_instance *i)
{
    const char *before = fake_enter(i->host, i, "load");
    int r = i->plugin->load(i->self);

    fake_leave(i->host, i, before);
    if (r > 0)
        fake_misuse(i->host, i, "load: returned %d: an error is negative", r);
    return r;
}

bool weir_fake_is_keeper(const struct weir_instance *i)
{
    return i->keeper;
}

int64_t weir_fake_kept(const struct weir_instance *i, const char *input, const char *key)
{
    for (size_t n = i->kept_count; n--;)
        if (!strcmp(i->kept[n].input, input) && !strcmp(i->kept[n].key, key))
            return (int64_t)i->kept[n].offset;
    return -1;
}

void weir_fake_cancel(struct weir_instance *i)
{
    if (i->cancel >= 0)
        eventfd_write(i->cancel, 1);
}

void weir_fake_cancel_after(struct weir_instance *i, size_t waits)
{
    atomic_store(&i->waits, waits);
}

void weir_fake_uncancel(struct weir_instance *i)
{
    eventfd_t ignored;

    atomic_store(&i->waits, SIZE_MAX);
    if (i->cancel >= 0)
        eventfd_read(i->cancel, &ignored); /* it does not block */
}

void weir_fake_set_patience(struct weir_fake *h, unsigned ms)
{
    h->patience = ms;
}

/* -- Writing -------------------------------------------------------------------------------------------- */

static int write_one(struct weir_instance *i, struct fake_written *w)
{
    const char *before;
    int result;
    bool ours; /* nobody has finished it meanwhile */

    pthread_mutex_lock(&i->host->lock);
    w->state = UNDER_WAY; /* finish may come before write has returned */
    w->attempts++;
    w->result = WEIR_LATER;
    pthread_mutex_unlock(&i->host->lock);
    before = fake_enter(i->host, i, "write");
    result = i->plugin->write(i->self, &w->api);
    fake_leave(i->host, i, before);
    if (!is_result(result, true)) {
        fake_misuse(i->host, i, "write: returned %d, which is no enum weir_result", result);
        result = WEIR_REJECTED;
    }
    if (result == WEIR_LATER)
        return result;
    pthread_mutex_lock(&i->host->lock);
    ours = w->state == UNDER_WAY;
    if (ours)
        finish(i, w, result);
    pthread_mutex_unlock(&i->host->lock);
    if (!ours)
        fake_misuse(i->host, i,
                    "finish: a chunk is finished twice: by host->finish, and by what write returned");
    return result;
}

static struct fake_written *add(struct weir_instance *i, const char *tag, const char *topic,
                                const void *records, size_t size, uint32_t count)
{
    struct fake_written *w = fake_zeroed(sizeof(*w));

    w->bytes = fake_zeroed(size ? size : 1);
    if (size)
        memcpy(w->bytes, records, size);
    w->tag = fake_copy(tag);
    w->topic = fake_copy(topic ? topic : "");
    w->api = (struct weir_chunk){.struct_size = sizeof(w->api),
                                 .records = count,
                                 .data = w->bytes,
                                 .size = size,
                                 .tag = w->tag,
                                 .topic = w->topic,
                                 .input = "fake"};
    w->result = WEIR_LATER;
    pthread_mutex_lock(&i->host->lock);
    w->api.id = ++i->host->next_id;
    i->written = fake_must(realloc(i->written, (i->written_count + 1) * sizeof(*i->written)));
    i->written[i->written_count++] = w;
    pthread_mutex_unlock(&i->host->lock);
    return w;
}

/* The oldest one in that state, or NULL. With the lock. */
static struct fake_written *oldest(struct weir_instance *i, enum state state)
{
    for (size_t k = 0; k < i->written_count; k++)
        if (i->written[k]->state == state)
            return i->written[k];
    return NULL;
}

/* Whether one is under way that was written before. With the lock. */
static bool is_repeating(const struct weir_instance *i)
{
    for (size_t k = 0; k < i->written_count; k++)
        if (i->written[k]->state == UNDER_WAY && i->written[k]->attempts > 1)
            return true;
    return false;
}

/* The next one to be written now, or NULL: as weir does, one that is written again goes alone. With the lock.
 */
static struct fake_written *next(struct weir_instance *i)
{
    struct fake_written *w = oldest(i, WAITING);

    if (!w || !oldest(i, UNDER_WAY))
        return w;
    return w->attempts || is_repeating(i) ? NULL : w;
}

size_t weir_fake_queue(struct weir_instance *i, const char *tag, const char *topic, const void *records,
                       size_t size, uint32_t count)
{
    add(i, tag, topic, records, size, count);
    return i->written_count - 1;
}

int weir_fake_write_next(struct weir_instance *i)
{
    struct fake_written *w;
    bool any;

    pthread_mutex_lock(&i->host->lock);
    w = next(i);
    any = oldest(i, WAITING) != NULL;
    pthread_mutex_unlock(&i->host->lock);
    if (w)
        return write_one(i, w);
    return any ? -EBUSY : -ENOENT;
}

int weir_fake_write(struct weir_instance *i, const char *tag, const char *topic, const void *records,
                    size_t size, uint32_t count)
{
    struct fake_written *w;
    bool behind;

    pthread_mutex_lock(&i->host->lock);
    behind = oldest(i, WAITING) != NULL;
    pthread_mutex_unlock(&i->host->lock);
    w = add(i, tag, topic, records, size, count);
    return behind ? WEIR_RETRY : write_one(i, w);
}

int weir_fake_write_lines(struct weir_instance *i, const char *tag, const char *topic, const char *text)
{
    size_t length = strlen(text);
    uint8_t *records = fake_zeroed((length + 1) * (WEIR_MAX_RECORD + 2 * WEIR_MAX_STR + 4)), *p = records;
    struct timespec now;
    uint32_t count = 0;
    int r;

    clock_gettime(CLOCK_REALTIME, &now);
    while (*text) {
        size_t size = strcspn(text, "\n");
        p = weir_put_record(p, (uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, 1);
        p = weir_put_str(p, "log", 3);
        p = weir_put_str(p, text, (uint32_t)size);
        text += size + (text[size] == '\n');
        count++;
    }
    r = weir_fake_write(i, tag, topic, records, (size_t)(p - records), count);
    free(records);
    return r;
}

/* Waits for a change until `end`. With the lock. Whether there is time left. */
static bool wait_until(struct weir_fake *h, uint64_t end)
{
    struct timespec ts = {.tv_sec = (time_t)(end / 1000000000u), .tv_nsec = (long)(end % 1000000000u)};

    return pthread_cond_timedwait(&h->changed, &h->lock, &ts) != ETIMEDOUT;
}

/* Before a chunk is written again. */
static void pause_before(const struct weir_instance *i, const struct fake_written *w)
{
    unsigned ms = w->attempts ? i->host->pause : 0;

    if (ms)
        nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * MS}, NULL);
}

void weir_fake_set_pause(struct weir_fake *h, unsigned ms)
{
    h->pause = ms;
}

bool weir_fake_settle(struct weir_instance *i, unsigned ms)
{
    struct weir_fake *h = i->host;
    uint64_t end = fake_now() + ms * (uint64_t)MS;
    bool in_time = true;

    pthread_mutex_lock(&h->lock);
    while (in_time && (oldest(i, UNDER_WAY) || oldest(i, WAITING))) {
        struct fake_written *w = next(i);
        if (!w) {
            in_time = wait_until(h, end);
            continue;
        }
        pthread_mutex_unlock(&h->lock);
        pause_before(i, w);
        write_one(i, w);
        in_time = fake_now() < end;
        pthread_mutex_lock(&h->lock);
    }
    bool all = !oldest(i, UNDER_WAY) && !oldest(i, WAITING);
    pthread_mutex_unlock(&h->lock);
    return all;
}

/* -- Looking -------------------------------------------------------------------------------------------- */

enum weir_result weir_fake_result(const struct weir_instance *i, size_t nth)
{
    pthread_mutex_lock(&i->host->lock);
    enum weir_result result = nth < i->written_count ? i->written[nth]->result : WEIR_LATER;
    pthread_mutex_unlock(&i->host->lock);
    return result;
}

unsigned weir_fake_attempts(const struct weir_instance *i, size_t nth)
{
    return nth < i->written_count ? i->written[nth]->attempts : 0;
}

size_t weir_fake_written(const struct weir_instance *i)
{
    return i->written_count;
}

uint32_t weir_fake_rejected(const struct weir_instance *i)
{
    pthread_mutex_lock(&i->host->lock);
    uint32_t rejected = i->rejected;
    pthread_mutex_unlock(&i->host->lock);
    return rejected;
}

const struct weir_fake_rejection *weir_fake_rejections(const struct weir_instance *i, size_t *ret_count)
{
    pthread_mutex_lock(&i->host->lock);
    const struct weir_fake_rejection *rejections = i->rejections;
    *ret_count = i->rejection_count;
    pthread_mutex_unlock(&i->host->lock);
    return rejections;
}

void fake_outputs_stopped(struct weir_instance *i)
{
    size_t left = 0;

    pthread_mutex_lock(&i->host->lock);
    for (size_t k = 0; k < i->written_count; k++)
        left += i->written[k]->state == UNDER_WAY;
    pthread_mutex_unlock(&i->host->lock);
    if (left)
        fake_misuse(i->host, i, "stopped: %zu chunks are not finished, and can't be after it", left);
}

void fake_outputs_finish(struct weir_instance *i)
{
    for (size_t k = 0; k < i->rejection_count; k++) {
        free(i->rejections[k].bytes);
        free(i->rejections[k].reason);
    }
    free(i->rejections);
    i->rejections = NULL;
    i->rejection_count = 0;
    for (size_t k = 0; k < i->written_count; k++) {
        struct fake_written *w = i->written[k];
        free(w->bytes);
        free(w->tag);
        free(w->topic);
        free(w);
    }
    while (i->kept_count) {
        free(i->kept[--i->kept_count].input);
        free(i->kept[i->kept_count].key);
    }
    free(i->kept);
    i->kept = NULL;
    free(i->written);
    i->written = NULL;
    i->written_count = 0;
}

void fake_outputs(struct weir_host *table)
{
    table->finish = host_finish;
    table->reject = host_reject;
    table->wait = host_wait;
    table->keep_positions = host_keep_positions;
    table->kept = host_kept;
    table->positions = host_positions;
}
