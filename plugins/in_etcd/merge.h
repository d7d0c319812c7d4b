/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of all keys as one set of inputs with ids. Any thread; keeps nothing. */
#ifndef ETCD_MERGE_H
#define ETCD_MERGE_H

#include "items.h"
#include "keys.h"

/*
 * Merges, where `given` is the set that is in force, sorted. *ret_items is sorted by id, *ret_refused has
 * what can't be; both are the caller's to clear. 0 or -ENOMEM.
 */
int etcd_merge(const struct etcd_keys *, const struct etcd_items *given, struct etcd_items *ret_items,
               struct etcd_refusals *ret_refused);

#endif
