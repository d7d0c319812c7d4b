/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an entry says besides its path and its id: thousands say the same, and share it. Any thread; what is
 * in it does not change.
 */
#ifndef ETCD_FORM_H
#define ETCD_FORM_H

#include <stddef.h>
#include <stdint.h>

struct etcd_form {
    struct etcd_form *next;
    uint64_t hash;
    uint32_t references;
    uint32_t topic_at, settings_at; /* in text */
    uint32_t count;                 /* settings */
    uint32_t path_at; /* of the setting that is the entry's path, which is left out; 0: of none */
    uint32_t size;
    char text[]; /* the key, the topic, the settings' names and values */
};

/* The one that says the same (`like`, whose text is `text`), or a new one; with a reference. NULL: no memory.
 */
const struct etcd_form *etcd_form_get(const struct etcd_form *like, const char *text);
void etcd_form_unref(const struct etcd_form *);

#endif
