/* SPDX-License-Identifier: Apache-2.0 */
/* Where the code of loaded plugins lies, for the moment of a crash in a thread that a plugin made for itself.
 */
#ifndef WEIR_CORE_CODE_RANGE_H
#define WEIR_CORE_CODE_RANGE_H

#include <stdint.h>

/* The module that `within` is in is that plugin: its descriptor's address is one. Control thread. Of very
 * many plugins the last ones are not known. */
void code_range_add(const void *within, const char *name);
/* Before the module is unmapped. One that is not known is nothing. Control thread. */
void code_range_remove(const void *within);
/* The name of the plugin whose code is at that address, or NULL. Any thread, also in a signal handler. */
const char *code_range_find(uintptr_t address);

#endif
