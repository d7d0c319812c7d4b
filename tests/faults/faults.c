/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into weir: lets calls of the C library fail, as a kernel or a full machine would.
 *
 * - WEIR_FAULT=CALL:NTH:ERRNO[:COUNT]: the nth call fails, and those after it, COUNT (1) in all.
 * - WEIR_FAULT_BURSTS=SEED:PERIOD:CALL,CALL...: runs of failures at random, of those calls, with the errnos
 *   that each can have; up to PERIOD calls lie between two of them.
 * - WEIR_FAULT_FROM_SIGNAL=1: the nth call of WEIR_FAULT is counted from the first SIGRTMIN on.
 * - WEIR_FAULT_COUNTS=FILE: "CALL NUMBER" lines are appended to it at the end: how often each was called.
 *
 * Each failure is told on standard error. Only what the kernel lets fail fails: of reads and writes those of
 * files, pipes and sockets, not of eventfds; never what goes to standard error. Any thread.
 */
#undef _FORTIFY_SOURCE /* what it would wrap is defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
    MEMORY,
    READ,
    WRITE,
    OPEN,
    SYNC,
    WATCH,
    EPOLL_WAIT,
    EPOLL_CTL,
    MMAP,
    DLOPEN,
    CONNECT,
    THREAD,
    CALLS
};

static struct {
    const char *name;
    int errors[4]; /* those that bursts choose from */
    atomic_ulong count;
    bool bursts;
} calls[CALLS] = {
    [MEMORY] = {.name = "malloc", .errors = {ENOMEM}},
    [READ] = {.name = "read", .errors = {EIO, EINTR, ENOMEM}},
    [WRITE] = {.name = "write", .errors = {ENOSPC, EIO, EINTR, EDQUOT}},
    [OPEN] = {.name = "open", .errors = {EMFILE, ENFILE, EIO, ENOMEM}},
    [SYNC] = {.name = "fsync", .errors = {EIO, ENOSPC}},
    [WATCH] = {.name = "inotify_add_watch", .errors = {ENOSPC, ENOMEM}},
    [EPOLL_WAIT] = {.name = "epoll_wait", .errors = {EINTR}},
    [EPOLL_CTL] = {.name = "epoll_ctl", .errors = {ENOMEM, ENOSPC}},
    [MMAP] = {.name = "mmap", .errors = {ENOMEM}},
    [DLOPEN] = {.name = "dlopen", .errors = {ENOMEM}},
    [CONNECT] = {.name = "connect", .errors = {ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EAGAIN}},
    [THREAD] = {.name = "pthread_create", .errors = {EAGAIN}},
};

/* What is known by name to the environment. */
static const struct {
    const char *name;
    int number;
} errors[] = {{"EIO", EIO},
              {"ENOSPC", ENOSPC},
              {"EMFILE", EMFILE},
              {"ENFILE", ENFILE},
              {"ENOMEM", ENOMEM},
              {"EINTR", EINTR},
              {"EAGAIN", EAGAIN},
              {"EDQUOT", EDQUOT},
              {"EACCES", EACCES},
              {"ECONNREFUSED", ECONNREFUSED},
              {"ETIMEDOUT", ETIMEDOUT},
              {"ENETUNREACH", ENETUNREACH}};

static struct {
    enum call call;
    unsigned long first, end; /* of the calls that fail */
    int error;
} one = {.call = CALLS};

static atomic_bool waiting; /* for the signal */

static atomic_ulong dice; /* 0: no bursts */
static unsigned long period;
static atomic_long calm; /* calls until the next burst; below 0: within one */
static const char *counts_path;

/* ---- Whether it fails ------------------------------------------------------------------------------ */

static void tell(const char *name, unsigned long nth, int error)
{
    char text[96];
    int size = snprintf(text, sizeof(text), "fault: %s %lu: errno %d\n", name, nth, error);
    (void)!syscall(SYS_write, STDERR_FILENO, text, (size_t)size);
}

static unsigned long roll(void)
{
    unsigned long now = atomic_load(&dice), next;
    do
        next = now * 6364136223846793005u + 1442695040888963407u;
    while (!atomic_compare_exchange_weak(&dice, &now, next));
    return next >> 33;
}

static int burst(enum call call)
{
    if (!atomic_load_explicit(&dice, memory_order_relaxed) || !calls[call].bursts)
        return 0;
    long left = atomic_fetch_sub(&calm, 1);
    if (left > 0)
        return 0;
    if (roll() % 6 == 0)
        atomic_store(&calm, (long)(1 + roll() % period));
    size_t known = 0;
    while (known < 4 && calls[call].errors[known])
        known++;
    return calls[call].errors[roll() % known];
}

/* The errno that this call ends with, or 0. */
static int fault(enum call call)
{
    unsigned long nth = atomic_fetch_add(&calls[call].count, 1) + 1;
    bool ours = one.call == call && !atomic_load_explicit(&waiting, memory_order_acquire);
    int error = ours && nth >= one.first && nth < one.end ? one.error : burst(call);
    if (error)
        tell(calls[call].name, nth, error);
    return error;
}

static bool fails(enum call call)
{
    int error = fault(call);
    if (error)
        errno = error;
    return error;
}

static bool can_fail(int fd)
{
    struct stat s;
    if (fd == STDERR_FILENO || syscall(SYS_fstat, fd, &s) < 0)
        return false;
    return S_ISREG(s.st_mode) || S_ISFIFO(s.st_mode) || S_ISSOCK(s.st_mode) || S_ISCHR(s.st_mode);
}

/* ---- What is asked for ------------------------------------------------------------------------------ */

static enum call call_named(const char *name, size_t size)
{
    for (enum call call = 0; call < CALLS; call++)
        if (strlen(calls[call].name) == size && strncmp(calls[call].name, name, size) == 0)
            return call;
    return CALLS;
}

static void misused(const char *what)
{
    fprintf(stderr, "faults: %s makes no sense\n", what);
    _exit(99);
}

static void read_one(const char *text)
{
    char name[32], error[32];
    unsigned long count = 1;
    if (sscanf(text, "%31[^:]:%lu:%31[^:]:%lu", name, &one.first, error, &count) < 3)
        misused("WEIR_FAULT");
    one.end = one.first + count;
    one.call = call_named(name, strlen(name));
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
        if (strcmp(errors[i].name, error) == 0)
            one.error = errors[i].number;
    if (one.call == CALLS || !one.error)
        misused("WEIR_FAULT");
}

static void read_bursts(const char *text)
{
    char *rest;
    unsigned long seed = strtoul(text, &rest, 10);
    period = *rest == ':' ? strtoul(rest + 1, &rest, 10) : 0;
    if (!period || *rest != ':')
        misused("WEIR_FAULT_BURSTS");
    while (*rest) {
        size_t size = strcspn(++rest, ",");
        enum call call = call_named(rest, size);
        if (call == CALLS)
            misused("WEIR_FAULT_BURSTS");
        calls[call].bursts = true;
        rest += size;
    }
    atomic_store(&dice, seed * 2 + 1);
    atomic_store(&calm, (long)(roll() % period));
}

/* Only what a handler may do. */
static void on_signal(int number)
{
    (void)number;
    if (atomic_load(&waiting)) {
        unsigned long now = atomic_load(&calls[one.call].count);
        one.first += now;
        one.end += now;
        atomic_store_explicit(&waiting, false, memory_order_release);
    }
}

__attribute__((constructor)) static void set_up(void)
{
    const char *text = getenv("WEIR_FAULT_BURSTS");
    counts_path = getenv("WEIR_FAULT_COUNTS");
    if (text)
        read_bursts(text);
    text = getenv("WEIR_FAULT");
    if (text)
        read_one(text);
    if (text && getenv("WEIR_FAULT_FROM_SIGNAL")) {
        waiting = true;
        signal(SIGRTMIN, on_signal);
    }
}

__attribute__((destructor)) static void tear_down(void)
{
    FILE *file = counts_path ? fopen(counts_path, "ae") : NULL;
    for (enum call call = 0; file && call < CALLS; call++)
        fprintf(file, "%s %lu\n", calls[call].name, atomic_load(&calls[call].count));
    if (file)
        fclose(file);
}

/* ---- The calls -------------------------------------------------------------------------------------- */

#define EXPORT __attribute__((visibility("default")))

/* REAL(read) is the next function of that name, looked up once. */
#define REAL(name)                                       \
    ({                                                   \
        static __typeof__(name) *_Atomic real_;          \
        __typeof__(name) *found_ = atomic_load(&real_);  \
        if (!found_) {                                   \
            *(void **)&found_ = dlsym(RTLD_NEXT, #name); \
            atomic_store(&real_, found_);                \
        }                                                \
        found_;                                          \
    })

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

EXPORT void *malloc(size_t size)
{
    return fails(MEMORY) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return fails(MEMORY) ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size)
{
    return fails(MEMORY) ? NULL : __libc_realloc(old, size);
}

EXPORT ssize_t read(int fd, void *buffer, size_t size)
{
    return can_fail(fd) && fails(READ) ? -1 : syscall(SYS_read, fd, buffer, size);
}

EXPORT ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
EXPORT ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room)
{
    return size > room ? (abort(), -1) : read(fd, buffer, size);
}

EXPORT ssize_t pread64(int fd, void *buffer, size_t size, off64_t at)
{
    return can_fail(fd) && fails(READ) ? -1 : syscall(SYS_pread64, fd, buffer, size, at);
}

EXPORT ssize_t pread(int fd, void *buffer, size_t size, off_t at)
{
    return pread64(fd, buffer, size, at);
}

EXPORT ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t at, size_t room);
EXPORT ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t at, size_t room)
{
    return size > room ? (abort(), -1) : pread64(fd, buffer, size, at);
}

EXPORT ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t at, size_t room);
EXPORT ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t at, size_t room)
{
    return size > room ? (abort(), -1) : pread64(fd, buffer, size, at);
}

EXPORT ssize_t preadv(int fd, const struct iovec *parts, int count, off_t at)
{
    return can_fail(fd) && fails(READ) ? -1 : REAL(preadv)(fd, parts, count, at);
}

EXPORT ssize_t write(int fd, const void *data, size_t size)
{
    return can_fail(fd) && fails(WRITE) ? -1 : syscall(SYS_write, fd, data, size);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return can_fail(fd) && fails(WRITE) ? -1 : syscall(SYS_writev, fd, parts, count);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    return can_fail(fd) && fails(WRITE) ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    return pwrite64(fd, data, size, at);
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    return fails(OPEN) ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define MODE_OF(flags)                           \
    ({                                           \
        mode_t mode_ = 0;                        \
        if ((flags) & (O_CREAT | __O_TMPFILE)) { \
            va_list args_;                       \
            va_start(args_, flags);              \
            mode_ = va_arg(args_, mode_t);       \
            va_end(args_);                       \
        }                                        \
        mode_;                                   \
    })

EXPORT int open(const char *path, int flags, ...)
{
    return open_at(AT_FDCWD, path, flags, MODE_OF(flags));
}

EXPORT int open64(const char *path, int flags, ...)
{
    return open_at(AT_FDCWD, path, flags, MODE_OF(flags));
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
    return open_at(dir, path, flags, MODE_OF(flags));
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
    return open_at(dir, path, flags, MODE_OF(flags));
}

EXPORT int __open_2(const char *path, int flags);
EXPORT int __open_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags);
EXPORT int __open64_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

EXPORT int __openat_2(int dir, const char *path, int flags);
EXPORT int __openat_2(int dir, const char *path, int flags)
{
    return open_at(dir, path, flags, 0);
}

EXPORT int __openat64_2(int dir, const char *path, int flags);
EXPORT int __openat64_2(int dir, const char *path, int flags)
{
    return open_at(dir, path, flags, 0);
}

EXPORT int fsync(int fd)
{
    return fails(SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

EXPORT int fdatasync(int fd)
{
    return fails(SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

EXPORT int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    return fails(WATCH) ? -1 : REAL(inotify_add_watch)(fd, path, mask);
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    return fails(EPOLL_WAIT) ? -1 : REAL(epoll_wait)(fd, events, count, timeout);
}

EXPORT int epoll_pwait2(int fd, struct epoll_event *events, int count, const struct timespec *timeout,
                        const sigset_t *mask)
{
    return fails(EPOLL_WAIT) ? -1 : REAL(epoll_pwait2)(fd, events, count, timeout, mask);
}

EXPORT int epoll_ctl(int fd, int operation, int other, struct epoll_event *event)
{
    bool can = operation == EPOLL_CTL_ADD; /* what is there already needs no memory */
    return can && fails(EPOLL_CTL) ? -1 : REAL(epoll_ctl)(fd, operation, other, event);
}

EXPORT void *mmap64(void *where, size_t size, int protection, int flags, int fd, off64_t at)
{
    return fails(MMAP) ? MAP_FAILED : REAL(mmap64)(where, size, protection, flags, fd, at);
}

EXPORT void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t at)
{
    return mmap64(where, size, protection, flags, fd, at);
}

EXPORT void *dlopen(const char *path, int flags)
{
    /* the real one says why, where dlerror finds it */
    return REAL(dlopen)(fails(DLOPEN) ? "/nonexistent/fault" : path, flags);
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    return fails(CONNECT) ? -1 : REAL(connect)(fd, address, size);
}

EXPORT int pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *), void *data)
{
    int error = fault(THREAD);
    return error ? error : REAL(pthread_create)(ret, attributes, fn, data);
}
