/* SPDX-License-Identifier: Apache-2.0 */
/* Times as logs write them. */
#ifndef TAIL_TIMES_H
#define TAIL_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a record's time can be: from 1970 to 2106. */
struct tail_time {
    uint32_t sec, nsec;
};

struct tail_times; /* a format */

/*
 * strptime's, with %L for the digits of a fraction, or one of epoch, epoch_ms, epoch_us, epoch_ns. NULL: what
 * RFC 3339 says, or a number of seconds. Without %z the time is UTC; without a year it is within the last
 * twelve months. 0, -ENOMEM, or -EINVAL where nothing can be such a time.
 */
int tail_times_create(const char *format, struct tail_times **ret);
void tail_times_destroy(struct tail_times *); /* takes NULL */
/* `now`: seconds, for times without a year. False: it is none, or out of range. */
bool tail_times_read(const struct tail_times *, const char *text, size_t size, int64_t now,
                     struct tail_time *ret);
/* A number of seconds, or of what the format says. */
bool tail_times_of_integer(const struct tail_times *, uint64_t n, struct tail_time *ret);
bool tail_times_of_double(const struct tail_times *, double n, struct tail_time *ret);

/* 2016-10-06T00:17:09.669794202Z, or with +02:00 or +0200; up to nine digits count. */
bool tail_rfc3339_read(const char *text, size_t size, struct tail_time *ret);

#endif
