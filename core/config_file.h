/* SPDX-License-Identifier: Apache-2.0 */
/* A small file read whole: configurations, and secrets kept in files. Any thread. */
#ifndef WEIR_CORE_CONFIG_FILE_H
#define WEIR_CORE_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct config_file_id {
    dev_t device;
    ino_t inode;
};

struct config_file {
    struct config_file_id id;
    mode_t mode;
    char *text; /* not ending with NUL */
    size_t size;
};

/*
 * Reads a file to its end; `regular`: only a regular one (-EOPNOTSUPP), where a pipe or a device would do as
 * well and may be waited for. 0, -EFBIG past 16 MiB, -EISDIR, or another negative errno with *ret untouched.
 */
int config_file_read(const char *path, bool regular, struct config_file *ret);

/* Overwrites and frees the text. */
void config_file_free(struct config_file *);

#endif
