/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says at the start which kill point the process is going to die at, and refuses a name that none has: a test
 * that waits for a death which can't come would prove nothing. Control thread.
 */
#include "kill_point.h"

#include <stdlib.h>
#include <weir/kill_point.h>
#include "log.h"

#ifdef WEIR_KILL_POINTS

#include <dlfcn.h>
#include <stdio.h>

/* Whether one of a module's is meant; their names are added to the list of all. */
static bool look(struct weir_kill_point *const *points, size_t count, const char *asked, FILE *names)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found |= weir_kill_passes(asked, points[i]->name) > 0;
        fprintf(names, " %s", points[i]->name);
    }
    return found;
}

static bool look_everywhere(const struct registry *registry, const char *asked, FILE *names)
{
    size_t count;
    struct weir_kill_point *const *points = weir_kill_points(&count);
    bool found = look(points, count, asked, names);
    const struct plugin *plugin;
    for (size_t i = 0; (plugin = registry_at(registry, i)); i++) {
        struct weir_kill_point *const *(*theirs)(size_t *);
        *(void **)&theirs = dlsym(plugin->handle, "weir_kill_points");
        if (theirs && theirs != weir_kill_points) {
            points = theirs(&count);
            found |= look(points, count, asked, names);
        }
    }
    return found;
}

void kill_point_check(const struct registry *registry, struct problems *problems)
{
    const char *asked = getenv("WEIR_KILL_POINT");
    char *text = NULL;
    size_t size;
    FILE *names = asked ? open_memstream(&text, &size) : NULL;
    if (!names)
        return;
    bool found = look_everywhere(registry, asked, names);
    if (fclose(names) == 0 && !found)
        problem_error(problems, NULL,
                      "WEIR_KILL_POINT=%s: there is no such point; it is NAME or NAME:NTH, of these:%s",
                      asked, text);
    else
        log_warn("engine", "weir kills itself at kill point %s, as WEIR_KILL_POINT asks for", asked);
    free(text);
}

#else

void kill_point_check(const struct registry *registry, struct problems *problems)
{
    (void)registry;
    if (getenv("WEIR_KILL_POINT"))
        problem_error(problems, NULL, "WEIR_KILL_POINT is set, but this weir was built without kill points");
}

#endif
