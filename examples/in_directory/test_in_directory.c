/* SPDX-License-Identifier: 0BSD */
/* in_directory with the fake host: files that come, change, make no sense, and go. */
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

static char dir[] = "/tmp/test_in_directory.XXXXXX";
static struct weir_fake *fake;
static struct weir_instance *input;
static unsigned wanted;

static const char *at(const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(at(name), "w");

    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static bool has_set(void *data)
{
    (void)data;
    return weir_fake_sets(input) >= wanted;
}

/* Waits for the next set: what is in it. */
static const struct weir_input_spec *next_set(size_t *ret_count)
{
    wanted++;
    CHECK(weir_fake_until(fake, has_set, NULL, 5000));
    weir_fake_idle(fake);
    return weir_fake_set(input, ret_count);
}

int main(void)
{
    const struct weir_input_spec *set;
    size_t count;

    fake = weir_fake_create();
    CHECK(mkdtemp(dir) != NULL);
    const struct weir_fake_setting settings[] = {{"path", dir}, {NULL, NULL}};
    input = weir_fake_new(fake, &weir_plugin_descriptor, "test", settings);
    CHECK(input && weir_fake_start(input) == 0);
    next_set(&count);
    CHECK(count == 0);

    put("b.conf", "name = tail\n# a comment\n\n  path =  /var/log/x y.log \r\n");
    set = next_set(&count);
    CHECK(count == 1 && strcmp(set[0].id, "b.conf") == 0 && strcmp(set[0].name, "tail") == 0);
    CHECK(strcmp(weir_fake_spec_value(&set[0], "path"), "/var/log/x y.log") == 0);

    put(".half.conf", "name = ta"); /* not looked at */
    put("notes.txt", "nothing");
    put("bad.conf", "what is this\n");
    weir_fake_idle(fake);
    CHECK(weir_fake_logged(fake, "bad.conf is left out: a line is not 'key = value'") > 0);
    CHECK(weir_fake_sets(input) == wanted); /* nothing has changed for weir */

    weir_fake_refuse(input, "a.conf", "there is no input 'nonsense'");
    put("a.conf", "name = nonsense\n");
    set = next_set(&count);
    CHECK(count == 2 && strcmp(set[0].id, "a.conf") == 0 && strcmp(set[1].id, "b.conf") == 0);
    CHECK(weir_fake_logged(fake, "entry 1 is refused: there is no input 'nonsense'") == 1);

    unlink(at("b.conf"));
    set = next_set(&count);
    CHECK(count == 1 && strcmp(set[0].id, "a.conf") == 0);
    weir_fake_stop(input);
    weir_fake_destroy(fake);

    static const char *const names[] = {"a.conf", "bad.conf", "notes.txt", ".half.conf"};
    for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
        unlink(at(names[k]));
    CHECK(rmdir(dir) == 0);
    puts("ok");
    return 0;
}
