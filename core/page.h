/* SPDX-License-Identifier: Apache-2.0 */
/* The page at / and what it is made of. Constant; any thread. */
#ifndef WEIR_CORE_PAGE_H
#define WEIR_CORE_PAGE_H

#include <stdbool.h>
#include "embedded.h"

struct page_file {
    const char *type; /* its Content-Type */
    const struct embedded *file;
};

/* Scripts and styles from here alone, nothing inline, requests to here alone, no text ever taken for HTML. */
#define PAGE_POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "      \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; " \
    "trusted-types 'none'"

/* False: that URL is none of the page's. */
bool page_find(const char *url, struct page_file *ret);

#endif
