/* SPDX-License-Identifier: Apache-2.0 */
/* Files that the build puts into the program (cmake/WeirEmbed.cmake). Constant; any thread. */
#ifndef WEIR_CORE_EMBEDDED_H
#define WEIR_CORE_EMBEDDED_H

#include <stddef.h>
#include <string.h>

struct embedded {
    const char *name; /* NULL: the end of a table */
    const unsigned char *data;
    size_t size;
};

/* The file of that name in a table, or NULL. */
static inline const struct embedded *embedded_find(const struct embedded *table, const char *name)
{
    while (table->name && strcmp(table->name, name) != 0)
        table++;
    return table->name ? table : NULL;
}

#endif
