/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the fake host itself: one for each test, and what it has told of misuse. */
#ifndef WEIR_TESTS_FAKE_FIXTURE_H
#define WEIR_TESTS_FAKE_FIXTURE_H

#include <check.h>
#include <string.h>
#include <weir/fake_host.h>

static struct weir_fake *fake;
static char told[1024]; /* of misuse, a line each */

static void on_misuse(void *data, const char *alias, const char *text)
{
    (void)data;
    (void)alias;
    strncat(told, text, sizeof(told) - strlen(told) - 2);
    strcat(told, "\n");
}

static void set_up(void)
{
    told[0] = '\0';
    fake = weir_fake_create();
    weir_fake_on_misuse(fake, on_misuse, NULL);
}

static void tear_down(void)
{
    weir_fake_destroy(fake);
}

static void expect_told(const char *text)
{
    ck_assert_msg(strstr(told, text) != NULL, "told: %s", told);
    told[0] = '\0';
}

#endif
