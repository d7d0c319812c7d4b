/* SPDX-License-Identifier: Apache-2.0 */
/* The files of kit/templates, inside the program. The table is made by kit/cmake/embed.cmake. */
#ifndef WEIR_KIT_EMBEDDED_H
#define WEIR_KIT_EMBEDDED_H

#include <stddef.h>

struct embedded {
    const char *name; /* NULL: the end */
    const unsigned char *data;
    size_t size;
};

extern const struct embedded embedded_files[];

#endif
