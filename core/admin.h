/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin address: metrics, health and status over HTTP (libmicrohttpd), served on the control loop, so
 * that a slow client waits for weir and never the other way round. Control thread.
 */
#ifndef WEIR_CORE_ADMIN_H
#define WEIR_CORE_ADMIN_H

struct admin;
struct engine;
struct status;

/*
 * Listens where the service section says. 0 (*ret_admin NULL where http_server is off) or a negative errno,
 * with the reason logged. The status must live until admin_destroy.
 */
int admin_create(struct engine *, struct status *, struct admin **ret_admin);
/* Every status request must have been answered (status_stop). Takes NULL. */
void admin_destroy(struct admin *);

#endif
