/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kill points: named places in code where a test lets the process die by SIGKILL, as a machine that goes away
 * would.
 *
 *     WEIR_KILL_POINT("acme-after-commit");
 *
 * does nothing where WEIR_KILL_POINTS is not defined. Where it is (weir's own build, unless made with
 * -DWEIR_KILL_POINTS=OFF), it costs one load of a static and a branch that is never taken; keep it off the
 * way of a single line all the same. With WEIR_KILL_POINT=NAME[:NTH] in the environment the process kills
 * itself at the nth pass of that point. weir does not start when no loaded module has a point of that name,
 * and says which there are. A plugin begins its names with its own. Any thread.
 */
#ifndef WEIR_KILL_POINT_H
#define WEIR_KILL_POINT_H

#include <stddef.h>

#ifdef WEIR_KILL_POINTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct weir_kill_point {
    const char *name;
    unsigned long left; /* passes until it kills; 0: it is not the one that was asked for */
};

/* All points of this module: the linker gathers them, and names the ends. */
extern struct weir_kill_point *const __start_weir_kill_point_list[]
    __attribute__((weak, visibility("hidden")));
extern struct weir_kill_point *const __stop_weir_kill_point_list[]
    __attribute__((weak, visibility("hidden")));

/* For weir, which looks it up in each plugin by its name. */
struct weir_kill_point *const *weir_kill_points(size_t *ret_count)
    __attribute__((weak, visibility("default")));

struct weir_kill_point *const *weir_kill_points(size_t *ret_count)
{
    *ret_count = (size_t)(__stop_weir_kill_point_list - __start_weir_kill_point_list);
    return __start_weir_kill_point_list;
}

/* How many passes of the point `name` are asked for; 0: it is not asked for, or not in words that make sense.
 */
static inline unsigned long weir_kill_passes(const char *asked, const char *name)
{
    size_t size = strlen(name);
    char *end = NULL;

    if (!asked || strncmp(asked, name, size) != 0)
        return 0;
    if (!asked[size])
        return 1;
    unsigned long passes = asked[size] == ':' ? strtoul(asked + size + 1, &end, 10) : 0;
    return end && !*end ? passes : 0;
}

/* When the module is loaded, before any of its code runs. More than one file of a module does the same. */
__attribute__((constructor)) static void weir_kill_arm(void)
{
    size_t count;
    struct weir_kill_point *const *points = weir_kill_points(&count);
    const char *asked = getenv("WEIR_KILL_POINT");

    for (size_t n = 0; asked && n < count; n++)
        __atomic_store_n(&points[n]->left, weir_kill_passes(asked, points[n]->name), __ATOMIC_RELAXED);
}

static inline void weir_kill_pass(struct weir_kill_point *point)
{
    if (__builtin_expect(__atomic_load_n(&point->left, __ATOMIC_RELAXED) != 0, 0) &&
        __atomic_sub_fetch(&point->left, 1, __ATOMIC_RELAXED) == 0)
        kill(getpid(), SIGKILL);
}

#define WEIR_KILL_POINT(name_)                                                     \
    do {                                                                           \
        static struct weir_kill_point kill_point_ = {name_, 0};                    \
        static struct weir_kill_point *const kill_entry_                           \
            __attribute__((section("weir_kill_point_list"), used)) = &kill_point_; \
        weir_kill_pass(&kill_point_);                                              \
    } while (0)

#else
#define WEIR_KILL_POINT(name_) ((void)0)
#endif

#endif
