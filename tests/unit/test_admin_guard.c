/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask over HTTP: names in a Host header, bearer tokens, and which addresses are this machine's. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include "admin_guard.h"

static const char *const extra[] = {"weir.example", "host-7"};
static const struct weir_list names = {extra, 2}, none = {0};

static const struct {
    const char *host;
    bool allowed, with_names;
} hosts[] = {
    {NULL, true, true},
    {"127.0.0.1", true, true},
    {"127.0.0.1:2020", true, true},
    {"10.1.2.3:65535", true, true},
    {"localhost", true, true},
    {"LocalHost:1", true, true},
    {"[::1]", true, true},
    {"[::1]:2020", true, true},
    {"[fe80::1]:2020", true, true},
    {"weir.example", false, true},
    {"WEIR.example:2020", false, true},
    {"host-7:80", false, true},
    {"", false, false},
    {":2020", false, false},
    {"evil.example", false, false},
    {"localhost.evil.example", false, false},
    {"weir.example.evil", false, false},
    {"weir.exampl", false, false},
    {"127.0.0.1.evil.example", false, false},
    {"127.0.0.1:", false, false},
    {"127.0.0.1:x", false, false},
    {"127.0.0.1:123456", false, false},
    {"127.0.0.1:80:80", false, false},
    {"127.1", false, false},
    {"[::1", false, false},
    {"[::1]x", false, false},
    {"[::1]:", false, false},
    {"[evil.example]", false, false},
    {"[]", false, false},
    {"localhost ", false, false},
};

START_TEST(host)
{
    ck_assert_msg(admin_host_allowed(hosts[_i].host, &none) == hosts[_i].allowed, "'%s'", hosts[_i].host);
    ck_assert_msg(admin_host_allowed(hosts[_i].host, &names) == hosts[_i].with_names, "'%s'", hosts[_i].host);
}
END_TEST

/* 255 characters are the longest that is looked at: at the limit, and past it. */
START_TEST(long_host)
{
    char text[400];
    const char *item = text;
    struct weir_list one = {&item, 1};

    for (size_t length = 250; length < 300; length++) {
        memset(text, 'a', length);
        text[length] = '\0';
        ck_assert_msg(admin_host_allowed(text, &one) == (length <= 255), "%zu", length);
    }
}
END_TEST

static const struct {
    const char *header, *token;
    bool allowed;
} tokens[] = {
    {NULL, NULL, true},
    {NULL, "", true},
    {"Bearer x", NULL, true},
    {NULL, "secret", false},
    {"", "secret", false},
    {"Bearer", "secret", false},
    {"Bearer ", "secret", false},
    {"Bearer secret", "secret", true},
    {"bearer secret", "secret", true},
    {"Bearer secre", "secret", false},
    {"Bearer secret1", "secret", false},
    {"Bearer secretsecret", "secret", false},
    {"Bearer Secret", "secret", false},
    {"Basic secret", "secret", false},
    {"secret", "secret", false},
    {"Bearer  secret", "secret", false},
};

START_TEST(token)
{
    ck_assert_msg(admin_token_allowed(tokens[_i].header, tokens[_i].token) == tokens[_i].allowed, "'%s'",
                  tokens[_i].header);
}
END_TEST

static const struct {
    const char *address;
    bool local;
} addresses[] = {
    {"127.0.0.1", true},
    {"127.255.0.9", true},
    {"126.255.255.255", false},
    {"128.0.0.1", false},
    {"0.0.0.0", false},
    {"10.0.0.1", false},
    {"::1", true},
    {"::", false},
    {"::2", false},
    {"::ffff:127.0.0.1", true},
    {"::ffff:10.0.0.1", false},
    {"fe80::1", false},
    {"::127.0.0.1", false},
};

START_TEST(local)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const void *address = &v6;

    if (inet_pton(AF_INET, addresses[_i].address, &v4.sin_addr) == 1)
        address = &v4;
    else
        ck_assert_int_eq(inet_pton(AF_INET6, addresses[_i].address, &v6.sin6_addr), 1);
    ck_assert_msg(admin_is_local(address) == addresses[_i].local, "%s", addresses[_i].address);
}
END_TEST

START_TEST(local_sockets)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr other = {.sa_family = AF_UNSPEC};

    ck_assert(admin_is_local((const struct sockaddr *)(const void *)&un));
    ck_assert(!admin_is_local(&other));
    ck_assert(!admin_is_local(NULL));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin_guard");
    TCase *t = tcase_create("all");

    tcase_add_loop_test(t, host, 0, sizeof(hosts) / sizeof(*hosts));
    tcase_add_test(t, long_host);
    tcase_add_loop_test(t, token, 0, sizeof(tokens) / sizeof(*tokens));
    tcase_add_loop_test(t, local, 0, sizeof(addresses) / sizeof(*addresses));
    tcase_add_test(t, local_sockets);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
