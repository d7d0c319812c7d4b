/* SPDX-License-Identifier: Apache-2.0 */
/* ${ip} and ${hostname} in the names of keys. Any thread; keeps nothing. */
#ifndef ETCD_NAMES_H
#define ETCD_NAMES_H

/* `name` with ${ip} and ${hostname} replaced; malloc'ed. NULL: no memory. */
char *etcd_name_resolve(const char *name, const char *ip);

#endif
