/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules and the table of resolved routes. The table grows until the rules change: the number of (tag, topic)
 * pairs is what bounds it. One lock, taken once a chunk at most (an input keeps the route that it used last).
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "router.h"
#include <errno.h>
#include <pcre2.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    struct output *output;
    char *match, *match_topic;
    pcre2_code *regex;
    struct rule *next;
};

struct slot {
    struct route *route;
    struct slot *next;
};

enum { BUCKETS = 256 };

struct router {
    pthread_mutex_t lock;
    struct rule *rules, **rules_end;
    size_t rule_count;
    pcre2_match_data *match_data;
    struct slot *buckets[BUCKETS];
    atomic_uint generation; /* of the rules */
    void (*hold)(struct output *);
    void (*release)(struct output *);
    bool (*keeps)(const struct output *);
};

struct router *router_create(void)
{
    struct router *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->match_data = pcre2_match_data_create(1, NULL);
    if (!r->match_data) {
        free(r);
        return NULL;
    }
    pthread_mutex_init(&r->lock, NULL);
    r->rules_end = &r->rules;
    return r;
}

static void rule_free(struct rule *rule)
{
    pcre2_code_free(rule->regex);
    free(rule->match);
    free(rule->match_topic);
    free(rule);
}

static void drop_rules(struct router *r)
{
    while (r->rules) {
        struct rule *rule = r->rules;
        r->rules = rule->next;
        rule_free(rule);
    }
    r->rules_end = &r->rules;
    r->rule_count = 0;
}

static void drop_routes(struct slot *buckets[])
{
    for (int i = 0; i < BUCKETS; i++) {
        while (buckets[i]) {
            struct slot *s = buckets[i];
            buckets[i] = s->next;
            route_unref(s->route);
            free(s);
        }
    }
}

void router_destroy(struct router *r)
{
    if (!r)
        return;
    drop_rules(r);
    drop_routes(r->buckets);
    pcre2_match_data_free(r->match_data);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void router_hold_outputs(struct router *r, void (*hold)(struct output *), void (*release)(struct output *))
{
    r->hold = hold;
    r->release = release;
}

static void swap_rules(struct router *a, struct router *b)
{
    struct rule *rules = a->rules, **end = a->rules_end;
    size_t count = a->rule_count;

    a->rules = b->rules;
    a->rules_end = b->rules ? b->rules_end : &a->rules;
    a->rule_count = b->rule_count;
    b->rules = rules;
    b->rules_end = rules ? end : &b->rules;
    b->rule_count = count;
}

void router_tell_keepers(struct router *r, bool (*keeps)(const struct output *))
{
    r->keeps = keeps;
}

void router_take_rules(struct router *r, struct router *next)
{
    struct slot *old[BUCKETS];

    pthread_mutex_lock(&r->lock);
    swap_rules(r, next);
    memcpy(old, r->buckets, sizeof(old));
    memset(r->buckets, 0, sizeof(r->buckets));
    atomic_fetch_add(&r->generation, 1);
    pthread_mutex_unlock(&r->lock);
    drop_routes(old);
    drop_rules(next);
}

bool router_is_current(const struct router *r, const struct route *route)
{
    return route->generation == atomic_load_explicit(&r->generation, memory_order_acquire);
}

static int compile(const char *pattern, pcre2_code **ret, char **ret_error)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *regex = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);

    if (regex) {
        *ret = regex;
        return 0;
    }
    char text[160];
    pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text));
    if (asprintf(ret_error, "'%s' is no regular expression: %s at character %zu", pattern, text,
                 (size_t)at + 1) < 0) {
        *ret_error = NULL;
        return -ENOMEM;
    }
    return -EINVAL;
}

int router_add(struct router *r, struct output *output, const char *match, const char *match_regex,
               const char *match_topic, char **ret_error)
{
    struct rule *rule = calloc(1, sizeof(*rule));
    int rc = rule ? 0 : -ENOMEM;

    if (rc == 0 && match_regex)
        rc = compile(match_regex, &rule->regex, ret_error);
    if (rc == 0 && match && !(rule->match = strdup(match)))
        rc = -ENOMEM;
    if (rc == 0 && match_topic && !(rule->match_topic = strdup(match_topic)))
        rc = -ENOMEM;
    if (rc < 0) {
        if (rule)
            rule_free(rule);
        return rc;
    }
    rule->output = output;
    *r->rules_end = rule;
    r->rules_end = &rule->next;
    r->rule_count++;
    return 0;
}

bool router_match_wildcard(const char *pattern, const char *text)
{
    const char *star = NULL, *mark = NULL;

    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            mark = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++mark;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool rule_matches(const struct router *r, const struct rule *rule, const char *tag, const char *topic)
{
    if (rule->match_topic && !router_match_wildcard(rule->match_topic, topic))
        return false;
    if (!rule->match && !rule->regex)
        return true;
    if (rule->match && router_match_wildcard(rule->match, tag))
        return true;
    return rule->regex &&
           pcre2_match(rule->regex, (PCRE2_SPTR)tag, PCRE2_ZERO_TERMINATED, 0, 0, r->match_data, NULL) >= 0;
}

/* FNV-1a over both, with the terminating zero of the tag between them. */
static unsigned hash(const char *tag, const char *topic)
{
    uint32_t h = 2166136261u;

    for (const char *p = tag; *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619u;
    h *= 16777619u;
    for (const char *p = topic; *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619u;
    return h % BUCKETS;
}

static struct route *resolve(const struct router *r, const char *tag, const char *topic)
{
    size_t tag_size = strlen(tag) + 1, topic_size = strlen(topic) + 1;
    size_t fixed = sizeof(struct route) + r->rule_count * sizeof(struct output *);
    struct route *route = malloc(fixed + tag_size + topic_size);

    if (!route)
        return NULL;
    atomic_init(&route->refs, 1);
    char *strings = (char *)route + fixed;
    route->tag = memcpy(strings, tag, tag_size);
    route->topic = memcpy(strings + tag_size, topic, topic_size);
    route->count = 0;
    for (const struct rule *rule = r->rules; rule; rule = rule->next)
        if (rule_matches(r, rule, tag, topic))
            route->outputs[route->count++] = rule->output;
    route->generation = atomic_load(&r->generation);
    route->release = r->release;
    route->keepers = 0;
    for (size_t i = 0; r->keeps && i < route->count; i++)
        route->keepers += r->keeps(route->outputs[i]);
    for (size_t i = 0; r->hold && i < route->count; i++)
        r->hold(route->outputs[i]);
    return route;
}

static struct route *find_or_resolve(struct router *r, const char *tag, const char *topic)
{
    struct slot **bucket = &r->buckets[hash(tag, topic)];

    for (struct slot *s = *bucket; s; s = s->next)
        if (!strcmp(s->route->tag, tag) && !strcmp(s->route->topic, topic))
            return s->route;
    struct slot *s = malloc(sizeof(*s));
    struct route *route = s ? resolve(r, tag, topic) : NULL;
    if (!route) {
        free(s);
        return NULL;
    }
    *s = (struct slot){.route = route, .next = *bucket};
    *bucket = s;
    return route;
}

struct route *router_get(struct router *r, const char *tag, const char *topic)
{
    pthread_mutex_lock(&r->lock);
    struct route *route = find_or_resolve(r, tag, topic);
    if (route)
        route_ref(route);
    pthread_mutex_unlock(&r->lock);
    return route;
}

struct route *route_ref(struct route *route)
{
    atomic_fetch_add_explicit(&route->refs, 1, memory_order_relaxed);
    return route;
}

void route_unref(struct route *route)
{
    if (!route || atomic_fetch_sub_explicit(&route->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; route->release && i < route->count; i++)
        route->release(route->outputs[i]);
    free(route);
}
