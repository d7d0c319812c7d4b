/* SPDX-License-Identifier: Apache-2.0 */
/* How long the asking side of the admin address waits for one that does not answer. */
#include "address.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16, PATIENCE = 1 };

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Connections until no more fit in the listener's queue: what comes then is dropped, as by a firewall.
 * Returns how many. */
static int fill(const struct sockaddr *address, socklen_t size, int *ret)
{
    for (int i = 0; i < MOST; i++) {
        ret[i] = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(ret[i], 0);
        if (connect(ret[i], address, size) < 0 && errno == EAGAIN)
            return i + 1;
    }
    return MOST;
}

static void check_patience(const char *host, uint16_t port)
{
    char *error = NULL;
    double begin = seconds();

    ck_assert_int_eq(address_connect(host, port, PATIENCE, &error), -ETIMEDOUT);
    ck_assert_msg(strstr(error, "timed out") != NULL, "%s", error);
    ck_assert(seconds() - begin > 0.9 * PATIENCE && seconds() - begin < 30);
    free(error);
}

START_TEST(connecting_to_who_drops_packets)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int full[MOST], listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert(bind(listener, (struct sockaddr *)&at, size) == 0 && listen(listener, 0) == 0 &&
              getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    int count = fill((struct sockaddr *)&at, size, full);
    check_patience("127.0.0.1", ntohs(at.sin_port));
    while (count)
        close(full[--count]);
    close(listener);
}
END_TEST

START_TEST(connecting_to_a_socket_file_whose_queue_is_full)
{
    char dir[] = "/tmp/weir-address-XXXXXX", host[64];
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int full[MOST], listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", dir);
    ck_assert(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(listener, 0) == 0);
    int count = fill((struct sockaddr *)&at, sizeof(at), full);
    snprintf(host, sizeof(host), "unix:%s/s", dir);
    check_patience(host, 0);
    while (count)
        close(full[--count]);
    close(listener);
    unlink(at.sun_path);
    rmdir(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address");
    TCase *tcase = tcase_create("address");

    tcase_add_test(tcase, connecting_to_who_drops_packets);
    tcase_add_test(tcase, connecting_to_a_socket_file_whose_queue_is_full);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
