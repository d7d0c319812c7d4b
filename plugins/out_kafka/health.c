/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says how it stands with Kafka, without filling the log. Any thread.
 */
#include "health.h"
#include "clock.h"

static const int64_t SECOND = 1000000000;
/* Longer than librdkafka takes between two attempts at what fails. */
static const int64_t QUIET = 3000000000;

void health_init(struct health *health, struct kafka_link link)
{
    health->link = link;
    atomic_init(&health->troubled, false);
    health->since = health->last_failure = health->last_line = 0;
    health->unsaid = 0;
    pthread_mutex_init(&health->lock, NULL);
}

void health_finish(struct health *health)
{
    pthread_mutex_destroy(&health->lock);
}

static void say(struct health *health, int64_t t, bool first, const char *what)
{
    const struct weir_host *host = health->link.host;
    struct weir_instance *instance = health->link.instance;

    if (first)
        host->log(instance, WEIR_LOG_WARN, "%s; nothing is lost, it is tried again until it works", what);
    else
        host->log(instance, WEIR_LOG_WARN,
                  "still not delivered after %lld s (%u failures since the last line): %s",
                  (long long)((t - health->since) / SECOND), health->unsaid, what);
    host->error(instance, "%s", what);
    health->last_line = t;
    health->unsaid = 0;
}

void health_failed(struct health *health, const char *what)
{
    int64_t t = clock_ns();
    bool first;

    pthread_mutex_lock(&health->lock);
    first = !atomic_load(&health->troubled);
    if (first) {
        health->since = t;
        atomic_store(&health->troubled, true);
    }
    health->unsaid++;
    health->last_failure = t;
    if (first || t - health->last_line >= 60 * SECOND)
        say(health, t, first, what);
    pthread_mutex_unlock(&health->lock);
}

/* The lock is held. */
static void recover(struct health *health, const char *what)
{
    if (!atomic_exchange(&health->troubled, false))
        return;
    health->link.host->log(health->link.instance, WEIR_LOG_INFO, "%s, after %lld s", what,
                           (long long)((clock_ns() - health->since) / SECOND));
    health->link.host->error(health->link.instance, NULL);
}

void health_delivered(struct health *health)
{
    if (!atomic_load_explicit(&health->troubled, memory_order_relaxed))
        return;
    pthread_mutex_lock(&health->lock);
    recover(health, "messages are delivered again");
    pthread_mutex_unlock(&health->lock);
}

void health_idle(struct health *health)
{
    if (!atomic_load_explicit(&health->troubled, memory_order_relaxed))
        return;
    pthread_mutex_lock(&health->lock);
    if (clock_ns() - health->last_failure >= QUIET)
        recover(health, "Kafka can be reached again");
    pthread_mutex_unlock(&health->lock);
}
