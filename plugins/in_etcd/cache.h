/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last good configuration, kept in a file so that a host follows its files also when it boots while etcd
 * is away. Control or loop thread; keeps nothing in memory.
 */
#ifndef ETCD_CACHE_H
#define ETCD_CACHE_H

#include "gateway.h"

/* Where: DIR/etcd.ALIAS.json; malloc'ed, NULL: no memory. */
char *etcd_cache_path(const char *dir, const char *alias);
/*
 * Writes a new file and puts it in the place of the old one, which a crash therefore leaves whole. `source`
 * says what the values were asked for (the configured keys). 0 or -errno.
 */
int etcd_cache_save(const char *path, const char *source, const struct etcd_snapshot *);
/* 0; -ENOENT: there is none; -ESTALE: it was kept for another source; -EBADMSG: it can't be read; -errno. */
int etcd_cache_load(const char *path, const char *source, struct etcd_snapshot *ret);

#endif
