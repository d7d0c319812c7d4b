/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel offers to a process that wants to be held back: landlock for files, seccomp for system
 * calls. What is in force can't be undone, and holds for the calling thread and all that it makes.
 */
#ifndef WEIR_CORE_SANDBOX_KERNEL_H
#define WEIR_CORE_SANDBOX_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

enum sandbox_access {
    SANDBOX_READ = 1 << 0,
    SANDBOX_WRITE = 1 << 1, /* of a directory: files are made in it and written to */
    SANDBOX_OWN = 1 << 2,   /* and removed, renamed; directories and local sockets as well */
    SANDBOX_DEVICE = 1 << 3 /* a terminal or /dev/null: written to, asked what it is */
};

/* The version of landlock that this kernel has, from 1, or a negative errno: -ENOSYS, -EOPNOTSUPP (turned
 * off). */
int sandbox_landlock_version(void);

/* A set of rules that forbids all that this version knows, or a negative errno. For the caller to close. */
int sandbox_rules_create(int version);
/* Allows `access` (of enum sandbox_access) to what `fd` is, and below it. 0 or a negative errno. */
int sandbox_rules_add(int rules, int version, int fd, bool is_directory, unsigned access);
/* Puts the rules in force; the process can't get privileges by executing anything from now on. */
int sandbox_rules_enforce(int rules);

/* System calls that weir has no use for fail from now on, in every thread. 0, or a negative errno. */
int sandbox_filter_enforce(void);
/* How many those are; 0: weir does not know the numbers of this processor's system calls. */
size_t sandbox_filter_size(void);

#endif
