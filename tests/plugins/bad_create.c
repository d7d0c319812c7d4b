/* SPDX-License-Identifier: Apache-2.0 */
/* No create and no destroy. weir must refuse it. */
#include <weir/plugin.h>

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_INPUT,
    .name = "bad_create",
};
