/* SPDX-License-Identifier: Apache-2.0 */
/* `weir status`: what a terminal may be given of names and messages that come from anywhere. */
#include "status_print.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* U+009B begins a command to the terminal, as ESC [ does; U+007F is DEL. */
#define BAD                \
    "\\u001b[31m \xc2\x9b" \
    "2J \\u009b \x7f \xe6\x97\xa5"
#define GOOD "\xe6\x97\xa5"

static const char status[] =
    "{\"version\":\"1\",\"uptime_s\":1,\"generation\":1,"
    "\"inputs\":[{\"alias\":\"" BAD "\",\"state\":\"running\",\"tag\":\"" BAD
    "\",\"topic\":\"\",\"error\":\"" BAD "\",\"files\":[{\"path\":\"" BAD
    "\",\"state\":\"\",\"size\":1,\"committed\":0}]}],"
    "\"outputs\":[{\"alias\":\"" BAD "\"}],"
    "\"etcd\":[{\"alias\":\"e\",\"refused\":[{\"key\":\"" BAD "\",\"error\":\"" BAD "\"}]}]}";

START_TEST(no_control_character_gets_through)
{
    char *text = NULL;
    size_t size, found = 0;
    FILE *f = open_memstream(&text, &size);

    ck_assert_int_eq(status_print(f, status), 0);
    fclose(f);
    for (const char *at = text; *at; at++) {
        ck_assert_msg(*at == '\n' || ((unsigned char)*at >= 0x20 && *at != 0x7f), "%s", at);
        ck_assert_msg((unsigned char)*at != 0xc2 || (unsigned char)at[1] >= 0xa0, "%s", at);
        found += !strncmp(at, GOOD, strlen(GOOD));
    }
    ck_assert_uint_eq(found, 7); /* letters stay letters */
    ck_assert_ptr_nonnull(strstr(text, "\n]\n"));
    free(text);
}
END_TEST

START_TEST(what_is_no_status)
{
    ck_assert_int_eq(status_print(stdout, "{}"), -EINVAL);
    ck_assert_int_eq(status_print(stdout, "{\"inputs\":[]}"), -EINVAL);
    ck_assert_int_eq(status_print(stdout, "no JSON"), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("status_print");
    TCase *tcase = tcase_create("status_print");

    tcase_add_test(tcase, no_control_character_gets_through);
    tcase_add_test(tcase, what_is_no_status);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
