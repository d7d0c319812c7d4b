/* SPDX-License-Identifier: Apache-2.0 */
/* An error with a sentence for the operator. Any thread. */
#ifndef WEIR_CORE_FAIL_H
#define WEIR_CORE_FAIL_H

/* Returns `error`, and the sentence in *ret_error, for the caller to free; NULL where memory is short. */
int fail(char **ret_error, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
