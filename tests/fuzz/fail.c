/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets one call of the code under test fail, chosen by the input: a target that is linked with this has its
 * calls of the functions below by way of __wrap_… (the linker's --wrap; see CMakeLists.txt). What libraries
 * call by themselves goes on as ever. One thread.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    bool counts;         /* the code under test runs */
    size_t calls, fails; /* so many since then; the number of the one that fails, 0: none */
} now;

static bool fails(int error)
{
    if (!now.counts || ++now.calls != now.fails)
        return false;
    errno = error;
    return true;
}

/* FNV-1a: the same input lets the same call fail. */
static size_t hash(const uint8_t *data, size_t size)
{
    uint64_t value = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < size; i++) {
        value = (value ^ data[i]) * UINT64_C(1099511628211);
    }
    return (size_t)(value >> 20);
}

void fuzz_with_failure(void (*run)(const uint8_t *, size_t), const uint8_t *data, size_t size)
{
    now.calls = now.fails = 0;
    run(data, size);
    if (now.calls) {
        now.fails = hash(data, size) % now.calls + 1;
        now.calls = 0;
        run(data, size);
        now.fails = 0;
    }
}

void fuzz_tested(bool runs)
{
    now.counts = runs;
}

bool fuzz_failed(void)
{
    return now.fails && now.calls >= now.fails;
}

/* ---- Memory ---------------------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
FILE *__real_open_memstream(char **text, size_t *size);
int __real_open(const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __real_pread(int fd, void *to, size_t size, off_t at);
ssize_t __real_pwrite(int fd, const void *from, size_t size, off_t at);
int __real_fsync(int fd);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
int __wrap_vasprintf(char **ret, const char *format, va_list arguments);
int __wrap_asprintf(char **ret, const char *format, ...);
FILE *__wrap_open_memstream(char **text, size_t *size);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *to, size_t size);
ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t at);
int __wrap_fsync(int fd);

void *__wrap_malloc(size_t size)
{
    return fails(ENOMEM) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(ENOMEM) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails(ENOMEM) ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return fails(ENOMEM) ? NULL : __real_realloc(old, count * size);
}

char *__wrap_strdup(const char *text)
{
    return fails(ENOMEM) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return fails(ENOMEM) ? NULL : __real_strndup(text, size);
}

int __wrap_vasprintf(char **ret, const char *format, va_list arguments)
{
    va_list again;
    *ret = NULL;
    if (fails(ENOMEM)) {
        return -1;
    }
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    *ret = size < 0 ? NULL : __real_malloc((size_t)size + 1);
    return *ret ? vsnprintf(*ret, (size_t)size + 1, format, arguments) : -1;
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = __wrap_vasprintf(ret, format, arguments);
    va_end(arguments);
    return size;
}

FILE *__wrap_open_memstream(char **text, size_t *size)
{
    return fails(ENOMEM) ? NULL : __real_open_memstream(text, size);
}

/* ---- Files ----------------------------------------------------------------------------------------- */

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return fails(EMFILE) ? -1 : __real_open(path, flags, mode);
}

int __wrap_openat(int dir, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return fails(EMFILE) ? -1 : __real_openat(dir, path, flags, mode);
}

ssize_t __wrap_read(int fd, void *to, size_t size)
{
    return fails(EIO) ? -1 : __real_read(fd, to, size);
}

ssize_t __wrap_pread(int fd, void *to, size_t size, off_t at)
{
    return fails(EIO) ? -1 : __real_pread(fd, to, size, at);
}

ssize_t __wrap_pwrite(int fd, const void *from, size_t size, off_t at)
{
    return fails(ENOSPC) ? -1 : __real_pwrite(fd, from, size, at);
}

int __wrap_fsync(int fd)
{
    return fails(EIO) ? -1 : __real_fsync(fd);
}
