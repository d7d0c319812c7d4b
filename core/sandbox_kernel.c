/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock and seccomp by their system calls. Owns nothing. Control thread, before there are others. */
#include "sandbox_kernel.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* -- Files ---------------------------------------------------------------------------------------------- */

/* What came later than the headers that weir may be built with. */
#define ACCESS_TRUNCATE  (UINT64_C(1) << 14)
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15)
#define SCOPE_SIGNAL     (UINT64_C(1) << 1)

/* As struct landlock_ruleset_attr has grown to; an older kernel is given the beginning that it knows. */
struct ruleset {
    uint64_t files, network, scopes;
};

/* Each version's kernel refuses what it does not know. */
static uint64_t known_to(int version)
{
    uint64_t known = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1;

    if (version >= 2)
        known |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        known |= ACCESS_TRUNCATE;
    if (version >= 5)
        known |= ACCESS_IOCTL_DEV;
    return known;
}

static uint64_t rights_of(unsigned access, bool is_directory)
{
    const uint64_t on_files = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                              LANDLOCK_ACCESS_FS_EXECUTE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV;
    uint64_t rights = 0;

    if (access & SANDBOX_READ)
        rights |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    if (access & (SANDBOX_WRITE | SANDBOX_OWN))
        rights |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
                  LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_TRUNCATE;
    if (access & SANDBOX_OWN)
        rights |= LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                  LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER;
    if (access & SANDBOX_DEVICE)
        rights |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_IOCTL_DEV;
    return is_directory ? rights : rights & on_files;
}

int sandbox_landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return version < 0 ? -errno : (int)version;
}

int sandbox_rules_create(int version)
{
    const struct ruleset attr = {.files = known_to(version), .scopes = SCOPE_SIGNAL};
    size_t size = version >= 6 ? sizeof(attr) : sizeof(attr.files);
    long fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);

    return fd < 0 ? -errno : (int)fd;
}

int sandbox_rules_add(int rules, int version, int fd, bool is_directory, unsigned access)
{
    const struct landlock_path_beneath_attr attr = {
        .allowed_access = rights_of(access, is_directory) & known_to(version),
        .parent_fd = fd,
    };

    return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0 ? -errno : 0;
}

int sandbox_rules_enforce(int rules)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        return -errno;
    return 0;
}

/* -- System calls --------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define PROCESSOR AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define PROCESSOR AUDIT_ARCH_AARCH64
#else
#define PROCESSOR 0
#endif

/*
 * What no plugin of a log shipper needs, and an intruder does: other programs, other processes' memory, the
 * kernel's code and state, namespaces and mounts, files by handles (which pass by every directory), and large
 * new parts of the kernel that have had many holes. New ones only matter here when they do what one of these
 * does.
 */
/* clang-format off */
static const int refused[] = {
    /* other programs */
    SYS_execve, SYS_execveat,
    /* other processes */
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp, SYS_process_madvise,
    /* what the file system is */
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_move_mount, SYS_open_tree,
    SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
    /* files by handles, and what rules file systems as a whole */
    SYS_open_by_handle_at, SYS_fanotify_init, SYS_quotactl, SYS_quotactl_fd, SYS_acct, SYS_swapon, SYS_swapoff,
    /* large new parts of the kernel */
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    /* the kernel itself */
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_syslog,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
    /* its keys */
    SYS_add_key, SYS_request_key, SYS_keyctl,
    /* its clock and name */
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname,
    /* old things that nobody needs */
    SYS_personality, SYS_vhangup, SYS_nfsservctl, SYS_lookup_dcookie,
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_ustat, SYS_sysfs,
#endif
};
/* clang-format on */

enum {
    REFUSED = sizeof(refused) / sizeof(*refused),
    ALIEN_CALLS = 0x40000000 /* x32's numbers begin there */
};

#define NEW_NAMESPACES                                                                         \
    (CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | \
     CLONE_NEWCGROUP)

#define LOAD(member) \
    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, member))
#define ANSWER(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (value))
#define JUMP(test, value, yes, no) \
    (struct sock_filter) BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), (yes), (no))
#define ERROR(number) (SECCOMP_RET_ERRNO | (number))

/*
 * A number is compared with each of the list and leaves to the end where it is one. clone is refused with the
 * flags of a new namespace only; what clone3's are no filter can see, so it is not there, and the C library
 * uses clone. The last two loads are of an argument's lower half, which comes first on both processors.
 */
static size_t write_filter(struct sock_filter *to)
{
    size_t n = 0, first;

    to[n++] = LOAD(arch);
    to[n++] = JUMP(BPF_JEQ, PROCESSOR, 1, 0);
    to[n++] = ANSWER(ERROR(EPERM));
    to[n++] = LOAD(nr);
    to[n++] = JUMP(BPF_JGE, ALIEN_CALLS, 0, 1);
    to[n++] = ANSWER(ERROR(EPERM));
    first = n;
    for (size_t i = 0; i < REFUSED; i++)
        to[n++] = JUMP(BPF_JEQ, (uint32_t)refused[i], 0, 0);
    to[n++] = JUMP(BPF_JEQ, SYS_clone3, 0, 1);
    to[n++] = ANSWER(ERROR(ENOSYS));
    to[n++] = JUMP(BPF_JEQ, SYS_clone, 0, 2);
    to[n++] = LOAD(args[0]);
    to[n++] = JUMP(BPF_JSET, NEW_NAMESPACES, 3, 4); /* no other call goes on from here */
    to[n++] = JUMP(BPF_JEQ, SYS_ioctl, 0, 3);
    to[n++] = LOAD(args[1]);
    to[n++] = JUMP(BPF_JEQ, TIOCSTI, 0, 1);
    to[n++] = ANSWER(ERROR(EPERM));
    to[n++] = ANSWER(SECCOMP_RET_ALLOW);
    for (size_t i = first; i < first + REFUSED; i++)
        to[i].jt = (uint8_t)(n - 2 - i - 1);
    return n;
}

size_t sandbox_filter_size(void)
{
    return PROCESSOR ? REFUSED : 0;
}

int sandbox_filter_enforce(void)
{
    struct sock_filter code[REFUSED + 32];
    const struct sock_fprog program = {.len = (unsigned short)write_filter(code), .filter = code};

    if (!sandbox_filter_size())
        return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    return rc < 0 ? -errno : rc > 0 ? -ESRCH : 0; /* above 0: the thread that could not follow */
}
