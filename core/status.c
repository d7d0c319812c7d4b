/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as JSON. A request asks every input for its details, one call for each loop, and is answered
 * when the last loop is through. Inputs may have gone by then: an answer is matched with those that are
 * there.
 */
#include "status.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <weir/json.h>
#include "callback.h"
#include "engine_private.h"
#include "process.h"
#include "series.h"
#include "status_text.h"

/* Bytes of an input. Of many all is reserved in one go: what grows leaves holes in malloc's memory. */
enum { USUAL_DETAILS = 256, USUAL_INPUT = 384 };

enum { MANY_INPUTS = 1000 }; /* whose request is worth giving back to the system at once */

/* One input that was asked. */
struct asked {
    struct input *input; /* only to be compared, once the loop has answered */
    struct rcstring *alias;
    struct loop_share *share;
    size_t at, size; /* of its details in those of the share; 0: none */
    struct series_list series;
    bool failed; /* not all of it could be kept */
};

struct loop_share {
    struct loop_call call;
    struct request *request;
    size_t first, count;      /* of request.inputs */
    struct weir_json details; /* of one input after the other: members without braces */
};

struct request {
    struct status *status;
    struct status_page page;
    bool metrics; /* it is for the metrics, not for the status */
    status_fn fn; /* NULL: answered */
    void *data;
    struct asked *inputs;
    size_t count;
    struct loop_share *shares;
    size_t share_count;
    atomic_size_t open; /* loops that have not answered, and one for the asker */
    struct loop_call back;
    struct request *next;
};

struct status {
    struct engine *engine;
    struct request *requests;
};

/* -- Requests --------------------------------------------------------------------------------------- */

static void request_free(struct request *r)
{
    for (size_t i = 0; i < r->count; i++) {
        rcstring_unref(r->inputs[i].alias);
        series_finish(&r->inputs[i].series);
    }
    for (size_t n = 0; n < r->share_count; n++)
        weir_json_finish(&r->shares[n].details);
    free(r->inputs);
    free(r->shares);
    free(r);
}

static void request_unlink(struct request *r)
{
    struct request **at = &r->status->requests;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
}

static void request_answer(struct request *r, char *json, size_t size)
{
    status_fn fn = r->fn;

    r->fn = NULL;
    if (fn)
        fn(r->data, json, size);
    else
        free(json);
}

/* -- The text --------------------------------------------------------------------------------------- */

static int compare_asked(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct asked *)a)->input,
              y = (uintptr_t)((const struct asked *)b)->input;

    return (x > y) - (x < y);
}

static struct status_details details_of(const struct request *r, struct input *in)
{
    const struct asked key = {.input = in};
    const struct asked *found = bsearch(&key, r->inputs, r->count, sizeof(key), compare_asked);

    if (!found || !found->size || strcmp(found->alias->chars, in->base.alias->chars) != 0)
        return (struct status_details){0};
    return (struct status_details){found->share->details.data + found->at, found->size};
}

static bool is_source(const struct input *in)
{
    return in->base.plugin->api.flags & WEIR_PLUGIN_SOURCE;
}

static void put_inputs(struct text_out *out, struct request *r, struct engine *e)
{
    text_key(out, "inputs");
    text_open(out, '[');
    for (struct input *in = e->inputs; in; in = in->next) {
        struct status_details details = {0};
        if (!is_source(in))
            details = details_of(r, in);
        status_put_input(out, in, details);
    }
    text_close(out, ']');
}

/* The sources of one plugin: a list that is named as the plugin is. */
static void put_sources_of(struct text_out *out, struct request *r, struct input *first)
{
    const struct plugin *plugin = first->base.plugin;

    text_key(out, plugin->api.name);
    text_open(out, '[');
    for (struct input *in = first; in; in = in->next)
        if (in->base.plugin == plugin)
            status_put_source(out, in, details_of(r, in));
    text_close(out, ']');
}

static void put_sources(struct text_out *out, struct request *r, struct engine *e)
{
    for (struct input *in = e->inputs; in; in = in->next) {
        bool seen = !is_source(in);
        for (struct input *before = e->inputs; !seen && before != in; before = before->next)
            seen = before->base.plugin == in->base.plugin;
        if (!seen)
            put_sources_of(out, r, in);
    }
}

/* NULL: no memory. */
static char *metrics_text(struct request *r, size_t *ret_size)
{
    struct series_list all = {0};
    char *text = NULL;
    FILE *f = open_memstream(&text, ret_size);

    if (!f)
        return NULL;
    for (size_t i = 0; i < r->count; i++)
        series_move(&all, &r->inputs[i].series);
    int rc = status_metrics(r->status->engine, f);
    series_write(&all, f);
    series_finish(&all);
    if (fclose(f) != 0 || rc < 0) {
        free(text);
        return NULL;
    }
    return text;
}

static char *status_text(struct request *r, size_t *ret_size)
{
    struct engine *e = r->status->engine;
    struct text_out out = {0};

    qsort(r->inputs, r->count, sizeof(*r->inputs), compare_asked);
    text_reserve(&out, r->count * USUAL_INPUT);
    text_open(&out, '{');
    status_put_head(&out, e);
    put_inputs(&out, r, e);
    text_key(&out, "outputs");
    text_open(&out, '[');
    for (struct output *o = e->outputs; o; o = o->next)
        status_put_output(&out, o);
    text_close(&out, ']');
    put_sources(&out, r, e);
    text_close(&out, '}');
    char *json = text_take(&out);
    *ret_size = json ? strlen(json) : 0;
    return json;
}

static void on_back(struct loop_call *call)
{
    struct request *r = LOOP_CALL_OF(call, struct request, back);
    size_t size = 0;

    char *text = r->metrics ? metrics_text(r, &size) : status_text(r, &size);
    request_answer(r, text, size);
    request_unlink(r);
    bool large = r->count >= MANY_INPUTS;
    request_free(r);
    if (large)
        process_give_back_end();
}

/* -- Asking ----------------------------------------------------------------------------------------- */

static void on_piece(void *data, const char *json, size_t size)
{
    struct asked *asked = data;

    if (weir_json_text(&asked->share->details, json, size))
        asked->failed = true;
}

static void on_series(void *data, enum weir_metric_kind kind, const char *name, const char *help,
                      const char *label, const char *label_value, double value)
{
    struct asked *asked = data;

    series_add(&asked->series, asked->input->base.plugin->api.name, asked->alias->chars, kind, name, help,
               label, label_value, value);
}

static void ask_series(struct asked *asked)
{
    const struct weir_series series = {.struct_size = sizeof(series), .put = on_series, .data = asked};
    struct input *in = asked->input;

    if (!in->running)
        return;
    struct callback_before before = callback_enter(in->base.alias, "series");
    int rc = in->base.plugin->api.series(in->base.self, &series);
    callback_leave(before);
    if (rc < 0 || asked->series.failed)
        series_finish(&asked->series);
}

static void ask_details(struct asked *asked, const struct status_page *page)
{
    const struct weir_details details = {.struct_size = sizeof(details),
                                         .offset = page->offset,
                                         .limit = page->limit,
                                         .write = on_piece,
                                         .data = asked,
                                         .worst_first = page->worst_first};
    struct input *in = asked->input;
    struct weir_json *all = &asked->share->details;

    if (!in->running)
        return;
    asked->at = all->size;
    struct callback_before before = callback_enter(in->base.alias, "details");
    int rc = in->base.plugin->api.details(in->base.self, &details);
    callback_leave(before);
    if (rc < 0 || asked->failed)
        all->size = asked->at;
    asked->size = all->size - asked->at;
}

/* Any thread. */
static void one_less(struct request *r)
{
    if (atomic_fetch_sub(&r->open, 1) == 1)
        loop_post_call(r->status->engine->control, &r->back);
}

/* On the loop of its inputs. */
static void on_share(struct loop_call *call)
{
    struct loop_share *share = LOOP_CALL_OF(call, struct loop_share, call);
    struct request *r = share->request;

    if (!r->metrics)
        weir_json_reserve(&share->details, share->count * USUAL_DETAILS);
    for (size_t i = 0; i < share->count; i++) {
        struct asked *asked = &r->inputs[share->first + i];
        if (r->metrics)
            ask_series(asked);
        else
            ask_details(asked, &r->page);
    }
    one_less(r);
}

/* Those that run on that loop, at the end of the request's list. An input that runs now is destroyed only
 * after what is posted to its loop now. */
static void take_inputs_of(struct loop_share *share, struct engine *e, const struct weir_loop *loop)
{
    struct request *r = share->request;

    for (struct input *in = e->inputs; in; in = in->next)
        if (in->loop == loop && (in->state == INPUT_RUNNING || in->state == INPUT_RETIRING) &&
            (r->metrics ? in->base.plugin->api.series != NULL : in->base.plugin->api.details != NULL))
            r->inputs[r->count++] =
                (struct asked){.input = in, .alias = rcstring_ref(in->base.alias), .share = share};
}

static struct request *request_create(struct status *s)
{
    struct engine *e = s->engine;
    struct request *r = calloc(1, sizeof(*r));
    size_t count = 0;

    if (!r)
        return NULL;
    for (struct input *in = e->inputs; in; in = in->next)
        count++;
    r->status = s;
    r->back = (struct loop_call){.fn = on_back};
    r->inputs = calloc(count + 1, sizeof(*r->inputs));
    r->shares = calloc(e->thread_count + 1, sizeof(*r->shares));
    if (!r->inputs || !r->shares) {
        request_free(r);
        return NULL;
    }
    return r;
}

static int ask(struct status *s, bool metrics, struct status_page page, status_fn fn, void *data)
{
    struct engine *e = s->engine;
    struct request *r = request_create(s);

    if (!r)
        return -ENOMEM;
    r->page = page;
    r->metrics = metrics;
    r->fn = fn;
    r->data = data;
    r->next = s->requests;
    s->requests = r;
    r->share_count = e->thread_count;
    atomic_store(&r->open, e->thread_count + 1);
    for (size_t n = 0; n < e->thread_count; n++) {
        struct loop_share *share = &r->shares[n];
        *share = (struct loop_share){.request = r, .first = r->count};
        share->call = (struct loop_call){.fn = on_share};
        take_inputs_of(share, e, e->threads[n].loop);
        share->count = r->count - share->first;
    }
    for (size_t n = 0; n < e->thread_count; n++) /* all is laid out before the first loop reads it */
        loop_post_call(e->threads[n].loop, &r->shares[n].call);
    one_less(r);
    return 0;
}

int status_ask(struct status *s, struct status_page page, status_fn fn, void *data)
{
    return ask(s, false, page, fn, data);
}

int status_ask_metrics(struct status *s, status_fn fn, void *data)
{
    return ask(s, true, (struct status_page){0}, fn, data);
}

struct status *status_create(struct engine *e)
{
    struct status *s = calloc(1, sizeof(*s));

    if (s)
        s->engine = e;
    return s;
}

void status_stop(struct status *s)
{
    for (struct request *r = s ? s->requests : NULL; r; r = r->next)
        request_answer(r, NULL, 0);
}

void status_destroy(struct status *s)
{
    struct request *next;

    for (struct request *r = s ? s->requests : NULL; r; r = next) {
        next = r->next;
        request_free(r);
    }
    free(s);
}
