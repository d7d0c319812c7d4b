/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of the admin address, in the order of their last turn. Owns what it keeps of each. Control
 * thread. */
#include "admin_clients.h"

#include <stdlib.h>
#include <sys/socket.h>
#include "loop.h"
#include "mhd.h"

#define SECOND UINT64_C(1000000000)
enum { ASKING_SECONDS = 10, ASKING_SECONDS_CROWDED = 1, TAKING_SECONDS = 60 };

struct admin_client {
    struct admin_client *previous, *next;
    int fd;
    enum admin_turn turn;
    uint64_t since;
};

static void append(struct admin_clients *all, struct admin_client *c)
{
    c->previous = all->last;
    c->next = NULL;
    *(all->last ? &all->last->next : &all->first) = c;
    all->last = c;
}

static void take_out(struct admin_clients *all, struct admin_client *c)
{
    *(c->previous ? &c->previous->next : &all->first) = c->next;
    *(c->next ? &c->next->previous : &all->last) = c->previous;
}

/* What has no memory to be kept of has libmicrohttpd's time limit only. */
static struct admin_client *client_create(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct admin_client *c = info ? calloc(1, sizeof(*c)) : NULL;

    if (c)
        *c = (struct admin_client){.fd = info->connect_fd, .turn = ADMIN_ASKS, .since = loop_now()};
    return c;
}

void admin_clients_notify(void *data, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct admin_clients *all = data;
    struct admin_client *c = *socket_context;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = c = client_create(connection);
        if (c)
            append(all, c);
        all->count++;
        return;
    }
    if (c)
        take_out(all, c);
    free(c);
    *socket_context = NULL;
    all->count--;
}

void admin_clients_turn(struct admin_clients *all, struct MHD_Connection *connection, enum admin_turn turn)
{
    const union MHD_ConnectionInfo *info =
        mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct admin_client *c = info ? info->socket_context : NULL;

    if (!c)
        return;
    take_out(all, c);
    c->turn = turn;
    c->since = loop_now();
    append(all, c);
}

static uint64_t patience(const struct admin_clients *all, const struct admin_client *c)
{
    if (c->turn == ADMIN_TAKES)
        return TAKING_SECONDS * SECOND;
    return (all->count >= all->many ? ASKING_SECONDS_CROWDED : ASKING_SECONDS) * SECOND;
}

uint64_t admin_clients_prune(struct admin_clients *all)
{
    uint64_t now = loop_now(), next = 0;

    for (struct admin_client *c = all->first; c; c = c->next) {
        if (c->turn == ADMIN_WAITS)
            continue;
        uint64_t end = c->since + patience(all, c);
        if (end <= now) { /* libmicrohttpd sees that it has gone, and closes it */
            shutdown(c->fd, SHUT_RDWR);
            c->since = now;
            end = now + SECOND;
        }
        if (!next || end - now < next)
            next = end - now;
    }
    return next;
}
