/* SPDX-License-Identifier: Apache-2.0 */
/* The fake host itself: its table, its instances from create to destroy, and what it tells of misuse. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "private.h"

enum { STOP_MS = 10000, REMEMBERED = 512 /* instances, there or gone */ };

/* -- Memory --------------------------------------------------------------------------------------------- */

struct fake_memory {
    struct fake_memory *next;
    void *bytes;
};

void *fake_must(void *p)
{
    if (p)
        return p;
    fputs("fake host: no memory, or no descriptor\n", stderr);
    abort();
}

void *fake_zeroed(size_t size)
{
    return fake_must(calloc(1, size));
}

char *fake_copy(const char *text)
{
    return text ? fake_must(strdup(text)) : NULL;
}

void *fake_keep(struct fake_memory **list, void *bytes)
{
    struct fake_memory *m = fake_zeroed(sizeof(*m));

    *m = (struct fake_memory){*list, fake_must(bytes)};
    *list = m;
    return bytes;
}

void fake_free_memory(struct fake_memory **list)
{
    for (struct fake_memory *m; (m = *list); free(m)) {
        *list = m->next;
        free(m->bytes);
    }
}

/* -- Misuse --------------------------------------------------------------------------------------------- */

static void abort_on_misuse(void *data, const char *alias, const char *text)
{
    (void)data;
    fprintf(stderr, "fake host: %s%s%s\n", alias, *alias ? ": " : "", text);
    abort();
}

void fake_misuse(struct weir_fake *h, const struct weir_instance *i, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    h->misuse(h->misuse_data, i ? i->alias : "", text);
}

void weir_fake_on_misuse(struct weir_fake *h, weir_fake_misuse_fn fn, void *data)
{
    h->misuse = fn ? fn : abort_on_misuse;
    h->misuse_data = data;
}

bool fake_is_there(struct weir_instance *i, const char *function)
{
    if (i->alive)
        return true;
    fake_misuse(i->host, i, "%s: called after destroy", function);
    return false;
}

static struct fake_driver *driver_of(struct weir_fake *h, struct weir_instance *i)
{
    return i && i->plugin->kind == WEIR_OUTPUT ? &i->driver : &h->driver;
}

bool fake_on_thread(struct weir_fake *h, struct weir_instance *i, const char *function)
{
    if (pthread_equal(driver_of(h, i)->owner, pthread_self()))
        return true;
    fake_misuse(h, i, "%s: called on another thread than the instance's", function);
    return false;
}

bool fake_may(struct weir_instance *i, const char *function)
{
    if (!fake_is_there(i, function) || !fake_on_thread(i->host, i, function))
        return false;
    if (i->started && !atomic_load(&i->stopped))
        return true;
    fake_misuse(i->host, i, "%s: called %s", function, i->started ? "after host->stopped" : "before start");
    return false;
}

/* -- Callbacks ------------------------------------------------------------------------------------------ */

static void set_callback(struct weir_fake *h, struct fake_driver *driver, const char *callback)
{
    driver->callback = callback;
    if (h->on_callback)
        h->on_callback(h->callback_data, callback);
}

const char *fake_enter(struct weir_fake *h, struct weir_instance *i, const char *callback)
{
    struct fake_driver *driver = driver_of(h, i);
    const char *before = driver->callback;

    driver->owner = pthread_self();
    set_callback(h, driver, callback);
    return before;
}

void fake_leave(struct weir_fake *h, struct weir_instance *i, const char *before)
{
    set_callback(h, driver_of(h, i), before);
}

void weir_fake_on_callback(struct weir_fake *h, weir_fake_callback_fn fn, void *data)
{
    h->on_callback = fn;
    h->callback_data = data;
}

/* -- Life ----------------------------------------------------------------------------------------------- */

static void host_stopped(struct weir_instance *i)
{
    if (!fake_may(i, "stopped"))
        return;
    if (!i->stopping)
        fake_misuse(i->host, i, "stopped: called before stop");
    fake_outputs_stopped(i);
    atomic_store(&i->stopped, true);
}

static void host_ended(struct weir_instance *i)
{
    if (!fake_may(i, "ended"))
        return;
    if (i->ended)
        fake_misuse(i->host, i, "ended: called twice");
    i->ended = true;
}

static void host_progress(struct weir_instance *i, uint64_t done, uint64_t total)
{
    if (!fake_may(i, "progress"))
        return;
    i->done = done;
    i->total = total;
}

static const char *host_alias(struct weir_instance *i)
{
    fake_is_there(i, "alias");
    return i->alias;
}

static const char *host_tag(struct weir_instance *i)
{
    return fake_is_there(i, "tag") ? i->tag : "";
}

static const char *host_topic(struct weir_instance *i)
{
    return fake_is_there(i, "topic") ? i->topic : "";
}

/* A place for an instance: one never taken, or that of the one that has been gone for longest. So calls for
 * one that is gone are known as such. */
static struct weir_instance *take_place(struct weir_fake *h)
{
    struct weir_instance *place = NULL;

    if (h->places_taken < REMEMBERED) {
        place = &h->places[h->places_taken++];
        place->next = h->all;
        h->all = place;
        return place;
    }
    for (struct weir_instance *i = h->all; i; i = i->next)
        if (!i->alive && (!place || i->gone < place->gone))
            place = i;
    if (!place) {
        fputs("fake host: too many instances\n", stderr);
        abort();
    }
    struct weir_instance *next = place->next;
    memset(place, 0, sizeof(*place));
    place->next = next;
    return place;
}

static struct weir_instance *instance_new(struct weir_fake *h, const struct weir_plugin *plugin,
                                          const char *alias)
{
    struct weir_instance *i = take_place(h);

    i->host = h;
    i->alive = true;
    i->plugin = plugin;
    i->room = SIZE_MAX;
    atomic_store(&i->waits, SIZE_MAX);
    i->cancel = -1;
    snprintf(i->alias, sizeof(i->alias), "%s", alias);
    i->tag = fake_copy(plugin->kind == WEIR_INPUT ? alias : "");
    i->topic = fake_copy("");
    if (plugin->kind == WEIR_OUTPUT) {
        i->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        fake_must(i->cancel < 0 ? NULL : i);
    }
    h->instances++;
    return i;
}

static void instance_free(struct weir_instance *i)
{
    struct weir_fake *h = i->host;

    i->alive = false;
    i->gone = ++h->gone;
    h->instances--;
    pthread_mutex_lock(&h->lock);
    fake_metrics_finish(i);
    fake_series_finish(i);
    fake_outputs_finish(i);
    fake_sources_finish(i);
    fake_free_memory(&i->memory);
    free(i->own_config);
    free(i->tag);
    free(i->topic);
    i->own_config = i->tag = i->topic = NULL;
    if (i->cancel >= 0)
        close(i->cancel);
    pthread_mutex_unlock(&h->lock);
}

static struct weir_instance *create(struct weir_instance *i, const void *config)
{
    const char *before = fake_enter(i->host, i, "create");
    int r = i->plugin->create(&i->host->table, i, config, &i->self);

    fake_leave(i->host, i, before);
    if (r == 0)
        return i;
    if (r > 0)
        fake_misuse(i->host, i, "create: returned %d: an error is negative", r);
    instance_free(i);
    return NULL;
}

/* As weir may do: whoever looks at it all the same is found out. */
static void drop_config(struct weir_instance *i)
{
    fake_free_memory(&i->memory);
    free(i->own_config);
    i->own_config = NULL;
}

struct weir_instance *weir_fake_new(struct weir_fake *h, const struct weir_plugin *plugin, const char *alias,
                                    const struct weir_fake_setting *settings)
{
    struct weir_instance *i = instance_new(h, plugin, alias);

    if (fake_configure(i, settings) < 0) {
        instance_free(i);
        return NULL;
    }
    i = create(i, i->own_config);
    if (i && i->plugin->flags & WEIR_PLUGIN_COPIES_CONFIG)
        drop_config(i);
    return i;
}

struct weir_instance *weir_fake_new_with(struct weir_fake *h, const struct weir_plugin *plugin,
                                         const char *alias, const void *config)
{
    return create(instance_new(h, plugin, alias), config);
}

int weir_fake_start(struct weir_instance *i)
{
    const char *before = fake_enter(i->host, i, "start");

    i->started = true;
    int r = i->plugin->start ? i->plugin->start(i->self) : 0;
    fake_leave(i->host, i, before);
    if (r > 0)
        fake_misuse(i->host, i, "start: returned %d: an error is negative", r);
    if (r < 0)
        i->started = false;
    return r;
}

/* The plugin has no stop. */
static void stopped_at_once(struct weir_instance *i)
{
    fake_outputs_stopped(i);
    atomic_store(&i->stopped, true);
}

void weir_fake_begin_stop(struct weir_instance *i)
{
    const char *before = fake_enter(i->host, i, "stop");

    i->stopping = true;
    if (i->plugin->stop)
        i->plugin->stop(i->self);
    else
        stopped_at_once(i);
    fake_leave(i->host, i, before);
}

int weir_fake_retire(struct weir_instance *i)
{
    const char *before = fake_enter(i->host, i, "retire");
    int r = i->plugin->retire ? i->plugin->retire(i->self) : 0;

    fake_leave(i->host, i, before);
    if (r != 0 && r != 1)
        fake_misuse(i->host, i,
                    "retire: returned %d: 1 is that something is left to be sent, 0 that nothing is", r);
    return r;
}

bool weir_fake_is_stopped(const struct weir_instance *i)
{
    return atomic_load(&i->stopped);
}

static bool has_stopped(void *data)
{
    return weir_fake_is_stopped(data);
}

void weir_fake_stop(struct weir_instance *i)
{
    weir_fake_begin_stop(i);
    if (!weir_fake_until(i->host, has_stopped, i, STOP_MS))
        fake_misuse(i->host, i, "stop: host->stopped was not called within %d s", STOP_MS / 1000);
    weir_fake_drop(i);
}

void weir_fake_drop(struct weir_instance *i)
{
    struct weir_fake *h = i->host;
    const char *before;

    if (i->started && !weir_fake_is_stopped(i))
        fake_misuse(h, i, "weir_fake_drop: it is started, and has not stopped");
    fake_loop_run_posted(&h->loop); /* as the ABI promises */
    before = fake_enter(h, i, "destroy");
    i->plugin->destroy(i->self);
    fake_leave(h, i, before);
    fake_drafts_left(i);
    fake_streams_left(i);
    instance_free(i);
    if (h->instances == 0)
        fake_loop_finish(h);
}

static void resume(void *data)
{
    struct weir_instance *i = data;

    if (!i->alive || weir_fake_is_stopped(i) || !i->plugin->resume)
        return;
    const char *before = fake_enter(i->host, i, "resume");
    i->plugin->resume(i->self);
    fake_leave(i->host, i, before);
}

void weir_fake_set_full(struct weir_instance *i, bool full)
{
    weir_fake_set_room(i, full ? 0 : SIZE_MAX);
}

void weir_fake_set_room(struct weir_instance *i, size_t chunks)
{
    bool was_full = i->room == 0;

    i->room = chunks;
    if (was_full && chunks)
        fake_post(&i->host->loop, resume, i);
}

bool weir_fake_is_ended(const struct weir_instance *i)
{
    return i->ended;
}

void weir_fake_progress(const struct weir_instance *i, uint64_t *ret_done, uint64_t *ret_total)
{
    *ret_done = i->done;
    *ret_total = i->total;
}

/* -- Details -------------------------------------------------------------------------------------------- */

static void take_details(void *data, const char *json, size_t size)
{
    fwrite(json, 1, size, data);
}

char *weir_fake_details(struct weir_instance *i)
{
    return weir_fake_details_of(i, 0, 1000, false);
}

char *weir_fake_details_of(struct weir_instance *i, uint64_t offset, uint64_t limit, bool worst_first)
{
    char *text = NULL;
    size_t size;
    FILE *file;
    int r;

    if (!i->plugin->details)
        return NULL;
    file = fake_must(open_memstream(&text, &size));
    fputc('{', file);
    struct weir_details details = {.struct_size = sizeof(details),
                                   .offset = offset,
                                   .limit = limit,
                                   .write = take_details,
                                   .data = file,
                                   .worst_first = worst_first};
    const char *before = fake_enter(i->host, i, "details");
    r = i->plugin->details(i->self, &details);
    fake_leave(i->host, i, before);
    fputc('}', file);
    fclose(file);
    if (r < 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* -- The host ------------------------------------------------------------------------------------------- */

static void fill_table(struct weir_host *table)
{
    table->struct_size = sizeof(*table);
    table->abi_version = WEIR_ABI_VERSION;
    table->version = WEIR_VERSION;
    table->stopped = host_stopped;
    table->ended = host_ended;
    table->progress = host_progress;
    table->alias = host_alias;
    table->tag = host_tag;
    table->topic = host_topic;
    fake_words(table);
    fake_loop_table(table);
    fake_streams(table);
    fake_chunks(table);
    fake_outputs(table);
    fake_sources(table);
}

struct weir_fake *weir_fake_create(void)
{
    struct weir_fake *h = fake_zeroed(sizeof(*h));
    pthread_condattr_t attr;

    fill_table(&h->table);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attr);
    pthread_condattr_destroy(&attr);
    h->places = fake_zeroed(REMEMBERED * sizeof(*h->places));
    h->driver.owner = pthread_self();
    h->misuse = abort_on_misuse;
    h->at_once = true;
    fake_loop_init(h);
    return h;
}

void weir_fake_pretend_older(struct weir_fake *h, size_t size)
{
    memset((char *)&h->table + size, 0, sizeof(h->table) - size);
    h->table.struct_size = (uint32_t)size;
}

const struct weir_host *weir_fake_table(struct weir_fake *h)
{
    return &h->table;
}

void weir_fake_destroy(struct weir_fake *h)
{
    fake_loop_run_posted(&h->loop);
    weir_fake_turn(h, 0);
    if (h->instances)
        fake_misuse(h, NULL, "weir_fake_destroy: %zu instances are left", h->instances);
    fake_loop_finish(h);
    fake_chunks_finish(h);
    fake_streams_finish(h);
    fake_words_finish(h);
    free(h->places);
    close(h->loop.epoll);
    close(h->loop.wake);
    free(h->data_dir);
    free(h->status);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
    free(h);
}
