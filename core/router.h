/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which outputs a (tag, topic) goes to. Routes are resolved once for each set of rules, and shared. Any
 * thread, but rules are added before the first route is asked for.
 */
#ifndef WEIR_CORE_ROUTER_H
#define WEIR_CORE_ROUTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct output;
struct router;

/* The set of outputs of one (tag, topic). Counted. */
struct route {
    atomic_uint refs;
    unsigned generation; /* of the rules that it was resolved by */
    void (*release)(struct output *);
    const char *tag, *topic; /* the route's own */
    size_t count;            /* 0: nothing matches */
    size_t keepers;          /* how many of them keep positions */
    struct output *outputs[];
};

struct router *router_create(void);
void router_destroy(struct router *); /* takes NULL; routes still held stay valid */

/*
 * Records whose tag matches the wildcard `match` or the regular expression `match_regex`, and whose topic
 * matches the wildcard `match_topic`, go to `output`. NULL: no such condition; neither match nor match_regex:
 * any tag. 0, -ENOMEM, or -EINVAL with *ret_error (caller frees) for a bad regular expression.
 */
int router_add(struct router *, struct output *, const char *match, const char *match_regex,
               const char *match_topic, char **ret_error);

/*
 * `hold` is called for each output of a route that is made, on any thread with the router's lock held;
 * `release` for each when the last reference of the route goes, on any thread. Without it, outputs must
 * outlive the routes. Before the first route.
 */
void router_hold_outputs(struct router *, void (*hold)(struct output *), void (*release)(struct output *));
/* Which outputs count as keepers of positions. Before the first route. */
void router_tell_keepers(struct router *, bool (*keeps)(const struct output *));

/* From now on the rules of `next` are in force; it is left without any. Routes are resolved anew. */
void router_take_rules(struct router *, struct router *next);
/* Whether the rules that it was resolved by are still in force. */
bool router_is_current(const struct router *, const struct route *);

/* With a reference for the caller. NULL: no memory. */
struct route *router_get(struct router *, const char *tag, const char *topic);
struct route *route_ref(struct route *);
void route_unref(struct route *); /* takes NULL */

/* `*` stands for any run of characters, also none and also dots. */
bool router_match_wildcard(const char *pattern, const char *text);

#endif
