/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the page, which the build puts into the program. Owns nothing. Any thread. */
#include "page.h"

#include <string.h>

const struct page_file *page_find(const char *url)
{
    static const struct page_file files[] = {
        {"/", "text/html; charset=utf-8", page_index_html, &page_index_html_size},
        {"/page.css", "text/css; charset=utf-8", page_page_css, &page_page_css_size},
        {"/page.js", "text/javascript; charset=utf-8", page_page_js, &page_page_js_size},
    };

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        if (!strcmp(url, files[i].url))
            return &files[i];
    return NULL;
}
