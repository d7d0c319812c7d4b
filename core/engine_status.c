/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status for an input that asks: from its loop to the control thread, where it is made, and back. An
 * input with an open request is not destroyed.
 */
#include <errno.h>
#include <stdlib.h>
#include "engine_private.h"

struct inquiry {
    struct input *input;
    uint64_t limit;
    weir_status_fn fn;
    void *data;
    char *json; /* NULL: there is none */
    size_t size;
};

/* On the input's loop. */
static void answer(void *data)
{
    struct inquiry *q = data;

    if (q->input->running)
        q->fn(q->data, q->json, q->size);
    free(q->json);
    free(q);
}

/* Control thread. Takes json over. */
static void give(void *data, char *json, size_t size)
{
    struct inquiry *q = data;

    q->json = json;
    q->size = size;
    q->input->asking--;
    q->input->gave_set = true;
    struct input *in = q->input;
    if (loop_post(in->loop, answer, q) < 0) {
        free(json);
        free(q);
    }
    if (in->lingers && !in->asking)
        input_go_round(in);
}

/* Control thread. */
static void begin(void *data)
{
    struct inquiry *q = data;
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
    *q = (struct inquiry){.input = in, .limit = limit, .fn = fn, .data = data};
    int rc = loop_post(engine_control(in->base.engine), begin, q);
    if (rc < 0)
        free(q);
    return rc;
}
