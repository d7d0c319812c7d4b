/* SPDX-License-Identifier: Apache-2.0 */
/* What an input shows of its files in weir's status. Loop thread. */
#ifndef TAIL_DETAILS_H
#define TAIL_DETAILS_H

#include "tail.h"

/* Writes "open_files", "parked_files" and a page of "files", each with what is known of it without looking:
 * the size when it was last looked at, up to where it is read, and up to where it is acknowledged. 0 or
 * -ENOMEM. */
int tail_details(const struct tail_instance *, const struct weir_details *);

/*
 * Of the open files, at most that many that lag most, by what is known without looking; most first. *ret is
 * an array that the caller frees. Their number, or -ENOMEM. (worst.c)
 */
struct tail_file;
int64_t tail_worst_files(const struct tail_instance *, uint64_t most, struct tail_file ***ret);

/* What is complained about now, as the members of a JSON list; the first few. 0 or -ENOMEM. (complaints.c) */
struct weir_json;
int tail_complaints_write(const struct tail_instance *, struct weir_json *);

/* The lag of the files that are furthest behind, and of all together. 0. */
int tail_series(const struct tail_instance *, const struct weir_series *);

#endif
