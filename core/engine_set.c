/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of inputs from a plugin that is a source of configuration. The request is copied on the source's loop,
 * applied on the control thread, and answered on the loop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "callback.h"
#include "engine_private.h"
#include "engine_spec.h"
#include "log.h"
#include "process.h"
#include "sandbox.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    LARGE_SET = 256, /* inputs; a smaller one leaves nothing worth the while */
    MOST_DOUBLED = 8 /* times that the wait for another start is */
};
static const uint64_t TIDY_AFTER = 2000000000; /* ns without another set */

struct set_request {
    struct input *owner;
    struct specs specs;
    struct weir_refusal *refusals; /* room for all of them */
    weir_applied_fn done;
    void *data;
    struct loop_call call;
};

static void request_free(struct set_request *r)
{
    if (!r)
        return;
    specs_clear(&r->specs);
    free(r->refusals);
    free(r);
}

/* -- Answering -------------------------------------------------------------------------------------- */

/* On the owner's loop. */
static void answer(struct loop_call *call)
{
    struct set_request *r = LOOP_CALL_OF(call, struct set_request, call);
    size_t count = 0;

    for (size_t i = 0; i < r->specs.count; i++)
        if (r->specs.list[i].refusal)
            r->refusals[count++] = (struct weir_refusal){.index = i, .reason = r->specs.list[i].refusal};
    if (r->done && r->owner->running) {
        struct callback_before before = callback_enter(r->owner->base.alias, "applied");
        r->done(r->data, r->refusals, count);
        callback_leave(before);
    }
    request_free(r);
}

/* -- Applying --------------------------------------------------------------------------------------- */

/* The inputs of one owner by their ids. */
struct owned {
    struct input **slots;
    size_t mask;
};

/* The slot that has this id, or the free one for it. */
static struct input **slot_of(const struct owned *o, const char *id)
{
    size_t at = (size_t)XXH3_64bits(id, strlen(id)) & o->mask;

    while (o->slots[at] && strcmp(o->slots[at]->id, id) != 0)
        at = (at + 1) & o->mask;
    return &o->slots[at];
}

/* Nothing of it is wanted any more, until a spec says so. 0 or -ENOMEM. */
static int collect_owned(struct engine *e, const struct input *owner, struct owned *ret)
{
    size_t count = 0;

    for (struct input *in = e->inputs; in; in = in->next)
        count += in->owner == owner;
    ret->mask = 1;
    while (ret->mask < 2 * count)
        ret->mask = 2 * ret->mask + 1;
    ret->slots = calloc(ret->mask + 1, sizeof(struct input *));
    if (!ret->slots)
        return -ENOMEM;
    for (struct input *in = e->inputs; in; in = in->next) {
        if (in->owner != owner)
            continue;
        in->wanted = false;
        struct input **slot = slot_of(ret, in->id);
        if (!*slot || (*slot)->state == INPUT_STOPPING) /* one that runs comes first */
            *slot = in;
    }
    return 0;
}

static struct input *find_owned(const struct owned *o, const char *id)
{
    return *slot_of(o, id);
}

static char *join_problems(const struct problems *p)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return strdup("refused");
    bool first = true;
    for (size_t i = 0; i < p->count; i++) {
        if (p->items[i].warning)
            continue;
        fprintf(f, "%s%s", first ? "" : "; ", p->items[i].text);
        first = false;
    }
    if (fclose(f) != 0) {
        free(text);
        return strdup("refused");
    }
    return text;
}

/* "a/b". Not by asprintf, which takes more first: of ten thousand that leaves as many holes. */
static char *join(const char *a, const char *b)
{
    size_t size = strlen(a), more = strlen(b) + 1;
    char *text = malloc(size + 1 + more);

    if (text) {
        memcpy(text, a, size);
        text[size] = '/';
        memcpy(text + size + 1, b, more);
    }
    return text;
}

/* Its identity is the owner's and the id: an alias or an option may change and the positions stay. */
static int take_over(struct input *in, struct input *owner, const char *id)
{
    char *identity = join(owner->identity, id);

    if (!identity)
        return -ENOMEM;
    input_set_identity(in, identity);
    in->id = identity + strlen(owner->identity) + 1;
    in->owner = owner;
    in->wanted = true;
    return 0;
}

/* What is kept of its spec. Where it stood, which its origin is, may change in every set. */
static int take_settings(struct input *in, const struct spec *s)
{
    in->base.origin = (struct origin){0};
    in->settings = spec_share(&s->settings, s->id);
    return in->settings ? 0 : -ENOMEM;
}

static struct input *create_with(struct engine *e, struct input *owner, const struct spec *s,
                                 const struct plugin *plugin, struct problems *problems)
{
    char *alias = join(owner->base.alias->chars, s->id);
    struct section *section = spec_section(&s->settings, s->origin);
    struct input *in = NULL;

    if (section && alias)
        in = input_create(e, plugin, section, alias, problems);
    free(alias);
    spec_section_free(section);
    if (in && (take_over(in, owner, s->id) < 0 || take_settings(in, s) < 0)) {
        input_destroy(in);
        in = NULL;
    }
    return in;
}

/* plugin NULL: what the registry has under that name. */
static struct input *create_owned(struct engine *e, struct input *owner, const struct spec *s,
                                  const struct plugin *plugin, struct problems *problems)
{
    const char *name = s->settings.bytes + sizeof("name");
    char *why = NULL;

    if (!plugin)
        plugin = registry_find(e->registry, WEIR_INPUT, name, &why);
    if (!plugin)
        problem_error(problems, NULL, "%s", why ? why : "no memory");
    free(why);
    struct input *in = plugin ? create_with(e, owner, s, plugin, problems) : NULL;
    if (!in && problems->errors == 0)
        problem_error(problems, NULL, "no memory");
    return in;
}

/* An alias or a route that the whole configuration does not allow. The one it replaces may have the same
 * alias. */
static bool fits_in(struct engine *e, const struct input *in, const struct input *replaced,
                    struct problems *problems)
{
    const char *alias = in->base.alias->chars;

    if (in->options->alias && engine_find_alias(e, alias) &&
        (!replaced || strcmp(replaced->base.alias->chars, alias) != 0))
        problem_error(problems, NULL, "alias '%s' is there already", alias);
    struct route *route = router_get(e->router, input_tag(in), input_topic(in));
    if (route && route->count == 0 && plugin_needs_output(in->base.plugin) && !strchr(input_tag(in), '*'))
        problem_error(problems, NULL, "no output matches tag '%s' and topic '%s'", input_tag(in),
                      input_topic(in));
    if (route && route->keepers > 1)
        problem_error(problems, NULL, "%zu outputs that keep positions match tag '%s': not more than one can",
                      route->keepers, input_tag(in));
    route_unref(route);
    sandbox_admits(e->sandbox, &in->base, input_options, in->options, problems);
    return problems->errors == 0;
}

/* What is there stays in force where the new spec is refused. */
static void apply_spec(struct engine *e, struct input *owner, struct spec *s, const struct owned *owned)
{
    struct input *old = find_owned(owned, s->id);
    struct input *running = old && old->state != INPUT_STOPPING ? old : NULL;
    struct problems problems = {0};

    if (running && spec_shared_is(running->settings, running->id, &s->settings)) {
        running->wanted = true;
        return;
    }
    struct input *in = create_owned(e, owner, s, NULL, &problems);
    if (in && !fits_in(e, in, running, &problems)) {
        input_destroy(in);
        in = NULL;
    }
    if (!in) {
        spec_refuse(s, join_problems(&problems));
        if (running)
            running->wanted = true;
    } else {
        input_drop_config(in); /* not before all that looks at it has */
        in->held = old != NULL;
        engine_add_input(e, in);
    }
    problems_clear(&problems);
}

/* Stops what is not wanted any more, and starts what is new. Returns how many those are. */
static size_t sweep(struct engine *e, struct input *owner)
{
    struct input *next;
    size_t changes = 0;

    for (struct input *in = e->inputs; in; in = next) {
        next = in->next;
        if (in->owner != owner)
            continue;
        if (!in->wanted && in->state == INPUT_CREATED) {
            engine_remove_input(e, in);
        } else if (!in->wanted && in->state != INPUT_STOPPING) {
            engine_stop_owned(e, in);
            next = in->next; /* it may have been one of those */
            input_retire(in);
            changes++;
        } else if (in->wanted && in->state == INPUT_CREATED && !in->placed) {
            in->placed = true;
            engine_start_input(e, in);
            changes++;
        }
    }
    return changes;
}

static void tidy_loop(void *data)
{
    (void)data;
    process_give_back();
}

/* Returns how many inputs came or went. Without memory nothing does, and all are refused. */
static size_t apply_all(struct engine *e, struct input *owner, struct specs *specs)
{
    struct owned owned = {0};
    bool ready = specs_check_ids(specs) == 0 && collect_owned(e, owner, &owned) == 0;

    for (size_t i = 0; i < specs->count; i++) {
        struct spec *s = &specs->list[i];
        if (s->refusal)
            continue;
        if (ready)
            apply_spec(e, owner, s, &owned);
        else
            spec_refuse(s, NULL);
    }
    free(owned.slots);
    return ready ? sweep(e, owner) : 0;
}

/* Control thread. */
static void apply(struct loop_call *call)
{
    struct set_request *r = LOOP_CALL_OF(call, struct set_request, call);
    struct input *owner = r->owner;
    struct engine *e = owner->base.engine;
    size_t changes = 0;

    if (e->phase == ENGINE_RUNNING && owner->state != INPUT_STOPPING)
        changes = apply_all(e, owner, &r->specs);
    if (r->specs.count >= LARGE_SET)
        loop_timer_set(e->tidy_timer, TIDY_AFTER, 0);
    owner->gave_set = owner->owns = true;
    r->call.fn = answer;
    loop_post_call(owner->loop, &r->call);
    if (changes >= LARGE_SET)
        loop_post(owner->loop, tidy_loop, NULL); /* what came from the source was large, too */
}

void engine_on_tidy_timer(void *data)
{
    struct engine *e = data;

    process_give_back();
    for (size_t i = 0; i < e->thread_count; i++)
        loop_post(e->threads[i].loop, tidy_loop, NULL);
}

int engine_set_inputs(struct input *owner, const struct weir_input_spec *specs, uint32_t spec_size,
                      size_t count, weir_applied_fn done, void *data)
{
    struct set_request *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    *r = (struct set_request){.owner = owner, .done = done, .data = data, .call.fn = apply};
    r->refusals = calloc(count + 1, sizeof(*r->refusals));
    int rc = specs_copy(&r->specs, specs, spec_size, count);
    if (rc < 0 || !r->refusals) {
        request_free(r);
        return -ENOMEM;
    }
    loop_post_call(engine_control(owner->base.engine), &r->call);
    return 0;
}

void engine_stop_owned(struct engine *e, const struct input *owner)
{
    struct input *next;

    for (struct input *in = owner->owns ? e->inputs : NULL; in; in = next) {
        next = in->next;
        if (in->owner != owner || in->state == INPUT_STOPPING)
            continue;
        if (in->state == INPUT_CREATED)
            engine_remove_input(e, in);
        else
            input_retire(in);
    }
}

/* -- Making one anew -------------------------------------------------------------------------------- */

/* Held until `in` has stopped, which the caller sees to. NULL after saying in *ret_why (freed by the caller,
 * or NULL) why it can't be made. */
static struct input *make_anew(struct engine *e, struct input *in, const struct plugin *plugin,
                               char **ret_why)
{
    struct spec s = {.id = in->id, .origin = in->base.alias->chars};
    struct problems problems = {0};
    struct input *next = NULL;

    if (spec_shared_text(in->settings, in->id, &s.settings) == 0)
        next = create_owned(e, in->owner, &s, plugin, &problems);
    else
        problem_error(&problems, NULL, "no memory");
    free((char *)s.settings.bytes);
    if (next) {
        input_drop_config(next);
        next->held = next->placed = true;
    } else {
        *ret_why = join_problems(&problems);
    }
    problems_clear(&problems);
    return next;
}

bool engine_renew_owned(struct engine *e, struct input *in, const struct plugin *plugin)
{
    char *why = NULL;
    struct input *next = make_anew(e, in, plugin, &why);

    if (next) {
        next->fresh = true;
        engine_add_input(e, next);
        engine_start_input(e, next);
    } else {
        log_error(in->base.alias->chars, "can't be made with version %s of its plugin: %s",
                  plugin->api.version ? plugin->api.version : "?", why ? why : "no memory");
    }
    free(why);
    return next;
}

/* -- Starting again --------------------------------------------------------------------------------- */

void engine_start_again(struct engine *e, struct input *in)
{
    unsigned seconds = 1u << (in->failed_starts < MOST_DOUBLED ? in->failed_starts : MOST_DOUBLED);
    uint64_t wait = seconds * UINT64_C(1000000000), at = loop_now() + wait;

    in->state = INPUT_FAILED;
    in->failed_starts += in->failed_starts < UINT8_MAX;
    log_warn(in->base.alias->chars, "it is left out, and all others go on: it is tried again in %u s",
             seconds);
    if (e->again_at && e->again_at <= at)
        return;
    e->again_at = at;
    loop_timer_set(e->again_timer, wait, 0);
}

static void start_again(struct engine *e, struct input *in)
{
    char *why = NULL;
    struct input *next = make_anew(e, in, NULL, &why);

    if (next) {
        next->failed_starts = in->failed_starts;
        engine_add_input(e, next);
        engine_start_input(e, next);
        input_stop(in);
    } else {
        log_error(in->base.alias->chars, "can't be made again: %s", why ? why : "no memory");
        engine_start_again(e, in);
    }
    free(why);
}

/* Those whose time has not come are tried along. */
void engine_on_again_timer(void *data)
{
    struct engine *e = data;

    e->again_at = 0;
    for (struct input *in = e->phase == ENGINE_RUNNING ? e->inputs : NULL; in; in = in->next)
        if (in->state == INPUT_FAILED)
            start_again(e, in);
}
