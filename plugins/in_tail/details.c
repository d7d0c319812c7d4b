/* SPDX-License-Identifier: Apache-2.0 */
/* What an input shows of its files in weir's status. Loop thread; owns nothing. */
#include "details.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/json.h>
#include "file.h"

static const char *state_of(const struct tail_file *file)
{
    return file->rotated ? "rotated" : "open";
}

static int put_number(struct weir_json *json, const char *name, uint64_t value)
{
    char text[64];

    return weir_json_text(json, text, (size_t)snprintf(text, sizeof(text), ",\"%s\":%" PRIu64, name, value));
}

/* The name with its comma before it. */
static int put_seconds(struct weir_json *json, const char *name, uint64_t ns)
{
    char text[64];

    return weir_json_text(json, text,
                          (size_t)snprintf(text, sizeof(text), ",\"%s\":%" PRIu64 ".%03" PRIu64, name,
                                           ns / 1000000000u, ns / 1000000u % 1000u));
}

static int put_figures(struct weir_json *json, const struct tail_figures *f)
{
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {
        {"size", f->size},
        {"read", f->read},
        {"committed", f->committed},
        {"delivered", f->delivered},
        {"abandoned", f->abandoned},
        {"in_flight", f->read - f->committed},
        {"unread", f->size - f->read},
        {"lag", f->lag},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(members) / sizeof(*members); i++)
        rc = put_number(json, members[i].name, members[i].value);
    return rc ? rc : put_seconds(json, "lag_seconds", f->wait);
}

static int put_file(struct weir_json *json, struct tail_file *file)
{
    struct tail_figures figures;

    tail_account_figures(file, true, &figures);
    int rc = weir_json_text(json, "{\"path\":", 8);
    if (rc == 0)
        rc = weir_json_string(json, file->path, strlen(file->path));
    if (rc == 0)
        rc = weir_json_text(json, ",\"state\":", 9);
    if (rc == 0)
        rc = weir_json_string(json, state_of(file), strlen(state_of(file)));
    if (rc == 0)
        rc = put_figures(json, &figures);
    return rc ? rc : weir_json_text(json, "}", 1);
}

/* -- Metrics of each file ------------------------------------------------------------------------------- */

#define MOST_SERIES 50

struct lagging {
    const struct tail_file *file;
    struct tail_figures figures;
};

static bool is_further_behind(const struct tail_figures *a, const struct tail_figures *b)
{
    return a->lag > b->lag || (a->lag == b->lag && a->wait > b->wait);
}

/* Those furthest behind, in order; returns how many there are then. */
static size_t keep_furthest(struct lagging worst[MOST_SERIES], size_t count, const struct lagging *one)
{
    size_t at = count < MOST_SERIES ? count : MOST_SERIES - 1;

    if (count == MOST_SERIES && !is_further_behind(&one->figures, &worst[at].figures))
        return count;
    for (; at > 0 && is_further_behind(&one->figures, &worst[at - 1].figures); at--)
        worst[at] = worst[at - 1];
    worst[at] = *one;
    return count < MOST_SERIES ? count + 1 : count;
}

int tail_series(const struct tail_instance *tail, const struct weir_series *series)
{
    static const char file_bytes[] =
        "Bytes of a file that could be delivered and are not yet; of the files furthest "
        "behind.",
                      file_seconds[] = "How long the oldest of those bytes has waited.",
                      bytes[] = "Bytes of all open files that could be delivered and are not yet.",
                      seconds[] = "How long the oldest of those bytes has waited, of all open files.";
    struct lagging worst[MOST_SERIES], one;
    uint64_t lag = 0, wait = 0;
    size_t count = 0;

    for (struct tail_link *link = tail->files.next; link != &tail->files; link = link->next) {
        struct tail_file *file = TAIL_OF(link, struct tail_file, member);
        one.file = file;
        tail_account_figures(file, false, &one.figures);
        lag += one.figures.lag;
        wait = one.figures.wait > wait ? one.figures.wait : wait;
        count = keep_furthest(worst, count, &one);
    }
    series->put(series->data, WEIR_GAUGE, "lag_bytes", bytes, NULL, NULL, (double)lag);
    series->put(series->data, WEIR_GAUGE, "lag_seconds", seconds, NULL, NULL, (double)wait / 1e9);
    for (size_t i = 0; i < count; i++) {
        const char *path = worst[i].file->path;
        const struct tail_figures *f = &worst[i].figures;
        series->put(series->data, WEIR_GAUGE, "file_lag_bytes", file_bytes, "path", path, (double)f->lag);
        series->put(series->data, WEIR_GAUGE, "file_lag_seconds", file_seconds, "path", path,
                    (double)f->wait / 1e9);
    }
    return 0;
}

/* -- The status ----------------------------------------------------------------------------------------- */

/* The page of the list, with commas. */
static int put_files(struct weir_json *json, const struct tail_instance *tail,
                     const struct weir_details *page)
{
    uint64_t number = 0;
    int rc = 0;

    for (struct tail_link *link = tail->files.next; rc == 0 && link != &tail->files; link = link->next) {
        if (number++ < page->offset)
            continue;
        if (number - page->offset > page->limit)
            break;
        if (number - page->offset > 1)
            rc = weir_json_text(json, ",", 1);
        if (rc == 0)
            rc = put_file(json, TAIL_OF(link, struct tail_file, member));
    }
    return rc;
}

static int put_worst_files(struct weir_json *json, const struct tail_instance *tail,
                           const struct weir_details *page)
{
    uint64_t most = page->offset + page->limit < page->offset ? UINT64_MAX : page->offset + page->limit;
    struct tail_file **files;
    int64_t count = tail_worst_files(tail, most, &files);
    int rc = count < 0 ? (int)count : 0;

    for (int64_t i = count > 0 && page->offset < (uint64_t)count ? (int64_t)page->offset : count;
         rc == 0 && i < count; i++) {
        if ((uint64_t)i > page->offset)
            rc = weir_json_text(json, ",", 1);
        if (rc == 0)
            rc = put_file(json, files[i]);
    }
    if (count >= 0)
        free(files);
    return rc;
}

int tail_details(const struct tail_instance *tail, const struct weir_details *details)
{
    struct weir_json json = {0};
    char head[128];
    int rc = weir_json_text(&json, head,
                            (size_t)snprintf(head, sizeof(head),
                                             "\"open_files\":%u,\"parked_files\":%u,\"complaints\":[",
                                             tail->open_count, tail->parked_count));

    if (rc == 0)
        rc = tail_complaints_write(tail, &json);
    if (rc == 0)
        rc = weir_json_text(&json, "],\"files\":[", 11);
    if (rc == 0)
        rc = WEIR_HAS(details, worst_first) && details->worst_first ? put_worst_files(&json, tail, details)
                                                                    : put_files(&json, tail, details);
    if (rc == 0)
        rc = weir_json_text(&json, "]", 1);
    if (rc == 0)
        details->write(details->data, json.data, json.size);
    weir_json_finish(&json);
    return rc;
}
