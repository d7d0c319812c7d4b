/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledgements in any order: at random against a model, by many threads, and with the process killed in
 * between. */
#include "checkpoint_chunks.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* ---- Random orders against a model --------------------------------------------------------------- */

enum { STREAMS = 5, SETS = 400, STEPS = 2000 };

static struct {
    struct weir_stream *stream;
    uint64_t sent;
    uint64_t offsets[STEPS]; /* of its queue, oldest first; 0: an advance, in extra */
    int set[STEPS];          /* to which set the place belongs; -1: none, acknowledged at once */
    int head, tail;
    uint64_t committed;
} model[STREAMS];

static struct {
    struct chunk *chunk; /* NULL: acknowledged, or not sent */
    int waiting;         /* places in the model's queues */
    bool acknowledged;
    int released;
} sets[SETS];

static unsigned seed;
static int set_count;

static int random_below(int n)
{
    return rand_r(&seed) % n;
}

static void model_send(int s, int set)
{
    model[s].sent += 1 + (uint64_t)random_below(100);
    model[s].offsets[model[s].tail] = model[s].sent;
    model[s].set[model[s].tail++] = set;
}

static void model_drain(void)
{
    for (int s = 0; s < STREAMS; s++) {
        while (model[s].head < model[s].tail) {
            int set = model[s].set[model[s].head];
            if (set >= 0 && !sets[set].acknowledged)
                break;
            if (set >= 0)
                sets[set].waiting--;
            model[s].committed = model[s].offsets[model[s].head++];
        }
    }
}

static void random_send(void)
{
    if (set_count == SETS)
        return;
    int set = set_count++, first = random_below(STREAMS), count = 1 + random_below(SET_MARKS);
    sets[set].chunk = chunk_new(&sets[set].released);
    for (int i = 0; i < count; i++) {
        int s = (first + i) % STREAMS;
        model_send(s, set);
        add(sets[set].chunk, model[s].stream, model[s].sent);
    }
    sets[set].waiting = count;
    checkpoint_track(checkpoint, &sets[set].chunk->set);
}

static void random_acknowledge(void)
{
    int set = random_below(set_count);
    while (set < set_count && !sets[set].chunk)
        set++;
    if (set == set_count)
        return;
    struct chunk *chunk = sets[set].chunk;
    sets[set].chunk = NULL;
    sets[set].acknowledged = true;
    acknowledge(chunk);
}

static void random_advance(void)
{
    int s = random_below(STREAMS);
    model_send(s, -1);
    checkpoint_stream_advance(model[s].stream, model[s].sent, model[s].sent * 10);
}

static void assert_model(void)
{
    bool same = true;
    model_drain();
    for (int s = 0; s < STREAMS; s++) {
        struct weir_stream_state state = state_of(model[s].stream);
        same = same && state.offset == model[s].sent && state.committed == model[s].committed;
    }
    for (int i = 0; i < set_count; i++)
        same = same && sets[i].released == (sets[i].waiting == 0);
    ck_assert_msg(same, "not as the model says (seed %d)", (int)seed);
}

START_TEST(random_order)
{
    seed = (unsigned)_i;
    set_count = 0;
    memset(model, 0, sizeof(model));
    memset(sets, 0, sizeof(sets));
    for (int s = 0; s < STREAMS; s++)
        model[s].stream = open_stream("i", (char[]){(char)('a' + s), 0});
    random_send();
    for (int i = 0; i < STEPS; i++) {
        int what = random_below(20);
        if (what < 8)
            random_send();
        else if (what < 17)
            random_acknowledge();
        else if (what < 19 && model[0].tail + model[1].tail < STEPS)
            random_advance();
        else if (random_below(10) == 0)
            flush();
        assert_model();
    }
    for (int set = 0; set < set_count; set++)
        if (sets[set].chunk) {
            sets[set].acknowledged = true;
            acknowledge(sets[set].chunk);
        }
    assert_model();
    restart();
    for (int s = 0; s < STREAMS; s++) {
        struct weir_stream *stream = open_stream("i", (char[]){(char)('a' + s), 0});
        assert_at(stream, model[s].sent, model[s].sent);
        checkpoint_stream_close(stream);
    }
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------------- */

enum { WORKERS = 3, THREAD_STREAMS = 8, THREAD_CHUNKS = 4000, IN_HAND = 16 };

/* The loop's side sends; workers take what was sent in batches and acknowledge each batch out of order. */
static struct {
    struct chunk *chunks[THREAD_CHUNKS];
    _Atomic int sent, taken;
    _Atomic bool wrong, done;
} work;

/* A mark that is open holds its stream's committed offset below it. */
static bool is_held(const struct checkpoint_mark *mark, uint64_t offset)
{
    return state_of(mark->stream).committed < offset;
}

static void acknowledge_batch(int first, int count, unsigned *random)
{
    int order[IN_HAND];
    for (int i = 0; i < count; i++) {
        int j = rand_r(random) % (i + 1);
        order[i] = order[j];
        order[j] = first + i;
    }
    for (int i = 0; i < count; i++) {
        struct chunk *chunk = work.chunks[order[i]];
        for (size_t m = 0; m < chunk->set.count; m++)
            if (!is_held(&chunk->marks[m], (uint64_t)order[i] + 1))
                work.wrong = true;
        acknowledge(chunk);
    }
}

static void *acknowledge_many(void *data)
{
    unsigned random = *(unsigned *)data;
    for (;;) {
        int first = work.taken, sent = work.sent;
        int count = sent - first < IN_HAND ? sent - first : IN_HAND;
        if (first == THREAD_CHUNKS)
            return NULL;
        if (count == 0)
            sched_yield();
        else if (atomic_compare_exchange_strong(&work.taken, &first, first + count))
            acknowledge_batch(first, count, &random);
    }
}

static void *flush_many(void *data)
{
    (void)data;
    while (!work.done) {
        char *why = NULL;
        if (checkpoint_flush(checkpoint, &why) < 0)
            work.wrong = true;
        free(why);
    }
    return NULL;
}

/* What else an input does on its loop meanwhile. */
static void disturb(int i)
{
    struct weir_stream *stream = open_stream("i", i % 3 ? "s0" : "short-lived");
    checkpoint_stream_set_meta(stream, &i, sizeof(i));
    if (i % 3) {
        checkpoint_stream_close(stream);
        return;
    }
    checkpoint_stream_advance(stream, (uint64_t)i, 0);
    if (i % 2)
        checkpoint_stream_forget(stream);
    else
        checkpoint_stream_close(stream);
}

START_TEST(threads_acknowledge_while_it_sends_and_flushes)
{
    pthread_t workers[WORKERS], flusher;
    unsigned random[WORKERS] = {1, 2, 3};
    struct weir_stream *streams[THREAD_STREAMS];
    uint64_t last[THREAD_STREAMS] = {0};
    char key[32];
    work.sent = work.taken = 0;
    work.wrong = work.done = false;
    checkpoint_on_dirty(checkpoint, note_dirty, &dirty_calls);
    for (int s = 0; s < THREAD_STREAMS; s++) {
        snprintf(key, sizeof(key), "s%d", s);
        streams[s] = open_stream("i", key);
    }
    for (int i = 0; i < WORKERS; i++)
        ck_assert_int_eq(pthread_create(&workers[i], NULL, acknowledge_many, &random[i]), 0);
    ck_assert_int_eq(pthread_create(&flusher, NULL, flush_many, NULL), 0);
    for (int i = 0; i < THREAD_CHUNKS; i++) {
        struct chunk *chunk = chunk_new(NULL);
        for (int m = 0; m < 1 + i % SET_MARKS; m++) {
            int s = (i + m) % THREAD_STREAMS;
            last[s] = (uint64_t)i + 1;
            add(chunk, streams[s], last[s]);
        }
        checkpoint_track(checkpoint, &chunk->set);
        work.chunks[i] = chunk;
        work.sent = i + 1;
        disturb(i);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    work.done = true;
    pthread_join(flusher, NULL);
    ck_assert(!work.wrong);
    ck_assert_int_eq(live_chunks, 0);
    ck_assert_int_gt(dirty_calls, 0);
    restart();
    for (int s = 0; s < THREAD_STREAMS; s++) {
        snprintf(key, sizeof(key), "s%d", s);
        streams[s] = open_stream("i", key);
        assert_at(streams[s], last[s], last[s]);
        checkpoint_stream_close(streams[s]);
    }
}
END_TEST

/* ---- Killed -------------------------------------------------------------------------------------- */

enum { KILL_STREAMS = 50, KILLS = 15 };

/* What the child says of itself in shared memory: before it acknowledges, and after it has flushed. */
static struct diary {
    _Atomic uint64_t acknowledged[KILL_STREAMS], flushed[KILL_STREAMS];
    _Atomic uint64_t flushes;
} * diary;

static struct weir_stream *open_numbered(int i)
{
    char key[300];
    snprintf(key, sizeof(key), "%0200d", i);
    return open_stream("i", key);
}

static void write_until_killed(void)
{
    struct weir_stream *streams[KILL_STREAMS];
    if (checkpoint_open(fixture_dir, &checkpoint, &error) < 0)
        _exit(1);
    for (int i = 0; i < KILL_STREAMS; i++)
        streams[i] = open_numbered(i);
    for (uint64_t round = 1;; round++) {
        uint64_t at[KILL_STREAMS];
        for (int i = 0; i < KILL_STREAMS; i++) {
            at[i] = diary->acknowledged[i] + 1 + round % 7;
            struct chunk *chunk = send_one(streams[i], at[i], NULL);
            diary->acknowledged[i] = at[i];
            acknowledge(chunk);
        }
        struct weir_stream *unlucky = open_stream("i", "never acknowledged");
        send_one(unlucky, round, NULL);
        if (checkpoint_flush(checkpoint, &error) < 0)
            _exit(2);
        for (int i = 0; i < KILL_STREAMS; i++)
            diary->flushed[i] = at[i];
        diary->flushes++;
    }
}

static void wait_for_flushes(uint64_t count, pid_t child)
{
    while (diary->flushes < count) {
        ck_assert_msg(waitpid(child, NULL, WNOHANG) == 0, "the child ended by itself");
        sched_yield();
    }
}

START_TEST(killed_it_has_what_was_flushed_and_no_more_than_acknowledged)
{
    close_checkpoint();
    diary = mmap(NULL, sizeof(*diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(diary, MAP_FAILED);
    seed = 1;
    for (int kills = 0; kills < KILLS; kills++) {
        pid_t child = fork();
        if (child == 0)
            write_until_killed();
        wait_for_flushes(diary->flushes + 1 + (uint64_t)random_below(20), child);
        for (int spins = random_below(20000); spins > 0; spins--)
            atomic_thread_fence(memory_order_seq_cst); /* somewhere within the next flush */
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        open_checkpoint();
        for (int i = 0; i < KILL_STREAMS; i++) {
            struct weir_stream *stream = open_numbered(i);
            struct weir_stream_state state = state_of(stream);
            ck_assert(state.known);
            ck_assert_uint_ge(state.committed, diary->flushed[i]);
            ck_assert_uint_le(state.committed, diary->acknowledged[i]);
            checkpoint_stream_close(stream);
        }
        struct weir_stream *unlucky = open_stream("i", "never acknowledged");
        ck_assert(!state_of(unlucky).known);
        checkpoint_stream_close(unlucky);
        close_checkpoint();
    }
    munmap(diary, sizeof(*diary));
    open_checkpoint();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("checkpoint_order");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, random_order, 0, 10);
    tcase_add_test(t, threads_acknowledge_while_it_sends_and_flushes);
    tcase_add_test(t, killed_it_has_what_was_flushed_and_no_more_than_acknowledged);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
