/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled and linked with nothing of the hardening, so that the test shows that tests/hardening/check sees
 * all of it. */
#include <string.h>

void soft_copy(char *to, const char *from);
void soft_copy(char *to, const char *from)
{
    char text[64];

    strcpy(text, from);
    strcpy(to, text);
}
