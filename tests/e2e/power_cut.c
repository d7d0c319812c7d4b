/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into weir: writes to $POWER_CUT_LOG what would be there after a power cut. Of a file that was
 * synced, the size that it had when that began; of a directory, the names that were in it. A line each, once
 * the sync has returned:
 *
 *     file PATH SIZE
 *     folder PATH NAME NAME …
 */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_names(int fd, FILE *to)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    for (const struct dirent *d; dir && (d = readdir(dir));) {
        if (d->d_name[0] != '.') {
            fprintf(to, " %s", d->d_name);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

/* A line about what the descriptor leads to, or NULL. */
static char *describe(int fd)
{
    char link[64], path[PATH_MAX], *line = NULL;
    size_t line_size;
    struct stat st;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path);
    FILE *to = size > 0 && fstat(fd, &st) == 0 ? open_memstream(&line, &line_size) : NULL;
    if (!to) {
        return NULL;
    }
    fprintf(to, "%s %.*s", S_ISDIR(st.st_mode) ? "folder" : "file", (int)size, path);
    if (S_ISDIR(st.st_mode)) {
        write_names(fd, to);
    } else {
        fprintf(to, " %lld", (long long)st.st_size);
    }
    fprintf(to, "\n");
    fclose(to);
    return line;
}

static int sync_and_tell(const char *name, int fd)
{
    int (*real)(int);
    const char *log = getenv("POWER_CUT_LOG");
    *(void **)&real = dlsym(RTLD_NEXT, name);
    char *line = log ? describe(fd) : NULL;
    int rc = real(fd);
    int to = rc == 0 && line ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (to >= 0) {
        if (write(to, line, strlen(line)) < 0) {
            abort();
        }
        close(to);
    }
    free(line);
    return rc;
}

int fsync(int fd)
{
    return sync_and_tell("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_and_tell("fdatasync", fd);
}
