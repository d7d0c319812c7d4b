/* SPDX-License-Identifier: Apache-2.0 */
/* The admin address: "HOST" with a port, or "unix:PATH". Any thread; resolving a name may block. */
#ifndef WEIR_CORE_ADDRESS_H
#define WEIR_CORE_ADDRESS_H

#include <stdint.h>

/* "unix:" begins the path of a local socket; anything else is a name or an IP address. */
#define ADDRESS_UNIX "unix:"

/*
 * A listening socket (close-on-exec, non-blocking); a socket file that nobody listens at is replaced, and
 * gets mode 0660. The descriptor, or a negative errno with *ret_error (caller frees; NULL: no memory).
 */
int address_listen(const char *host, uint16_t port, char **ret_error);
/* A connected one, blocking, that gives up after `patience` seconds without an answer; so does the
 * connecting, for each address that the host has. */
int address_connect(const char *host, uint16_t port, unsigned patience, char **ret_error);

#endif
