/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where every byte of a file is, and how long the oldest has waited. Bytes that are given up count as such
 * once the position behind them is committed, and are in flight until then, like all others. Loop thread.
 */
#include "account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "clock.h"
#include "file.h"
#include "packed.h"

enum { GAPS_MAX = 4096 }; /* then the last ones are one: they count as given up a little later */
static const uint64_t SAMPLE_EVERY = 1000000000; /* ns */

uint64_t tail_account_now(void)
{
    return tail_now(CLOCK_MONOTONIC_COARSE);
}

static uint64_t committed(const struct tail_file *file)
{
    struct weir_stream_state state = {.struct_size = sizeof(state)};
    file->tail->host->stream_state(file->stream, &state);
    return state.committed;
}

void tail_account_finish(struct tail_account *account)
{
    free(account->gaps);
    free(account->samples);
}

void tail_account_reset(struct tail_file *file)
{
    struct tail_account *account = &file->account;
    account->abandoned = 0;
    account->gap_count = 0;
    account->sample_count = 0;
}

/* -- Given up ------------------------------------------------------------------------------------------- */

void tail_account_count(struct tail_instance *tail, enum tail_reason reason, uint64_t bytes)
{
    tail_count(tail, TAIL_ABANDONED + reason, bytes);
}

/* Those that are committed by now are a sum. */
static void settle_gaps(struct tail_account *account, uint64_t committed)
{
    unsigned done = 0;
    while (done < account->gap_count && account->gaps[done].offset <= committed) {
        account->abandoned += account->gaps[done++].bytes;
    }
    account->gap_count = (uint16_t)(account->gap_count - done);
    if (done && account->gap_count) {
        memmove(account->gaps, account->gaps + done, account->gap_count * sizeof(*account->gaps));
    }
}

/* False: they are as many as there may be, or there is no memory. */
static bool room_for_gap(struct tail_account *account)
{
    if (account->gap_count < account->gap_room) {
        return true;
    }
    unsigned room = account->gap_room ? account->gap_room * 2u : 4;
    struct tail_gap *gaps = room <= GAPS_MAX ? realloc(account->gaps, room * sizeof(*gaps)) : NULL;
    if (!gaps) {
        return false;
    }
    account->gaps = gaps;
    account->gap_room = (uint16_t)room;
    return true;
}

void tail_account_abandon(struct tail_file *file, uint64_t offset, uint64_t bytes, enum tail_reason reason)
{
    struct tail_account *account = &file->account;
    tail_account_count(file->tail, reason, bytes);
    if (account->gap_count == account->gap_room) {
        settle_gaps(account, committed(file));
    }
    if (room_for_gap(account)) {
        account->gaps[account->gap_count++] = (struct tail_gap){offset, bytes};
    } else if (account->gap_count) {
        struct tail_gap *last = &account->gaps[account->gap_count - 1];
        last->offset = offset;
        last->bytes += bytes;
    }
}

/* -- How long ------------------------------------------------------------------------------------------- */

static struct tail_sample *samples_of(struct tail_account *account)
{
    return account->samples ? account->samples : &account->only;
}

/* Those that are committed tell nothing more, but the last of them: what is not came after it. */
static void drop_samples(struct tail_account *account, uint64_t committed)
{
    struct tail_sample *samples = samples_of(account);
    unsigned done = 0;
    while (done + 1 < account->sample_count && samples[done + 1].end <= committed) {
        done++;
    }
    account->sample_count = (uint16_t)(account->sample_count - done);
    if (done) {
        memmove(samples, samples + done, account->sample_count * sizeof(*samples));
    }
}

/* Drops the one between the two that are closest in time. */
static void thin_samples(struct tail_account *account)
{
    unsigned which = 1;
    for (unsigned i = 2; i + 1 < account->sample_count; i++) {
        uint64_t span = account->samples[i + 1].time - account->samples[i - 1].time;
        which = span < account->samples[which + 1].time - account->samples[which - 1].time ? i : which;
    }
    account->sample_count--;
    memmove(account->samples + which, account->samples + which + 1,
            (account->sample_count - which) * sizeof(*account->samples));
}

/* False: no memory. What comes then counts as having come with the next one. */
static bool room_for_sample(struct tail_account *account)
{
    unsigned room = account->samples ? account->sample_room : 1;
    if (account->sample_count < room) {
        return true;
    }
    struct tail_sample *samples = reallocarray(account->samples, room + 1, sizeof(*samples));
    if (!samples) {
        return false;
    }
    if (!account->samples) {
        samples[0] = account->only;
    }
    account->samples = samples;
    account->sample_room = (uint16_t)(room + 1);
    return true;
}

void tail_account_sample(struct tail_file *file, uint64_t end)
{
    struct tail_account *account = &file->account;
    const struct tail_sample *last =
        account->sample_count ? &samples_of(account)[account->sample_count - 1] : NULL;
    if (last && (end <= last->end || account->news < last->time + SAMPLE_EVERY)) {
        return;
    }
    drop_samples(account, committed(file));
    if (account->sample_count == TAIL_SAMPLES) {
        thin_samples(account);
    }
    if (!room_for_sample(account)) {
        return;
    }
    samples_of(account)[account->sample_count++] = (struct tail_sample){end, account->news};
}

static uint64_t waiting_since(struct tail_file *file, uint64_t committed, uint64_t now)
{
    struct tail_account *account = &file->account;
    const struct tail_sample *samples = samples_of(account);
    if (!file->packed && file->size <= committed && tail_list_empty(&file->ready)) {
        return now; /* only this look has found something: its notice has not come yet */
    }
    for (unsigned i = 0; i < account->sample_count; i++) {
        if (samples[i].end > committed) {
            return samples[i].time;
        }
    }
    if (account->sample_count && file->offset > committed) {
        return samples[account->sample_count - 1].time; /* within a second after it */
    }
    return account->news;
}

void tail_account_figures(struct tail_file *file, bool look, struct tail_figures *ret)
{
    struct stat s;
    uint64_t size = file->size, now = tail_account_now(), done = committed(file);
    settle_gaps(&file->account, done);
    drop_samples(&file->account, done);
    if (file->packed) {
        size = tail_packed_size(file);
    } else if ((look || !tail_list_empty(&file->ready)) && fstat(file->fd, &s) == 0) {
        size = (uint64_t)s.st_size;
    }
    size = size > file->offset ? size
                               : file->offset; /* truncated: what was there is counted until that is seen */
    bool unfinished = file->scanned > 0 && file->offset + file->scanned >= size;
    uint64_t end = unfinished ? file->offset : size;
    *ret = (struct tail_figures){.size = size, .read = file->offset, .committed = done};
    ret->abandoned = file->account.abandoned < done ? file->account.abandoned : done;
    ret->delivered = done - ret->abandoned;
    ret->lag = end > done ? end - done : 0;
    if (ret->lag) {
        uint64_t since = waiting_since(file, done, now);
        ret->wait = now > since ? now - since : 0;
    }
}
