/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A preload for tests: a disk that takes long to make the backup of the positions durable. Its fsync makes
 * the file STUCK_BACKUP, and returns once that is removed. A new stream's name is drawn only then, or after a
 * while: so what in_tail says of its streams before and after is said apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MS = 1000000, DRAW_MS = 300 };

static void wait_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * MS}, NULL);
}

static bool is_backup(int fd)
{
    static const char ending[] = "-backup";
    const size_t size = sizeof(ending) - 1;
    char link[64], name[4096];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof(name));
    return n >= (ssize_t)size && memcmp(name + n - size, ending, size) == 0;
}

int fsync(int fd)
{
    const char *stuck = getenv("STUCK_BACKUP");
    if (stuck && is_backup(fd)) {
        close(open(stuck, O_CREAT | O_CLOEXEC | O_WRONLY, 0600));
        while (access(stuck, F_OK) == 0) {
            wait_ms(1);
        }
    }
    return (int)syscall(SYS_fsync, fd);
}

ssize_t getrandom(void *bytes, size_t size, unsigned flags)
{
    const char *stuck = getenv("STUCK_BACKUP");
    for (int i = 0; stuck && size == sizeof(long long) && i < DRAW_MS && access(stuck, F_OK) < 0; i++) {
        wait_ms(1);
    }
    return syscall(SYS_getrandom, bytes, size, flags);
}
