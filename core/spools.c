/* SPDX-License-Identifier: Apache-2.0 */
/* The list of open spools, and a look for those that no input is of. Any thread; one lock. */
#include "spools.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "log.h"

struct open_spool {
    struct spool *spool;
    struct open_spool *next;
};

struct spools {
    pthread_mutex_t lock;
    struct open_spool *first;
};

struct spools *spools_create(void)
{
    struct spools *all = calloc(1, sizeof(*all));

    if (all)
        pthread_mutex_init(&all->lock, NULL);
    return all;
}

/* One that is open, with its new settings. */
static struct spool *find(struct spools *all, const struct spool_settings *settings)
{
    struct spool *found = NULL;

    pthread_mutex_lock(&all->lock);
    for (struct open_spool *o = all->first; o && !found; o = o->next)
        if (!strcmp(spool_identity(o->spool), settings->identity))
            found = o->spool;
    if (found)
        spool_set(found, settings->who, settings->limit);
    pthread_mutex_unlock(&all->lock);
    return found;
}

/* Without the lock: it may take long, and whoever ends weir wants to flush the others. */
static int add(struct spools *all, const struct spool_settings *settings, struct spool **ret,
               char **ret_error)
{
    struct open_spool *o = calloc(1, sizeof(*o));
    int rc = o ? spool_open(settings, &o->spool, ret_error) : -ENOMEM;

    if (rc < 0) {
        free(o);
        return rc;
    }
    *ret = o->spool;
    pthread_mutex_lock(&all->lock);
    o->next = all->first;
    all->first = o;
    pthread_mutex_unlock(&all->lock);
    return 0;
}

/* Two inputs of one identity never run at the same time: nobody opens the same one meanwhile. */
int spools_take(struct spools *all, const struct spool_settings *settings, struct spool **ret,
                char **ret_error)
{
    *ret_error = NULL;
    struct spool *found = find(all, settings);
    if (!found)
        return add(all, settings, ret, ret_error);
    *ret = found;
    return 0;
}

void spools_flush(struct spools *all)
{
    pthread_mutex_lock(&all->lock);
    for (struct open_spool *o = all->first; o; o = o->next)
        spool_write_acks(o->spool);
    pthread_mutex_unlock(&all->lock);
}

static bool has_segments(const char *folder)
{
    DIR *dir = opendir(folder);
    bool any = false;

    for (const struct dirent *d; dir && !any && (d = readdir(dir));)
        any = fnmatch("*.seg", d->d_name, 0) == 0;
    if (dir)
        closedir(dir);
    return any;
}

static void report_orphan(const char *above, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s", above, name) < 0)
        return;
    if (has_segments(path))
        log_warn(
            "engine",
            "%s holds what an input with storage: disk took in, and no such input is configured: it stays "
            "there until the input comes back, or somebody removes it",
            path);
    free(path);
}

void spools_report_orphans(const char *data_dir, bool (*known)(void *, const char *), void *data)
{
    char *above = NULL;

    if (asprintf(&above, "%s/spool", data_dir) < 0)
        return;
    DIR *dir = opendir(above);
    for (const struct dirent *d; dir && (d = readdir(dir));)
        if (d->d_name[0] != '.' && !known(data, d->d_name))
            report_orphan(above, d->d_name);
    if (dir)
        closedir(dir);
    free(above);
}

void spools_close(struct spools *all)
{
    while (all && all->first) {
        struct open_spool *o = all->first;
        all->first = o->next;
        spool_close(o->spool);
        free(o);
    }
    if (all)
        pthread_mutex_destroy(&all->lock);
    free(all);
}
