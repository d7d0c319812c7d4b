/* SPDX-License-Identifier: Apache-2.0 */
/* An error with a sentence for the operator. Owns nothing. */
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>

int fail(char **ret_error, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (vasprintf(ret_error, format, args) < 0)
        *ret_error = NULL;
    va_end(args);
    return error;
}
