/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead letters: sends what a broker refused to another topic, on a thread of its own that sleeps until there
 * is something. That thread is needed since refusals are learnt where reports are served: to wait there for
 * room in librdkafka would be for ever.
 */
#ifndef OUT_KAFKA_LETTER_H
#define OUT_KAFKA_LETTER_H

#include <pthread.h>
#include "flight.h"
#include "message.h"

struct letters {
    const struct kafka_settings *settings;
    struct message_maker maker;
    struct topic *topic; /* of the dead letters */
    rd_kafka_topic_t *handle;
    rd_kafka_t *rk;
    struct pace *pace; /* to be set before the first flight is taken */
    pthread_t thread;
    bool running;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct flight *first, **last;
    bool ending, cancelled;
};

/* Nothing is done without a dead_letter_topic. 0, or -ENOMEM. Output thread. */
int letters_init(struct letters *, const struct kafka_settings *);
/* The producer (NULL: none) and the topic to use; no flight may be under way. Output thread. 0 or -errno. */
int letters_use(struct letters *, rd_kafka_t *, struct topic *);
/* From now on refused records are given back, to be sent again in another life. */
void letters_cancel(struct letters *);
/* Ends the thread once its list is empty. From then on nothing is taken over. */
void letters_stop(struct letters *);
void letters_finish(struct letters *);

/* What goes with a letter: error, topic, tag and input of the refused record. NULL: no memory. Any thread. */
rd_kafka_headers_t *letter_headers(const struct weir_chunk *, const struct failure *);

/* Takes over a flight with refused records; false: there is no topic for them. Any thread. */
bool letters_take(struct letters *, struct flight *);

#endif
