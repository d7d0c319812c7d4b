/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A preload for tests: a kernel whose landlock is of the version OLD_LANDLOCK (0: it has none). What that
 * version does not know is refused as its kernel would; what it knows is the real one's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/landlock.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int version_of_old(void)
{
    const char *text = getenv("OLD_LANDLOCK");

    return text ? atoi(text) : 0;
}

/* The size of the attributes, and the access to files, that a version knows. */
static int is_known(int version, const uint64_t *attributes, size_t size)
{
    static const struct {
        size_t size;
        uint64_t files;
    } known[] = {{8, 0x1fff}, {8, 0x3fff}, {8, 0x7fff}, {16, 0x7fff}, {16, 0xffff}};

    return version > 5 || (size <= known[version - 1].size && !(attributes[0] & ~known[version - 1].files));
}

long syscall(long number, ...)
{
    long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    int version = version_of_old();
    if (number == SYS_landlock_create_ruleset && version == 0) {
        errno = ENOSYS;
        return -1;
    }
    if (number == SYS_landlock_create_ruleset && (a[2] & LANDLOCK_CREATE_RULESET_VERSION))
        return version;
    if (number == SYS_landlock_create_ruleset && !is_known(version, (const uint64_t *)a[0], (size_t)a[1])) {
        errno = E2BIG;
        return -1;
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
