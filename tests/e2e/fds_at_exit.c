/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into weir by test_stop.py: when the program ends, writes the descriptors that are still open
 * and the number of threads to the file that WEIR_TEST_AT_EXIT names.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_descriptors(FILE *out)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char target[PATH_MAX];
        int fd = atoi(entry->d_name);
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
        if (length < 0 || entry->d_name[0] == '.' || fd == dirfd(dir) || fd == fileno(out)) {
            continue;
        }
        target[length] = '\0';
        fprintf(out, "fd %d %s\n", fd, target);
    }
    if (dir) {
        closedir(dir);
    }
}

static void write_threads(FILE *out)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int threads = 0;

    while (dir && (entry = readdir(dir))) {
        threads += entry->d_name[0] != '.';
    }
    fprintf(out, "threads %d\n", threads);
    if (dir) {
        closedir(dir);
    }
}

__attribute__((destructor)) static void at_exit(void)
{
    const char *path = getenv("WEIR_TEST_AT_EXIT");
    FILE *out = path ? fopen(path, "w") : NULL;

    if (!out) {
        return;
    }
    write_descriptors(out);
    write_threads(out);
    fclose(out);
}
