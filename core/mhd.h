/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd, loaded when an admin address is asked for: it brings GnuTLS and eight more libraries along,
 * a third of the memory of an idle weir that has no such address.
 */
#ifndef WEIR_CORE_MHD_H
#define WEIR_CORE_MHD_H

#include <microhttpd.h>

/* Its functions, by their names without MHD_. Only to be used after mhd_load has succeeded. */
struct mhd {
    __typeof__(MHD_start_daemon) *start_daemon;
    __typeof__(MHD_stop_daemon) *stop_daemon;
    __typeof__(MHD_run) *run;
    __typeof__(MHD_get_timeout) *get_timeout;
    __typeof__(MHD_get_daemon_info) *get_daemon_info;
    __typeof__(MHD_get_connection_info) *get_connection_info;
    __typeof__(MHD_lookup_connection_value) *lookup_connection_value;
    __typeof__(MHD_suspend_connection) *suspend_connection;
    __typeof__(MHD_resume_connection) *resume_connection;
    __typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
    __typeof__(MHD_add_response_header) *add_response_header;
    __typeof__(MHD_queue_response) *queue_response;
    __typeof__(MHD_destroy_response) *destroy_response;
};
extern struct mhd mhd;

/* Once, for the life of the process. NULL, or why it can't be had, good until the next call of dlerror.
 * Control thread. */
const char *mhd_load(void);

#endif
