/* SPDX-License-Identifier: Apache-2.0 */
/* The forms in use, found by what they say. Owns them; under one lock for all instances. */
#include "form.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { BUCKETS = 256 }; /* there are about as many as topics */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct etcd_form *in_use[BUCKETS];

static bool same(const struct etcd_form *f, const struct etcd_form *like, const char *text)
{
    return f->hash == like->hash && f->topic_at == like->topic_at && f->settings_at == like->settings_at &&
           f->count == like->count && f->path_at == like->path_at && f->size == like->size &&
           !memcmp(f->text, text, f->size);
}

static struct etcd_form *find(const struct etcd_form *like, const char *text)
{
    struct etcd_form *f = in_use[like->hash % BUCKETS];

    while (f && !same(f, like, text))
        f = f->next;
    return f;
}

static struct etcd_form *create(const struct etcd_form *like, const char *text)
{
    struct etcd_form *f = malloc(sizeof(*f) + like->size), **bucket = &in_use[like->hash % BUCKETS];

    if (!f)
        return NULL;
    *f = *like;
    f->references = 0;
    f->next = *bucket;
    memcpy(f->text, text, like->size);
    *bucket = f;
    return f;
}

const struct etcd_form *etcd_form_get(const struct etcd_form *like, const char *text)
{
    struct etcd_form wanted = *like;

    wanted.hash = XXH3_64bits(text, like->size);
    pthread_mutex_lock(&lock);
    struct etcd_form *f = find(&wanted, text);
    f = f ? f : create(&wanted, text);
    if (f)
        f->references++;
    pthread_mutex_unlock(&lock);
    return f;
}

void etcd_form_unref(const struct etcd_form *form)
{
    struct etcd_form **at = &in_use[form->hash % BUCKETS], *f;

    pthread_mutex_lock(&lock);
    while (*at != form)
        at = &(*at)->next;
    f = *at;
    if (--f->references == 0) {
        *at = f->next;
        free(f);
    }
    pthread_mutex_unlock(&lock);
}
