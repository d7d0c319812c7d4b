/* SPDX-License-Identifier: Apache-2.0 */
/* What may be read at all: an opened descriptor is judged, not a name. Loop thread; owns nothing. */
#include "allow.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* The kernel's path of an open file; without what it appends where the name is gone. */
static int real_path(int fd, char *ret, size_t room)
{
    static const char gone[] = " (deleted)";
    char link[40];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, ret, room - 1);
    if (size < 0 || (size_t)size == room - 1)
        return size < 0 ? -errno : -ENAMETOOLONG;
    ret[size] = '\0';
    size_t end = (size_t)size, tail = sizeof(gone) - 1;
    if (end > tail && !strcmp(ret + end - tail, gone) && access(ret, F_OK) != 0)
        ret[end - tail] = '\0';
    return 0;
}

/*
 * What the kernel makes up when it is asked: endless, or the state and secrets of processes, and never a log.
 * Such files call themselves regular.
 */
static bool is_made_up(uint32_t system)
{
    static const uint32_t kinds[] = {
        0x9fa0 /* proc */,        0x62656572 /* sys */,      0x64626720 /* debugfs */,
        0x74726163 /* tracefs */, 0x27e0eb /* cgroup */,     0x63677270 /* cgroup2 */,
        0xcafe4a11 /* bpf */,     0x62656570 /* configfs */, 0x73636673 /* security */,
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (system == kinds[i])
            return true;
    return false;
}

bool tail_allowed(struct tail_instance *tail, int fd, uint32_t system, const char *path)
{
    char real[PATH_MAX + 16];

    if (is_made_up(system)) {
        tail_count(tail, TAIL_REFUSED_FILES, 1);
        tail_complain(tail, path, "%s is not read: it is no file but the kernel's own account (/proc, /sys)",
                      path);
        return false;
    }
    const struct tail_glob *allow = tail_settings_of(tail->config)->allow;
    int rc = allow ? real_path(fd, real, sizeof(real)) : 0;

    if (!allow || (rc == 0 && (tail_glob_match(allow, real) & TAIL_IS_FILE)))
        return true;
    tail_count(tail, TAIL_REFUSED_FILES, 1);
    if (rc < 0)
        tail_complain(tail, path, "%s is not read: where it really is can't be found out: %s", path,
                      strerror(-rc));
    else
        tail_complain(tail, path, "%s is not read: it is %s, which allow_path does not allow", path, real);
    return false;
}
