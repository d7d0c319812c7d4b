/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected to the admin address, and for how long they may be without getting on: libmicrohttpd ends
 * a connection that is silent, but not one that sends a byte every few seconds. Control thread.
 */
#ifndef WEIR_CORE_ADMIN_CLIENTS_H
#define WEIR_CORE_ADMIN_CLIENTS_H

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

struct admin_client;

/* All zero is an empty one; `many` is set by its owner. */
struct admin_clients {
    struct admin_client *first, *last; /* those that wait longest come first */
    size_t count;
    size_t many; /* from so many on, there is less patience */
};

/* For MHD_OPTION_NOTIFY_CONNECTION, with the struct admin_clients as its data. */
void admin_clients_notify(void *clients, struct MHD_Connection *, void **socket_context,
                          enum MHD_ConnectionNotificationCode);

/* What a client has to do next: it has a time for that from now on. */
enum admin_turn {
    ADMIN_ASKS,  /* its request's head is to come */
    ADMIN_TAKES, /* it is to take the answer */
    ADMIN_WAITS  /* it waits for weir, as long as that takes */
};
void admin_clients_turn(struct admin_clients *, struct MHD_Connection *, enum admin_turn);

/* Cuts off those whose time is up. Nanoseconds until it should be called again; 0: not before something
 * happens. */
uint64_t admin_clients_prune(struct admin_clients *);

#endif
