/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure PROGRAM [ARGUMENT…]: runs it with its output to /dev/null and prints what it took: seconds, seconds
 * of CPU, peak memory in KiB. A program of its own, because the peak that Linux gives for a child begins with
 * the size of the process that started it, which must be small therefore. Exit status: the program's.
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

static void become(char **argv)
{
    int null = open("/dev/null", O_RDWR);

    if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1)
        execv(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int main(int argc, char **argv)
{
    struct rusage usage;
    double start = now();
    int status;
    pid_t child;

    if (argc < 2) {
        fprintf(stderr, "usage: measure PROGRAM [ARGUMENT…]\n");
        return 1;
    }
    child = fork();
    if (child == 0)
        become(argv + 1);
    if (child < 0 || wait4(child, &status, 0, &usage) < 0) {
        fprintf(stderr, "measure: %s\n", strerror(errno));
        return 126;
    }
    printf("%.6f %.6f %ld\n", now() - start, seconds(usage.ru_utime) + seconds(usage.ru_stime),
           usage.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
