/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failures of a flight: each is judged; what is refused goes to the dead letter topic or to host->reject, in
 * runs of records that lie side by side; what is to be sent again is kept as the chunk's remainder. On the
 * thread of the last report.
 */
#include "outcome.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool outcome_is_final(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return true;
    default:
        return false;
    }
}

bool outcome_is_missing(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

/* -- Records by number -- */

void finder_init(struct finder *finder, const struct weir_chunk *chunk)
{
    weir_cursor_init(&finder->cursor, chunk->data, chunk->size);
    finder->next = 0;
}

bool finder_go(struct finder *finder, uint32_t index, struct weir_record *ret)
{
    while (finder->next <= index) {
        if (weir_cursor_next(&finder->cursor, ret) <= 0)
            return false;
        finder->next++;
    }
    return true;
}

/* -- Refused records -- */

/* How many failures from the first on are one piece of the chunk, with the same error, topic and end. */
static size_t run_length(const struct failure *first, size_t count)
{
    size_t n = 1;

    while (n < count) {
        const struct failure *next = &first[n];
        if (next->index != first->index + n || next->error != first->error || next->topic != first->topic ||
            next->fate != first->fate || next->lettered != first->lettered || next->told != first->told)
            break;
        n++;
    }
    return n;
}

static void reject_run(const struct kafka_link *link, struct weir_chunk *chunk, struct finder *finder,
                       const struct failure *run, size_t count)
{
    struct weir_record first, last;
    char reason[512];
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += run[i].size;
    snprintf(reason, sizeof(reason), "topic %s: %s (%zu bytes)%s", run->topic ? run->topic->name : "?",
             rd_kafka_err2str(run->error), size, run->lettered ? "; sent to dead_letter_topic" : "");
    if (!finder_go(finder, run[0].index, &first))
        return;
    last = first;
    if (count > 1 && !finder_go(finder, run[count - 1].index, &last))
        return;
    link->host->reject(link->instance, chunk, run->lettered ? NULL : first.data,
                       run->lettered ? 0 : (size_t)(last.data + last.size - first.data), (uint32_t)count,
                       reason);
}

void outcome_reject(const struct kafka_link *link, struct weir_chunk *chunk, const struct failure *failures,
                    size_t count)
{
    struct finder finder;
    size_t n;

    finder_init(&finder, chunk);
    for (size_t i = 0; i < count; i += n) {
        n = run_length(&failures[i], count - i);
        if (failures[i].fate == FATE_REFUSED && !failures[i].told)
            reject_run(link, chunk, &finder, &failures[i], n);
    }
}

/* -- Settling -- */

static int compare(const void *a, const void *b)
{
    const struct failure *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

static size_t judge(struct flight *flight)
{
    size_t refused = 0;

    qsort(flight->failures, flight->failure_count, sizeof(*flight->failures), compare);
    for (size_t i = 0; i < flight->failure_count; i++) {
        struct failure *failure = &flight->failures[i];
        failure->fate = flight->owner->judge(flight->owner->data, failure);
        refused += failure->fate == FATE_REFUSED;
    }
    return refused;
}

void outcome_judge(struct flight *flight)
{
    judge(flight);
}

/* Whether something of the chunk is to be sent again. Without memory to say what, all of it is. */
static bool keep_remainder(const struct flight *flight)
{
    struct remainder *remainder;
    size_t count = 0;

    for (size_t i = 0; i < flight->failure_count; i++)
        count += flight->failures[i].fate == FATE_AGAIN;
    if (count == 0 || flight->forgotten)
        return count > 0 || flight->forgotten;
    remainder = malloc(sizeof(*remainder) + count * sizeof(uint32_t));
    if (!remainder)
        return true;
    remainder->chunk = flight->chunk->id;
    remainder->count = 0;
    for (size_t i = 0; i < flight->failure_count; i++)
        if (flight->failures[i].fate == FATE_AGAIN)
            remainder->indices[remainder->count++] = flight->failures[i].index;
    flights_keep_remainder(flight->owner, remainder);
    return true;
}

bool outcome_settle(struct flight *flight, enum weir_result *ret_result)
{
    struct flights *flights = flight->owner;

    if (flight->phase == FLIGHT_MESSAGES && judge(flight) > 0 && !flight->forgotten) {
        flight->phase = FLIGHT_LETTERS;
        if (flights->hand_over(flights->data, flight))
            return false;
    }
    if (!flight->forgotten)
        outcome_reject(&flights->link, flight->chunk, flight->failures, flight->failure_count);
    *ret_result = keep_remainder(flight) ? WEIR_RETRY : WEIR_DELIVERED;
    return true;
}

void outcome_letter_failed(struct flight *flight, uint32_t index, rd_kafka_resp_err_t error)
{
    struct failure key = {.index = index};
    struct failure *failure = bsearch(&key, flight->failures, flight->failure_count, sizeof(key), compare);

    if (!failure)
        return;
    failure->lettered = false;
    if (!outcome_is_final(error))
        failure->fate = FATE_AGAIN;
}
