/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the page, which the build puts into the program. Owns nothing. Any thread. */
#include "page.h"

#include <string.h>

/* The build makes it out of core/page. */
extern const struct embedded page_files[];

bool page_find(const char *url, struct page_file *ret)
{
    static const struct {
        const char *url, *name, *type;
    } urls[] = {
        {"/", "index.html", "text/html; charset=utf-8"},
        {"/page.css", "page.css", "text/css; charset=utf-8"},
        {"/page.js", "page.js", "text/javascript; charset=utf-8"},
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
        if (strcmp(url, urls[i].url) != 0)
            continue;
        *ret = (struct page_file){urls[i].type, embedded_find(page_files, urls[i].name)};
        return true;
    }
    return false;
}
