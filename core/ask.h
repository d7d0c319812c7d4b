/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a running weir over its admin address, for the command line. */
#ifndef WEIR_CORE_ASK_H
#define WEIR_CORE_ASK_H

#include <stdbool.h>
#include "config.h"

/* Prints the status of the weir that serves at the address of that service section: as a table, or (json) as
 * it is. Returns an exit status; what went wrong is printed on standard error. */
int ask_status(const struct service *, bool json);

/* Tells that weir to reload its configuration, and waits until that is done; prints what it says. As
 * ask_status, but EXIT_CONFIG where the new configuration is refused. */
int ask_reload(const struct service *);

#endif
