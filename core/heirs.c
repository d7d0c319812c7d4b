/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes whose place. A new input without positions takes that of an identity that is no input's any more
 * where both are of one plugin, and would have the same identity without an alias, or follow one thing that
 * is the same or matches, as a.log and a glob that matches it. Not where two new inputs might: then neither
 * does.
 *
 * To go on is the safe guess. What a plugin is given there that is not its own, a file that it does not
 * follow, it leaves alone, and one that it does follow it would otherwise begin at its end, or read again.
 * Control thread.
 */
#include "heirs.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine_private.h"
#include "log.h"
#include "reload_private.h"
#include "text.h"

/* Identities that an input may go on from. */
struct heir {
    size_t count;
    char *former[];
};

void heirs_free(struct heir *heir)
{
    for (size_t i = 0; heir && i < heir->count; i++)
        free(heir->former[i]);
    free(heir);
}

/* An identity that is no input's any more, or soon will not be. */
struct former {
    char *identity;
    char *plain; /* as it would be without an alias, as far as that is known */
    bool has;    /* it has positions */
    bool taken;
};

/* An input that is new and has no positions. */
struct claimant {
    struct input *in;
    char *plain;
};

struct look {
    struct engine *engine;
    struct former *formers;
    struct claimant *claimants;
    size_t former_count, claimant_count;
    bool failed; /* no memory */
};

/* One that sends nothing has no other use. */
static bool is_source(const struct input *in)
{
    const struct weir_plugin *api = &in->base.plugin->api;

    return (api->flags & WEIR_PLUGIN_SOURCE) || !api->resume;
}

static void say(struct input *in, int level, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = text_format(format, args);
    va_end(args);
    if (text && in->fresh)
        reload_say(in->base.engine->reload, level, "input %s %s", in->base.alias->chars, text);
    else if (text)
        log_write(level, in->base.alias->chars, "%s", text);
    free(text);
}

/* -- What is related ---------------------------------------------------------------------------------- */

/* The next of the values after "plugin:", which have commas between them. */
static char *next_value(const char **at)
{
    size_t size = strcspn(*at, ",");
    char *value = size ? strndup(*at, size) : NULL;

    *at += size + ((*at)[size] == ',');
    return value;
}

static bool matches_any(const char *value, const char *others)
{
    bool found = false;

    while (value && *others && !found) {
        char *other = next_value(&others);
        found = other && (!fnmatch(value, other, 0) || !fnmatch(other, value, 0) || !strcmp(value, other));
        free(other);
    }
    return found;
}

/* Of the same plugin, and the same or with something in common. */
static bool is_related(const char *a, const char *b)
{
    size_t plugin = strcspn(a, ":") + 1;
    bool found = !strcmp(a, b);

    if (found || strncmp(a, b, plugin) != 0 || !a[plugin - 1])
        return found;
    for (const char *at = a + plugin; *at && !found;) {
        char *value = next_value(&at);
        found = matches_any(value, b + plugin);
        free(value);
    }
    return found;
}

static bool claims(const struct claimant *c, const struct former *f)
{
    return is_source(c->in) ? !strcmp(c->plain, f->plain) : is_related(c->plain, f->plain);
}

/* Whether it could be that nevertheless, which only who wrote the configuration knows: of the same plugin, or
 * an alias. */
static bool may_be(const struct claimant *c, const struct former *f)
{
    bool alias = !strpbrk(f->plain, ":/");

    return f->has && !f->taken && (alias || !strncmp(c->plain, f->plain, strcspn(c->plain, ":") + 1));
}

/* -- Who there is ------------------------------------------------------------------------------------- */

static const struct input *input_with(const struct engine *e, const char *identity, bool stopping)
{
    uint32_t hash = input_identity_hash(identity);
    const struct input *in = e->by_identity[hash % IDENTITY_BUCKETS];

    while (in && !(input_has_identity(in, identity, hash) && (stopping || in->state != INPUT_STOPPING)))
        in = in->next_of_hash;
    return in;
}

/* Takes both texts over. */
static void add_former(struct look *l, char *identity, char *plain, bool has)
{
    struct former *formers =
        identity && plain ? reallocarray(l->formers, l->former_count + 1, sizeof(*formers)) : NULL;

    if (!formers) {
        free(identity);
        free(plain);
        l->failed = true;
        return;
    }
    l->formers = formers;
    formers[l->former_count++] = (struct former){.identity = identity, .plain = plain, .has = has};
}

/* Inputs that stop, and whose identity no other one takes over. */
static void add_going(struct look *l)
{
    struct engine *e = l->engine;

    for (const struct input *in = e->inputs; in; in = in->next)
        if (!in->owner && in->section && in->state == INPUT_STOPPING && !input_with(e, in->identity, false))
            add_former(l, strdup(in->identity), input_plain_identity(in, in->section),
                       checkpoint_has_positions(e->checkpoint, in->identity));
}

/* Below a source's identity, its inputs have theirs. */
static bool is_below(const char *identity, const char *source)
{
    size_t size = strlen(source);

    return !strncmp(identity, source, size) && identity[size] == '/';
}

/* The first one that is below the claimant's, if that is a source without an alias any more: its name then.
 */
static void add_source(struct look *l, const struct claimant *c, const char *orphan)
{
    for (size_t i = 0; i < l->former_count; i++)
        if (!strcmp(l->formers[i].identity, c->plain))
            return;
    if (is_source(c->in) && is_below(orphan, c->plain) && !input_with(l->engine, c->plain, true))
        add_former(l, strdup(c->plain), strdup(c->plain), true);
}

struct kept {
    const char **identities;
    size_t count;
    bool failed;
};

static void note_kept(void *data, const char *identity)
{
    struct kept *kept = data;
    const char **more = reallocarray(kept->identities, kept->count + 1, sizeof(*more));

    kept->failed |= !more;
    if (!more)
        return;
    kept->identities = more;
    more[kept->count++] = identity;
}

static bool has_positions(const struct kept *kept, const struct input *in)
{
    if (!is_source(in))
        return checkpoint_has_positions(in->base.engine->checkpoint, in->identity);
    for (size_t i = 0; i < kept->count; i++)
        if (is_below(kept->identities[i], in->identity))
            return true;
    return false;
}

static void add_claimants(struct look *l, const struct kept *kept)
{
    for (struct input *in = l->engine->inputs; in; in = in->next) {
        if (in->owner || in->state != INPUT_CREATED || in->placed || has_positions(kept, in))
            continue;
        struct claimant *more = reallocarray(l->claimants, l->claimant_count + 1, sizeof(*more));
        char *plain = more ? input_plain_identity(in, in->section) : NULL;
        l->claimants = more ? more : l->claimants;
        l->failed |= !plain;
        if (plain)
            l->claimants[l->claimant_count++] = (struct claimant){in, plain};
    }
}

static void add_orphans(struct look *l, const struct kept *kept)
{
    for (size_t i = 0; i < kept->count; i++) {
        if (input_with(l->engine, kept->identities[i], true))
            continue;
        for (size_t n = 0; n < l->claimant_count; n++)
            add_source(l, &l->claimants[n], kept->identities[i]);
        add_former(l, strdup(kept->identities[i]), strdup(kept->identities[i]), true);
    }
}

/* -- Finding ------------------------------------------------------------------------------------------ */

static void add_to_heir(struct look *l, struct input *in, const struct former *f)
{
    size_t count = in->heir ? in->heir->count : 0;
    struct heir *heir = realloc(in->heir, sizeof(*heir) + (count + 1) * sizeof(char *));

    if (heir) {
        in->heir = heir;
        heir->former[count] = strdup(f->identity);
        heir->count = count + (heir->former[count] != NULL);
    }
    l->failed |= !heir || heir->count == count;
}

static void give(struct look *l, struct former *f)
{
    struct claimant *first = NULL, *second = NULL;

    for (size_t i = 0; i < l->claimant_count; i++) {
        if (!claims(&l->claimants[i], f))
            continue;
        second = first ? &l->claimants[i] : NULL;
        first = first ? first : &l->claimants[i];
        if (second)
            break;
    }
    f->taken = first && !second;
    if (f->taken)
        add_to_heir(l, first->in, f);
}

static void say_anew(const struct look *l, const struct claimant *c)
{
    const struct former *first = NULL;
    size_t others = 0;

    for (size_t i = 0; i < l->former_count; i++) {
        if (!may_be(c, &l->formers[i]))
            continue;
        others += first != NULL;
        first = first ? first : &l->formers[i];
    }
    if (!first)
        return;
    say(c->in, WEIR_LOG_WARN,
        "has no positions and begins anew, and those kept under '%s'%s are no input's any more: if it was to go "
        "on from there, give it that path or alias back",
        first->identity, others ? ", and under others," : "");
}

static void look_free(struct look *l)
{
    for (size_t i = 0; i < l->former_count; i++) {
        free(l->formers[i].identity);
        free(l->formers[i].plain);
    }
    for (size_t i = 0; i < l->claimant_count; i++)
        free(l->claimants[i].plain);
    free(l->formers);
    free(l->claimants);
}

void heirs_find(struct engine *e)
{
    struct look l = {.engine = e};
    struct kept kept = {0};

    checkpoint_each_input(e->checkpoint, note_kept, &kept);
    add_claimants(&l, &kept);
    if (l.claimant_count) {
        add_going(&l);
        add_orphans(&l, &kept);
    }
    for (size_t i = 0; i < l.former_count; i++)
        give(&l, &l.formers[i]);
    for (size_t i = 0; i < l.claimant_count; i++)
        if (!l.claimants[i].in->heir)
            say_anew(&l, &l.claimants[i]);
    if (l.failed || kept.failed)
        log_error("engine", "no memory to see which inputs go on from the positions of others");
    free(kept.identities);
    look_free(&l);
}

struct former_count {
    const struct engine *engine;
    size_t count;
};

static void count_former(void *data, const char *identity)
{
    struct former_count *formers = data;

    formers->count += !input_with(formers->engine, identity, true);
}

size_t heirs_count_former(const struct engine *e)
{
    struct former_count formers = {.engine = e};

    checkpoint_each_input(e->checkpoint, count_former, &formers);
    return formers.count;
}

/* -- Taking over -------------------------------------------------------------------------------------- */

bool heirs_must_wait(const struct engine *e, const struct input *in)
{
    for (size_t i = 0; in->heir && i < in->heir->count; i++)
        if (input_with(e, in->heir->former[i], true))
            return true;
    return false;
}

static void take(struct engine *e, struct input *in, const char *former)
{
    if (input_with(e, former, true)) /* it has come back meanwhile */
        return;
    size_t moved = checkpoint_move(e->checkpoint, former, in->identity);
    if (moved)
        say(in, WEIR_LOG_INFO, "goes on from the positions that were kept under '%s' (%zu)", former, moved);
}

static void take_below(struct engine *e, struct input *in, const struct heir *source)
{
    for (size_t i = 0; i < source->count; i++) {
        char *former;
        if (asprintf(&former, "%s/%s", source->former[i], in->id) < 0)
            continue;
        take(e, in, former);
        free(former);
    }
}

void heirs_take(struct engine *e, struct input *in)
{
    struct heir *heir = in->owner ? in->owner->heir : in->heir;

    if (!heir || is_source(in) || checkpoint_has_positions(e->checkpoint, in->identity))
        return;
    if (in->owner) {
        take_below(e, in, heir);
        return;
    }
    for (size_t i = 0; i < heir->count; i++)
        take(e, in, heir->former[i]);
}
