/* SPDX-License-Identifier: Apache-2.0 */
/* Where the code of plugins lies: found by an address within, forgotten with the plugin. */
#include <check.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir/plugin.h>
#include "code_range.h"

static void *handle;

static void *load(const char *name)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s.so", TEST_PLUGIN_DIR, name);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(handle != NULL, "%s", dlerror());
    return dlsym(handle, "weir_plugin_descriptor");
}

/* Of a function of the plugin's: a callback in its descriptor, whose layout is plugin.h's. */
static uintptr_t code_of(const struct weir_plugin *plugin)
{
    return (uintptr_t)plugin->create;
}

START_TEST(found_by_its_code)
{
    const struct weir_plugin *plugin = load("good_input");

    ck_assert_ptr_null(code_range_find(code_of(plugin)));
    code_range_add(plugin, "good");
    ck_assert_str_eq(code_range_find(code_of(plugin)), "good");
    ck_assert_ptr_null(code_range_find((uintptr_t)plugin));  /* data is no code */
    ck_assert_ptr_null(code_range_find((uintptr_t)code_of)); /* nor is the program's the plugin's */
    ck_assert_ptr_null(code_range_find(0));
    code_range_remove(plugin);
    ck_assert_ptr_null(code_range_find(code_of(plugin)));
    dlclose(handle);
}
END_TEST

START_TEST(places_are_used_again)
{
    const struct weir_plugin *plugin = load("good_input");

    for (int i = 0; i < 1000; i++) {
        code_range_add(plugin, "good");
        code_range_remove(plugin);
    }
    code_range_remove(NULL);
    code_range_remove(&handle);
    code_range_add(&plugin, "nowhere"); /* a stack is in no module */
    for (int i = 0; i < 1000; i++)      /* more than there is room for */
        code_range_add(plugin, "many");
    ck_assert_str_eq(code_range_find(code_of(plugin)), "many");
    for (int i = 0; i < 1000; i++)
        code_range_remove(plugin);
    ck_assert_ptr_null(code_range_find(code_of(plugin)));
    dlclose(handle);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("code_range");
    TCase *tcase = tcase_create("code_range");
    tcase_add_test(tcase, found_by_its_code);
    tcase_add_test(tcase, places_are_used_again);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
