/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd's functions, found at run time. Owns the table of them. Control thread. */
#include "mhd.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

/* Its ABI has had this number since 2016. */
#define LIBRARY "libmicrohttpd.so.12"

struct mhd mhd;

/* dlsym gives a pointer to data; POSIX lets it be stored as one to a function in this way. */
static const struct {
    const char *name;
    void **place;
} functions[] = {
    {"MHD_start_daemon", (void **)&mhd.start_daemon},
    {"MHD_stop_daemon", (void **)&mhd.stop_daemon},
    {"MHD_run", (void **)&mhd.run},
    {"MHD_get_timeout", (void **)&mhd.get_timeout},
    {"MHD_get_daemon_info", (void **)&mhd.get_daemon_info},
    {"MHD_get_connection_info", (void **)&mhd.get_connection_info},
    {"MHD_lookup_connection_value", (void **)&mhd.lookup_connection_value},
    {"MHD_suspend_connection", (void **)&mhd.suspend_connection},
    {"MHD_resume_connection", (void **)&mhd.resume_connection},
    {"MHD_create_response_from_buffer", (void **)&mhd.create_response_from_buffer},
    {"MHD_add_response_header", (void **)&mhd.add_response_header},
    {"MHD_queue_response", (void **)&mhd.queue_response},
    {"MHD_destroy_response", (void **)&mhd.destroy_response},
};

const char *mhd_load(void)
{
    static bool loaded;
    void *library = loaded ? NULL : dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (loaded)
        return NULL;
    if (!library)
        return dlerror();
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        *functions[i].place = dlsym(library, functions[i].name);
        if (!*functions[i].place)
            return dlerror();
    }
    loaded = true;
    return NULL;
}
