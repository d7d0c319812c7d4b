/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the admin address. Owns nothing that lasts. Any thread. */
#include "address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "fail.h"

enum { BACKLOG = 64 };

/* -- A socket file ---------------------------------------------------------------------------------- */

static int unix_address(const char *path, struct sockaddr_un *ret, char **ret_error)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof(ret->sun_path))
        return fail(ret_error, -ENAMETOOLONG, "a socket's path has 1 to %zu bytes: '%s'",
                    sizeof(ret->sun_path) - 1, path);
    memcpy(ret->sun_path, path, strlen(path));
    return 0;
}

static bool is_dead_socket(const struct sockaddr_un *address)
{
    struct stat st;
    int fd = lstat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode)
                 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
                 : -1;
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
                errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return dead;
}

static int listen_unix(const char *path, char **ret_error)
{
    struct sockaddr_un address;
    int rc = unix_address(path, &address, ret_error);

    if (rc < 0)
        return rc;
    if (is_dead_socket(&address))
        unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Before it has a name, so that there is no moment at which others may use it; then whatever the umask.
     */
    if (fd < 0 || fchmod(fd, 0660) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(path, 0660) < 0 || listen(fd, BACKLOG) < 0) {
        rc = fail(ret_error, -errno, "can't listen at %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    return fd;
}

/* A blocking socket that is connected, or a negative errno. What it has to wait for it waits for so long. */
static int connect_within(const struct sockaddr *address, socklen_t size, unsigned patience)
{
    const struct timeval wait = {.tv_sec = (time_t)patience};
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)); /* of connect, too */
    if (connect(fd, address, size) == 0)
        return fd;
    int rc = errno == EINPROGRESS || errno == EAGAIN ? -ETIMEDOUT : -errno;
    close(fd);
    return rc;
}

static int connect_unix(const char *path, unsigned patience, char **ret_error)
{
    struct sockaddr_un address;
    int rc = unix_address(path, &address, ret_error);

    if (rc < 0)
        return rc;
    rc = connect_within((struct sockaddr *)&address, sizeof(address), patience);
    return rc < 0 ? fail(ret_error, rc, "%s: %s", path, strerror(-rc)) : rc;
}

/* -- TCP -------------------------------------------------------------------------------------------- */

static int resolve(const char *host, uint16_t port, int flags, struct addrinfo **ret, char **ret_error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    char service[8];

    snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(host, service, &hints, ret);
    return rc ? fail(ret_error, -EADDRNOTAVAIL, "%s: %s", host, gai_strerror(rc)) : 0;
}

static int listen_at(const struct addrinfo *a, unsigned backlog)
{
    int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, (int)backlog) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static int connect_to(const struct addrinfo *a, unsigned patience)
{
    return connect_within(a->ai_addr, a->ai_addrlen, patience);
}

/* How a socket of one address is opened, with a number of its own. */
struct way {
    int (*open)(const struct addrinfo *, unsigned number);
    unsigned number;
    int flags; /* of the look-up */
    const char *what;
};

/* The first address of the host that does. */
static int open_first(const char *host, uint16_t port, const struct way *way, char **ret_error)
{
    struct addrinfo *found = NULL;
    int rc = resolve(host, port, way->flags, &found, ret_error);

    if (rc < 0)
        return rc;
    rc = -EADDRNOTAVAIL;
    for (const struct addrinfo *a = found; a && rc < 0; a = a->ai_next)
        rc = way->open(a, way->number);
    freeaddrinfo(found);
    return rc < 0 ? fail(ret_error, rc, "%s%s:%u: %s", way->what, host, port, strerror(-rc)) : rc;
}

/* -- Either ----------------------------------------------------------------------------------------- */

static const char *socket_path(const char *host)
{
    size_t length = strlen(ADDRESS_UNIX);

    return strncmp(host, ADDRESS_UNIX, length) ? NULL : host + length;
}

int address_listen(const char *host, uint16_t port, char **ret_error)
{
    const char *path = socket_path(host);
    const struct way way = {listen_at, BACKLOG, AI_PASSIVE, "can't listen at "};

    return path ? listen_unix(path, ret_error) : open_first(host, port, &way, ret_error);
}

int address_connect(const char *host, uint16_t port, unsigned patience, char **ret_error)
{
    const char *path = socket_path(host);
    const struct way way = {connect_to, patience, 0, ""};

    return path ? connect_unix(path, patience, ret_error) : open_first(host, port, &way, ret_error);
}
