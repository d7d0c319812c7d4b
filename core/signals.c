/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. What is blocked stays so: the engine reads the signals from a descriptor. */
#include "signals.h"

#include <pthread.h>
#include <unistd.h>
#include "engine.h"

static void block(const int *numbers, size_t count, sigset_t *ret)
{
    sigemptyset(ret);
    for (size_t i = 0; i < count; i++)
        sigaddset(ret, numbers[i]);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
}

static void end_before_start(int number)
{
    (void)number;
    _exit(EXIT_STOPPED);
}

void signals_hold(void)
{
    static const int waiting[] = {SIGHUP, SIGUSR1};
    struct sigaction end = {.sa_handler = end_before_start};
    sigset_t set;

    block(waiting, sizeof(waiting) / sizeof(*waiting), &set);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
}

sigset_t signals_block(void)
{
    static const int all[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    sigset_t set;

    block(all, sizeof(all) / sizeof(*all), &set);
    return set;
}
