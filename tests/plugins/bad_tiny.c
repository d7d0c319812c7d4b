/* SPDX-License-Identifier: Apache-2.0 */
/* The symbol is there, but it is one number. weir must refuse it and not read beyond it. */
#include <stdint.h>

extern const uint32_t weir_plugin_descriptor;
__attribute__((visibility("default"))) const uint32_t weir_plugin_descriptor = 400;
