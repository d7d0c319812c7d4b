/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded by a test: at SIGUSR2 the bytes that malloc has given out, of all arenas, with what it needs for
 * itself, are written to the file that WEIR_TEST_HEAP names. By a thread of its own, since a handler of a
 * signal must not wait for malloc's locks.
 */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static sigset_t asked;

static void *answer(void *path)
{
    char new[4096];
    int number;

    snprintf(new, sizeof(new), "%s.new", (const char *)path);
    while (sigwait(&asked, &number) == 0) {
        struct mallinfo2 info = mallinfo2();
        FILE *f = fopen(new, "w");
        if (!f)
            abort();
        fprintf(f, "%zu\n", info.uordblks + info.hblkhd);
        if (fclose(f) != 0 || rename(new, path) != 0)
            abort();
    }
    return NULL;
}

/* Before main: every later thread has the signal blocked, too. */
__attribute__((constructor)) static void begin(void)
{
    char *path = getenv("WEIR_TEST_HEAP");
    pthread_t thread;

    sigemptyset(&asked);
    sigaddset(&asked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &asked, NULL);
    if (!path || pthread_create(&thread, NULL, answer, path) != 0)
        abort();
}
