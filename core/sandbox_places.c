/* SPDX-License-Identifier: Apache-2.0 */
/* From the values of options to places. Owns the places' paths. Control thread. */
#include "sandbox_places.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sandbox_kernel.h"

/* Where a path of which not all is fixed begins not to be: patterns, ${tag}, strftime. */
#define NOT_FIXED "*?[{$%"

/* -- Real paths ----------------------------------------------------------------------------------------- */

/* Cuts the last component off; false where there is only the root. "" is the working directory. */
static bool cut_last(char *path)
{
    size_t size = strlen(path);

    while (size > 1 && path[size - 1] == '/')
        path[--size] = '\0';
    char *slash = strrchr(path, '/');
    if (!strcmp(path, "/") || !*path)
        return false;
    slash = slash ? slash + (slash == path) : path;
    *slash = '\0';
    return true;
}

/* "a/b", where a may be the root. NULL: no memory. */
static char *join(const char *a, const char *b)
{
    char *text;

    while (*b == '/')
        b++;
    return asprintf(&text, "%s%s%s", a, strcmp(a, "/") != 0 && *b ? "/" : "", b) < 0 ? NULL : text;
}

/* The path without links; of what is not there, what it would be. NULL: no memory. */
static char *real_path(const char *path, bool *ret_missing)
{
    char *real = realpath(*path ? path : ".", NULL);
    char *above = real ? NULL : strdup(path);

    *ret_missing = !real;
    while (above && !real && cut_last(above))
        real = realpath(*above ? above : ".", NULL);
    if (above && real) {
        char *whole = join(real, path + strlen(above));
        free(real);
        real = whole;
    }
    free(above);
    for (size_t size = real ? strlen(real) : 0; size > 1 && real[size - 1] == '/'; size--)
        real[size - 1] = '\0';
    return real;
}

/* -- What a value stands for ---------------------------------------------------------------------------- */

/* Directories that hold so much else that a file in them is let through alone. */
static bool is_shared(const char *real)
{
    static const char *const shared[] = {"/",     "/dev", "/etc", "/home", "/proc",
                                         "/root", "/run", "/sys", "/usr",  "/var"};

    for (size_t i = 0; i < sizeof(shared) / sizeof(*shared); i++)
        if (!strcmp(real, shared[i]))
            return true;
    return false;
}

int wish_make_exact(const char *path, unsigned access, struct wish *ret)
{
    *ret = (struct wish){.access = access};
    ret->path = real_path(path, &ret->missing);
    return ret->path ? 0 : -ENOMEM;
}

/* A pattern: what lies before its first component that is not fixed. */
static int make_beginning(const char *value, size_t fixed, bool write, struct wish *ret)
{
    while (fixed && value[fixed - 1] != '/')
        fixed--;
    char *path = strndup(value, fixed);
    int rc = path ? wish_make_exact(path, write ? SANDBOX_OWN : SANDBOX_READ, ret) : -ENOMEM;

    free(path);
    return rc;
}

/* A file, there or not: its directory, since it is replaced by others of its name. */
static int make_file(const char *value, bool write, struct wish *ret)
{
    char *above = strdup(value);
    int rc = -ENOMEM;

    if (above) {
        cut_last(above);
        rc = wish_make_exact(above, write ? SANDBOX_WRITE : SANDBOX_READ, ret);
    }
    free(above);
    if (rc < 0 || !is_shared(ret->path))
        return rc;
    free(ret->path);
    rc = wish_make_exact(value, write ? SANDBOX_WRITE : SANDBOX_READ, ret);
    ret->alone = true;
    return rc;
}

int wish_make(const char *value, bool write, struct wish *ret)
{
    size_t fixed = strcspn(value, NOT_FIXED);
    struct stat st;

    if (value[fixed])
        return make_beginning(value, fixed, write, ret);
    if (stat(value, &st) == 0 && S_ISDIR(st.st_mode))
        return wish_make_exact(value, write ? SANDBOX_OWN : SANDBOX_READ, ret);
    return make_file(value, write, ret);
}

/* -- Places --------------------------------------------------------------------------------------------- */

void places_add(struct places *p, const struct wish *wish, bool system)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->items[i].path, wish->path) != 0)
            continue;
        p->items[i].access |= wish->access;
        p->items[i].system &= system;
        free(wish->path);
        return;
    }
    struct place *items = reallocarray(p->items, p->count + 1, sizeof(*items));
    if (!items) {
        p->failed = true;
        free(wish->path);
        return;
    }
    p->items = items;
    items[p->count++] = (struct place){wish->path, wish->access, wish->missing, system};
}

static bool is_below(const char *path, const char *above)
{
    size_t size = strlen(above);

    return !strcmp(above, "/") || (!strncmp(path, above, size) && (!path[size] || path[size] == '/'));
}

/* Each kind of access to a file or directory has those before it. */
static bool is_enough(unsigned given, unsigned asked)
{
    return (given & (SANDBOX_READ | SANDBOX_WRITE | SANDBOX_OWN)) >= asked;
}

bool places_cover(const struct places *p, const struct wish *wish)
{
    if (strstr(wish->path, "/../")) /* where that leads can't be known while it is not there */
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (!p->items[i].missing && is_enough(p->items[i].access, wish->access) &&
            is_below(wish->path, p->items[i].path))
            return true;
    return false;
}

void places_clear(struct places *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->items[i].path);
    free(p->items);
    *p = (struct places){0};
}

/* -- The system ----------------------------------------------------------------------------------------- */

static void add_system(struct places *p, const char *path, unsigned access)
{
    struct wish wish;

    if (wish_make_exact(path, access, &wish) < 0)
        p->failed = true;
    else if (wish.missing)
        free(wish.path);
    else
        places_add(p, &wish, true);
}

/* What a real file, there or not (NULL), lies in. Takes the path over. */
static void add_directory_of(struct places *p, char *file)
{
    if (file && cut_last(file) && !is_shared(file))
        add_system(p, file, SANDBOX_READ);
    free(file);
}

/* Libraries, character sets and time zones; what the process is; random numbers. */
static const char *const everywhere[] = {
    "/usr",          "/lib",         "/lib64",        "/proc/self",        "/proc/sys",
    "/proc/meminfo", "/proc/stat",   "/proc/cpuinfo", "/proc/filesystems", "/sys/devices/system/cpu",
    "/dev/zero",     "/dev/urandom", "/dev/random",
};

/*
 * Of /etc, where root reads it: names, certificates that may be public, time. Not the directory: a key or a
 * hash of a password must stay out of reach. A file that is replaced by another of its name is not let
 * through any more.
 */
static const char *const of_etc[] = {
    "/etc/resolv.conf",   "/etc/hosts",           "/etc/host.conf",     "/etc/gai.conf",
    "/etc/nsswitch.conf", "/etc/services",        "/etc/protocols",     "/etc/networks",
    "/etc/passwd",        "/etc/group",           "/etc/localtime",     "/etc/timezone",
    "/etc/ld.so.cache",   "/etc/ld.so.preload",   "/etc/locale.alias",  "/etc/ssl/certs",
    "/etc/ssl/cert.pem",  "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust",  "/etc/crypto-policies", "/etc/krb5.conf",     "/etc/krb5.conf.d",
    "/etc/sasl2",
};

/* Others than root are held back by the files' modes, and then new files are let through as well. */
static bool may_read_all_of_etc(void)
{
    return geteuid() != 0 && faccessat(AT_FDCWD, "/etc/shadow", R_OK, AT_EACCESS) < 0;
}

/* A resolver's file is written anew all the time, under its name, where it is a link to a directory of its
 * own. */
static void add_resolver(struct places *p)
{
    add_directory_of(p, realpath("/etc/resolv.conf", NULL));
}

static int add_library(struct dl_phdr_info *info, size_t size, void *data)
{
    const char *path = info->dlpi_name;

    (void)size;
    if (path && *path == '/' && strncmp(path, "/proc/", 6) != 0)
        add_directory_of(data, strdup(path));
    return 0;
}

static void add_from_environment(struct places *p)
{
    static const char *const names[] = {"SSL_CERT_FILE", "SSL_CERT_DIR", "KRB5_CONFIG", "TZDIR"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *path = secure_getenv(names[i]);
        if (path && *path == '/')
            add_system(p, path, SANDBOX_READ);
    }
}

/* Terminals are opened anew by who must not block on them. */
static void add_terminals(struct places *p)
{
    char path[PATH_MAX] = "";

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (isatty(fd) && ttyname_r(fd, path, sizeof(path)) == 0)
            add_system(p, path, SANDBOX_DEVICE);
}

static void add_program(struct places *p)
{
    add_directory_of(p, realpath("/proc/self/exe", NULL));
}

void places_add_system(struct places *p)
{
    const bool all_of_etc = may_read_all_of_etc();

    for (size_t i = 0; i < sizeof(everywhere) / sizeof(*everywhere); i++)
        add_system(p, everywhere[i], SANDBOX_READ);
    for (size_t i = 0; i < sizeof(of_etc) / sizeof(*of_etc) && !all_of_etc; i++)
        add_system(p, of_etc[i], SANDBOX_READ);
    if (all_of_etc)
        add_system(p, "/etc", SANDBOX_READ);
    add_system(p, "/dev/null", SANDBOX_DEVICE);
    add_resolver(p);
    add_program(p);
    add_from_environment(p);
    add_terminals(p);
    dl_iterate_phdr(add_library, p);
}
