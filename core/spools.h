/* SPDX-License-Identifier: Apache-2.0 */
/* The spools of all inputs. One stays open after its input has gone: its chunks are still under way, and the
 * input may come back. Any thread. */
#ifndef WEIR_CORE_SPOOLS_H
#define WEIR_CORE_SPOOLS_H

#include "spool.h"

struct spools;

struct spools *spools_create(void); /* NULL: no memory */
/* The one of that identity, opened where it is not. As spool_open. */
int spools_take(struct spools *, const struct spool_settings *, struct spool **ret, char **ret_error);
/* Writes what is acknowledged. */
void spools_flush(struct spools *);
/* Logs those on disk that `known` does not know by their name and in which there is something. */
void spools_report_orphans(const char *data_dir, bool (*known)(void *data, const char *name), void *data);
/* Nobody uses any of them any more. Takes NULL. */
void spools_close(struct spools *);

#endif
