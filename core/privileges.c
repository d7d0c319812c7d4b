/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.user, service.group and service.keep_capabilities. Owns nothing. Control thread, before there are
 * others.
 *
 * The order matters: what only root can do comes first, then the groups, the user last, and then it is looked
 * whether there is a way back.
 */
#include "privileges.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "fail.h"
#include "option.h"

/* A group's entry names all of its members; what is not touched costs nothing. */
enum { NAME_ROOM = 1 << 20 };

/* Who weir becomes. */
struct identity {
    uid_t uid;
    gid_t gid;
    char name[64]; /* "" where the user is only a number */
};

/* -- Names ---------------------------------------------------------------------------------------------- */

/* What there is some use for in a program that reads logs. */
static const struct {
    const char *name;
    unsigned number;
} capabilities[] = {
    {"dac_read_search", CAP_DAC_READ_SEARCH}, /* reads every file, whoever it belongs to */
    {"net_bind_service", CAP_NET_BIND_SERVICE},
    {"net_raw", CAP_NET_RAW},
    {"syslog", CAP_SYSLOG},
};

static bool capability_number(const char *name, unsigned *ret)
{
    if (!strncasecmp(name, "cap_", 4))
        name += 4;
    for (size_t i = 0; i < sizeof(capabilities) / sizeof(*capabilities); i++) {
        if (strcasecmp(name, capabilities[i].name) != 0)
            continue;
        *ret = capabilities[i].number;
        return true;
    }
    return false;
}

static uint64_t kept_capabilities(const struct service *s)
{
    uint64_t set = 0;
    unsigned number;

    for (size_t i = 0; i < s->keep_capabilities.count; i++)
        if (capability_number(s->keep_capabilities.items[i], &number))
            set |= UINT64_C(1) << number;
    return set;
}

/* A number as the C library would not take it by name; the highest means "none" to the kernel. */
static bool is_number(const char *text, uint32_t *ret)
{
    char *end;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value >= UINT32_MAX)
        return false;
    *ret = (uint32_t)value;
    return true;
}

/* By name where that is one, else by number. False: there is none. */
static bool look_up_user(const char *name, uint32_t number, struct identity *ret)
{
    struct passwd entry, *found = NULL;
    char *text = malloc(NAME_ROOM);
    int rc = !text  ? ENOMEM
             : name ? getpwnam_r(name, &entry, text, NAME_ROOM, &found)
                    : getpwuid_r(number, &entry, text, NAME_ROOM, &found);

    if (rc)
        found = NULL;
    if (found)
        *ret = (struct identity){.uid = entry.pw_uid, .gid = entry.pw_gid};
    if (found && strlen(entry.pw_name) < sizeof(ret->name))
        strcpy(ret->name, entry.pw_name);
    free(text);
    return found;
}

static bool find_user(const char *user, struct identity *ret, bool *ret_has_group)
{
    uint32_t number;

    *ret_has_group = look_up_user(user, 0, ret);
    if (*ret_has_group)
        return true;
    if (!is_number(user, &number))
        return false;
    *ret = (struct identity){.uid = number};
    *ret_has_group = look_up_user(NULL, number, ret);
    return true;
}

static bool find_group(const char *group, gid_t *ret)
{
    uint32_t number = 0;
    struct group entry, *found = NULL;
    char *text = malloc(NAME_ROOM);
    int rc = text ? getgrnam_r(group, &entry, text, NAME_ROOM, &found) : ENOMEM;

    if (rc)
        found = NULL;
    bool known = found || is_number(group, &number);
    *ret = found ? entry.gr_gid : number;
    free(text);
    return known;
}

static bool find_identity(const struct service *s, struct identity *ret)
{
    bool has_group;

    if (!find_user(s->user, ret, &has_group))
        return false;
    return s->group ? find_group(s->group, &ret->gid) : has_group;
}

/* -- What the configuration says ------------------------------------------------------------------------- */

static void check_user(const struct service *s, const struct section *section, struct problems *problems)
{
    const struct origin at = section_origin(section, "user");
    struct identity identity;
    bool has_group;

    if (!find_user(s->user, &identity, &has_group))
        problem_error(problems, &at, "service: this host has no user '%s'", s->user);
    else if (!has_group && !s->group)
        problem_error(
            problems, &at,
            "service: user %s is in no list of users, so its group is not known: set option 'group', too",
            s->user);
}

static void check_group(const struct service *s, const struct section *section, struct problems *problems)
{
    const struct origin at = section_origin(section, "group");
    gid_t gid;

    if (!s->user)
        problem_error(problems, &at, "service: option 'group' needs option 'user'");
    else if (!find_group(s->group, &gid))
        problem_error(problems, &at, "service: this host has no group '%s'", s->group);
}

static void check_capabilities(const struct service *s, const struct section *section,
                               struct problems *problems)
{
    const struct origin at = section_origin(section, "keep_capabilities");
    unsigned number;

    if (!s->user)
        problem_error(problems, &at, "service: option 'keep_capabilities' needs option 'user'");
    for (size_t i = 0; s->user && i < s->keep_capabilities.count; i++)
        if (!capability_number(s->keep_capabilities.items[i], &number))
            problem_error(
                problems, &at,
                "service: option 'keep_capabilities': '%s' is none of dac_read_search, net_bind_service, "
                "net_raw and syslog",
                s->keep_capabilities.items[i]);
}

void privileges_check(const struct service *s, const struct section *section, struct problems *problems)
{
    if (s->user)
        check_user(s, section, problems);
    if (s->group)
        check_group(s, section, problems);
    if (s->keep_capabilities.count)
        check_capabilities(s, section, problems);
}

/* -- What only root can do ------------------------------------------------------------------------------- */

/* Only what was made just now: where a directory is somebody else's, a name in it may be anything by now. */
static int give(int fd, const char *path, const struct identity *to, char **ret_error)
{
    if (fd < 0)
        return fail(ret_error, -errno, "%s can't be opened: %s", path, strerror(errno));
    int rc = fchown(fd, to->uid, to->gid) < 0 ? -errno : 0;
    close(fd);
    return rc < 0 ? fail(ret_error, rc, "%s can't be given to user %u: %s", path, (unsigned)to->uid,
                         strerror(-rc))
                  : 0;
}

/* A directory that can't be made is told of by whoever opens it. */
static int make_data_dir(const char *path, const struct identity *owner, char **ret_error)
{
    if (mkdir(path, 0700) < 0)
        return 0;
    return give(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), path, owner, ret_error);
}

static int make_log_file(const char *path, const struct identity *owner, char **ret_error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0640);

    return fd < 0 ? 0 : give(fd, path, owner, ret_error);
}

static int make_files(const struct service *s, const struct identity *owner, char **ret_error)
{
    int rc = s->data_dir && *s->data_dir ? make_data_dir(s->data_dir, owner, ret_error) : 0;

    return rc == 0 && s->log_file ? make_log_file(s->log_file, owner, ret_error) : rc;
}

/* Nothing that is ever executed gets what is not in this set. */
static void bound_capabilities(uint64_t keep)
{
    for (unsigned n = 0; n < 64; n++)
        if (!(keep & UINT64_C(1) << n) && prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0 && errno == EINVAL)
            return; /* the kernel has no more */
}

/* -- Becoming the user ----------------------------------------------------------------------------------- */

static int set_groups(const struct identity *to)
{
    int rc = *to->name ? initgroups(to->name, to->gid) : setgroups(1, &to->gid);

    return rc < 0 || setresgid(to->gid, to->gid, to->gid) < 0 ? -errno : 0;
}

static int set_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {
        {.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
        {.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
    };

    return syscall(SYS_capset, &head, sets) < 0 ? -errno : 0;
}

static int become(const struct identity *to, uint64_t keep)
{
    int rc = prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ? -errno : set_groups(to);

    if (rc == 0 && setresuid(to->uid, to->uid, to->uid) < 0)
        rc = -errno;
    if (rc == 0)
        rc = set_capabilities(keep);
    if (rc == 0 && (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
        rc = -errno;
    if (rc == 0 && to->uid != 0 && (setuid(0) == 0 || geteuid() != to->uid || getegid() != to->gid))
        rc = -ENOTRECOVERABLE;
    return rc;
}

/* -- Whether it can work like that ----------------------------------------------------------------------- */

static int refuse_file(const char *dir, const char *name, int error, const struct service *s,
                       char **ret_error)
{
    return fail(ret_error, -error, "data_dir %s%s%s can't be written by user %s: %s; chown -R %s '%s'", dir,
                *name ? ": " : "", name, s->user, strerror(error), s->user, dir);
}

/* weir's own, and plugins': files, and the spools' directory. Others may stand there, such as lost+found of a
 * file system of its own, which is root's. */
static bool may_be_ours(int dir, const struct dirent *entry)
{
    const char *name = entry->d_name;
    struct stat st;

    if (!strcmp(name, "..") || entry->d_type == DT_LNK)
        return false;
    if (!strcmp(name, ".") || !strcmp(name, "spool"))
        return true;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode);
}

/* What an earlier run as root has left there would be found out one by one, and late. */
static int check_data_dir(const struct service *s, char **ret_error)
{
    const char *dir = s->data_dir;

    if (faccessat(AT_FDCWD, dir, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : refuse_file(dir, "", errno, s, ret_error);
    DIR *opened = opendir(dir);
    int rc = 0;
    for (const struct dirent *entry; rc == 0 && opened && (entry = readdir(opened));)
        if (may_be_ours(dirfd(opened), entry) &&
            faccessat(dirfd(opened), entry->d_name, R_OK | W_OK, AT_EACCESS) < 0 && errno != ENOENT)
            rc = refuse_file(dir, entry->d_name, errno, s, ret_error);
    if (opened)
        closedir(opened);
    return rc;
}

static int drop(const struct service *s, const struct identity *to, char **ret_error)
{
    uint64_t keep = kept_capabilities(s);
    int rc = 0;

    if (geteuid() == 0)
        rc = make_files(s, to, ret_error);
    else if (geteuid() != to->uid || (s->group && getegid() != to->gid))
        return fail(ret_error, -EPERM, "can't become user %s: weir was started as user %u, and only root can",
                    s->user, (unsigned)geteuid());
    if (rc < 0)
        return rc;
    bound_capabilities(keep);
    if (geteuid() == 0)
        rc = become(to, keep);
    else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        rc = -errno;
    if (rc < 0)
        return fail(ret_error, rc, "can't become user %s: %s", s->user, strerror(-rc));
    return s->data_dir && *s->data_dir ? check_data_dir(s, ret_error) : 0;
}

int privileges_drop(const struct service *s, char **ret_error)
{
    struct identity to;

    if (!s->user)
        return 0;
    if (!find_identity(s, &to)) /* it was there when the configuration was checked */
        return fail(ret_error, -ENOENT, "can't become user %s: this host has no such user or group", s->user);
    return drop(s, &to, ret_error);
}
