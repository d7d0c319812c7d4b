/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status for an input that asks: from its loop to the control thread, where it is made, and back, which
 * needs no memory: who asks waits for the answer. An input with an open request is not destroyed.
 */
#include <errno.h>
#include <stdlib.h>
#include "callback.h"
#include "engine_private.h"

struct inquiry {
    struct loop_call call; /* to the control thread, then back */
    struct input *input;
    uint64_t limit;
    weir_status_fn fn;
    void *data;
    char *json; /* NULL: there is none */
    size_t size;
};

/* On the input's loop. */
static void answer(struct loop_call *call)
{
    struct inquiry *q = LOOP_CALL_OF(call, struct inquiry, call);

    if (q->input->running) {
        struct callback_before before = callback_enter(q->input->base.alias, "status");
        q->fn(q->data, q->json, q->size);
        callback_leave(before);
    }
    free(q->json);
    free(q);
}

/* Control thread. Takes json over. */
static void give(void *data, char *json, size_t size)
{
    struct inquiry *q = data;
    struct input *in = q->input;

    q->json = json;
    q->size = size;
    in->asking--;
    in->gave_set = true;
    q->call = (struct loop_call){.fn = answer};
    loop_post_call(in->loop, &q->call);
    if (in->lingers && !in->asking)
        input_go_round(in);
}

/* Control thread. */
static void begin(struct loop_call *call)
{
    struct inquiry *q = LOOP_CALL_OF(call, struct inquiry, call);
    struct engine *e = q->input->base.engine;
    struct status_page page = {.limit = q->limit, .worst_first = true};

    bool most = ++q->input->asking == UINT16_MAX; /* that can be counted */
    if (most || e->phase != ENGINE_RUNNING || status_ask(e->shown, page, give, q) < 0)
        give(q, NULL, 0);
}

int engine_ask_status(struct input *in, uint64_t limit, weir_status_fn fn, void *data)
{
    struct inquiry *q = malloc(sizeof(*q));

    if (!q)
        return -ENOMEM;
    *q = (struct inquiry){.call = {.fn = begin}, .input = in, .limit = limit, .fn = fn, .data = data};
    loop_post_call(engine_control(in->base.engine), &q->call);
    return 0;
}
