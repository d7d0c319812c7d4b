/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks on their way: counting reports, and the pool of flights. outcome.c decides what a flight with
 * failures comes to. Any thread, as the header says.
 */
#include "flight.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "clock.h"
#include "outcome.h"

/* So many flights are kept for the next chunks; texts larger than this are not. */
#define POOL_MAX  8
#define TEXT_KEPT ((size_t)1 << 20)

int flights_init(struct flights *flights, struct kafka_link link)
{
    memset(flights, 0, sizeof(*flights));
    flights->link = link;
    atomic_init(&flights->enough, LONG_MAX);
    flights->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (flights->wake < 0)
        return -errno;
    pthread_mutex_init(&flights->lock, NULL);
    return 0;
}

static void free_flight(struct flight *flight)
{
    for (size_t i = 0; i < flight->text_capacity; i++)
        weir_json_finish(&flight->texts[i]);
    free(flight->texts);
    free(flight->failures);
    free(flight);
}

void flights_finish(struct flights *flights)
{
    struct flight *flight;
    struct remainder *remainder;

    while ((flight = flights->pool)) {
        flights->pool = flight->next;
        free_flight(flight);
    }
    while ((remainder = flights->remainders)) {
        flights->remainders = remainder->next;
        free(remainder);
    }
    close(flights->wake);
    pthread_mutex_destroy(&flights->lock);
}

/* -- The pool -- */

static struct flight *make_flight(uint32_t capacity)
{
    struct flight *flight;

    capacity = capacity < 1024 ? 1024 : capacity;
    flight = malloc(sizeof(*flight) + capacity * sizeof(uint32_t));
    if (!flight)
        return NULL;
    memset(flight, 0, sizeof(*flight));
    flight->capacity = capacity;
    for (uint32_t i = 0; i < capacity; i++)
        flight->marks[i] = i;
    return flight;
}

/* Lock held. */
static void link_flight(struct flights *flights, struct flight *flight)
{
    flight->newer = NULL;
    flight->older = flights->newest;
    if (flight->older)
        flight->older->newer = flight;
    flights->newest = flight;
}

/* Lock held. */
static void unlink_flight(struct flights *flights, const struct flight *flight)
{
    if (flight->older)
        flight->older->newer = flight->newer;
    if (flight->newer)
        flight->newer->older = flight->older;
    else
        flights->newest = flight->older;
}

static struct flight *take_pooled(struct flights *flights, uint32_t capacity)
{
    struct flight *flight;

    pthread_mutex_lock(&flights->lock);
    flight = flights->pool;
    if (flight) {
        flights->pool = flight->next;
        flights->pooled--;
    }
    pthread_mutex_unlock(&flights->lock);
    if (flight && flight->capacity < capacity) {
        free_flight(flight);
        flight = NULL;
    }
    return flight;
}

static void give_back(struct flights *flights, struct flight *flight)
{
    bool kept;

    for (size_t i = 0; i < flight->text_count; i++) {
        flight->texts[i].size = 0;
        if (flight->texts[i].capacity > TEXT_KEPT)
            weir_json_finish(&flight->texts[i]);
    }
    pthread_mutex_lock(&flights->lock);
    unlink_flight(flights, flight);
    kept = flights->pooled < POOL_MAX;
    if (kept) {
        flight->next = flights->pool;
        flights->pool = flight;
        flights->pooled++;
    }
    pthread_mutex_unlock(&flights->lock);
    if (!kept)
        free_flight(flight);
}

struct flight *flights_begin(struct flights *flights, struct weir_chunk *chunk, uint32_t messages)
{
    struct flight *flight = take_pooled(flights, chunk->records);

    if (!flight)
        flight = make_flight(chunk->records);
    if (!flight)
        return NULL;
    flight->owner = flights;
    flight->chunk = chunk;
    flight->messages = messages;
    flight->phase = FLIGHT_MESSAGES;
    atomic_store_explicit(&flight->missing, NULL, memory_order_relaxed);
    flight->text_count = 0;
    flight->failure_count = 0;
    flight->forgotten = false;
    atomic_store_explicit(&flight->open, messages + 1, memory_order_relaxed);
    atomic_fetch_add(&flights->messages, (long)messages);
    atomic_fetch_add(&flights->bytes, (long)chunk->size);
    atomic_fetch_add(&flights->count, 1);
    pthread_mutex_lock(&flights->lock);
    link_flight(flights, flight);
    pthread_mutex_unlock(&flights->lock);
    return flight;
}

struct weir_json *flight_text(struct flight *flight)
{
    if (flight->text_count == flight->text_capacity) {
        size_t capacity = flight->text_capacity ? flight->text_capacity * 2 : 8;
        struct weir_json *texts = realloc(flight->texts, capacity * sizeof(*texts));
        if (!texts)
            return NULL;
        memset(texts + flight->text_capacity, 0, (capacity - flight->text_capacity) * sizeof(*texts));
        flight->texts = texts;
        flight->text_capacity = capacity;
    }
    return &flight->texts[flight->text_count++];
}

/* -- Reports -- */

static struct flight *flight_of(const uint32_t *mark)
{
    return (struct flight *)(uintptr_t)((const char *)(mark - *mark) - offsetof(struct flight, marks));
}

/* Written to only where it changes: the line is shared by threads. */
static void note_known(struct topic *topic)
{
    if (!atomic_load_explicit(&topic->known, memory_order_relaxed))
        atomic_store(&topic->known, true);
    if (atomic_load_explicit(&topic->missing_since, memory_order_relaxed))
        atomic_store(&topic->missing_since, 0);
}

void flight_report(const uint32_t *mark, rd_kafka_resp_err_t error, size_t size, struct topic *topic)
{
    struct flight *flight = flight_of(mark);
    struct flights *flights = flight->owner;

    if (!atomic_load_explicit(&flights->moved, memory_order_relaxed))
        atomic_store_explicit(&flights->moved, true, memory_order_relaxed);
    if (__builtin_expect(error != RD_KAFKA_RESP_ERR_NO_ERROR, 0))
        flight_fail(flight, &(struct failure){.index = *mark, .error = error, .size = size, .topic = topic});
    else if (topic) /* not of positions, to which somebody sends records as well */
        note_known(topic);
    flight_release(flight, 1);
}

static struct failure *add_failure(struct flight *flight)
{
    if (flight->failure_count == flight->failure_capacity) {
        size_t capacity = flight->failure_capacity ? flight->failure_capacity * 2 : 64;
        struct failure *failures = realloc(flight->failures, capacity * sizeof(*failures));
        if (!failures)
            return NULL;
        flight->failures = failures;
        flight->failure_capacity = capacity;
    }
    return &flight->failures[flight->failure_count++];
}

void flight_fail(struct flight *flight, const struct failure *failure)
{
    struct failure *place;

    if (outcome_is_missing(failure->error))
        atomic_store(&flight->missing, failure->topic);
    pthread_mutex_lock(&flight->owner->lock);
    if (flight->phase == FLIGHT_LETTERS) {
        outcome_letter_failed(flight, failure->index, failure->error);
    } else {
        place = add_failure(flight);
        if (place)
            *place = *failure;
        else
            flight->forgotten = true;
    }
    pthread_mutex_unlock(&flight->owner->lock);
    if (flight->owner->failed)
        flight->owner->failed(flight->owner->data, failure);
}

static void wake(struct flights *flights)
{
    uint64_t one = 1;

    if (atomic_load(&flights->messages) > atomic_load(&flights->enough) && !atomic_load(&flights->stuck))
        return;
    if (atomic_exchange(&flights->waiting, false))
        while (write(flights->wake, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
}

/* The chunk's memory and the flight are gone after this. */
static void finish(struct flight *flight, enum weir_result result)
{
    struct flights *flights = flight->owner;
    struct weir_chunk *chunk = flight->chunk;
    long messages = (long)flight->messages, bytes = (long)chunk->size;

    if (result == WEIR_DELIVERED && flight->failure_count == 0) {
        if (messages)
            flights->delivered(flights->data);
    }
    give_back(flights, flight);
    if (!flights->landed && result == WEIR_RETRY)
        turn_give_back(&flights->turn, chunk->id);
    if (!flights->landed)
        flights->link.host->finish(flights->link.instance, chunk, result);
    atomic_fetch_sub(&flights->messages, messages);
    atomic_fetch_sub(&flights->bytes, bytes);
    atomic_fetch_sub(&flights->count, 1);
    wake(flights);
}

void flight_release(struct flight *flight, uint32_t count)
{
    enum weir_result result = WEIR_DELIVERED;

    if (atomic_fetch_sub_explicit(&flight->open, count, memory_order_acq_rel) != count)
        return;
    if (flight->owner->landed) {
        flight->owner->landed(flight->owner->data, flight);
    } else if (flight->failure_count || flight->forgotten) {
        if (!outcome_settle(flight, &result))
            return;
    }
    finish(flight, result);
}

void flights_abandon(struct flights *flights)
{
    struct flight *flight;

    do {
        pthread_mutex_lock(&flights->lock);
        flight = flights->newest;
        if (flight)
            flight->forgotten = true;
        pthread_mutex_unlock(&flights->lock);
        if (flight)
            flight_release(flight, atomic_load(&flight->open));
    } while (flight);
}

/* -- Waiting -- */

static void clear_wake(struct flights *flights)
{
    uint64_t count;

    while (read(flights->wake, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
}

static bool is_crowded(struct flights *flights, long enough)
{
    return atomic_load(&flights->messages) > enough && !atomic_load(&flights->stuck);
}

int flights_wait(struct flights *flights, long most)
{
    const long enough = most / 2;
    int rc = 0;

    if (atomic_load(&flights->messages) < most)
        return 0;
    atomic_store(&flights->enough, enough);
    while (rc == 0 && is_crowded(flights, enough)) {
        atomic_store(&flights->waiting, true);
        if (is_crowded(flights, enough))
            rc = flights->link.host->wait(flights->link.instance, flights->wake, POLLIN, UINT64_MAX);
        clear_wake(flights);
    }
    atomic_store(&flights->enough, LONG_MAX);
    return rc;
}

void flights_set_stuck(struct flights *flights)
{
    atomic_store(&flights->stuck, true);
    wake(flights);
}

int flights_pause(struct flights *flights, unsigned ms)
{
    int rc;

    atomic_store(&flights->waiting, true);
    rc = flights->link.host->wait(flights->link.instance, flights->wake, POLLIN, ms * (uint64_t)1000000);
    clear_wake(flights);
    return rc == -ETIMEDOUT ? 0 : rc;
}

bool flights_ebb(struct flights *flights, long bytes, int ms)
{
    int64_t end = clock_ns() / 1000000 + ms;

    while (atomic_load(&flights->count) > 0 && atomic_load(&flights->bytes) > bytes) {
        struct pollfd item = {.fd = flights->wake, .events = POLLIN};
        int64_t left = end - clock_ns() / 1000000;
        if (ms >= 0 && left <= 0)
            return false;
        atomic_store(&flights->waiting, true);
        if (atomic_load(&flights->count) > 0 && atomic_load(&flights->bytes) > bytes)
            poll(&item, 1, ms < 0 ? -1 : (int)left);
        clear_wake(flights);
    }
    return true;
}

bool flights_drain(struct flights *flights, int ms)
{
    return flights_ebb(flights, -1, ms);
}

/* -- What is left of chunks that were given back -- */

struct remainder *flights_take_remainder(struct flights *flights, uint64_t chunk)
{
    struct remainder *found = NULL;

    pthread_mutex_lock(&flights->lock);
    while (!found && flights->remainders && flights->remainders->chunk <= chunk) {
        struct remainder *first = flights->remainders;
        flights->remainders = first->next;
        if (first->chunk == chunk)
            found = first;
        else
            free(first);
    }
    pthread_mutex_unlock(&flights->lock);
    return found;
}

void flights_keep_remainder(struct flights *flights, struct remainder *remainder)
{
    struct remainder **at = &flights->remainders;

    pthread_mutex_lock(&flights->lock);
    while (*at && (*at)->chunk < remainder->chunk)
        at = &(*at)->next;
    remainder->next = *at;
    *at = remainder;
    pthread_mutex_unlock(&flights->lock);
}
