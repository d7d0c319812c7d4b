/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir's own log: lines of text or JSON on standard error, or in a file. Any thread.
 * A line is written with one write(2); control characters in it are escaped.
 */
#ifndef WEIR_CORE_LOG_H
#define WEIR_CORE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <weir/plugin.h>

enum log_format { LOG_TEXT, LOG_JSON };

/* Levels are enum weir_log_level; 0 is off. Until log_setup: WEIR_LOG_INFO as text on standard error. */
void log_setup(int level, enum log_format format);

/* Appends to `path` from now on (made with 0640). NULL: standard error. 0 or a negative errno, and then
 * nothing changes. */
int log_open(const char *path);

bool log_enabled(int level);

/*
 * `who` is an instance's alias or a module's name ("config"), or NULL. A message is cut at 16 KiB, visibly.
 * The same one (but of debug and trace) is written at most LOG_REPEAT_MOST times within LOG_REPEAT_SECONDS,
 * which is said.
 */
void log_write(int level, const char *who, const char *fmt, ...) WEIR_PRINTF(3, 4);
void log_vwrite(int level, const char *who, const char *fmt, va_list args) WEIR_PRINTF(3, 0);

/* For the handler of a signal that ends the process: a line of level error, written at once, without the
 * lock. The text is plain, and needs no escaping. */
void log_crash(const char *text);

#define log_error(who, ...) log_write(WEIR_LOG_ERROR, who, __VA_ARGS__)
#define log_warn(who, ...)  log_write(WEIR_LOG_WARN, who, __VA_ARGS__)
#define log_info(who, ...)  log_write(WEIR_LOG_INFO, who, __VA_ARGS__)
#define log_debug(who, ...) log_write(WEIR_LOG_DEBUG, who, __VA_ARGS__)

/*
 * Something on the same terminal that a line must not run into (the progress bar): called before a
 * line is written to standard error, with the log's lock held. NULL: none.
 */
void log_before_line(void (*fn)(void));

/* Calls fn with the log's lock held, so that no line comes in between. fn must not log. */
void log_alone(void (*fn)(void *data), void *data);

#endif
