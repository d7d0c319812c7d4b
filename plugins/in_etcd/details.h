/* SPDX-License-Identifier: Apache-2.0 */
/* What the source shows of itself: for weir's status, and for status_key. Loop thread. */
#ifndef ETCD_DETAILS_H
#define ETCD_DETAILS_H

#include <jansson.h>
#include "follow.h"
#include "set.h"

/* {"connected":…,"revision":…,"applied_revision":…,"entries":…,"refused":[…]}; NULL: no memory. */
json_t *etcd_details_json(const struct etcd_follow *, const struct etcd_set *, uint64_t limit);
/* The same as the status wants it: without braces. 0 or -ENOMEM. */
int etcd_details_write(const struct etcd_follow *, const struct etcd_set *, const struct weir_details *);

#endif
