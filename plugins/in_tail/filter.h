/* SPDX-License-Identifier: Apache-2.0 */
/* Which lines are wanted, by regular expressions. */
#ifndef TAIL_FILTER_H
#define TAIL_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tail_filter;

/*
 * A line is wanted when `include` matches and `exclude` does not; either may be NULL, not both. 0, -ENOMEM,
 * or -EINVAL with the reason in `why`.
 */
int tail_filter_create(const char *include, const char *exclude, char *why, size_t why_size,
                       struct tail_filter **ret);
void tail_filter_destroy(struct tail_filter *); /* takes NULL */
/* A carriage return at the end is not part of what is compared. */
bool tail_filter_wants(const struct tail_filter *, const uint8_t *line, size_t size);

#endif
