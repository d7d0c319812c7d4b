/* SPDX-License-Identifier: Apache-2.0 */
/* allow_path: an opened descriptor is compared, not a name. Loop thread; owns nothing. */
#include "allow.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
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

bool tail_allowed(struct tail_instance *tail, int fd, const char *path)
{
    char real[PATH_MAX + 16];
    int rc = tail->allow ? real_path(fd, real, sizeof(real)) : 0;

    if (!tail->allow || (rc == 0 && (tail_glob_match(tail->allow, real) & TAIL_IS_FILE)))
        return true;
    tail->host->metric_add(tail->numbers.refused, 1);
    if (rc < 0)
        tail_complain(tail, path, "%s is not read: where it really is can't be found out: %s", path,
                      strerror(-rc));
    else
        tail_complain(tail, path, "%s is not read: it is %s, which allow_path does not allow", path, real);
    return false;
}
