/* SPDX-License-Identifier: Apache-2.0 */
/* The status as tables for a terminal. */
#ifndef WEIR_CORE_STATUS_PRINT_H
#define WEIR_CORE_STATUS_PRINT_H

#include <stdio.h>

/* Prints the JSON of /api/v1/status. What a plugin's list holds is printed as JSON. 0, or -EINVAL where it is
 * none. */
int status_print(FILE *, const char *json);

#endif
