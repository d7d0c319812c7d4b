/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure [--to null|pipe|FILE] PROGRAM [ARGUMENT…]: runs it and prints what it took: seconds, seconds of
 * CPU, peak memory in KiB. Its output goes to /dev/null, into a pipe of 1 MiB that a process of its own reads
 * and throws away, or to a file, which is removed. A program of its own, because the peak that Linux gives
 * for a child begins with the size of the process that started it, which must be small therefore. Exit
 * status: the program's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Reads a pipe to its end, in a process of its own; its writing end. */
static int start_reader(void)
{
    static char block[1 << 20];
    int ends[2];
    pid_t reader;

    if (pipe2(ends, O_CLOEXEC))
        return -1;
    fcntl(ends[1], F_SETPIPE_SZ, (int)sizeof(block));
    reader = fork();
    if (reader == 0) {
        close(ends[1]);
        while (read(ends[0], block, sizeof(block)) > 0)
            ;
        _exit(0);
    }
    close(ends[0]);
    return reader < 0 ? -1 : ends[1];
}

static int open_output(const char *to)
{
    if (!strcmp(to, "pipe"))
        return start_reader();
    if (!strcmp(to, "null"))
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
    return open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static void become(char **argv, int output)
{
    int null = open("/dev/null", O_RDONLY);

    if (null >= 0 && dup2(null, 0) == 0 && dup2(output, 1) == 1)
        execv(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int main(int argc, char **argv)
{
    const char *to = argc > 2 && !strcmp(argv[1], "--to") ? argv[2] : NULL;
    struct rusage usage;
    int output, status;
    double start;
    pid_t child;

    argv += to ? 3 : 1;
    if (argc < (to ? 4 : 2)) {
        fprintf(stderr, "usage: measure [--to null|pipe|FILE] PROGRAM [ARGUMENT…]\n");
        return 1;
    }
    output = open_output(to ? to : "null");
    start = now();
    child = output < 0 ? -1 : fork();
    if (child == 0)
        become(argv, output);
    if (child < 0 || wait4(child, &status, 0, &usage) < 0) {
        fprintf(stderr, "measure: %s\n", strerror(errno));
        return 126;
    }
    printf("%.6f %.6f %ld\n", now() - start, seconds(usage.ru_utime) + seconds(usage.ru_stime),
           usage.ru_maxrss);
    if (to && strcmp(to, "null") != 0 && strcmp(to, "pipe") != 0)
        unlink(to);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
