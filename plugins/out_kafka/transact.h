/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions: which chunks are in the one that is open, when it is committed, and what becomes of them.
 *
 *   IDLE --(a chunk)--> OPEN --(interval, size, or nothing more comes)--> COMMITTING --> IDLE
 *                                       COMMITTING --(uncertain, or fatal)--> BROKEN --(transact_use)--> IDLE
 *
 * The output's thread opens it and sends chunks; a thread of this file commits and finishes them. Where a
 * transaction is aborted, its chunks go back as WEIR_RETRY, and come again in order; records that a broker
 * refused are remembered by chunk and left out then. Where it is not certain what became of it, they go back
 * as well, and when the positions have been read again weir itself drops those that are there.
 */
#ifndef OUT_KAFKA_TRANSACT_H
#define OUT_KAFKA_TRANSACT_H

#include <pthread.h>
#include "flight.h"
#include "gap.h"
#include "health.h"
#include "ledger.h"
#include "message.h"
#include "producer.h"
#include "refused.h"
#include "turn.h"

enum transact_state { TRANSACT_IDLE, TRANSACT_OPEN, TRANSACT_COMMITTING, TRANSACT_BROKEN };

struct transact {
    struct kafka_link link;
    const struct kafka_settings *settings;
    struct flights *flights;
    struct health *health;
    struct producer *producer;
    struct ledger *ledger;
    struct message_maker maker; /* of dead letters */
    struct weir_metric *committed, *aborted;
    pthread_t thread;
    bool running;
    int wake; /* eventfd: readable when the writer is to look again */
    struct turn turn;

    pthread_mutex_t lock; /* guards all below; a leaf */
    pthread_cond_t changed;
    enum transact_state state;
    struct weir_chunk **chunks; /* of the transaction, in order */
    size_t count, capacity;
    uint64_t bytes;  /* of their records */
    uint64_t limit;  /* with so many it is committed; lower than the setting once inputs had to wait for it */
    uint64_t sent;   /* chunks ever: whether something came */
    size_t whole;    /* so many of the first chunks were gone through to their ends */
    int64_t due;     /* ns */
    int64_t ended;   /* ns; when the last one was; 0: none */
    int64_t behind;  /* ns; how long after that this one began */
    struct gap gap;  /* between the two */
    bool writing;    /* a chunk is being handed to librdkafka */
    bool asleep;     /* the thread waits without a time */
    bool again;      /* something of it failed: it is to be aborted */
    bool shut_out;   /* BROKEN: another producer may have taken the id */
    bool no_letters; /* the dead letter topic takes nothing */
    bool ending, cancelled;
    struct refusals refusals;
    char why[512]; /* BROKEN */
};

int transact_init(struct transact *, struct kafka_link, const struct kafka_settings *);
void transact_finish(struct transact *);

/* A producer that may begin transactions is there. 0 or -errno. Output thread, as all but transact_landed. */
int transact_use(struct transact *);
/* Gives up what is open; the chunks go back. The producer may be ended then. */
void transact_stop(struct transact *, bool cancelled);

/*
 * Before a chunk is sent: waits for its place. 0: send it, leaving out what *ret_rest (to be freed) does not
 * name where it is not NULL, then call transact_leave; -EPIPE: BROKEN; -EAGAIN: not before others that were
 * given back; -ECANCELED; -ENOMEM.
 */
int transact_enter(struct transact *, struct weir_chunk *, struct remainder **ret_rest, bool *ret_repeated);
/* Whole: each of its records was made a message, or rejected. */
void transact_leave(struct transact *, bool sent, bool whole);
/* Whether it is BROKEN and nothing is under way any more; why, and whether by another producer. */
bool transact_is_broken(struct transact *, char *why, size_t why_size, bool *ret_shut_out);
/* It is to be built anew, once what is open is through. */
void transact_break(struct transact *, const char *why);

/* flights->landed, flights->failed. */
void transact_landed(void *data, struct flight *);
void transact_failed(void *data, const struct failure *);

#endif
