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
#include "status_text.h"

/* One input that was asked. */
struct asked {
    struct input *input; /* only to be compared, once the loop has answered */
    struct rcstring *alias;
    struct weir_json details; /* members without braces; empty: none */
    bool failed;              /* not all of it could be kept */
};

struct loop_share {
    struct loop_call call;
    struct request *request;
    size_t first, count; /* of request.inputs */
};

struct request {
    struct status *status;
    struct status_page page;
    status_fn fn; /* NULL: answered */
    void *data;
    struct asked *inputs;
    size_t count;
    struct loop_share *shares;
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
        weir_json_finish(&r->inputs[i].details);
    }
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

static const struct weir_json *details_of(const struct request *r, struct input *in)
{
    const struct asked key = {.input = in};
    const struct asked *found = bsearch(&key, r->inputs, r->count, sizeof(key), compare_asked);

    return found && found->details.size && !strcmp(found->alias->chars, in->base.alias->chars)
               ? &found->details
               : NULL;
}

static bool is_source(const struct input *in)
{
    return in->base.plugin->api.flags & WEIR_PLUGIN_SOURCE;
}

static void put_inputs(struct text_out *out, struct request *r, struct engine *e)
{
    text_key(out, "inputs");
    text_open(out, '[');
    for (struct input *in = e->inputs; in; in = in->next)
        status_put_input(out, in, is_source(in) ? NULL : details_of(r, in));
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

static void on_back(void *data)
{
    struct request *r = data;
    struct engine *e = r->status->engine;
    struct text_out out = {0};

    qsort(r->inputs, r->count, sizeof(*r->inputs), compare_asked);
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
    request_answer(r, json, json ? strlen(json) : 0);
    request_unlink(r);
    request_free(r);
}

/* -- Asking ----------------------------------------------------------------------------------------- */

static void on_piece(void *data, const char *json, size_t size)
{
    struct asked *asked = data;

    if (weir_json_text(&asked->details, json, size))
        asked->failed = true;
}

/* Any thread. */
static void one_less(struct request *r)
{
    if (atomic_fetch_sub(&r->open, 1) == 1)
        loop_post_call(r->status->engine->control, &r->back);
}

static int ask_details(struct input *in, const struct weir_details *details)
{
    struct callback_before before = callback_enter(in->base.alias, "details");
    int rc = in->base.plugin->api.details(in->base.self, details);

    callback_leave(before);
    return rc;
}

/* On the loop of its inputs. */
static void on_share(void *data)
{
    struct loop_share *share = data;
    struct request *r = share->request;

    for (size_t i = 0; i < share->count; i++) {
        struct asked *asked = &r->inputs[share->first + i];
        const struct weir_details details = {.struct_size = sizeof(details),
                                             .offset = r->page.offset,
                                             .limit = r->page.limit,
                                             .write = on_piece,
                                             .data = asked,
                                             .worst_first = r->page.worst_first};
        struct input *in = asked->input;
        if (!in->running || ask_details(in, &details) < 0 || asked->failed)
            asked->details.size = 0;
    }
    one_less(r);
}

/* Those that run on that loop, at the end of the request's list. An input that runs now is destroyed only
 * after what is posted to its loop now. */
static void take_inputs_of(struct request *r, struct engine *e, const struct weir_loop *loop)
{
    for (struct input *in = e->inputs; in; in = in->next)
        if (in->loop == loop && in->state == INPUT_RUNNING && in->base.plugin->api.details)
            r->inputs[r->count++] = (struct asked){.input = in, .alias = rcstring_ref(in->base.alias)};
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
    r->back = (struct loop_call){.fn = on_back, .data = r};
    r->inputs = calloc(count + 1, sizeof(*r->inputs));
    r->shares = calloc(e->thread_count + 1, sizeof(*r->shares));
    if (!r->inputs || !r->shares) {
        request_free(r);
        return NULL;
    }
    return r;
}

int status_ask(struct status *s, struct status_page page, status_fn fn, void *data)
{
    struct engine *e = s->engine;
    struct request *r = request_create(s);

    if (!r)
        return -ENOMEM;
    r->page = page;
    r->fn = fn;
    r->data = data;
    r->next = s->requests;
    s->requests = r;
    atomic_store(&r->open, e->thread_count + 1);
    for (size_t n = 0; n < e->thread_count; n++) {
        struct loop_share *share = &r->shares[n];
        *share = (struct loop_share){.request = r, .first = r->count};
        share->call = (struct loop_call){.fn = on_share, .data = share};
        take_inputs_of(r, e, e->threads[n].loop);
        share->count = r->count - share->first;
    }
    for (size_t n = 0; n < e->thread_count; n++) /* all is laid out before the first loop reads it */
        loop_post_call(e->threads[n].loop, &r->shares[n].call);
    one_less(r);
    return 0;
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
