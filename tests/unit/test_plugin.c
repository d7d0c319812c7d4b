/* SPDX-License-Identifier: Apache-2.0 */
/* Loading plugins: the good ones, each kind of bad one with its reason, who may write to a file, and the
 * search. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "option.h"
#include "plugin.h"

static char folder[64];
static struct registry *registry;
static char *error;

static void set_up(void)
{
    strcpy(folder, "/tmp/test_plugin.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    unsetenv("WEIR_PLUGIN_PATH");
    registry = registry_create(folder);
    ck_assert_ptr_nonnull(registry);
}

static void tear_down(void)
{
    char command[128];
    registry_destroy(registry);
    free(error);
    error = NULL;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

/* A copy of a test plugin under another name, in the folder or below it. */
static const char *copy(const char *plugin, const char *name)
{
    static char path[256];
    char command[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(command, sizeof command, "cp --remove-destination '%s/%s.so' '%s' && chmod 755 '%s'",
             TEST_PLUGIN_DIR, plugin, path, path);
    ck_assert_int_eq(system(command), 0);
    return path;
}

static void refused(const char *path, const char *words)
{
    free(error);
    error = NULL;
    ck_assert_ptr_null(registry_load(registry, path, &error));
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error, words) != NULL, "%s", error);
    ck_assert_msg(!strncmp(error, path, strlen(path)), "%s", error); /* which file it is */
    ck_assert_ptr_null(strchr(error, '\n'));
}

START_TEST(good_plugin)
{
    const char *path = copy("good_input", "x.so");
    const struct plugin *plugin = registry_load(registry, path, &error);
    ck_assert_msg(plugin != NULL, "%s", error);
    ck_assert_str_eq(plugin->api.name, "good");
    ck_assert_int_eq(plugin->api.kind, WEIR_INPUT);
    ck_assert_str_eq(plugin->path, path);
    ck_assert_ptr_null(plugin->api.write);
    char *why = NULL;
    ck_assert_ptr_eq(registry_find(registry, WEIR_INPUT, "good", &why), plugin);
    ck_assert_ptr_eq(registry_find(registry, WEIR_INPUT, "GOOD", &why), plugin);
    ck_assert_ptr_null(why);
}
END_TEST

START_TEST(newer_plugin)
{
    const struct plugin *plugin = registry_load(registry, copy("newer_input", "x.so"), &error);
    ck_assert_msg(plugin != NULL, "%s", error);
    ck_assert_str_eq(option_row(plugin->api.options, plugin->api.option_size, 1).name, "second");
}
END_TEST

START_TEST(bad_plugins)
{
    static const struct {
        const char *plugin, *words;
    } cases[] = {
        {"bad_symbol", ": is no weir plugin: it does not define weir_plugin_descriptor"},
        {"bad_tiny", ": is no weir plugin: its weir_plugin_descriptor has only 4 bytes"},
        {"bad_abi", ": is built for version 2 of the plugin interface, this weir has version 1"},
        {"bad_size", ": its descriptor is too small: "},
        {"bad_claim", ": its descriptor claims "},
        {"bad_kind", ": is neither an input nor an output (kind 7)"},
        {"bad_name", ": its name is not of the form [a-z][a-z0-9_]*"},
        {"bad_create", ": the input 'bad_create' lacks the callback 'create'"},
        {"bad_write", ": the output 'bad_write' lacks the callback 'write'"},
        {"bad_row", ": the rows of its option table are too small: 8 bytes"},
        {"bad_option", ": bad option table: option 'far': its offset lies outside"},
        {"bad_default", ": bad option table: option 'number': its default is no value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(copy(cases[i].plugin, "x.so"), cases[i].words);
    ck_assert_ptr_nonnull(
        registry_load(registry, copy("good_input", "x.so"), &error)); /* none of them is in the way */
}
END_TEST

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(path, 0755), 0);
}

START_TEST(no_shared_objects)
{
    char path[128];
    snprintf(path, sizeof path, "%s/x.so", folder);
    refused(path, ": can't be opened: No such file or directory");
    write_text(path, "");
    refused(path, ": can't be loaded: file too short");
    write_text(path, "this is not an ELF file, however long the text in it is made to be...");
    refused(path, ": can't be loaded: invalid ELF header");
    for (off_t size = 100; size < 12000; size += 1000) { /* a file that is being copied */
        ck_assert_int_eq(truncate(copy("good_input", "x.so"), size), 0);
        refused(path, ": is not whole: it ends after ");
    }
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    refused(path, ": is no shared object: it is not a regular file");
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    refused(path, ": is no shared object: it is not a regular file"); /* and does not wait for a writer */
}
END_TEST

START_TEST(writable_by_others)
{
    const char *path = copy("good_input", "x.so");
    ck_assert_int_eq(chmod(path, 0757), 0);
    refused(path, ": refused, since everybody may write to it: chmod o-w '/tmp/test_plugin.");
    ck_assert_int_eq(chmod(path, 0755), 0);
    ck_assert_int_eq(chmod(folder, 0777), 0);
    refused(path, ": refused, since everybody may write to its directory: chmod o-w '/tmp/test_plugin.");
    ck_assert_int_eq(chmod(folder, 01777), 0); /* like /tmp: others may not replace the file */
    const struct plugin *plugin = registry_load(registry, path, &error);
    ck_assert_msg(plugin != NULL, "%s", error);
}
END_TEST

START_TEST(link_is_judged_by_its_target)
{
    char link[128];
    const char *path = copy("good_input", "x.so");
    snprintf(link, sizeof link, "%s/link.so", folder);
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert_int_eq(chmod(path, 0757), 0);
    ck_assert_ptr_null(registry_load(registry, link, &error));
    ck_assert_ptr_nonnull(strstr(error, "everybody may write to it"));
}
END_TEST

START_TEST(belongs_to_somebody_else)
{
    const char *path = copy("good_input", "x.so");
    if (geteuid() != 0)
        return; /* nobody but root can give files away */
    ck_assert_int_eq(chown(path, 12345, 12345), 0);
    refused(path,
            ": refused, since it belongs to user 12345, who is neither root nor the user that weir runs as");
}
END_TEST

START_TEST(same_name_twice)
{
    char first[256];
    strcpy(first, copy("good_input", "x.so"));
    ck_assert_ptr_nonnull(registry_load(registry, first, &error));
    refused(copy("good_input", "y.so"), ": the input 'good' is loaded already, from /tmp/test_plugin.");
    refused(first, ": the input 'good' is loaded already, from ");
}
END_TEST

static void not_found(enum weir_kind kind, const char *name, const char *line)
{
    free(error);
    error = NULL;
    ck_assert_ptr_null(registry_find(registry, kind, name, &error));
    ck_assert_ptr_nonnull(error);
    ck_assert_str_eq(error, line);
}

START_TEST(search)
{
    const char *path = copy("good_input", "in_good.so");
    const struct plugin *plugin = registry_find(registry, WEIR_INPUT, "good", &error);
    ck_assert_msg(plugin != NULL, "%s", error);
    ck_assert_str_eq(plugin->path, path);
    not_found(WEIR_INPUT, "goud", "there is no input 'goud'; did you mean 'good'?");
    not_found(WEIR_OUTPUT, "good", "there is no output 'good'; it is an input");
    not_found(WEIR_INPUT, "nothinglikeit",
              "there is no input 'nothinglikeit'; weir plugins lists what there is");
    not_found(WEIR_INPUT, "../x", "there is no input '../x'; weir plugins lists what there is");
    not_found(WEIR_INPUT, "", "there is no input ''; weir plugins lists what there is");
    char name[200];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    free(error);
    ck_assert_ptr_null(registry_find(registry, WEIR_INPUT, name, &error));
}
END_TEST

START_TEST(file_with_another_name_in_it)
{
    copy("good_input", "in_other.so");
    ck_assert_ptr_null(registry_find(registry, WEIR_INPUT, "other", &error));
    ck_assert_ptr_nonnull(strstr(error, "in_other.so: holds the input 'good', not the input 'other'"));
}
END_TEST

START_TEST(bad_file_in_the_way)
{
    copy("bad_abi", "in_good.so");
    ck_assert_ptr_null(registry_find(registry, WEIR_INPUT, "good", &error));
    ck_assert_ptr_nonnull(strstr(error, "is built for version 2"));
    char *why = registry_why_not(registry, "good");
    ck_assert(why && strstr(why, "is built for version 2"));
    free(why);
}
END_TEST

START_TEST(first_directory_wins)
{
    char dirs[256], inner[128];
    snprintf(inner, sizeof inner, "%s/inner", folder);
    ck_assert_int_eq(mkdir(inner, 0755), 0);
    copy("good_input", "inner/in_good.so");
    copy("good_input", "in_good.so");
    snprintf(dirs, sizeof dirs, ":/nonexistent::%s:%s:", inner, folder);
    setenv("WEIR_PLUGIN_PATH", dirs, 1);
    struct registry *other = registry_create(folder);
    unsetenv("WEIR_PLUGIN_PATH");
    const struct plugin *plugin = registry_find(other, WEIR_INPUT, "good", &error);
    ck_assert_msg(plugin != NULL, "%s", error);
    ck_assert_ptr_nonnull(strstr(plugin->path, "/inner/"));
    registry_destroy(other);
}
END_TEST

/* What registry_print wrote; the caller frees. */
static char *printed(const char *name, int expected)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    ck_assert_int_eq(registry_print(registry, file, name), expected);
    fclose(file);
    return text;
}

START_TEST(table_and_manual)
{
    copy("good_input", "in_good.so");
    copy("bad_write", "out_bad_write.so");
    char *text = printed(NULL, 0);
    ck_assert_ptr_nonnull(strstr(text, "input  good             1.2      Does nothing.\n"));
    ck_assert_ptr_nonnull(strstr(text, "not loaded: "));
    ck_assert_ptr_nonnull(strstr(text, "lacks the callback 'write'\n"));
    free(text);
    text = printed("good", 0);
    ck_assert_ptr_nonnull(strstr(text, "good, input plugin, version 1.2\nDoes nothing.\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "  number\n      number, between 1 and 9, default 3, also written count\n"));
    free(text);
    text = printed("goud", -ENOENT);
    ck_assert_str_eq(text, "");
    free(text);
    text = registry_why_not(registry, "goud");
    ck_assert_str_eq(text, "there is no plugin 'goud'; did you mean 'good'?");
    free(text);
}
END_TEST

/* What a registry that follows on this one finds for the good plugin, in *ret_next. */
static const struct plugin *find_renewed(struct registry **ret_next)
{
    *ret_next = registry_renew(registry, folder);
    ck_assert_ptr_nonnull(*ret_next);
    const struct plugin *plugin = registry_find(*ret_next, WEIR_INPUT, "good", &error);
    ck_assert_msg(plugin != NULL, "%s", error);
    registry_settle(*ret_next);
    return plugin;
}

static void shell(const char *what, const char *path)
{
    char command[512];
    snprintf(command, sizeof command, what, path);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(unchanged_file_is_loaded_once)
{
    struct registry *next;
    const char *path = copy("good_input", "in_good.so");
    const struct plugin *plugin = registry_find(registry, WEIR_INPUT, "good", &error);
    ck_assert_ptr_eq(find_renewed(&next), plugin);
    registry_destroy(next);
    shell("touch '%s'", path);
    ck_assert_ptr_eq(find_renewed(&next), plugin);
    registry_destroy(next);
    shell("cp '%1$s' '%1$s.new' && mv '%1$s.new' '%1$s'", path);
    ck_assert_ptr_eq(find_renewed(&next), plugin);
    registry_destroy(registry); /* which the next one survives */
    registry = next;
    ck_assert_str_eq(plugin->api.name, "good");
    ck_assert_ptr_eq(find_renewed(&next), plugin);
    registry_destroy(next);
}
END_TEST

/* Both ways of replacing it: a new file, and (which is careless) new bytes in the same one. */
START_TEST(changed_file_is_loaded_beside_the_old_code)
{
    static const char *const ways[] = {"cp '%1$s' '%1$s.new' && echo >>'%1$s.new' && mv '%1$s.new' '%1$s'",
                                       "dd if=/dev/zero bs=64k count=1 conv=notrunc status=none of='%1$s' && "
                                       "cp '" TEST_PLUGIN_DIR "/good_input.so' '%1$s' && echo >>'%1$s'"};
    struct registry *next;
    const char *path = copy("good_input", "in_good.so");
    const struct plugin *plugin = registry_find(registry, WEIR_INPUT, "good", &error);
    void *self = NULL;
    shell(ways[_i], path);
    const struct plugin *fresh = find_renewed(&next);
    ck_assert_ptr_ne(fresh, plugin);
    ck_assert_ptr_ne(fresh->handle, plugin->handle);
    ck_assert(fresh->api.create != plugin->api.create);
    ck_assert_str_eq(fresh->path, plugin->path);
    ck_assert_int_eq(plugin->api.create(NULL, NULL, NULL, &self), 0); /* both still run */
    ck_assert_int_eq(fresh->api.create(NULL, NULL, NULL, &self), 0);
    registry_destroy(next);
    ck_assert_int_eq(plugin->api.create(NULL, NULL, NULL, &self), 0);
}
END_TEST

START_TEST(changed_file_is_judged_anew)
{
    const char *path = copy("good_input", "in_good.so");
    ck_assert_ptr_nonnull(registry_find(registry, WEIR_INPUT, "good", &error));
    shell("chmod o+w '%s'", path);
    struct registry *next = registry_renew(registry, folder);
    ck_assert_ptr_null(registry_find(next, WEIR_INPUT, "good", &error));
    ck_assert_ptr_nonnull(strstr(error, "everybody may write to it"));
    registry_destroy(next);
}
END_TEST

START_TEST(code_stays_while_an_instance_uses_it)
{
    void *self = NULL;
    copy("good_input", "in_good.so");
    const struct plugin *plugin = plugin_ref(registry_find(registry, WEIR_INPUT, "good", &error));
    registry_destroy(registry);
    registry = NULL;
    ck_assert_int_eq(plugin->api.create(NULL, NULL, NULL, &self), 0);
    plugin_unref(plugin);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin");
    TCase *tcase = tcase_create("all");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, good_plugin);
    tcase_add_test(tcase, newer_plugin);
    tcase_add_test(tcase, bad_plugins);
    tcase_add_test(tcase, no_shared_objects);
    tcase_add_test(tcase, writable_by_others);
    tcase_add_test(tcase, link_is_judged_by_its_target);
    tcase_add_test(tcase, belongs_to_somebody_else);
    tcase_add_test(tcase, same_name_twice);
    tcase_add_test(tcase, search);
    tcase_add_test(tcase, file_with_another_name_in_it);
    tcase_add_test(tcase, bad_file_in_the_way);
    tcase_add_test(tcase, first_directory_wins);
    tcase_add_test(tcase, table_and_manual);
    tcase_add_test(tcase, unchanged_file_is_loaded_once);
    tcase_add_loop_test(tcase, changed_file_is_loaded_beside_the_old_code, 0, 2);
    tcase_add_test(tcase, changed_file_is_judged_anew);
    tcase_add_test(tcase, code_stays_while_an_instance_uses_it);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
