/* Tests of out_@NAME@ with weir's fake host: no daemon, no configuration file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/fake_host.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

static char path[] = "/tmp/test_@NAME@.XXXXXX";

static struct weir_instance *make(struct weir_fake *fake, const char *where, const char *key)
{
    const struct weir_fake_setting settings[] = {{"path", where}, {"key", key}, {NULL, NULL}};

    return weir_fake_new(fake, &weir_plugin_descriptor, "test", settings);
}

static void expect_file(const char *text)
{
    char got[256] = "";
    FILE *file = fopen(path, "r");

    CHECK(file != NULL);
    got[fread(got, 1, sizeof(got) - 1, file)] = '\0';
    fclose(file);
    CHECK(strcmp(got, text) == 0);
}

static void test_lines_are_written(struct weir_fake *fake)
{
    struct weir_instance *output = make(fake, path, "log");

    CHECK(output != NULL);
    CHECK(weir_fake_start(output) == 0);
    CHECK(weir_fake_write_lines(output, "some.tag", "", "first\nsecond\n") == WEIR_DELIVERED);
    CHECK(weir_fake_write_lines(output, "some.tag", "", "third\n") == WEIR_DELIVERED);
    CHECK(weir_fake_metric(output, "lines", NULL) == 3);
    weir_fake_stop(output);
    expect_file("first\nsecond\nthird\n");
}

static void test_full_disk(struct weir_fake *fake)
{
    struct weir_instance *output = make(fake, "/dev/full", "log");

    CHECK(output != NULL);
    CHECK(weir_fake_start(output) == 0);
    CHECK(weir_fake_write_lines(output, "some.tag", "", "line\n") == WEIR_RETRY);
    CHECK(strstr(weir_fake_error(fake), "No space left") != NULL);
    weir_fake_stop(output);
}

static void test_bad_settings(struct weir_fake *fake)
{
    struct weir_instance *output;

    CHECK(make(fake, path, "") == NULL);
    CHECK(strcmp(weir_fake_error(fake), "'key' must not be empty") == 0);
    output = make(fake, "/no/such/directory/file", "log");
    CHECK(output != NULL);
    CHECK(weir_fake_start(output) < 0);
    weir_fake_drop(output);
}

int main(void)
{
    struct weir_fake *fake = weir_fake_create();

    CHECK(close(mkstemp(path)) == 0);
    test_lines_are_written(fake);
    test_full_disk(fake);
    test_bad_settings(fake);
    unlink(path);
    weir_fake_destroy(fake);
    puts("ok");
    return 0;
}
