/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_stdout: writes records to weir's standard output. This file is the plugin's frame and the delivery of a
 * chunk; encode.c makes the text, sink.c writes it, turn.c keeps instances apart.
 *
 * No record is lost or repeated by an output that stalls or fails: a chunk that could not be written whole
 * is retried, and goes on at the byte where it stopped. Everything but create and destroy runs on the
 * output's thread.
 */
#include "encode.h"
#include "sink.h"
#include "turn.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stdout_config {
    int format;
    int date;
    const char *date_key;
    const char *message_key;
};

/* How far the chunk is that was given back with WEIR_RETRY. */
struct progress {
    bool valid;
    uint64_t chunk;   /* its id */
    uint64_t bytes;   /* of its text, written */
    uint32_t refused; /* pieces handed to host->reject */
};

struct stdout_output {
    const struct weir_host *host;
    struct weir_instance *instance;
    struct weir_metric *without_key;
    struct encoder encoder;
    struct sink sink;
    struct progress progress;
    bool joined;   /* takes part in turns */
    bool troubled; /* the last write failed, and the log says so */
    bool broken;   /* its reader is gone; host->fail was told */
};

static const char *const formats[] = {"json_lines", "raw", "msgpack", NULL};
static const char *const dates[] = {WEIR_JSON_DATES, NULL};

static const struct weir_option stdout_options[] = {
    {.name = "format",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct stdout_config, format),
     .def = "json_lines",
     .choices = formats,
     .help =
         "json_lines: one object a line; raw: message_key's value and a newline; msgpack: the records' own bytes"},
    {.name = "message_key",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct stdout_config, message_key),
     .def = "log",
     .help = "the key whose value format raw writes; a record without it is written as a JSON line"},
    {.name = "json_date_key",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct stdout_config, date_key),
     .def = "date",
     .help = "the key of the record's time in JSON; false: no time"},
    {.name = "json_date_format",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct stdout_config, date),
     .def = "double",
     .choices = dates,
     .help = "double: 1700000000.123456; iso8601: 2026-11-23T20:00:00.123456Z; epoch; epoch_ms; none"},
    {.name = NULL}};

static int stdout_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                         void **ret_self)
{
    const struct stdout_config *c = config;
    struct encode_settings settings = {(enum encode_format)c->format, c->message_key, c->date_key,
                                       (enum weir_json_date)c->date};
    struct stdout_output *out;

    if (!c->message_key || !*c->message_key) {
        host->error(instance, "message_key is empty: name the key whose value is to be written");
        return -EINVAL;
    }
    out = calloc(1, sizeof(*out));
    if (!out || encode_init(&out->encoder, &settings)) {
        free(out);
        host->error(instance, "out of memory");
        return -ENOMEM;
    }
    out->host = host;
    out->instance = instance;
    out->sink.fd = -1;
    out->without_key = host->metric(instance, WEIR_COUNTER, "records_without_key",
                                    "Records written as JSON because they lack message_key", NULL, NULL);
    *ret_self = out;
    return 0;
}

static void explain_start(const struct stdout_output *out, int rc)
{
    if (rc == -EBADF)
        out->host->error(out->instance,
                         "standard output is closed, or not open for writing: redirect it to a "
                         "file, a pipe or /dev/null, or remove this output");
    else
        out->host->error(out->instance, "standard output can't be written to: %s", strerror(-rc));
}

static int stdout_start(void *self)
{
    struct stdout_output *out = self;
    int rc = sink_open(&out->sink, STDOUT_FILENO);

    out->encoder.to_terminal = isatty(STDOUT_FILENO);
    if (!rc) {
        rc = turn_join();
        out->joined = rc == 0;
    }
    if (rc)
        explain_start(out, rc);
    return rc;
}

static void stdout_destroy(void *self)
{
    struct stdout_output *out = self;

    if (out->joined)
        turn_leave(out);
    sink_close(&out->sink, STDOUT_FILENO);
    encode_finish(&out->encoder);
    free(out);
}

/* -- Writing -- */

static void report_failure(struct stdout_output *out, int error)
{
    const struct weir_host *host = out->host;

    if (error == EPIPE || error == ECONNRESET) {
        if (!out->broken)
            host->fail(out->instance,
                       "standard output was closed by its reader; what it had not taken yet is "
                       "delivered at the next start");
        out->broken = true;
        return;
    }
    if (!out->troubled) {
        host->log(
            out->instance, WEIR_LOG_ERROR,
            "standard output can't be written to: %s; nothing is lost, it is tried again until it works",
            strerror(error));
        host->error(out->instance, "standard output can't be written to: %s", strerror(error));
    }
    out->troubled = true;
}

static void report_success(struct stdout_output *out)
{
    if (!out->troubled)
        return;
    out->troubled = false;
    out->host->log(out->instance, WEIR_LOG_INFO, "standard output can be written to again");
    out->host->error(out->instance, NULL);
}

/* Writes what it can without waiting, then waits. How much was written, or a negative errno. */
static ssize_t write_some(struct stdout_output *out, const char *data, size_t size)
{
    ssize_t n = -EAGAIN;
    int rc = 0;

    if (!sink_waits_first(&out->sink))
        n = sink_write(&out->sink, data, size);
    if (n == -EAGAIN) {
        rc = out->host->wait(out->instance, out->sink.fd, POLLOUT, UINT64_MAX);
        n = rc ? rc : sink_write(&out->sink, data, size);
    }
    return n == -EAGAIN ? 0 : n;
}

/* What an output that was replaced, or a chunk that was rejected, has left: the next line is one by itself.
 */
static int end_half_a_line(struct stdout_output *out)
{
    while (turn_finds_half_a_line(out, out->progress.bytes > 0)) {
        ssize_t n = write_some(out, "\n", 1);
        if (n < 0)
            return (int)n;
        if (n > 0)
            turn_wrote(out, false);
    }
    return 0;
}

/*
 * Writes whole lines as one turn. 0 or a negative errno; progress says how far it came. The turn is kept
 * where a line may be torn: the other instances wait for its other half.
 */
static int write_lines(struct stdout_output *out, const char *data, size_t size, bool torn)
{
    const char *const end = data + size;
    const bool lines = out->encoder.format != ENCODE_MSGPACK;
    int rc = turn_take(out, out->host, out->instance);

    if (!rc && lines)
        rc = end_half_a_line(out);
    while (!rc && data < end) {
        ssize_t n = write_some(out, data, (size_t)(end - data));
        if (n < 0) {
            rc = (int)n;
        } else if (n > 0) {
            torn = true;
            data += n;
            out->progress.bytes += (uint64_t)n;
            turn_wrote(out, lines && data[-1] != '\n');
            report_success(out);
        }
    }
    if (!rc || !torn)
        turn_pass(out);
    if (rc && rc != -ECANCELED)
        report_failure(out, -rc);
    return rc;
}

/* Does what is to be done with one piece, but for what an earlier attempt has done: *skip bytes,
 * *skip_refused pieces. */
static int deliver(struct stdout_output *out, struct weir_chunk *chunk, const struct encode_piece *piece,
                   uint64_t *skip, uint32_t *skip_refused)
{
    size_t done = *skip < piece->size ? (size_t)*skip : piece->size;

    if (piece->reason) {
        if (*skip_refused) {
            --*skip_refused;
            return 0;
        }
        out->host->reject(out->instance, chunk, piece->data, piece->size, piece->records, piece->reason);
        out->progress.refused++;
        return 0;
    }
    *skip -= done;
    if (done == piece->size)
        return 0;
    return write_lines(out, (const char *)piece->data + done, piece->size - done, done > 0);
}

static int stdout_write(void *self, struct weir_chunk *chunk)
{
    struct stdout_output *out = self;
    struct encode_piece piece;
    uint64_t skip;
    uint32_t skip_refused;
    int got = 0, rc = 0;

    if (!out->progress.valid || out->progress.chunk != chunk->id)
        out->progress = (struct progress){.valid = true, .chunk = chunk->id};
    skip = out->progress.bytes;
    skip_refused = out->progress.refused;
    encode_begin(&out->encoder, chunk);
    while (!rc && (got = encode_next(&out->encoder, &piece)) > 0)
        rc = deliver(out, chunk, &piece, &skip, &skip_refused);
    if (got < 0)
        report_failure(out, -got);
    if (rc || got < 0)
        return WEIR_RETRY;
    if (out->encoder.without_key)
        out->host->metric_add(out->without_key, out->encoder.without_key);
    out->progress.valid = false;
    return WEIR_DELIVERED;
}

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "stdout",
    .version = WEIR_VERSION,
    .summary = "writes records to standard output",
    .options = stdout_options,
    .config_size = sizeof(struct stdout_config),
    .create = stdout_create,
    .start = stdout_start,
    .write = stdout_write,
    .destroy = stdout_destroy,
};
