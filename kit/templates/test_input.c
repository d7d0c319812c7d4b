/* Tests of in_@NAME@ with weir's fake host: no daemon, no configuration file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/fake_host.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

static const uint64_t SECOND = 1000000000;

static struct weir_instance *started(struct weir_fake *fake, const char *count)
{
    const struct weir_fake_setting settings[] = {{"interval", "1s"}, {"count", count}, {NULL, NULL}};
    struct weir_instance *input = weir_fake_new(fake, &weir_plugin_descriptor, "test", settings);

    CHECK(input != NULL);
    CHECK(weir_fake_start(input) == 0);
    return input;
}

static void expect_sent(struct weir_fake *fake, const char *text)
{
    char *got = weir_fake_text(fake, "log");

    CHECK(strcmp(got, text) == 0);
    free(got);
    weir_fake_forget(fake);
}

/* The clock is the fake host's: nobody waits for a second. */
static void test_counts_and_goes_on(struct weir_fake *fake)
{
    struct weir_instance *input = started(fake, "0");

    weir_fake_later(fake, SECOND);
    weir_fake_later(fake, SECOND);
    expect_sent(fake, "1\n2\n");
    weir_fake_stop(input);
    input = started(fake, "0"); /* all of that was acknowledged */
    weir_fake_later(fake, SECOND);
    expect_sent(fake, "3\n");
    weir_fake_stop(input);
}

static void test_full_output(struct weir_fake *fake)
{
    struct weir_instance *input = started(fake, "0");

    weir_fake_set_full(input, true);
    weir_fake_later(fake, SECOND);
    expect_sent(fake, "");
    weir_fake_set_full(input, false);
    weir_fake_idle(fake);
    expect_sent(fake, "4\n");
    weir_fake_stop(input);
}

static void test_end(struct weir_fake *fake)
{
    struct weir_instance *input = started(fake, "5");

    weir_fake_later(fake, SECOND);
    weir_fake_later(fake, SECOND);
    expect_sent(fake, "5\n");
    CHECK(weir_fake_is_ended(input));
    weir_fake_stop(input);
}

int main(void)
{
    struct weir_fake *fake = weir_fake_create();

    test_counts_and_goes_on(fake);
    test_full_output(fake);
    test_end(fake);
    weir_fake_destroy(fake);
    puts("ok");
    return 0;
}
