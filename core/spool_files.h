/* SPDX-License-Identifier: Apache-2.0 */
/* The files in a spool's folder: each call does one thing to one of them. All return 0, a descriptor or a
 * negative errno. Any thread. */
#ifndef WEIR_CORE_SPOOL_FILES_H
#define WEIR_CORE_SPOOL_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SPOOL_FILE_NAME 64

/* "00000000000000000042.seg" */
void spool_segment_name(char to[SPOOL_FILE_NAME], uint64_t first);

/* Makes the folder and the one above it (0700), and opens it. */
int spool_folder_open(const char *path);
/* The first numbers of the segments in it, sorted; the caller frees. */
int spool_files_list(int folder, uint64_t **ret, size_t *ret_count);
/* The whole file; the caller frees. */
int spool_file_read(int folder, const char *name, uint8_t **ret, size_t *ret_size);
int spool_file_open(int folder, const char *name);
/* Makes a file that begins so, and gives its descriptor; on failure there is none. */
int spool_file_create(int folder, const char *name, const uint8_t *data, size_t size);
/* Appends all of it at `at`, the file's end, or leaves the file as it was. */
int spool_file_append(int fd, uint64_t at, struct iovec *parts, int count);
/* Exactly so many bytes; -EBADMSG: there are not as many. */
int spool_file_get(int fd, uint64_t at, uint8_t *data, size_t size);
int spool_file_cut(int folder, const char *name, uint64_t size);
/* A new file with those bytes; -EEXIST: it was kept before. */
int spool_file_keep(int folder, const char *name, const uint8_t *data, size_t size);
/* Those bytes under that name, in place of what there was. */
int spool_file_replace(int folder, const char *name, const uint8_t *data, size_t size);

#endif
