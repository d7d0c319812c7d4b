/* SPDX-License-Identifier: Apache-2.0 */
/* What the process has: descriptors, threads, memory; and whether that grew with the number of lives. */
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

/* A leak is at least one descriptor or thread in ten lives, or this many bytes in each. */
enum { LIVES_PER_LEAK = 10, BYTES_PER_LIFE = 16, LEAST_BYTES = 8192 };

static unsigned count_entries(const char *path)
{
    DIR *d = opendir(path);
    unsigned count = 0;

    for (struct dirent *e; d && (e = readdir(d));)
        count += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return count;
}

/* A thread that was joined is still seen for a moment. */
static unsigned count_threads(void)
{
    unsigned count = count_entries("/proc/self/task");

    for (int i = 0; i < 20 && count > 1; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        unsigned now = count_entries("/proc/self/task");
        if (now >= count && i > 3)
            return now;
        count = now;
    }
    return count;
}

struct resources check_resources(void)
{
    struct resources now = {.descriptors = count_entries("/proc/self/fd"), .threads = count_threads()};
    struct mallinfo2 info = mallinfo2();

    now.heap = info.uordblks + info.hblkhd;
    return now;
}

/* -- Growth -- */

/* The newest descriptor, which is most likely one of those that leaked. */
static void name_newest(char *ret, size_t room)
{
    DIR *d = opendir("/proc/self/fd");
    int newest = -1, own = d ? dirfd(d) : -1;
    char path[48];
    ssize_t length = -1;

    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && atoi(e->d_name) != own && atoi(e->d_name) > newest)
            newest = atoi(e->d_name);
    if (d)
        closedir(d);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", newest);
    length = readlink(path, ret, room - 1);
    ret[length < 0 ? 0 : length] = '\0';
}

static bool heap_grew(const struct resources *samples, unsigned cycles)
{
    uint64_t least = (uint64_t)cycles * BYTES_PER_LIFE;

    for (int i = 1; i < SAMPLES; i++)
        if (samples[i].heap <= samples[i - 1].heap)
            return false;
    return samples[SAMPLES - 1].heap - samples[0].heap >= (least > LEAST_BYTES ? least : LEAST_BYTES);
}

static bool count_grew(unsigned before, unsigned after, unsigned cycles)
{
    unsigned least = cycles / LIVES_PER_LEAK;

    return after >= before + (least > 2 ? least : 2);
}

void check_growth(struct report *r, const struct resources *samples, unsigned cycles)
{
    const struct resources *first = &samples[0], *last = &samples[SAMPLES - 1];
    char name[256];

    if (count_grew(first->descriptors, last->descriptors, cycles)) {
        name_newest(name, sizeof(name));
        check_found(r, "leaks descriptors: %u more are open after %u lives; the newest is %s",
                    last->descriptors - first->descriptors, cycles, name);
    }
    if (count_grew(first->threads, last->threads, cycles))
        check_found(r, "leaks threads: %u more run after %u lives", last->threads - first->threads, cycles);
    if (heap_grew(samples, cycles))
        check_found(r, "leaks memory: %llu bytes more are allocated after %u lives, %llu for each",
                    (unsigned long long)(last->heap - first->heap), cycles,
                    (unsigned long long)(last->heap - first->heap) / cycles);
}

/* -- What create opens -- */

void check_note_descriptors(uint64_t ret[16])
{
    DIR *d = opendir("/proc/self/fd");
    int own = d ? dirfd(d) : -1;

    memset(ret, 0, 16 * sizeof(*ret));
    for (struct dirent *e; d && (e = readdir(d));) {
        int fd = atoi(e->d_name);
        if (e->d_name[0] != '.' && fd != own && fd < 16 * 64)
            ret[fd / 64] |= UINT64_C(1) << (fd % 64);
    }
    if (d)
        closedir(d);
}

void check_opened(struct report *r, const uint64_t before[16])
{
    uint64_t now[16];

    check_note_descriptors(now);
    for (int fd = 0; fd < 16 * 64; fd++) {
        char path[48], name[256];
        if (!(now[fd / 64] & ~before[fd / 64] & UINT64_C(1) << (fd % 64)))
            continue;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, name, sizeof(name) - 1);
        name[length < 0 ? 0 : length] = '\0';
        if (name[0] == '/' || strncmp(name, "socket:", 7) == 0)
            check_found(r, "create: opened %s; weir check calls create as well, so it opens nothing outside",
                        name);
    }
}
