/* SPDX-License-Identifier: Apache-2.0 */
/* Names of keys for this host. */
#include "names.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Puts the value where `text` begins with the variable; returns the variable's length, or 0. */
static size_t put_variable(FILE *f, const char *text, const char *variable, const char *value)
{
    size_t size = strlen(variable);

    if (strncmp(text, variable, size) != 0)
        return 0;
    fputs(value, f);
    return size;
}

char *etcd_name_resolve(const char *name, const char *ip)
{
    char host[HOST_NAME_MAX + 1] = "localhost";
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    gethostname(host, sizeof(host) - 1);
    while (f && *name) {
        size_t used = put_variable(f, name, "${ip}", ip);
        used = used ? used : put_variable(f, name, "${hostname}", host);
        if (!used)
            fputc(*name, f);
        name += used ? used : 1;
    }
    if (!f || fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
