/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling regular expressions, once for each option. No state. */
#include "regex.h"

#include <errno.h>
#include <stdio.h>

int tail_regex_compile(const char *name, const char *pattern, char *why, size_t why_size, pcre2_code **ret)
{
    int code;
    size_t at;
    *ret = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
    if (!*ret) {
        PCRE2_UCHAR text[128];
        pcre2_get_error_message(code, text, sizeof(text));
        snprintf(why, why_size, "%s: '%s' is no regular expression: %s, at character %zu", name, pattern,
                 (const char *)text, at + 1);
        return -EINVAL;
    }
    pcre2_jit_compile(*ret, PCRE2_JIT_COMPLETE); /* without it, it just takes longer */
    return 0;
}
