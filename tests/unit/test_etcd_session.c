/* SPDX-License-Identifier: Apache-2.0 */
/* in_etcd as a whole in the fake host, with an etcd that does what is hard to have of a real one. */
#include <dlfcn.h>
#include <netdb.h>
#include <time.h>
#include "etcd_fixture.h"

#define SECOND UINT64_C(1000000000)

enum { DEADLINE = 60000 /* ms */ };

static struct weir_fake *fake;
static struct etcd_server *server;
static struct weir_instance *etcd;

static void set_up(void)
{
    fake = weir_fake_create();
    server = etcd_server_start();
}

static void tear_down(void)
{
    if (weir_fake_is_stopped(etcd))
        weir_fake_drop(etcd);
    else
        weir_fake_stop(etcd);
    weir_fake_destroy(fake);
    etcd_server_end(server);
}

/* At the server, with these besides. */
static void begin(const struct weir_fake_setting *more)
{
    struct weir_fake_setting settings[16] = {{"endpoints", server->url}};
    size_t count = 1;

    for (; more->name; more++)
        settings[count++] = *more;
    etcd = weir_fake_new(fake, &weir_plugin_descriptor, "source", settings);
    ck_assert_msg(etcd != NULL, "%s", weir_fake_error(fake));
    ck_assert_int_eq(weir_fake_start(etcd), 0);
}

static int64_t metric(const char *name)
{
    return weir_fake_metric(etcd, name, NULL);
}

static bool is_connected(void *data)
{
    (void)data;
    return metric("connected") == 1;
}

static void wait_connected(void)
{
    ck_assert(weir_fake_until(fake, is_connected, NULL, DEADLINE));
}

static bool has_sets(void *data)
{
    return weir_fake_sets(etcd) >= *(unsigned *)data;
}

static bool is_applied(void *data)
{
    (void)data;
    return metric("applied_revision") > 0;
}

/* -- A name server that does not answer -------------------------------------------------------------- */

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t names_answer = PTHREAD_COND_INITIALIZER;
static bool names_answered, names_gave_up;

/* libcurl's, too: what the program defines comes first. Of this name nothing is heard for as long as a real
 * one would wait; all others are looked up. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))(uintptr_t)dlsym(
            RTLD_NEXT, "getaddrinfo");
    struct timespec end;

    if (!node || strcmp(node, "silent.example") != 0)
        return real(node, service, hints, ret);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    pthread_mutex_lock(&names_lock);
    while (!names_answered && !names_gave_up)
        names_gave_up = pthread_cond_timedwait(&names_answer, &names_lock, &end) != 0;
    pthread_mutex_unlock(&names_lock);
    return EAI_AGAIN;
}

static bool has_failed_twice(void *data)
{
    (void)data;
    return metric("failures") >= 2;
}

/* Neither when a request has run out of time, nor at a stop: the loop is that of the files, too. */
START_TEST(name_server_is_not_waited_for)
{
    const struct weir_fake_setting settings[] = {
        {"endpoints", "http://silent.example:2379"}, {"key", "k"}, {"connect_timeout", "50ms"}, {NULL, NULL}};

    server->url[0] = '\0';
    etcd = weir_fake_new(fake, &weir_plugin_descriptor, "source", settings);
    ck_assert_int_eq(weir_fake_start(etcd), 0);
    ck_assert(weir_fake_until(fake, has_failed_twice, NULL, DEADLINE));
    weir_fake_begin_stop(etcd);
    pthread_mutex_lock(&names_lock);
    ck_assert_msg(!names_gave_up, "the loop waited until the look-up had given up");
    names_answered = true;
    pthread_cond_broadcast(&names_answer);
    pthread_mutex_unlock(&names_lock);
    ck_assert_uint_ge(weir_fake_logged(fake, "silent.example"), 1);
}
END_TEST

/* -- How much an answer may hold ---------------------------------------------------------------------- */

/* max_value_size is of one value, whatever all of them have together; and one beyond it leaves out itself
 * alone. */
START_TEST(many_values_and_one_too_large)
{
    enum { KEYS = 1000, SIZE = 1000, LARGE = 2 << 20 };
    char key[32], *value = malloc(LARGE + 1);
    size_t count;

    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k/%04u", i);
        int size = snprintf(value, SIZE, "{\"path\":\"/var/log/%u\"}", i);
        memset(value + size, ' ', (size_t)(SIZE - size));
        value[SIZE] = '\0';
        etcd_server_add(server, key, value);
    }
    memset(value, 'x', LARGE);
    value[LARGE] = '\0';
    etcd_server_add(server, "k/large", value);
    free(value);
    begin((const struct weir_fake_setting[]){{"prefix", "k/"}, {"max_value_size", "1k"}, {NULL, NULL}});
    ck_assert_msg(weir_fake_until(fake, is_applied, NULL, DEADLINE), "%s", weir_fake_log(fake));
    weir_fake_set(etcd, &count);
    ck_assert_uint_eq(count, KEYS);
    ck_assert_int_eq(metric("refused_entries"), 1);
    ck_assert_uint_eq(weir_fake_logged(fake, "k/large is refused: the value has 2097152 bytes"), 1);
}
END_TEST

/* -- What is refused ---------------------------------------------------------------------------------- */

static bool never(void *data)
{
    (void)data;
    return false;
}

/* Only another value mends it, and that is watched for: nothing is read before resync_interval. */
START_TEST(entry_that_is_refused_for_itself)
{
    etcd_server_add(server, "k", "[{\"path\":\"/var/log/a\"},{\"path\":\"/etc/passwd\"}]");
    begin((const struct weir_fake_setting[]){
        {"key", "k"}, {"allow_path", "/var/log/**"}, {"ping_interval", "1h"}, {NULL, NULL}});
    wait_connected();
    ck_assert(weir_fake_until(fake, is_applied, NULL, DEADLINE));
    for (int i = 0; i < 100; i++) {
        weir_fake_later(fake, SECOND);
        weir_fake_until(fake, never, NULL, 3);
    }
    ck_assert_uint_eq(etcd_server_count(server, &server->reads), 1);
    ck_assert_uint_eq(weir_fake_sets(etcd), 1);
    ck_assert_int_eq(metric("refused_entries"), 1);
}
END_TEST

/* Seconds until there have been so many sets. */
static unsigned seconds_until(unsigned sets)
{
    unsigned seconds = 0;

    while (!has_sets(&sets)) {
        weir_fake_later(fake, SECOND);
        weir_fake_until(fake, has_sets, &sets, 5);
        seconds++;
    }
    return seconds;
}

/* After a second, then twice that and so on, whatever others write to etcd meanwhile. */
START_TEST(what_weir_refuses_is_given_again)
{
    etcd_server_add(server, "k", "{\"path\":\"/var/log/a\"}");
    begin((const struct weir_fake_setting[]){{"key", "k"}, {"ping_interval", "1h"}, {NULL, NULL}});
    weir_fake_refuse(etcd, "/var/log/a", "no output takes it");
    wait_connected();
    ck_assert_uint_ge(seconds_until(6), 1 + 2 + 4 + 8); /* and 16, less what the test itself takes */
    weir_fake_idle(fake);
    ck_assert_uint_eq(weir_fake_logged(fake, "is applied"), 1);
    weir_fake_refuse(etcd, NULL, NULL);
    seconds_until(7);
    weir_fake_idle(fake);
    ck_assert_int_eq(metric("refused_entries"), 0);
    ck_assert_uint_eq(weir_fake_logged(fake, "is applied"), 2);
    for (int i = 0; i < 100; i++) {
        weir_fake_later(fake, SECOND);
        weir_fake_until(fake, never, NULL, 3);
    }
    ck_assert_uint_eq(weir_fake_sets(etcd), 7);
}
END_TEST

/* -- Tokens ------------------------------------------------------------------------------------------- */

static const struct weir_fake_setting with_user[] = {
    {"key", "k"}, {"user", "u"}, {"password", "p"}, {"ping_interval", "15s"}, {NULL, NULL}};

static void change_token(bool refuse_all)
{
    pthread_mutex_lock(&server->lock);
    server->token++;
    server->refuses_tokens = refuse_all;
    pthread_mutex_unlock(&server->lock);
}

static bool has_pings(void *data)
{
    return etcd_server_count(server, &server->pings) >= *(unsigned *)data;
}

/* The session goes on with another one, and nobody is told of an outage. */
START_TEST(token_that_runs_out)
{
    server->token = 1;
    begin(with_user);
    wait_connected();
    for (unsigned i = 1; i <= 3; i++) {
        change_token(false);
        weir_fake_later(fake, 15 * SECOND);
        ck_assert(weir_fake_until(fake, has_pings, &i, DEADLINE));
        ck_assert_uint_eq(etcd_server_count(server, &server->tokens), 1 + i);
    }
    ck_assert_uint_eq(etcd_server_count(server, &server->reads), 1);
    ck_assert_int_eq(metric("failures"), 0);
    ck_assert_int_eq(metric("connected"), 1);
    ck_assert_uint_eq(weir_fake_logged(fake, "WARN"), 0);
}
END_TEST

static bool has_failed(void *data)
{
    (void)data;
    return metric("failures") > 0;
}

/* Another one is asked for once: one that is refused as well ends the session. */
START_TEST(tokens_that_are_all_refused)
{
    server->token = 1;
    begin(with_user);
    wait_connected();
    change_token(true);
    weir_fake_later(fake, 15 * SECOND);
    ck_assert(weir_fake_until(fake, has_failed, NULL, DEADLINE));
    ck_assert_int_eq(metric("connected"), 0);
    ck_assert_uint_eq(etcd_server_count(server, &server->tokens), 2);
    ck_assert_uint_eq(weir_fake_logged(fake, "refused with HTTP status 401: etcdserver: invalid auth token"),
                      1);
}
END_TEST

static bool has_puts(void *data)
{
    return etcd_server_count(server, &server->puts) >= *(unsigned *)data;
}

static bool has_tokens(void *data)
{
    return etcd_server_count(server, &server->tokens) >= *(unsigned *)data;
}

/* status_key is written with the new token, however long that takes, and only tried again without a word. */
START_TEST(token_that_runs_out_for_the_report)
{
    server->token = 1;
    begin((const struct weir_fake_setting[]){{"key", "k"},
                                             {"user", "u"},
                                             {"password", "p"},
                                             {"ping_interval", "1h"},
                                             {"status_key", "s"},
                                             {NULL, NULL}});
    wait_connected();
    ck_assert(weir_fake_until(fake, has_puts, &(unsigned){1}, DEADLINE));
    ck_assert(weir_fake_until(fake, is_applied, NULL, DEADLINE));
    change_token(false);
    pthread_mutex_lock(&server->lock);
    server->holds_tokens = true;
    pthread_mutex_unlock(&server->lock);
    do /* the answer to the put may still be on its way */
        weir_fake_later(fake, 20 * SECOND);
    while (!weir_fake_until(fake, has_tokens, &(unsigned){2}, 100));
    for (int i = 0; i < 5; i++) {
        weir_fake_later(fake, SECOND);
        weir_fake_until(fake, never, NULL, 10);
    }
    etcd_server_release(server);
    ck_assert(weir_fake_until(fake, has_pings, &(unsigned){1}, DEADLINE));
    unsigned wanted = etcd_server_count(server, &server->puts) + 1;
    ck_assert(weir_fake_until(fake, has_puts, &wanted, DEADLINE));
    ck_assert_uint_eq(etcd_server_count(server, &server->tokens), 2);
    ck_assert_int_eq(metric("failures"), 0);
    ck_assert_uint_eq(weir_fake_logged(fake, "WARN"), 0);
}
END_TEST

/* -- The report ---------------------------------------------------------------------------------------- */

/* A status of weir's with one file, and more members than are quickly looked through. */
static void set_status(const char *path, size_t others)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fprintf(
        f,
        "{\"inputs\":[{\"owner\":\"source\",\"topic\":\"t\",\"files\":[{\"path\":\"%s\",\"size\":7,\"committed\":3}]}]",
        path);
    for (size_t i = 0; i < others; i++)
        fprintf(f, ",\"other%zu\":{\"a\":[%zu]}", i, i);
    fputs("}", f);
    fclose(f);
    weir_fake_set_status(fake, text);
    free(text);
}

static bool was_put(const char *text)
{
    pthread_mutex_lock(&server->lock);
    bool found = strstr(server->put, text);
    pthread_mutex_unlock(&server->lock);
    return found;
}

/* The loop is that of the files: a look that took long is not taken again at once, while the key is written
 * as ever. */
START_TEST(report_that_takes_long)
{
    set_status("/var/log/before", 200000);
    begin((const struct weir_fake_setting[]){
        {"key", "k"}, {"ping_interval", "1h"}, {"status_key", "s"}, {NULL, NULL}});
    ck_assert(weir_fake_until(fake, has_puts, &(unsigned){1}, DEADLINE));
    ck_assert(was_put("\"files\":[{\"path\":\"/var/log/before\",\"topic\":\"t\",\"lag\":4}]"));
    set_status("/var/log/after", 0);
    do
        weir_fake_later(fake, 20 * SECOND);
    while (!weir_fake_until(fake, has_puts, &(unsigned){2}, 100));
    ck_assert(was_put("/var/log/before"));
}
END_TEST

/* One that did not is taken each time. */
START_TEST(report_that_is_quick)
{
    set_status("/var/log/before", 0);
    begin((const struct weir_fake_setting[]){
        {"key", "k"}, {"ping_interval", "1h"}, {"status_key", "s"}, {NULL, NULL}});
    ck_assert(weir_fake_until(fake, has_puts, &(unsigned){1}, DEADLINE));
    set_status("/var/log/after", 0);
    for (unsigned i = 2; i < 1000 && !was_put("/var/log/after"); i++) {
        weir_fake_later(fake, 20 * SECOND);
        weir_fake_until(fake, has_puts, &i, 20);
    }
    ck_assert(was_put("/var/log/after"));
}
END_TEST

/* What it says would be told in what it says. */
START_TEST(report_to_itself)
{
    static const struct {
        struct weir_fake_setting settings[4];
        bool good;
    } cases[] = {
        {{{"prefix", "/files/"}, {"status_key", "/files/status/${hostname}"}}, false},
        {{{"key", "a,/b"}, {"status_key", "/b"}}, false},
        {{{"key", "/b"}, {"prefix", "/files/"}, {"status_key", "/b/files/"}}, true},
    };

    if (!cases[_i].good) {
        ck_assert_ptr_null(weir_fake_new(fake, &weir_plugin_descriptor, "source", cases[_i].settings));
        ck_assert_msg(strstr(weir_fake_error(fake), "status_key: "), "%s", weir_fake_error(fake));
    }
    begin(cases[cases[_i].good ? _i : 2].settings);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("etcd session");
    TCase *tcase = tcase_create("session");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, name_server_is_not_waited_for);
    tcase_add_test(tcase, many_values_and_one_too_large);
    tcase_add_test(tcase, entry_that_is_refused_for_itself);
    tcase_add_test(tcase, what_weir_refuses_is_given_again);
    tcase_add_test(tcase, token_that_runs_out);
    tcase_add_test(tcase, tokens_that_are_all_refused);
    tcase_add_test(tcase, token_that_runs_out_for_the_report);
    tcase_add_test(tcase, report_that_takes_long);
    tcase_add_test(tcase, report_that_is_quick);
    tcase_add_loop_test(tcase, report_to_itself, 0, 3);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
