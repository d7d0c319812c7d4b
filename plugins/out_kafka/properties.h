/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the user's settings to librdkafka's configuration. Control or output thread.
 */
#ifndef OUT_KAFKA_PROPERTIES_H
#define OUT_KAFKA_PROPERTIES_H

#include <librdkafka/rdkafka.h>
#include "settings.h"

struct properties {
    rd_kafka_conf_t *conf;
    long most_messages; /* that may be in flight */
    long batch_size;    /* bytes of one batch of messages */
    long
        linger_ms; /* what the user wants a message to wait for others; -1: has not said. pace.c sees to it */
    long propagation_ms; /* so long a topic may be unknown */
    long sticky_ms;      /* messages without a key keep a partition so long; 0: librdkafka chooses it */
};

/*
 * Makes a configuration, for exactly_once with a transactional.id that is still to be set right; batch_size
 * other than 0 takes the place of the user's. 0; or a negative errno and the reason in `why`, which names the
 * property and never holds a secret.
 */
int properties_make(const struct kafka_settings *, long batch_size, struct properties *ret, char *why,
                    size_t why_size);
/*
 * The configuration of a consumer with the same settings, which reads what is committed. NULL and `why`.
 */
rd_kafka_conf_t *properties_make_reader(const struct kafka_settings *, char *why, size_t why_size);

/* The brokers with commas between them, for the caller to free. NULL and `why`: one of them is no address. */
char *properties_brokers(const struct kafka_settings *, char *why, size_t why_size);

#endif
