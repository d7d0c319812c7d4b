/* SPDX-License-Identifier: Apache-2.0 */
/* The kill point that WEIR_KILL_POINT names, if it does. Points themselves are include/weir/kill_point.h. */
#ifndef WEIR_CORE_KILL_POINT_H
#define WEIR_CORE_KILL_POINT_H

#include "plugin.h"
#include "problem.h"

/* A problem where the environment names a point that neither the core nor a plugin loaded so far has. Before
 * anything runs. */
void kill_point_check(const struct registry *, struct problems *);

#endif
