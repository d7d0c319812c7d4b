/* SPDX-License-Identifier: Apache-2.0 */
/* Log, errors and metrics of the fake host. Any thread, under the host's lock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "private.h"

enum { MOST_LINES = 4096 }; /* the oldest go first: a plugin that is run for long may log much */

struct fake_line {
    struct fake_line *next;
    char *text;
};

struct weir_metric {
    struct weir_metric *next;
    struct weir_instance *instance;
    char *name, *label;
    _Atomic int64_t value;
};

static char *format_text(const char *format, va_list args)
{
    char *text;

    return fake_must(vasprintf(&text, format, args) < 0 ? NULL : text);
}

static void add_line(struct weir_fake *h, const char *kind, const char *format, va_list args)
{
    struct fake_line *line = fake_zeroed(sizeof(*line)), **at = &h->lines;
    char *text = format_text(format, args);
    size_t count = 0;

    if (asprintf(&line->text, "%s %s", kind, text) < 0)
        fake_must(NULL);
    free(text);
    if (getenv("FAKE_HOST_LOG"))
        fprintf(stderr, "%s\n", line->text);
    pthread_mutex_lock(&h->lock);
    for (; *at; at = &(*at)->next)
        count++;
    *at = line;
    if (count >= MOST_LINES) {
        struct fake_line *oldest = h->lines;
        h->lines = oldest->next;
        free(oldest->text);
        free(oldest);
    }
    pthread_mutex_unlock(&h->lock);
}

static void host_log(struct weir_instance *i, enum weir_log_level level, const char *format, ...)
{
    static const char *const names[] = {"", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
    va_list args;

    if (!fake_is_there(i, "log"))
        return;
    if ((int)level < WEIR_LOG_ERROR || level > WEIR_LOG_TRACE) {
        fake_misuse(i->host, i, "log: %d is no level", (int)level);
        return;
    }
    va_start(args, format);
    add_line(i->host, names[level], format, args);
    va_end(args);
}

static bool host_log_enabled(struct weir_instance *i, enum weir_log_level level)
{
    (void)level;
    return fake_is_there(i, "log_enabled");
}

static void host_error(struct weir_instance *i, const char *format, ...)
{
    va_list args;
    char *text = NULL;

    if (!fake_is_there(i, "error"))
        return;
    if (format) {
        va_start(args, format);
        text = format_text(format, args);
        va_end(args);
    }
    pthread_mutex_lock(&i->host->lock);
    free(i->host->error);
    i->host->error = text;
    pthread_mutex_unlock(&i->host->lock);
}

static void host_fail(struct weir_instance *i, const char *format, ...)
{
    va_list args;

    if (!fake_is_there(i, "fail"))
        return;
    va_start(args, format);
    add_line(i->host, "FAIL", format, args);
    va_end(args);
}

const char *weir_fake_error(struct weir_fake *h)
{
    return h->error ? h->error : "";
}

size_t weir_fake_logged(struct weir_fake *h, const char *text)
{
    size_t count = 0;

    pthread_mutex_lock(&h->lock);
    for (const struct fake_line *line = h->lines; line; line = line->next)
        count += strstr(line->text, text) != NULL;
    pthread_mutex_unlock(&h->lock);
    return count;
}

char *weir_fake_log(struct weir_fake *h)
{
    char *text = NULL;
    size_t size;
    FILE *file = fake_must(open_memstream(&text, &size));

    pthread_mutex_lock(&h->lock);
    for (const struct fake_line *line = h->lines; line; line = line->next)
        fprintf(file, "%s\n", line->text);
    pthread_mutex_unlock(&h->lock);
    fclose(file);
    return fake_must(text);
}

void fake_words_finish(struct weir_fake *h)
{
    pthread_mutex_lock(&h->lock);
    for (struct fake_line *line; (line = h->lines); free(line)) {
        h->lines = line->next;
        free(line->text);
    }
    free(h->error);
    h->error = NULL;
    pthread_mutex_unlock(&h->lock);
}

/* -- Numbers -------------------------------------------------------------------------------------------- */

static struct weir_metric *find_metric(const struct weir_instance *i, const char *name, const char *label)
{
    struct weir_metric *m = i->metrics;

    while (m && (strcmp(m->name, name) != 0 || strcmp(m->label, label ? label : "") != 0))
        m = m->next;
    return m;
}

static struct weir_metric *host_metric(struct weir_instance *i, enum weir_metric_kind kind, const char *name,
                                       const char *help, const char *label, const char *value)
{
    struct weir_metric *m;

    if (!fake_is_there(i, "metric"))
        return NULL;
    if (!name || !help || !*help || kind < WEIR_COUNTER || kind > WEIR_COUNTER_AT_ZERO || !label != !value) {
        fake_misuse(i->host, i, "metric: '%s' lacks its name, help, kind, or one of label and label_value",
                    name ? name : "");
        return NULL;
    }
    pthread_mutex_lock(&i->host->lock);
    m = find_metric(i, name, value);
    if (!m) {
        m = fake_zeroed(sizeof(*m));
        m->instance = i;
        m->name = fake_copy(name);
        m->label = fake_copy(value ? value : "");
        m->next = i->metrics;
        i->metrics = m;
    }
    pthread_mutex_unlock(&i->host->lock);
    return kind == WEIR_COUNTER_AT_ZERO ? NULL : m;
}

static void host_metric_add(struct weir_metric *m, uint64_t n)
{
    if (m)
        m->value += (int64_t)n;
}

static void host_metric_set(struct weir_metric *m, int64_t value)
{
    if (m)
        m->value = value;
}

int64_t weir_fake_metric(const struct weir_instance *i, const char *name, const char *label_value)
{
    struct weir_metric *m;

    pthread_mutex_lock(&i->host->lock);
    m = find_metric(i, name, label_value);
    pthread_mutex_unlock(&i->host->lock);
    return m ? m->value : -1;
}

size_t weir_fake_metric_count(const struct weir_instance *i, const char *name)
{
    size_t count = 0;

    pthread_mutex_lock(&i->host->lock);
    for (const struct weir_metric *m = i->metrics; m; m = m->next)
        count += strcmp(m->name, name) == 0;
    pthread_mutex_unlock(&i->host->lock);
    return count;
}

bool fake_has_metric(const struct weir_instance *i, const char *name)
{
    return weir_fake_metric_count(i, name) > 0;
}

void fake_metrics_finish(struct weir_instance *i)
{
    for (struct weir_metric *m; (m = i->metrics); free(m)) {
        i->metrics = m->next;
        free(m->name);
        free(m->label);
    }
}

void fake_words(struct weir_host *table)
{
    table->log = host_log;
    table->log_enabled = host_log_enabled;
    table->error = host_error;
    table->fail = host_fail;
    table->metric = host_metric;
    table->metric_add = host_metric_add;
    table->metric_set = host_metric_set;
}
