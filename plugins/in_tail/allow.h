/* SPDX-License-Identifier: Apache-2.0 */
/* Which files may be read at all. */
#ifndef TAIL_ALLOW_H
#define TAIL_ALLOW_H

#include "tail.h"

/*
 * Whether what was really opened lies where allow_path permits, whichever links and dots led to it: the path
 * is the kernel's, of the descriptor, so nothing can be swapped in between; and that it is no file of /proc
 * or /sys (system: of tail_status). If not, that is told once for `path` and counted.
 */
bool tail_allowed(struct tail_instance *, int fd, uint32_t system, const char *path);

#endif
