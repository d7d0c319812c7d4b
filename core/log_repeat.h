/* SPDX-License-Identifier: Apache-2.0 */
/* The same text again and again fills a disk and says nothing: what is left out of the log. Under the log's
 * lock. */
#ifndef WEIR_CORE_LOG_REPEAT_H
#define WEIR_CORE_LOG_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_REPEAT_MOST = 10, LOG_REPEAT_SECONDS = 10 };

/*
 * Whether a text is to be written at that time (seconds of any clock that only goes on). Of the same one, so
 * many are within so many seconds. Writes what is to be said behind it into suffix; "" as a rule.
 */
bool log_repeat_allows(const char *who, const char *text, size_t length, uint64_t now, char *suffix,
                       size_t room);

#endif
