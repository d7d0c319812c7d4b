/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_keeper: an output that keeps positions, with a journal for a sink. A transaction is one write to it:
 * "L line" for each record, "P input TAB key TAB offset TAB token TAB meta" for each position, "F input TAB
 * key" for each stream that is forgotten, and "C". What stands behind the last C never was.
 *
 * A thread of its own commits what was gathered for `interval`. Each `abort_every`th transaction is not
 * written, and its chunks go back; each `doubt_every`th is written, but its chunks go back as well, as where
 * the answer of a sink was lost: then the journal is read again before anything else is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include "lines.h"

enum { CHUNKS_MAX = 4096, STREAMS_MAX = 64, TEXT_MAX = 512 };

struct keeper_config {
    const char *path, *wait_for;
    uint64_t interval;
    int64_t abort_every, doubt_every;
};

struct place {
    char input[TEXT_MAX], key[TEXT_MAX], meta[8193];
    unsigned long long offset, token;
};

struct keeper {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct keeper_config *config;
    int fd;
    bool running;
    pthread_t thread;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct weir_chunk *chunks[CHUNKS_MAX];
    size_t count;
    unsigned transactions;
    bool committing, doubt, stopping;
    uint64_t first; /* of the chunks that went back, until one is written again; 0: none */
};

/* -- The journal -- */

static int write_position(void *data, const struct weir_kept *kept)
{
    struct weir_json *text = data;
    const uint8_t *meta = kept->meta;
    char number[64];
    int r = weir_json_text(text, kept->forgotten ? "F " : "P ", 2);

    r = r ? r : weir_json_text(text, kept->input, strlen(kept->input));
    r = r ? r : weir_json_text(text, "\t", 1);
    r = r ? r : weir_json_text(text, kept->key, strlen(kept->key));
    if (!r && !kept->forgotten) {
        int size = snprintf(number, sizeof(number), "\t%llu\t%llx\t", (unsigned long long)kept->offset,
                            (unsigned long long)kept->token);
        r = weir_json_text(text, number, (size_t)size);
    }
    for (size_t i = 0; !r && i < kept->meta_size; i++) {
        snprintf(number, sizeof(number), "%02x", meta[i]);
        r = weir_json_text(text, number, 2);
    }
    return r ? r : weir_json_text(text, "\n", 1);
}

static int write_lines(struct weir_json *text, const struct weir_chunk *chunk)
{
    struct weir_cursor cursor;
    struct weir_record record;
    struct weir_value value;
    int r = 0;

    weir_cursor_init(&cursor, chunk->data, chunk->size);
    while (!r && weir_cursor_next(&cursor, &record) > 0) {
        if (!weir_record_find(&record, "log", 3, &value) || value.type != WEIR_TYPE_STR)
            continue;
        r = weir_json_text(text, "L ", 2);
        r = r ? r : weir_json_text(text, value.data, value.size);
        r = r ? r : weir_json_text(text, "\n", 1);
    }
    return r;
}

static int commit(struct keeper *keeper, struct weir_chunk *const *chunks, size_t count)
{
    struct weir_json text = {0};
    int r = 0;

    for (size_t i = 0; i < count && !r; i++)
        r = write_lines(&text, chunks[i]);
    for (size_t i = 0; i < count && !r; i++)
        r = keeper->host->positions(keeper->instance, chunks[i], write_position, &text);
    r = r ? r : weir_json_text(&text, "C\n", 2);
    r = r ? r : lines_write(keeper->fd, text.data, text.size);
    weir_json_finish(&text);
    return r;
}

static struct place *find(struct place *places, size_t *count, const struct place *like, bool make)
{
    for (size_t i = 0; i < *count; i++)
        if (!strcmp(places[i].input, like->input) && !strcmp(places[i].key, like->key))
            return &places[i];
    return make && *count < STREAMS_MAX ? &places[(*count)++] : NULL;
}

static void take_line(struct place *places, size_t *count, const char *line)
{
    struct place place = {0}, *found;

    if (sscanf(line, "P %511[^\t]\t%511[^\t]\t%llu\t%llx\t%8192[0-9a-f]", place.input, place.key,
               &place.offset, &place.token, place.meta) >= 4) {
        found = find(places, count, &place, true);
        if (found)
            *found = place;
    } else if (sscanf(line, "F %511[^\t]\t%511[^\n]", place.input, place.key) == 2) {
        found = find(places, count, &place, false);
        if (found)
            *found = places[--*count];
    }
}

static int tell(struct keeper *keeper, const struct place *place)
{
    uint8_t meta[4096];
    size_t size = strlen(place->meta) / 2;

    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        sscanf(place->meta + 2 * i, "%2x", &byte);
        meta[i] = (uint8_t)byte;
    }
    return keeper->host->kept(keeper->instance, &(struct weir_kept){.struct_size = sizeof(struct weir_kept),
                                                                    .input = place->input,
                                                                    .key = place->key,
                                                                    .offset = place->offset,
                                                                    .token = place->token,
                                                                    .meta = size ? meta : NULL,
                                                                    .meta_size = size});
}

/* The text up to the last C, where the file then ends. NULL: it can't be read. */
static char *read_journal(const struct keeper *keeper)
{
    struct stat status;
    int fd = open(keeper->config->path, O_RDONLY | O_CLOEXEC);
    char *text = fd >= 0 && fstat(fd, &status) == 0 ? calloc(1, (size_t)status.st_size + 1) : NULL;
    ssize_t size = text ? read(fd, text, (size_t)status.st_size) : -1;

    if (fd >= 0)
        close(fd);
    while (size > 0 &&
           !(size > 1 && !memcmp(text + size - 2, "C\n", 2) && (size == 2 || text[size - 3] == '\n')))
        size--;
    if (size < 0 || ftruncate(keeper->fd, size) < 0) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

static int tell_all(struct keeper *keeper)
{
    struct place *places = calloc(STREAMS_MAX, sizeof(*places));
    char *text = read_journal(keeper), *next = text;
    size_t count = 0;
    int r = places && text ? 0 : -EIO;

    for (char *line; !r && (line = strsep(&next, "\n"));)
        take_line(places, &count, line);
    for (size_t i = 0; i < count && !r; i++)
        r = tell(keeper, &places[i]);
    free(text);
    free(places);
    return r;
}

/* -- The thread -- */

/* With the lock: until a transaction is due. False: stopping, and there is none. */
static bool await_due(struct keeper *keeper)
{
    struct timespec due;

    while (!keeper->count && !keeper->stopping)
        pthread_cond_wait(&keeper->changed, &keeper->lock);
    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += (time_t)(keeper->config->interval / 1000000000);
    due.tv_nsec += (long)(keeper->config->interval % 1000000000);
    if (due.tv_nsec >= 1000000000) {
        due.tv_sec++;
        due.tv_nsec -= 1000000000;
    }
    while (keeper->count && !keeper->stopping)
        if (pthread_cond_timedwait(&keeper->changed, &keeper->lock, &due) == ETIMEDOUT)
            break;
    return keeper->count > 0;
}

static bool is_turn(unsigned number, int64_t every)
{
    return every > 0 && number % (unsigned)every == 0;
}

static enum weir_result end_transaction(struct keeper *keeper)
{
    unsigned number = ++keeper->transactions;
    bool doubt = is_turn(number, keeper->config->doubt_every);

    if (is_turn(number, keeper->config->abort_every) || commit(keeper, keeper->chunks, keeper->count))
        return WEIR_RETRY;
    if (doubt) {
        pthread_mutex_lock(&keeper->lock);
        keeper->doubt = true;
        pthread_mutex_unlock(&keeper->lock);
    }
    return doubt ? WEIR_RETRY : WEIR_DELIVERED;
}

static void *keeper_run(void *data)
{
    struct keeper *keeper = data;

    pthread_mutex_lock(&keeper->lock);
    while (await_due(keeper)) {
        keeper->committing = true; /* nobody else touches the chunks */
        pthread_mutex_unlock(&keeper->lock);
        enum weir_result result = end_transaction(keeper);
        if (result == WEIR_RETRY) {
            pthread_mutex_lock(&keeper->lock);
            keeper->first = keeper->chunks[0]->id;
            pthread_mutex_unlock(&keeper->lock);
        }
        for (size_t i = 0; i < keeper->count; i++)
            keeper->host->finish(keeper->instance, keeper->chunks[i], result);
        pthread_mutex_lock(&keeper->lock);
        keeper->count = 0;
        keeper->committing = false;
        pthread_cond_broadcast(&keeper->changed);
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

/* -- What weir calls -- */

static int keeper_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                         void **ret_self)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    pthread_condattr_t attr;
    int r = keeper ? host->keep_positions(instance) : -ENOMEM;

    if (r) {
        free(keeper);
        return r;
    }
    keeper->host = host;
    keeper->instance = instance;
    keeper->config = config;
    keeper->fd = -1;
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->changed, &attr);
    pthread_condattr_destroy(&attr);
    *ret_self = keeper;
    return 0;
}

static int keeper_load(void *self)
{
    struct keeper *keeper = self;
    const char *wait_for = keeper->config->wait_for;
    int r;

    while (wait_for && access(wait_for, F_OK) < 0)
        if (keeper->host->wait(keeper->instance, -1, 0, 10000000) == -ECANCELED)
            return -ECANCELED;
    keeper->fd = lines_open(keeper->host, keeper->instance, keeper->config->path);
    r = keeper->fd < 0 ? keeper->fd : tell_all(keeper);
    if (!r)
        r = -pthread_create(&keeper->thread, NULL, keeper_run, keeper);
    keeper->running = !r;
    if (r)
        keeper->host->error(keeper->instance, "%s can't be read", keeper->config->path);
    return r;
}

/* Takes the chunk, or says that it is to come again: after a doubt, and where it would go before those that
 * went back, since weir had it in hand before they did. */
static bool takes(struct keeper *keeper, struct weir_chunk *chunk, bool *ret_doubt)
{
    bool ahead;

    pthread_mutex_lock(&keeper->lock);
    while (keeper->committing || keeper->count == CHUNKS_MAX)
        pthread_cond_wait(&keeper->changed, &keeper->lock);
    *ret_doubt = keeper->doubt;
    ahead = keeper->first && chunk->id > keeper->first;
    keeper->doubt = false;
    keeper->first = 0;
    if (!ahead && !*ret_doubt) {
        keeper->chunks[keeper->count++] = chunk;
        pthread_cond_broadcast(&keeper->changed);
    }
    pthread_mutex_unlock(&keeper->lock);
    return !ahead && !*ret_doubt;
}

static int keeper_write(void *self, struct weir_chunk *chunk)
{
    struct keeper *keeper = self;
    bool doubt;

    if (takes(keeper, chunk, &doubt))
        return WEIR_LATER;
    if (doubt) {
        keeper->host->log(keeper->instance, WEIR_LOG_WARN, "what was committed is read again");
        if (tell_all(keeper))
            keeper->host->fail(keeper->instance, "%s can't be read", keeper->config->path);
    }
    return WEIR_RETRY;
}

static void keeper_stop(void *self)
{
    struct keeper *keeper = self;

    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_broadcast(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
    if (keeper->running)
        pthread_join(keeper->thread, NULL);
    if (keeper->fd >= 0)
        close(keeper->fd);
    keeper->host->stopped(keeper->instance);
}

static void keeper_destroy(void *self)
{
    struct keeper *keeper = self;

    pthread_cond_destroy(&keeper->changed);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

static const struct weir_option keeper_options[] = {
    {.name = "path",
     .type = WEIR_OPTION_PATH,
     .flags = WEIR_OPTION_REQUIRED,
     .offset = offsetof(struct keeper_config, path),
     .help = "the journal"},
    {.name = "wait_for",
     .type = WEIR_OPTION_PATH,
     .offset = offsetof(struct keeper_config, wait_for),
     .help = "load waits until this file is there"},
    {.name = "interval",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct keeper_config, interval),
     .def = "10ms",
     .max = 3600000000000,
     .help = "so long chunks are gathered in one transaction"},
    {.name = "abort_every",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct keeper_config, abort_every),
     .def = "0",
     .max = 1000000,
     .help = "each such transaction is not written, and its chunks go back"},
    {.name = "doubt_every",
     .type = WEIR_OPTION_INT,
     .offset = offsetof(struct keeper_config, doubt_every),
     .def = "0",
     .max = 1000000,
     .help = "each such transaction is written, and its chunks go back"},
    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "keeper",
    .version = "1.0",
    .summary = "keeps positions, for tests",
    .options = keeper_options,
    .config_size = sizeof(struct keeper_config),
    .create = keeper_create,
    .write = keeper_write,
    .stop = keeper_stop,
    .destroy = keeper_destroy,
    .load = keeper_load,
};
