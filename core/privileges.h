/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up what root may: weir is started as root and becomes service.user, for good. Control thread, before
 * any other thread is made, as capabilities belong to threads.
 */
#ifndef WEIR_CORE_PRIVILEGES_H
#define WEIR_CORE_PRIVILEGES_H

#include "config.h"

/* Whether this host has the user and the group, and weir knows the capabilities; `section` is of the
 * settings. */
void privileges_check(const struct service *, const struct section *, struct problems *);

/*
 * Without service.user nothing is done. Else data_dir and log_file are made for that user where they are
 * missing, the process becomes the user, with the user's groups and no capability but those of
 * keep_capabilities, and can't get more by executing anything. 0 or a negative errno and *ret_error, a
 * sentence for the caller to free (NULL: no memory); then weir must end, as half of it may be done.
 */
int privileges_drop(const struct service *, char **ret_error);

#endif
