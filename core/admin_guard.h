/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask over HTTP. Any thread. */
#ifndef WEIR_CORE_ADMIN_GUARD_H
#define WEIR_CORE_ADMIN_GUARD_H

#include <stdbool.h>
#include <weir/plugin.h>

/*
 * Whether a Host header names this server as its owner would: an IP address, localhost, or one of `names`,
 * each with or without a port. Another name means that a page in somebody's browser asks through a name that
 * it has pointed here (DNS rebinding). NULL, as HTTP/1.0 has it: yes.
 */
bool admin_host_allowed(const char *host, const struct weir_list *names);

/* Whether an Authorization header is "Bearer TOKEN"; takes the same time whatever differs. token NULL: yes.
 */
bool admin_token_allowed(const char *authorization, const char *token);

struct sockaddr;

/* Whether who is at that address is on this machine: a loopback address, or a local socket. NULL: no. */
bool admin_is_local(const struct sockaddr *);

#endif
