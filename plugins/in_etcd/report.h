/* SPDX-License-Identifier: Apache-2.0 */
/* status_key: this host's state, written back to etcd under a lease, so that it goes when the host does. Loop
 * thread. */
#ifndef ETCD_REPORT_H
#define ETCD_REPORT_H

#include "follow.h"
#include "set.h"

struct etcd_report;

/* NULL: no memory. */
struct etcd_report *etcd_report_create(const struct weir_host *, struct weir_instance *,
                                       const struct etcd_settings *, struct etcd_follow *,
                                       const struct etcd_set *);
int etcd_report_start(struct etcd_report *); /* 0 or -ENOMEM */
void etcd_report_stop(struct etcd_report *);
void etcd_report_destroy(struct etcd_report *); /* takes NULL */
/* Something is to be told soon. */
void etcd_report_changed(struct etcd_report *);

#endif
