/* SPDX-License-Identifier: Apache-2.0 */
/* The store of positions: what comes back, what is refused and in which words, and a disk that is full. */
#include "checkpoint_fixture.h"
#include "checkpoint_store.h"
#include <inttypes.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct checkpoint_store *store;
static char *error;

static void open_store(void)
{
    int r = checkpoint_store_open(fixture_dir, &store, &error);
    ck_assert_msg(r == 0, "%s", error);
}

static void close_store(void)
{
    checkpoint_store_close(store);
    store = NULL;
}

static void teardown(void)
{
    close_store();
    free(error);
    error = NULL;
    fixture_teardown();
}

static void write_one(const struct checkpoint_row *row)
{
    int r = checkpoint_store_write(store, row, 1, &error);
    ck_assert_msg(r == 0, "%s", error);
}

/* All rows as one text: "input/key=offset:token:meta;" */
static int add_text(void *data, const struct checkpoint_row *row)
{
    fprintf(data, "%s/%s=%" PRIu64 ":%" PRIu64 ":%.*s;", row->input, row->key, row->offset, row->token,
            (int)row->meta_size, row->meta ? (const char *)row->meta : "");
    return 0;
}

static void assert_rows(const char *expected)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int r = checkpoint_store_read(store, add_text, out, &error);
    fclose(out);
    ck_assert_msg(r == 0, "%s", error);
    ck_assert_str_eq(text, expected);
    free(text);
}

/* Opening fails with that errno, and a sentence that has all the words (separated by '|'). */
static void assert_refused_at(const char *dir, int r, const char *words)
{
    char copy[512], *rest = copy;
    struct checkpoint_store *untouched = store;
    ck_assert_int_eq(checkpoint_store_open(dir, &store, &error), r);
    ck_assert_ptr_eq(store, untouched);
    ck_assert_ptr_nonnull(error);
    snprintf(copy, sizeof(copy), "%s", words);
    for (char *word; (word = strsep(&rest, "|"));)
        ck_assert_msg(strstr(error, word) != NULL, "'%s' is not in: %s", word, error);
    free(error);
    error = NULL;
}

static void assert_refused(int r, const char *words)
{
    assert_refused_at(fixture_dir, r, words);
}

START_TEST(rows_come_back)
{
    struct checkpoint_row rows[] = {
        {.input = "b", .key = "k", .offset = UINT64_MAX, .token = (uint64_t)INT64_MAX + 1},
        {.input = "a", .key = "k2", .offset = 0, .token = 7, .meta = "meta", .meta_size = 4},
        {.input = "a", .key = "k1'; DROP TABLE stream; --", .offset = 5},
        {.input = "b\xff", .key = "\xfe\xff", .offset = 6},
    };
    open_store();
    assert_rows("");
    ck_assert_int_eq(checkpoint_store_write(store, rows, 4, &error), 0);
    const char *all = "a/k1'; DROP TABLE stream; --=5:0:;a/k2=0:7:meta;"
                      "b/k=18446744073709551615:9223372036854775808:;b\xff/\xfe\xff=6:0:;";
    assert_rows(all);
    close_store();
    open_store();
    assert_rows(all);
}
END_TEST

START_TEST(a_row_is_replaced_and_removed)
{
    char meta[CHECKPOINT_META_MAX];
    memset(meta, 'm', sizeof(meta));
    open_store();
    write_one(&(struct checkpoint_row){
        .input = "i", .key = "k", .offset = 1, .meta = meta, .meta_size = sizeof(meta)});
    write_one(&(struct checkpoint_row){.input = "i", .key = "k", .offset = 2, .token = 3});
    assert_rows("i/k=2:3:;");
    /* A stream that was forgotten and opened again: its old row goes first, wherever it stands. */
    struct checkpoint_row rows[] = {{.input = "i", .key = "k", .offset = 9},
                                    {.input = "i", .key = "k", .remove = true}};
    ck_assert_int_eq(checkpoint_store_write(store, rows, 2, &error), 0);
    assert_rows("i/k=9:0:;");
    write_one(&rows[1]);
    write_one(&rows[1]);
    assert_rows("");
}
END_TEST

static int stop_at_once(void *data, const struct checkpoint_row *row)
{
    (void)row;
    ++*(int *)data;
    return -ENOMEM;
}

START_TEST(reading_ends_where_the_caller_says)
{
    int calls = 0;
    open_store();
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 1});
    write_one(&(struct checkpoint_row){.input = "i", .key = "b", .offset = 1});
    ck_assert_int_eq(checkpoint_store_read(store, stop_at_once, &calls, &error), -ENOMEM);
    ck_assert_int_eq(calls, 1);
}
END_TEST

static mode_t mode_of(const char *path)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_mode & 07777;
}

START_TEST(what_it_makes_is_not_for_all_eyes)
{
    char dir[512];
    mode_t mask = umask(0);
    snprintf(dir, sizeof(dir), "%s", fixture_path("new"));
    ck_assert_int_eq(checkpoint_store_open(dir, &store, &error), 0);
    write_one(&(struct checkpoint_row){.input = "i", .key = "k", .offset = 1});
    ck_assert_uint_eq(mode_of(dir), 0700);
    ck_assert_uint_eq(mode_of(fixture_path("new/checkpoint.db")), 0600);
    ck_assert_uint_eq(mode_of(fixture_path("new/checkpoint.db-wal")), 0600);
    ck_assert_uint_eq(mode_of(fixture_path("new/weir.lock")), 0600);
    close_store();
    ck_assert_int_eq(access(fixture_path("new/checkpoint.db-wal"), F_OK), -1);
    unlink(fixture_path("new/checkpoint.db"));
    unlink(fixture_path("new/weir.lock"));
    ck_assert_int_eq(rmdir(dir), 0);
    umask(mask);
}
END_TEST

START_TEST(a_second_weir_is_refused_with_the_pid_of_the_first)
{
    int ready[2], status;
    char byte, words[400];
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        if (checkpoint_store_open(fixture_dir, &store, &error) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    snprintf(words, sizeof(words), "%s|in use by weir with pid %d;", fixture_dir, (int)child);
    assert_refused(-EBUSY, words);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    open_store(); /* the lock went with its owner */
    char *copy = strdup(fixture_dir);
    struct checkpoint_store *first = store;
    assert_refused_at(copy, -EBUSY, "in use by weir with pid");
    ck_assert_ptr_eq(store, first);
    free(copy);
}
END_TEST

static void put_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(fixture_path(name), "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    fclose(file);
}

START_TEST(a_damaged_file_is_refused_and_left_alone)
{
    char junk[5000], back[5000];
    memset(junk, 'j', sizeof(junk));
    put_file("checkpoint.db", junk, sizeof(junk));
    assert_refused(-EUCLEAN, "checkpoint.db is damaged|not a database|move it away to begin anew");
    FILE *file = fopen(fixture_path("checkpoint.db"), "r");
    ck_assert_uint_eq(fread(back, 1, sizeof(back), file), sizeof(back));
    fclose(file);
    ck_assert_int_eq(memcmp(junk, back, sizeof(back)), 0);
    unlink(fixture_path("checkpoint.db"));
    open_store(); /* as the sentence says */
}
END_TEST

START_TEST(a_page_of_zeros_is_refused)
{
    static char zeros[4096];
    open_store();
    for (int i = 0; i < 300; i++) {
        char key[300];
        snprintf(key, sizeof(key), "%0280d", i);
        write_one(&(struct checkpoint_row){.input = "i", .key = key, .offset = 1});
    }
    close_store();
    int fd = open(fixture_path("checkpoint.db"), O_RDWR);
    ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros), 5 * 4096), sizeof(zeros));
    close(fd);
    open_store();
    FILE *null = fopen("/dev/null", "w");
    ck_assert_int_eq(checkpoint_store_read(store, add_text, null, &error), -EUCLEAN);
    fclose(null);
    ck_assert_ptr_nonnull(strstr(error, "checkpoint.db is damaged"));
}
END_TEST

START_TEST(values_that_weir_does_not_write_are_refused)
{
    static const char *const bad[] = {
        "INSERT INTO stream VALUES('i', 'k', 'text', 0, NULL, 0)",
        "INSERT INTO stream VALUES('i', 'k', 0, 1.5, NULL, 0)",
        "INSERT INTO stream VALUES('i', '', 0, 0, NULL, 0)",
        "INSERT INTO stream VALUES('i', 'a' || char(0) || 'b', 0, 0, NULL, 0)",
        "INSERT INTO stream VALUES('i', x'00', 0, 0, NULL, 0)",
        "INSERT INTO stream VALUES('i', 'k', 0, 0, 'text', 0)",
        "INSERT INTO stream VALUES('i', 'k', 0, 0, zeroblob(4097), 0)",
        "INSERT INTO stream VALUES('i', printf('%.513c', 'k'), 0, 0, NULL, 0)",
    };
    FILE *null = fopen("/dev/null", "w");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        open_store();
        close_store();
        fixture_sql(bad[i]);
        open_store();
        ck_assert_msg(checkpoint_store_read(store, add_text, null, &error) == -EUCLEAN, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(error, "checkpoint.db is damaged"));
        free(error);
        error = NULL;
        close_store();
        fixture_sql("DELETE FROM stream");
    }
    fclose(null);
    open_store();
    assert_rows("");
}
END_TEST

START_TEST(other_formats_are_refused)
{
    open_store();
    close_store();
    fixture_sql("PRAGMA user_version = 2");
    assert_refused(-ENOTSUP, "checkpoint.db was written by a newer weir|format 2|up to 1");
    fixture_sql("PRAGMA user_version = 0");
    assert_refused(-EUCLEAN, "checkpoint.db is damaged");
    fixture_sql("PRAGMA user_version = 1; ALTER TABLE stream RENAME TO flood");
    assert_refused(-EUCLEAN, "checkpoint.db is damaged|no such table");
    fixture_sql("ALTER TABLE flood RENAME TO stream; PRAGMA application_id = 17");
    assert_refused(-EEXIST, "checkpoint.db is a database of another program");
    unlink(fixture_path("checkpoint.db"));
    fixture_sql("CREATE TABLE accounts(id)");
    assert_refused(-EEXIST, "checkpoint.db is a database of another program");
}
END_TEST

START_TEST(places_that_will_not_do)
{
    char path[600];
    put_file("file", "x", 1);
    snprintf(path, sizeof(path), "%s/file/dir", fixture_dir);
    assert_refused_at(path, -ENOTDIR, "data_dir|file/dir can't be made");
    snprintf(path, sizeof(path), "%s/file", fixture_dir);
    assert_refused_at(path, -ENOTDIR, "data_dir|file can't be opened");
    snprintf(path, sizeof(path), "%s/missing/dir", fixture_dir);
    assert_refused_at(path, -ENOENT, "missing/dir can't be made: No such file or directory; make it");
    assert_refused_at("/proc/self", -ENOENT, "data_dir /proc/self can't be written: weir.lock");
    /* The name of the file leads elsewhere. */
    ck_assert_int_eq(symlink("file", fixture_path("checkpoint.db")), 0);
    assert_refused(-ELOOP, "checkpoint.db can't be opened");
    unlink(fixture_path("checkpoint.db"));
    unlink(fixture_path("weir.lock"));
    ck_assert_int_eq(symlink("file", fixture_path("weir.lock")), 0);
    assert_refused(-ELOOP, "weir.lock");
}
END_TEST

START_TEST(a_full_disk_is_told_and_passes)
{
    enum { ROWS = 500 };
    static char keys[ROWS][300];
    static struct checkpoint_row rows[ROWS];
    open_store();
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 1});
    for (int i = 0; i < ROWS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%0280d", i);
        rows[i] = (struct checkpoint_row){.input = "j", .key = keys[i], .offset = 1};
    }
    fixture_disk_full = true;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(checkpoint_store_write(store, rows, ROWS, &error), -ENOSPC);
        ck_assert_ptr_nonnull(strstr(error, "checkpoint.db: positions can't be written now"));
        free(error);
        error = NULL;
    }
    assert_rows("i/a=1:0:;"); /* all or nothing */
    fixture_disk_full = false;
    ck_assert_int_eq(checkpoint_store_write(store, rows, ROWS, &error), 0);
    for (int i = 0; i < ROWS; i++)
        rows[i].remove = true;
    ck_assert_int_eq(checkpoint_store_write(store, rows, ROWS, &error), 0);
    assert_rows("i/a=1:0:;");
}
END_TEST

START_TEST(no_room_for_a_new_store_is_told)
{
    fixture_disk_full = true;
    assert_refused(-ENOSPC, "checkpoint.db: can't be set up");
    fixture_disk_full = false;
    open_store(); /* what was begun is no hindrance */
    assert_rows("");
}
END_TEST

START_TEST(written_while_someone_looks_on)
{
    sqlite3 *db;
    sqlite3_stmt *reading;
    open_store();
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 1});
    ck_assert_int_eq(sqlite3_open(fixture_path("checkpoint.db"), &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT * FROM stream", -1, &reading, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(reading), SQLITE_ROW);
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 2});
    /* Someone who writes holds it up: told, and all right afterwards. */
    sqlite3_finalize(reading);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct checkpoint_row row = {.input = "i", .key = "a", .offset = 3};
    ck_assert_int_eq(checkpoint_store_write(store, &row, 1, &error), -EBUSY);
    free(error);
    ck_assert_int_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    write_one(&row);
    assert_rows("i/a=3:0:;");
}
END_TEST

static void overwrite_database(void)
{
    char junk[9000];
    memset(junk, 'j', sizeof(junk));
    put_file("checkpoint.db", junk, sizeof(junk));
}

static char *note_of_store(void)
{
    char *note = checkpoint_store_take_note(store);
    ck_assert_ptr_nonnull(note);
    return note;
}

START_TEST(a_backup_stands_in_for_a_damaged_file_once)
{
    open_store();
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 1});
    ck_assert_int_eq(checkpoint_store_backup(store, &error), 0);
    ck_assert_uint_eq(mode_of(fixture_path("checkpoint.backup")), 0600);
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 2});
    ck_assert_int_eq(checkpoint_store_backup(store, &error), 0); /* not yet again */
    close_store();
    overwrite_database();
    open_store();
    char *note = note_of_store();
    ck_assert_ptr_nonnull(
        strstr(note, "checkpoint.db is damaged (file is not a database): it is kept as checkpoint.damaged"));
    ck_assert_ptr_nonnull(strstr(note, "goes on with checkpoint.backup, the positions as of 20"));
    free(note);
    ck_assert_ptr_null(checkpoint_store_take_note(store));
    assert_rows("i/a=1:0:;");
    close_store();
    ck_assert_int_eq(access(fixture_path("checkpoint.damaged"), F_OK), 0);
    overwrite_database();
    assert_refused(-EUCLEAN, "is damaged|weir has no checkpoint.backup of it|move it away to begin anew");
    put_file("checkpoint.backup", "junk", 4); /* no better: told as itself, and nothing is begun anew */
    assert_refused(-EUCLEAN, "is damaged|weir has no checkpoint.backup of it");
    assert_refused(-EUCLEAN, "is damaged|weir has no checkpoint.backup of it");
}
END_TEST

/* What was forgotten since the backup does not come back with it. */
START_TEST(what_is_replaced_is_gone)
{
    open_store();
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 1});
    write_one(&(struct checkpoint_row){.input = "i", .key = "b", .offset = 2});
    checkpoint_store_replace(store);
    write_one(&(struct checkpoint_row){.input = "i", .key = "b", .offset = 3});
    assert_rows("i/b=3:0:;");
    write_one(&(struct checkpoint_row){.input = "i", .key = "c", .offset = 4}); /* once */
    assert_rows("i/b=3:0:;i/c=4:0:;");
}
END_TEST

START_TEST(an_empty_file_is_new_only_without_a_backup)
{
    put_file("checkpoint.db", "", 0);
    open_store();
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 1});
    ck_assert_int_eq(checkpoint_store_backup(store, &error), 0);
    close_store();
    put_file("checkpoint.db", "", 0);
    open_store();
    char *note = note_of_store();
    ck_assert_ptr_nonnull(strstr(note, "is damaged (it is empty)"));
    free(note);
    assert_rows("i/a=1:0:;");
    ck_assert_int_eq(checkpoint_store_backup(store, &error), 0);
    close_store();
    unlink(fixture_path("checkpoint.db")); /* moved away: to begin anew */
    open_store();
    assert_rows("");
}
END_TEST

START_TEST(no_room_for_a_backup_leaves_the_last_one)
{
    open_store();
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 1});
    ck_assert_int_eq(checkpoint_store_backup(store, &error), 0);
    close_store();
    open_store();
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 2});
    fixture_disk_full = true;
    ck_assert_int_eq(checkpoint_store_backup(store, &error), -ENOSPC);
    ck_assert_ptr_nonnull(strstr(error, "no backup can be written now"));
    fixture_disk_full = false;
    ck_assert_int_eq(access(fixture_path("checkpoint.db-backup"), F_OK), -1);
    ck_assert_int_eq(access(fixture_path("checkpoint.backup"), F_OK), 0);
}
END_TEST

START_TEST(what_is_gone_is_noticed)
{
    open_store();
    write_one(&(struct checkpoint_row){.input = "i", .key = "a", .offset = 1});
    ck_assert(!checkpoint_store_is_gone(store, fixture_dir));
    ck_assert(!checkpoint_store_is_gone(store, fixture_dir));
    ck_assert(checkpoint_store_is_gone(store, "/"));
    ck_assert(checkpoint_store_is_gone(store, fixture_path("missing")));
    unlink(fixture_path("checkpoint.db-wal"));
    ck_assert(checkpoint_store_is_gone(store, fixture_dir));
    checkpoint_store_detach(store, fixture_dir);
    close_store();
    open_store();
    assert_rows("i/a=1:0:;");
    checkpoint_store_set_aside(store);
    close_store();
    open_store();
    assert_rows("");
    unlink(fixture_path("checkpoint.db"));
    ck_assert(checkpoint_store_is_gone(store, fixture_dir));
    put_file("checkpoint.db", "another", 7);
    ck_assert(checkpoint_store_is_gone(store, fixture_dir));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("checkpoint_store");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, fixture_setup, teardown);
    tcase_add_test(t, rows_come_back);
    tcase_add_test(t, a_row_is_replaced_and_removed);
    tcase_add_test(t, reading_ends_where_the_caller_says);
    tcase_add_test(t, what_it_makes_is_not_for_all_eyes);
    tcase_add_test(t, a_second_weir_is_refused_with_the_pid_of_the_first);
    tcase_add_test(t, a_damaged_file_is_refused_and_left_alone);
    tcase_add_test(t, a_page_of_zeros_is_refused);
    tcase_add_test(t, values_that_weir_does_not_write_are_refused);
    tcase_add_test(t, other_formats_are_refused);
    tcase_add_test(t, places_that_will_not_do);
    tcase_add_test(t, a_full_disk_is_told_and_passes);
    tcase_add_test(t, no_room_for_a_new_store_is_told);
    tcase_add_test(t, written_while_someone_looks_on);
    tcase_add_test(t, a_backup_stands_in_for_a_damaged_file_once);
    tcase_add_test(t, what_is_replaced_is_gone);
    tcase_add_test(t, an_empty_file_is_new_only_without_a_backup);
    tcase_add_test(t, no_room_for_a_backup_leaves_the_last_one);
    tcase_add_test(t, what_is_gone_is_noticed);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
