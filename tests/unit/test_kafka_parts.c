/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of out_kafka that need no broker: when is flushed; and of exactly_once positions as text, what
 * data_dir remembers, which records are left out, and how the gap between transactions is learnt.
 */
#include "kafka_fixture.h"
#include <errno.h>
#include <sys/stat.h>
#include "claim.h"
#include "gap.h"
#include "kept.h"
#include "pace.h"
#include "refused.h"

/* -- When is flushed -- */

enum { MS = 1000000, BATCH = 1000, FLUSHED = 1000 * MS };

/* A pace that has flushed, with so many bytes under way after that. */
static struct pace pace_with(struct flights *flights, long bytes)
{
    atomic_init(&flights->bytes, bytes);
    atomic_init(&flights->moved, false);
    return (struct pace){
        .flights = flights, .batch = BATCH, .spacing = 5 * MS, .flushed = FLUSHED, .left = bytes > 0};
}

START_TEST(a_lone_message_goes_at_once)
{
    struct flights flights;
    struct pace pace = pace_with(&flights, 0);

    ck_assert(pace_due(&pace) == INT64_MAX);
    pace.planned = true;
    pace.since = FLUSHED + 500 * MS;
    ck_assert_int_le(pace_due(&pace), pace.since);
    pace.first = 20 * MS; /* linger.ms */
    ck_assert_int_eq(pace_due(&pace), pace.since + 20 * MS);
}
END_TEST

START_TEST(full_batches_go_by_themselves)
{
    struct flights flights;
    struct pace pace = pace_with(&flights, 3 * BATCH);

    ck_assert_int_eq(pace_due(&pace), FLUSHED + 50 * MS);
    pace.planned = true;
    pace.since = FLUSHED;
    ck_assert_int_eq(pace_due(&pace), FLUSHED + 50 * MS);
}
END_TEST

/* What was planned while much was under way holds no longer. */
START_TEST(the_end_of_a_burst_does_not_wait)
{
    struct flights flights;
    struct pace pace = pace_with(&flights, 3 * BATCH);

    pace.planned = true;
    pace.since = FLUSHED;
    atomic_store(&flights.bytes, 2 * BATCH);
    ck_assert_int_eq(pace_due(&pace), FLUSHED + 5 * MS);
    /* It was flushed once more, behind a request that is answered now: nothing else sends what is left. */
    pace.planned = false;
    atomic_store(&flights.bytes, BATCH - 1);
    ck_assert_int_eq(pace_due(&pace), FLUSHED + 5 * MS);
    atomic_store(&flights.moved, true);
    ck_assert_int_eq(pace_due(&pace), FLUSHED);
    atomic_store(&flights.bytes, 0);
    ck_assert_int_eq(pace_due(&pace), FLUSHED + 5 * MS);
}
END_TEST

START_TEST(what_does_not_move_is_flushed_seldom)
{
    struct flights flights;
    struct pace pace = pace_with(&flights, BATCH);

    pace.pause = 200 * MS;
    ck_assert_int_eq(pace_due(&pace), FLUSHED + 200 * MS);
    pace.planned = true; /* something new is not held up by that */
    pace.since = FLUSHED + MS;
    ck_assert_int_eq(pace_due(&pace), FLUSHED + 5 * MS);
}
END_TEST

/* -- Positions as text -- */

static struct kept_message message_of(const char *key, const char *value)
{
    return (struct kept_message){key, value, strlen(key), value ? strlen(value) : 0};
}

static int take(struct kept_table *table, const char *key, const char *value)
{
    struct kept_message message = message_of(key, value);

    return kept_take(table, &message);
}

struct seen {
    unsigned count;
    char text[1024]; /* input|key|offset|token|meta of each, one a line */
};

static int see(void *data, const struct weir_kept *kept)
{
    struct seen *seen = data;
    size_t size = strlen(seen->text);

    seen->count++;
    snprintf(seen->text + size, sizeof(seen->text) - size, "%s|%s|%llu|%llx|%.*s\n", kept->input, kept->key,
             (unsigned long long)kept->offset, (unsigned long long)kept->token, (int)kept->meta_size,
             kept->meta ? (const char *)kept->meta : "");
    return 0;
}

START_TEST(a_position_is_read_as_it_was_written)
{
    struct kept_table table;
    struct weir_json key = {0}, value = {0};
    struct weir_kept kept = {.struct_size = sizeof(kept),
                             .input = "tail:/a b\t%\n",
                             .key = "/var/log/\x01x\x7f.log",
                             .meta = "a\0b",
                             .meta_size = 3,
                             .offset = UINT64_MAX - 1,
                             .token = 0x0123456789abcdefu};
    struct seen seen = {0};

    kept_init(&table, "id");
    ck_assert_int_eq(kept_write_key(&key, "id", &kept), 0);
    ck_assert_int_eq(kept_write_value(&value, &kept), 0);
    ck_assert_msg(!memchr(key.data + 3, '\n', key.size - 3), "a control character is in the key");
    struct kept_message message = {key.data, value.data, key.size, value.size};
    ck_assert_int_eq(kept_take(&table, &message), 0);
    ck_assert_uint_eq(table.count, 1);
    ck_assert_int_eq(kept_tell(&table, see, &seen), 0);
    ck_assert_str_eq(seen.text,
                     "tail:/a b\t%\n|/var/log/\x01x\x7f.log|18446744073709551614|123456789abcdef|a\n");
    kept_finish(&table);
    weir_json_finish(&key);
    weir_json_finish(&value);
}
END_TEST

START_TEST(the_last_message_of_a_key_counts)
{
    struct kept_table table;
    struct seen seen = {0};

    kept_init(&table, "id");
    ck_assert_int_eq(take(&table, "id\ti\ta", "1\t5\t0000000000000001\t"), 0);
    ck_assert_int_eq(take(&table, "id\ti\tb", "1\t6\t0000000000000002\t"), 0);
    ck_assert_int_eq(take(&table, "id\ti\ta", "1\t3\t0000000000000003\t6162"), 0);
    ck_assert_int_eq(take(&table, "id\ti\tb", NULL), 0);
    ck_assert_int_eq(take(&table, "id\ti\tc", NULL), 0); /* forgotten before it was known: compaction */
    ck_assert_uint_eq(table.count, 1);
    ck_assert_int_eq(kept_tell(&table, see, &seen), 0);
    ck_assert_str_eq(seen.text, "i|a|3|3|ab\n");
    ck_assert_int_eq(kept_tell(&table, see, &seen), 0);
    ck_assert_uint_eq(seen.count, 2);
    kept_finish(&table);
}
END_TEST

START_TEST(other_ids_are_passed_over)
{
    struct kept_table table;

    kept_init(&table, "id");
    ck_assert_int_eq(take(&table, "id2\ti\ta", "9\tnonsense"), 0);
    ck_assert_int_eq(take(&table, "i", "nonsense"), 0);
    ck_assert_int_eq(take(&table, "", "nonsense"), 0);
    ck_assert_uint_eq(table.count, 0);
    ck_assert(!table.owned);
    kept_finish(&table);
}
END_TEST

START_TEST(what_weir_did_not_write_is_refused)
{
    static const struct {
        const char *value;
        int taken, told;
    } cases[] = {
        {"", -EUCLEAN, 0},
        {"1", -EUCLEAN, 0},
        {"x\t", -EUCLEAN, 0},
        {"\t5", -EUCLEAN, 0},
        {"2\t5\t0\t", -ENOTSUP, 0},
        {"10\t5\t0\t", -ENOTSUP, 0},
        {"01\t5\t0\t", -ENOTSUP, 0},
        {"1\t", 0, -EUCLEAN},
        {"1\t5", 0, -EUCLEAN},
        {"1\t5\t0", 0, -EUCLEAN},
        {"1\t-5\t0000000000000000\t", 0, -EUCLEAN},
        {"1\t5\tg\t", 0, -EUCLEAN},
        {"1\t5\t10000000000000000\t", 0, -EUCLEAN},
        {"1\t5 \t0\t", 0, -EUCLEAN},
        {"1\t5\t0x1\t", 0, -EUCLEAN},
        {"1\t5a\t", 0, -EUCLEAN},
        {"1\t5\t0\t0", 0, -EUCLEAN},
        {"1\t5\t0\t0g", 0, -EUCLEAN},
        {"1\t99999999999999999999\t0\t", 0, -EUCLEAN}, /* more than 64 bits hold */
        {"1\t18446744073709551616\t0\t", 0, -EUCLEAN},
        {"1\t18446744073709551615\t0\t", 0, 0},
        {"1\t5\t0\t", 0, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct kept_table table;
        struct seen seen = {0};
        kept_init(&table, "id");
        ck_assert_msg(take(&table, "id\ti\ta", cases[i].value) == cases[i].taken, "%s", cases[i].value);
        if (!cases[i].taken)
            ck_assert_msg(kept_tell(&table, see, &seen) == cases[i].told, "%s", cases[i].value);
        kept_finish(&table);
    }
}
END_TEST

START_TEST(keys_that_make_no_sense_are_refused)
{
    static const char *const keys[] = {"id\ti", "id\t%\ta", "id\ti\t%4", "id\ti\t%zz"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        struct kept_table table;
        struct seen seen = {0};
        kept_init(&table, "id");
        ck_assert_int_eq(take(&table, keys[i], "1\t5\t0\t"), 0);
        ck_assert_msg(kept_tell(&table, see, &seen) == -EUCLEAN, "%s", keys[i]);
        kept_finish(&table);
    }
}
END_TEST

START_TEST(zeros_end_nothing)
{
    static const char value[] = "1\t5\t0\t61\0junk", key[] = "id\ti\ta\0junk";
    struct kept_message in_value = {"id\ti\ta", value, 6, sizeof(value) - 1},
                        in_key = {key, "1\t5\t0\t", sizeof(key) - 1, 6};
    struct kept_table table;
    struct seen seen = {0};

    kept_init(&table, "id");
    ck_assert_int_eq(kept_take(&table, &in_value), 0);
    ck_assert_int_eq(kept_tell(&table, see, &seen), -EUCLEAN);
    ck_assert_int_eq(take(&table, "id\ti\ta", NULL), 0);
    ck_assert_int_eq(kept_take(&table, &in_key), 0);
    ck_assert_int_eq(kept_tell(&table, see, &seen), -EUCLEAN);
    kept_finish(&table);
}
END_TEST

START_TEST(the_owner)
{
    struct kept_table table;
    struct weir_json value = {0};

    kept_init(&table, "id");
    ck_assert_int_eq(kept_write_owner(&value, "me", 16, "a host, process 1"), 0);
    struct kept_message message = {"id", value.data, 2, value.size};
    ck_assert_int_eq(kept_take(&table, &message), 0);
    ck_assert(table.owned);
    ck_assert_str_eq(table.owner, "me");
    ck_assert_str_eq(table.where, "a host, process 1");
    ck_assert_int_eq(table.partitions, 16);
    ck_assert_int_eq(take(&table, "id", NULL), 0);
    ck_assert(!table.owned);
    ck_assert_int_eq(take(&table, "id", "1\t\t16\tx"), -EUCLEAN);
    ck_assert_int_eq(take(&table, "id", "1\tme\t0\tx"), -EUCLEAN);
    ck_assert_int_eq(take(&table, "id", "1\tme\tx\tx"), -EUCLEAN);
    ck_assert_int_eq(take(&table, "id", "1\tme\t4294967297\tx"), -EUCLEAN);
    ck_assert_int_eq(take(&table, "id", "3\tme\t16\tx"), -ENOTSUP);
    kept_finish(&table);
    weir_json_finish(&value);
}
END_TEST

START_TEST(the_partition_of_an_id_is_for_ever)
{
    /* FNV-1a, 32 bits: a weir that computed it otherwise would look for its positions elsewhere. */
    ck_assert_int_eq(kept_partition("", 16), (int)(2166136261u % 16));
    ck_assert_int_eq(kept_partition("a", 1000000007), (int)(0xe40c292cu % 1000000007u));
    ck_assert_int_eq(kept_partition("foobar", 1000000007), (int)(0xbf9cf968u % 1000000007u));
    ck_assert_int_eq(kept_partition("weir-0123", 1), 0);
}
END_TEST

/* -- What data_dir remembers -- */

static char dir[] = "/tmp/weir-claim-XXXXXX";

static void make_dir(void)
{
    strcpy(strrchr(dir, '-'), "-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static char *file_of(const char *alias)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/kafka-%s.transactions", dir, alias);
    return path;
}

static void remove_dir(void)
{
    char command[256];

    snprintf(command, sizeof(command), "rm -r %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static int open_claim(struct claim *claim, const char *id, const char *topic)
{
    char why[256];

    return claim_open(claim, dir, "k", id, topic, why, sizeof(why));
}

START_TEST(an_id_is_made_once)
{
    struct claim claim = {0}, again = {0};
    char why[256];

    ck_assert_int_eq(open_claim(&claim, NULL, "t"), 0);
    ck_assert_uint_eq(strlen(claim.id), strlen("weir-") + 32);
    ck_assert(!claim.used);
    ck_assert_int_eq(open_claim(&again, NULL, "t"), 0);
    ck_assert_str_eq(again.id, claim.id);
    ck_assert_int_eq(claim_use(&claim, why, sizeof(why)), 0);
    ck_assert(claim.used);
    ck_assert_int_eq(claim_use(&claim, why, sizeof(why)), 0);
    ck_assert_int_eq(open_claim(&again, NULL, "t"), 0);
    ck_assert(again.used);
    ck_assert_str_eq(again.id, claim.id);
    claim_finish(&claim);
    claim_finish(&again);
}
END_TEST

START_TEST(used_is_of_an_id_and_a_topic)
{
    struct claim claim = {0};
    char why[256];

    ck_assert_int_eq(open_claim(&claim, "mine", "t"), 0);
    ck_assert_str_eq(claim.id, "mine");
    ck_assert_int_eq(claim_use(&claim, why, sizeof(why)), 0);
    ck_assert_int_eq(open_claim(&claim, "mine", "t2"), 0);
    ck_assert(!claim.used);
    ck_assert_int_eq(open_claim(&claim, "min", "t"), 0);
    ck_assert(!claim.used);
    ck_assert_int_eq(open_claim(&claim, "mine", "t"), 0);
    ck_assert(claim.used);
    /* A file that says of somebody's own id alone that it was used gets one that is made up besides. */
    ck_assert_int_eq(open_claim(&claim, NULL, "t"), 0);
    ck_assert_str_ne(claim.id, "mine");
    ck_assert_int_eq(open_claim(&claim, "mine", "t"), 0);
    ck_assert(claim.used);
    claim_finish(&claim);
}
END_TEST

START_TEST(a_file_that_is_not_ours_is_left_alone)
{
    static const char *const texts[] = {"nonsense\n", "id \n", "id", "id x", "ID x\n"};
    struct claim claim = {0};
    char why[256];

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        write_text(file_of("k"), texts[i]);
        ck_assert_msg(claim_open(&claim, dir, "k", NULL, "t", why, sizeof(why)) == -EUCLEAN, "%s", texts[i]);
        ck_assert_msg(strstr(why, file_of("k")) != NULL, "%s", why);
    }
    claim_finish(&claim);
}
END_TEST

START_TEST(a_claim_that_cannot_be_kept)
{
    struct claim claim = {0};
    char why[256], other[256];

    ck_assert_int_eq(claim_open(&claim, "/nowhere/at all", "k", NULL, "t", why, sizeof(why)), -ENOENT);
    ck_assert_msg(strstr(why, "/nowhere/at all/kafka-k.transactions") != NULL, "%s", why);
    /* A link that somebody has put in its place is not followed. */
    snprintf(other, sizeof(other), "%s/other", dir);
    write_text(other, "id x\n");
    ck_assert_int_eq(symlink(other, file_of("k")), 0);
    ck_assert_int_eq(open_claim(&claim, NULL, "t"), -ELOOP);
    /* An alias may hold what can't be in a file's name. */
    ck_assert_int_eq(claim_open(&claim, dir, "a/b", NULL, "t", why, sizeof(why)), 0);
    ck_assert_int_eq(access(file_of("a_b"), R_OK), 0);
    claim_finish(&claim);
}
END_TEST

/* -- Records that are left out -- */

static struct failure failure_at(uint32_t index)
{
    return (struct failure){.index = index, .error = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE};
}

static void add(struct refusals *refusals, uint64_t chunk, uint32_t index)
{
    struct failure failure = failure_at(index);

    refusals_add(refusals, chunk, &failure);
}

START_TEST(refused_records_are_left_out)
{
    static const uint32_t order[] = {7, 0, 9, 3, 4};
    struct refusals refusals = {0};
    struct weir_chunk chunk = {.id = 5, .records = 10};
    struct remainder *rest;

    ck_assert_int_eq(refusals_rest(&refusals, &chunk, &rest), 0);
    ck_assert_ptr_null(rest);
    for (size_t i = 0; i < 5; i++)
        add(&refusals, 5, order[i]);
    add(&refusals, 3, 1);
    add(&refusals, 8, 2);
    refusals_tell(&refusals, 6); /* nothing of it was refused */
    refusals_tell(&refusals, 8);
    ck_assert_int_eq(refusals_rest(&refusals, &chunk, &rest), 0);
    ck_assert_uint_eq(rest->count, 5);
    ck_assert_mem_eq(rest->indices, ((uint32_t[]){1, 2, 5, 6, 8}), 5 * sizeof(uint32_t));
    free(rest);
    ck_assert_uint_eq(refusals_of(&refusals, 3)->count, 1);
    ck_assert_ptr_null(refusals_of(&refusals, 4));
    ck_assert(!refusals_are_told(&refusals, 5));
    refusals_forget(&refusals, 4);
    ck_assert_ptr_null(refusals_of(&refusals, 3)); /* before it, so it is through as well */
    ck_assert_ptr_nonnull(refusals_of(&refusals, 5));
    refusals_forget(&refusals, 5);
    ck_assert_ptr_null(refusals_of(&refusals, 5));
    ck_assert_uint_eq(refusals_of(&refusals, 8)->items[0].index, 2);
    ck_assert(refusals_are_told(&refusals, 6) && refusals_are_told(&refusals, 8));
    chunk.id = 6;
    ck_assert_int_eq(refusals_rest(&refusals, &chunk, &rest), 0);
    ck_assert_ptr_null(rest);
    refusals_finish(&refusals);
}
END_TEST

START_TEST(all_records_may_be_refused)
{
    struct refusals refusals = {0};
    struct weir_chunk chunk = {.id = 1, .records = 100};
    struct remainder *rest;

    for (uint32_t i = 100; i--;)
        add(&refusals, 1, i);
    ck_assert_int_eq(refusals_rest(&refusals, &chunk, &rest), 0);
    ck_assert_ptr_nonnull(rest);
    ck_assert_uint_eq(rest->count, 0);
    free(rest);
    refusals_finish(&refusals);
}
END_TEST

/* -- Reports that do not come -- */

static unsigned finished;

static enum fate again(void *data, const struct failure *failure)
{
    (void)data, (void)failure;
    return FATE_AGAIN;
}

static void finish(struct weir_instance *instance, struct weir_chunk *chunk, enum weir_result result)
{
    (void)instance, (void)chunk;
    ck_assert_int_eq(result, WEIR_RETRY);
    finished++;
}

/* The producer is gone: chunks with messages that were not reported are to be sent again. */
START_TEST(flights_without_reports_are_given_back)
{
    const struct weir_host host = {.finish = finish};
    struct topic *topic = calloc(1, sizeof(*topic) + 1);
    struct weir_chunk chunks[3] = {{.id = 1, .records = 2}, {.id = 2, .records = 1}, {.id = 3, .records = 2}};
    struct flights flights;
    struct flight *flight[3];

    ck_assert_int_eq(flights_init(&flights, (struct kafka_link){&host, NULL}), 0);
    for (unsigned i = 0; i < 3; i++) {
        flight[i] = flights_begin(&flights, &chunks[i], chunks[i].records);
        flight_report(flight_mark(flight[i], 0), RD_KAFKA_RESP_ERR__PURGE_QUEUE, 1, topic);
    }
    flights.judge = again;
    finished = 0;
    flight_release(flight[1], 1);
    ck_assert_uint_eq(finished, 1);
    flight_release(flight[0], 1);
    flight_release(flight[2], 1);
    ck_assert_uint_eq(finished, 1);
    flights_abandon(&flights);
    ck_assert_uint_eq(finished, 3);
    ck_assert_int_eq(atomic_load(&flights.count), 0);
    flights_abandon(&flights);
    ck_assert_uint_eq(finished, 3);
    flights_finish(&flights);
    free(topic);
}
END_TEST

/* -- The gap between transactions -- */

START_TEST(the_gap_is_learnt)
{
    struct gap gap;
    unsigned refused = 0;
    const int64_t marks = 9000000; /* what they take */

    gap_init(&gap);
    for (unsigned i = 0; i < 1000; i++) {
        bool early = gap.ns < marks;
        refused += early;
        gap_learn(&gap, gap.ns, early);
        if (i > 20)
            ck_assert_int_le(gap.ns, 2 * marks);
    }
    ck_assert_uint_lt(refused, 50);
    for (unsigned i = 0; i < 1000; i++) /* marks take no time any more */
        gap_learn(&gap, gap.ns, false);
    ck_assert_int_lt(gap.ns, 100000);
    for (unsigned i = 0; i < 100; i++) /* nothing is long enough */
        gap_learn(&gap, gap.ns, true);
    ck_assert_int_le(gap.ns, 20000000);
}
END_TEST

START_TEST(one_that_began_late_teaches_nothing)
{
    struct gap gap, before;

    gap_init(&gap);
    before = gap;
    gap_learn(&gap, 1000000000, false);
    gap_learn(&gap, INT64_MAX, true); /* the first one */
    gap_learn(&gap, before.ns + 3000000, false);
    ck_assert_int_eq(gap.ns, before.ns);
}
END_TEST

static void add_claims(Suite *suite)
{
    TCase *t = tcase_create("claim");

    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_add_test(t, an_id_is_made_once);
    tcase_add_test(t, used_is_of_an_id_and_a_topic);
    tcase_add_test(t, a_file_that_is_not_ours_is_left_alone);
    tcase_add_test(t, a_claim_that_cannot_be_kept);
    suite_add_tcase(suite, t);
}

int main(void)
{
    Suite *suite = suite_create("kafka_parts");
    TCase *t = tcase_create("pure");
    SRunner *runner;
    int failed;

    tcase_add_test(t, a_lone_message_goes_at_once);
    tcase_add_test(t, full_batches_go_by_themselves);
    tcase_add_test(t, the_end_of_a_burst_does_not_wait);
    tcase_add_test(t, what_does_not_move_is_flushed_seldom);
    tcase_add_test(t, a_position_is_read_as_it_was_written);
    tcase_add_test(t, the_last_message_of_a_key_counts);
    tcase_add_test(t, other_ids_are_passed_over);
    tcase_add_test(t, what_weir_did_not_write_is_refused);
    tcase_add_test(t, keys_that_make_no_sense_are_refused);
    tcase_add_test(t, zeros_end_nothing);
    tcase_add_test(t, the_owner);
    tcase_add_test(t, the_partition_of_an_id_is_for_ever);
    tcase_add_test(t, refused_records_are_left_out);
    tcase_add_test(t, all_records_may_be_refused);
    tcase_add_test(t, flights_without_reports_are_given_back);
    tcase_add_test(t, the_gap_is_learnt);
    tcase_add_test(t, one_that_began_late_teaches_nothing);
    suite_add_tcase(suite, t);
    add_claims(suite);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
