/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a start, and who owns the id. Nothing here blocks for long without asking whether it is
 * cancelled. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <weir/kill_point.h>
#include "ledger_private.h"

static const uint64_t PAUSE_NS = 100000000;

int ledger_fail(struct ledger *ledger, int r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(ledger->why, sizeof(ledger->why), format, args);
    va_end(args);
    return r;
}

bool ledger_is_cancelled(const struct ledger *ledger)
{
    return ledger->link.host->wait(ledger->link.instance, -1, 0, 0) == -ECANCELED;
}

int ledger_rest(const struct ledger *ledger)
{
    return ledger->link.host->wait(ledger->link.instance, -1, 0, PAUSE_NS) == -ECANCELED ? -ECANCELED : 0;
}

void ledger_init(struct ledger *ledger, struct kafka_link link, const struct kafka_settings *settings,
                 struct health *health)
{
    uint64_t bits[2] = {0};

    memset(ledger, 0, sizeof(*ledger));
    ledger->link = link;
    ledger->settings = settings;
    ledger->health = health;
    if (getrandom(bits, sizeof(bits), 0) != sizeof(bits))
        bits[0] = (uint64_t)(uintptr_t)ledger ^ (uint64_t)getpid();
    snprintf(ledger->owner, sizeof(ledger->owner), "%016llx%016llx", (unsigned long long)bits[0],
             (unsigned long long)bits[1]);
}

void ledger_release(struct ledger *ledger)
{
    if (ledger->topic)
        rd_kafka_topic_destroy(ledger->topic);
    ledger->topic = NULL;
}

void ledger_finish(struct ledger *ledger)
{
    ledger_release(ledger);
    claim_finish(&ledger->claim);
}

int ledger_open(struct ledger *ledger, const char *data_dir, const char *alias)
{
    const struct kafka_settings *settings = ledger->settings;
    char why[512];
    int r = claim_open(&ledger->claim, data_dir, alias, settings->transactional_id, settings->positions_topic,
                       why, sizeof(why));

    return r ? ledger_fail(ledger, r, "the transactional id can't be kept: %s", why) : 0;
}

/* -- Transactions' errors -- */

/* Frees the error. What is no answer of a broker, or one for now, is tried again with the same producer. */
static int classify(struct ledger *ledger, rd_kafka_error_t *error, const char *doing)
{
    int code = rd_kafka_error_code(error);
    int r = -EPIPE;

    ledger_fail(ledger, r, "%s: %s", doing, rd_kafka_error_string(error));
    if (rd_kafka_error_is_retriable(error))
        r = -EAGAIN;
    else if (code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
        r = -ENOTSUP;
    rd_kafka_error_destroy(error);
    return r;
}

static int init_transactions(struct ledger *ledger, rd_kafka_t *rk)
{
    rd_kafka_error_t *error;
    int r;

    while ((error = rd_kafka_init_transactions(rk, LEDGER_SLICE_MS))) {
        bool timed_out = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__TIMED_OUT;
        r = classify(ledger, error, "transactions can't be begun with");
        if (r != -EAGAIN)
            return r;
        if (!timed_out)
            health_failed(ledger->health, ledger->why);
        if (ledger_rest(ledger))
            return -ECANCELED;
    }
    return 0;
}

/* -- Owning -- */

int ledger_refuse_vanished(struct ledger *ledger, const char *what)
{
    return ledger_fail(
        ledger, -ENODATA,
        "positions were committed under transactional id %s, but positions_topic %s %s: where reading is "
        "to go on is not known, and weir does not guess. Bring the topic back; or, to go on from the local "
        "checkpoints (lines may come twice), remove the file %s",
        ledger->claim.id, ledger->settings->positions_topic, what, ledger->claim.path);
}

static int taken(struct ledger *ledger, const struct kept_table *table)
{
    return ledger_fail(ledger, -ESTALE, "transactional id %s is used by another weir now: %s",
                       ledger->claim.id, table->where);
}

static int check_owner(struct ledger *ledger, const struct kept_table *table)
{
    if (!table->owned)
        return ledger->claim.used ? ledger_refuse_vanished(ledger, "holds nothing of it") : 0;
    if (table->partitions != ledger->partitions)
        return ledger_fail(
            ledger, -EINVAL,
            "positions_topic %s had %d partitions and has %d now, so positions are not where they are looked "
            "for: make it anew with as many as it had, or name another topic",
            ledger->settings->positions_topic, table->partitions, ledger->partitions);
    return ledger->owned && strcmp(table->owner, ledger->owner) != 0 ? taken(ledger, table) : 0;
}

static int commit(struct ledger *ledger, rd_kafka_t *rk)
{
    rd_kafka_error_t *error;
    int r;

    while ((error = rd_kafka_commit_transaction(rk, LEDGER_SLICE_MS))) {
        r = classify(ledger, error, "the transaction of its owner can't be committed");
        if (r != -EAGAIN)
            return r;
        if (ledger_is_cancelled(ledger))
            return -ECANCELED;
    }
    return 0;
}

/* Writes who owns the id from now on. */
static int own(struct ledger *ledger, rd_kafka_t *rk)
{
    char host[128] = "", where[192], why[512];
    struct weir_json text = {0};
    rd_kafka_error_t *error;
    int r = 0;

    gethostname(host, sizeof(host) - 1);
    snprintf(where, sizeof(where), "%s, process %ld", host, (long)getpid());
    error = rd_kafka_begin_transaction(rk);
    if (error)
        return classify(ledger, error, "no transaction can be begun");
    if (kept_write_owner(&text, ledger->owner, ledger->partitions, where))
        r = -EAGAIN;
    else if (ledger_put(ledger, ledger->claim.id, strlen(ledger->claim.id), text.data, text.size))
        r = ledger_fail(ledger, -EPIPE, "positions_topic %s can't be written",
                        ledger->settings->positions_topic);
    weir_json_finish(&text);
    r = r ? r : commit(ledger, rk);
    if (r)
        return r;
    ledger->owned = true;
    WEIR_KILL_POINT("kafka-owner");
    /* Not before: a kill in between must not leave a note of what never was. */
    if (claim_use(&ledger->claim, why, sizeof(why)))
        return ledger_fail(ledger, -EIO, "that positions are kept by Kafka can't be noted: %s", why);
    return 0;
}

int ledger_load(struct ledger *ledger, rd_kafka_t *rk, struct kept_table *table)
{
    int r = init_transactions(ledger, rk);

    WEIR_KILL_POINT("kafka-starting");
    if (!r)
        r = ledger_find_topic(ledger, rk);
    if (!r)
        r = ledger_read(ledger, rk, table);
    if (!r)
        r = check_owner(ledger, table);
    return r ? r : own(ledger, rk);
}

int ledger_is_owner(struct ledger *ledger, rd_kafka_t *rk)
{
    struct kept_table table;
    int r;

    kept_init(&table, ledger->claim.id);
    r = ledger_read(ledger, rk, &table);
    if (!r && table.owned && strcmp(table.owner, ledger->owner) != 0)
        r = taken(ledger, &table);
    kept_finish(&table);
    return r;
}

rd_kafka_resp_err_t ledger_put(const struct ledger *ledger, const void *key, size_t key_size,
                               const void *value, size_t value_size)
{
    if (rd_kafka_produce(ledger->topic, ledger->partition, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)value,
                         value_size, key, key_size, NULL) == 0)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    return rd_kafka_last_error();
}
