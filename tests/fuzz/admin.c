/* SPDX-License-Identifier: Apache-2.0 */
/* Headers and addresses that decide who may ask over HTTP. */
#include "fuzz.h"

#include <netinet/in.h>
#include <sys/un.h>
#include "admin_guard.h"

/* Only loopback addresses, and sockets of this machine. */
static void look_at_address(const uint8_t *data, size_t size)
{
    static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    if (size < 16) {
        return;
    }
    memcpy(&v4.sin_addr, data, 4);
    memcpy(&v6.sin6_addr, data, 16);
    bool loopback = data[0] == 127;
    FUZZ_CHECK(admin_is_local((const void *)&v4) == loopback);
    loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) || (!memcmp(data, mapped, 12) && data[12] == 127);
    FUZZ_CHECK(admin_is_local((const void *)&v6) == loopback);
    memcpy(&v6.sin6_addr, mapped, sizeof(mapped));
    FUZZ_CHECK(admin_is_local((const void *)&v6) == (data[12] == 127));
    FUZZ_CHECK(admin_is_local((const void *)&local) && !admin_is_local(NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"weir.example", "log"};
    static const struct weir_list hosts = {names, 2};
    char *text = fuzz_text(data, size);
    bool with = admin_host_allowed(text, &hosts), without = admin_host_allowed(text, &(struct weir_list){0});
    FUZZ_CHECK(with || !without);
    /* Nobody gets in with a name that is not whole, or with the token's beginning. */
    if (with && !without) {
        FUZZ_CHECK(!strncasecmp(text, "weir.example", 12) || !strncasecmp(text, "log", 3));
    }
    FUZZ_CHECK(!admin_token_allowed(text, "secret") ||
               (size >= 13 && !strncasecmp(text, "bearer", 6) && strstr(text, "secret")));
    free(text);
    look_at_address(data, size);
    return 0;
}
