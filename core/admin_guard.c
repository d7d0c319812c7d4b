/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask over HTTP: the Host header and the bearer token. Owns nothing. Any thread. */
#include "admin_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { LONGEST_HOST = 255 };

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits >= 1 && digits <= 5 && !text[digits];
}

/* The name or address in front of a port; brackets of an IPv6 address are taken off. */
static bool split_host(const char *host, char *ret, size_t room)
{
    const char *begin = host, *end;

    if (*host == '[') {
        begin = host + 1;
        end = strchr(begin, ']');
        if (!end || (end[1] && (end[1] != ':' || !is_port(end + 2))))
            return false;
    } else {
        end = begin + strcspn(begin, ":");
        if (*end && !is_port(end + 1))
            return false;
    }
    if ((size_t)(end - begin) >= room)
        return false;
    memcpy(ret, begin, (size_t)(end - begin));
    ret[end - begin] = '\0';
    return end > begin;
}

static bool is_address(int family, const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(family, text, address) == 1;
}

bool admin_host_allowed(const char *host, const struct weir_list *names)
{
    char name[LONGEST_HOST + 1];

    if (!host)
        return true;
    if (!split_host(host, name, sizeof(name)))
        return false;
    if (is_address(AF_INET6, name))
        return true;
    if (*host == '[')
        return false; /* brackets are for IPv6 */
    if (is_address(AF_INET, name) || !strcasecmp(name, "localhost"))
        return true;
    for (size_t i = 0; i < names->count; i++)
        if (!strcasecmp(name, names->items[i]))
            return true;
    return false;
}

bool admin_token_allowed(const char *authorization, const char *token)
{
    static const char scheme[] = "Bearer ";
    volatile uint8_t difference = 0;

    if (!token || !*token)
        return true;
    if (!authorization || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
        return false;
    const char *given = authorization + sizeof(scheme) - 1;
    size_t length = strlen(given), wanted = strlen(token);
    for (size_t i = 0; i < length; i++)
        difference |= (uint8_t)(given[i] ^ token[i % wanted]);
    return length == wanted && difference == 0;
}

static bool is_loopback4(uint32_t address)
{
    return address >> 24 == IN_LOOPBACKNET;
}

bool admin_is_local(const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    uint32_t mapped;

    if (!address)
        return false;
    if (address->sa_family == AF_INET)
        return is_loopback4(ntohl(v4->sin_addr.s_addr));
    if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        memcpy(&mapped, v6->sin6_addr.s6_addr + 12, sizeof(mapped));
        return is_loopback4(ntohl(mapped));
    }
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    return address->sa_family == AF_UNIX;
}
