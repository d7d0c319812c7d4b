/* SPDX-License-Identifier: 0BSD */
/* out_files with the fake host: what becomes of tags, links, and more tags than may be open. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weir/fake_host.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

static char dir[] = "/tmp/test_out_files.XXXXXX";

static struct weir_instance *started(struct weir_fake *fake)
{
    const struct weir_fake_setting settings[] = {{"dir", dir}, {NULL, NULL}};
    struct weir_instance *output = weir_fake_new(fake, &weir_plugin_descriptor, "test", settings);

    CHECK(output && weir_fake_start(output) == 0);
    return output;
}

static void expect_file(const char *name, const char *text)
{
    char path[512], got[256];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    got[fread(got, 1, sizeof(got) - 1, file)] = '\0';
    fclose(file);
    CHECK(strcmp(got, text) == 0);
    unlink(path);
}

static size_t count_files(void)
{
    DIR *d = opendir(dir);
    size_t count = 0;

    for (struct dirent *e; (e = readdir(d));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return count;
}

static void test_names(struct weir_fake *fake)
{
    static const char *const tags[][2] = {{"web.access", "web.access"},
                                          {"../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"},
                                          {".hidden", "%2Ehidden"},
                                          {"/etc/passwd", "%2Fetc%2Fpasswd"},
                                          {"", "%"},
                                          {"%", "%25"},
                                          {"a\nb \xff", "a%0Ab%20%FF"},
                                          {"..", "%2E."},
                                          {"a%2Fb", "a%252Fb"},
                                          {"a/b", "a%2Fb"}};
    struct weir_instance *output = started(fake);

    for (size_t k = 0; k < sizeof(tags) / sizeof(*tags); k++)
        CHECK(weir_fake_write_lines(output, tags[k][0], "", "x\ny\n") == WEIR_DELIVERED);
    weir_fake_stop(output);
    CHECK(count_files() == sizeof(tags) / sizeof(*tags));
    for (size_t k = 0; k < sizeof(tags) / sizeof(*tags); k++)
        expect_file(tags[k][1], "x\ny\n");
}

static void test_long_tags(struct weir_fake *fake)
{
    struct weir_instance *output = started(fake);
    char tag[300];

    memset(tag, 'a', sizeof(tag));
    tag[200] = '\0';
    CHECK(weir_fake_write_lines(output, tag, "", "x\n") == WEIR_DELIVERED);
    expect_file(tag, "x\n");
    tag[200] = 'a';
    tag[201] = '\0';
    CHECK(weir_fake_write_lines(output, tag, "", "x\n") == WEIR_DELIVERED);
    CHECK(weir_fake_rejected(output) == 1 && count_files() == 0);
    weir_fake_stop(output);
}

static void test_links_are_not_followed(struct weir_fake *fake)
{
    struct weir_instance *output = started(fake);
    char path[512], target[512];

    snprintf(path, sizeof(path), "%s/link", dir);
    snprintf(target, sizeof(target), "%s/target", dir);
    CHECK(symlink(target, path) == 0);
    CHECK(weir_fake_write_lines(output, "link", "", "x\n") == WEIR_RETRY);
    CHECK(access(target, F_OK) != 0);
    unlink(path);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK(weir_fake_write_lines(output, "link", "", "x\n") == WEIR_RETRY);
    unlink(path);
    CHECK(weir_fake_settle(output, 5000));
    expect_file("link", "x\nx\n");
    weir_fake_stop(output);
}

static void test_many_tags(struct weir_fake *fake)
{
    struct weir_instance *output = started(fake);
    char tag[16];

    for (int round = 0; round < 2; round++)
        for (int k = 0; k < 100; k++) {
            snprintf(tag, sizeof(tag), "t%d", k);
            CHECK(weir_fake_write_lines(output, tag, "", "x\n") == WEIR_DELIVERED);
        }
    weir_fake_stop(output);
    CHECK(count_files() == 100);
    for (int k = 0; k < 100; k++) {
        snprintf(tag, sizeof(tag), "t%d", k);
        expect_file(tag, "x\nx\n");
    }
}

int main(void)
{
    struct weir_fake *fake = weir_fake_create();

    CHECK(mkdtemp(dir) != NULL);
    test_names(fake);
    test_long_tags(fake);
    test_links_are_not_followed(fake);
    test_many_tags(fake);
    CHECK(rmdir(dir) == 0);
    weir_fake_destroy(fake);
    puts("ok");
    return 0;
}
