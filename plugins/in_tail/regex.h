/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions of options: PCRE2 on bytes. */
#ifndef TAIL_REGEX_H
#define TAIL_REGEX_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stddef.h>

/* Compiles the value of the option `name`. 0, or -EINVAL with the reason in `why`. */
int tail_regex_compile(const char *name, const char *pattern, char *why, size_t why_size, pcre2_code **ret);

#endif
