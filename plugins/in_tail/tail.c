/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_tail: follows files and sends each line as a record. This file: the descriptor, the life of an instance,
 * its turns and its timers. create and destroy run on control, everything else on the instance's loop.
 */
#include "tail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "batch.h"
#include "clock.h"
#include "details.h"
#include "encoding.h"
#include "dirs.h"
#include "file.h"
#include "filter.h"
#include "known.h"
#include "multiline.h"
#include "packed.h"
#include "parked.h"
#include "scan.h"

static const uint64_t RETRY = 1000000000;    /* ns */
static const uint64_t START_SLICE = 5000000; /* ns that the first look at the files may take at once */

enum { AGAIN_AT_ONCE = 10000 }; /* so many watches are asked for again at once */
enum timer { TIMER_POLL, TIMER_RETRY, TIMER_IDLE, TIMERS };

static void on_retry(void *data);
static void on_poll(void *data);

/* -- What the other parts ask for ---------------------------------------------------------------------- */

static bool has_work(const struct tail_instance *tail)
{
    return (!tail->paused && !tail_list_empty(&tail->ready)) || tail_parked_due(tail) ||
           (tail->crowded && tail_list_empty(&tail->ready));
}

uint64_t tail_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

void tail_wake(struct tail_instance *tail)
{
    if (has_work(tail)) {
        tail_hub_queue(tail->hub, &tail->worker);
    }
    if (tail_scan_due(tail)) {
        tail_hub_scan(tail->hub, &tail->worker);
    }
}

static bool has_timer(const struct tail_instance *tail, enum timer which)
{
    return tail->timers && tail->timers[which];
}

/* Most inputs never need any of the timers: they are made when they are. False: no memory. */
static bool set_timer(struct tail_instance *tail, enum timer which, weir_call_fn fn, uint64_t first,
                      uint64_t repeat)
{
    if (!tail->timers && !(tail->timers = calloc(TIMERS, sizeof(struct weir_timer *)))) {
        return false;
    }
    struct weir_timer **timer = &tail->timers[which];
    if (!*timer) {
        *timer = tail->host->timer_add(tail->host->loop(tail->instance), fn, tail);
    }
    if (*timer) {
        tail->host->timer_set(*timer, first, repeat);
    }
    return *timer;
}

static void remove_timer(struct tail_instance *tail, enum timer which)
{
    if (has_timer(tail, which)) {
        tail->host->timer_remove(tail->timers[which]);
        tail->timers[which] = NULL;
    }
}

static void remove_timers(struct tail_instance *tail)
{
    for (int i = 0; i < TIMERS; i++) {
        remove_timer(tail, (enum timer)i);
    }
    free(tail->timers);
    tail->timers = NULL;
}

/* Without memory for a timer, the next event or refresh leads here again. */
void tail_retry(struct tail_instance *tail)
{
    if (!tail->retrying || tail->patient) {
        tail->patient = false;
        tail->retrying = set_timer(tail, TIMER_RETRY, on_retry, RETRY, 0) || tail->retrying;
    }
}

static void retry_less(struct tail_instance *tail)
{
    tail->lasting = true;
    if (!tail->retrying && tail->patience < tail->config->refresh_interval) {
        tail->patience = tail->patience ? tail->patience * 2 : RETRY;
        tail->patient = tail->retrying = set_timer(tail, TIMER_RETRY, on_retry, tail->patience, 0);
    }
}

void tail_retry_after(struct tail_instance *tail, int error)
{
    switch (error) {
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
    case EINTR:
        tail_retry(tail);
        break;
    case EACCES:
    case EPERM:
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
        break;
    default:
        retry_less(tail);
    }
}

void tail_poll(struct tail_instance *tail)
{
    uint64_t interval = tail->config->poll_interval;
    if (tail->config->exit_on_eof || tail->retired) {
        return;
    }
    tail->polling = true;
    if (!has_timer(tail, TIMER_POLL) && !set_timer(tail, TIMER_POLL, on_poll, interval, interval)) {
        tail_retry(tail);
    }
}

/* There may have been no memory for the timer. */
static void poll_at_last(struct tail_instance *tail)
{
    if (tail->polling) {
        tail_poll(tail);
    }
}

void tail_end(struct tail_instance *tail)
{
    bool ends = tail->retired ||
                (tail->config->exit_on_eof && !tail->starting && !tail_scan_due(tail) && !tail->retrying);
    if (ends && !tail->ended && tail_list_empty(&tail->files)) {
        tail->ended = true;
        tail->host->ended(tail->instance);
    }
}

bool tail_park_one(struct tail_instance *tail)
{
    for (struct tail_link *l = tail->files.next, *next; l != &tail->files; l = next) {
        next = l->next;
        if (tail_file_park(TAIL_OF(l, struct tail_file, member))) {
            return true;
        }
    }
    return false;
}

/* The walk asks for the events that closed files need, and then compares each with what it was when closed.
 */
void tail_limit(struct tail_instance *tail)
{
    if (!tail->limited) {
        tail->limited = true;
        tail_rescan(tail);
    }
}

/* -- Turns and timers --------------------------------------------------------------------------------------
 */

/* All that are open have been read to their ends, and others wait: those have their turn, one for one. */
static void make_room(struct tail_instance *tail)
{
    if (tail_packed_hurry(tail)) {
        return;
    }
    if (tail_parks(tail) && tail_park_one(tail)) {
        tail->spare = tail->limited;
        tail->crowded = false;
        tail->yields = true;
        tail_wake(tail);
    } else if (tail_list_empty(&tail->ready)) { /* else some have news, and make room once that is read */
        tail_retry(tail);
    }
}

/* Another instance of the loop has no descriptor. */
static bool give_way(struct tail_worker *worker)
{
    struct tail_instance *tail = TAIL_OF(worker, struct tail_instance, worker);
    if (tail->config->exit_on_eof || !tail_park_one(tail)) {
        return false;
    }
    tail_limit(tail);
    return true;
}

/* There are no more watches. */
static bool spare(struct tail_worker *worker)
{
    return tail_parked_spare(TAIL_OF(worker, struct tail_instance, worker));
}

static void on_idle(void *data)
{
    struct tail_instance *tail = data;
    uint64_t limit = tail->config->close_inactive;
    uint64_t before = tail_now(CLOCK_MONOTONIC);
    for (struct tail_link *l = tail->files.next, *next; l != &tail->files; l = next) {
        struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        next = l->next;
        if (file->active + limit > before) {
            break;
        }
        tail_file_park(file);
    }
}

/* Whether it may share a chunk: where records are not lines of the file, more depends on when they are sent.
 */
static bool is_plain(const struct tail_file *file)
{
    return !file->join && !file->packed && !file->unsure;
}

/* One file, and the next ones as long as all they had to say fits into one chunk. Returns the cost in bytes.
 */
static size_t work_on_files(struct tail_instance *tail)
{
    enum { MOST = TAIL_BATCH_FILES * TAIL_TURN };
    struct tail_batch *batch = tail_hub_batch(tail->hub);
    size_t cost = 0;
    do {
        struct tail_file *file = TAIL_OF(tail->ready.next, struct tail_file, ready);
        tail_list_remove(&file->ready);
        batch->open = is_plain(file) && !tail_list_empty(&tail->ready);
        if (!is_plain(file)) {
            tail_batch_send(tail);
        }
        cost += tail_file_work(file) + TAIL_TURN;
    } while (batch->draft && cost < MOST && !tail->paused && !tail_list_empty(&tail->ready));
    batch->open = false; /* the rest of those that are ready have no turn now */
    tail_batch_send(tail);
    return cost - TAIL_TURN; /* the hub counts one */
}

static size_t work(struct tail_worker *worker, bool *ret_more)
{
    struct tail_instance *tail = TAIL_OF(worker, struct tail_instance, worker);
    size_t bytes = 0;
    if (!tail->paused && !tail_list_empty(&tail->ready)) {
        bytes = work_on_files(tail);
        if (tail->config->exit_on_eof) {
            uint64_t total = tail->total > tail->done ? tail->total : tail->done;
            tail->host->progress(tail->instance, tail->done, total);
        }
    }
    if (tail->crowded && tail_list_empty(&tail->ready)) {
        make_room(tail);
    } else {
        bytes += tail_parked_open(tail) * TAIL_TURN;
    }
    tail_end(tail);
    *ret_more = (!tail->paused && !tail_list_empty(&tail->ready)) || tail_parked_due(tail);
    return bytes;
}

static void say_what_was_found(struct tail_instance *tail);

/* The first walk is through, and the first search. */
static void started(struct tail_instance *tail)
{
    tail->starting = false;
    say_what_was_found(tail);
}

static bool scan(struct tail_worker *worker)
{
    struct tail_instance *tail = TAIL_OF(worker, struct tail_instance, worker);
    bool more = tail_scan_step(tail);
    tail->yields = false;
    if (tail->starting && !tail_scan_waits(tail)) {
        started(tail);
    }
    if (!tail_scan_waits(tail)) {
        tail_packed_wake(tail);
    }
    tail_end(tail);
    tail_wake(tail);
    return more;
}

static void overflow(struct tail_worker *worker)
{
    struct tail_instance *tail = TAIL_OF(worker, struct tail_instance, worker);
    tail_count(tail, TAIL_OVERFLOWS, 1);
    tail_log(tail, DEBUG, "inotify events were lost: everything is looked at");
    for (struct tail_link *l = tail->files.next; l != &tail->files; l = l->next) {
        tail_file_wake(TAIL_OF(l, struct tail_file, member));
    }
    tail_rescan(tail);
    if (tail->parked_count) {
        tail_known_doubt(tail);
        tail_scan_renamed(tail, false);
    }
}

/* Whether something is polled; closed files may be. */
static bool polls(const struct tail_instance *tail)
{
    bool any = tail->parked_count > 0 || tail_dirs_polled(tail);
    for (const struct tail_link *l = tail->files.next; !any && l != &tail->files; l = l->next) {
        any = TAIL_OF(l, struct tail_file, member)->polled;
    }
    return any;
}

/* There may be watches again for what is polled; the walk asks for those of directories. */
static void watch_again(struct tail_instance *tail)
{
    unsigned most = tail->polling && tail->config->inotify_watcher ? AGAIN_AT_ONCE : 0;
    for (struct tail_link *l = tail->files.next; most && l != &tail->files; l = l->next) {
        struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        most -= file->polled && !file->sub.watched;
        most = tail_file_watch_again(file) ? most : 0;
    }
    if (tail->polling && !polls(tail)) {
        tail->polling = false;
        remove_timer(tail, TIMER_POLL);
    }
}

static void refresh(struct tail_worker *worker)
{
    struct tail_instance *tail = TAIL_OF(worker, struct tail_instance, worker);
    if (tail->starved && !tail->retrying) { /* there was no memory for on_retry's timer either */
        tail->paused = tail->starved = false;
    }
    if (!tail->lasting) {
        tail->patience = 0;
    }
    tail->lasting = false;
    watch_again(tail);
    poll_at_last(tail);
    tail_known_ask_held(tail);
    tail_rescan(tail);
    tail_scan_renamed(tail, true);
    tail_packed_wake(tail);
}

static void on_poll(void *data)
{
    tail_scan_polled(data);
}

static void on_retry(void *data)
{
    struct tail_instance *tail = data;
    tail->retrying = tail->patient = false;
    tail->crowded = false;
    tail->starved = false;
    tail->paused = false; /* want of memory was a reason to pause, too */
    poll_at_last(tail);
    tail_calm(tail, "");
    tail_rescan(tail);
    if (tail->missed) {
        tail->missed = false;
        tail_scan_renamed(tail, false);
    }
}

/* -- Life
 * ------------------------------------------------------------------------------------------------------ */

static bool given(const char *text)
{
    return text && *text;
}

/* 0 or -errno, told to the host. */
static int set_filter(struct tail_instance *tail, struct tail_format *format)
{
    const struct tail_config *c = tail->config;
    char why[512] = "no memory";
    if (!given(c->include_regex) && !given(c->exclude_regex)) {
        return 0;
    }
    int r = tail_filter_create(c->include_regex, c->exclude_regex, why, sizeof(why), &format->filter);
    if (r < 0) {
        tail->host->error(tail->instance, "%s", why);
    }
    return r;
}

/* 0 or -errno, told to the host. */
static int set_encoding(struct tail_instance *tail, struct tail_format *format)
{
    const char *name = tail->config->encoding;
    if (!given(name)) {
        return 0;
    }
    format->encoding = tail_encoding_create(name);
    if (!format->encoding) {
        tail->host->error(
            tail->instance,
            "encoding: '%s' is none that iconv knows; utf-16, latin1, gbk and others are, see iconv -l",
            name);
        return -EINVAL;
    }
    return 0;
}

/* 0 or -errno, told to the host. */
static int set_multiline(struct tail_instance *tail)
{
    const struct tail_config *c = tail->config;
    char why[512] = "no memory";
    struct tail_multiline_options options = {
        .parsers = c->multiline_parser,
        .start_pattern = c->start_pattern,
        .flush_timeout = c->flush_timeout,
        .preserve_key = c->preserve_key,
        .parser = {c->parser, c->regex, c->time_key, c->time_format, c->time_keep, &c->types},
    };
    int r = tail_multiline_create(&options, why, sizeof(why), &tail->multiline);
    if (r < 0) {
        tail->host->error(tail->instance, "%s", why);
    }
    return r;
}

/* The settings' format, or one of its own where something in it has a state. 0 or -errno, told to the host.
 */
static int set_format(struct tail_instance *tail)
{
    struct tail_format format = *tail->format;
    int r = set_filter(tail, &format);
    r = r < 0 ? r : set_encoding(tail, &format);
    struct tail_format *own = r == 0 && (format.filter || format.encoding) ? malloc(sizeof(*own)) : NULL;
    if (own) {
        *own = format;
        tail->format = own;
    } else {
        r = r == 0 && (format.filter || format.encoding) ? -ENOMEM : r;
        tail_encoding_destroy(format.encoding);
        tail_filter_destroy(format.filter);
    }
    return r;
}

/* 0 or -errno, told to the host. */
static int set_paths(struct tail_instance *tail, const struct weir_list *paths)
{
    tail->glob = tail_glob_create(paths, &tail->config->exclude_path);
    if (tail->glob) {
        return 0;
    }
    int error = errno;
    tail->host->error(tail->instance, "path: %s",
                      error == EINVAL ? "names no file; give a path or a pattern such as /var/log/*.log"
                                      : strerror(error));
    return -error;
}

/* 0 or -errno, told to the host. */
static int set_settings(struct tail_instance *tail, const struct tail_config *config)
{
    const struct weir_list *allowed = &config->allow_path;
    for (size_t i = 0; i < allowed->count; i++) {
        if (allowed->items[i][0] != '/') {
            tail->host->error(tail->instance, "allow_path: '%s' is no absolute path", allowed->items[i]);
            return -EINVAL;
        }
    }
    struct tail_settings *settings = tail_settings_get(config);
    if (!settings) {
        int error = errno;
        tail->host->error(tail->instance, "%s%s", error == ENAMETOOLONG ? "allow_path: " : "",
                          strerror(error));
        return -error;
    }
    tail->config = &settings->config;
    tail->format = &settings->format;
    tail->packs = tail_packed_expected(config);
    int r = set_paths(tail, &config->path);
    r = r < 0 ? r : set_format(tail);
    return r < 0 ? r : set_multiline(tail);
}

static void tail_free(struct tail_instance *tail)
{
    struct tail_settings *settings = tail->config ? tail_settings_of(tail->config) : NULL;
    if (settings && tail->format != &settings->format) {
        tail_encoding_destroy(tail->format->encoding);
        tail_filter_destroy(tail->format->filter);
        free((void *)tail->format);
    }
    tail_glob_destroy(tail->glob);
    tail_multiline_destroy(tail->multiline);
    tail_settings_unref(settings);
    free(tail);
}

static int tail_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                       void **ret_self)
{
    struct tail_instance *tail = calloc(1, sizeof(*tail));
    if (!tail) {
        return -ENOMEM;
    }
    tail->host = host;
    tail->instance = instance;
    tail_list_init(&tail->files);
    tail_list_init(&tail->ready);
    tail_list_init(&tail->news);
    int r = set_settings(tail, config);
    if (r < 0) {
        tail_free(tail);
        return r;
    }
    tail_numbers_create(tail);
    *ret_self = tail;
    return 0;
}

/* Nothing is looked for any more. */
static void let_go(struct tail_instance *tail)
{
    tail_scan_clear(tail);
    tail_dirs_clear(tail);
    tail_known_clear(tail);
    remove_timers(tail);
}

static void close_all(struct tail_instance *tail)
{
    while (!tail_list_empty(&tail->files)) {
        tail_file_drop(TAIL_OF(tail->files.next, struct tail_file, member));
    }
    let_go(tail);
    if (tail->hub) {
        tail_hub_leave(tail->hub, &tail->worker);
        tail->hub = NULL;
    }
}

static const struct tail_worker_kind worker_kind = {
    .work = work,
    .scan = scan,
    .overflow = overflow,
    .refresh = refresh,
    .give_way = give_way,
    .spare = spare,
};

static int open_all(struct tail_instance *tail)
{
    struct weir_loop *loop = tail->host->loop(tail->instance);
    uint64_t interval = tail->config->exit_on_eof ? 0 : tail->config->refresh_interval;
    int r = tail_hub_join(tail->host, loop, &worker_kind, &tail->worker, interval, &tail->hub);
    uint64_t idle = tail->config->exit_on_eof ? 0 : tail->config->close_inactive;
    if (r == 0 && idle && !set_timer(tail, TIMER_IDLE, on_idle, idle, idle / 2 + 1)) {
        r = -ENOMEM;
    }
    return r < 0 ? r : tail_known_load(tail);
}

static void say_what_was_found(struct tail_instance *tail)
{
    const struct tail_config *c = tail->config;
    if (c->exit_on_eof && tail_list_empty(&tail->files) && !tail->retrying) {
        tail_log(tail, WARN, "no file matches '%s'%s: nothing to read", tail_glob_first(tail->glob),
                 tail_glob_is_one(tail->glob) ? "" : " and the other paths");
    } else if (c->exit_on_eof && tail->first_start && !c->read_from_head) {
        tail_log(
            tail, WARN,
            "exit_on_eof without read_from_head: files are followed from their end, so nothing will be read");
    }
}

static int tail_start(void *self)
{
    struct tail_instance *tail = self;
    int r = open_all(tail);
    if (r < 0) {
        tail->host->error(tail->instance, "%s", strerror(-r));
        close_all(tail);
        return r;
    }
    tail->started = tail_now(CLOCK_REALTIME);
    tail->starting = true;
    tail->rescan = true;
    tail_scan_renamed(tail, false);
    tail_hub_slice(tail->hub, START_SLICE);
    scan(&tail->worker); /* few files are followed when this returns; the rest of many is found in slices */
    tail_end(tail);
    return 0;
}

static void tail_resume(void *self)
{
    struct tail_instance *tail = self;
    tail->paused = false;
    if (tail->hub) {
        tail_wake(tail);
    }
}

static void become_retired(struct tail_instance *tail)
{
    let_go(tail);
    tail->retired = true;
    tail->paused = tail->paused && !tail->starved; /* nobody says when there is memory again */
    tail->starting = tail->rescan = tail->crowded = tail->polling = false;
    tail->retrying = tail->patient = tail->starved = false;
}

static int tail_retire(void *self)
{
    struct tail_instance *tail = self;
    for (struct tail_link *l = tail->files.next, *next; l != &tail->files; l = next) {
        next = l->next;
        tail_file_retire(TAIL_OF(l, struct tail_file, member));
    }
    become_retired(tail);
    if (tail_list_empty(&tail->files)) {
        return 0;
    }
    tail_wake(tail);
    tail_log(tail, INFO, "%u deleted files are not read to their ends yet: this input goes when they are",
             tail->open_count);
    return 1;
}

static void tail_stop(void *self)
{
    struct tail_instance *tail = self;
    close_all(tail);
    tail->host->stopped(tail->instance);
}

static int on_details(void *self, const struct weir_details *details)
{
    return tail_details(self, details);
}

static int on_series(void *self, const struct weir_series *series)
{
    return tail_series(self, series);
}

static void tail_destroy(void *self)
{
    struct tail_instance *tail = self;
    tail_calm_all(tail);
    tail_table_clear(&tail->by_path);
    tail_table_clear(&tail->by_inode);
    tail_free(tail);
}

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "tail",
    .version = WEIR_VERSION,
    .summary = "follows files and sends each line as a record",
    .options = tail_options,
    .config_size = sizeof(struct tail_config),
    .create = tail_create,
    .start = tail_start,
    .resume = tail_resume,
    .stop = tail_stop,
    .destroy = tail_destroy,
    .details = on_details,
    .series = on_series,
    .retire = tail_retire,
    .flags = WEIR_PLUGIN_REREADS | WEIR_PLUGIN_COPIES_CONFIG,
};
