/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flight is a chunk on its way: how many of its messages have no delivery report yet, and which of them
 * failed. The chunk's memory is what librdkafka reads from, so it is held until the last report.
 *
 * Every message's opaque is the address of its number in the flight's `marks`, from which both the flight and
 * the number are found; so nothing is allocated for a message and nothing is looked up.
 *
 * flights_begin is for the output's thread; reports come on any thread that serves librdkafka.
 */
#ifndef OUT_KAFKA_FLIGHT_H
#define OUT_KAFKA_FLIGHT_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <weir/json.h>
#include "settings.h"
#include "topic.h"
#include "turn.h"

enum fate {
    FATE_AGAIN,  /* it is to be sent again */
    FATE_REFUSED /* the broker will never take it */
};

/* A message that was not delivered. */
struct failure {
    uint32_t index; /* of the record in its chunk */
    rd_kafka_resp_err_t error;
    enum fate fate;
    bool local;    /* librdkafka refused it before it was sent */
    bool lettered; /* the dead letter topic has it */
    bool told;     /* weir knows of it */
    size_t size;   /* of the message's value */
    struct topic *topic;
};

enum flight_phase { FLIGHT_MESSAGES, FLIGHT_LETTERS };

struct flight {
    struct flights *owner;
    struct flight *next;          /* in the pool, or in the list of who took it over */
    struct flight *older, *newer; /* of those that are under way */
    struct weir_chunk *chunk;
    atomic_uint open; /* messages without a report, and one for who still sends */
    uint32_t messages;
    enum flight_phase phase;
    /* A topic that was found unknown: what is for it is not sent either, lest it overtakes what failed. */
    _Atomic(struct topic *) missing;
    struct weir_json *texts; /* what was written for it: messages point into them */
    size_t text_count, text_capacity;
    struct failure *failures; /* under the owner's lock while reports come */
    size_t failure_count, failure_capacity;
    bool forgotten; /* a failure found no memory: the whole chunk is to be sent again */
    uint32_t capacity;
    uint32_t marks[]; /* marks[i] is i */
};

/* What is left to be sent of a chunk that was given back: the numbers of its records, going up. */
struct remainder {
    struct remainder *next; /* by id, going up */
    uint64_t chunk;
    size_t count;
    uint32_t indices[];
};

struct flights {
    struct kafka_link link;
    /* What is to be made of an error. Any thread. */
    enum fate (*judge)(void *data, const struct failure *);
    /* Takes a flight over that has refused records, for the dead letter topic; or says false. Any thread. */
    bool (*hand_over)(void *data, struct flight *);
    /*
     * Set: takes note of what a flight came to, while the chunk stays with whoever began it, and nothing is
     * judged or finished here. Any thread.
     */
    void (*landed)(void *data, struct flight *);
    /* Set with `landed`: a message has failed, while others of its flight may be on their way. Any thread. */
    void (*failed)(void *data, const struct failure *);
    /* A chunk was delivered whole. Any thread. */
    void (*delivered)(void *data);
    void *data;
    int wake; /* eventfd: readable when `waiting` was set and room was made */
    atomic_bool waiting;
    atomic_bool stuck;    /* none of what is in flight will go: nobody is to wait for room */
    atomic_long enough;   /* with more messages in flight than this, whoever waits is not woken */
    atomic_long messages; /* in all flights */
    atomic_long bytes;    /* of their chunks */
    atomic_int count;     /* flights that are not finished */
    atomic_bool moved;    /* a report has come since that was last cleared */
    struct turn turn;     /* without `landed` */

    pthread_mutex_t lock;  /* guards all below, and the flights' failures; a leaf */
    struct flight *newest; /* of those that are under way */
    struct flight *pool;
    size_t pooled;
    struct remainder *remainders;
};

int flights_init(struct flights *, struct kafka_link);
void flights_finish(struct flights *);

/*
 * Takes a chunk on board, with `messages` that are to be reported and one for the caller: call flight_release
 * in the end. NULL: no memory.
 */
struct flight *flights_begin(struct flights *, struct weir_chunk *, uint32_t messages);
/* A text that messages of the flight may point into once it is written; empty. NULL: no memory. */
struct weir_json *flight_text(struct flight *);
static inline void *flight_mark(struct flight *flight, uint32_t index)
{
    return &flight->marks[index];
}

/* A message's delivery report; topic: what it was for. Any thread. */
void flight_report(const uint32_t *mark, rd_kafka_resp_err_t, size_t size, struct topic *);
/* Notes a failure; the message stays open. */
void flight_fail(struct flight *, const struct failure *);
/* Closes that many messages; with the last one the chunk is finished. The flight must not be touched after
 * it. */
void flight_release(struct flight *, uint32_t count);
/* The producer is gone, and with it the reports that did not come: whole chunks are to be sent again. */
void flights_abandon(struct flights *);

/* What is left of the chunk; NULL: all of it. Also drops what earlier chunks left. To be freed. Output
 * thread. */
struct remainder *flights_take_remainder(struct flights *, uint64_t chunk);
/* Takes one back. */
void flights_keep_remainder(struct flights *, struct remainder *);

/*
 * Where `most` messages or more are in flight, waits until half of that are: to be woken for each chunk that
 * is delivered, to send one more, costs a tenth of the rate. 0 or -ECANCELED. Output thread.
 */
int flights_wait(struct flights *, long most);
/* Ends that wait, and each until `stuck` is false again. Any thread. */
void flights_set_stuck(struct flights *);
/* Waits, whether cancelled or not, until no flight is left, at most ms (-1: for ever). Whether none is. */
bool flights_drain(struct flights *, int ms);
/* The same, until at most so many bytes of chunks are on their way. */
bool flights_ebb(struct flights *, long bytes, int ms);
/* Waits for a report, at most ms. 0 or -ECANCELED. Output thread. */
int flights_pause(struct flights *, unsigned ms);

#endif
