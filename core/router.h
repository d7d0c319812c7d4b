/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which outputs a (tag, topic) goes to. Routes are resolved once and shared; rules are added before the first
 * is asked for. Any thread.
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
    const char *tag, *topic; /* the route's own */
    size_t count;            /* 0: nothing matches */
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

/* With a reference for the caller. NULL: no memory. */
struct route *router_get(struct router *, const char *tag, const char *topic);
struct route *route_ref(struct route *);
void route_unref(struct route *); /* takes NULL */

/* `*` stands for any run of characters, also none and also dots. */
bool router_match_wildcard(const char *pattern, const char *text);

#endif
