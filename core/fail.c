/* SPDX-License-Identifier: Apache-2.0 */
/* An error with a sentence for the operator. Owns nothing. */
#include "fail.h"

#include <stdarg.h>
#include "text.h"

int fail(char **ret_error, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    *ret_error = text_format(format, args);
    va_end(args);
    return error;
}
