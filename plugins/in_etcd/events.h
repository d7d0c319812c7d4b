/* SPDX-License-Identifier: Apache-2.0 */
/* emit_events: each applied change as a record of the source's own tag. Loop thread. */
#ifndef ETCD_EVENTS_H
#define ETCD_EVENTS_H

#include "set.h"

struct etcd_events;

/* NULL: no memory. */
struct etcd_events *etcd_events_create(const struct weir_host *, struct weir_instance *);
void etcd_events_destroy(struct etcd_events *); /* takes NULL */
void etcd_events_add(struct etcd_events *, const struct etcd_change *);
/* Sends what waits, as far as the outputs take it. */
void etcd_events_send(struct etcd_events *);

#endif
