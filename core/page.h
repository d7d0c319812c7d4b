/* SPDX-License-Identifier: Apache-2.0 */
/* The page at / and what it is made of. Constant; any thread. */
#ifndef WEIR_CORE_PAGE_H
#define WEIR_CORE_PAGE_H

#include <stddef.h>

struct page_file {
    const char *url, *type; /* its Content-Type */
    const unsigned char *data;
    const size_t *size;
};

/* Scripts and styles from here alone, nothing inline, requests to here alone, no text ever taken for HTML. */
#define PAGE_POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "      \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; " \
    "trusted-types 'none'"

/* NULL: that URL is none of the page's. */
const struct page_file *page_find(const char *url);

/* The build makes these out of core/page. */
extern const unsigned char page_index_html[], page_page_css[], page_page_js[];
extern const size_t page_index_html_size, page_page_css_size, page_page_js_size;

#endif
